"""`amplify-migrate storage backup | import` and `backup create | show | waive`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import botocore.exceptions

from wizard import endpoint, recovery, storage, users
from wizard.aws_errors import AWS_ERRORS, code_of, explain
from wizard.backup_files import DATA
from wizard.catalog.model import Ids
from wizard.catalog.tables import BY_KEY
from wizard.context import Context
from wizard.errors import BadInput, Blocked, Failed
from wizard.gate import Preview
from wizard.import_sources import Source, open_source
from wizard.journey import Outcome
from wizard.migration.ledger import Ledger
from wizard.migration.rewrite import rewrite
from wizard.progress_facts import IMPORT_MAP, WAIVERS
from wizard.storage_import import Imported, import_rows, unchanged
from wizard.text import plain, plural
from wizard.wire import Item

log = logging.getLogger(__name__)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the `storage` and `backup` commands."""
    group = commands.add_parser("storage", help="user storage: backup and import", description="Steps 4a and 4d.")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)

    backup = actions.add_parser("backup", parents=[common], help="save every row of a table in a file, and verify it")
    backup.add_argument(
        "--table", metavar="NAME", nargs="+", default=[],
        help="tables to save (default: the old user storage, and each table with rows that goes with basic-ops' stack)",
    )  # fmt: skip
    backup.add_argument(
        "--output", metavar="FILE", type=Path,
        help="NAME.json.gz for one table, or a folder in which each has its file (default: in the workspace)",
    )  # fmt: skip
    backup.set_defaults(run=run_backup)

    importing = actions.add_parser("import", parents=[common], help="put saved rows into the new user storage table")
    importing.add_argument(
        "file", metavar="FILE", type=Path, help="a backup, the folder of a DynamoDB export, or the old script's CSV"
    )
    importing.add_argument("--csv-file", metavar="MAP", type=Path, help="a user map: rows go to their new key at once")
    importing.add_argument("--table", metavar="NAME", help="the table to import into (default: the new user storage)")
    importing.add_argument("--dry-run", action="store_true", help="say what would be written, write nothing")
    importing.set_defaults(run=run_import, effect="write", preview=Preview(run_import, idle=_writes_nothing))

    group = commands.add_parser("backup", help="recovery of the tables that the plan changes", description="Step 6b'.")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)

    create = actions.add_parser("create", parents=[common], help="make every table of the plan recoverable")
    create.add_argument(
        "--on-demand", action="store_true", help="an on-demand backup of each, instead of point-in-time recovery"
    )
    create.set_defaults(run=run_create, effect="write", announce=_before_create)
    show = actions.add_parser("show", parents=[common], help="how each table of the plan can be brought back")
    show.set_defaults(run=run_show)
    waive = actions.add_parser("waive", parents=[common], help="do without recovery of these tables, by name")
    waive.add_argument("tables", metavar="NAME", nargs="+", help="tables that may not be brought back")
    waive.set_defaults(run=run_waive)
    for parser in (create, show):
        parser.add_argument(
            "--table", metavar="NAME", nargs="+", default=[], help="default: those of the plan, else of the deployment"
        )


# --- storage ----------------------------------------------------------------------------------------------------------


