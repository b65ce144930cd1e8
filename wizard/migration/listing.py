"""What a bucket holds, found by one listing: planned copies, content, and what stays with its reason.

Nothing is kept between pages; the caller joins the planned targets with the listing of the consolidation bucket.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import botocore.exceptions

from wizard.aws import Account
from wizard.aws_errors import ABSENT, DENIED, code_of, explain
from wizard.catalog.bucket_model import (
    CONSOLIDATION,
    Bucket,
    Content,
    ContentKind,
    Ids,
    Skip,
    target_key,
    unknown_segments,
)
from wizard.catalog.buckets import BUCKETS
from wizard.context import Context
from wizard.errors import Blocked
from wizard.inventory import bucket_names, own_names, table_names
from wizard.migration.objects import ObjectCopy

LONGEST_KEY = 1_024  # bytes of UTF-8
_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}

BucketState = Literal["present", "absent", "foreign", "unknown"]


class Listed(NamedTuple):
    """One object as a listing shows it. `etag` without quotes, `modified` in UTC (ISO 8601)."""

    key: str
    size: int
    etag: str
    modified: str


@dataclass(frozen=True)
class ContentSource:
    """An object that becomes an item. `fields` are those of its key's layout, `modified` in epoch seconds."""

    kind: ContentKind
    bucket: str
    key: str
    size: int
    etag: str
    modified: int
    fields: tuple[tuple[str, str], ...]


@dataclass
class Page:
    """What one page of a listing comes to.

    `counts`: objects, bytes, unmapped (of users outside the map), archived (must be restored before a copy).
    `kept`: how many objects stay, by reason. `unknown`: (key, old id) where the catalog names no id.
    `too_long`: (key, target key) above S3's limit.
    """

    listed: list[Listed] = field(default_factory=list)
    copies: list[ObjectCopy] = field(default_factory=list)
    contents: list[ContentSource] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    unknown: list[tuple[str, str]] = field(default_factory=list)
    too_long: list[tuple[str, str]] = field(default_factory=list)


def consolidation_row() -> Bucket:
    """The row of the bucket that everything is copied into."""
    return next(row for row in BUCKETS if row.config_key == CONSOLIDATION)


def bucket_name(context: Context, row: Bucket) -> str:
    """The bucket's name in this deployment, or the environment's."""
    return context.deployment.name(row.config_key, row.pattern).value


def bucket_state(account: Account, bucket: str) -> tuple[BucketState, str]:
    """Whether the bucket exists and is this account's, and what AWS said; "foreign" is somebody else's or denied."""
    try:
        account.call("s3", "head_bucket", Bucket=bucket, ExpectedBucketOwner=account.id)
    except botocore.exceptions.ClientError as error:
        if code_of(error) in ABSENT:
            return "absent", ""
        return ("foreign" if code_of(error) in DENIED else "unknown"), explain(error)
    return "present", ""


def own_buckets(account: Account) -> set[str] | None:
    """The names of the account's buckets; None where they may not be listed."""
    try:
        return set(bucket_names(account))
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in DENIED:
            raise
        return None


def unlisted_buckets(context: Context, own: Iterable[str]) -> list[str]:
    """Buckets of this deployment that the catalog does not know; to be looked at before their stacks are removed."""
    known = {bucket_name(context, row) for row in BUCKETS}
    return sorted({*own_names(context.deployment, own, table_names(context.account))} - known)


def etags_tell(account: Account, bucket: str) -> bool:
    """Whether ETags in this bucket can be those of other copies: not where objects are encrypted under a KMS key."""
    try:
        answer = account.call("s3", "get_bucket_encryption", Bucket=bucket, ExpectedBucketOwner=account.id)
    except botocore.exceptions.ClientError:
        return True
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return not any(
        rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", "").startswith("aws:kms")
        for rule in rules
    )


def keeps_versions(account: Account, bucket: str) -> bool:
    """Whether older versions of objects may lie in the bucket; no where that may not be asked."""
    try:
        answer = account.call("s3", "get_bucket_versioning", Bucket=bucket, ExpectedBucketOwner=account.id)
    except botocore.exceptions.ClientError:
        return False
    return answer.get("Status") in ("Enabled", "Suspended")


def list_objects(context: Context, row: Bucket, ids: Ids) -> Iterator[Page]:
    """Plan one bucket, page by page (1,000 objects, keys in UTF-8 order). Reads only; raises what botocore raises."""
    account, bucket = context.account, bucket_name(context, row)
    target_bucket = bucket_name(context, consolidation_row())
    for answer in account.pages("s3", "list_objects_v2", Bucket=bucket, ExpectedBucketOwner=account.id):
        page = Page()
        for entry in answer.get("Contents", ()):
            _plan(page, row, bucket, target_bucket, entry, ids)
        yield page


def deleted_keys(context: Context) -> Iterator[str]:
    """Keys of the consolidation bucket, which is versioned, whose object somebody deleted: a copy would bring it back.

    Raises Blocked where they cannot be listed.
    """
    account, bucket = context.account, bucket_name(context, consolidation_row())
    try:
        if not account.call("s3", "get_bucket_versioning", Bucket=bucket, ExpectedBucketOwner=account.id).get("Status"):
            return  # never versioned: no marker
        for page in account.pages("s3", "list_object_versions", Bucket=bucket, ExpectedBucketOwner=account.id):
            yield from (marker["Key"] for marker in page.get("DeleteMarkers", ()) if marker["IsLatest"])
    except botocore.exceptions.ClientError as error:
        raise Blocked(
            f"What was deleted in the bucket {bucket} could not be listed ({explain(error)}), and a copy would bring it back:"
            " grant s3:GetBucketVersioning and s3:ListBucketVersions, then run again."
        ) from error


def _plan(page: Page, row: Bucket, bucket: str, target_bucket: str, entry: dict[str, Any], ids: Ids) -> None:
    key, size, etag = entry["Key"], entry["Size"], entry["ETag"].strip('"')
    page.listed.append(Listed(key, size, etag, entry["LastModified"].isoformat()))
    page.counts.update(objects=1, bytes=size)
    where = target_key(row, key, ids)
    # A folder's marker goes where its key has a place. That of a user's own folder has none: a copy would be listed as a
    # conversation without an id.
    if isinstance(where, Skip) and not size and key.endswith("/"):
        page.kept["a folder's marker"] += 1
        return
    page.unknown.extend((key, old) for old in unknown_segments(row, key, ids))
    match where:
        case None:
            page.counts["unmapped"] += 1
        case Skip(reason):
            page.kept[reason] += 1
        case Content(kind, fields):
            modified = int(entry["LastModified"].timestamp())
            page.contents.append(ContentSource(kind, bucket, key, size, etag, modified, tuple(fields.items())))
        case str() as target if len(target.encode()) > LONGEST_KEY:
            page.too_long.append((key, target))
        case str() as target:
            storage_class = entry.get("StorageClass", "STANDARD")
            page.counts["archived"] += storage_class in _ARCHIVED
            page.copies.append(
                ObjectCopy(
                    bucket, key, target_bucket, target, size, etag, storage_class, entry["LastModified"].isoformat()
                )
            )
