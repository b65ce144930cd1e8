"""Step 3: what the service definitions would do to a deployment that still has basic-ops and its tables.

Two things stop a deployment: an output of basic-ops that something still reads, and a table that has another name
under the same logical id. CloudFormation replaces such a table: it creates an empty one and deletes the old one with
its rows (`chat-usage` becomes `chat-usages` in one release and `chat-usage` again in the next).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import botocore.exceptions

from wizard import parameters
from wizard.aws import ABSENT, code_of
from wizard.checkout import Checkout, Service, read_text
from wizard.context import Context
from wizard.errors import BadInput
from wizard.events import Finding
from wizard.facts import Fact
from wizard.journey import Outcome
from wizard.parallel import each
from wizard.parameter_plan import readers, wanted
from wizard.serverless_variables import Unanswered
from wizard.serverless_yaml import TableName
from wizard.text import plain, plural
from wizard.yaml_nodes import compose, scalars

COMPOSE = "serverless-compose.yml"
_BASIC_OPS = "basic-ops"
_TODO = "Take the serverless.yml of the new release, which reads Parameter Store: `${ssm:/amplify/${sls:stage}/…}`."
_COMPOSE_OUTPUT = re.compile(r"\$\{[^}:]*basic-ops\.[^}]*\}")  # `${amplify-lambda-basic-ops.Output}`


@dataclass(frozen=True)
class Renamed:
    """A deployed table that a deployment would replace by one called `planned`.

    `rows` is whether the deployed table has any; `exists` whether there is a table of the planned name already;
    `saved` the ARN of its newest backup, or "".
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
        save = f"or back it up (aws dynamodb create-backup --table-name {self.deployed} --backup-name before-rename)"
        copy = f"Copy its rows to {planned} where that has none of the same key"
        if not self.blocks:
            how = f" (its backup {self.saved} is safe)" if self.saved else ""
            return Finding("attention", place, f"{text}{how}.", f"{copy}, once both exist.")
        return Finding("blocked", place, f"{text}.", f"{keep}, {save}. {copy} afterwards.")


@dataclass(frozen=True)
class Definitions:
    """What step 3 found. `basic_ops` are the places (`file:line`) that read basic-ops."""

    basic_ops: tuple[str, ...]
    renamed: tuple[Renamed, ...]
    findings: tuple[Finding, ...]

    @property
    def blocking(self) -> list[str]:
        """The deployed tables whose rows a deployment would delete."""
        return [one.deployed for one in self.renamed if one.blocks]


def inspect(context: Context) -> Definitions:
    """Read the checkout, and the stacks that are deployed. Raises BadInput without a checkout."""
    checkout = parameters.load(context)
    findings = [one for one in checkout.findings if one.level == "blocked"]
    places = _reads_basic_ops(checkout, findings)
    findings += [
        Finding("blocked", place, f"It reads {plain(text, 120)}, which goes with basic-ops.", _TODO)
        for place, text in places
    ]
    entries = wanted(checkout, context.deployment, readers(checkout))
    known = {f"ssm:{entry.path}": entry.value for entry in entries if entry.value and not entry.refused}
    renamed: list[Renamed] = []
    deployed = each(
        lambda service: _deployed_tables(context, service.stack),
        checkout.services, workers=max(1, min(8, context.workers)), control=context.control,
    )  # fmt: skip
    for service, tables in sorted(deployed, key=lambda pair: pair[0].directory):
        if tables and not service.definition.whole:
            text = f"Its resources come from other files, so that its {plural(len(tables), 'table')} were not compared."
            findings.append(Finding("attention", service.file, text, "Compare their names by hand before deploying."))
            continue
        planned = {table.logical_id: table for table in service.definition.answered(known).tables()}
        for logical_id, name in sorted(tables.items()):
            table = planned.get(logical_id)
            if table is None:
                findings.append(_vanishing(service, logical_id, name))
            elif not table.name:
                text = f"Whether {name} would keep its name cannot be told: {plain(table.unresolved, 120)}."
                findings.append(Finding("attention", f"{service.file}:{table.line}", text, "Compare it by hand."))
            elif table.name != name:
                renamed.append(_renamed(context, service, table, name))
    findings += [one.finding() for one in renamed]
    return Definitions(tuple(place for place, _ in places), tuple(renamed), tuple(findings))


