"""Copies of objects, plan after plan: which buckets a plan takes, what services wrote meanwhile, what cleanup spares."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from tests.conftest import REGION
from tests.wizard.migration import network
from tests.wizard.migration.stage import ANN, BOB, EVE, MAP, Stage, n, run, s

CHATS, GROUPS, VERSIONS = (
    "lambda/conversation-metadata", "assistants/group-assistant-conversations", "data-disclosure/versions",
)  # fmt: skip


@pytest.fixture
def s3(stage: Stage) -> Any:
    return stage.aws.client("s3")


def keys(s3: Any, bucket: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]


def body(s3: Any, bucket: str, key: str) -> bytes:
    return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def test_an_object_that_changes_under_the_old_id_after_its_copy_is_a_conflict(stage: Stage, s3: Any) -> None:
    target, chats = stage.bucket("lambda/consolidation"), stage.bucket("lambda/user-conversations")
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"first")
    stage.migrate()
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"later")
    assert stage.verify(code=1)["leftovers"]["tables"] == {chats: 1}
    s3.put_object(Bucket=chats, Key=f"{ANN}/new", Body=b"new")
    assert stage.verify(code=1)["leftovers"]["tables"] == {chats: 2}
    stage.plan()
    (conflict,) = (entry for entry in stage.entries() if entry.state == "conflict")
    assert conflict.source_key == f"{ANN}/c" and "the copy is older" in conflict.note
    assert stage.apply(code=3)["conflicts"][0]["source"].endswith(f"{ANN}/c")
    assert body(s3, target, "conversations/a-100/c") == b"first"
    assert body(s3, target, "conversations/a-100/new") == b"new"
    assert stage.verify(code=1)["leftovers"]["count"] == 0, "it is on the list"
    assert stage.run("migrate", "resolve", str(conflict.id), "--skip", "--reason", "the copy will do").code == 0
    stage.verify()
    assert stage.run("cleanup", "apply", "--objects").code == 0
    assert keys(s3, chats) == [f"{ANN}/c"], "the new one only was proven"
    assert stage.run("cleanup", "verify").code == 0


def test_an_object_that_changes_after_its_copy_is_a_conflict_also_where_etags_do_not_tell(
    stage: Stage, s3: Any
) -> None:
    """Of equal size, and the ETag of the copy is one of parts, as above 5 GB, or made under a KMS key."""
    target, chats = stage.bucket("lambda/consolidation"), stage.bucket("lambda/user-conversations")
    kms = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/chats"}
    for bucket in (target, chats):
        rules = [{"ApplyServerSideEncryptionByDefault": kms}]
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"first")
    s3.put_object(Bucket=chats, Key=f"{ANN}/d", Body=b"same")
    stage.migrate()
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"later")
    s3.put_object(Bucket=target, Key="conversations/a-100/d", Body=b"same")  # saved again, and nothing else
    assert stage.verify(code=1)["leftovers"]["tables"] == {chats: 1}
    stage.plan()
    (conflict,) = (entry for entry in stage.entries() if entry.state == "conflict")
    assert conflict.source_key == f"{ANN}/c" and "the copy is older" in conflict.note
    stage.apply(code=3)
    s3.put_object(Bucket=target, Key="conversations/a-100/c", Body=b"later")  # made equal, by hand
    stage.migrate()
    assert body(s3, target, "conversations/a-100/c") == b"later"


@pytest.mark.parametrize("change", ["deleted", "changed"])
def test_an_object_that_changes_between_plan_and_apply_keeps_its_pointer(stage: Stage, s3: Any, change: str) -> None:
    target, chats = stage.bucket("lambda/consolidation"), stage.bucket("lambda/user-conversations")
    for key in ("c", "d"):
        s3.put_object(Bucket=chats, Key=f"{ANN}/{key}", Body=b"first")
        stage.put(CHATS, {"user_id": s(ANN), "conversation_id": s(key), "s3_key": s(f"{ANN}/{key}")})
    stage.plan()
    if change == "deleted":
        s3.delete_object(Bucket=chats, Key=f"{ANN}/c")
    else:
        s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"later")
    (listed,) = stage.apply(code=3)["conflicts"]
    assert listed["source"].endswith(f"{ANN}/c")
    pointers = {name: (stage.get(CHATS, "a-100", name) or {})["s3_key"]["S"] for name in "cd"}
    assert pointers == {"c": f"{ANN}/c", "d": "conversations/a-100/d"}
    assert keys(s3, target) == ["conversations/a-100/d"]


def test_pointers_follow_to_what_newer_services_wrote_themselves(stage: Stage, s3: Any) -> None:
    target = stage.bucket("lambda/consolidation")
    everybody = {**MAP, EVE: EVE}

    def chat(name: str) -> None:
        s3.put_object(Bucket=target, Key=f"conversations/{EVE}/{name}", Body=b"x")
        stage.put(CHATS, {"user_id": s(EVE), "conversation_id": s(name), "s3_key": s(f"{EVE}/{name}")})

    chat("c")
    stage.put(CHATS, {"user_id": s(EVE), "conversation_id": s("gone"), "s3_key": s(f"{EVE}/gone")})
    stage.plan(everybody)
    stage.apply()
    assert (stage.get(CHATS, EVE, "c") or {})["s3_key"] == s(f"conversations/{EVE}/c")
    assert (stage.get(CHATS, EVE, "gone") or {})["s3_key"] == s(f"{EVE}/gone")
    chat("d")  # services keep writing the older form, which nobody reads: no work is left
    stage.verify()

    chat("e")
    stage.plan(everybody)
    s3.delete_object(Bucket=target, Key=f"conversations/{EVE}/e")
    stage.apply(code=1)
    assert (stage.get(CHATS, EVE, "e") or {})["s3_key"] == s(f"{EVE}/e")


def test_what_somebody_deleted_among_the_copies_is_brought_back_by_no_later_plan(stage: Stage, s3: Any) -> None:
    """Before the first plan, and after it was copied; a conversation would come back to life otherwise."""
    target, chats = stage.bucket("lambda/consolidation"), stage.bucket("lambda/user-conversations")
    s3.put_bucket_versioning(Bucket=target, VersioningConfiguration={"Status": "Enabled"})
    for name in ("before", "after", "never"):
        s3.put_object(Bucket=chats, Key=f"{ANN}/{name}", Body=b"x")
    s3.put_object(Bucket=target, Key="conversations/a-100/before", Body=b"y")
    s3.delete_object(Bucket=target, Key="conversations/a-100/before")
    stage.migrate()
    s3.delete_object(Bucket=target, Key="conversations/a-100/after")
    assert stage.verify(code=1)["verdicts"] == {"match": 1, "missing": 1}
    for _ in range(2):
        assert stage.plan()["changes"] == 0
        stage.apply()
        stage.verify()
        assert keys(s3, target) == ["conversations/a-100/never"]
    markers = s3.list_object_versions(Bucket=target, Prefix="conversations/a-100/after")["DeleteMarkers"]
    s3.delete_object(Bucket=target, Key=markers[0]["Key"], VersionId=markers[0]["VersionId"])  # brought back by hand
    assert stage.run("rollback").code == 0
    assert keys(s3, target) == []


def test_a_pointer_into_a_bucket_of_nobody_here_stays_and_is_told(stage: Stage, s3: Any) -> None:
    """Its key is that of an object which was copied, but what it leads to is another one."""
    target, groups = stage.bucket("lambda/consolidation"), stage.bucket("assistants/group-conversations-content")
    s3.put_object(Bucket=target, Key=f"agentState/{EVE}/s/agent_state.json", Body=b"x")
    s3.put_object(Bucket=groups, Key="astgp/1/c.txt", Body=b"x")
    foreign, key = "amplify-v9-agent-loop-dev-agent-state", s(f"{EVE}/s/agent_state.json")
    typed = s(json.dumps({"bucket": s(foreign), "key": key}))
    for name, memory in (("plain", {"M": {"bucket": s(foreign), "key": key}}), ("typed", typed)):
        stage.put("agent-loop/agent-state", {"user": s(EVE), "sessionId": s(name), "memory": memory})
    stage.put(GROUPS, {"conversationId": s("c"), "user": s(ANN), "s3Location": s("s3://other/astgp/1/c.txt")})
    before = stage.scan("agent-loop/agent-state")
    told = [one["text"] for one in stage.plan({**MAP, EVE: EVE})["findings"] if "not this deployment's" in one["text"]]
    assert sorted(text.split(" stay")[0] for text in told) == ["1 pointer", "2 pointers"]
    assert any(foreign in text for text in told) and any("example other" in text for text in told)
    stage.apply()
    stage.verify()
    assert stage.scan("agent-loop/agent-state") == before
    assert stage.get(GROUPS, "c") == {
        "conversationId": s("c"),
        "user": s("a-100"),
        "s3Location": s("s3://other/astgp/1/c.txt"),
    }


def test_a_plan_of_one_standalone_bucket_takes_that_bucket_alone(stage: Stage, s3: Any) -> None:
    target = stage.bucket("lambda/consolidation")
    group, manual = stage.bucket("assistants/group-conversations-content"), stage.bucket("api/documentation-bucket")
    chats = stage.bucket("lambda/user-conversations")
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"x")
    s3.put_object(Bucket=target, Key=f"conversations/{ANN}/split", Body=b"x")
    s3.put_object(Bucket=target, Key="conversations/a-100/d", Body=b"x")
    s3.put_object(Bucket=manual, Key="a b+c.pdf", Body=b"x")
    s3.put_object(Bucket=group, Key="astp/1/c.txt", Body=b"x")
    stage.put(CHATS, {"user_id": s("a-100"), "conversation_id": s("d"), "s3_key": s(f"{ANN}/d")})
    stage.put(GROUPS, {"conversationId": s("c"), "user": s(ANN), "s3Location": s(f"s3://{group}/astp/1/c.txt")})
    before = keys(s3, target)

    stage.migrate(MAP, "--bucket", "api-documentation")
    assert sorted({*keys(s3, target)} - {*before}) == ["apiDocumentation/a b+c.pdf"]
    assert (stage.get(GROUPS, "c") or {})["user"] == s(ANN)
    assert (stage.get(CHATS, "a-100", "d") or {})["s3_key"] == s(f"{ANN}/d")

    stage.migrate(MAP, "--only", "buckets", "--bucket", "all")
    assert sorted({*keys(s3, target)} - {*before}) == ["agentConversations/astp/1/c.txt", "apiDocumentation/a b+c.pdf"]
    group_row = stage.get(GROUPS, "c") or {}
    assert (group_row["user"], group_row["s3Location"]) == (s(ANN), s("agentConversations/astp/1/c.txt"))

    refused = stage.run("migrate", "plan", "--csv-file", stage.csv(), "--bucket", "conversations")
    assert refused.code == 2 and "api-documentation" in refused.text


def test_a_new_version_of_the_disclosure_is_told_by_verify(stage: Stage, s3: Any) -> None:
    target, pdfs = stage.bucket("lambda/consolidation"), stage.bucket("data-disclosure/storage")
    s3.put_object(Bucket=pdfs, Key="d_1.pdf", Body=b"%PDF")
    stage.put(
        VERSIONS,
        {"key": s("latest"), "version": n(1), "pdf_id": s("d_1.pdf"), "s3_reference": s(f"s3://{pdfs}/d_1.pdf")},
    )
    stage.migrate()
    (version,) = stage.scan(VERSIONS)
    assert version["pdf_id"] == s("dataDisclosure/d_1.pdf")
    assert version["s3_reference"] == s(f"s3://{target}/dataDisclosure/d_1.pdf")
    stage.put(VERSIONS, {"key": s("latest"), "version": n(2), "pdf_id": s("dataDisclosure/d_1.pdf")})
    (wrong,) = stage.verify(code=1)["wrong"]
    assert "1 version when the plan was made and has 2 now" in wrong["why"]
    assert stage.run("cleanup", "apply").code == 3


def test_a_reference_of_a_disclosure_that_a_service_wrote_since_the_plan_is_its_own(stage: Stage, s3: Any) -> None:
    stage.bucket("lambda/consolidation")
    s3.put_object(Bucket=stage.bucket("data-disclosure/storage"), Key="d_1.pdf", Body=b"%PDF")
    row = {"key": s("latest"), "version": n(1), "pdf_id": s("d_1.pdf"), "s3_reference": s("s3://any/d_1.pdf")}
    stage.put(VERSIONS, row)
    stage.plan()
    theirs = {**row, "s3_reference": s("https://example.edu/disclosure")}
    stage.put(VERSIONS, theirs)
    stage.apply()
    assert stage.scan(VERSIONS) == [{**theirs, "pdf_id": s("dataDisclosure/d_1.pdf")}]
    assert stage.run("rollback").code == 0
    assert stage.scan(VERSIONS) == [theirs]


def test_a_pdf_that_no_version_names_stays_where_an_upload_becomes_a_version(stage: Stage, s3: Any) -> None:
    target, pdfs = stage.bucket("lambda/consolidation"), stage.bucket("data-disclosure/storage")
    queue = stage.aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    arn = stage.aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    prefix = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "dataDisclosure/"}]}}
    upload = {"QueueArn": arn["QueueArn"], "Events": ["s3:ObjectCreated:*"], "Filter": prefix}
    s3.put_bucket_notification_configuration(Bucket=target, NotificationConfiguration={"QueueConfigurations": [upload]})
    for key in ("d_1.pdf", "stray.pdf"):
        s3.put_object(Bucket=pdfs, Key=key, Body=b"%PDF")
    stage.put(VERSIONS, {"key": s("latest"), "version": n(1), "pdf_id": s("d_1.pdf")})

    def told() -> list[str]:
        return [one["text"] for one in stage.plan()["findings"] if "new version" in one["text"]]

    assert [text.partition(" ")[0] for text in told()] == ["stray.pdf"]
    stage.migrate()
    assert keys(s3, target) == ["dataDisclosure/d_1.pdf"]
    assert [text.partition(" ")[0] for text in told()] == ["stray.pdf"]  # the other one is there


def test_cleanup_takes_sources_that_nobody_else_needs(stage: Stage, s3: Any) -> None:
    target = stage.bucket("lambda/consolidation")
    share, output = stage.bucket("lambda/share"), stage.bucket("lambda/document-conversion-output")
    chats = stage.bucket("lambda/user-conversations")
    for bucket, key in (
        (share, f"{ANN}/{BOB}/2024-01-31/1.json"), (share, f"{ANN}/{EVE}/2024-01-31/1.json"),
        (output, "templates/Deck.pptx"), (chats, f"{ANN}/c"), (chats, f"{ANN}/changed"), (chats, f"{EVE}/c"),
        (chats, f"temp/{ANN}/conversations_chunk_0.json"),
    ):  # fmt: skip
        s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
    stage.migrate()
    s3.put_object(Bucket=target, Key="conversations/a-100/changed", Body=b"newer")
    assert stage.run("cleanup", "apply").document["total"] == 0  # off unless the plan of cleanup asks for it
    planned = stage.run("cleanup", "plan", "--objects").document
    assert planned["tables"] == {share: 1, chats: 1} and planned["kept_total"] == 1
    stage.cleanup(code=1)
    assert keys(s3, share) == [f"{ANN}/{EVE}/2024-01-31/1.json"] and keys(s3, output) == ["templates/Deck.pptx"]
    assert set(keys(s3, chats)) == {f"{ANN}/changed", f"{EVE}/c", f"temp/{ANN}/conversations_chunk_0.json"}


def test_a_folders_marker_is_copied_where_its_key_has_a_place(stage: Stage, s3: Any) -> None:
    target, agents = stage.bucket("lambda/consolidation"), stage.bucket("agent-loop/agent-state")
    for key in (f"{ANN}/", f"{ANN}/s-1/", f"{ANN}/s-1/out/empty"):
        s3.put_object(Bucket=agents, Key=key, Body=b"")
    stage.migrate()
    assert keys(s3, target) == ["agentState/a-100/s-1/", "agentState/a-100/s-1/out/empty"]


def test_a_source_that_keeps_versions_is_named(stage: Stage, s3: Any) -> None:
    stage.bucket("lambda/consolidation")
    chats = stage.bucket("lambda/user-conversations")
    s3.put_bucket_versioning(Bucket=chats, VersioningConfiguration={"Status": "Enabled"})
    (told,) = (one for one in stage.plan()["findings"] if "is versioned" in one["text"])
    assert told["place"] == chats and told["level"] == "note"


def test_without_a_bucket_of_ours_to_copy_into_the_plan_is_blocked_with_the_reason(stage: Stage, s3: Any) -> None:
    chats = stage.bucket("lambda/user-conversations")
    s3.put_object(Bucket=chats, Key=f"{EVE}/c", Body=b"x")
    assert stage.plan()["changes"] == 0  # nothing to copy, nothing in the way
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"x")
    refused = stage.run("migrate", "plan", "--csv-file", stage.csv())
    assert refused.code == 3 and "consolidation does not exist" in refused.text and "(step 4c)" in refused.text


def test_a_bucket_that_could_not_be_seen_is_never_called_migrated(stage: Stage, s3: Any) -> None:
    stage.bucket("lambda/consolidation")
    chats, share = stage.bucket("lambda/user-conversations"), "amplify-v6-lambda-dev-share"
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"x")
    stage.put(CHATS, {"user_id": s(ANN), "conversation_id": s("c"), "s3_key": s(f"{ANN}/c")})
    context = stage.context()

    def elsewhere(request: Any, **_: Any) -> Any:
        if f"/{chats}" in request.url:
            return network.reply(request, 405, "MethodNotAllowed")
        return network.reply(request, 403, "AccessDenied") if f"/{share}" in request.url else None  # a stranger's name

    context.account.client("s3").meta.events.register_first("before-send.s3.HeadBucket", elsewhere)
    planned = run(context, "migrate", "plan", "--csv-file", stage.csv()).document
    assert planned["unread"] == [chats]
    (told,) = (one for one in planned["findings"] if "pointer" in one["text"])
    assert told["todo"] == "Plan again once every bucket can be read."
    assert run(context, "migrate", "apply").code == 0
    checked = run(context, "migrate", "verify")
    assert (checked.code, checked.document["leftovers"]["unread"]) == (1, [chats])
    assert run(context, "cleanup", "apply", "--confirm", "DELETE").code == 3
    stage.migrate()
    assert stage.run("migrate", "verify").document["leftovers"]["unread"] == []


def test_nothing_is_copied_into_a_bucket_of_another_account(stage: Stage, s3: Any) -> None:
    sts = stage.aws.client("sts")
    other = sts.assume_role(RoleArn="arn:aws:iam::210987654321:role/other", RoleSessionName="other")["Credentials"]
    stranger = boto3.Session(
        other["AccessKeyId"], other["SecretAccessKey"], other["SessionToken"], region_name=REGION
    ).client("s3", endpoint_url=stage.aws.endpoint)
    target = "amplify-v6-lambda-dev-consolidation"
    stranger.create_bucket(Bucket=target)
    chats = stage.bucket("lambda/user-conversations")
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"x")
    refused = stage.run("migrate", "plan", "--csv-file", stage.csv())
    assert refused.code == 3 and f"{target} is another account's" in refused.text
    assert keys(stranger, target) == []


def test_a_pointer_leads_to_what_stands_whichever_half_comes_first(stage: Stage, s3: Any) -> None:
    target, chats = stage.bucket("lambda/consolidation"), stage.bucket("lambda/user-conversations")
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"old")
    s3.put_object(Bucket=target, Key="conversations/a-100/c", Body=b"newer")
    stage.put(CHATS, {"user_id": s(ANN), "conversation_id": s("c"), "s3_key": s(f"{ANN}/c")})
    stage.migrate(MAP, "--only", "buckets")
    stage.migrate(MAP, "--only", "tables")
    assert (stage.get(CHATS, "a-100", "c") or {})["s3_key"] == s("conversations/a-100/c")
    assert body(s3, target, "conversations/a-100/c") == b"newer"
