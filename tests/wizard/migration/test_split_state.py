"""What newer services wrote in user storage under old ids before the ids change: content that moves there comes second."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wizard.faults import deny
from tests.wizard.migration.stage import ANN, MAP, Stage, n, s

ROWS = "lambda/user-data-storage"
TASKS, FLOWS, SHARES = "agent-loop/scheduled-tasks", "agent-loop/workflow-registry", "lambda/"
LATER, EARLIER = 1756720000, 1725000000


def saved(user: str, app: str, entity: str, sort: str, data: dict[str, Any], created: int = LATER) -> dict[str, Any]:
    """A row as services write it."""
    return {
        "PK": s(f"{user}#{app}#{entity}"), "SK": s(sort), "UUID": s(f"{app}-{sort}"), "itemId": s(sort),
        "appId": s(f"{user}#{app}"), "entityType": s(entity), "createdAt": n(created), "data": {"M": data},
    }  # fmt: skip


def settings(theme: str) -> dict[str, Any]:
    return {"settings": {"M": {"theme": s(theme)}}}


def logs(user: str, **executions: str) -> dict[str, Any]:
    entries = {name: {"M": {"out": s(text)}} for name, text in executions.items()}
    return {"taskId": s("t"), "user": s(user), "logs": {"M": entries}}


def stands(stage: Stage, app: str, entity: str, sort: str) -> Any:
    row = stage.get(ROWS, f"a-100#{app}#{entity}", sort)
    return row and row["data"]["M"]


@pytest.fixture
def split(stage: Stage) -> Stage:
    """ann's settings, the logs of a task and a template in their old places; newer ones under her old id in user storage."""
    stage.create(ROWS)
    stage.bucket("lambda/consolidation")
    s3 = stage.aws.client("s3")
    s3.put_object(
        Bucket=stage.bucket("agent-loop/scheduled-tasks-logs"), Key=f"{ANN}/t/logs/e1.json", Body=b'{"out": "1"}'
    )
    s3.put_object(Bucket=stage.bucket("agent-loop/workflow-templates"), Key=f"{ANN}/f.json", Body=b'{"steps": "older"}')
    entries = [
        {"M": {"executionId": s("e1"), "detailsKey": s(f"{ANN}/t/logs/e1.json")}},
        {"M": {"executionId": s("e2")}},
    ]
    stage.put(TASKS, {"user": s(ANN), "taskId": s("t"), "active": n(1), "logs": {"L": entries}})
    stage.put(FLOWS, {"user": s(ANN), "templateId": s("f"), "s3Key": s(f"{ANN}/f.json"), "isPublic": n(0)})
    stage.put(SHARES, {"id": s(f"{ANN}/1"), "user": s(ANN), "updatedAt": n(EARLIER), **settings("older")})
    stage.put(
        ROWS,
        saved(ANN, "amplify-user-settings", "user-settings", "user-settings", settings("newer")),
        saved(ANN, "amplify-agent-logs", "scheduled-task-logs", "t", logs(ANN, e2="2")),
    )
    return stage


@pytest.mark.parametrize("scopes", [[()], [("--only", "buckets"), ("--only", "tables")]])
def test_what_a_user_saved_under_the_old_id_wins_and_is_completed_and_all_of_it_is_undone(
    split: Stage, scopes: Any
) -> None:
    before = split.dump()
    for scope in scopes:
        split.plan(MAP, *scope)
        split.apply()
    assert stands(split, "amplify-user-settings", "user-settings", "user-settings") == settings("newer")
    assert stands(split, "amplify-agent-logs", "scheduled-task-logs", "t") == logs("a-100", e1="1", e2="2")
    assert stands(split, "amplify-workflows", "workflow-templates", "f") == {"steps": s("older")}
    assert split.verify()["changed_since"] == 0  # what was added to a row of ours is ours as well
    after = split.dump()
    split.migrate()
    assert split.dump() == after
    foreseen = split.run("rollback", "--dry-run").document
    undone = split.run("rollback", "--confirm", "ROLLBACK")
    assert undone.code == 0 and (foreseen["total"], foreseen["left"]) == (undone.document["total"], [])
    assert split.dump() == before
    split.migrate()
    split.cleanup()
    assert split.scan(SHARES) == [] and {row["PK"]["S"].partition("#")[0] for row in split.scan(ROWS)} == {"a-100"}


