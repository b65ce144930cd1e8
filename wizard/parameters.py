"""Steps 1 and 2: store what the services read, show what is stored, and put back what was replaced."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wizard import parameter_store
from wizard.aws_errors import AWS_ERRORS
from wizard.checkout import Checkout, read_checkout
from wizard.context import Context
from wizard.errors import BadInput, MigrateError
from wizard.events import Finding
from wizard.journey import Outcome
from wizard.parameter_plan import Action, Missing, Plan, Row, compare, readers, shown, wanted
from wizard.text import plain, plural, sentences

_KEEP = (
    Finding("note", "var file", "serverless.yml still reads the var file at every deployment: it must stay in place."),
    Finding(
        "note", "ADMINS", "It holds user ids: when ids change, it needs the new ones.",
        "Change it in the var file once users log in with new ids, and run populate again.",
    ),
)  # fmt: skip
# For people, what is to be looked at first: what a service needs and cannot get stops the run, the rest does not.
_SIGNS = {"cannot": "✗", "update": "~", "create": "+", "left out": "-", "kept": "=", "skipped": "-", "unchanged": "="}


@dataclass(frozen=True)
class ParameterState:
    """How Parameter Store compares with a checkout, for preflight and the journey.

    `total` counts the parameters that should be stored; `missing` and `different` are paths; `unresolved` are
    `file:line: path` of the references that nothing stored answers now.
    """

    total: int
    missing: tuple[str, ...]
    different: tuple[str, ...]
    unresolved: tuple[str, ...]
    findings: tuple[Finding, ...]


def checkout_root(context: Context, root: Path | None = None) -> Path:
    """The checkout to work on; raises BadInput where there is none."""
    found = root or context.root
    if found is None:
        raise BadInput("No backend checkout: run this in its root folder, or give --root.")
    return found


def load(context: Context, root: Path | None = None) -> Checkout:
    """The checkout, its `${cf:…}` answered by the stacks that exist. Raises BadInput."""
    folder, known = checkout_root(context, root), {"aws:accountId": context.account.id}
    checkout = read_checkout(folder, context.deployment, known)
    stacks = {
        reference.address
        for service in checkout.services
        for reference in service.references
        if reference.type == "cf" and not reference.unresolved
    }
    outputs = parameter_store.outputs(context, stacks) if stacks else {}
    return read_checkout(folder, context.deployment, {**known, **outputs}) if outputs else checkout


def plan(context: Context, root: Path | None = None) -> Plan:
    """What populate would do, from the checkout and from Parameter Store as it is now. Only reads."""
    checkout = load(context, root)
    read = readers(checkout)
    entries = wanted(checkout, context.deployment, read)
    answerable = {path for path, uses in read.items() if any(not reference.unresolved for _, reference in uses)}
    paths = {entry.path for entry in entries} | answerable
    return compare(checkout, entries, parameter_store.read(context, filter(readable, paths)), read)


def secret_values(context: Context, root: Path) -> set[str]:
    """The values of a checkout and of its parameters that are better not shown; none where they cannot be read."""
    try:
        rows = plan(context, root).rows
    except (MigrateError, *AWS_ERRORS):
        return set()
    values = ((row.wanted.value, row.stored.value if row.stored else None) for row in rows if row.secret)
    return {value for pair in values for value in pair if value}


def readable(path: str) -> bool:
    """Whether a path can be asked for: one bad name would fail the nine others of its request."""
    return re.fullmatch(r"[A-Za-z0-9_.\-/:]{1,1011}", path) is not None


def state(context: Context, root: Path | None = None) -> ParameterState:
    """The state of steps 1 and 2. Only reads; raises BadInput, and Blocked when Parameter Store may not be read."""
    found = plan(context, root)
    stored = [row for row in found.rows if row.action != "skipped" and (row.action != "cannot" or row.needed)]
    return ParameterState(
        len(stored),
        tuple(row.wanted.path for row in stored if row.action in ("create", "cannot")),
        tuple(row.wanted.path for row in stored if row.action == "update"),
        tuple(f"{missing.place}: {missing.path}" for missing in (*found.unresolved, *found.pending)),
        found.findings,
    )


def populate(context: Context, root: Path | None = None, *, dry_run: bool = False) -> Outcome:
    """Store every parameter that is missing or different. Nothing is written (3) while a service needs more."""
    found = plan(context, root)
    before = replace(found, findings=(*found.findings, *_KEEP))
    # What changes nothing comes last, below what is to be looked at.
    rows = sorted(before.rows, key=lambda row: list(_SIGNS).index(_verb(row)))
    lines = [*(_table(rows) if dry_run else []), *_announce(context, before.findings)]
    if before.blocked:
        lines += ["", *_problems(before), "", "Nothing was written: correct the above first."]
        return Outcome(3, "\n".join(lines), {**_details(before), "written": 0, "failed": []})
    if dry_run:
        counts = Counter(map(_verb, before.rows))
        summary = ", ".join(f"{counts[verb]} {verb}" for verb in _SIGNS if verb in counts)
        lines += ["", "Afterwards:", *_tally(before, ("create", "update"))]
        lines += ["", f"Dry run: {summary or 'nothing to do'}. Nothing was written."]
        return Outcome(0, "\n".join(lines), {**_details(before), "written": 0, "failed": []})
    failures = parameter_store.write(context, before.changes)
    after = replace(plan(context, root), findings=before.findings) if before.changes else before
    lines += ["", *_tally(after)]
    lines += [f"✗ {failure.path}: {failure.reason}" for failure in failures]
    written = len(before.changes) - len(failures)
    if failures:
        lines += ["", f"{plural(written, 'parameter')} written, {len(failures):,} not: mend that, then populate again."]
    else:
        lines += ["", f"{plural(written, 'parameter')} written." if written else "Everything was stored already."]
    failed = [{"name": failure.path, "reason": failure.reason} for failure in failures]
    complete = not failures and not after.changes
    details = {**_details(after), "written": written, "failed": failed}
    return Outcome(0 if complete else 1, "\n".join(lines).strip("\n"), details)


def verify(context: Context, root: Path | None = None) -> Outcome:
    """Whether every parameter is stored with the files' value and every reference resolves: 0, else 1."""
    found = plan(context, root)
    said = _announce(context, found.findings)
    wrong = [row for row in found.rows if row.action in ("create", "update") or (row.action == "cannot" and row.needed)]
    unresolved = [*found.unresolved, *found.pending]
    lines = [*said, *_table(wrong), *_problems(found), "", *_tally(found), ""]
    good = not wrong and not found.blocked
    every = [reference for uses in found.read.values() for _, reference in uses]
    defaults = sum(reference.default is not None for reference in every)
    counts = f"{plural(len(every), 'reference')} to {plural(len(found.read), 'parameter')}, {defaults} with a default"
    if good:
        lines.append(f"Every parameter is stored and every reference resolves ({counts}).")
    else:
        references = plural(len(unresolved), "reference")
        lines.append(f"{plural(len(wrong), 'parameter')} missing or different, {references} unresolved.")
        lines.append("Run `amplify-migrate parameters populate`.")
    details = {
        **_details(found),
        "unresolved": [_reference(missing) for missing in unresolved],
        "references": [
            {"name": path, "place": place, "default": reference.default}
            for path, uses in found.read.items()
            for place, reference in uses
        ],
    }
    return Outcome(0 if good else 1, "\n".join(lines).strip("\n"), details)


