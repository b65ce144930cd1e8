"""Copies, their verification and their deletion, against a real S3 API that ignores what it can of conditions."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from tests.conftest import Aws
from tests.wizard.migration import network
from wizard.aws import Account, WriteRefused
from wizard.migration import object_heads, objects
from wizard.migration.multipart import Limits, part_ranges
from wizard.migration.objects import ObjectCopy, ObjectResult

SOURCE, TARGET = "amplify-v6-lambda-dev-user-conversations", "amplify-v6-lambda-dev-consolidation"
LIMITS = Limits(single=6 * 1024**2, part=5 * 1024**2, parts_at_once=2)
ODD_KEYS = [
    "jane.doe@example.edu/a b+c%20d&e=f?g#h",
    "jane.doe@example.edu//double//slash",
    "jane.doe@example.edu/ünïcödé/日本語/😀",
    "us-east-1:abc/Game:v3",
    "jane.doe@example.edu/%2F%252F",
    "jane.doe@example.edu/new\tline\x01",
]


@pytest.fixture
def s3(aws: Aws) -> Any:
    client = aws.client("s3")
    client.create_bucket(Bucket=SOURCE)
    client.create_bucket(Bucket=TARGET)
    client.put_bucket_versioning(Bucket=TARGET, VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture
def account(aws: Aws) -> Account:
    return aws.account()


def plan(s3: Any, key: str, target: str = "conversations/doej1/0f", **overrides: Any) -> ObjectCopy:
    """A planned copy as the listing would give it."""
    head = s3.head_object(Bucket=SOURCE, Key=key)
    planned = {"size": head["ContentLength"], "etag": head["ETag"].strip('"')} | overrides
    return ObjectCopy(SOURCE, key, TARGET, target, **planned)


def body_of(s3: Any, key: str, bucket: str = TARGET) -> bytes | None:
    try:
        return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        return None


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_are_copied_verified_and_deleted(s3: Any, account: Account, key: str) -> None:
    s3.put_object(Bucket=SOURCE, Key=key, Body=b"hello")
    copy = plan(s3, key, f"conversations/{key}")
    result = objects.copy_object(account, copy)
    assert (result.state, body_of(s3, copy.target_key)) == ("copied", b"hello")
    assert objects.verify_object(account, copy, result.etag, result.version_id).verdict == "match"
    assert objects.delete_source(account, copy, result.etag, result.version_id).state == "deleted"
    assert body_of(s3, key, SOURCE) is None


def test_everything_about_an_object_is_kept(s3: Any, account: Account) -> None:
    s3.put_object(
        Bucket=SOURCE, Key="k", Body=b"{}", ContentType="application/json", CacheControl="no-store",
        ContentDisposition="inline", ContentEncoding="identity", ContentLanguage="en", Metadata={"isavailable": "true"},
        Tagging="a=1&b=x%20y", StorageClass="STANDARD_IA", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/k",
    )  # fmt: skip
    assert objects.copy_object(account, plan(s3, "k")).state == "copied"
    before, after = (
        s3.head_object(Bucket=bucket, Key=key) for bucket, key in ((SOURCE, "k"), (TARGET, "conversations/doej1/0f"))
    )
    for name in (
        "ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "Metadata",
        "StorageClass", "ServerSideEncryption", "SSEKMSKeyId",
    ):  # fmt: skip
        assert after[name] == before[name], name
    tags = s3.get_object_tagging(Bucket=TARGET, Key="conversations/doej1/0f")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "x y"}]


@pytest.mark.parametrize("limits", [objects.LIMITS, Limits(single=1, part=5 * 1024**2)])
def test_encryption_that_an_object_has_of_its_own_is_kept(s3: Any, account: Account, limits: Limits) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"{}", ServerSideEncryption="AES256")
    assert objects.copy_object(account, plan(s3, "k"), limits=limits).state == "copied"
    assert s3.head_object(Bucket=TARGET, Key="conversations/doej1/0f")["ServerSideEncryption"] == "AES256"


def test_an_ordinary_object_costs_one_copy_and_one_check(s3: Any, account: Account) -> None:
    copies = []
    for number in range(5):
        s3.put_object(Bucket=SOURCE, Key=f"u/{number}", Body=b"x" * number)
        copies.append(plan(s3, f"u/{number}", f"conversations/n/{number}"))
    assert account.id  # asked once
    account.costs.requests.clear()
    assert {result.state for result in objects.copy_objects(account, copies)} == {"copied"}
    assert account.costs.requests == {"s3.copy_object": 5, "s3.head_object": 5, "s3.list_objects_v2": 1}


def test_a_second_copy_finds_the_first(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")

    def only_delete_markers(parsed: dict[str, Any], **_: Any) -> None:
        parsed.pop("Contents", None)
        parsed.update(IsTruncated=True, NextContinuationToken="further")

    account.client("s3").meta.events.register("after-call.s3.ListObjectsV2", only_delete_markers)
    first = objects.copy_objects(account, [copy])[0]
    assert objects.copy_object(account, copy) == ObjectResult("present", "", first.etag, first.version_id)
    account.client("s3").meta.events.unregister("after-call.s3.ListObjectsV2", only_delete_markers)
    assert [result.state for result in objects.copy_objects(account, [copy])] == ["present"]
    assert len(s3.list_object_versions(Bucket=TARGET)["Versions"]) == 1


@pytest.mark.parametrize("batch", [False, True])
def test_another_object_at_the_target_is_never_overwritten(s3: Any, account: Account, batch: bool) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    s3.put_object(Bucket=TARGET, Key="conversations/doej1/0f", Body=b"newer")
    copy = plan(s3, "k")
    result = objects.copy_objects(account, [copy])[0] if batch else objects.copy_object(account, copy)
    assert result.state == "conflict"
    assert body_of(s3, copy.target_key) == b"newer"


def test_two_sources_of_one_target_in_a_batch_do_not_overwrite_each_other(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="a", Body=b"one")
    s3.put_object(Bucket=SOURCE, Key="b", Body=b"two")
    states = [result.state for result in objects.copy_objects(account, [plan(s3, "a"), plan(s3, "b")])]
    assert (states, body_of(s3, "conversations/doej1/0f")) == (["copied", "conflict"], b"one")


def test_a_changed_or_missing_source_is_a_conflict_and_nothing_is_written(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"jello")
    assert objects.copy_object(account, copy).detail == "the source was changed since it was planned"
    s3.delete_object(Bucket=SOURCE, Key="k")
    assert objects.copy_object(account, copy) == ObjectResult("conflict", "the source is gone")
    assert body_of(s3, copy.target_key) is None


def test_a_source_that_changes_under_the_copy_is_taken_back(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")

    def change(**_: Any) -> None:
        s3.put_object(Bucket=SOURCE, Key="k", Body=b"jello")

    account.client("s3").meta.events.register("before-send.s3.CopyObject", change)
    result = objects.copy_object(account, copy)
    assert result.state == "conflict" and "while it was copied" in result.detail
    assert "Versions" not in s3.list_object_versions(Bucket=TARGET)


def test_what_s3_refuses_is_looked_into(s3: Any, account: Account, aws: Aws) -> None:
    """S3 answers 412 for either condition; the emulator does not, so the answer is put in below the client."""
    from botocore.awsrequest import AWSResponse

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Any:
            yield b"<Error><Code>PreconditionFailed</Code><Message>At least one</Message></Error>"

    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")

    def refuse(request: Any, **_: Any) -> AWSResponse:
        s3.put_object(Bucket=TARGET, Key=copy.target_key, Body=b"newer")
        return AWSResponse(request.url, 412, {"Content-Type": "application/xml"}, Raw())

    account.client("s3").meta.events.register("before-send.s3.CopyObject", refuse)
    assert objects.copy_object(account, copy).detail == "another object is at the target"
    assert body_of(s3, copy.target_key) == b"newer"


@pytest.mark.parametrize("way", ["copy", "put"])
def test_a_write_whose_answer_was_lost_is_known_as_ours_when_s3_refuses_to_repeat_it(
    s3: Any, account: Account, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy, sent = plan(s3, "k"), 0

    def send(request: Any, **_: Any) -> Any:
        nonlocal sent
        sent += 1
        return network.lost(request) if sent == lost else network.reply(request, 412, "PreconditionFailed")

    operation = "CopyObject" if way == "copy" else "PutObject"
    account.client("s3").meta.events.register(f"before-send.s3.{operation}", send)

    def write() -> str:
        if way == "copy":
            return objects.copy_objects(account, [copy])[0].state
        return objects.put_new(account, TARGET, copy.target_key, b"hello").state

    lost = 1
    assert (write(), sent) == ("copied", 2)
    lost = 0
    assert write() == "present", "somebody else's, and not to be taken back"


def test_a_copy_that_the_network_makes_two_of_is_ours_also_where_s3_refuses_the_second(
    s3: Any, account: Account
) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")

    def twice(request: Any, **_: Any) -> Any:
        URLLib3Session().send(request)
        return network.reply(request, 412, "PreconditionFailed")

    account.client("s3").meta.events.register("before-send.s3.CopyObject", twice)
    assert objects.copy_objects(account, [copy])[0].state == "copied"


def test_an_undoing_that_was_interrupted_between_two_versions_of_one_copy_goes_on(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")
    s3.put_object(Bucket=TARGET, Key=copy.target_key, Body=b"hello")  # the first of a copy that was made twice
    version = s3.put_object(Bucket=TARGET, Key=copy.target_key, Body=b"hello")["VersionId"]
    s3.delete_object(Bucket=TARGET, Key=copy.target_key, VersionId=version)
    assert objects.delete_copy(account, copy, copy.etag, version).state == "deleted"
    assert body_of(s3, copy.target_key) is None
    version = s3.put_object(Bucket=TARGET, Key=copy.target_key, Body=b"hello")["VersionId"]
    s3.put_object(Bucket=TARGET, Key=copy.target_key, Body=b"hello")  # somebody's: ours still stands under it
    assert objects.delete_copy(account, copy, copy.etag, version).state == "kept"


def test_a_missing_target_bucket_is_a_failure_in_words(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    head = s3.head_object(Bucket=SOURCE, Key="k")
    copy = ObjectCopy(SOURCE, "k", "amplify-v6-lambda-dev-absent", "t", 5, head["ETag"].strip('"'))
    result = objects.copy_objects(account, [copy])[0]
    assert result.state == "failed" and "NoSuchBucket" in result.detail


def test_an_archived_object_says_what_to_do(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello", StorageClass="GLACIER")
    result = objects.copy_object(account, plan(s3, "k", storage_class="GLACIER"))
    assert result == ObjectResult("failed", "it is archived (GLACIER); restore it in S3, then plan again")


def test_a_dry_run_writes_nothing(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    account.read_only = True
    with pytest.raises(WriteRefused):
        objects.copy_object(account, plan(s3, "k"))
    assert body_of(s3, "conversations/doej1/0f") is None


def test_a_large_object_is_copied_in_parts_with_everything(s3: Any, account: Account) -> None:
    body = bytes(range(256)) * (12 * 4096)
    s3.put_object(
        Bucket=SOURCE, Key="big", Body=body, ContentType="video/mp4", CacheControl="no-store", Metadata={"m": "1"},
        Tagging="a=1&b=x%20y", StorageClass="STANDARD_IA",
    )  # fmt: skip
    copy = plan(s3, "big")
    result = objects.copy_object(account, copy, limits=LIMITS)
    assert result.state == "copied" and result.etag.endswith("-3")
    head = s3.head_object(Bucket=TARGET, Key=copy.target_key)
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == ("video/mp4", "no-store", {"m": "1"})
    assert head["StorageClass"] == "STANDARD_IA"
    tags = s3.get_object_tagging(Bucket=TARGET, Key=copy.target_key)["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "x y"}]
    assert body_of(s3, copy.target_key) == body
    assert objects.verify_object(account, copy, result.etag, result.version_id).verdict == "match"
    assert objects.copy_object(account, copy, limits=LIMITS).state == "present"  # told by samples
    assert objects.delete_source(account, copy).state == "deleted"


def test_a_failing_part_aborts_the_upload(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="big", Body=bytes(12 * 1024**2))
    copy = plan(s3, "big")

    def remove(**_: Any) -> None:
        s3.delete_object(Bucket=SOURCE, Key="big")

    account.client("s3").meta.events.register("before-send.s3.UploadPartCopy", remove)
    told: list[dict[str, Any]] = []
    account.audit = told.append
    assert objects.copy_object(account, copy, limits=LIMITS).state in ("conflict", "failed")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=TARGET)
    assert body_of(s3, copy.target_key) is None
    operations = [entry["operation"] for entry in told]
    assert (operations[0], operations[-1]) == ("CreateMultipartUpload", "AbortMultipartUpload")
    assert {entry["PartNumber"] for entry in told if entry["operation"] == "UploadPartCopy"} <= {1, 2, 3}
    assert all(entry["Key"] == copy.target_key for entry in told)


@pytest.mark.parametrize("part", [2, 3])
def test_a_source_that_changes_between_two_parts_is_taken_back(s3: Any, account: Account, part: int) -> None:
    """S3 refuses the second part; the emulator joins both, and an ETag of parts does not tell."""
    s3.put_object(Bucket=SOURCE, Key="big", Body=bytes(12 * 1024**2))
    copy, left = plan(s3, "big"), [part]

    def change(**_: Any) -> None:
        left[0] -= 1
        if not left[0]:
            s3.put_object(Bucket=SOURCE, Key="big", Body=b"x" * (12 * 1024**2))

    account.client("s3").meta.events.register("before-send.s3.UploadPartCopy", change)
    result = objects.copy_object(account, copy, limits=LIMITS)
    assert result.state == "conflict" and "while it was copied" in result.detail
    assert "Versions" not in s3.list_object_versions(Bucket=TARGET)


def test_parts_cover_an_object_exactly() -> None:
    assert list(part_ranges(12, 5)) == [(1, "bytes=0-4"), (2, "bytes=5-9"), (3, "bytes=10-11")]
    spans = list(part_ranges(50 * 1024**4, 512 * 1024**2))
    assert len(spans) <= 10_000 and spans[-1][1].endswith(f"-{50 * 1024**4 - 1}")


def test_verdicts(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")
    assert objects.verify_object(account, copy).verdict == "missing"
    result = objects.copy_object(account, copy)
    assert objects.verify_object(account, copy).verdict == "match"
    s3.put_object(Bucket=TARGET, Key=copy.target_key, Body=b"later")
    check = objects.verify_object(account, copy, result.etag, result.version_id)
    assert (check.verdict, check.later) == ("match", True)
    assert objects.verify_object(account, copy, result.etag).verdict == "differs"
    account.client("s3").meta.events.register("before-send.s3.HeadObject", _denied)
    assert objects.verify_object(account, copy, result.etag).verdict == "unknown"


def _denied(request: Any, **_: Any) -> Any:
    from botocore.awsrequest import AWSResponse

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Any:
            yield b""

    return AWSResponse(request.url, 403, {}, Raw())


def test_a_source_is_only_deleted_when_its_copy_is_proven_now(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")
    assert objects.delete_source(account, copy).state == "kept"
    result = objects.copy_object(account, copy)
    s3.put_object(Bucket=TARGET, Key=copy.target_key, Body=b"later")
    assert objects.delete_source(account, copy, result.etag, result.version_id).state == "kept"
    s3.delete_object(Bucket=TARGET, Key=copy.target_key)
    assert objects.delete_source(account, copy, result.etag, result.version_id).state == "kept"
    assert body_of(s3, "k", SOURCE) == b"hello"


def test_a_source_changed_since_is_kept(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")
    result = objects.copy_object(account, copy)
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"jello")
    assert objects.delete_source(account, copy, result.etag, result.version_id).state == "kept"
    assert body_of(s3, "k", SOURCE) == b"jello"


def test_an_equal_size_alone_proves_nothing(s3: Any, account: Account) -> None:
    """What a plan took for the same object by size is compared before it counts as verified or the source goes."""
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    upload = s3.create_multipart_upload(Bucket=TARGET, Key="conversations/doej1/0f")["UploadId"]
    place = {"Bucket": TARGET, "Key": "conversations/doej1/0f", "UploadId": upload}
    part = s3.upload_part(**place, PartNumber=1, Body=b"jello")
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    copy = plan(s3, "k")
    etag = s3.head_object(Bucket=TARGET, Key=copy.target_key)["ETag"].strip('"')
    assert object_heads.same_object(copy.size, copy.etag, 5, etag)
    assert objects.verify_object(account, copy, etag).verdict == "differs"
    assert objects.delete_source(account, copy, etag).state == "kept"
    assert objects.copy_object(account, copy).state == "conflict"


def test_what_we_did_not_copy_is_read_in_full_before_its_source_goes(
    s3: Any, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three samples of two multipart objects may be equal and the objects not."""
    monkeypatch.setattr(object_heads, "_PIECE", 1024**2)

    def upload(bucket: str, key: str, body: bytes) -> None:
        place = {"Bucket": bucket, "Key": key}
        place["UploadId"] = s3.create_multipart_upload(**place)["UploadId"]
        part = s3.upload_part(**place, PartNumber=1, Body=body)
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})

    body = bytes(7 * 1024**2)
    s3.put_object(Bucket=SOURCE, Key="k", Body=body)
    copy = plan(s3, "k")
    upload(TARGET, copy.target_key, body[: 2 * 1024**2] + b"x" + body[2 * 1024**2 + 1 :])
    etag = s3.head_object(Bucket=TARGET, Key=copy.target_key)["ETag"].strip('"')
    assert objects.verify_object(account, copy, etag).verdict == "match"
    assert objects.delete_source(account, copy, etag).state == "kept"
    assert body_of(s3, "k", SOURCE) == body
    upload(TARGET, copy.target_key, body)
    assert (
        objects.delete_source(account, copy, s3.head_object(Bucket=TARGET, Key=copy.target_key)["ETag"]).state
        == "deleted"
    )


