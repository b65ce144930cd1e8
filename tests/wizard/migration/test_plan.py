"""What a plan finds, what it refuses, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.wizard.faults import deny
from tests.wizard.migration.stage import ANN, BOB, EVE, MAP, Stage, n, requests_of, run, s, writes
from wizard.events import Event, Feed, Progress
from wizard.migration.scan import segments_for

ACCESS, USERS, TAGS = "object-access/object-access", "object-access/cognito-users", "lambda/user-tags"


def access(user: str, object_id: str = "o1", level: str = "read") -> dict[str, Any]:
    return {"object_id": s(object_id), "principal_id": s(user), "permission_level": s(level)}


def places(document: dict[str, Any]) -> dict[str, int]:
    return {one["place"]: one.get("planned", 0) for one in document["tables"] if one.get("planned")}


def found(document: dict[str, Any], place: str) -> list[str]:
    return [one["text"] for one in document["findings"] if one["place"] == place]


# --- what is found ----------------------------------------------------------------------------------------------------


def test_progress_is_done_with_the_last_page_and_knows_the_objects_of_the_last_plan(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN), access(BOB), access(EVE))
    stage.bucket("lambda/consolidation")
    chats = stage.bucket("lambda/user-conversations")
    for number in range(4):
        stage.aws.client("s3").put_object(Bucket=chats, Key=f"{ANN}/{number}", Body=b"x")

    def told() -> dict[str, list[tuple[int, int | None]]]:
        events: list[Event] = []
        context, seen = stage.context(), dict[str, list[tuple[int, int | None]]]()
        context.feed = Feed(events.append)
        for service, operation, page in (("dynamodb", "Scan", {"Limit": 1}), ("s3", "ListObjectsV2", {"MaxKeys": 2})):
            context.account.client(service).meta.events.register(
                f"provide-client-params.{service}.{operation}", lambda params, page=page, **_: {**params, **page}
            )
        assert run(context, "migrate", "plan", "--csv-file", stage.csv()).document["listed"][chats] == 4
        for event in events:
            if isinstance(event, Progress):
                seen.setdefault(event.task, []).append((event.done, event.total))
        return seen

    first, second = told(), told()
    for seen, known in ((first, None), (second, 4)):
        assert (seen[chats][0], seen[chats][-1]) == ((2, known), (4, 4))
        assert seen[stage.name(ACCESS)][-1] == (3, 3)
        assert all(done != total for task in seen.values() for done, total in task[:-1] if task[-1] != (done, total))


def test_whoever_has_data_and_is_not_in_the_map_is_told_whatever_the_form_of_the_id(stage: Stage) -> None:
    strangers = ("evelyn", "..", "jo-123456")
    others = ("astgp/1", "Helper-654321", "system")
    stage.put(ACCESS, access(ANN), *map(access, (*strangers, *others)))
    stage.put(
        "object-access/api-keys", {"api_owner_id": {"S": "x"}, "owner": {"S": ANN}, "delegate": {"S": ""}}
    )  # nobody
    stage.put("object-access/cognito-users", {"user_id": {"S": "jo-123456"}})  # a person, though it looks like a key
    assert stage.plan()["not_in_map"] == {"count": 3, "examples": sorted(strangers)}


def test_only_items_of_the_map_are_planned(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN), access(BOB), access(EVE), access("annex@example.edu"))
    document = stage.plan()
    assert places(document) == {stage.name(ACCESS): 2}
    assert document["scanned"] == {stage.name(ACCESS): 4}
    assert document["not_in_map"] == {"count": 2, "examples": ["annex@example.edu", EVE]}
    assert document["new_ids_in_use"] == {"count": 0, "examples": []}
    assert [entry.action for entry in stage.entries()] == ["copy", "copy"]


def test_new_ids_that_have_data_before_anything_is_applied_are_named(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN), access(BOB), {**access("b-200"), "object_id": s("another")})
    assert stage.plan()["new_ids_in_use"] == {"count": 1, "examples": ["b-200"]}
    stage.apply()
    stage.put("lambda/cost-calculations", {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n(1)})
    assert stage.plan()["new_ids_in_use"]["count"] == 0, "what we wrote ourselves is no news"


def test_a_plan_writes_nothing_to_aws(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    stage.put("lambda/cost-calculations", {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n(1)})
    before, context = stage.dump(), stage.context()
    seen = requests_of(context)
    assert run(context, "migrate", "plan", "--csv-file", stage.csv()).code == 0
    assert (writes(seen), stage.dump()) == ({}, before)
    assert seen["Scan"] == 2


def test_absent_tables_are_normal_and_reported(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    document = stage.plan()
    assert found(document, stage.name("assistants-api/job-status")) == [
        "does not exist in this deployment; nothing to do"
    ]
    assert {one["level"] for one in document["findings"]} <= {"note", "attention"}


def test_a_table_with_another_key_is_skipped_and_reported(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    stage.db.create_table(
        TableName=stage.name("lambda/accounts"), BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "owner", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "owner", "AttributeType": "S"}],
    )  # fmt: skip
    stage.db.put_item(TableName=stage.name("lambda/accounts"), Item={"owner": s("1"), "user": s(ANN)})
    document = stage.plan()
    assert places(document) == {stage.name(ACCESS): 1}
    assert found(document, stage.name("lambda/accounts")) == [
        "has the key (owner S) where (user S) is expected; skipped"
    ]
    assert stage.name("lambda/accounts") not in document["scanned"]


def test_a_table_that_may_not_be_read_does_not_stop_the_others(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    stage.put(TAGS, {"user": s(ANN)})
    context = stage.context()

    def refuse(params: dict[str, Any], **_: Any) -> None:
        if params["TableName"] == stage.name(TAGS):
            params["TableName"] = "amplify-v6-not-there"

    context.account.client("dynamodb").meta.events.register("provide-client-params.dynamodb.Scan", refuse)
    ended = run(context, "migrate", "plan", "--csv-file", stage.csv())
    assert (ended.code, places(ended.document)) == (0, {stage.name(ACCESS): 1})
    assert ended.document["unread"] == [stage.name(TAGS)]
    assert any("could not be read" in text for text in found(ended.document, stage.name(TAGS)))


def test_a_denied_listing_of_tables_is_one_sentence(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    context = stage.context()
    deny(context.account, "dynamodb", "ListTables")
    with pytest.raises(Exception, match="AccessDenied"):
        run(context, "migrate", "plan", "--csv-file", stage.csv())


def test_tables_that_the_catalog_does_not_know_are_searched(stage: Stage) -> None:
    stage.put("custom/notes", {"id": s("1"), "author": s(ANN), "note": s("nothing")})
    document = stage.plan()
    (one,) = document["unknown_references"]
    assert (one["place"], one["path"], one["kind"], one["count"], one["example"]) == (
        stage.name("custom/notes"), "author", "id", 1, ANN,
    )  # fmt: skip
    assert places(document) == {}


def test_other_case_and_rows_of_old_scripts_are_told(stage: Stage) -> None:
    stage.put("lambda/chat-usages", {"id": s("1"), "user": s(ANN.upper())})
    stage.put(
        "assistants/assistants", {"id": s(ANN), "user": s("a-100")}, {"id": s("ast/1"), "user": s(ANN), "name": s("n")}
    )
    document = stage.plan()
    assert [(one["kind"], one["path"]) for one in document["unknown_references"]] == [("case", "user")]
    assert any(
        "1 row left by an earlier script" in text for text in found(document, stage.name("assistants/assistants"))
    )
    assert places(document) == {stage.name("assistants/assistants"): 1}


def test_both_names_of_the_usage_table_are_migrated(stage: Stage) -> None:
    stage.put("lambda/chat-usages", {"id": s("1"), "user": s(ANN)})
    stage.put("lambda/chat-usage", {"id": s("2"), "user": s(BOB)})
    assert places(stage.plan()) == {stage.name("lambda/chat-usages"): 1, stage.name("lambda/chat-usage"): 1}


def test_audit_logs_only_on_request(stage: Stage) -> None:
    log = {"log_id": s(f"{ANN}/1"), "user": s(ANN), "details": s(f"by {ANN}")}
    operation = {"user": s(ANN), "timestamp": s("2025-09-01T10:00:00"), "resultMessage": s(f"found {ANN}")}
    stage.put("admin/admin-logs", log)
    stage.put("assistants-api/op-log", operation)
    assert places(stage.plan()) == {}
    assert places(stage.plan(MAP, "--include-audit-logs")) == {
        stage.name("admin/admin-logs"): 1, stage.name("assistants-api/op-log"): 1,
    }  # fmt: skip
    stage.apply()
    assert stage.scan("admin/admin-logs") == [{**log, "user": s("a-100")}]
    assert sorted(stage.scan("assistants-api/op-log"), key=str) == [{**operation, "user": s("a-100")}, operation]


# --- what cannot be written -------------------------------------------------------------------------------------------


def test_keys_and_items_over_the_limit_after_mapping_are_listed(stage: Stage) -> None:
    far = {ANN: "a" * 300}  # longer than the old one
    stage.put("lambda/user-data-storage", *(
        {"PK": s(f"{ANN}#{app}#e"), "SK": s("k"), "appId": s(f"{ANN}#{app}")} for app in ("x" * 1_900, "short")
    ))  # fmt: skip
    history = {"L": [{"M": {"changedBy": s(ANN)}} for _ in range(20)]}  # grows by 5,700 bytes
    stage.put("assistants/assistant-lookup", {"astPath": s("big"), "pathHistory": history, "text": s("x" * 404_000)})
    document = stage.plan(far)
    assert document["blocked"] == 2
    notes = sorted(entry.note for entry in stage.entries("workspace", "failed"))
    assert "DynamoDB takes 409,600" in notes[0] and "its key PK would have" in notes[1]
    before = stage.dump()
    assert stage.apply(1)["states"] == {"applied": 1, "failed": 2}
    assert stage.dump()[stage.name("assistants/assistant-lookup")] == before[stage.name("assistants/assistant-lookup")]


# --- one map, growing -------------------------------------------------------------------------------------------------


def test_a_pilot_then_everybody(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN), access(BOB))
    stage.put("object-access/amplify-groups", {"group_id": s("g"), "members": {"M": {ANN: s("read"), BOB: s("write")}}})
    stage.migrate({ANN: "a-100"})
    assert stage.scan("object-access/amplify-groups")[0]["members"] == {"M": {"a-100": s("read"), BOB: s("write")}}
    document = stage.plan({BOB: "b-200"})
    assert document["users"]["in_map"] == 2
    assert sum(places(document).values()) == 2
    stage.apply()
    stage.verify()
    assert stage.scan("object-access/amplify-groups")[0]["members"] == {"M": {"a-100": s("read"), "b-200": s("write")}}
    stage.cleanup()
    assert {item["principal_id"]["S"] for item in stage.scan(ACCESS)} == {"a-100", "b-200"}


def test_a_map_that_contradicts_what_was_done_is_refused(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    stage.migrate({ANN: "a-100"})
    for ids in ({ANN: "other"}, {BOB: "a-100"}):
        ended = stage.run("migrate", "plan", "--csv-file", stage.csv(ids))
        assert (ended.code, "correct the map" in ended.text) == (2, True), ended.text


def test_before_anything_is_applied_another_map_replaces_the_first(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN), access(BOB))
    stage.plan({ANN: "wrong"})
    document = stage.plan({BOB: "b-200"})
    assert document["users"]["in_map"] == 1
    assert [entry.users for entry in stage.entries()] == [(BOB,)]


# --- no change of ids -------------------------------------------------------------------------------------------------


def test_without_a_change_of_ids_nothing_is_moved_or_deleted(stage: Stage) -> None:
    stage.put(USERS, {"user_id": s(ANN), "email": s(ANN)}, {"user_id": s(BOB)})
    stage.put(ACCESS, access(ANN), access("a-100"))
    stage.put("lambda/cost-calculations", {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n(1)})
    stage.put("agent-loop/scheduled-tasks", {"user": s(ANN), "taskId": s("t"), "active": n(1)})
    stage.put("object-access/amplify-groups", {"group_id": s("g"), "members": {"M": {ANN: s("read")}}})
    before = stage.dump()
    ended = stage.run("migrate", "plan", "--no-id-change")
    assert (ended.code, ended.document["changes"], stage.entries()) == (0, 0, [])
    assert stage.run("migrate", "apply").code == stage.run("migrate", "verify").code == 0
    assert stage.run("cleanup", "apply").code == 0
    assert stage.dump() == before


def test_without_a_change_of_ids_content_moves_and_its_row_stays(stage: Stage) -> None:
    stage.create("lambda/user-data-storage")
    stage.bucket("lambda/consolidation")
    stage.put(USERS, {"user_id": s(ANN)})
    stage.put("lambda/", {"id": s(f"{ANN}/1"), "user": s(ANN), "settings": {"M": {"theme": s("dark")}}})
    doubled = "ann@example.edu#ann-example-edu-amplify-workflows#t"
    stage.put("lambda/user-data-storage", {"PK": s(doubled), "SK": s("1"), "UUID": s("u")})
    assert stage.run("migrate", "plan", "--no-id-change").document["changes"] == 2
    stage.apply()
    stage.verify()
    keys = {item["PK"]["S"] for item in stage.scan("lambda/user-data-storage")}
    assert f"{ANN}#amplify-workflows#t" in keys
    assert any("user-settings" in key for key in keys)
    assert len(stage.scan("lambda/")) == 1


# --- scopes -----------------------------------------------------------------------------------------------------------


def two_halves(stage: Stage) -> None:
    stage.create("lambda/user-data-storage")
    stage.bucket("lambda/consolidation")
    conversations, s3 = stage.bucket("lambda/user-conversations"), stage.aws.client("s3")
    s3.put_object(Bucket=conversations, Key=f"{ANN}/c1", Body=b"{}")
    stage.put("lambda/conversation-metadata", {
        "user_id": s(ANN), "conversation_id": s("c1"), "s3_key": s(f"{ANN}/c1"), "last_modified": n(1),
    })  # fmt: skip
    stage.put("lambda/", {"id": s(f"{ANN}/1"), "user": s(ANN), "settings": {"M": {"theme": s("dark")}}})
    stage.put(ACCESS, access(ANN))


def test_tables_then_buckets_end_as_one_run(stage: Stage) -> None:
    two_halves(stage)
    stage.migrate(MAP, "--only", "tables")
    assert {item["s3_key"]["S"] for item in stage.scan("lambda/conversation-metadata")} == {f"{ANN}/c1"}
    stage.migrate(MAP, "--only", "buckets")
    stage.cleanup()
    halves = stage.dump()
    stage.aws.reset()
    stage.keys.clear()
    two_halves(stage)
    plan = ["migrate", "plan", "--csv-file", stage.csv()]
    for words in (plan, ["migrate", "apply"], ["migrate", "verify"], ["cleanup", "apply"]):
        assert stage.run(*words, workspace="at once").code == 0
    at_once = stage.dump()
    for table in halves:
        assert halves[table].keys() == at_once[table].keys(), table
        if not table.endswith("user-data-storage"):  # its new rows carry the time of the plan
            assert halves[table] == at_once[table], table


def test_buckets_then_tables_end_with_the_new_ids(stage: Stage) -> None:
    two_halves(stage)
    stage.migrate(MAP, "--only", "buckets")
    stage.migrate(MAP, "--only", "tables")
    stage.migrate()
    stage.cleanup()
    assert stage.scan("lambda/conversation-metadata") == [
        {
            "user_id": s("a-100"),
            "conversation_id": s("c1"),
            "s3_key": s("conversations/a-100/c1"),
            "last_modified": n(1),
        }
    ]
    assert stage.scan("lambda/") == []


# --- cost -------------------------------------------------------------------------------------------------------------


def test_requests_and_units_do_not_grow_with_the_map(stage: Stage) -> None:
    for table in ("lambda/chat-usages", ACCESS):
        stage.create(table)
    for index in range(60):
        stage.put(
            "lambda/chat-usages", {"id": s(f"{index}"), "user": s(f"u{index % 6}@example.edu"), "text": s("x" * 200)}
        )
        stage.put(ACCESS, access(f"u{index % 6}@example.edu", f"o{index}"))
    seen = []
    for count in (6, 80):
        context = stage.context(f"of {count}")
        requests = requests_of(context)
        ids = {f"u{index}@example.edu": f"n-{index:03}" for index in range(count)}
        assert run(context, "migrate", "plan", "--csv-file", stage.csv(ids)).document["changes"] == 120
        assert requests.pop("BatchGetItem", 0) <= 2, "the look at the map's users, a hundred ids at a time"
        seen.append((dict(requests), context.account.costs.read_units))
    assert seen[0] == seen[1]
    assert seen[0][0]["Scan"] == 2
    assert seen[0][1] > 0


def test_small_tables_are_read_in_one_segment_and_large_ones_side_by_side() -> None:
    assert segments_for(0, 16) == segments_for(9 * 2**20, 16) == 1
    assert segments_for(10 * 2**20, 16) == 64
    assert segments_for(100 * 2**30, 4) == 100
    assert segments_for(2**60, 16) == 4096


def test_pages_of_several_segments_are_all_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(25):
        stage.put("lambda/chat-usages", {"id": s(f"{index}"), "user": s(ANN)})
    monkeypatch.setattr("wizard.migration.plan.segments_for", lambda size, workers: 3)
    context = stage.context()
    context.account.client("dynamodb").meta.events.register(
        "provide-client-params.dynamodb.Scan", lambda params, **_: params.update(Limit=4)
    )
    ended = run(context, "migrate", "plan", "--csv-file", stage.csv())
    assert (ended.document["scanned"], ended.document["changes"]) == ({stage.name("lambda/chat-usages"): 25}, 25)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "empty"),
        (["old,new", "a,b"], "header"),
        (["old_id,new_id"], "no row"),
        (["old_id,new_id", "a,"], "line 2"),
        (["old_id,new_id", "a,b", "a,c"], "line 3"),
        (["old_id,new_id", "a,x", "b,x"], "line 3"),
        (["old_id,new_id", "a,b", "b,c"], "line"),
        (["old_id,new_id", "a#b,c"], "line 2"),
        (["old_id,new_id", "a,b/c"], "line 2"),
        (["old_id,new_id", "a,b,c"], "line 2"),
    ],
)
def test_a_bad_map_is_exit_2_and_touches_nothing(stage: Stage, tmp_path: Path, lines: list[str], told: str) -> None:
    stage.put(ACCESS, access("a"))
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    context = stage.context()
    seen = requests_of(context)
    ended = run(context, "migrate", "plan", "--csv-file", str(path))
    assert (ended.code, writes(seen)) == (2, {})
    assert told in ended.text and "\n" not in ended.text
    assert not (stage.folder / "workspace" / "ledger.sqlite").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["migrate", "plan"],
        ["migrate", "plan", "--csv-file", "x", "--no-id-change"],
        ["migrate", "plan", "--csv-file", "/no/such/file.csv"],
        ["migrate", "plan", "--no-id-change", "--only", "nothing"],
        ["migrate", "show", "--state", "nowhere"],
        ["migrate", "resolve", "x", "--done", "--reason", "r"],
        ["migrate", "resolve", "1", "--reason", "r"],
        ["migrate", "resolve", "1", "--done"],
        ["migrate", "nothing"],
        ["unlock"],
    ],
)
def test_bad_words_are_exit_2(stage: Stage, words: list[str]) -> None:
    stage.put(ACCESS, access(ANN))
    before = stage.dump()
    ended = stage.run(*words)
    assert ended.code == 2, ended.text
    assert ended.text.endswith((".", "`.")) or "help" in ended.text
    assert stage.dump() == before


def test_only_and_bucket_that_contradict(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    ended = stage.run("migrate", "plan", "--csv-file", stage.csv(), "--only", "tables", "--bucket", "all")
    assert ended.code == 2
