"""Facts that only the workspace knows: the user map, backups, waivers, and what the ledger holds of plan and apply."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from wizard import estimate, storage, users, wire
from wizard.backup_files import read_items
from wizard.batch_get import batch_get
from wizard.catalog.model import Ids
from wizard.catalog.tables import BY_KEY
from wizard.context import Context
from wizard.facts import Fact
from wizard.guidance import TRY_BY_HAND
from wizard.migration.entry import encode_key
from wizard.migration.ledger import Ledger
from wizard.migration.plan import catalog_digest
from wizard.migration.retained import RETAINED
from wizard.migration.rewrite import rewrite
from wizard.migration.states import NEWEST, OPEN, SPENT_STANDS, STATES, UNDOABLE, is_undone, last_proof
from wizard.parallel import each
from wizard.text import at_minute, plain, plural
from wizard.wire import Item

WAIVERS = "waivers"  # setting of the workspace: names that the operator decided to do without
A_DAY = timedelta(days=1)  # what the guide asks of quiet logs before a cleanup, at least
IMPORT_MAP = "import_map"  # setting of the workspace: the user map that rows were last imported with


def check_user_map(context: Context) -> Fact:
    """The workspace's user map, read and checked by itself; how it fits the account is looked at by `users check`."""
    path = users.map_file(context.workspace)
    if path is None:
        return Fact("user_map", "attention", "User map", "none chosen yet", "Step 6a reads one or makes one.", {})
    user_map, complaints = users.check_file(path)
    errors = sum(complaint.level == "error" for complaint in complaints)
    value = {
        "rows": len(user_map.rows), "scenario": user_map.scenario, "errors": errors, "digest": user_map.digest,
        "file": str(path),
    }  # fmt: skip
    return Fact(
        "user_map", "blocked" if errors else "ok", "User map",
        f"{path}: {plural(len(user_map.rows), 'user')}" + (f", {plural(errors, 'error')}" if errors else ""),
        f"`amplify-migrate users check {path}` names the lines to mend." if errors else "", value,
    )  # fmt: skip


def check_backup(context: Context) -> Fact:
    """The newest verified backup of the old user storage table that this workspace knows."""
    found = storage.backups(context.workspace, storage.old_table(context.deployment))
    if not found:
        return Fact("backup", "ok", "Backup of user storage", "none in this workspace", "", {})
    newest = found[0]
    return Fact(
        "backup", "ok", "Backup of user storage",
        f"{newest.path}: {plural(newest.manifest.rows, 'row')} of {at_minute(newest.manifest.time)}, verified", "",
        {"verified": bool(newest.manifest.verified), "rows": newest.manifest.rows, "file": str(newest.path)},
    )  # fmt: skip


def check_import(context: Context) -> Fact:
    """How many rows of the backup stand in the new table neither under their own key nor under their mapped one."""
    found = storage.backups(context.workspace, storage.old_table(context.deployment))
    if not found:
        return Fact("import", "ok", "Import of user storage", "no backup to import", "", {})
    table = storage.new_table(context.deployment)
    if storage.describe(context.account, table) is None:
        missing = found[0].manifest.rows
    else:
        missing = count_missing(context, table, read_items(found[0].path), found[0].manifest.key)
    return Fact(
        "import", "attention" if missing else "ok", "Import of user storage",
        f"{plural(missing, 'row')} of {found[0].path.name} not in {table}" if missing else f"all rows are in {table}",
        "Step 4d imports them." if missing else "", {"missing": missing},
    )  # fmt: skip


def count_missing(context: Context, table: str, items: Iterable[Item], key: Sequence[str]) -> int:
    """Rows of `items` that the user storage table has neither under their own key nor under one that a map gives them: the
    chosen one, or the one that they were imported with."""
    used = context.workspace.settings().get(IMPORT_MAP)
    paths = dict.fromkeys(
        path for path in (users.map_file(context.workspace), Path(used) if used else None) if path is not None
    )
    maps = [None, *(Ids(users.check_file(path)[0].ids) for path in paths if path.is_file())]
    row = BY_KEY["USER_DATA_STORAGE_TABLE"]

    def absent(batch: tuple[Item, ...]) -> int:
        left: Sequence[Item] = batch
        for ids in maps:
            keys = [wire.key_of(item if ids is None else rewrite(row, item, ids).item, key) for item in left]
            there = present_keys(context, table, keys)
            left = [item for item, one in zip(left, keys, strict=True) if encode_key(one) not in there]
        return len(left)

    source = iter(items)
    batches = iter(lambda: tuple(itertools.islice(source, 100)), ())
    return sum(count for _, count in each(absent, batches, workers=min(8, context.workers), control=context.control))


