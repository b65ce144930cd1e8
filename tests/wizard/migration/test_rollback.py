"""Rollback puts everything back as it was, bit for bit, and leaves what a service has changed since."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.wizard.faults import deny
from tests.wizard.migration.stage import ANN, BOB, EVE, MAP, Item, Killed, Stage, before, die_once_answered, n, run, s
from tests.wizard.sandbox.other_deployment import DEPLOYMENT, build
from tests.wizard.sandbox.other_deployment import MAP as OTHER_MAP
from wizard.migration.ledger import Ledger
from wizard.text import total

ACCESS, CHATS, TASKS = "object-access/object-access", "lambda/chat-usages", "agent-loop/scheduled-tasks"
COSTS, HISTORY, USERS = "lambda/cost-calculations", "lambda/history-cost-calculations", "object-access/cognito-users"
WORKFLOWS, METADATA = "agent-loop/workflow-registry", "lambda/conversation-metadata"
CHANGED = "a service has changed it since; it is left as it is"
GROUPS, ACCOUNTS, OAUTH = "object-access/amplify-groups", "lambda/accounts", "assistants-api/user-oauth-integrations"


def access(user: str, level: str = "read") -> Item:
    return {"object_id": s("o"), "principal_id": s(user), "permission_level": s(level)}


def back(stage: Stage, code: int = 0) -> dict[str, Any]:
    ended = stage.run("rollback")
    assert ended.code == code, ended.text
    return ended.document


def runs_of(stage: Stage) -> list[tuple[str, int]]:
    with Ledger(stage.folder / "workspace" / "ledger.sqlite", writable=False) as ledger:
        return [(run["step"], run["code"]) for run in ledger.runs() if run["step"] != "6b"]


@pytest.fixture
def full(stage: Stage) -> Stage:
    """Every way in which an item changes: copied, merged, in place, summed, deactivated, filled."""
    stage.put(ACCESS, access(ANN, "owner"), access(BOB), access("a-100"), access(EVE))
    stage.put(CHATS, {"id": s("1"), "user": s(ANN), "cost": n("1.50")}, {"id": s("2"), "user": s(EVE)})
    stage.put(
        TASKS, {"user": s(ANN), "taskId": s("t"), "active": n(1)}, {"user": s(BOB), "taskId": s("t"), "active": n(0)}
    )
    stage.put(COSTS, {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n("0.1"), "extra": s("x")})
    stage.put(COSTS, {"id": s("a-100"), "accountInfo": s("c"), "dailyCost": n("0.2")})
    stage.put(COSTS, {"id": s(BOB), "accountInfo": s("c"), "dailyCost": n("0.2")})
    stage.put(HISTORY, {"userDate": s(f"{ANN}#2024-01"), "accountInfo": s("c"), "dailyCost": n(1)})
    stage.put(HISTORY, {"userDate": s("a-100#2024-01"), "accountInfo": s("c"), "dailyCost": n(2)})
    stage.put(USERS, {"user_id": s(ANN), "given_name": s("A")}, {"user_id": s("a-100"), "email": s(ANN)})
    stage.put(GROUPS, {"group_id": s("g"), "createdBy": s(ANN), "members": {"M": {ANN: s("admin"), EVE: s("read")}}})
    stage.put("lambda/hash-files", {"id": s(f"{ANN}/2024/f.json"), "hash": s("h")})
    stage.put("agent-loop/workflow-registry", {"user": s(ANN), "templateId": s("t"), "isPublic": {"BOOL": True}})
    return stage


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_plan_that_was_rolled_back_is_not_applied_as_if_nothing_were_left(full: Stage, words: tuple[str]) -> None:
    full.plan()
    full.apply()
    back(full)
    ended = full.run("migrate", "apply", *words)
    assert ended.code == 3 and "rolled back" in ended.text and "migrate plan" in ended.text
    full.plan()
    assert full.run("migrate", "apply", *words).code == 0


def test_it_restores_everything_bit_for_bit(full: Stage) -> None:
    seeded = full.dump()
    full.plan()
    full.apply()
    assert full.dump() != seeded
    document = back(full)
    assert document["left"] == []
    assert full.dump() == seeded
    assert {entry.state for entry in full.entries()} == {"rolled back"}
    assert "under old ids again, as all was rolled back: plan and apply again" in full.run("migrate", "verify").text


def test_it_restores_after_verify_and_mark(full: Stage) -> None:
    seeded = full.dump()
    full.migrate()
    assert full.run("cleanup", "mark").code == 0
    assert full.dump() != seeded
    back(full)
    assert full.dump() == seeded


def test_a_second_migration_after_it_ends_as_the_first(full: Stage) -> None:
    full.migrate()
    migrated = full.dump()
    back(full)
    full.migrate()
    assert full.dump() == migrated
    back(full)
    full.migrate()
    full.cleanup()


def test_a_second_rollback_does_nothing(full: Stage) -> None:
    full.plan()
    full.apply()
    back(full)
    assert back(full)["total"] == 0


def test_a_whole_other_deployment_comes_back(aws: Any, tmp_path: Any) -> None:
    build(aws)
    stage = Stage(aws, tmp_path, DEPLOYMENT)
    seeded = stage.dump()
    stage.migrate(OTHER_MAP)
    back(stage)
    assert stage.dump() == seeded


def test_what_a_service_changed_since_is_left_and_listed(full: Stage) -> None:
    full.plan()
    full.apply()
    full.set(ACCESS, ("o", "b-200"), permission_level=s("owner"))
    full.set(CHATS, ("1",), user=s("third"))
    full.put(ACCESS, {"object_id": s("new"), "principal_id": s("a-100")})
    full.put(CHATS, {"id": s("9"), "user": s("b-200")})
    document = back(full, 1)
    assert document["left_total"] == 2
    # What services wrote under new ids is named; what stood there before the plan is known to it and is not.
    new = document["under_new_ids"]
    assert new["tables"] == {full.name(ACCESS): 1, full.name(CHATS): 1}
    assert [one.split(": ")[0] for one in new["items"]] == sorted(new["tables"], reverse=True)
    assert (new["count"], new["unread"], full.get(CHATS, "9")) == (2, [], {"id": s("9"), "user": s("b-200")})
    assert {one["why"] for one in document["left"]} == {"a service has changed it since; it is left as it is"}
    assert full.get(ACCESS, "o", "b-200") == access("b-200", "owner")
    assert full.get(CHATS, "1") == {"id": s("1"), "user": s("third"), "cost": n("1.50")}
    assert full.get(ACCESS, "o", BOB) == access(BOB), "the old one stands all the same"
    for one in document["left"]:  # the operator has seen to it
        assert full.run("migrate", "resolve", str(one["id"]), "--skip", "--reason", "it is theirs").code == 0
    assert back(full)["left_total"] == 0
    full.migrate()  # and nothing of it is forgotten
    assert full.get(ACCESS, "o", "b-200") == access("b-200", "owner")
    assert full.get(CHATS, "1") == {"id": s("1"), "user": s("third"), "cost": n("1.50")}


def test_of_an_item_changed_in_place_what_is_still_ours_is_put_back(stage: Stage) -> None:
    """Attribute by attribute: of a map that a service has changed nothing is put back, and the rest of the item is."""
    groups = "object-access/amplify-groups"
    members = {ANN: s("admin"), BOB: s("read"), EVE: s("read")}
    stage.put(groups, {"group_id": s("g"), "createdBy": s(ANN), "members": {"M": members}})
    stage.plan()
    stage.apply()
    new = {"a-100": s("write"), "b-200": s("read"), EVE: s("read")}
    stage.set(groups, ("g",), members={"M": new})
    for _ in range(2):
        document = back(stage, 1)
        assert [one["why"] for one in document["left"]] == [
            "a service has changed members since, which is left as it is"
        ]
        assert stage.get(groups, "g") == {"group_id": s("g"), "createdBy": s(ANN), "members": {"M": new}}
    stage.set(groups, ("g",), members={"M": {**new, "a-100": s("admin")}})
    back(stage)
    assert stage.get(groups, "g") == {"group_id": s("g"), "createdBy": s(ANN), "members": {"M": members}}


def test_other_attributes_that_a_service_wrote_stay(full: Stage) -> None:
    full.plan()
    full.apply()
    full.set(CHATS, ("1",), cost=n(9))
    full.set(GROUPS, ("g",), groupName=s("G"))
    back(full)
    assert full.get(CHATS, "1") == {"id": s("1"), "user": s(ANN), "cost": n(9)}
    group = full.get(GROUPS, "g")
    assert group is not None
    assert (group["members"], group["groupName"]) == ({"M": {ANN: s("admin"), EVE: s("read")}}, s("G"))


def test_a_sum_that_grew_since_is_left(full: Stage) -> None:
    full.plan()
    full.apply()
    full.set(COSTS, ("a-100", "c"), dailyCost=n(99))
    back(full, 1)
    assert full.get(COSTS, "a-100", "c") == {
        "id": s("a-100"),
        "accountInfo": s("c"),
        "dailyCost": n(99),
        "extra": s("x"),
    }
    assert full.get(COSTS, ANN, "c") is None, "put back, it would be counted twice"


def test_the_only_item_left_is_never_deleted(full: Stage) -> None:
    full.plan()
    full.apply()
    full.delete(ACCESS, "o", BOB)
    document = back(full, 1)
    assert [one["why"] for one in document["left"]] == ["the old one is gone; the new one is left"]
    assert full.get(ACCESS, "o", "b-200") == access("b-200")
    full.delete(ACCESS, "o", "b-200")
    assert [one["why"] for one in back(full, 1)["left"]] == ["both the old one and the new one are gone"]


def test_after_a_cleanup_it_refuses_and_points_to_the_backups_from_before_the_apply(full: Stage) -> None:
    """One table has point-in-time recovery from the start, one an on-demand backup; a later one takes no one's place."""
    recovery = {"PointInTimeRecoveryEnabled": True}
    full.db.update_continuous_backups(TableName=full.name(ACCESS), PointInTimeRecoverySpecification=recovery)
    full.plan()
    assert full.run("backup", "create", "--on-demand", "--table", full.name(USERS)).code == 0
    (backup,) = full.db.list_backups(TableName=full.name(USERS))["BackupSummaries"]
    full.migrate()
    assert full.run("backup", "create", "--on-demand", "--table", full.name(USERS)).code == 0
    assert len(full.db.list_backups(TableName=full.name(USERS))["BackupSummaries"]) == 2
    full.cleanup()
    cleaned = full.dump()
    ended = full.run("rollback")
    assert ended.code == 3
    assert re.search(rf"{backup['BackupArn']}, of 20[^ ;]*: {full.name(USERS)}", ended.text)
    assert re.search(rf"point-in-time recovery, restorable to 20[^;]* UTC: {full.name(ACCESS)}", ended.text)
    assert re.search(r"the first apply began at 20\d\d-\d\d-\d\dT", ended.text)
    assert full.dump() == cleaned