def test_rollback_takes_back_only_what_was_written(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")
    result = objects.copy_object(account, copy)
    s3.put_object(Bucket=TARGET, Key=copy.target_key, Body=b"later")
    assert objects.delete_copy(account, copy, result.etag, result.version_id).state == "kept"
    s3.delete_object(Bucket=TARGET, Key=copy.target_key)
    result = objects.copy_object(account, copy)

    def write(**_: Any) -> None:
        s3.put_object(Bucket=TARGET, Key=copy.target_key, Body=b"at this moment")

    account.client("s3").meta.events.register("before-send.s3.DeleteObject", write)
    assert objects.delete_copy(account, copy, result.etag, result.version_id).state == "kept"
    assert body_of(s3, copy.target_key) == b"at this moment"
    account.client("s3").meta.events.unregister("before-send.s3.DeleteObject", write)
    s3.delete_object(Bucket=TARGET, Key=copy.target_key)
    result = objects.copy_object(account, copy)
    assert objects.delete_copy(account, copy, result.etag, result.version_id).state == "deleted"
    assert body_of(s3, copy.target_key) is None
    assert objects.delete_copy(account, copy, result.etag, result.version_id).state == "deleted"


def test_a_copy_that_a_lost_answer_made_twice_goes_as_a_whole(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy, losing = plan(s3, "k"), iter([network.lost])

    def lose(request: Any, **_: Any) -> Any:
        return next((fault(request) for fault in losing), None)

    account.client("s3").meta.events.register("before-send.s3.CopyObject", lose)
    result = objects.copy_object(account, copy)
    assert len(s3.list_object_versions(Bucket=TARGET)["Versions"]) == 2
    assert objects.delete_copy(account, copy, result.etag, result.version_id).state == "deleted"
    assert "Versions" not in s3.list_object_versions(Bucket=TARGET)


def test_a_body_is_read_only_while_it_is_the_planned_one(s3: Any, account: Account) -> None:
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"hello")
    copy = plan(s3, "k")
    assert objects.read_object(account, SOURCE, "k", copy.etag) == b"hello"
    s3.put_object(Bucket=SOURCE, Key="k", Body=b"jello")
    assert objects.read_object(account, SOURCE, "k", copy.etag) == ObjectResult(
        "conflict", "the source was changed since it was planned"
    )
    s3.delete_object(Bucket=SOURCE, Key="k")
    assert objects.read_object(account, SOURCE, "k", copy.etag) == ObjectResult("conflict", "the source is gone")


def test_an_archived_log_is_put_once(s3: Any, account: Account) -> None:
    assert objects.put_new(account, TARGET, "scheduledTaskLogs/n/t/e.json", b"{}").state == "copied"
    assert objects.put_new(account, TARGET, "scheduledTaskLogs/n/t/e.json", b"{}").state == "present"
    assert objects.put_new(account, TARGET, "scheduledTaskLogs/n/t/e.json", b"[]").state == "conflict"


@pytest.mark.parametrize(
    ("source", "target", "same"),
    [
        ((5, "a" * 32), (5, "a" * 32), True),
        ((5, "a" * 32), (5, f'"{"a" * 32}"'), True),
        ((5, "a" * 32), (5, "b" * 32), False),
        ((5, "a" * 32), (6, "a" * 32), False),
        ((5, "a" * 32 + "-2"), (5, "b" * 32), True),
    ],
)
def test_same_object(source: tuple[int, str], target: tuple[int, str], same: bool) -> None:
    assert object_heads.same_object(*source, *target) is same


def test_etags_under_a_key_of_kms_do_not_tell() -> None:
    assert object_heads.same_object(5, "a" * 32, 5, "b" * 32, etags_tell=False)


def test_a_planned_copy_travels_between_processes() -> None:
    copy = ObjectCopy("a", "b", "c", "d", 1, "e")
    assert pickle.loads(pickle.dumps(copy)) == copy
