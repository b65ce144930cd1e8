"""Step 3: what the service definitions would do to a deployment that still has basic-ops and its tables.

Two things stop a deployment: an output of basic-ops that something still reads, and a table with rows that has another
name under the same logical id (`chat-usage` becomes `chat-usages` in one release and `chat-usage` again in the next).
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from wizard import parameters
from wizard.checkout import Checkout, Service, read_text
from wizard.context import Context
from wizard.errors import BadInput
from wizard.events import Finding
from wizard.facts import Fact
from wizard.inventory import table_names
from wizard.journey import Outcome
from wizard.parallel import each
from wizard.parameter_plan import readers, wanted
from wizard.serverless_variables import Unanswered
from wizard.table_changes import Renamed, compare
from wizard.text import plain, plural, sentences
from wizard.yaml_nodes import compose, scalars

COMPOSE = "serverless-compose.yml"
_BASIC_OPS = "basic-ops"
_TODO = "Take the serverless.yml of the new release, which reads Parameter Store: `${ssm:/amplify/${sls:stage}/…}`."
_NAMED = "See whether something still needs it once the stack is removed; its tables can be kept (step 4b)."
_COMPOSE_OUTPUT = re.compile(r"\$\{[^}:]*basic-ops\.[^}]*\}")  # `${amplify-lambda-basic-ops.Output}`


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
    findings += [
        Finding(
            "attention", f"{service.file}:{line}", f"It names {plain(text, 120)}, which goes with basic-ops.", _NAMED
        )
        for service in checkout.services
        for line, text in _names_basic_ops(service, {place for place, _ in places})
    ]
    entries = wanted(checkout, context.deployment, readers(checkout))
    known = {f"ssm:{entry.path}": entry.value for entry in entries if entry.value and not entry.refused}
    existing = set(table_names(context.account))
    compared = each(
        lambda service: compare(context, service, known, existing),
        checkout.services, workers=max(1, min(8, context.workers)), control=context.control,
    )  # fmt: skip
    changes = [one for _, one in sorted(compared, key=lambda pair: pair[0].directory)]
    findings += [finding for one in changes for finding in one.findings]
    renamed = [table for one in changes for table in one.renamed]
    findings += [one.finding() for one in renamed]
    return Definitions(tuple(place for place, _ in places), tuple(renamed), tuple(findings))


def check(context: Context) -> Outcome:
    """`services check`: everything found, 0 whatever it is, as findings of a check never change the status."""
    found = inspect(context)
    for finding in found.findings:
        if finding.level != "blocked":  # those are what the outcome itself says
            context.feed.emit(finding)
    signs = {"blocked": "✗", "attention": "!"}
    lines = [f"{signs.get(one.level, '·')} {one.place}: {sentences(one.text, one.todo)}" for one in found.findings]
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
        "“Check the definitions” in step 3 names each place and the way out." if found.findings else "",
        {"root": True, "basic_ops": list(found.basic_ops), "renamed": found.blocking},
    )


def _summary(found: Definitions) -> str:
    parts = []
    if found.basic_ops:
        parts.append(f"{plural(len(found.basic_ops), 'place')} still read basic-ops")
    if found.blocking:
        parts.append(f"deploying would delete {plural(len(found.blocking), 'table')} with rows")
    parts = parts or ["nothing reads basic-ops, and no table with rows would be replaced"]
    if looks := sum(one.level == "attention" for one in found.findings):
        parts.append(f"{plural(looks, 'place is', 'places are')} worth a look, which holds nothing up")
    return "; ".join(parts)


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


def _names_basic_ops(service: Service, known: set[str]) -> list[tuple[int, str]]:
    """Values that hold a name of basic-ops (a table, a stack), at other places than the `known` ones."""
    found = []
    for _, node in scalars(service.definition.root):
        line, text = node.start_mark.line + 1, node.value
        if "${" in text:
            with contextlib.suppress(Unanswered):
                text = service.definition.expand(text)
        if f"-{_BASIC_OPS}" in text and f"{service.file}:{line}" not in known:
            found.append((line, text))
    return sorted(set(found))
