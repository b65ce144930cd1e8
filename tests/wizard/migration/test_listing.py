"""One listing of a bucket tells what is copied, what becomes content and what stays for which reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from wizard.aws import Account
from wizard.catalog.bucket_model import Bucket
from wizard.catalog.buckets import BUCKETS
from wizard.context import Context
from wizard.errors import Blocked
from wizard.migration import listing, object_heads, objects
from wizard.migration.listing import Page
from wizard.migration.objects import ObjectCopy
from wizard.migration.staging import Staging

IDS = {"jane.doe@example.edu": "doej1", "bob@example.edu": "smithb"}
CONVERSATIONS, TARGET = "amplify-v6-lambda-dev-user-conversations", "amplify-v6-lambda-dev-consolidation"
ROWS = {row.config_key: row for row in BUCKETS}


def seed(aws: Aws, bucket: str, **bodies: str) -> Any:
    client = aws.client("s3")
    client.create_bucket(Bucket=bucket)
    for key, body in bodies.items():
        client.put_object(Bucket=bucket, Key=key, Body=body.encode())
    return client


def whole(context: Context, row: Bucket, ids: dict[str, str] = IDS) -> Page:
    """All pages as one."""
    found = Page()
    for page in listing.list_objects(context, row, ids):
        for name, value in vars(page).items():
            total = getattr(found, name)
            total.update(value) if isinstance(value, dict) else total.extend(value)
    return found


def test_a_bucket_of_users_is_planned_by_one_listing(aws: Aws, context: Context) -> None:
    seed(
        aws,
        CONVERSATIONS,
        **{
            "jane.doe@example.edu/a b+%.json": "1",
            "jane.doe@example.edu//x": "22",
            "jane.doe@example.edu/": "",
            "eve@example.edu/c": "333",
            "eve@example.edu/bob@example.edu": "333",
            "temp/bob@example.edu/conversations_chunk_0.json": "4",
            "bob@example.edu/" + "ü" * 502: "5",
        },
    )
    context.account.costs.requests.clear()
    found = whole(context, ROWS["S3_CONVERSATIONS_BUCKET_NAME"])
    assert [(copy.source_key, copy.target_key, copy.size) for copy in found.copies] == [
        ("jane.doe@example.edu//x", "conversations/doej1//x", 2),
        ("jane.doe@example.edu/a b+%.json", "conversations/doej1/a b+%.json", 1),
    ]
    assert {copy.target_bucket for copy in found.copies} == {TARGET}
    assert found.counts["objects"] == 7 and found.counts["unmapped"] == 2
    assert found.kept == {"a folder's marker": 1, "temporary chunks of a download": 1}
    assert found.unknown == [("eve@example.edu/bob@example.edu", "bob@example.edu")]
    assert [key[:16] for key, _ in found.too_long] == ["bob@example.edu/"]
    assert context.account.costs.requests["s3.list_objects_v2"] == 1


def test_requests_grow_with_objects_and_not_with_users(aws: Aws, context: Context) -> None:
    client = seed(aws, CONVERSATIONS)
    for number in range(1_050):
        client.put_object(Bucket=CONVERSATIONS, Key=f"user{number % 80}/{number}", Body=b"x")
    context.account.costs.requests.clear()
    pages = list(
        listing.list_objects(context, ROWS["S3_CONVERSATIONS_BUCKET_NAME"], {f"user{n}": f"n{n}" for n in range(80)})
    )
    assert [len(page.copies) for page in pages] == [1_000, 50]
    assert context.account.costs.requests["s3.list_objects_v2"] == 2


def test_content_is_found_with_its_fields(aws: Aws, context: Context) -> None:
    seed(aws, "amplify-v6-artifacts-dev-bucket", **{"bob@example.edu/20250305/Game:v3": "{}", "odd": "{}"})
    found = whole(context, ROWS["S3_ARTIFACTS_BUCKET"])
    (source,) = found.contents
    assert (source.kind, source.key, dict(source.fields)["name"]) == (
        "artifact",
        "bob@example.edu/20250305/Game:v3",
        "Game:v3",
    )
    assert sum(found.kept.values()) == 1


def test_after_the_copy_the_listings_show_the_same_objects(aws: Aws, context: Context) -> None:
    seed(aws, CONVERSATIONS, **{"bob@example.edu/a": "1", "bob@example.edu/b": "2"})
    seed(aws, TARGET, **{"conversations/jane.doe@example.edu/split": "3"})
    planned = [
        copy
        for key in ("S3_CONVERSATIONS_BUCKET_NAME", "S3_CONSOLIDATION_BUCKET_NAME")
        for copy in whole(context, ROWS[key]).copies
    ]
    assert len(planned) == 3
    assert {result.state for result in objects.copy_objects(context.account, planned)} == {"copied"}
    there = {found.key: found for found in whole(context, listing.consolidation_row()).listed}
    for copy in planned:
        found = there[copy.target_key]
        assert object_heads.same_object(copy.size, copy.etag, found.size, found.etag)
    assert not whole(context, listing.consolidation_row(), {"same": "same"}).copies


def test_names_from_the_environment_are_used(aws: Aws, context: Context) -> None:
    seed(aws, "my-conversations", **{"bob@example.edu/a": "1"})
    context.deployment = type(context.deployment)(
        "v6",
        "dev",
        "us-east-1",
        {"S3_CONVERSATIONS_BUCKET_NAME": "my-conversations", "S3_CONSOLIDATION_BUCKET_NAME": "mine"},
    )
    (copy,) = whole(context, ROWS["S3_CONVERSATIONS_BUCKET_NAME"]).copies
    assert (copy.source_bucket, copy.target_bucket) == ("my-conversations", "mine")


def test_the_state_of_a_bucket(aws: Aws, context: Context) -> None:
    assert listing.bucket_state(context.account, CONVERSATIONS) == ("absent", "")
    seed(aws, CONVERSATIONS)
    assert listing.bucket_state(context.account, CONVERSATIONS) == ("present", "")
    context.account.client("s3").meta.events.register("before-send.s3.HeadBucket", _denied)
    assert listing.bucket_state(context.account, CONVERSATIONS)[0] == "foreign"


def test_what_was_deleted_at_the_target_is_told_from_what_was_never_there(aws: Aws, context: Context) -> None:
    seed(aws, CONVERSATIONS, **{"bob@example.edu/a": "1", "bob@example.edu/b": "2"})
    client = seed(aws, TARGET)
    client.put_bucket_versioning(Bucket=TARGET, VersioningConfiguration={"Status": "Enabled"})
    planned = whole(context, ROWS["S3_CONVERSATIONS_BUCKET_NAME"]).copies
    results = objects.copy_objects(context.account, planned)
    client.delete_object(Bucket=TARGET, Key="conversations/smithb/a")
    assert objects.delete_copy(context.account, planned[1], results[1].etag).state == "deleted"
    assert list(listing.deleted_keys(context)) == ["conversations/smithb/a"]
    # What was deleted would come back if nobody could see that it was.
    context.account.client("s3").meta.events.register("before-send.s3.ListObjectVersions", _denied)
    with pytest.raises(Blocked, match=f"{TARGET} could not be listed .*s3:ListBucketVersions"):
        list(listing.deleted_keys(context))


def test_sources_of_one_target(aws: Aws, context: Context, tmp_path: Path) -> None:
    """A legacy object and what newer services wrote meanwhile: the later one is taken."""
    seed(aws, CONVERSATIONS, **{"bob@example.edu/a": "1"})
    seed(aws, TARGET, **{"conversations/bob@example.edu/a": "2"})
    planned = [
        copy
        for key in ("S3_CONSOLIDATION_BUCKET_NAME", "S3_CONVERSATIONS_BUCKET_NAME")
        for copy in whole(context, ROWS[key]).copies
    ]
    assert {copy.target_key for copy in planned} == {"conversations/smithb/a"}
    new, old = (replace(copy, modified=time) for copy, time in zip(planned, ("2026-02-01", "2026-01-01"), strict=True))
    for name, order in (("older first", (old, new)), ("newer first", (new, old))):
        with Staging(tmp_path / f"{name}.sqlite") as staging:
            staging.add_copies(1, "", order)
            assert [(copy.source_bucket, rivals) for _, _, copy, rivals in staging.copies()] == [(TARGET, 1)]
    with Staging(tmp_path / "equal.sqlite") as staging:
        staging.add_copies(1, "", (old, replace(new, etag=old.etag)))
        assert [rivals for _, _, _, rivals in staging.copies()] == [0]


def test_buckets_outside_the_catalog_are_named(aws: Aws, context: Context) -> None:
    another = "amplify-v6-test-lambda-dev"  # a deployment named v6-test, as its tables show
    for bucket in (CONVERSATIONS, "amplify-v6-lambda-dev-assistant-uploads", "amplify-v7-lambda-dev-share", "other",
                   f"{another}-share"):  # fmt: skip
        seed(aws, bucket)
    aws.client("dynamodb").create_table(
        TableName=f"{another}-accounts", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "user", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "user", "KeyType": "HASH"}],
    )  # fmt: skip
    own = listing.own_buckets(context.account) or ()
    assert listing.unlisted_buckets(context, own) == ["amplify-v6-lambda-dev-assistant-uploads"]


def _denied(request: Any, **_: Any) -> Any:
    from botocore.awsrequest import AWSResponse

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Any:
            yield b""

    return AWSResponse(request.url, 403, {}, Raw())


@pytest.mark.parametrize(("algorithm", "tell"), [("aws:kms", False), ("AES256", True)])
def test_etags_tell_nothing_in_a_bucket_under_kms(aws: Aws, context: Context, algorithm: str, tell: bool) -> None:
    client = seed(aws, CONVERSATIONS)
    assert listing.etags_tell(context.account, CONVERSATIONS)
    client.put_bucket_encryption(
        Bucket=CONVERSATIONS,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}]
        },
    )
    assert listing.etags_tell(context.account, CONVERSATIONS) is tell


def test_every_request_names_the_owner(aws: Aws, context: Context) -> None:
    """A bucket of that name may be a stranger's: S3 must refuse it on every single call."""
    seed(aws, CONVERSATIONS, **{"bob@example.edu/a": "1"})
    seed(aws, TARGET)
    owners: list[tuple[str, Any]] = []
    client = context.account.client("s3")
    client.meta.events.register(
        "provide-client-params.s3",
        lambda params, model, **_: owners.append((model.name, params.get("ExpectedBucketOwner"))),
    )
    (copy,) = whole(context, ROWS["S3_CONVERSATIONS_BUCKET_NAME"]).copies
    _all_of(context.account, copy)
    assert {owner for _, owner in owners} == {context.account.id}
    assert {"CopyObject", "HeadObject", "ListObjectsV2", "DeleteObject", "PutObject"} <= {name for name, _ in owners}


def _all_of(account: Account, copy: ObjectCopy) -> None:
    result = objects.copy_objects(account, [copy])[0]
    objects.verify_object(account, copy, result.etag, result.version_id)
    objects.read_object(account, copy.source_bucket, copy.source_key, copy.etag)
    objects.put_new(account, copy.target_bucket, "scheduledTaskLogs/x", b"{}")
    objects.delete_source(account, copy, result.etag, result.version_id)