def test_cancelled_and_taken_up(full: Stage) -> None:
    seeded = full.dump()
    full.plan()
    full.apply()
    context = full.context()
    before(context, "DeleteItem", lambda _: context.control.cancel())
    assert run(context, "rollback").code == 130
    assert "rolled back" in {entry.state for entry in full.entries()}, "what was undone is recorded"
    assert runs_of(full)[1:] == [("rollback", 130)]
    # Everything is undone and recorded, when the search under new ids is stopped or finds no map.
    context = full.context()
    before(context, "Scan", lambda _: context.control.cancel())
    assert run(context, "rollback").code == 130
    assert full.dump() == seeded
    assert runs_of(full)[2:] == [("rollback", 0)]
    (full.folder / "workspace" / "users.csv").unlink()
    (full.folder / "workspace" / "users.csv").mkdir()
    (unread,) = back(full)["under_new_ids"]["unread"]
    assert "users.csv" in unread


def test_secrets_come_back_although_the_ledger_has_none(stage: Stage) -> None:
    def tokens(**members: str) -> Item:
        return {"M": {name: s(value) for name, value in members.items()}}

    stage.put(
        OAUTH,
        {"user_integration": s(f"{ANN}/google"), "integrations": tokens(drive="hidden-1"), "last_updated": s("1")},
    )
    stage.put(
        OAUTH, {"user_integration": s("a-100/google"), "integrations": tokens(mail="hidden-2"), "last_updated": s("2")}
    )
    seeded = stage.dump()
    stage.migrate()
    merged = stage.get(OAUTH, "a-100/google")
    assert merged is not None
    assert merged["integrations"] == tokens(drive="hidden-1", mail="hidden-2")
    back(stage)
    assert stage.dump() == seeded
    assert b"hidden" not in (stage.folder / "workspace" / "ledger.sqlite").read_bytes()


