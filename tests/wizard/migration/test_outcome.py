"""Writes of a killed run onto whose values a service writes before the next command: none is forgotten, none is replaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.wizard.migration.few import TASKS
from tests.wizard.migration.stage import ANN, BOB, MAP, Stage, kill_apply, n, s

KEYS, TAGS, STORAGE = "object-access/api-keys", "lambda/user-tags", "lambda/user-data-storage"
SHARES, PROMPTS = "lambda/", "agent-loop/agent-event-templates"
THEIRS = s("by a service")


@dataclass(frozen=True)
class Case:
    """What is migrated, the write after which the run dies, and what a service makes of the row that was written."""

    table: str
    rows: tuple[dict[str, Any], ...]
    operation: str
    written: tuple[str, ...]  # key of the row that the write leaves
    change: dict[str, Any]
    put_back: dict[str, Any]  # of the same row, once rolled back


CASES = {
    "update": Case(
        KEYS, ({"api_owner_id": s("k"), "owner": s(ANN), "delegate": s(BOB)},), "UpdateItem", ("k",),
        {"owner": THEIRS}, {"owner": THEIRS, "delegate": s(BOB)},
    ),
    "update, all": Case(
        KEYS, ({"api_owner_id": s("k"), "owner": s(ANN)},), "UpdateItem", ("k",), {"owner": THEIRS}, {"owner": THEIRS}
    ),
    "merge": Case(
        TAGS, ({"user": s(ANN), "tags": {"SS": ["x"]}}, {"user": s(MAP[ANN]), "tags": {"SS": ["y"]}}), "UpdateItem",
        (MAP[ANN],), {"tags": {"SS": ["x", "y", "z"]}}, {"tags": {"SS": ["x", "y", "z"]}},
    ),
    "task": Case(
        TASKS, ({"user": s(ANN), "taskId": s("t"), "active": n(1)},), "TransactWriteItems", (MAP[ANN], "t"),
        {"active": n(0)}, {"active": n(0)},
    ),
}  # fmt: skip


def undo(stage: Stage, then: str) -> None:
    """Another command takes up what the kill left; the rollback then names it."""
    if then != "rollback":
        stage.run("migrate", "apply") if then == "apply" else stage.plan()
        stage.run("migrate", "apply")
    for _ in range(2):  # it stays on the list until somebody has seen to it
        ended = stage.run("rollback")
        assert (ended.code, ended.document["left_total"]) == (1, 1)


@pytest.mark.parametrize(
    ("case", "then"),
    [*((case, "rollback") for case in CASES), ("update", "apply"), ("update", "plan"), ("merge", "plan")],
)
def test_a_written_value_that_a_service_changes_before_it_is_on_record_is_listed_by_the_rollback(
    stage: Stage, case: str, then: str
) -> None:
    one = CASES[case]
    stage.put(one.table, *one.rows)
    stage.plan()
    kill_apply(stage, one.operation)
    stage.set(one.table, one.written, **one.change)
    undo(stage, then)
    row = stage.get(one.table, *one.written)
    assert row is not None and {name: row.get(name) for name in one.put_back} == one.put_back


@pytest.mark.parametrize("then", ["rollback", "apply"])
def test_a_row_of_content_that_a_service_changes_before_it_is_on_record_is_listed_by_the_rollback(
    workflow: Stage, then: str
) -> None:
    workflow.plan()
    kill_apply(workflow, "PutItem")
    (row,) = workflow.scan(STORAGE)
    theirs = {**row, "data": {"M": {"v": n(9)}}}
    workflow.put(STORAGE, theirs)
    undo(workflow, then)
    assert workflow.scan(STORAGE) == [theirs]


def test_settings_that_a_service_changes_before_they_are_on_record_are_newer_and_listed_by_the_rollback(
    stage: Stage,
) -> None:
    stage.create(STORAGE)
    stage.put(SHARES, {"id": s(f"{ANN}/1"), "user": s(ANN), "settings": {"M": {"theme": s("dark")}}})
    stage.plan()
    kill_apply(stage, "PutItem")
    (row,) = stage.scan(STORAGE)
    theirs = {**row, "data": {"M": {"settings": {"M": {"theme": s("light")}}}}}
    stage.put(STORAGE, theirs)
    undo(stage, "apply")
    assert stage.scan(STORAGE) == [theirs]


def test_a_row_of_content_whose_object_changes_before_it_is_on_record_is_listed_by_the_rollback(
    workflow: Stage,
) -> None:
    workflow.plan()
    kill_apply(workflow, "PutItem")
    client = workflow.aws.client("s3")
    bucket = next(one["Name"] for one in client.list_buckets()["Buckets"] if "templates" in one["Name"])
    client.put_object(Bucket=bucket, Key=f"{ANN}/w.json", Body=b'{"templateId": "other"}')
    undo(workflow, "apply")
    assert len(workflow.scan(STORAGE)) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_service_writes_beside_what_a_killed_run_wrote_or_was_to_write_hinders_nothing(
    stage: Stage, when: str
) -> None:
    stage.put(KEYS, {"api_owner_id": s("k"), "owner": s(ANN)})
    stage.plan()
    kill_apply(stage, "UpdateItem", unsent=when == "before")
    stage.set(KEYS, ("k",), beside=THEIRS)
    assert stage.run("rollback").code == 0
    assert stage.get(KEYS, "k") == {"api_owner_id": s("k"), "owner": s(ANN), "beside": THEIRS}


def test_an_item_that_a_service_puts_where_a_killed_run_was_to_copy_is_no_copy_for_the_cleanup(stage: Stage) -> None:
    ours, theirs = ({"user": s(user), "tag": s("t"), "prompt": s(user)} for user in (ANN, MAP[ANN]))
    stage.put(PROMPTS, ours)
    stage.plan()
    kill_apply(stage, "PutItem", unsent=True)
    stage.put(PROMPTS, theirs)
    stage.plan()
    stage.apply()
    stage.verify()
    assert stage.cleanup()["total"] == 0
    assert {item["prompt"]["S"] for item in stage.scan(PROMPTS)} == {ANN, MAP[ANN]}


@pytest.mark.parametrize("then", ["rollback", "apply"])
@pytest.mark.parametrize("changed", ["old", "new"])
def test_an_object_of_a_killed_run_is_ours_or_listed_whatever_a_service_writes_next(
    stage: Stage, changed: str, then: str
) -> None:
    home, chats = stage.bucket("lambda/consolidation"), stage.bucket("lambda/user-conversations")
    s3 = stage.aws.client("s3")
    s3.put_object(Bucket=chats, Key=f"{ANN}/c", Body=b"first")
    stage.plan()
    kill_apply(stage, "CopyObject", "s3")
    written = {"old": (chats, f"{ANN}/c"), "new": (home, "conversations/a-100/c")}[changed]
    s3.put_object(Bucket=written[0], Key=written[1], Body=b"by a service")
    undo(stage, then)
    assert s3.get_object(Bucket=written[0], Key=written[1])["Body"].read() == b"by a service"


def test_what_an_operator_resolved_is_still_undone_where_it_is_ours(stage: Stage) -> None:
    stage.put(KEYS, {"api_owner_id": s("k"), "owner": s(ANN), "delegate": s(BOB)})
    stage.plan()
    kill_apply(stage, "UpdateItem")
    stage.set(KEYS, ("k",), owner=THEIRS)
    stage.plan()
    (change,) = stage.entries()
    assert stage.run("migrate", "resolve", str(change.id), "--done", "--reason", "looked at").code == 0
    stage.run("rollback")
    assert stage.get(KEYS, "k") == {"api_owner_id": s("k"), "owner": THEIRS, "delegate": s(BOB)}
    assert stage.run("migrate", "resolve", str(change.id), "--skip", "--reason", "it is theirs").code == 0
    assert stage.run("rollback").code == 0
