"""One object at a time: copy it within S3, verify the copy, undo it, delete the source whose copy is proven.

A copy costs a HEAD of the source, which tells what a copy would not carry over by itself (encryption, storage class)
and whether the source is still the planned one, and the copy. S3 refuses to overwrite a target (`IfNoneMatch`) and to
take a changed source (`CopySourceIfMatch`); emulators and other servers may ignore both, so what was written is compared
with the source after. The target is looked at before, by one listing for many: what stands there after a refusal is ours
only where nothing stood. `ExpectedBucketOwner` goes with every request: bucket names are global.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import botocore.exceptions

from wizard.aws import Account
from wizard.aws_errors import ABSENT, AWS_ERRORS, code_of, explain
from wizard.migration.multipart import LIMITS, Limits, copy_parts, encryption
from wizard.migration.object_heads import bodies_equal, contents_equal, etag_of, head, samples_equal

log = logging.getLogger(__name__)

State = Literal["copied", "present", "conflict", "failed", "deleted", "kept"]
Verdict = Literal["match", "differs", "missing", "unknown"]

_BODY_TRIES = 3  # of a body that is cut short: the client repeats requests, not what is read of an answer
_REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@dataclass(frozen=True)
class ObjectCopy:
    """One planned copy. `size` (bytes), `etag` and `storage_class` are those of the listing; the etag has no quotes."""

    source_bucket: str
    source_key: str
    target_bucket: str
    target_key: str
    size: int
    etag: str
    storage_class: str = "STANDARD"
    modified: str = ""  # UTC, ISO 8601: which of two sources of one target is newer


@dataclass(frozen=True)
class ObjectResult:
    """What became of one object. `etag` and `version_id` are those of the target as it stands."""

    state: State
    detail: str = ""
    etag: str = ""
    version_id: str = ""


@dataclass(frozen=True)
class ObjectCheck:
    """Whether the target is the copy. `later`: the current object is a newer version that a service wrote since."""

    verdict: Verdict
    detail: str = ""
    etag: str = ""
    later: bool = False


def honours_conditions(account: Account) -> bool:
    """Whether the server is S3 itself, which refuses a copy whose conditions fail."""
    host = urlsplit(account.client("s3").meta.endpoint_url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def copy_objects(account: Account, copies: Sequence[ObjectCopy], limits: Limits | None = None) -> list[ObjectResult]:
    """Copy a batch, in order, and say what became of each.

    One listing of the targets' stretch replaces a look at each target: give copies in the order of their target keys.
    """
    free = _free_targets(account, copies)
    results = []
    for copy in copies:
        results.append(copy_object(account, copy, free, limits))
        free.discard(copy.target_key)
    return results


def copy_object(
    account: Account, copy: ObjectCopy, free: Collection[str] = (), limits: Limits | None = None
) -> ObjectResult:
    """Copy one object with its metadata, tags, encryption and storage class; never onto another object.

    `free` are target keys that were seen to be free just now, which saves the look at them.
    "present": an equal object is there already. "conflict": another one is, or the source is not the planned one.
    """
    try:
        source = head(account, copy.source_bucket, copy.source_key)
        if refusal := _not_as_planned(copy, source):
            return ObjectResult("conflict", refusal)
        assert source is not None
        # Also where S3 would refuse: a target that was free and holds an equal object a moment later holds our copy.
        if copy.target_key not in free and (standing := _target(account, copy)):
            return _standing(account, copy, source, standing)
        try:
            if copy.size > (limits or LIMITS).single:
                own = encryption(source, by_default=honours_conditions(account))
                response = copy_parts(
                    account, copy.source_bucket, copy.source_key, source, _to(account, copy), own, limits or LIMITS
                )
            else:
                response = _copy_whole(account, copy, source)
        except botocore.exceptions.ClientError as error:
            if code_of(error) not in _REFUSED:
                raise
            return _refused(account, copy, error, _time_of(source))
        return _written(account, copy, source, response)
    except AWS_ERRORS as error:
        return _failure(copy, error)


def verify_object(account: Account, copy: ObjectCopy, etag: str = "", version_id: str = "") -> ObjectCheck:
    """Read the target's head and judge it by what the copy wrote (`etag`, `version_id`), else by the source.

    A service may have written a newer version since: then the version that we wrote is judged. "unknown" is returned
    for every error but absence, so that nothing is ever deleted on a guess.
    """
    try:
        target = _target(account, copy)
        if target is None:
            return ObjectCheck("missing", "nothing is at the target")
        found, written = etag_of(target), etag.strip('"')
        is_written = found == written and target["ContentLength"] == copy.size
        if is_written and (version_id or found == copy.etag):
            return ObjectCheck("match", "", found)
        if version_id and target.get("VersionId") != version_id:
            ours = head(account, copy.target_bucket, copy.target_key, VersionId=version_id)
            if ours and etag_of(ours) == written and ours["ContentLength"] == copy.size:
                return ObjectCheck("match", "a service has written a newer version since", found, later=True)
        source = head(account, copy.source_bucket, copy.source_key)
        if source is None or _not_as_planned(copy, source):
            detail = "" if is_written else "neither what was written nor the planned source is there"
            return ObjectCheck("match" if is_written else "differs", detail, found)
        if _equal(account, copy, source, target):
            return ObjectCheck("match", "", found)
        return ObjectCheck("differs", "size or content is not that of the source", found)
    except AWS_ERRORS as error:
        return ObjectCheck("unknown", explain(error))


def delete_source(
    account: Account,
    copy: ObjectCopy,
    etag: str = "",
    version_id: str = "",
    *,
    ours: bool = False,
    dry_run: bool = False,
) -> ObjectResult:
    """Delete the source, only if it is the planned one and the current object at the target equals it now.

    With `etag` and `version_id` the target must also be what the copy wrote: a newer version keeps the source. Without
    `ours`, that S3 confirmed the copy to us, both are read in full where neither checksums nor ETags can tell. A dry run
    looks at samples of them and deletes nothing.
    """
    if (copy.source_bucket, copy.source_key) == (copy.target_bucket, copy.target_key):
        return ObjectResult("kept", "it is its own target")
    try:
        target = _target(account, copy)
        if target is None:
            return ObjectResult("kept", "nothing is at its target")
        found = etag_of(target)
        source = head(account, copy.source_bucket, copy.source_key)
        if source is None:
            return ObjectResult("deleted", "it was gone already", found)
        if refusal := _not_as_planned(copy, source):
            return ObjectResult("kept", refusal, found)
        as_written = etag.strip('"') in ("", found) and version_id in ("", target.get("VersionId", ""))
        if not as_written or not _equal(account, copy, source, target, in_full=not (dry_run or (ours and etag))):
            return ObjectResult("kept", "its target holds something else now", found)
        if dry_run:
            return ObjectResult("deleted", "", found)
        return _delete(account, copy.source_bucket, copy.source_key, copy.etag)
    except AWS_ERRORS as error:
        return _failure(copy, error)


def delete_copy(
    account: Account, copy: ObjectCopy, etag: str, version_id: str = "", *, dry_run: bool = False
) -> ObjectResult:
    """Undo one copy: delete what the copy wrote, only while it is still that and the source is still there."""
    try:
        if refusal := _not_as_planned(copy, head(account, copy.source_bucket, copy.source_key)):
            return ObjectResult("kept", refusal)
        return delete_written(account, copy.target_bucket, copy.target_key, etag, version_id, dry_run=dry_run)
    except AWS_ERRORS as error:
        return _failure(copy, error)


def delete_written(
    account: Account, bucket: str, key: str, etag: str, version_id: str = "", *, dry_run: bool = False
) -> ObjectResult:
    """Delete what we wrote, only while it is still that. Raises what botocore raises. A dry run only looks.

    The version itself goes: a delete marker would tell the next plan that somebody wanted the object gone.
    """
    target = head(account, bucket, key)
    if target is None:
        return ObjectResult("deleted", "it was gone already")
    again = etag_of(target) != etag.strip('"')
    if version_id and target.get("VersionId") != version_id:
        # Where `IfNoneMatch` is ignored, a copy that was made twice stands again when a run died between both deletions.
        again = again or honours_conditions(account) or head(account, bucket, key, VersionId=version_id) is not None
    if again:
        return ObjectResult("kept", "it was written again since it was copied", etag_of(target))
    if dry_run:
        return ObjectResult("deleted")
    undone = _delete(account, bucket, key, etag_of(target), target.get("VersionId", ""))
    while undone.state == "deleted" and target.get("VersionId"):
        stands = head(account, bucket, key)
        if stands is None:
            break
        # A copy whose answer was lost is made twice where `IfNoneMatch` is ignored: the first one stands again.
        equal = (etag_of(stands), stands["ContentLength"]) == (etag_of(target), target["ContentLength"])
        if honours_conditions(account) or not equal:
            return ObjectResult("kept", "it was written again at this moment; what stands is left", etag_of(stands))
        undone = _delete(account, bucket, key, etag_of(stands), stands.get("VersionId", ""))
    return undone


def read_object(account: Account, bucket: str, key: str, etag: str) -> bytes | ObjectResult:
    """The body of an object that is still the planned one, else why it was not read."""
    tries = _BODY_TRIES
    try:
        while True:
            answer = account.call(
                "s3", "get_object", Bucket=bucket, Key=key, IfMatch=f'"{etag}"', ExpectedBucketOwner=account.id
            )
            if etag_of(answer) != etag:
                return ObjectResult("conflict", "the source was changed since it was planned")
            try:
                return bytes(answer["Body"].read())
            except AWS_ERRORS:
                tries -= 1
                if not tries:
                    raise
    except AWS_ERRORS as error:
        if code_of(error) in _REFUSED:
            return ObjectResult("conflict", "the source was changed since it was planned")
        if code_of(error) in ABSENT - {"NoSuchBucket"}:
            return ObjectResult("conflict", "the source is gone")
        return ObjectResult("failed", explain(error))


def put_new(account: Account, bucket: str, key: str, body: bytes) -> ObjectResult:
    """Write a JSON object that is not there yet; an equal one counts as present, another one is a conflict."""
    owner = account.id
    try:
        response = account.call(
            "s3", "put_object", Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*",
            ExpectedBucketOwner=owner,
        )  # fmt: skip
        return ObjectResult("copied", "", etag_of(response), response.get("VersionId", ""))
    except AWS_ERRORS as error:
        if code_of(error) not in _REFUSED:
            return ObjectResult("failed", explain(error))
        repeated = _repeated(error)
    found = compare_body(account, bucket, key, body)
    return replace(found, state="copied") if repeated and found.state == "present" else found


def compare_body(account: Account, bucket: str, key: str, body: bytes) -> ObjectResult:
    """Read an object: `present` where it holds this body, `conflict` where another one, `failed` where none was read."""
    try:
        answer = account.call("s3", "get_object", Bucket=bucket, Key=key, ExpectedBucketOwner=account.id)
        if answer["ContentLength"] == len(body) and answer["Body"].read() == body:
            return ObjectResult("present", "", etag_of(answer), answer.get("VersionId", ""))
        return ObjectResult("conflict", "another object is at the target", etag_of(answer))
    except AWS_ERRORS as error:
        return ObjectResult("failed", explain(error))


def object_stands(account: Account, bucket: str, key: str) -> bool:
    """Whether there is an object at a key now. Raises what botocore raises, but for absence."""
    return head(account, bucket, key) is not None


def _copy_whole(account: Account, copy: ObjectCopy, source: Mapping[str, Any]) -> dict[str, Any]:
    response = account.call(
        "s3",
        "copy_object",
        **_to(account, copy),
        CopySource={"Bucket": copy.source_bucket, "Key": copy.source_key},
        CopySourceIfMatch=f'"{copy.etag}"',
        IfNoneMatch="*",
        MetadataDirective="COPY",
        TaggingDirective="COPY",
        ExpectedSourceBucketOwner=account.id,
        **_not_carried_over(account, source),
    )
    return {**response, **response["CopyObjectResult"]}


def _not_carried_over(account: Account, source: Mapping[str, Any]) -> dict[str, Any]:
    """What S3 does not copy by itself: storage class, a website redirect, encryption that the object has of its own."""
    kept = {name: source[name] for name in ("StorageClass", "WebsiteRedirectLocation") if source.get(name)}
    return kept | encryption(source, by_default=honours_conditions(account))


def _written(
    account: Account, copy: ObjectCopy, source: Mapping[str, Any], response: Mapping[str, Any]
) -> ObjectResult:
    etag, version = etag_of(response), response.get("VersionId", "")
    told = contents_equal(source, response)
    if told is None and not honours_conditions(account):  # of parts, or under a KMS key
        told = not _not_as_planned(copy, head(account, copy.source_bucket, copy.source_key))
    if told is not False:
        return ObjectResult("copied", "", etag, version)
    # Only a server that ignores CopySourceIfMatch comes here: take back what was written from the changed source.
    undone = _delete(account, copy.target_bucket, copy.target_key, etag, version)
    left = "" if undone.state == "deleted" else "; what was written could not be taken back"
    return ObjectResult("conflict", f"the source was changed while it was copied{left}")


def _standing(account: Account, copy: ObjectCopy, source: Mapping[str, Any], target: Mapping[str, Any]) -> ObjectResult:
    version = target.get("VersionId", "")
    if _equal(account, copy, source, target):
        return ObjectResult("present", "", etag_of(target), version)
    return ObjectResult("conflict", "another object is at the target", etag_of(target), version)


def _refused(account: Account, copy: ObjectCopy, error: BaseException, begun: datetime.datetime) -> ObjectResult:
    """Which of the two conditions failed. A copy that was made is refused when the client or the network repeats it."""
    source = head(account, copy.source_bucket, copy.source_key)
    if refusal := _not_as_planned(copy, source):
        return ObjectResult("conflict", refusal)
    target = _target(account, copy)
    if source is None or target is None:
        return ObjectResult("failed", explain(error))
    standing = _standing(account, copy, source, target)
    if standing.state == "present" and target["LastModified"] >= begun:  # nothing stood there before
        return replace(standing, state="copied")
    return standing


def _repeated(error: BaseException) -> bool:
    """Whether botocore had sent the request before."""
    return (
        isinstance(error, botocore.exceptions.ClientError)
        and error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
    )


def _time_of(answer: Mapping[str, Any]) -> datetime.datetime:
    """When the server gave an answer, by its own clock; the distant past where it does not say."""
    try:
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"].split(" GMT")[0] + " GMT")
    except (KeyError, ValueError):
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _not_as_planned(copy: ObjectCopy, source: Mapping[str, Any] | None) -> str:
    if source is None:
        return "the source is gone"
    if etag_of(source) != copy.etag or source["ContentLength"] != copy.size:
        return "the source was changed since it was planned"
    return ""


def taken_targets(account: Account, copies: Sequence[ObjectCopy]) -> set[str]:
    """The target keys of a batch at which a listing shows an object; a short one does not reach all of them."""
    return _listed_targets(account, copies)[0]


def _free_targets(account: Account, copies: Sequence[ObjectCopy]) -> set[str]:
    """The target keys of a batch at which nothing stands; those that a short listing does not reach are left out."""
    taken, last = _listed_targets(account, copies)
    return {copy.target_key for copy in copies if copy.target_key.encode() <= last} - taken


def _listed_targets(account: Account, copies: Sequence[ObjectCopy]) -> tuple[set[str], bytes]:
    """The target keys of a batch that two pages of a listing show, and the last key that they reach; b"" for none."""
    if len({copy.target_bucket for copy in copies}) != 1:
        return set(), b""
    keys = sorted({copy.target_key for copy in copies}, key=lambda key: key.encode())
    taken: set[str] = set()
    last = b""
    pages = account.pages(
        "s3", "list_objects_v2", Bucket=copies[0].target_bucket, MaxKeys=min(1_000, 20 + 4 * len(keys)),
        ExpectedBucketOwner=account.id,
        **({"StartAfter": keys[0][:-1]} if len(keys[0]) > 1 else {}),
    )  # fmt: skip
    try:
        for _, page in zip(range(2), pages, strict=False):
            taken.update(entry["Key"] for entry in page.get("Contents", ()))
            if page.get("Contents"):  # a page of delete markers alone is empty
                last = page["Contents"][-1]["Key"].encode()
            if not page.get("IsTruncated"):
                last = b"\xff" * 4
            if last >= keys[-1].encode():
                break
    except AWS_ERRORS as error:
        log.warning("The targets were not listed and are looked at one by one: %s", explain(error))
        return set(), b""
    return taken.intersection(keys), last


def _equal(
    account: Account, copy: ObjectCopy, source: Mapping[str, Any], target: Mapping[str, Any], *, in_full: bool = False
) -> bool:
    if source["ContentLength"] != target["ContentLength"]:
        return False
    told = contents_equal(source, target)
    if told is not None:
        return told
    places = (copy.source_bucket, copy.source_key), (copy.target_bucket, copy.target_key)
    if in_full:
        return bodies_equal(account, copy.size, (*places[0], etag_of(source)), (*places[1], etag_of(target)))
    return samples_equal(account, copy.size, *places)


def _target(account: Account, copy: ObjectCopy) -> dict[str, Any] | None:
    return head(account, copy.target_bucket, copy.target_key)


def _to(account: Account, copy: ObjectCopy) -> dict[str, str]:
    return {"Bucket": copy.target_bucket, "Key": copy.target_key, "ExpectedBucketOwner": account.id}


def _delete(account: Account, bucket: str, key: str, etag: str, version_id: str = "") -> ObjectResult:
    """Delete exactly that version, or the current object while it has that ETag."""
    exactly = {"VersionId": version_id} if version_id else {"IfMatch": f'"{etag}"'}
    try:
        response = account.call(
            "s3", "delete_object", Bucket=bucket, Key=key, ExpectedBucketOwner=account.id, **exactly
        )
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in _REFUSED | (ABSENT - {"NoSuchBucket"}):
            raise
        if head(account, bucket, key) is None:  # the request was made twice, and the second one refused
            return ObjectResult("deleted")
        return ObjectResult("kept", "it was changed at this moment")
    return ObjectResult("deleted", "", "", response.get("VersionId", ""))


def _failure(copy: ObjectCopy, error: BaseException) -> ObjectResult:
    code = code_of(error)
    if code in ("NoSuchKey", "404"):  # an answer that names a key with control characters is no XML: only the status
        return ObjectResult("conflict", "the source is gone")
    if code in ("InvalidObjectState", "ObjectNotInActiveTierError"):
        return ObjectResult("failed", f"it is archived ({copy.storage_class}); restore it in S3, then plan again")
    return ObjectResult("failed", explain(error))