def test_a_secret_that_was_replaced_cannot_come_back_and_is_listed(stage: Stage) -> None:
    def row(user: str, token: str, at: str) -> Item:
        return {
            "user_integration": s(f"{user}/google"),
            "integrations": {"M": {"drive": s(token)}},
            "last_updated": s(at),
        }

    stage.put(OAUTH, row(ANN, "newer", "2"), row("a-100", "older", "1"))
    stage.migrate()
    looked, ended = stage.run("rollback", "--dry-run").document, stage.run("rollback")
    assert (ended.code, ended.document["left"]) == (1, looked["left"])
    assert "integrations before is secret" in ended.document["left"][0]["why"]
    assert stage.get(OAUTH, "a-100/google") == row("a-100", "newer", "1")
    (entry,) = stage.entries()
    assert stage.run("migrate", "resolve", str(entry.id), "--skip", "--reason", "connected again").code == 0
    assert stage.run("rollback").code == 0


def test_content_and_objects_go_again(stage: Stage) -> None:
    stage.create("lambda/user-data-storage")
    consolidation, share = stage.bucket("lambda/consolidation"), stage.bucket("lambda/share")
    key = f"{ANN}/{BOB}/2024-01-31/1.json"
    stage.aws.client("s3").put_object(Bucket=share, Key=key, Body=b"{}")
    received = {"M": {"sharedBy": s(BOB), "sharedAt": n(1), "key": s(key), "note": s("")}}
    stage.put(
        "lambda/", {"id": s(f"{ANN}/1"), "user": s(ANN), "data": {"L": [received]}, "settings": {"M": {"a": n(1)}}}
    )
    seeded = stage.dump()
    stage.migrate(MAP)
    assert len(stage.scan("lambda/user-data-storage")) == 2
    assert stage.run("cleanup", "mark").document["total"] == 1
    back(stage)
    assert stage.dump() == seeded
    assert stage.aws.client("s3").list_objects_v2(Bucket=consolidation)["KeyCount"] == 0
    assert stage.aws.client("s3").list_objects_v2(Bucket=share)["KeyCount"] == 1


