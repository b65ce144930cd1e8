"""What a report is made from: ledger, audit log, command log and files of the workspace, and a look at what remains.

Everything is read, nothing written. Without `ids`, no user id is in it: keys and examples are left out, and in text that
may quote them they are replaced.
"""

from __future__ import annotations

import json
import logging
import platform
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wizard import __version__, backup_files
from wizard.aws_errors import AWS_ERRORS, explain
from wizard.backup_files import DATA, MANIFEST
from wizard.context import Context
from wizard.errors import BadInput
from wizard.inventory import bucket_names, legacy_buckets, table_names
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.migration.retained import RETAINED
from wizard.migration.show import shown
from wizard.migration.states import TOLD
from wizard.storage import old_table
from wizard.text import plain
from wizard.users import planned_ids
from wizard.who import user_at_host
from wizard.wire import key_of, key_text
from wizard.workspace import Workspace

log = logging.getLogger(__name__)

LISTED = 500  # changes that need a look and are listed one by one
_YEAR_5000 = 95_617_584_000
ATTENTION = ("conflict", "failed", "kept", "resolved")
_ADDRESS = re.compile(r"[^\s\"'<>{}()\[\]:,;=#/]+@[^\s\"'<>{}()\[\]:,;=#/]+")
_PATH = re.compile(r"[^\s/]+/\S+")  # keys of objects and the like; places are named in a field of their own


@dataclass(frozen=True)
class Evidence:
    """The report as data; its fields are those of the JSON document. Times are seconds since the epoch."""

    made: float
    program: dict[str, str]  # versions
    operator: dict[str, str]  # {"arn", "user"} of who makes the report
    deployment: dict[str, str]  # {"account", "region", "dep", "stage", "workspace"}
    ids_included: bool
    map: dict[str, Any]  # {"users", "changing", "sha256"}, with ids "pairs"; {} before there is one
    plan: dict[str, Any]  # {"id", "created", "scope", "users", "scanned", "unread"}; {} before there is one
    commands: list[dict[str, Any]]  # all of this workspace: {"command", "time", "ended", "code", "identity", …}
    runs: list[dict[str, Any]]  # {"step", "started", "ended", "code", "text", "costs", "kept"}
    states: dict[str, int]  # changes by state
    tables: list[dict[str, Any]]  # {"place", "kind", "planned", "applied", "verified", "cleaned", "conflicts", …}
    retained: int  # old items that stand beside their verified copies
    still_to_put_back: list[dict[str, Any]]  # {"place", "count"} of what deletions took from services; with ids "keys"
    attention: dict[str, Any]  # {"count", "listed": changes that need a look}
    unknown_references: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    backups: list[dict[str, Any]]  # {"place", "kind", "arn" or "file" and "sha256", "restorable", …}
    audit: dict[str, Any]  # {"writes": counts by operation and result, "lines", "damaged", "first", "last", "sha256"}
    files: list[dict[str, Any]]  # {"name", "bytes"} of the workspace
    remaining: dict[str, Any]  # legacy {"tables", "buckets"}, "unknown": why they could not be listed


