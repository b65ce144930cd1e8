"""Backup of the user storage table, or of any other: every item, lossless, verified against the table.

Rows go from a consistent scan to gzip JSON lines page by page; what is remembered is a count and a sum of digests.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.exceptions

from wizard import __version__, backup_files
from wizard.aws import Account
from wizard.aws_errors import ABSENT, code_of
from wizard.backup_files import DATA, MANIFEST, Manifest, Tally
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.errors import BadInput, Blocked, Failed
from wizard.events import Progress
from wizard.migration.scan import is_lock
from wizard.text import plural
from wizard.workspace import Workspace, make_private

log = logging.getLogger(__name__)

# What describe_table says that create_table takes, so that a table which died with its stack can be made again.
_DEFINITION = ("TableName", "AttributeDefinitions", "KeySchema")
_INDEX = ("IndexName", "KeySchema", "Projection")


@dataclass(frozen=True)
class Backup:
    """A complete backup: its data file and what it holds."""

    path: Path
    manifest: Manifest


def old_table(deployment: Deployment) -> str:
    """The user storage table of basic-ops, which dies with its stack."""
    return deployment.name("OLD_USER_STORAGE_TABLE", "amplify-{dep}-lambda-basic-ops-{stage}-user-storage").value


def new_table(deployment: Deployment) -> str:
    """The table of amplify-lambda that takes its place."""
    return deployment.name("USER_DATA_STORAGE_TABLE", "amplify-{dep}-lambda-{stage}-user-data-storage").value


def describe(account: Account, table: str) -> dict[str, Any] | None:
    """The description of a table; None when there is no such table."""
    try:
        found: dict[str, Any] = account.call("dynamodb", "describe_table", TableName=table)["Table"]
    except botocore.exceptions.ClientError as error:
        if code_of(error) in ABSENT:
            return None
        raise
    return found


def key_names(description: dict[str, Any]) -> list[str]:
    """Names of the key attributes, hash first."""
    return [part["AttributeName"] for part in sorted(description["KeySchema"], key=lambda part: part["KeyType"])]


def definition(description: dict[str, Any]) -> dict[str, Any]:
    """Parameters for `create_table` that make a like table, on demand."""
    made: dict[str, Any] = {name: description[name] for name in _DEFINITION} | {"BillingMode": "PAY_PER_REQUEST"}
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        if indexes := description.get(kind):
            made[kind] = [{name: index[name] for name in _INDEX} for index in indexes]
    return made


def has_rows(account: Account, table: str) -> bool:
    """Whether a table exists and holds anything: pages of one until the first row, as a page may be empty."""
    try:
        return any_row(account, table)
    except botocore.exceptions.ClientError as error:
        if code_of(error) in ABSENT:
            return False
        raise


def any_row(account: Account, table: str) -> bool:
    """Whether a table that exists holds a row besides our own lock."""
    pages = account.pages("dynamodb", "scan", TableName=table, Limit=1, ConsistentRead=True)
    return any(not is_lock(item) for page in pages for item in page["Items"])


def tally_of(context: Context, table: str) -> Tally:
    """Count and digest of what the table holds now."""
    tally = Tally()
    for page in context.account.pages("dynamodb", "scan", TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            if not is_lock(item):
                tally.add(item)
        context.feed.emit(Progress(table, tally.rows, phase="verify"))
    return tally


def back_up(context: Context, table: str, output: Path | None = None, *, folder: Path | None = None) -> Backup:
    """Save every item of a table and verify it; the file is complete and verified, or Failed says what is wrong.

    `output` is the data file (`NAME.json.gz`); without it a file named for table and time is made in `folder`, by
    default the workspace's. BadInput without the table.
    """
    description = describe(context.account, table)
    if description is None:
        raise BadInput(f"There is no table {table} in {context.region}; `amplify-migrate deployment` lists them.")
    now = datetime.now(UTC)
    path = output or (folder or context.workspace.backups) / f"{table}-{now:%Y%m%dT%H%M%S%fZ}{DATA}"
    if not path.name.endswith(DATA):
        raise BadInput(f"{path}: a backup is gzip JSON lines; give a name that ends in {DATA}.")
    if path.exists():
        raise BadInput(f"{path} exists already; a backup never overwrites another. Give another --output.")
    total = int(description.get("ItemCount") or 0) or None  # AWS counts every six hours only
    try:
        if folder is not None:
            make_private(folder)
        with backup_files.writing(path) as writer:
            for page in context.account.pages("dynamodb", "scan", TableName=table, ConsistentRead=True):
                for item in page["Items"]:
                    if not is_lock(item):
                        writer.write(item)
                context.feed.emit(Progress(table, writer.tally.rows, total, phase="backup"))
        manifest = Manifest(
            account=context.account.id,
            region=context.region,
            table=table,
            table_id=str(description.get("TableId", "")),
            key=key_names(description),
            definition=definition(description),
            rows=writer.tally.rows,
            digest=writer.tally.digest,
            sha256=writer.sha256,
            file=path.name,
            time=now.isoformat(timespec="seconds"),
            program=f"amplify-migrate {__version__}",
        )
        backup_files.write_manifest(path, manifest)
    except OSError as error:
        raise Failed(f"The backup {path} cannot be written: {error.strerror}. Give another --output.") from error
    log.info("Saved %s of %s to %s", plural(manifest.rows, "row"), table, path)
    return verify(context, Backup(path, manifest))


def verify(context: Context, backup: Backup) -> Backup:
    """Read a backup back and compare it with the table as it is now; the manifest then says when it was verified.

    BadInput when the file is damaged, Failed when the table has other rows.
    """
    read = backup_files.check(backup.path, backup.manifest)
    now = tally_of(context, backup.manifest.table)
    if read != now:
        raise Failed(
            f"{backup.manifest.table} changed while it was saved: {read.rows:,} rows are in {backup.path},"
            f" {now.rows:,} in the table now. Stop what writes to it and back it up again."
        )
    verified = replace(backup.manifest, verified=datetime.now(UTC).isoformat(timespec="seconds"))
    backup_files.write_manifest(backup.path, verified)
    if backup.path.parent.resolve() != context.workspace.backups.resolve():
        path = str(backup.path.resolve())
        context.workspace.remember(lambda known: {"backups": [*known.get("backups", []), path]})
    log.info("Verified %s: %s, equal to the table", backup.path.name, plural(verified.rows, "row"))
    return Backup(backup.path, verified)


def backups(workspace: Workspace, table: str) -> list[Backup]:
    """The verified backups of a table that the workspace knows, newest first; damaged manifests are only logged."""
    files = {path.with_name(path.name.removesuffix(MANIFEST) + DATA) for path in workspace.backups.glob(f"*{MANIFEST}")}
    found = []
    for data in files | {Path(path) for path in workspace.settings().get("backups", [])}:
        try:
            manifest = backup_files.read_manifest(backup_files.manifest_path(data))
            if manifest.table == table and manifest.verified and data.is_file():
                found.append(Backup(data, manifest))
        except (BadInput, OSError, ValueError) as error:  # of what settings.json names: no path, or in a closed folder
            log.warning("%s", error)
    return sorted(found, key=lambda backup: backup.manifest.time, reverse=True)


def require_backup(context: Context, table: str) -> Backup | None:
    """The backup that holds exactly what the table holds now, file and table both read; None for a table without rows.

    Blocked, naming step 4a, when there is none.
    """
    if not has_rows(context.account, table):
        return None
    command = f"`amplify-migrate storage backup --table {table}`"
    candidates = backups(context.workspace, table)
    if not candidates:
        raise Blocked(f"{table} has rows and no verified backup in this workspace: do step 4a first ({command}).")
    now = tally_of(context, table)
    for backup in candidates:
        if (backup.manifest.rows, backup.manifest.digest) == (now.rows, now.digest):
            try:
                backup_files.check(backup.path, backup.manifest)
            except BadInput as error:
                raise Blocked(f"{error} Do step 4a again ({command}).") from error
            return backup
    raise Blocked(
        f"{table} changed since it was backed up ({candidates[0].manifest.rows:,} rows then, {now.rows:,} now):"
        f" do step 4a again ({command})."
    )