def test_a_copy_whose_original_is_gone_or_changed_is_left_and_so_is_the_pointer_to_it(stage: Stage) -> None:
    """Rows of shares, the object of a template, an object that was copied: what rollback deletes must stand elsewhere."""
    stage.create("lambda/user-data-storage")
    new, templates, files = map(stage.bucket, ("lambda/consolidation", "agent-loop/workflow-templates", "lambda/share"))
    s3 = stage.aws.client("s3")
    for name in ("gone", "there"):
        s3.put_object(Bucket=templates, Key=f"{ANN}/{name}.json", Body=b'{"template": {"a": 1}}')
        stage.put(WORKFLOWS, {"user": s(ANN), "templateId": s(name), "s3Key": s(f"{ANN}/{name}.json")})
    for number, (user, shared) in enumerate({ANN: BOB, BOB: ANN, EVE: ANN}.items()):
        key = f"{user}/{shared}/2024-01-31/{number}.json"
        s3.put_object(Bucket=files, Key=key, Body=b"{}")
        received = {"M": {"sharedBy": s(shared), "sharedAt": n(1), "key": s(key), "note": s("")}}
        stage.put(
            "lambda/", {"id": s(user), "user": s(user), "data": {"L": [received]}, "settings": {"M": {"a": n(1)}}}
        )
    stage.migrate({ANN: "a-100", BOB: "b-200", EVE: "e-300"})
    stage.delete("lambda/", ANN)
    stage.set("lambda/", (BOB,), settings={"M": {"a": n(2)}})
    s3.delete_object(Bucket=templates, Key=f"{ANN}/gone.json")
    s3.delete_object(Bucket=files, Key=f"{EVE}/{ANN}/2024-01-31/2.json")
    stored = stage.dump()
    looked = stage.run("rollback", "--dry-run")
    left = looked.document["left"]
    assert looked.code == 0, "what would be left is a finding"
    assert stage.dump() == stored
    document = back(stage, 1)
    assert sorted((one["id"], one["why"]) for one in document["left"]) == sorted(
        (one["id"], one["why"]) for one in left
    )
    gone, changed = (
        "the old one is gone; the new one is left",
        "the old one was changed since it was copied; the new one is left",
    )
    assert sorted((one["action"], one["users"][0], one["why"]) for one in document["left"]) == [
        ("copy", ANN, "a row that is left leads to it; it is left as well"),
        ("copy", ANN, gone), ("copy", EVE, "the source is gone"),
        ("settings", ANN, gone), ("settings", BOB, changed),
        ("shares", ANN, gone), ("shares", EVE, gone),
        ("workflows", ANN, gone),
    ]  # fmt: skip
    rows = [f"{item['PK']['S']} {item['SK']['S']}" for item in stage.scan("lambda/user-data-storage")]
    assert len(rows) == 5, rows
    assert "s3Key" not in (stage.get(WORKFLOWS, "a-100", "gone") or {"s3Key": ""})
    assert stage.get(WORKFLOWS, "a-100", "there") is None
    assert s3.list_objects_v2(Bucket=new)["KeyCount"] == 2
    stage.db.delete_table(TableName=stage.name("lambda/"))
    assert back(stage, 1)["left_total"] >= 7
    assert len(stage.scan("lambda/user-data-storage")) == 5