@dataclass(frozen=True)
class _Held:
    """What the ledger holds; with the defaults, what there is before there is one."""

    plan: Mapping[str, Any] = field(default_factory=dict)
    runs: Sequence[Mapping[str, Any]] = ()
    states: Mapping[str, int] = field(default_factory=dict)
    tables: Sequence[Mapping[str, Any]] = ()
    kept: Mapping[str, int] = field(default_factory=dict)
    retained: int = 0
    taken: Sequence[tuple[str, str]] = ()  # table and key
    attention: Sequence[Entry] = ()
    unknown: Sequence[Mapping[str, Any]] = ()
    findings: Sequence[Mapping[str, Any]] = ()
    backups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def collect(context: Context, *, ids: bool = False) -> Evidence:
    """Read everything that a report says; `ids`: with user ids, keys and values. BadInput for a damaged ledger."""
    workspace = context.workspace
    pairs = planned_ids(workspace)
    held = _held(workspace)
    hide = _unchanged if ids else hider(_known_ids(pairs, held.plan), _texts(held))
    return Evidence(
        made=time.time(),
        program=_versions(),
        operator={"arn": context.account.identity["arn"], "user": user_at_host()},
        deployment={
            "account": context.account.id, "region": context.region, "dep": context.deployment.dep,
            "stage": context.deployment.stage, "workspace": str(workspace.folder),
        },
        ids_included=ids,
        map=_map(workspace, pairs, ids),
        plan=_plan(held.plan, ids),
        commands=commands(workspace.command_log),
        runs=[_run(run, hide) for run in held.runs],
        states=dict(held.states),
        tables=_by_place(held.tables, held.kept),
        retained=held.retained,
        still_to_put_back=_still_to_put_back(held.taken, ids),
        attention={
            "count": sum(held.states.get(state, 0) for state in ATTENTION),
            "listed": [_change(entry, ids, hide) for entry in held.attention],
        },
        unknown_references=[_reference(one, ids, hide) for one in held.unknown],
        findings=[
            {"level": one["level"], "place": one["place"], "text": hide(one["text"]), "todo": hide(one["todo"])}
            for one in held.findings
        ],
        backups=_backups(workspace, held.backups),
        audit=audit(workspace.audit_log),
        files=_files(workspace),
        remaining=_remaining(context),
    )  # fmt: skip


# --- the ledger --------------------------------------------------------------------------------------------------------


def _held(workspace: Workspace) -> _Held:
    if not workspace.ledger.exists():
        return _Held()
    with Ledger(workspace.ledger, writable=False) as ledger:
        plan = ledger.latest_plan() or {}
        return _Held(
            plan=plan,
            runs=ledger.runs(),
            states=ledger.counts(),
            tables=ledger.table_counts(),
            kept=ledger.counts("target_place", "state = 'verified' AND json_extract(detail, '$.kept_at_cleanup')"),
            retained=ledger.records(RETAINED),
            taken=[(place, key_text(key_of(item, names))) for _, place, names, item in ledger.taken()],
            attention=ledger.select(ATTENTION, limit=LISTED, where=TOLD),
            unknown=ledger.unknown_references(),
            findings=ledger.findings(plan["id"]) if plan else [],
            backups=ledger.backups(),
        )


def _by_place(tables: Iterable[Mapping[str, Any]], kept: Mapping[str, int]) -> list[dict[str, Any]]:
    """Counts that a person asks for. What was verified was applied, what was cleaned was both."""
    found: dict[str, Counter[str]] = {}
    kinds: dict[str, str] = {}
    for one in tables:
        kinds.setdefault(one["place"], one["kind"])
        found.setdefault(one["place"], Counter()).update(
            {state: count for state, count in one.items() if state not in ("row", "kind", "source", "place", "rank")}
        )
    return [
        {
            "place": place,
            "kind": "bucket" if kinds[place] == "object" else "table",
            "planned": states.total() - states["kept"],
            "applied": states["applied"] + states["verified"] + states["cleaned"],
            "verified": states["verified"] + states["cleaned"],
            "cleaned": states["cleaned"],
            "open": states["planned"],
            "conflicts": states["conflict"],
            "failed": states["failed"],
            "resolved": states["resolved"],
            "rolled_back": states["rolled back"],
            "kept": states["kept"],
            "kept_at_cleanup": kept.get(place, 0),
        }
        for place, states in found.items()
    ]


def _run(run: Mapping[str, Any], hide: Callable[[str], str]) -> dict[str, Any]:
    detail = run["detail"]
    return {
        **{name: run[name] for name in ("step", "started", "ended", "code")},
        **({"ended": None} if run["ended"] == run["started"] else {}),  # as it began: nothing has ended it
        "text": hide(run["text"]),
        "costs": detail.get("costs", {}),
        "kept": [{**one, "why": hide(one["why"])} for one in detail.get("kept", ()) if isinstance(one, dict)],
    }


