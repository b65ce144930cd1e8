"""The report: what was done to a deployment, for people. Evidence in, sections out. Pure.

`wizard.report_html` and `wizard.report_markdown` write the same sections; the JSON document is the evidence itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wizard.advice import advice, standing
from wizard.catalog.tables import TABLES
from wizard.evidence import Evidence
from wizard.guidance import LIMITATIONS, TITLES
from wizard.recovery import KINDS
from wizard.text import plural

Cell = str | int

# The command that carries a step out; `services deploy` is 4c and 5.
_STEP_OF = {
    "parameters populate": "1", "parameters restore": "1", "parameters verify": "2", "services check": "3",
    "preflight": "4", "storage backup": "4a", "endpoint free": "4b", "storage import": "4d", "services deploy": "5",
    "services deploy amplify-lambda": "4c", "services verify": "V", "users check": "6a", "users generate": "6a",
    "migrate plan": "6b", "backup create": "6b'", "migrate apply": "6c", "migrate verify": "6d", "cleanup apply": "7",
    "cleanup verify": "7", "cleanup mark": "7", "rollback": "rollback",
}  # fmt: skip
_STEPS = {**{step: f"{step} {name}" for step, name in TITLES.items()}, "rollback": "Rollback"}
_CODES = {0: "done", 1: "done, with something left", 2: "bad input", 3: "blocked", 4: "declined", 130: "interrupted"}

# What of a place is drawn: each change counts once, in the order from done to undone.
PARTS = ("cleaned", "verified", "applied", "open", "kept", "resolved", "rolled back", "conflicts", "failed")

# What is code in a cell: commands of ours, as reasons and findings name them. Other backticks may be foreign, and stay.
IN_CELLS = re.compile(
    r"`((?:amplify-migrate|migrate|cleanup|rollback|report|backup|users|parameters|services|storage|endpoint)\b[^`|]*"
    r"|--[a-z][^`|]*)`"
)

_HOLDINGS = (
    (r"users\b.*\.csv.*", "every user id, old and new"),
    (
        r"ledger\.sqlite.*|staging\.sqlite.*",
        "user ids, keys, values that were changed; no secret attributes, but of an item that is still to be put back",
    ),
    (r"audit\.jsonl", "user ids, in the keys of what was written"),
    (r"commands\.jsonl", "who ran which command"),
    (r"logs/.*", "user ids and keys in messages"),
    (r"backups/.*\.json\.gz|imports?/.*|.*replaced.*", "complete rows: personal data, and tokens that users stored"),
    (r"backups/.*\.manifest\.json", "no personal data"),
    (r"reports/.*", "user ids, where it was made with --include-ids"),
    (r"settings\.(json|lock)|lock", "no personal data"),
)


@dataclass(frozen=True)
class Grid:
    """A table of the report; numbers are int."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Bar:
    """One bar of a chart: a label and the sizes of its parts, by name."""

    label: str
    parts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Section:
    """A chapter: sentences, then a chart, a table, and points; each may be missing.

    Text from outside stands in cells and labels; sentences and points are our own, with commands between backticks.
    """

    title: str
    sentences: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()
    grid: Grid | None = None
    points: tuple[str, ...] = ()


def title(evidence: Evidence) -> str:
    where = evidence.deployment
    return f"Migration of {where['dep']}/{where['stage']} in {where['region']}"


def sections(evidence: Evidence) -> tuple[Section, ...]:
    """Every chapter, the answer to "is it done, and what now" first."""
    return (
        _summary(evidence),
        _scene(evidence),
        _user_map(evidence),
        _steps(evidence),
        _runs(evidence),
        _places(evidence),
        _kept(evidence),
        _to_put_back(evidence),
        _attention(evidence),
        _unknown(evidence),
        _findings(evidence),
        _costs(evidence),
        _backups(evidence),
        _audit(evidence),
        Section("Known limitations", ("These are so by the design of the services:",), points=LIMITATIONS),
        _remaining(evidence),
        _files(evidence),
    )