def test_old_rows_of_user_storage_in_whatever_spelling_are_not_told_of_as_standing_under_new_ids(stage: Stage) -> None:
    stage.create("lambda/user-data-storage")
    for user, app in (("o'neil", "amplify-workflows"), ("o-neil", "o-neil-amplify-workflows")):
        home = f"{user}#{app}"
        stage.put("lambda-basic-ops/user-storage", {"PK": s(f"{home}#t"), "SK": s("1"), "appId": s(home)})
    stage.plan({"o'neil": "n-300"})
    stage.apply()
    ended = stage.run("rollback")
    assert (ended.code, ended.document["under_new_ids"]["items"]) == (0, [])


@pytest.mark.parametrize("operation", ["TransactWriteItems", "DeleteItem"])
def test_a_sum_beside_which_a_service_went_on_is_taken_back_once_whenever_the_rollback_is_killed(
    stage: Stage, operation: str
) -> None:
    old = {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n("0.5")}
    stage.put(COSTS, old)
    stage.migrate()
    stage.put(COSTS, {**old, "dailyCost": n("0.07")})
    context = stage.context()
    die_once_answered(context, operation)
    with pytest.raises(Killed):
        run(context, "rollback")
    assert back(stage)["left"] == []
    assert stage.scan(COSTS) == [{**old, "dailyCost": n("0.57")}]