def present_keys(context: Context, table: str, keys: Sequence[Item]) -> set[str]:
    """Which of at most 100 keys the table has, as key texts."""
    unique = {encode_key(key): key for key in keys}
    names = tuple(keys[0]) if keys else ()
    return {encode_key(key) for key in batch_get(context.account, table, list(unique.values()), names)}


def check_waivers(context: Context) -> Fact:
    """What the operator decided by name to do without."""
    waivers = list(context.workspace.settings().get(WAIVERS, []))
    return Fact(
        "waivers",
        "attention" if waivers else "ok",
        "Waived by the operator",
        ", ".join(waivers) or "nothing",
        "",
        waivers,
    )


def check_kept(context: Context) -> Fact:
    """Whether the operator chose to keep the old records."""
    kept = bool(context.workspace.settings().get("kept"))
    return Fact("kept", "ok", "Old records", "kept by choice" if kept else "not decided", "", kept)


def check_verified_services(context: Context) -> Fact:
    """Whether step V found nothing wrong; deploying a service from here forgets it."""
    found = context.workspace.settings().get("services_verified", {})
    ok = bool(found.get("ok"))
    told = (
        f"{'nothing' if ok else 'something'} wrong on {at_minute(found['time'])}"
        if found
        else "not since the last deployment"
    )
    todo = "" if ok else "Step V looks at stacks, functions and logs."
    return Fact("verified_services", "ok" if ok else "attention", "Services verified", told, todo, ok)


def check_tried(context: Context) -> Fact:
    """Which of the main features were ticked as tried by hand."""
    settings = context.workspace.settings()
    tried = [name for name in TRY_BY_HAND if name in settings.get("tried", ())]
    left = [text for name, text in TRY_BY_HAND.items() if name not in tried]
    due = bool(left and settings.get("services_verified", {}).get("ok"))
    return Fact(
        "tried", "attention" if due else "ok", "Tried by hand",
        f"not ticked: {'; '.join(left)}" if left else "all main features",
        "Try them, tick what works at step V, and verify once more." if due else "", tried,
    )  # fmt: skip


def check_quiet_logs(context: Context) -> Fact:
    """Whether step V found no error in the logs a day or more after the last deployment, apply and rollback."""
    settings = context.workspace.settings()
    verified = settings.get("services_verified", {})
    changes = [
        datetime.fromisoformat(one["changed"]) for one in settings.get("deployed", {}).values() if one["changed"]
    ]
    if context.workspace.ledger.exists():
        with Ledger(context.workspace.ledger, writable=False) as ledger:
            runs = [run for run in ledger.runs() if run["step"] in ("6c", "rollback")]
            changes += [datetime.fromtimestamp(run["ended"], UTC) for run in runs]
    quiet = bool(verified.get("ok") and changes) and datetime.fromisoformat(verified["time"]) - max(changes) >= A_DAY
    found = "no errors a day after the last change" if quiet else "not looked at a day after the last change"
    return Fact("quiet_logs", "ok", "Logs of the services", found, "", quiet)


def check_sandbox(context: Context) -> Fact:
    """Whether this is the embedded AWS; True only for this process's own, where nothing need be asked."""
    if context.sandbox:
        found = "embedded AWS on loopback"
    elif context.other_sandbox:
        found = f"the embedded AWS of another process, at {context.endpoint}; everything is asked as on a real account"
    elif context.endpoint:
        found = f"no: {plain(context.endpoint)} answers in the place of AWS"
    else:
        found = "no: a real account"
    return Fact("sandbox", "ok", "Sandbox", found, "", context.sandbox)