def when(seconds: float | None) -> str:
    """`2026-01-31 12:00:00 UTC`; a dash for what has not happened."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC" if seconds else "–"


def lasted(started: float, ended: float | None) -> str:
    """`1 h 02 min`, `3 min 04 s`, `2.5 s`."""
    if ended is None:
        return "–"
    seconds = max(0.0, ended - started)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"


# --- where it stands -----------------------------------------------------------------------------------------------------


def _summary(evidence: Evidence) -> Section:
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(evidence.states.items()))
    return Section(
        "Where it stands, and what to do next",
        (standing(evidence), f"Changes: {told}." if told else "No change is planned."),
        points=tuple(advice(evidence)),
    )


def _scene(evidence: Evidence) -> Section:
    where, operator = evidence.deployment, evidence.operator
    program = ", ".join(f"{name} {number}" for name, number in evidence.program.items())
    others = {(str(one.get("identity", "")), str(one.get("user", ""))) for one in evidence.commands}
    rows = [
        ("Account", where["account"]), ("Region", where["region"]),
        ("Deployment", f"DEP_NAME {where['dep']}, STAGE {where['stage']}"), ("Workspace", where["workspace"]),
        ("Report made", when(evidence.made)), ("By", f"{operator['arn']} ({operator['user']})"),
        *(("Commands run by", f"{arn} ({user})") for arn, user in sorted(others)),
        ("Versions", program),
        ("User ids", "included: treat this report as personal data" if evidence.ids_included else "left out"),
    ]  # fmt: skip
    return Section("Deployment and operator", grid=Grid(("", ""), tuple(rows)))


def _user_map(evidence: Evidence) -> Section:
    known, plan = evidence.map, evidence.plan
    if not known:
        return Section("User map", ("No user map was planned with yet.",))
    told = f"{plural(known['users'], 'user')}, of which {known['changing']:,} change their id."
    sentences = [told, f"SHA-256 of users.csv: {known['sha256']}"]
    if plan:
        users = plan["users"]
        sentences.append(
            f"{users.get('with_changes', 0):,} of them had something to change in plan {plan['id']}, {users['without_data']:,}"
            f" have no data; {users['not_in_map']:,} with data are not in the map and were left as they are."
        )
        if in_use := users.get("new_ids_in_use"):
            sentences.append(f"{plural(in_use, 'new id')} had data before it, which the old id's data joined.")
    pairs = known.get("pairs", {})
    rows = tuple(pairs.items())
    return Section("User map", tuple(sentences), grid=Grid(("old_id", "new_id"), rows) if rows else None)


# --- what was done -------------------------------------------------------------------------------------------------------


def _outcome(code: int | None) -> str:
    return "did not end: stopped from outside, or still running" if code is None else _CODES.get(code, f"status {code}")


def step_of(command: str) -> str:
    """The step that a command carries out; "" for one that only shows something."""
    return _STEP_OF.get(command) or next(
        (step for known, step in _STEP_OF.items() if command.startswith(f"{known} ")), ""
    )


def _steps(evidence: Evidence) -> Section:
    """Per step: how often, when first and last, and how the last one ended. Dry runs are no step."""
    rows: list[tuple[Cell, ...]] = []
    for step, name in _STEPS.items():
        done = [one for one in evidence.commands if step_of(one["command"]) == step and not one.get("dry_run")]
        if not done:
            runs = [run for run in evidence.runs if run["step"] == step]
            done = [{**run, "time": run["started"]} for run in runs]
        if done:
            first, last = done[0], done[-1]
            rows.append((name, len(done), when(first["time"]), when(last["ended"]), _outcome(last["code"])))
    if not rows:
        return Section("Steps", ("No step was carried out from this workspace.",))
    return Section("Steps", grid=Grid(("Step", "Times", "First begun", "Last ended", "Last outcome"), tuple(rows)))


def _runs(evidence: Evidence) -> Section:
    rows: list[tuple[Cell, ...]] = [
        (when(run["started"]), _STEPS.get(run["step"], run["step"]), lasted(run["started"], run["ended"]),
         _outcome(run["code"]), run["text"])
        for run in evidence.runs
    ]  # fmt: skip
    if not rows:
        return Section("Plans, applies, verifications", ("There was none yet.",))
    return Section(
        "Plans, applies, verifications", grid=Grid(("Begun", "Step", "Took", "Outcome", "Result"), tuple(rows))
    )


def _kept(evidence: Evidence) -> Section:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (when(run["started"]), str(one["place"]), int(one["count"]), str(one["why"]))
        for run in evidence.runs
        for one in run["kept"]
    )
    if not rows:
        return Section("Kept by cleanup", ("Nothing: no cleanup yet, or it kept nothing back.",))
    return Section("Kept by cleanup", grid=Grid(("Cleanup begun", "Table or bucket", "Items", "Why"), rows))


def _to_put_back(evidence: Evidence) -> Section:
    name = "Still to be put back"
    found = evidence.still_to_put_back
    if not found:
        return Section(name, ("Nothing: all that a deletion took from a service stands again.",))
    told = (
        "Deletions took these items at the moment at which a service changed them, and they could not be put back. The"
        " ledger keeps them whole; the next `migrate apply` puts them back.",
    )
    if evidence.ids_included:
        rows = tuple((str(one["place"]), str(key)) for one in found for key in one["keys"])
        return Section(name, told, grid=Grid(("Table", "Key"), rows))
    return Section(
        name, told, grid=Grid(("Table", "Items"), tuple((str(one["place"]), int(one["count"])) for one in found))
    )


def _places(evidence: Evidence) -> Section:
    columns = ("planned", "applied", "verified", "cleaned", "kept_at_cleanup", "open", "conflicts", "failed", "kept",
               "resolved", "rolled_back")  # fmt: skip
    if not evidence.tables:
        return Section("Tables and buckets", ("No change is recorded.",))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (str(one["place"]), *(int(one[name]) for name in columns)) for one in evidence.tables
    )
    total: tuple[Cell, ...] = ("All", *(sum(int(one[name]) for one in evidence.tables) for name in columns))
    heads = ("Table or bucket", *(name.replace("_", " ").capitalize() for name in columns))
    return Section(
        "Tables and buckets",
        (
            "What was verified had been applied, and what was cleaned had been verified. Kept stays, each with a reason.",
        ),
        tuple(_bar(one) for one in evidence.tables),
        Grid(heads, (*rows, total)),
    )


def _bar(one: Mapping[str, Any]) -> Bar:
    """Each change in one part only."""
    sizes = {
        "cleaned": one["cleaned"], "verified": one["verified"] - one["cleaned"],
        "applied": one["applied"] - one["verified"], "rolled back": one["rolled_back"],
        **{name: one[name] for name in ("open", "kept", "resolved", "conflicts", "failed")},
    }  # fmt: skip
    return Bar(one["place"], tuple((name, int(sizes[name])) for name in PARTS if sizes.get(name)))


def _attention(evidence: Evidence) -> Section:
    name = "Changes that need a look, or were decided by hand"
    listed = evidence.attention["listed"]
    if not listed:
        return Section(name, ("None: no conflict, no failure, nothing kept.",))
    if evidence.ids_included:
        grid = Grid(
            ("Change", "State", "From", "To", "Why"),
            tuple((one["id"], one["state"], one["source"], one["target"], one["note"]) for one in listed),
        )
    else:
        grid = Grid(
            ("Change", "State", "Table or bucket", "Kind", "Why"),
            tuple(
                (one["id"], one["state"], one["place"], f"{one['kind']} {one['action']}", one["note"]) for one in listed
            ),
        )
    count = evidence.attention["count"]
    more = f" The first {len(listed):,} of {count:,} are listed." if count > len(listed) else ""
    return Section(name, (f"`migrate show` has each of them by its number.{more}",), grid=grid)


def _unknown(evidence: Evidence) -> Section:
    name = "Unknown references"
    if not evidence.unknown_references:
        return Section(name, ("No old id was found where the catalog does not expect one.",))
    kinds = {"id": "an old id", "case": "an old id in other case"}
    extra = ("Example",) if evidence.ids_included else ()
    rows = tuple(
        (one["place"], one["path"], kinds.get(one["kind"], one["kind"]), one["count"],
         *((one["example"],) if evidence.ids_included else ()))
        for one in evidence.unknown_references
    )  # fmt: skip
    return Section(
        name,
        ("Old ids at places that nothing of the catalog maps. They were left as they are.",),
        grid=Grid(("Table or bucket", "Path", "Holds", "Times", *extra), rows),
    )


def _findings(evidence: Evidence) -> Section:
    rows = tuple((one["level"], one["place"], one["text"], one["todo"]) for one in evidence.findings)
    if not rows:
        return Section("Findings of the plan", ("None.",))
    return Section("Findings of the plan", grid=Grid(("", "Table or bucket", "Found", "What to do"), rows))


# --- what it cost, what is kept ------------------------------------------------------------------------------------------


def _costs(evidence: Evidence) -> Section:
    counted = [run for run in evidence.runs if run["costs"]]
    if not counted:
        return Section("Requests and capacity", ("Nothing was counted yet.",))
    rows: list[tuple[Cell, ...]] = []
    bars = []
    for run in counted:
        costs = run["costs"]
        name = _STEPS.get(run["step"], run["step"])
        requests = sum(costs["requests"].values())
        rows.append(
            (name, when(run["started"]), requests, f"{costs['read_units']:,.1f}", f"{costs['write_units']:,.1f}")
        )
        services: dict[str, int] = {}
        for operation, count in costs["requests"].items():
            services[operation.split(".")[0]] = services.get(operation.split(".")[0], 0) + count
        bars.append(Bar(name, tuple(services.items())))
    return Section(
        "Requests and capacity",
        ("Requests to AWS, and DynamoDB capacity units as AWS reported them. A run that was killed is not counted.",),
        tuple(bars),
        Grid(("Run", "Begun", "Requests", "Read units", "Write units"), tuple(rows)),
    )


def _backups(evidence: Evidence) -> Section:
    name = "Backups and recovery"
    if not evidence.backups:
        return Section(name, ("None is recorded in this workspace.",))
    kinds = {**KINDS, "file": "file"}
    rows: list[tuple[Cell, ...]] = []
    for one in evidence.backups:
        where = str(one.get("file") or one.get("arn") or one.get("note") or "")
        gone = "" if one.get("present", True) else " (the file is gone)"
        digest = f"SHA-256 {one['sha256']}, {plural(one['rows'], 'row')}" if one.get("sha256") else ""
        time = str(one.get("verified") or one.get("restorable") or one.get("earliest") or "")
        rows.append((one["place"], kinds.get(one["kind"], one["kind"]), where + gone, digest, time))
    return Section(name, grid=Grid(("Table", "Kind", "Where", "Holds", "Verified, or restorable at"), tuple(rows)))


def _audit(evidence: Evidence) -> Section:
    audit = evidence.audit
    if not audit["lines"]:
        return Section("Audit log", ("Nothing was written in AWS from this workspace.",))
    sentences = [
        f"audit.jsonl has {plural(audit['lines'], 'line')}, one for every write, from {when(audit['first'])} to"
        f" {when(audit['last'])}; its SHA-256 is {audit['sha256']}."
    ]
    if audit["damaged"]:
        sentences.append(f"{plural(audit['damaged'], 'line')} cannot be read, as a killed process leaves them.")
    rows = tuple((one["operation"], one["result"], one["count"]) for one in audit["writes"])
    return Section("Audit log", tuple(sentences), grid=Grid(("Operation", "Result", "Times"), rows))


def _remaining(evidence: Evidence) -> Section:
    remaining, name = evidence.remaining, "Legacy tables and buckets that remain"
    rows: tuple[tuple[Cell, ...], ...] = (
        *(("table", one) for one in remaining["tables"]),
        *(("bucket", one) for one in remaining["buckets"]),
        *(("could not be listed", why) for why in remaining["unknown"]),
    )
    old = f"{plural(evidence.retained, 'old record')} stand beside their verified copies until cleanup."
    sentences = (old,) if evidence.retained else ()
    if not rows:
        return Section(name, (*sentences, "No such table and no such bucket exists."))
    return Section(
        name,
        (
            *sentences,
            "Places whose content is moved elsewhere. Neither apply nor cleanup deletes a table or a bucket: when users have"
            " accepted and nothing reads them any more, delete them by hand.",
        ),
        grid=Grid(("Kind", "Name"), rows),
    )


def _files(evidence: Evidence) -> Section:
    rows = tuple((one["name"], one["bytes"], _holds(one["name"])) for one in evidence.files)
    where = evidence.deployment
    secret = [row.pattern.format(dep=where["dep"], stage=where["stage"]) for row in TABLES if row.secret]
    return Section(
        "Files with personal data and tokens",
        (
            "All are in the workspace, readable by their owner only.",
            "Keep them until users have accepted and the point-in-time recovery of the tables (35 days) has run past the"
            " migration; rollback needs the ledger and users.csv, and a second plan needs both. Then delete the folder as a"
            " whole, and what lies elsewhere: copies of the user map, and what was written with `--log` and `--output`."
            " On-demand backups in DynamoDB are deleted there, by the names above.",
            f"Passwords and tokens stay in the tables of the services ({', '.join(secret)}); where a row got a new key, they"
            " are there twice until cleanup. Backup files hold whatever the table held.",
        ),
        grid=Grid(("File", "Bytes", "Holds"), rows) if rows else None,
    )


def _holds(name: str) -> str:
    return next((holds for pattern, holds in _HOLDINGS if re.fullmatch(pattern, name)), "not known; look into it")