def test_of_two_sums_of_one_row_the_earlier_one_is_never_lost_in_undoing_the_later(stage: Stage) -> None:
    old = {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n("0.5")}
    stage.put(COSTS, old)
    stage.migrate()
    stage.delete(COSTS, "a-100", "c")  # by whomever
    stage.put(COSTS, {**old, "dailyCost": n("0.3")})
    stage.verify(1)
    stage.plan()
    stage.apply()
    left = back(stage, 1)["left"]
    assert stage.scan(COSTS) == [{**old, "dailyCost": n("0.3")}]
    (first,) = (entry for entry in stage.entries() if entry.id == left[0]["id"])
    assert first.removed == old


def test_what_cannot_be_undone_because_its_table_is_gone_is_taken_off_the_list_by_the_operator(stage: Stage) -> None:
    old = "lambda-basic-ops/user-storage"
    stage.create("lambda/user-data-storage")
    stage.put(old, {"PK": s(f"{ANN}#app#e"), "SK": s("1"), "appId": s(f"{ANN}#app"), "entityType": s("e")})
    stage.migrate()
    stage.db.delete_table(TableName=stage.name(old))
    ended = stage.run("rollback")
    (left,) = ended.document["left"]
    assert (ended.code, total(ended.text)) == (1, ""), "what to do with it is not what it came to"
    assert stage.run("migrate", "resolve", str(left["id"]), "--skip", "--reason", "it went with its stack").code == 0
    back(stage)
    assert len(stage.scan("lambda/user-data-storage")) == 1


@pytest.fixture
def pointing(stage: Stage) -> Stage:
    """A template and a conversation, and the rows that lead to them."""
    stage.create("lambda/user-data-storage")
    s3, chats = stage.aws.client("s3"), f"{ANN}/c1"
    stage.bucket("lambda/consolidation")
    s3.put_object(Bucket=stage.bucket("agent-loop/workflow-templates"), Key=f"{ANN}/t.json", Body=b'{"a": 1}')
    s3.put_object(Bucket=stage.bucket("lambda/user-conversations"), Key=chats, Body=b"{}")
    stage.put(WORKFLOWS, {"user": s(ANN), "templateId": s("t"), "s3Key": s(f"{ANN}/t.json"), "isPublic": n(0)})
    stage.put(METADATA, {"user_id": s(ANN), "conversation_id": s("c1"), "s3_key": s(chats)})
    return stage


def made(stage: Stage) -> tuple[int, int]:
    """How many rows of user storage and objects of the consolidation bucket there are."""
    found = stage.aws.client("s3").list_objects_v2(Bucket=stage.bucket("lambda/consolidation"))
    return len(stage.scan("lambda/user-data-storage")), found["KeyCount"]