def check(context: Context) -> Outcome:
    """`services check`: everything found, 0 whatever it is, as findings of a check never change the status."""
    found = inspect(context)
    for finding in found.findings:
        if finding.level != "blocked":  # those are what the outcome itself says
            context.feed.emit(finding)
    signs = {"blocked": "✗", "attention": "!"}
    lines = [f"{signs.get(one.level, '·')} {one.place}: {one.text} {one.todo}".rstrip() for one in found.findings]
    lines.append(_summary(found))
    details = {
        "basic_ops": list(found.basic_ops),
        "renamed": [
            {"table": one.deployed, "planned": one.table.name, "place": f"{one.service.file}:{one.table.line}",
             "rows": one.rows, "backup": one.saved, "blocks": one.blocks}
            for one in found.renamed
        ],
        "findings": [{"level": f.level, "place": f.place, "text": f.text, "todo": f.todo} for f in found.findings],
    }  # fmt: skip
    return Outcome(0, "\n".join(lines), details)


def fact(context: Context) -> Fact:
    """Preflight's view of step 3."""
    found = inspect(context)
    blocked = any(one.level == "blocked" for one in found.findings)
    return Fact(
        "definitions",
        "blocked" if blocked else "attention" if found.findings else "ok",
        "Service definitions",
        _summary(found),
        "Step 3 names each place and the way out." if found.findings else "",
        {"root": True, "basic_ops": list(found.basic_ops), "renamed": found.blocking},
    )


def _summary(found: Definitions) -> str:
    parts = []
    if found.basic_ops:
        parts.append(f"{plural(len(found.basic_ops), 'place')} still read basic-ops")
    if found.blocking:
        parts.append(f"deploying would delete {plural(len(found.blocking), 'table')} with rows")
    return "; ".join(parts) or "nothing reads basic-ops, and no table with rows would be replaced"


def _reads_basic_ops(checkout: Checkout, findings: list[Finding]) -> list[tuple[str, str]]:
    found = [(f"{service.file}:{line}", text) for service in checkout.services for line, text in _basic_ops_in(service)]
    try:
        text = read_text(checkout.root, COMPOSE)
        root = compose(text, COMPOSE) if text is not None else None
    except BadInput as error:
        findings.append(Finding("blocked", COMPOSE, str(error), "Correct the file."))
        return found
    return found + [
        (f"{COMPOSE}:{node.start_mark.line + 1}", match[0])
        for _, node in (scalars(root) if root is not None else ())
        for match in _COMPOSE_OUTPUT.finditer(node.value)
    ]


def _basic_ops_in(service: Service) -> list[tuple[int, str]]:
    definition = service.definition
    found = [
        (reference.line, f"${{cf:{reference.address}}}")
        for reference in definition.references(frozenset({"cf"}))
        if _BASIC_OPS in reference.address
    ]
    for key, node in scalars(definition.root):
        line = node.start_mark.line + 1
        found += [(line, match[0]) for match in _COMPOSE_OUTPUT.finditer(node.value)]
        if node.tag == "!ImportValue" or key == "Fn::ImportValue":
            try:
                export = definition.expand(node.value)
            except Unanswered:
                export = node.value
            found += [(line, f"the export {export}")] if _BASIC_OPS in export else []
    return sorted(set(found))


def _deployed_tables(context: Context, stack: str) -> dict[str, str]:
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
    saved = ""
    if rows:
        answer = context.account.call("dynamodb", "list_backups", TableName=deployed)
        ready = [one for one in answer["BackupSummaries"] if one["BackupStatus"] == "AVAILABLE"]
        saved = max(ready, key=lambda one: one["BackupCreationDateTime"])["BackupArn"] if ready else ""
    return Renamed(service, table, deployed, bool(rows), _has_rows(context, table.name) is not None, saved)


def _has_rows(context: Context, table: str) -> bool | None:
    """Whether a table has any row; None when there is no such table."""
    try:
        return bool(context.account.call("dynamodb", "scan", TableName=table, Limit=1, Select="COUNT")["Count"])
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ABSENT:
            raise
        return None


def _vanishing(service: Service, logical_id: str, name: str) -> Finding:
    text = f"The table {name} ({logical_id}) is no longer defined: deploying deletes it, unless its policy retains it."
    todo = f"Keep what is needed of it: amplify-migrate storage backup --table {name}"
    return Finding("attention", service.file, text, todo)