def _change(entry: Entry, ids: bool, hide: Callable[[str], str]) -> dict[str, Any]:
    """Without ids a change is named by its number, under which `migrate show` has it."""
    change = shown(entry)
    if ids:
        return change
    wanted = ("id", "row", "kind", "action", "state")
    return {**{name: change[name] for name in wanted}, "place": entry.target_place, "note": hide(change["note"])}


def _still_to_put_back(taken: Iterable[tuple[str, str]], ids: bool) -> list[dict[str, Any]]:
    found: dict[str, list[str]] = {}
    for place, key in taken:
        found.setdefault(place, []).append(key)
    return [
        {"place": place, "count": len(keys), **({"keys": keys} if ids else {})} for place, keys in sorted(found.items())
    ]


def _reference(one: Mapping[str, Any], ids: bool, hide: Callable[[str], str]) -> dict[str, Any]:
    shown = {"place": one["place"], "path": hide(one["path"]), "kind": one["kind"], "count": one["count"]}
    return {**shown, "example": one["example"]} if ids else shown


def _plan(plan: Mapping[str, Any], ids: bool) -> dict[str, Any]:
    if not plan:
        return {}
    summary = plan["summary"] or {}
    users, outside = dict(summary.get("users", {})), summary.get("not_in_map", {})
    in_use = summary.get("new_ids_in_use", {}).get("count", 0)
    without = users.pop("without_data", [])
    names = {"without_data": without, "not_in_map": outside.get("examples", [])} if ids else {}
    return {
        "id": plan["id"], "created": plan["created"], "scope": plan["scope"],
        "users": {**users, "without_data": len(without), "not_in_map": outside.get("count", 0),
                  "new_ids_in_use": in_use},
        "scanned": summary.get("scanned", {}), "unread": summary.get("unread", []), **names,
    }  # fmt: skip


# --- user ids ------------------------------------------------------------------------------------------------------------


def _map(workspace: Workspace, pairs: Mapping[str, str], ids: bool) -> dict[str, Any]:
    if not pairs:
        return {}
    changing = sum(old != new for old, new in pairs.items())
    known = {
        "users": len(pairs), "changing": changing,
        "sha256": backup_files.sha256_of(workspace.user_map),
    }  # fmt: skip
    return {**known, "pairs": dict(pairs)} if ids else known


def _known_ids(pairs: Mapping[str, str], plan: Mapping[str, Any]) -> set[str]:
    outside = (plan.get("summary") or {}).get("not_in_map", {}).get("examples", [])
    return {*pairs, *pairs.values(), *outside}


def _texts(held: _Held) -> list[str]:
    """Every text that may quote an id."""
    return [
        *(str(run["text"]) for run in held.runs),
        *(str(one["why"]) for run in held.runs for one in run["detail"].get("kept", ()) if isinstance(one, dict)),
        *(plain(entry.note) for entry in held.attention),
        *(str(one["path"]) for one in held.unknown),
        *(text for one in held.findings for text in (str(one["text"]), str(one["todo"]))),
    ]


def hider(ids: Iterable[str], texts: Sequence[str]) -> Callable[[str], str]:
    """Replaces ids, addresses and keys in texts. Of many ids only those are tried that occur in `texts` at all."""
    whole = "\n".join(texts)
    found = sorted({one for one in map(plain, ids) if one and one in whole}, key=len, reverse=True)
    known = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, found))})(?!\w)") if found else None

    def hide(text: str) -> str:
        text = known.sub("(id)", plain(text)) if known else plain(text)
        return _PATH.sub("(key)", _ADDRESS.sub("(id)", text))

    return hide


def _unchanged(text: str) -> str:
    return text


