"""Task logs that no row has room for go to S3 one by one; a kill between two of them costs nothing."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from tests.wizard.migration import network
from tests.wizard.migration.stage import ANN, Stage, kill_apply, n, run, s
from tests.wizard.migration.test_intents import Killed, objects_of, refuse
from wizard.migration.ledger import Ledger

TASKS, STORAGE = "agent-loop/scheduled-tasks", "lambda/user-data-storage"


@pytest.fixture
def logged(stage: Stage) -> Stage:
    """A task with three logs that do not compress; the row has room for the newest alone."""
    stage.create(STORAGE)
    stage.bucket("lambda/consolidation")
    bucket, draw = stage.bucket("agent-loop/scheduled-tasks-logs"), random.Random(1)
    logs = []
    for number in range(3):
        key = f"{ANN}/t/logs/e{number}.json"
        body = json.dumps({"out": "".join(chr(draw.randrange(0x4E00, 0x9FFF)) for _ in range(70_000))})
        stage.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body.encode())
        entry = {"executionId": s(f"e{number}"), "executedAt": s(f"2024-01-0{number + 1}"), "detailsKey": s(key)}
        logs.append({"M": entry})
    stage.put(TASKS, {"user": s(ANN), "taskId": s("t"), "active": n(1), "logs": {"L": logs}})
    return stage


def kill_between_two(stage: Stage) -> None:
    """An apply that is killed as it is about to archive its second log."""
    context, puts = stage.context(), []

    def die_at_the_second(**_: Any) -> None:
        puts.append(1)
        if len(puts) == 2:
            raise Killed

    context.account.client("s3").meta.events.register_first("before-call.s3.PutObject", die_at_the_second)
    with pytest.raises(Killed):
        run(context, "migrate", "apply")


@pytest.mark.parametrize("then", ["apply", "plan", "rollback"])
def test_killed_between_two_archived_logs(logged: Stage, then: str) -> None:
    seeded, files = logged.dump(), objects_of(logged)
    logged.plan()
    kill_between_two(logged)
    assert len(objects_of(logged)) == len(files) + 1, "one log is archived, no row written"
    if then != "rollback":
        if then == "plan":
            logged.plan()
        logged.apply()
        assert "kept" not in logged.verify()["states"], "the record of what the killed run archived is nobody's task"
        archived = {name.rpartition("/")[2] for name in objects_of(logged).keys() - files.keys()}
        (row,) = logged.scan(STORAGE)
        assert archived | {f"{name}.json" for name in row["data"]["M"]["logs"]["M"]} == {
            "e0.json",
            "e1.json",
            "e2.json",
        }
        assert len(archived) == 2
    assert logged.run("rollback").code == 0
    assert logged.dump() == seeded
    assert objects_of(logged) == files


def test_what_a_service_puts_where_a_killed_run_was_to_archive_is_not_taken_for_the_log(logged: Stage) -> None:
    logged.plan()
    kill_apply(logged, "PutObject", "s3", unsent=True)
    (change,) = (entry for entry in logged.entries() if entry.kind == "content")
    first, second = change.detail["archiving"]
    theirs = {name: "x" * size for name, size, _ in (first, second)}
    with Ledger(logged.folder / "workspace" / "ledger.sqlite") as ledger:  # as an earlier version recorded it
        ledger.save([replace(change, detail={**change.detail, "archiving": [first, second[:2]]})])
    s3 = logged.aws.client("s3")
    for name, body in theirs.items():
        s3.put_object(Bucket="amplify-v6-lambda-dev-consolidation", Key=name, Body=body)
    seeded = objects_of(logged)
    assert logged.run("rollback").code == 0
    assert len(theirs) == 2 and objects_of(logged) == seeded


def test_a_log_that_was_archived_before_a_kill_and_then_written_again_is_undone_all_the_same(logged: Stage) -> None:
    logged.plan()
    files = objects_of(logged)
    kill_between_two(logged)
    (archived,) = objects_of(logged).keys() - files.keys()
    name = archived.rpartition("/")[2]
    logged.aws.client("s3").put_object(
        Bucket="amplify-v6-agent-loop-dev-scheduled-tasks-logs", Key=f"{ANN}/t/logs/{name}", Body=b"{}"
    )
    files = {key: one for key, one in objects_of(logged).items() if key != archived}
    assert logged.run("migrate", "apply").code == 0
    assert logged.run("rollback").code == 0
    assert objects_of(logged) == files


def test_a_plan_after_a_rollback_tells_nothing_of_what_was_undone(logged: Stage) -> None:
    seeded, files = logged.dump(), objects_of(logged)
    for _ in range(2):
        logged.plan()
        logged.apply()
        assert "rolled back" not in logged.run("migrate", "status").document["states"]
        assert logged.run("rollback").code == 0
        assert (logged.dump(), objects_of(logged)) == (seeded, files)


@pytest.mark.parametrize("then", ["apply", "plan", "rollback"])
def test_killed_after_the_row_and_before_that_is_on_record(logged: Stage, then: str) -> None:
    seeded, files = logged.dump(), objects_of(logged)
    logged.plan()
    context = logged.context()

    def die(**_: Any) -> None:
        if any("data" in row for row in logged.scan(STORAGE)):  # the lease may be there as well
            raise Killed

    context.account.client("dynamodb").meta.events.register_first("before-call.dynamodb.GetItem", die)
    with pytest.raises(Killed):
        run(context, "migrate", "apply")
    assert len(objects_of(logged)) == len(files) + 2, "two logs are archived, the row is written"
    if then != "rollback":
        if then == "plan":
            logged.plan()
        logged.apply()
        logged.verify()
    assert logged.run("rollback").code == 0
    assert logged.dump() == seeded
    assert objects_of(logged) == files


@pytest.mark.parametrize(("fault", "then"), [("refused", "plan"), ("lost", "rollback"), ("row", "plan")])
def test_a_log_that_was_archived_before_a_failure_is_not_forgotten(
    logged: Stage, monkeypatch: pytest.MonkeyPatch, fault: str, then: str
) -> None:
    """The second log is refused, or written and its answer lost, or the row that comes after both is refused."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    seeded, files = logged.dump(), objects_of(logged)
    logged.plan()
    context, puts = logged.context(), []

    def disturb(request: Any, **_: Any) -> Any:
        puts.append(1)
        if len(puts) == 1:
            return None
        return network.reply(request, 403, "AccessDenied") if fault == "refused" else network.lost(request)

    if fault == "row":
        refuse(context, "dynamodb", "PutItem", lambda request: b"user-data-storage" in request.body)
    else:
        context.account.client("s3").meta.events.register_first("before-send.s3.PutObject", disturb)
    assert run(context, "migrate", "apply").code == 1
    assert len(objects_of(logged)) == len(files) + (1 if fault == "refused" else 2)
    if then != "rollback":
        logged.plan()  # the pointer that was held follows
        logged.apply()
        logged.verify()
    assert logged.run("rollback").code == 0
    assert logged.dump() == seeded
    assert objects_of(logged) == files
