"""The tables and buckets of one run: which rows of the catalog exist under which name, and what is unexpected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.exceptions

from wizard.aws import Account
from wizard.aws_errors import ABSENT, code_of, explain
from wizard.catalog.buckets import BUCKETS
from wizard.catalog.model import Table
from wizard.catalog.tables import BY_KEY, TABLES
from wizard.context import Context
from wizard.deployment import Deployment, discover
from wizard.events import Finding
from wizard.inventory import table_names
from wizard.text import plain

USER_DATA = "USER_DATA_STORAGE_TABLE"
CONSOLIDATION = "S3_CONSOLIDATION_BUCKET_NAME"


@dataclass(frozen=True)
class Found:
    """A table of the deployment that exists. `row` None: the catalog does not know it."""

    name: str
    row: Table | None
    rank: int
    arn: str
    table_id: str
    key: tuple[tuple[str, str], ...]  # ((name, type), …), partition key first
    items: int  # DynamoDB's own count, up to six hours old
    size: int  # bytes, as old

    @property
    def key_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.key)


@dataclass(frozen=True)
class Survey:
    """What exists. `names` maps config keys to the names of the tables that take new items."""

    tables: tuple[Found, ...]
    findings: tuple[Finding, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def unseen(self) -> list[str]:
        """Tables that exist and could not be looked at."""
        return [finding.place for finding in self.findings if finding.level == "unknown"]

    def named(self, name: str) -> Found | None:
        return next((found for found in self.tables if found.name == name), None)


def bucket_name(deployment: Deployment, config_key: str) -> str:
    """The name of a bucket of the catalog."""
    row = next(row for row in BUCKETS if row.config_key == config_key)
    return deployment.name(config_key, row.pattern).value


def names_of(deployment: Deployment, row: Table) -> list[str]:
    """The names that a row's table may have: the environment's alone, else the generated one and its alternatives."""
    name = deployment.name(row.config_key, row.pattern)
    return [name.value] if name.source == "environment" else [name.value, *map(deployment.fill, row.also)]


def pointed_at(deployment: Deployment, kind: str, key: Any) -> tuple[str, Any]:
    """(bucket, key) or (table, key) of what a pointer leads to; of a log the row that holds it."""
    if kind == "object":
        return bucket_name(deployment, CONSOLIDATION), key
    place = names_of(deployment, BY_KEY[USER_DATA])[0]
    return place, {name: value for name, value in key.items() if name != "log"}


def describe(account: Account, name: str) -> dict[str, Any] | None:
    """DescribeTable's answer; None when there is no such table."""
    try:
        return dict(account.call("dynamodb", "describe_table", TableName=name)["Table"])
    except botocore.exceptions.ClientError as error:
        if code_of(error) in ABSENT:
            return None
        raise


def table_identity(description: Mapping[str, Any]) -> str:
    """What another table of the same name has not: its TableId, or the time of creation where none is told."""
    return str(description.get("TableId") or description.get("CreationDateTime", ""))


def key_schema(description: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """((name, type), …) of a DescribeTable answer, partition key first."""
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in description["AttributeDefinitions"]}
    parts = sorted(description["KeySchema"], key=lambda entry: entry["KeyType"] != "HASH")
    return tuple((entry["AttributeName"], types[entry["AttributeName"]]) for entry in parts)


def survey(context: Context) -> Survey:
    """Look at every table of the deployment, known and unknown. A table whose key differs is reported, not guessed at."""
    account, deployment = context.account, context.deployment
    existing = set(table_names(account))
    tables: list[Found] = []
    findings: list[Finding] = []
    known: set[str] = set()
    for rank, row in enumerate(TABLES):
        names = names_of(deployment, row)
        known.update(names)
        present = [name for name in names if name in existing]
        if not present and not row.skip:
            findings.append(Finding("note", names[0], "does not exist in this deployment; nothing to do"))
        for name in present:
            found = _look(account, name, row, rank, findings)
            if found is not None:
                tables.append(found)
        if len(present) > 1:
            findings.append(
                Finding("attention", present[0], f"exists beside {present[1]}; both are migrated",
                        "Check which one the services read, and copy the rows of the other.")
            )  # fmt: skip
    others = [dep for dep, _, _ in discover(existing)]
    for name in sorted(existing - known):
        if deployment.owns(name, others):
            found = _look(account, name, None, len(TABLES), findings)
            if found is not None:
                tables.append(found)
                findings.append(
                    Finding("attention", name, "is not in the catalog; searched for old ids, never changed")
                )
    return Survey(tuple(tables), tuple(findings), {t.row.config_key: t.name for t in tables if t.row is not None})


def _look(account: Account, name: str, row: Table | None, rank: int, findings: list[Finding]) -> Found | None:
    try:
        description = describe(account, name)
    except botocore.exceptions.ClientError as error:
        findings.append(
            Finding("unknown", name, f"could not be looked at: {explain(error)}", "Grant dynamodb:DescribeTable.")
        )
        return None
    if description is None:
        findings.append(Finding("attention", name, "is gone; left alone in this run", "Plan again if it comes back."))
        return None
    if (state := description.get("TableStatus")) not in ("ACTIVE", "UPDATING"):  # being restored, or its key is gone
        findings.append(
            Finding("unknown", name, f"is {state}; left alone in this run", "Plan again once it is active.")
        )
        return None
    key = key_schema(description)
    if row is not None and key != row.key.schema and not row.skip:
        shown = plain(", ".join(f"{part} {kind}" for part, kind in key), 200)
        wanted = ", ".join(f"{part} {kind}" for part, kind in row.key.schema)
        findings.append(
            Finding("attention", name, f"has the key ({shown}) where ({wanted}) is expected; skipped",
                    "Tell the developers of this program which release deploys it.")
        )  # fmt: skip
        return None
    return Found(
        name, row, rank, description.get("TableArn", ""), table_identity(description), key,
        int(description.get("ItemCount") or 0), int(description.get("TableSizeBytes") or 0),
    )  # fmt: skip