def restore(context: Context, *, dry_run: bool = False) -> Outcome:
    """Put back what populate replaced, as Parameter Store itself remembers it; what it created is listed and stays."""
    replaced, created = parameter_store.originals(context)
    failures = [] if dry_run else parameter_store.put_back(context, replaced)
    failed = {failure.path: failure.reason for failure in failures}
    verb = "would get back" if dry_run else "has again"
    lines = [
        f"✗ {one.path}: {failed[one.path]}" if one.path in failed else f"✓ {one.path} {verb} its version {one.version}"
        for one in replaced
    ]
    if created:
        lines += ["", "Created by populate and left in place (older services do not read them):"]
        lines += [f"  {path}" for path in created]
    count = len(replaced) - len(failed)
    lines += ["", f"{plural(count, 'parameter')} {'to be restored' if dry_run else 'restored'}."]
    details = {
        "restored": [one.path for one in replaced if one.path not in failed],
        "created": created,
        "failed": [{"name": path, "reason": reason} for path, reason in failed.items()],
        "dry_run": dry_run,
    }
    return Outcome(1 if failed else 0, "\n".join(lines).strip("\n"), details)


def _announce(context: Context, findings: tuple[Finding, ...]) -> list[str]:
    """Report what does not stop the run, and give it as lines; what does stop it is the outcome's own text."""
    lines = []
    for one in findings:
        if one.level != "blocked":
            context.feed.emit(one)
            lines.append(f"{'!' if one.level == 'attention' else '·'} {one.place}: {sentences(one.text, one.todo)}")
    return lines