def ledger_facts(context: Context, without_recovery: Sequence[str] | None = None) -> list[Fact]:
    """What the ledger holds: the plan, whether its tables are safe, what was verified and what is still retained.

    `without_recovery` are the tables without point-in-time recovery, None where that is not known.
    """
    path = context.workspace.ledger
    if not path.exists():
        return _no_plan()
    with Ledger(path, writable=False) as ledger:
        plan, runs, counts = ledger.latest_plan(), ledger.runs(), ledger.counts()
        unsaved = {str(row["place"]) for row in ledger.table_counts() if row["kind"] != "object"} - set(
            ledger.backups()
        )
        retained = ledger.records(RETAINED)
        made = sum(ledger.counts(where=UNDOABLE).values())
        back, spent = ledger.still_to_put_back(), ledger.records(SPENT_STANDS)
        waiting = ledger.counts("kind", "state IN ('planned', 'failed')")
        unknown = len(ledger.unknown_references())
        unverified = ledger.counts(where=f"state = 'applied' AND {NEWEST}")
    if plan is None:
        return _no_plan()
    guess = estimate.of_apply(runs, waiting, context.account.writes.rate)
    proof = last_proof(runs)
    clean = proof is not None and proof["code"] == 0 and not unverified
    told = ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts.get(state)) or "nothing to change"
    undone, fresh = is_undone(runs), is_fresh(context, runs)
    again = ""
    if undone and made:
        again = "A rollback of it began: undo the rest (6c), or plan again (6b)."
    elif undone:
        again = "It was rolled back: plan again (6b)."
    elif not fresh:
        again = "The user map changed: plan again (6b)."
    elif plan["catalog_digest"] not in (None, catalog_digest()):
        again = "This version of the program knows the tables differently: plan again (6b) before anything else."
    return [
        Fact(
            "plan", "attention" if again else "ok", "Plan", f"plan {plan['id']}: {told}", again,
            {"id": plan["id"], "changes": sum(counts.get(state, 0) for state in OPEN), "fresh": fresh, "counts": counts,
             "undone": undone, "made": made, "still_to_put_back": len(back), "still_to_remove": spent, "estimate": guess,
             "not_in_map": (plan["summary"] or {}).get("not_in_map", {}).get("count", 0),
             "unknown_references": unknown},
        ),
        safeguard(context, unsaved, without_recovery),
        Fact(
            "verification", "ok" if clean else "attention", "Verification",
            "everything applied is verified" if clean else "not verified since the last apply", "", {"clean": clean},
        ),
        Fact("retained", "ok", "Retained records", f"{plural(retained, 'old record')} besides the new", "", retained),
    ]  # fmt: skip


def _no_plan() -> list[Fact]:
    return [
        Fact("plan", "ok", "Plan", "none yet", "", {}),
        Fact("safeguard", "ok", "Safeguard", "no plan to safeguard", "", {}),
        Fact("verification", "ok", "Verification", "nothing is applied", "", {}),
        Fact("retained", "ok", "Retained records", "nothing is applied", "", 0),
    ]


def safeguard(context: Context, unsaved: set[str], without_recovery: Sequence[str] | None) -> Fact:
    """Tables of the plan with neither point-in-time recovery nor a backup, and whether each was waived by name."""
    if without_recovery is None:
        return Fact(
            "safeguard",
            "unknown",
            "Safeguard",
            "which tables have recovery is not known",
            "See Point-in-time recovery.",
        )
    waivers = set(context.workspace.settings().get(WAIVERS, []))
    missing = sorted(unsaved & set(without_recovery))
    left = [table for table in missing if table not in waivers]
    return Fact(
        "safeguard", "attention" if left else "ok", "Safeguard",
        f"neither recovery nor a backup: {', '.join(left)}" if left else "every table of the plan is safe, or waived",
        "`amplify-migrate backup create` makes them safe." if left else "",
        {"waived": bool(missing) and not left, "missing": missing},
    )  # fmt: skip


def is_fresh(context: Context, runs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last plan holds the present user map, and nothing was rolled back after it."""
    undone = is_undone(runs)
    path, planned = users.map_file(context.workspace), context.workspace.user_map
    if path is None or not path.is_file() or not planned.is_file():
        return not undone
    return not undone and users.check_file(path)[0].ids.items() <= users.check_file(planned)[0].ids.items()