def test_content_waits_for_the_row_that_could_not_be_copied(split: Stage) -> None:
    """Else the older settings would stand there first, and rollback would find the logs of both in one row."""
    before = split.dump()
    split.plan()
    context = split.context()
    deny(context.account, "dynamodb", "PutItem")
    failed = split.apply(1, context=context)["failed"]
    assert sum("was not copied" in one["note"] for one in failed) == 2
    split.apply()
    split.migrate()
    assert stands(split, "amplify-user-settings", "user-settings", "user-settings") == settings("newer")
    assert split.run("rollback", "--confirm", "ROLLBACK").code == 0
    assert split.dump() == before


def test_logs_that_a_service_writes_under_the_old_id_later_join_those_that_moved(split: Stage) -> None:
    split.migrate()
    row = saved(ANN, "amplify-agent-logs", "scheduled-task-logs", "t", logs(ANN, e3="3"), LATER + 1)
    split.put(ROWS, row)
    split.verify(1)
    split.migrate()
    assert stands(split, "amplify-agent-logs", "scheduled-task-logs", "t") == logs("a-100", e1="1", e2="2", e3="3")
    split.cleanup()


def put_log(stage: Stage, text: str) -> str:
    """The log of e1, written again by a service; returns its key."""
    key = f"{ANN}/t/logs/e1.json"
    bucket = stage.bucket("agent-loop/scheduled-tasks-logs")
    stage.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps({"out": text}).encode())
    return key


def test_another_log_of_the_same_execution_is_neither_replaced_nor_taken_for_a_copy(split: Stage) -> None:
    split.put(ROWS, saved("a-100", "amplify-agent-logs", "scheduled-task-logs", "t", logs("a-100", e1="another")))
    before = split.dump()
    split.plan()
    split.apply()
    split.verify()
    both = logs("a-100", e1="another", e2="2")
    assert stands(split, "amplify-agent-logs", "scheduled-task-logs", "t") == both
    task = split.get(TASKS, "a-100", "t")
    assert task is not None and task["logs"]["L"][0]["M"]["detailsKey"] == s(put_log(split, "1"))
    assert split.run("rollback").code == 0 and split.dump() == before


@pytest.mark.parametrize("then", ["cleanup", "rollback"])
def test_a_log_that_is_written_again_after_its_move_is_kept_and_told(split: Stage, then: str) -> None:
    before = split.dump()
    split.migrate()
    key = put_log(split, "written again")
    split.plan()
    (kept,) = [entry for entry in split.entries() if entry.state == "kept"]
    assert (kept.action, kept.detail["unfit"][0][0]) == ("logs", key) and "another log of its execution" in kept.note
    split.apply()
    split.verify()
    assert stands(split, "amplify-agent-logs", "scheduled-task-logs", "t") == logs("a-100", e1="1", e2="2")
    if then == "cleanup":
        assert f"it alone leads to {key}" in split.cleanup(1)["kept"][0]["why"] and split.get(TASKS, ANN, "t")
        assert split.run("migrate", "resolve", str(kept.id), "--skip", "--reason", "seen to").code == 0
        assert split.cleanup()["total"] == 0 and split.get(TASKS, ANN, "t")  # it stays, and is told no more
        return
    assert split.run("rollback").code == 0 and split.dump() == before


def test_of_two_logs_of_one_execution_the_first_moves_and_the_other_keeps_its_pointer(split: Stage) -> None:
    bucket, key = split.bucket("agent-loop/scheduled-tasks-logs"), f"{ANN}/t/logs/again.json"
    split.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b'{"out": "again"}')
    task = split.get(TASKS, ANN, "t")
    assert task is not None
    again = {"M": {"executionId": s("e1"), "detailsKey": s(key)}}
    split.put(TASKS, {**task, "logs": {"L": [*task["logs"]["L"], again]}})
    split.migrate()
    assert stands(split, "amplify-agent-logs", "scheduled-task-logs", "t") == logs("a-100", e1="1", e2="2")
    moved = split.get(TASKS, "a-100", "t")
    assert moved is not None and [one["M"].get("detailsKey") for one in moved["logs"]["L"]] == [None, None, s(key)]


def test_rows_of_logs_that_differ_in_one_execution_both_stay(split: Stage) -> None:
    split.migrate()
    row = saved(ANN, "amplify-agent-logs", "scheduled-task-logs", "t", logs(ANN, e2="another", e3="3"), LATER + 1)
    split.put(ROWS, row)
    split.migrate()
    assert stands(split, "amplify-agent-logs", "scheduled-task-logs", "t") == logs("a-100", e1="1", e2="2")
    split.cleanup()
    assert split.get(ROWS, row["PK"]["S"], "t") == row