def _reference(missing: Missing) -> dict[str, str]:
    return {"name": missing.path, "place": missing.place, "reason": missing.reason}


def _problems(found: Plan) -> list[str]:
    """Unresolved references by path, then the blocking findings."""
    by_path: dict[tuple[str, str], list[str]] = {}
    for missing in found.unresolved:
        by_path.setdefault((missing.path, missing.reason), []).append(missing.place)
    lines = []
    for (path, reason), places in by_path.items():
        lines += [f"✗ {plain(path)}: {plain(reason)}", *(f"    read by {place}" for place in dict.fromkeys(places))]
    lines += [f"✗ {one.place}: {sentences(one.text, one.todo)}" for one in found.findings if one.level == "blocked"]
    return lines


def _table(rows: tuple[Row, ...] | list[Row]) -> list[str]:
    """One line for each parameter: sign, action, path, and old -> new or the reason."""
    paths = [plain(row.wanted.path) for row in rows]
    width = max(map(len, paths), default=0)
    return [
        f"{_SIGNS[_verb(row)]} {_verb(row):<9} {path:<{width}}  {_change(row)}".rstrip()
        for row, path in zip(rows, paths, strict=True)
    ]


def _verb(row: Row) -> str:
    return "left out" if row.action == "cannot" and not row.needed else row.action


def _change(row: Row) -> str:
    new = shown(row.wanted.value, row.secret)
    match row.action:
        case "create":
            return new
        case "update":
            return f"{shown(row.stored.value if row.stored else None, row.secret)} → {new}"
        case "unchanged":
            return ""
    return plain(row.reason)


def _tally(found: Plan, planned: tuple[Action, ...] = ()) -> list[str]:
    """`✓ amplify-v6-lambda: 24/24 parameters`, for every group; `planned` actions count as done."""
    lines = []
    for group, rows in found.groups().items():
        stored = [row for row in rows if row.action in ("unchanged", "kept", *planned)]
        left_out = [row for row in rows if row.action == "cannot" and not row.needed]
        sign = "✓" if len(stored) + len(left_out) == len(rows) else "✗"
        names = ", ".join(plain(row.wanted.name) for row in left_out)
        lines.append(
            f"{sign} {plain(group)}: {len(stored)}/{len(rows)} parameters" + (f" (left out: {names})" if names else "")
        )
    return lines


def _details(found: Plan) -> dict[str, Any]:
    """The `--json` document; values that may be secret are null."""
    return {
        "parameters": [_entry(row) for row in found.rows],
        "counts": found.counts(),
        "unresolved": [_reference(missing) for missing in found.unresolved],
        "findings": [
            {"level": one.level, "place": one.place, "text": one.text, "todo": one.todo} for one in found.findings
        ],
    }


def _entry(row: Row) -> Mapping[str, Any]:
    return {
        "name": row.wanted.path,
        "group": row.wanted.group,
        "action": row.action,
        "type": row.type,
        "old": None if row.secret or row.stored is None else row.stored.value,
        "new": None if row.secret else row.wanted.value,
        "origin": row.wanted.origin,
        "reason": row.reason,
    }
