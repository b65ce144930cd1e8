"""Uploads in parts that a killed run left open: the next apply or rollback aborts them, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wizard.migration.stage import ANN, Stage, kill_apply, run
from wizard.context import Context

ROLE = "arn:aws:sts::123456789012:assumed-role/admin"  # whose sessions boto3 names anew for each process


def as_admin(stage: Stage, services: set[str]) -> Context:
    """A run of that role, which S3 tells to have begun all uploads but the `services`'; moto says the same of all."""
    context = stage.context()
    context.account._identity = {**context.account.identity, "arn": f"{ROLE}/botocore-session-2"}

    def name(parsed: dict[str, Any], **_: Any) -> None:
        for upload in parsed["Uploads"]:
            other = upload["UploadId"] in services
            upload["Initiator"] = {"ID": "arn:aws:sts::123456789012:x" if other else f"{ROLE}/botocore-session-1"}

    context.account.client("s3").meta.events.register("after-call.s3.ListMultipartUploads", name)
    return context


@pytest.mark.parametrize("then", ["apply", "rollback", "gone", "skipped"])
def test_what_a_killed_run_left_of_a_copy_in_parts_is_aborted(stage: Stage, then: str) -> None:
    s3, target, chats = (
        stage.aws.client("s3"),
        stage.bucket("lambda/consolidation"),
        stage.bucket("lambda/user-conversations"),
    )
    s3.put_object(Bucket=chats, Key=f"{ANN}/big", Body=b"many bytes")
    stage.plan()
    kill_apply(stage, "CopyObject", "s3", unsent=True)
    ours, service, other = (
        s3.create_multipart_upload(Bucket=target, Key=f"conversations/a-100/{key}")["UploadId"]
        for key in ("big", "big", "else")
    )
    context = as_admin(stage, {service})
    if then == "gone":
        s3.delete_object(Bucket=chats, Key=f"{ANN}/big")
    if then == "skipped":
        (entry,) = stage.entries()
        assert stage.run("migrate", "resolve", str(entry.id), "--skip", "--reason", "not wanted").code == 0
    if then == "rollback":
        assert run(context, "rollback", "--dry-run").code == 0
        assert ours in {upload["UploadId"] for upload in s3.list_multipart_uploads(Bucket=target)["Uploads"]}
        assert run(context, "rollback").code == 0
    else:
        assert run(context, "migrate", "apply").code == (3 if then == "gone" else 0)
    left = {upload["UploadId"] for upload in s3.list_multipart_uploads(Bucket=target)["Uploads"]}
    assert left == {service, other} and ours not in left
    told = (stage.folder / "workspace" / "audit.jsonl").read_text()
    assert told.count("AbortMultipartUpload") == 1


def test_where_uploads_may_not_be_listed_all_else_is_done(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    s3, chats = stage.aws.client("s3"), stage.bucket("lambda/user-conversations")
    stage.bucket("lambda/consolidation")
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"a chat")
    stage.plan()
    context = stage.context()

    def refuse(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
        parsed["Error"] = {"Code": "AccessDenied", "Message": "denied"}
        http_response.status_code = 403

    context.account.client("s3").meta.events.register("after-call.s3.ListMultipartUploads", refuse)
    assert run(context, "migrate", "apply").code == 0
    assert "whether parts of a copy were left" in caplog.text
    assert run(context, "rollback").code == 0