def run_backup(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Save tables one after another, each in a file of its own. Where there is nothing to save: 0."""
    tables: list[str] = list(dict.fromkeys(arguments.table)) or _going(context)
    if not tables:
        old = storage.old_table(context.deployment)
        text = f"{old} does not exist, and no table with rows goes with basic-ops: nothing to save, go on with step 4b."
        return Outcome(0, text, {"backups": []})
    output: Path | None = arguments.output
    one_file = output is not None and not output.is_dir() and output.name.endswith(DATA)
    if one_file and len(tables) > 1:
        raise BadInput(
            f"--output {output} is one file, and {len(tables)} tables are to be saved ({', '.join(tables)}): give a"
            " folder, or name one table with --table."
        )
    if output is not None and not one_file and output.exists() and not output.is_dir():
        raise BadInput(f"--output {output} is neither a folder nor a name that ends in {DATA}: give one of them.")
    made, failed = [], list[str]()
    for table in tables:
        try:
            made.append(
                storage.back_up(context, table, output if one_file else None, folder=None if one_file else output)
            )
        except (Failed, *AWS_ERRORS) as error:
            if len(tables) == 1:
                raise
            failed.append(f"{table}: NOT saved: {error if isinstance(error, Failed) else explain(error)}")
            log.error("%s", failed[-1])
    if context.workspace.ledger.exists():
        with Ledger(context.workspace.ledger) as ledger:
            for backup in made:
                ledger.set_backup(
                    backup.manifest.table,
                    {"kind": "file", "arn": str(backup.path), "restorable": backup.manifest.verified},
                )
    lines = [
        f"{backup.manifest.table}: {plural(backup.manifest.rows, 'row')} saved and verified, {backup.path}"
        for backup in made
    ]
    if len(made) > 1:
        rows = sum(backup.manifest.rows for backup in made)
        lines.append(f"{plural(rows, 'row')} of {len(made)} tables saved, read back and equal.")
    documents = [
        {
            "table": backup.manifest.table,
            "rows": backup.manifest.rows,
            "file": str(backup.path),
            "sha256": backup.manifest.sha256,
            "digest": backup.manifest.digest,
            "verified": backup.manifest.verified,
        }
        for backup in made
    ]
    return Outcome(1 if failed else 0, "\n".join([*lines, *failed]), {"backups": documents, "failed": failed})


def _going(context: Context) -> list[str]:
    """The old user storage table if there is one, and every table with rows that goes with basic-ops' stack."""
    old = storage.old_table(context.deployment)
    there = [old] if storage.describe(context.account, old) is not None else []
    return list(dict.fromkeys([*there, *endpoint.tables_with_rows(context)]))


def _writes_nothing(details: Mapping[str, Any]) -> bool:
    return not details["counts"]["written"] + details["counts"]["replaced"]


def run_import(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Import a file: 1 when a row was refused, 0 otherwise; clashes are listed, the newer row stays."""
    source = open_source(arguments.file)
    table = arguments.table or _target(context, source)
    transform = _mapping(arguments.csv_file) if arguments.csv_file else unchanged
    if arguments.csv_file and not arguments.dry_run:
        context.workspace.remember({IMPORT_MAP: str(arguments.csv_file.absolute())})
    done = import_rows(context, source, table, transform, dry_run=arguments.dry_run)
    details = {**done.record(), "dry_run": arguments.dry_run, "source": source.kind, "file": str(source.path)}
    return Outcome(1 if done.counts["failed"] else 0, _told(done, arguments.dry_run), details)


def _target(context: Context, source: Source) -> str:
    """The new user storage table; a file that says it is of another table or account needs `--table`."""
    old, new = storage.old_table(context.deployment), storage.new_table(context.deployment)
    if source.table not in ("", old, new):
        raise BadInput(f"{source.path} is of the table {plain(source.table)}: say with --table where its rows go.")
    if source.account not in ("", context.account.id):
        raise BadInput(
            f"{source.path} is of account {plain(source.account)}, this is {context.account.id}: if its rows belong here"
            " all the same, say with --table where they go."
        )
    return new


def _mapping(path: Path) -> Callable[[Item], Item]:
    """Each row under its mapped key, by the same rewriting as the plan's."""
    user_map, complaints = users.check_file(path)
    if errors := [complaint for complaint in complaints if complaint.level == "error"]:
        raise Blocked(
            f"{path} has {plural(len(errors), 'error')}, the first in line {errors[0].line}: {errors[0].text}"
            f" `amplify-migrate users check {path}` shows them all."
        )
    ids = Ids(user_map.ids)
    row = BY_KEY["USER_DATA_STORAGE_TABLE"]
    return lambda item: rewrite(row, item, ids).item


def _told(done: Imported, dry_run: bool) -> str:
    counts = done.counts
    would = "would be " if dry_run else ""
    lines = [
        f"{done.table}: of {plural(done.rows, 'row')} {counts['written']:,} {would}written,"
        f" there already: {counts['present']:,}."
    ]
    if counts["kept"]:
        lines.append(
            f"{plural(counts['kept'], 'row clashes', 'rows clash')} with one that is as new or newer and stays."
        )
    if counts["replaced"]:
        saved = f" (saved to {done.replaced_rows})" if done.replaced_rows else ""
        lines.append(f"{plural(counts['replaced'], 'row')} {would}put in the place of an older one{saved}.")
    if counts["failed"]:
        lines.append(
            f"{plural(counts['failed'], 'row')} could not be written; run the import again when the cause is mended."
        )
    lines += [f"  {note.verdict}: {note.key} ({plain(note.why, 200)})" for note in done.notes[:20]]
    if len(done.notes) > 20:
        lines.append("  … the log and --json list more")
    return "\n".join([*lines, *(f"  lost: {line}" for line in done.lost)])


# --- backup -----------------------------------------------------------------------------------------------------------


def run_show(arguments: argparse.Namespace, context: Context) -> Outcome:
    """How each table can be brought back; findings do not change the status."""
    return _recovery(recovery.show(context, _tables(arguments, context)), 0)


def _before_create(arguments: argparse.Namespace, context: Context) -> Sequence[str]:
    tables = plural(len(_tables(arguments, context)), "table")
    what = "will each be backed up" if arguments.on_demand else "will have point-in-time recovery, where it is off"
    return (f"{tables} {what}.",)


def run_create(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Make tables recoverable and note it in the ledger: 1 when one of them is not."""
    found = recovery.create(context, _tables(arguments, context), "backup" if arguments.on_demand else "pitr")
    recovery.remember(context, found)
    return _recovery(found, 1)


def run_waive(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Remember in the workspace that the operator does without recovery of these tables; the account is not touched."""
    named = arguments.tables
    if unknown := [name for name in named if not _is_table(context, name)]:
        raise BadInput(
            f"There is no table {', '.join(map(plain, unknown))} in {context.region}; `amplify-migrate backup show` names"
            " those of the plan."
        )
    waived = context.workspace.remember(lambda known: {WAIVERS: sorted({*known.get(WAIVERS, []), *named})})[WAIVERS]
    return Outcome(0, f"Done without by choice: {plain(', '.join(waived))}.", {"waived": waived})


def _is_table(context: Context, name: str) -> bool:
    try:
        return storage.describe(context.account, name) is not None
    except botocore.exceptions.ClientError as error:
        if code_of(error) != "ValidationException":  # no name that a table can have
            raise
        return False


def _tables(arguments: argparse.Namespace, context: Context) -> list[str]:
    tables: list[str] = arguments.table or recovery.tables_of(context)
    if not tables:
        raise Blocked(f"No table of {context.deployment.label} was found: check --dep-name, --stage and --region.")
    return tables


def _recovery(found: list[recovery.Recovery], code: int) -> Outcome:
    unsafe = [entry for entry in found if not entry.safe]
    kinds = {"pitr": "point-in-time recovery", "backup": "on-demand backup", "none": "NONE", "failed": "FAILED"}
    times = {"pitr": "restorable to", "backup": "of"}
    lines = [
        f"{entry.place}: {kinds[entry.kind]}" + (f", {times[entry.kind]} {entry.restorable}" if entry.restorable else "")
        + (f" ({plain(entry.note, 200)})" if entry.note else "")
        for entry in (*unsafe, *(entry for entry in found if entry.safe))  # what lacks recovery must not be searched for
    ]  # fmt: skip
    total = f"{len(found) - len(unsafe):,} of {plural(len(found), 'table')} can be brought back."
    if unsafe:
        total = f"{total[:-1]}, {len(unsafe):,} cannot."
    return Outcome(code if unsafe else 0, "\n".join([*lines, total]), {"tables": recovery.records(found)})
