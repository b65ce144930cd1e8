"""Recovery of the tables that a plan changes: point-in-time recovery, or an on-demand backup of each.

Both restore to a *new* table only, without its tags, streams and expiry (DynamoDB, "Restoring a table"): they are the
last resort; `rollback` undoes an apply in place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import botocore.exceptions

from wizard.aws_errors import ABSENT, code_of, explain
from wizard.context import Context
from wizard.events import Finding, Progress
from wizard.inventory import own_names, table_names
from wizard.migration.ledger import Ledger
from wizard.parallel import each

log = logging.getLogger(__name__)

How = Literal["pitr", "backup"]
KINDS = {"pitr": "point-in-time recovery", "backup": "on-demand backup", "none": "no recovery"}
NAME = "amplify-migrate-"  # on-demand backups of ours begin with it; a time follows
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Recovery:
    """How one table can be brought back.

    `kind` is "pitr", "backup" (an on-demand backup of ours), "none", or "failed" (then `note` says why). `arn` is the
    backup's, or the table's with point-in-time recovery; `earliest` and `restorable` are ISO 8601 in UTC.
    """

    place: str
    kind: str
    arn: str = ""
    earliest: str = ""
    restorable: str = ""
    note: str = ""

    @property
    def safe(self) -> bool:
        return self.kind in ("pitr", "backup")


def tables_of(context: Context) -> list[str]:
    """The tables that the workspace's plan changes and that exist; before there is a plan, all of the deployment."""
    names = table_names(context.account)
    existing = own_names(context.deployment, names)
    if not context.workspace.ledger.exists():
        return existing
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        planned = {str(row["place"]) for row in ledger.table_counts() if row["kind"] != "object"}
    return [name for name in names if name in planned] if planned else existing


def show(context: Context, tables: Iterable[str]) -> list[Recovery]:
    """How each table can be brought back now, in the order given; a table that cannot be looked at is "failed"."""
    return _side_by_side(context, tables, lambda table: look(context, table))


def create(context: Context, tables: Iterable[str], how: How = "pitr") -> list[Recovery]:
    """Switch point-in-time recovery on where it is off, or make an on-demand backup of every table, and look again.

    One table's failure stops no other; it is "failed" with the reason.
    """
    if context.account.read_only:
        return show(context, tables)
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"

    def secure(table: str) -> Recovery:
        if how == "pitr":
            return _switch_on(context, table)
        return _back_up(context, table, NAME + stamp)

    return _side_by_side(context, tables, secure)


def findings(found: Iterable[Recovery]) -> list[Finding]:
    """Attention for each table that could not be brought back; it never blocks by itself."""
    return [
        Finding(
            "attention", entry.place, "has neither point-in-time recovery nor a backup of ours", "Run `backup create`."
        )
        if entry.kind == "none"
        else Finding("unknown", entry.place, f"its recovery could not be seen: {entry.note}")
        for entry in found
        if not entry.safe
    ]


def records(found: Iterable[Recovery]) -> list[dict[str, Any]]:
    """As JSON documents, one per table: {"place", "kind", "arn", "earliest", "restorable", "note"}."""
    return [asdict(entry) for entry in found]


def remember(context: Context, found: Iterable[Recovery]) -> None:
    """Write what is safe to the ledger, so that the plan's safeguard and the report know it."""
    with Ledger(context.workspace.ledger) as ledger:
        note(ledger, found)


def note(ledger: Ledger, found: Iterable[Recovery]) -> None:
    """Write what is safe to an open ledger; of a table that was changed already, what was noted before stays."""
    changed = ledger.counts("target_place", "state IN ('applied', 'verified', 'cleaned')")
    for entry in found:
        if entry.safe and not (entry.place in changed and entry.place in ledger.backups()):
            ledger.set_backup(entry.place, asdict(entry))


def _side_by_side(context: Context, tables: Iterable[str], function: Callable[[str], Recovery]) -> list[Recovery]:
    names = list(tables)
    found: dict[str, Recovery] = {}

    def careful(table: str) -> Recovery:
        try:
            return function(table)
        except botocore.exceptions.ClientError as error:
            why = (
                "the table does not exist" if code_of(error) in {*ABSENT, "TableNotFoundException"} else explain(error)
            )
            return Recovery(table, "failed", note=why)

    for table, entry in each(careful, names, workers=min(8, context.workers), control=context.control):
        found[table] = entry
        log.info("%s: %s", table, entry.note or KINDS.get(entry.kind, entry.kind))
        context.feed.emit(Progress("recovery", len(found), len(names), "tables"))
    return [found[name] for name in names]


def look(context: Context, table: str) -> Recovery:
    """Point-in-time recovery of a table, else its newest on-demand backup of ours, else none."""
    answer = context.account.call("dynamodb", "describe_continuous_backups", TableName=table)
    state = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if state.get("PointInTimeRecoveryStatus") == "ENABLED":
        earliest, latest = (_iso(state.get(f"{edge}RestorableDateTime")) for edge in ("Earliest", "Latest"))
        return Recovery(table, "pitr", _table_arn(context, table), earliest, latest)
    backups = [
        backup
        for page in context.account.pages("dynamodb", "list_backups", TableName=table, BackupType="USER")
        for backup in page["BackupSummaries"]
        if backup["BackupName"].startswith(NAME) and backup["BackupStatus"] == "AVAILABLE"
    ]
    if not backups:
        return Recovery(table, "none", note="neither point-in-time recovery nor a backup of ours")
    newest = max(backups, key=lambda backup: backup["BackupCreationDateTime"])
    made = _iso(newest["BackupCreationDateTime"])
    return Recovery(table, "backup", newest["BackupArn"], made, made)


def _switch_on(context: Context, table: str) -> Recovery:
    before = look(context, table)
    if before.kind == "pitr":
        return before
    context.account.call(
        "dynamodb",
        "update_continuous_backups",
        TableName=table,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    return look(context, table)


def _back_up(context: Context, table: str, name: str) -> Recovery:
    details = context.account.call("dynamodb", "create_backup", TableName=table, BackupName=name)["BackupDetails"]
    while details["BackupStatus"] == "CREATING":
        context.control.sleep(POLL_SECONDS)
        answer = context.account.call("dynamodb", "describe_backup", BackupArn=details["BackupArn"])
        details = answer["BackupDescription"]["BackupDetails"]
    if details["BackupStatus"] != "AVAILABLE":
        return Recovery(table, "failed", details["BackupArn"], note=f"the backup is {details['BackupStatus']}")
    made = _iso(details["BackupCreationDateTime"])
    return Recovery(table, "backup", details["BackupArn"], made, made)


def _table_arn(context: Context, table: str) -> str:
    return str(context.account.call("dynamodb", "describe_table", TableName=table)["Table"]["TableArn"])


def _iso(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else ""
