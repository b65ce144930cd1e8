"""What a deployment would do to the tables that stand: replace, delete, or be refused over one.

CloudFormation replaces a table whose name changes under the same logical id: it creates an empty one and deletes the
old one with its rows. It deletes what a template no longer defines, unless that says otherwise, and refuses to create a
table that exists, or to give one other keys while it keeps its name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import botocore.exceptions

from wizard import storage
from wizard.aws_errors import ABSENT, code_of
from wizard.checkout import Service
from wizard.context import Context
from wizard.events import Finding
from wizard.serverless_yaml import TableName
from wizard.text import plain, plural

FRESH = timedelta(days=1)  # services go on writing, so that an older backup lacks what a deployment would delete


@dataclass(frozen=True)
class Renamed:
    """A deployed table that a deployment would replace by one called `planned`.

    `rows` is whether the deployed table has any; `exists` whether there is a table of the planned name already;
    `saved` the ARN or file of its newest backup, or "" when that is older than `FRESH`.
    """

    service: Service
    table: TableName
    deployed: str
    rows: bool
    exists: bool
    saved: str

    @property
    def blocks(self) -> bool:
        """Whether rows would be lost."""
        return self.rows and not self.saved and not self.table.retained

    def finding(self) -> Finding:
        planned, place = plain(self.table.name), f"{self.service.file}:{self.table.line}"
        text = (
            f"Deploying would replace the table {self.deployed} by {planned}, as both are {self.table.logical_id} of"
            f" the stack {self.service.stack}"
        )
        if not self.rows:
            return Finding("attention", place, f"{text}; {self.deployed} is empty.")
        text += (
            "; the old one stays, with its rows" if self.table.retained else "; the old one is deleted with its rows"
        )
        text += f". A table {planned} exists already, so that the deployment fails" if self.exists else ""
        keep = f"Keep the name: write {self.deployed} in {place} and where its variable is defined, then populate again"
        save = f"or back it up (amplify-migrate backup create --on-demand --table {self.deployed}; a backup counts for a day)"
        copy = f"Copy its rows to {planned} where that has none of the same key"
        if not self.blocks:
            how = f" (its backup {self.saved} is safe)" if self.saved else ""
            return Finding("attention", place, f"{text}{how}.", f"{copy}, once both exist.")
        return Finding("blocked", place, f"{text}.", f"{keep}, {save}. {copy} afterwards.")


@dataclass
class Changes:
    """What would become of one service's tables."""

    renamed: list[Renamed] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def compare(context: Context, service: Service, known: Mapping[str, str], existing: Collection[str]) -> Changes:
    """The tables of a service's stack beside those that its file defines.

    Args:
        known: answers for `ssm:` references, which table names may be.
        existing: the names of all tables of the account.
    """
    changes, deployed = Changes(), deployed_tables(context, service.stack)
    if not service.definition.whole:
        if deployed:
            text = (
                f"Its resources come from other files, so that its {plural(len(deployed), 'table')} were not compared."
            )
            todo = "Compare their names by hand before deploying."
            changes.findings.append(Finding("attention", service.file, text, todo))
        return changes
    planned = {table.logical_id: table for table in service.definition.answered(known).tables()}
    for logical_id, name in sorted(deployed.items()):
        table = planned.get(logical_id)
        if table is None:
            changes.findings.append(_vanishing(context, service, logical_id, name))
        elif not table.name:
            text = f"Whether {name} would keep its name cannot be told: {plain(table.unresolved, 120)}."
            place = f"{service.file}:{table.line}"
            changes.findings.append(Finding("attention", place, text, "Compare it by hand."))
        elif table.name != name:
            changes.renamed.append(_renamed(context, service, table, name))
        elif table.key and (key := _key(context, name)) and key != table.key:
            changes.findings.append(_other_key(service, table, key))
    for logical_id, table in planned.items():
        if logical_id not in deployed and table.name in existing:
            changes.findings.append(_taken(service, table, deployed))
    return changes


def deployed_tables(context: Context, stack: str) -> dict[str, str]:
    """Logical id -> name of the tables of a stack; {} when it is not deployed."""
    try:
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in context.account.pages("cloudformation", "list_stack_resources", StackName=stack)
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == "AWS::DynamoDB::Table" and resource.get("PhysicalResourceId")
        }
    except botocore.exceptions.ClientError as error:
        if code_of(error) != "ValidationError":  # which is how CloudFormation says that it does not exist
            raise
        return {}


def _renamed(context: Context, service: Service, table: TableName, deployed: str) -> Renamed:
    rows = _has_rows(context, deployed)
    saved = _saved(context, deployed) if rows else ""
    return Renamed(service, table, deployed, bool(rows), _has_rows(context, table.name) is not None, saved)


def _saved(context: Context, table: str) -> str:
    """The newest backup of a table that is fresh: an on-demand one of DynamoDB, or a verified file of this workspace."""
    answer = context.account.call("dynamodb", "list_backups", TableName=table)
    found = {
        one["BackupCreationDateTime"]: one["BackupArn"]
        for one in answer["BackupSummaries"]
        if one["BackupStatus"] == "AVAILABLE"
    }
    found |= {
        datetime.fromisoformat(one.manifest.time): str(one.path) for one in storage.backups(context.workspace, table)
    }
    newest = max(found, default=None)
    return found[newest] if newest is not None and datetime.now(UTC) - newest <= FRESH else ""


def _has_rows(context: Context, table: str) -> bool | None:
    """Whether a table has any row; None when there is no such table."""
    try:
        return storage.any_row(context.account, table)
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ABSENT:
            raise
        return None


def _key(context: Context, table: str) -> tuple[str, ...]:
    """The attributes of a table's key, hash first; () when there is no such table."""
    try:
        schema = context.account.call("dynamodb", "describe_table", TableName=table)["Table"]["KeySchema"]
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ABSENT:
            raise
        return ()
    return tuple(part["AttributeName"] for part in sorted(schema, key=lambda part: str(part["KeyType"])))


def _vanishing(context: Context, service: Service, logical_id: str, name: str) -> Finding:
    gone = f"The table {name} ({logical_id}) is no longer defined: deploying deletes it"
    rows = _has_rows(context, name)
    if not rows:
        empty = "it is empty" if rows is False else "there is no such table any more"
        return Finding("attention", service.file, f"{gone}; {empty}.")
    text = f"{gone} with its rows, unless its DeletionPolicy retains it."
    todo = f"Keep what is needed of it: amplify-migrate storage backup --table {name}"
    return Finding("attention", service.file, text, todo)


def _other_key(service: Service, table: TableName, deployed: tuple[str, ...]) -> Finding:
    text = (
        f"{table.name} has the key {', '.join(deployed)}, and {', '.join(table.key)} in the file: CloudFormation refuses"
        " to replace a table that keeps its name, so that the deployment fails."
    )
    todo = "Take the key that is deployed, or give the new table another name and logical id and copy the rows."
    return Finding("attention", f"{service.file}:{table.line}", text, todo)


def _taken(service: Service, table: TableName, deployed: Mapping[str, str]) -> Finding:
    before = next((logical_id for logical_id, name in deployed.items() if name == table.name), "")
    whose = f"as {before} of the same stack" if before else f"outside of the stack {service.stack}"
    text = f"{table.name} ({table.logical_id}) exists already, {whose}: the deployment fails on it."
    todo = f"Keep the logical id {before}." if before else "Import it into the stack, or save its rows and remove it."
    return Finding("attention", f"{service.file}:{table.line}", text, todo)