@pytest.mark.parametrize("again", [False, True])
def test_what_a_row_that_is_left_leads_to_is_left_as_well(stage: Stage, again: bool) -> None:
    """A user who saved an artifact since has all of his in one list, which keeps the new keys.

    `again`: what the services changed is taken back, and another rollback undoes the whole.
    """
    stage.create("lambda/user-data-storage")
    stage.bucket("lambda/consolidation")
    files, sessions = stage.bucket("artifacts/bucket"), stage.bucket("agent-loop/agent-state")
    s3, listed, states = stage.aws.client("s3"), "artifacts/user-artifacts", "agent-loop/agent-state"
    for user in (ANN, BOB):
        key, session = f"{user}/20250301/Game:v1", f"{user}/s/agent_state.json"
        s3.put_object(Bucket=files, Key=key, Body=b'{"a": 1}')
        s3.put_object(Bucket=sessions, Key=session, Body=b"{}")
        stage.put(listed, {"user_id": s(user), "artifacts": {"L": [{"M": {"key": s(key)}}]}})
        memory = {"M": {"bucket": s(sessions), "key": s(session)}}
        stage.put(states, {"user": s(user), "sessionId": s("s"), "memory": memory, "state": s("1")})
    seeded = stage.dump()
    stage.migrate({ANN: ANN, BOB: "b-200"})
    (row,) = (one for one in stage.scan(listed) if one["user_id"] == s(ANN))
    stage.put(listed, {**row, "artifacts": {"L": [*row["artifacts"]["L"], {"M": {"key": s("20260101/New:v1")}}]}})
    stage.set(states, ("b-200", "s"), state=s("2"))
    looked = stage.run("rollback", "--dry-run").document["left"]
    document = back(stage, 1)
    assert {(one["id"], one["why"]) for one in looked} == {(one["id"], one["why"]) for one in document["left"]}
    led = "a row that is left leads to it; it is left as well"
    assert {(one["row"], one["kind"], one["why"]) for one in document["left"]} == {
        ("ARTIFACTS_DYNAMODB_TABLE", "item", CHANGED), ("ARTIFACTS_DYNAMODB_TABLE", "content", led),
        ("AGENT_STATE_DYNAMODB_TABLE", "item", CHANGED), ("AGENT_STATE_BUCKET", "object", led),
    }  # fmt: skip
    assert [one["SK"] for one in stage.scan("lambda/user-data-storage")] == [s("20250301/Game:v1")]
    if again:
        stage.put(listed, row)
        stage.set(states, ("b-200", "s"), state=s("1"))
        back(stage)
        assert stage.dump() == seeded
        return
    for one in document["left"][:1]:  # seen to by the operator, what it leads to stays all the same
        assert stage.run("migrate", "resolve", str(one["id"]), "--skip", "--reason", "it is right").code == 0
    assert [one["id"] for one in back(stage, 1)["left"]] == [one["id"] for one in document["left"][1:]]
    for one in document["left"][1:]:
        assert stage.run("migrate", "resolve", str(one["id"]), "--skip", "--reason", "it is right").code == 0
    back(stage)
    assert stage.dump()[stage.name(states)].items() >= seeded[stage.name(states)].items()
    stage.migrate({ANN: ANN, BOB: "b-200"})


def test_what_a_row_leads_to_goes_with_the_row_that_could_not_be_undone_at_once(pointing: Stage) -> None:
    seeded = pointing.dump()
    pointing.migrate()
    context = pointing.context()
    deny(context.account, "dynamodb", "DeleteItem")
    left = run(context, "rollback").document["left"]
    assert len(left) == 4 and all("not undone yet" in one["why"] or "leads to it" in one["why"] for one in left)
    back(pointing)
    assert pointing.dump() == seeded and made(pointing) == (0, 0)


def test_what_a_deleted_row_led_to_is_undone(pointing: Stage) -> None:
    pointing.migrate()
    for table, key in (WORKFLOWS, "t"), (METADATA, "c1"):
        pointing.delete(table, "a-100", key)
    back(pointing)
    assert made(pointing) == (0, 0)


def test_what_a_row_leads_to_is_left_with_it_also_by_the_run_that_goes_on_after_a_kill(pointing: Stage) -> None:
    pointing.put(CHATS, {"id": s("1"), "user": s(ANN)})
    pointing.put(ACCESS, access(ANN))
    pointing.migrate()
    pointing.set(WORKFLOWS, ("a-100", "t"), name=s("renamed"))
    pointing.set(METADATA, ("a-100", "c1"), name=s("renamed"))
    context = pointing.context()
    die_once_answered(context, "DeleteItem")
    with pytest.raises(Killed):
        run(context, "rollback")
    assert len(back(pointing, 1)["left"]) == 4 and made(pointing) == (1, 1)