# --- files of the workspace ----------------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterable[dict[str, Any] | None]:
    """The objects of a file of JSON lines; None for a damaged line, as a kill leaves one at the end."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                found = json.loads(line)
            except ValueError:
                found = None
            yield found if isinstance(found, dict) else None


def commands(path: Path) -> list[dict[str, Any]]:
    """Every command of commands.jsonl; one that was killed has `ended` and `code` None."""
    found: dict[str, dict[str, Any]] = {}
    for line in _lines(path):
        run, moment = (str(line.get("run")), _moment(line)) if line else ("", None)
        if line is None or moment is None:
            continue
        if isinstance(line.get("command"), str):
            found[run] = {**line, "ended": None, "code": None}
        elif run in found and isinstance(line.get("code"), int):
            found[run].update(ended=moment, code=line["code"])
    return list(found.values())


def _moment(line: Mapping[str, Any]) -> float | None:
    """When a line was written, in epoch seconds; None for one that we did not write."""
    written = line.get("time")
    return written if isinstance(written, int | float) and 0 <= written < _YEAR_5000 else None


def audit(path: Path) -> dict[str, Any]:
    """The audit log in numbers: writes by operation and result. Keys stay in the file."""
    writes: Counter[tuple[str, str]] = Counter()
    lines = damaged = 0
    first = last = None
    for line in _lines(path):
        lines += 1
        if line is None:
            damaged += 1
            continue
        writes[(f"{line.get('service')}.{line.get('operation')}", str(line.get("result")))] += 1
        first, last = first or _moment(line), _moment(line) or last
    return {
        "writes": [
            {"operation": operation, "result": result, "count": count}
            for (operation, result), count in sorted(writes.items())
        ],
        "lines": lines, "damaged": damaged, "first": first, "last": last,
        "sha256": backup_files.sha256_of(path) if lines else "",
    }  # fmt: skip


def _backups(workspace: Workspace, recorded: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Recovery that the ledger knows, then every backup file with what its manifest says."""
    found = [{"place": place, **record} for place, record in recorded.items() if record.get("kind") != "file"]
    inside = sorted(workspace.backups.glob(f"*{MANIFEST}"))
    elsewhere = [backup_files.manifest_path(Path(path)) for path in workspace.settings().get("backups", [])]
    for path in (*inside, *elsewhere):
        try:
            manifest = backup_files.read_manifest(path)
        except BadInput as error:
            log.warning("%s", error)
            found.append({"place": path.name, "kind": "damaged", "note": "its manifest cannot be read"})
            continue
        data = path.with_name(path.name.removesuffix(MANIFEST) + DATA)
        found.append(
            {
                "place": manifest.table, "kind": "file", "file": str(data), "present": data.is_file(),
                "rows": manifest.rows, "sha256": manifest.sha256, "digest": manifest.digest,
                "made": manifest.time, "verified": manifest.verified,
            }
        )  # fmt: skip
    return found


def _files(workspace: Workspace) -> list[dict[str, Any]]:
    lasting = (path for path in workspace.folder.rglob("*") if path.parent != workspace.runs)
    files = sorted(path for path in lasting if path.is_file())
    return [{"name": str(path.relative_to(workspace.folder)), "bytes": path.stat().st_size} for path in files]


def _versions() -> dict[str, str]:
    parts = {name: version(name) for name in ("boto3", "botocore")}
    return {"amplify-migrate": __version__, "python": platform.python_version(), "system": platform.platform(), **parts}


# --- the account ---------------------------------------------------------------------------------------------------------


def _remaining(context: Context) -> dict[str, Any]:
    """The legacy table and buckets that still stand: those whose content the migration moved elsewhere."""
    found: dict[str, Any] = {"tables": [], "buckets": [], "unknown": []}
    for kind, names, listing in (
        ("tables", [old_table(context.deployment)], table_names),
        ("buckets", legacy_buckets(context.deployment), bucket_names),
    ):
        try:
            existing = set(listing(context.account))
        except AWS_ERRORS as error:
            found["unknown"].append(f"{kind}: {explain(error)}")
            continue
        found[kind] = [name for name in names if name in existing]
    return found
