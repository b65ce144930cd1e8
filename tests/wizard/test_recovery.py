"""Recovery of tables: point-in-time recovery switched on where it is off, or a backup of each; recorded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.storage_tables import NEW, OLD, create
from wizard import recovery
from wizard.context import Context
from wizard.migration.ledger import Ledger


@pytest.fixture
def client(aws: Aws) -> Any:
    client = aws.client("dynamodb")
    create(client, OLD)
    create(client, NEW)
    create(client, "another-table")
    return client


def test_point_in_time_recovery_is_switched_on_where_it_is_off(client: Any, context: Context) -> None:
    client.update_continuous_backups(
        TableName=NEW, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    assert [entry.kind for entry in recovery.show(context, [OLD, NEW])] == ["none", "pitr"]
    calls: list[str] = []
    context.account.client("dynamodb").meta.events.register(
        "before-call.dynamodb.UpdateContinuousBackups", lambda params, **_: calls.append(str(params["body"]))
    )
    found = recovery.create(context, [OLD, NEW])
    assert [(entry.place, entry.kind) for entry in found] == [(OLD, "pitr"), (NEW, "pitr")]
    assert len(calls) == 1
    assert all(entry.restorable.endswith("+00:00") and entry.arn.endswith(entry.place) for entry in found)
    assert recovery.show(context, [OLD, NEW])[0].kind == "pitr"


def test_an_on_demand_backup_is_made_and_found_again(client: Any, context: Context) -> None:
    (made,) = recovery.create(context, [OLD], "backup")
    assert made.kind == "backup"
    assert made.arn in {entry["BackupArn"] for entry in client.list_backups(TableName=OLD)["BackupSummaries"]}
    assert recovery.show(context, [OLD]) == [made]


def test_one_tables_failure_stops_no_other(client: Any, context: Context) -> None:
    found = recovery.create(context, ["absent-table", OLD])
    assert [entry.kind for entry in found] == ["failed", "pitr"]
    assert "does not exist" in found[0].note


def test_a_read_only_run_only_shows(client: Any, context: Context) -> None:
    context.account.read_only = True
    assert [entry.kind for entry in recovery.create(context, [OLD])] == ["none"]


def test_without_a_plan_the_tables_are_the_deployments(client: Any, context: Context) -> None:
    assert sorted(recovery.tables_of(context)) == sorted([OLD, NEW])


def test_the_ledger_remembers_what_is_safe(client: Any, context: Context) -> None:
    found = recovery.create(context, [OLD, "absent-table"])
    recovery.remember(context, found)
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        assert ledger.backups() == {OLD: recovery.records(found)[0]}
