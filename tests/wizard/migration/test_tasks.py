"""A scheduled task runs under one id: its old row is switched off, and what that did is never copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.wizard.migration import network
from tests.wizard.migration.stage import ANN, MAP, Item, Stage, n, s

TASKS = "agent-loop/scheduled-tasks"


def task(user: str, active: int = 1, **more: Item) -> Item:
    return {"user": s(user), "taskId": s("t"), "active": n(active), **more}


@pytest.fixture
def moved(stage: Stage) -> Stage:
    stage.put(TASKS, task(ANN))
    stage.migrate()
    assert (stage.get(TASKS, ANN, "t"), stage.get(TASKS, "a-100", "t")) == (task(ANN, 0), task("a-100"))
    return stage


@pytest.mark.parametrize("planned_anew", [True, False])
def test_a_new_row_that_vanished_comes_back_switched_on_and_is_undone(moved: Stage, planned_anew: bool) -> None:
    moved.delete(TASKS, "a-100", "t")
    moved.verify(1)
    if planned_anew:
        moved.plan()
    moved.apply()
    moved.verify()
    assert moved.get(TASKS, "a-100", "t") == task("a-100")
    assert moved.get(TASKS, ANN, "t") == task(ANN, 0)
    assert moved.run("rollback").code == 0
    assert moved.scan(TASKS) == [task(ANN)]


def test_an_old_row_that_is_written_after_the_copy_does_not_switch_the_new_one_off(moved: Stage) -> None:
    """A run that was under way ends: the processor writes its time to the old row."""
    moved.set(TASKS, (ANN, "t"), lastRunAt=s("later"))
    moved.migrate()
    assert moved.get(TASKS, "a-100", "t") == task("a-100", lastRunAt=s("later"))
    assert moved.get(TASKS, ANN, "t") == task(ANN, 0, lastRunAt=s("later"))
    moved.set(TASKS, (ANN, "t"), lastRunAt=s("later still"))
    moved.migrate()
    assert moved.get(TASKS, "a-100", "t") == task("a-100", lastRunAt=s("later still"))
    assert moved.run("rollback").code == 0
    assert moved.scan(TASKS) == [task(ANN, lastRunAt=s("later still"))]


def test_both_rows_that_were_written_since_leave_the_new_one_as_it_is(moved: Stage) -> None:
    moved.set(TASKS, (ANN, "t"), lastRunAt=s("old"))
    moved.set(TASKS, ("a-100", "t"), lastRunAt=s("new"))
    moved.migrate()
    assert moved.get(TASKS, "a-100", "t") == task("a-100", lastRunAt=s("new"))


def test_what_was_switched_off_before_the_migration_stays_off(stage: Stage) -> None:
    stage.put(TASKS, task(ANN, 0))
    stage.migrate()
    stage.delete(TASKS, MAP[ANN], "t")
    stage.verify(1)
    stage.plan()
    stage.apply()
    assert stage.get(TASKS, MAP[ANN], "t") == task(MAP[ANN], 0)


def test_a_task_that_its_owner_switched_off_after_a_rollback_stays_off(moved: Stage) -> None:
    assert moved.run("rollback").code == 0
    moved.set(TASKS, (ANN, "t"), active=n(0))
    moved.migrate()
    assert moved.get(TASKS, "a-100", "t") == task("a-100", 0)


def test_a_log_whose_body_is_cut_short_is_read_again_and_else_fails_its_task_until_the_next_apply(stage: Stage) -> None:
    stage.create("lambda/user-data-storage")
    stage.bucket("lambda/consolidation")
    bucket, logs = stage.bucket("agent-loop/scheduled-tasks-logs"), []
    for run in ("e1", "e2"):
        key = f"{ANN}/t/logs/{run}.json"
        stage.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b'{"out": "of a run"}')
        logs.append({"M": {"executionId": s(run), "detailsKey": s(key)}})
    stage.put(TASKS, task(ANN, logs={"L": logs}))
    stage.plan()

    def apply(cuts: int, code: int) -> Any:
        context, left = stage.context(), iter(range(cuts))
        s3 = context.account.client("s3")
        s3.meta.events.register_first("before-send.s3.GetObject", lambda request, **_: _cut(request, "e2", left))
        return stage.apply(code, context=context)

    (failed,) = apply(3, 1)["failed"]
    assert "e2.json could not be read" in failed["note"] and stage.scan("lambda/user-data-storage") == []
    apply(2, 0)
    (row,) = stage.scan("lambda/user-data-storage")
    assert row["data"]["M"]["logs"]["M"].keys() == {"e1", "e2"}
    assert stage.plan()["changes"] == 1  # the pointers, which waited
    apply(0, 0)
    stage.verify()


def _cut(request: Any, execution: str, left: Iterator[int]) -> Any:
    """Half of the object, for as long as `left` has something."""
    return network.truncated(request) if f"/{execution}.json" in request.url and next(left, None) is not None else None
