"""Apply: exactly what is planned, on condition of what is read; what changed meanwhile is carried along or listed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from tests.wizard.migration.stage import ANN, BOB, EVE, MAP, Item, Stage, before, n, requests_of, run, s, writes
from wizard.errors import MigrateError
from wizard.migration import apply as applying
from wizard.migration.entry import Entry

USERS, ACCESS, GROUPS = "object-access/cognito-users", "object-access/object-access", "object-access/amplify-groups"
CHATS, ACCOUNTS, TASKS = "lambda/chat-usages", "lambda/accounts", "agent-loop/scheduled-tasks"
COSTS, HISTORY = "lambda/cost-calculations", "lambda/history-cost-calculations"
OLD_STORAGE, STORAGE = "lambda-basic-ops/user-storage", "lambda/user-data-storage"


def access(user: str, level: str = "read", **more: Item) -> Item:
    return {"object_id": s("o1"), "principal_id": s(user), "permission_level": s(level), **more}


def only(stage: Stage, state: str) -> Entry:
    (entry,) = stage.entries("workspace", state)
    return entry


# --- what a row does besides mapping ------------------------------------------------------------------------------------


def test_an_identity_gets_its_email_and_an_existing_one_keeps_what_is_richer(stage: Stage) -> None:
    stage.put(
        USERS, {"user_id": s(ANN), "given_name": s("Ann")}, {"user_id": s(BOB), "old": n(1), "given_name": s("B")}
    )
    stage.put(USERS, {"user_id": s("b-200"), "given_name": s("Robert"), "email": s(BOB)})
    stage.migrate()
    assert stage.get(USERS, "a-100") == {"user_id": s("a-100"), "given_name": s("Ann"), "email": s(ANN)}
    assert stage.get(USERS, "b-200") == {
        "user_id": s("b-200"), "given_name": s("Robert"), "email": s(BOB), "old": n(1),
    }  # fmt: skip
    assert stage.get(USERS, ANN) == {"user_id": s(ANN), "given_name": s("Ann")}


def test_what_a_service_adds_to_costs_while_they_are_moved_is_moved_too(stage: Stage) -> None:
    """No condition can name an attribute that nobody knows, and a transaction does not tell what it deletes."""
    stage.put(COSTS, {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n("0.1")})
    stage.plan()
    context = stage.context()
    at_once = {"monthlyCost": n(5), "record_type": s("cost")}
    before(context, "TransactWriteItems", lambda _: stage.set(COSTS, (ANN, "c"), **at_once))
    before(context, "DeleteItem", lambda _: stage.set(COSTS, (ANN, "c"), later=s("x"), dailyCost=n(2)))
    assert run(context, "migrate", "apply").code == 0
    stage.migrate()
    moved = {"id": s("a-100"), "accountInfo": s("c"), "dailyCost": n("2.1"), **at_once, "later": s("x")}
    assert stage.scan(COSTS) == [moved]
    context = stage.context()
    before(context, "TransactWriteItems", lambda _: stage.set(COSTS, ("a-100", "c"), last=s("y")))
    assert run(context, "rollback").code == 1  # the new row is not as the second sum left it
    rows = stage.scan(COSTS)
    assert sum(Decimal(row["dailyCost"]["N"]) for row in rows) == Decimal("2.1")
    assert {"later", "last", "monthlyCost", "record_type"} <= {name for row in rows for name in row}


def test_cost_rows_are_summed_and_removed_once(stage: Stage) -> None:
    hours = {"L": [n("0.1")] * 24}
    stage.put(
        COSTS, {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n("0.1"), "monthlyCost": n(5), "hourlyCost": hours}
    )
    stage.put(
        COSTS,
        {"id": s("a-100"), "accountInfo": s("c"), "dailyCost": n("0.2"), "monthlyCost": n(1), "hourlyCost": hours},
    )
    stage.put(COSTS, {"id": s(BOB), "accountInfo": s(f"c#{BOB}/ownerKey/1"), "dailyCost": n("12.50")})
    stage.migrate()
    summed = {
        "id": s("a-100"), "accountInfo": s("c"), "dailyCost": n("0.3"), "monthlyCost": n(6), "hourlyCost": {"L": [n("0.2")] * 24},
    }  # fmt: skip
    moved = {"id": s("b-200"), "accountInfo": s(f"c#{BOB}/ownerKey/1"), "dailyCost": n("12.50")}
    assert sorted(stage.scan(COSTS), key=str) == sorted([summed, moved], key=str)
    assert stage.plan()["changes"] == 0
    stage.apply()
    assert stage.get(COSTS, "a-100", "c") == summed, "a second run adds nothing"


def test_history_is_copied_and_summed_only_where_both_exist(stage: Stage) -> None:
    for user, cost in ((ANN, "0.1"), ("a-100", "0.2"), (BOB, "1")):
        stage.put(HISTORY, {"userDate": s(f"{user}#2024-01-31"), "accountInfo": s("c"), "dailyCost": n(cost)})
    stage.migrate()
    costs = {item["userDate"]["S"]: item["dailyCost"] for item in stage.scan(HISTORY)}
    assert costs == {"a-100#2024-01-31": n("0.3"), f"{BOB}#2024-01-31": n(1), "b-200#2024-01-31": n(1)}
    stage.cleanup()
    assert {item["userDate"]["S"] for item in stage.scan(HISTORY)} == {"a-100#2024-01-31", "b-200#2024-01-31"}
    assert stage.plan()["changes"] == 0


def test_a_task_never_runs_twice(stage: Stage) -> None:
    stage.put(
        TASKS, {"user": s(ANN), "taskId": s("t"), "active": n(1)}, {"user": s(BOB), "taskId": s("t"), "active": n(0)}
    )
    context = stage.context()
    active: list[int] = []
    client = context.account.client("dynamodb")
    client.meta.events.register(
        "after-call.dynamodb.TransactWriteItems",
        lambda **_: active.append(sum(item["active"] == n(1) for item in stage.scan(TASKS))),
    )
    stage.plan()
    assert run(context, "migrate", "apply").code == 0
    assert active == [1]
    assert {(item["user"]["S"], item["active"]["N"]) for item in stage.scan(TASKS)} == {
        (ANN, "0"), ("a-100", "1"), (BOB, "0"), ("b-200", "0"),
    }  # fmt: skip


def test_public_templates_are_numbers(stage: Stage) -> None:
    stage.put("agent-loop/workflow-registry", {"user": s(ANN), "templateId": s("t"), "isPublic": {"BOOL": True}})
    stage.put("agent-loop/workflow-registry", {"user": s(EVE), "templateId": s("t"), "isPublic": {"BOOL": True}})
    stage.migrate()
    found = {item["user"]["S"]: item["isPublic"] for item in stage.scan("agent-loop/workflow-registry")}
    assert found == {ANN: {"BOOL": True}, "a-100": n(1), EVE: {"BOOL": True}}


def test_accounts_are_united_with_one_default(stage: Stage) -> None:
    def account(id_: str) -> Item:
        return {"M": {"id": s(id_), "isDefault": {"BOOL": True}}}

    stage.put(ACCOUNTS, {"user": s(ANN), "accounts": {"L": [account("1"), account("2")]}})
    stage.put(ACCOUNTS, {"user": s("a-100"), "accounts": {"L": [account("2"), account("3")]}})
    stage.migrate()
    merged = stage.get(ACCOUNTS, "a-100")
    assert merged is not None
    members = [(one["M"]["id"]["S"], one["M"]["isDefault"]["BOOL"]) for one in merged["accounts"]["L"]]
    assert members == [("2", True), ("3", False), ("1", False)]
    stage.cleanup()
    assert stage.get(ACCOUNTS, ANN) is None


def test_types_survive_the_way(stage: Stage) -> None:
    item = {
        "user": s(ANN), "tags": {"SS": ["b", "a"]}, "num": n("12345678901234567890123456789012345678"),
        "bin": {"B": b"\0\xff"}, "null": {"NULL": True}, "empty": s(""), "ns": {"NS": ["1", "2.5"]}, "bs": {"BS": [b"\1"]},
        "deep": {"L": [{"M": {"a.b": n(1)}}]}, "size": s("reserved"), "#x": s(":y"),
    }  # fmt: skip
    stage.put("lambda/user-tags", item)
    stage.migrate()
    copied = stage.get("lambda/user-tags", "a-100")
    assert copied is not None
    assert {**copied, "tags": {"SS": sorted(copied["tags"]["SS"], reverse=True)}} == {**item, "user": s("a-100")}


def test_odd_attribute_names_on_the_way_of_an_update(stage: Stage) -> None:
    item = {
        "id": s("1"),
        "user": s(ANN),
        "size": s("x"),
        "a.b": n(1),
        ":v": n(2),
        "#n0": n(3),
        "status": {"M": {"user": s(ANN)}},
    }
    stage.put(CHATS, item)
    stage.migrate()
    assert stage.scan(CHATS) == [{**item, "user": s("a-100")}]


def test_old_user_storage_is_copied_in_all_its_spellings(stage: Stage) -> None:
    plain, doubled = f"{ANN}#amplify-workflows", f"{ANN}#ann-example-edu-amplify-workflows"
    stage.create(STORAGE)
    for app, sort, created in ((plain, "1", 1), (doubled, "2", 1), (plain, "3", 1), (doubled, "3", 2)):
        key = {"PK": s(f"{app}#t"), "SK": s(sort), "appId": s(app)}
        stage.put(OLD_STORAGE, {**key, "UUID": s(f"{sort}{created}"), "createdAt": n(created)})
    stage.put(
        OLD_STORAGE, {"PK": s(f"{EVE}#x#t"), "SK": s("1"), "appId": s(f"{EVE}#x"), "UUID": s("e"), "createdAt": n(1)}
    )
    before_ = stage.dump()
    stage.migrate()
    found = {(item["PK"]["S"], item["SK"]["S"]): item["UUID"]["S"] for item in stage.scan(STORAGE)}
    assert found == {
        ("a-100#amplify-workflows#t", "1"): "11", ("a-100#amplify-workflows#t", "2"): "21",
        ("a-100#amplify-workflows#t", "3"): "32", (f"{EVE}#x#t", "1"): "e",
    }  # fmt: skip
    assert stage.plan()["changes"] == 0
    stage.cleanup()
    assert stage.dump()[stage.name(OLD_STORAGE)] == before_[stage.name(OLD_STORAGE)]


def test_a_newer_row_in_the_new_storage_is_never_overwritten(stage: Stage) -> None:
    def row(user: str, uuid: str, created: int) -> Item:
        return {"PK": s(f"{user}#x#t"), "SK": s("1"), "appId": s(f"{user}#x"), "UUID": s(uuid), "createdAt": n(created)}

    stage.put(OLD_STORAGE, row(ANN, "old", 1), row(BOB, "newer", 9))
    stage.put(STORAGE, row("a-100", "newest", 5), row("b-200", "older", 5))
    document = stage.plan()
    assert document["kept"] == 1
    stage.apply()
    stage.verify()
    assert {item["PK"]["S"]: item["UUID"]["S"] for item in stage.scan(STORAGE)} == {
        "a-100#x#t": "newest",
        "b-200#x#t": "newer",
    }


# --- what changed between plan and apply ------------------------------------------------------------------------------


def test_a_service_changes_a_planned_path(stage: Stage) -> None:
    stage.put(CHATS, {"id": s("1"), "user": s(ANN)}, {"id": s("2"), "user": s(BOB)})
    stage.plan()
    stage.set(CHATS, ("1",), user=s("somebody"))
    document = stage.apply(3)
    assert document["states"] == {"applied": 1, "conflict": 1}
    (conflict,) = document["conflicts"]
    assert (conflict["note"], conflict["users"]) == ("a planned value was changed since the plan", [ANN])
    assert stage.get(CHATS, "1") == {"id": s("1"), "user": s("somebody")}
    assert stage.plan()["changes"] == 0, "there is nothing of the map in it any more"


def test_a_service_puts_an_item_under_the_new_key(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN, "owner"), access(BOB))
    stage.plan()
    theirs = access("a-100", "read", note=s("theirs"))
    stage.put(ACCESS, theirs)
    stage.apply(3)
    assert only(stage, "conflict").note == "an item appeared under the new key"
    assert stage.get(ACCESS, "o1", "a-100") == theirs, "the newer data stands"
    assert stage.plan()["changes"] == 1, "the next plan knows it, and merges"
    stage.apply()
    stage.verify()
    assert stage.get(ACCESS, "o1", "a-100") == {**theirs, "permission_level": s("owner")}


def test_an_equal_task_that_appears_under_the_new_key_does_not_leave_both_running(stage: Stage) -> None:
    stage.put(TASKS, {"user": s(ANN), "taskId": s("t"), "active": n(1)})
    stage.plan()
    stage.put(TASKS, {"user": s("a-100"), "taskId": s("t"), "active": n(1)})
    stage.apply(3)
    stage.migrate()
    assert stage.get(TASKS, ANN, "t") == {"user": s(ANN), "taskId": s("t"), "active": n(0)}


def test_a_service_deletes_an_item(stage: Stage) -> None:
    stage.put(CHATS, {"id": s("1"), "user": s(ANN)})
    stage.put(ACCESS, access(ANN))
    stage.plan()
    stage.delete(CHATS, "1")
    stage.delete(ACCESS, "o1", ANN)
    assert stage.apply(3)["states"] == {"conflict": 2}
    assert (stage.scan(CHATS), stage.scan(ACCESS)) == ([], []), "nothing is brought back"
    assert stage.plan()["changes"] == 0
    stage.apply()
    stage.verify()


def test_a_write_to_another_attribute_is_carried_along(stage: Stage) -> None:
    stage.put(CHATS, {"id": s("1"), "user": s(ANN), "count": n(1)})
    stage.put(ACCESS, access(ANN, policy=s("old")))
    stage.put(GROUPS, {"group_id": s("g"), "members": {"M": {ANN: s("read"), EVE: s("read")}}})
    stage.plan()
    stage.set(CHATS, ("1",), count=n("2.5"))
    stage.set(ACCESS, ("o1", ANN), policy=s("new"), more={"L": [n(1)]})
    stage.set(GROUPS, ("g",), members={"M": {ANN: s("read"), EVE: s("admin")}}, groupName=s("G"))
    stage.apply()
    assert stage.scan(CHATS) == [{"id": s("1"), "user": s("a-100"), "count": n("2.5")}]
    assert stage.get(ACCESS, "o1", "a-100") == access("a-100", policy=s("new"), more={"L": [n(1)]})
    (group,) = stage.scan(GROUPS)
    assert (group["members"], group["groupName"]) == ({"M": {"a-100": s("read"), EVE: s("admin")}}, s("G"))
    stage.verify()
    stage.cleanup()


def test_a_write_at_the_same_instant_is_carried_along(stage: Stage) -> None:
    stage.put(GROUPS, {"group_id": s("g"), "createdBy": s(ANN), "members": {"M": {ANN: s("read")}}})
    stage.plan()
    context = stage.context()
    both = {"M": {ANN: s("read"), EVE: s("write")}}
    before(context, "UpdateItem", lambda _: stage.set(GROUPS, ("g",), members=both, createdBy=s(ANN)))
    assert run(context, "migrate", "apply").code == 0
    (group,) = stage.scan(GROUPS)
    assert group["members"] == {"M": {"a-100": s("read"), EVE: s("write")}}


def test_a_service_that_never_stops_writing_is_a_conflict(stage: Stage) -> None:
    stage.put(COSTS, {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n("0.5")})
    stage.plan()
    context, calls = stage.context(), iter(range(1, 99))
    spend = lambda _: stage.set(COSTS, (ANN, "c"), dailyCost=n(next(calls)))  # noqa: E731
    before(context, "TransactWriteItems", spend, times=99)
    ended = run(context, "migrate", "apply")
    assert (ended.code, only(stage, "conflict").note) == (3, "a service keeps writing to it")
    assert [item["id"] for item in stage.scan(COSTS)] == [s(ANN)]
    assert next(calls) == applying.TRIES + 1


def test_two_old_keys_that_become_one_are_merged(stage: Stage) -> None:
    plain, doubled = f"{ANN}#amplify-workflows#t", f"{ANN}#ann-example-edu-amplify-workflows#t"
    for partition, created in ((plain, 1), (doubled, 2)):
        stage.put(STORAGE, {"PK": s(partition), "SK": s("1"), "UUID": s(f"u{created}"), "createdAt": n(created)})
    stage.migrate()
    assert stage.get(STORAGE, "a-100#amplify-workflows#t", "1") == {
        "PK": s("a-100#amplify-workflows#t"), "SK": s("1"), "UUID": s("u2"), "createdAt": n(2),
    }  # fmt: skip


def test_stragglers_are_found_and_taken_up(stage: Stage) -> None:
    stage.put(CHATS, {"id": s("1"), "user": s(ANN)})
    stage.put(ACCESS, access(ANN))
    stage.plan()
    stage.apply()
    stage.put(CHATS, {"id": s("2"), "user": s(ANN)})
    stage.set(ACCESS, ("o1", ANN), permission_level=s("write"))
    document = stage.verify(1)
    assert document["leftovers"]["tables"] == {stage.name(CHATS): 1, stage.name(ACCESS): 1}
    assert stage.run("cleanup", "apply").code == 3
    assert stage.plan()["changes"] == 2
    stage.apply()
    stage.verify()
    assert stage.get(ACCESS, "o1", "a-100") == access("a-100", "write")
    assert {item["user"]["S"] for item in stage.scan(CHATS)} == {"a-100"}
    stage.cleanup()
    assert stage.scan(ACCESS) == [access("a-100", "write")]


# --- plans that do not fit --------------------------------------------------------------------------------------------


def test_without_a_plan(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    for words in ("migrate apply", "migrate verify", "migrate apply --dry-run", "cleanup apply", "rollback"):
        ended = stage.run(*words.split())
        assert (ended.code, "migrate plan" in ended.text) == (3, True), (words, ended)


def test_a_changed_map_makes_the_plan_stale(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    stage.plan()
    (stage.folder / "workspace" / "users.csv").write_text(f"old_id,new_id\n{ANN},other\n", encoding="utf-8")
    ended = stage.run("migrate", "apply")
    assert (ended.code, "the user map has changed" in ended.text) == (3, True)
    assert stage.scan(ACCESS) == [access(ANN)]


def test_another_account_or_deployment_is_refused(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    stage.plan()
    context = stage.context()
    context.account._identity = {"account": "210987654321", "arn": "arn"}
    ended = run(context, "migrate", "apply")
    assert (ended.code, "another account" in ended.text or "of account" in ended.text) == (3, True)
    other = stage.context()
    other.deployment = type(stage.deployment)("v7", "dev", stage.deployment.region)
    assert run(other, "migrate", "apply").code == 3
    assert run(other, "migrate", "plan", "--csv-file", stage.csv()).code == 3
    assert stage.scan(ACCESS) == [access(ANN)]


def test_a_table_that_was_created_again_is_refused(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    stage.plan()
    stage.db.delete_table(TableName=stage.name(ACCESS))
    stage.create(ACCESS)
    stage.put(ACCESS, access(ANN))
    ended = stage.run("migrate", "apply")
    assert (ended.code, "created again" in ended.text) == (3, True)
    assert stage.scan(ACCESS) == [access(ANN)]


def test_a_table_that_is_gone_fails_and_the_others_go_on(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    stage.put(CHATS, {"id": s("1"), "user": s(ANN)})
    stage.plan()
    stage.db.delete_table(TableName=stage.name(ACCESS))
    assert stage.apply(1)["states"] == {"applied": 1, "failed": 1}
    assert only(stage, "failed").note == "its table is gone"


def test_one_table_that_may_not_be_written_fails_and_the_others_go_on(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    stage.put(CHATS, {"id": s("1"), "user": s(ANN)})
    stage.plan()
    context = stage.context()

    def refuse(params: dict[str, Any], **_: Any) -> None:
        if params["TableName"] == stage.name(CHATS):
            params["TableName"] = "amplify-v6-not-there"

    context.account.client("dynamodb").meta.events.register("provide-client-params.dynamodb.UpdateItem", refuse)
    ended = run(context, "migrate", "apply")
    assert (ended.code, ended.document["states"]) == (1, {"applied": 1, "failed": 1})
    assert stage.apply()["states"] == {"applied": 2}, "the same command takes it up"
    assert stage.scan(CHATS) == [{"id": s("1"), "user": s("a-100")}]


# --- dry runs ---------------------------------------------------------------------------------------------------------


def some_of_everything(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN), access(BOB, "owner"), access("b-200"))
    stage.put(CHATS, {"id": s("1"), "user": s(ANN)})
    stage.put(COSTS, {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n(1)})
    stage.put(TASKS, {"user": s(ANN), "taskId": s("t"), "active": n(1)})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("ledger.sqlite*") if path.stat().st_size}


def dry(stage: Stage, *words: str) -> dict[str, Any]:
    """Run it, and hold it to its word: no mutating request, nothing changed in AWS or in the ledger."""
    stored, ledger, context = stage.dump(), files(stage.folder / "workspace"), stage.context()
    seen = requests_of(context)
    ended = run(context, *words)
    assert (ended.code, writes(seen)) == (0, {}), ended.text
    assert stage.dump() == stored
    assert files(stage.folder / "workspace")["ledger.sqlite"] == ledger["ledger.sqlite"]
    return ended.document


def test_dry_runs_make_no_write_and_leave_the_ledger_as_it_was(stage: Stage) -> None:
    some_of_everything(stage)
    stage.plan()
    would = dry(stage, "migrate", "apply", "--dry-run")["would"]
    assert would == {"item copy": 2, "item update": 1, "item add": 1, "item merge": 1}
    stage.apply()
    assert dry(stage, "rollback", "--dry-run")["total"] == 5
    stage.verify()
    assert dry(stage, "cleanup", "plan")["total"] == dry(stage, "cleanup", "apply", "--dry-run")["total"] == 3
    for words in (("migrate", "status"), ("migrate", "show"), ("cleanup", "verify")):
        dry(stage, *words)


def test_a_dry_run_counts_a_conflict_as_no_change_that_would_be_made(stage: Stage) -> None:
    stage.put(CHATS, {"id": s("1"), "user": s(ANN)}, {"id": s("2"), "user": s(BOB)})
    stage.plan()
    stage.set(CHATS, ("1",), user=s("somebody"))
    told = stage.run("migrate", "apply", "--dry-run").text.splitlines()
    assert told == [
        "Apply would make:",
        "  1 row changed in place",
        "Of the others:",
        "  1 in conflict with what stands now",
        "Dry run: 1 change would be made. Nothing was written.",
    ]


def test_a_dry_run_is_refused_any_write_below_the_engine(stage: Stage) -> None:
    context = stage.context()
    context.account.read_only = True
    with pytest.raises(MigrateError, match="only looks"):
        context.account.call("dynamodb", "put_item", TableName="t", Item={"id": s("1")})


# --- interruptions ----------------------------------------------------------------------------------------------------


def test_cancelled_in_the_middle_and_taken_up(stage: Stage) -> None:
    for index in range(12):
        stage.put(CHATS, {"id": s(f"{index}"), "user": s(ANN)})
    stage.plan()
    context = stage.context()
    before(context, "UpdateItem", lambda _: context.control.cancel())
    assert run(context, "migrate", "apply").code == 130
    states = {entry.state for entry in stage.entries()}
    assert states == {"applied", "planned"}
    done = {str(entry.source_key) for entry in stage.entries("workspace", "applied")}
    assert {str({"id": item["id"]}) for item in stage.scan(CHATS) if item["user"] == s("a-100")} >= done
    assert stage.apply()["states"] == {"applied": 12}
    stage.verify()


def test_an_answer_that_was_lost_is_found_to_be_done(stage: Stage) -> None:
    """Every write goes through, and the connection breaks before the answer: nothing is done twice."""
    some_of_everything(stage)
    stage.plan()
    context = stage.context()

    def lose(**_: Any) -> None:
        raise ConnectionClosedError(endpoint_url="x")

    def begin(_: dict[str, Any]) -> None:  # items are read once the lock is held
        for operation in ("PutItem", "UpdateItem", "TransactWriteItems"):
            context.account.client("dynamodb").meta.events.register(f"before-parse.dynamodb.{operation}", lose)

    before(context, "BatchGetItem", begin)
    assert run(context, "migrate", "apply").document["states"] == {"failed": 5}
    assert stage.plan()["blocked"] == 0
    stage.apply()
    stage.verify()
    assert stage.scan(COSTS) == [{"id": s("a-100"), "accountInfo": s("c"), "dailyCost": n(1)}]
    assert stage.get(ACCESS, "o1", "b-200") == access("b-200", "owner")
    stage.cleanup()
    assert MAP[ANN] in {item["principal_id"]["S"] for item in stage.scan(ACCESS)}


def test_of_two_tasks_of_one_key_only_one_runs_whatever_else_differs(stage: Stage) -> None:
    """Earlier scripts copied tasks and left the old ones active: both ran, and each has logs of its own."""

    def log(execution: str) -> dict[str, Any]:
        return {"M": {"executionId": s(execution), "status": s("success")}}

    def task(user: str, number: str, text: str, *executions: str) -> dict[str, Any]:
        return {
            "user": s(user), "taskId": s(number), "active": n(1), "taskInstructions": s(text),
            "logs": {"L": [log(one) for one in executions]},
        }  # fmt: skip

    stage.put(TASKS, task(ANN, "t", "same", "1", "2"), task("a-100", "t", "same", "1", "3"))
    stage.put(TASKS, task(ANN, "u", "old text", "1"), task("a-100", "u", "new text", "1"))
    seeded = stage.dump()
    stage.plan()
    stage.apply()
    assert stage.get(TASKS, "a-100", "t") == task("a-100", "t", "same", "1", "3", "2")
    assert stage.get(TASKS, "a-100", "u") == task("a-100", "u", "new text", "1")
    assert stage.get(TASKS, ANN, "u") == {**task(ANN, "u", "old text", "1"), "active": n(0)}
    assert stage.plan()["changes"] == 0
    assert stage.run("rollback").code == 0
    assert stage.dump() == seeded
    stage.plan()
    stage.apply()
    stage.verify()
    stage.cleanup()
    assert stage.get(TASKS, ANN, "t") is None
    assert stage.get(TASKS, ANN, "u") is not None, "its text stands nowhere else"
