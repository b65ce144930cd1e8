"""`migrate`, `cleanup`, `rollback`, `unlock`: the commands of steps 6 and 7."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wizard.context import Context
from wizard.errors import BadInput
from wizard.guidance import limitations
from wizard.journey import Outcome
from wizard.lease import unlock
from wizard.migration import apply, cleanup, plan, rollback, verify
from wizard.migration.current_plan import open_plan
from wizard.migration.ledger import Ledger
from wizard.migration.retained import RETAINED
from wizard.migration.show import shown
from wizard.migration.states import SPENT_STANDS, STATES
from wizard.migration.verify_cleanup import verify_cleanup
from wizard.second_look import stop_and_think
from wizard.text import plain, plural
from wizard.users import check_against_account, identity_map, load_map

Subparsers = argparse._SubParsersAction


def add(commands: Subparsers[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    group = commands.add_parser("migrate", help="plan, apply and verify the migration of ids and buckets")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)

    one = actions.add_parser("plan", parents=[common], help="find every change; writes nothing in AWS")
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--csv-file", metavar="FILE", type=Path, help="the user map: old_id,new_id")
    source.add_argument("--no-id-change", action="store_true", help="ids stay: consolidate storage for every user")
    one.add_argument("--only", choices=("tables", "buckets"), default="", help="leave the other part for a later plan")
    one.add_argument(
        "--bucket", metavar="NAME", nargs="+", default=[], help="only these standalone buckets, or all of them"
    )
    one.add_argument(
        "--include-audit-logs", action="store_true", help="map the user in admin, group and operation logs as well"
    )
    one.set_defaults(run=run_plan)

    one = actions.add_parser("apply", parents=[common], help="make exactly the planned changes")
    one.add_argument("--dry-run", action="store_true", help="read and compute everything, write nothing")
    one.set_defaults(run=run_apply, effect="write", announce=_before_apply)
    actions.add_parser("verify", parents=[common], help="read again what was written").set_defaults(run=run_verify)
    actions.add_parser("status", parents=[common], help="how far the migration is").set_defaults(run=run_status)

    one = actions.add_parser("show", parents=[common], help="single changes")
    one.add_argument("--user", metavar="ID", default="", help="changes that concern this old id")
    one.add_argument("--table", metavar="NAME", default="", help="changes of this table or bucket, or catalog name")
    one.add_argument("--state", choices=STATES, default="", help="changes in this state")
    one.add_argument("--limit", type=int, default=1_000, metavar="N", help="at most this many (default 1000)")
    one.set_defaults(run=run_show)

    one = actions.add_parser("resolve", parents=[common], help="take a change off the list that you mended by hand")
    one.add_argument("change", metavar="CHANGE", type=int, help="its number in `migrate show`")
    how = one.add_mutually_exclusive_group(required=True)
    how.add_argument("--done", action="store_true", help="it was done by hand")
    how.add_argument("--skip", action="store_true", help="it shall stay as it is")
    one.add_argument("--reason", required=True, help="why; goes into the report")
    one.set_defaults(run=run_resolve)

    group = commands.add_parser("cleanup", help="delete (or mark) what is proven to be a copy")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    one = actions.add_parser("plan", parents=[common], help="what would be deleted, and what would be kept and why")
    one.add_argument("--objects", action="store_true", help="source objects in S3 as well; `apply` then takes them too")
    one.set_defaults(run=run_cleanup_plan)
    one = actions.add_parser("apply", parents=[common], help="delete it; asks for the word DELETE")
    one.add_argument("--dry-run", action="store_true", help="the same as `cleanup plan`")
    one.add_argument("--objects", action=argparse.BooleanOptionalAction, default=None,
                     help="source objects in S3 as well, or not; else as the last `cleanup plan`")  # fmt: skip
    one.set_defaults(run=run_cleanup_apply, effect="destroy", word="DELETE", announce=_before_cleanup)
    actions.add_parser("verify", parents=[common], help="old keys absent, twins present").set_defaults(
        run=run_cleanup_verify
    )
    one = actions.add_parser("mark", parents=[common], help="keep the old items, flagged")
    one.add_argument("--dry-run", action="store_true", help="what would be flagged, and what not and why")
    one.set_defaults(run=run_mark, effect="write", announce=_before_mark)

    one = commands.add_parser("rollback", parents=[common], help="undo an apply; asks for the word ROLLBACK")
    one.add_argument("--dry-run", action="store_true", help="what would be undone")
    one.set_defaults(run=run_rollback, effect="destroy", word="ROLLBACK", announce=_before_rollback)

    one = commands.add_parser("unlock", parents=[common], help="break the lock of a run that died elsewhere")
    one.set_defaults(run=run_unlock)


def _before_apply(arguments: argparse.Namespace, context: Context) -> Sequence[str] | None:
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        _, ids = open_plan(context, ledger)
        count = sum(ledger.counts(where="state IN ('planned', 'failed')").values())
        back = [*_to_put_back(ledger), *_to_remove(ledger)]
    if not count and not back:
        return None
    known = limitations(ids_change=bool(ids.changed))
    return (f"{plural(count, 'change')} will be made. Afterwards:", *(f"  {line}" for line in known), *back)


def _before_cleanup(arguments: argparse.Namespace, context: Context) -> Sequence[str] | None:
    objects = _objects(arguments, context)
    count, back = _retained(context)
    if not count and not objects and not back:
        return None
    also = ", and source objects in S3," if objects else ""
    told = (
        f"Up to {plural(count, 'old record')}{also} will be deleted where the copy exists and matches at that moment."
    )
    return (told, *back)


def _before_mark(arguments: argparse.Namespace, context: Context) -> Sequence[str]:
    return (f"Up to {plural(_retained(context)[0], 'old record')} will be kept, flagged with an attribute.",)


def _retained(context: Context) -> tuple[int, Sequence[str]]:
    """How many old records stand at most, and what is to be put back; raises what cleanup would raise."""
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        open_plan(context, ledger)
        cleanup.require_verified(ledger)
        return ledger.records(RETAINED), _to_put_back(ledger)


def _before_rollback(arguments: argparse.Namespace, context: Context) -> Sequence[str] | None:
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        rollback.require_undoable(ledger)
        count, back = rollback.how_many(context, ledger), _to_put_back(ledger)
    if not count and not back:
        return None
    return (f"{plural(count, 'change')} will be undone; what a service has changed since is left, and listed.", *back)


def _to_put_back(ledger: Ledger) -> Sequence[str]:
    """A line of what earlier deletions took and could not put back."""
    count = len(ledger.taken())
    return (f"{plural(count, 'item')} that a deletion took will be put back.",) if count else ()


def _to_remove(ledger: Ledger) -> Sequence[str]:
    """A line of old rows of sums, at zero, that an apply could not remove."""
    count = ledger.records(SPENT_STANDS)
    return (f"{plural(count, 'old row')} of a sum, at zero, will be removed.",) if count else ()


def run_plan(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Check the map, then plan. Raises BadInput for a map with errors."""
    user_map = identity_map(context) if arguments.no_id_change else load_map(arguments.csv_file)
    if not user_map.rows:
        raise BadInput("The user map has no rows: there is nobody to migrate.")
    complaints = check_against_account(context, user_map)
    errors = [complaint.text for complaint in complaints if complaint.level == "error"]
    if errors:
        more = f" (and {plural(len(errors) - 1, 'more error')}; see `users check`)" if len(errors) > 1 else ""
        raise BadInput(f"{errors[0]}{more}")
    if arguments.bucket and arguments.only == "tables":
        raise BadInput("--bucket does not go with --only tables.")
    request = plan.Request(user_map, arguments.only, tuple(arguments.bucket), arguments.include_audit_logs)
    summary = plan.make_plan(context, request)
    if summary["changes"]:
        context.workspace.remember({"kept": False})  # what was chosen for the old records of an earlier apply
    summary["complaints"] = [{"level": one.level, "line": one.line, "text": one.text} for one in complaints]
    return Outcome(0, plan_text(summary), summary)


# What a dry run of apply counts, in words; `{s}` is of many.
WOULD = {
    "content artifacts": "artifact{s} moved from S3 into user storage",
    "content disclosures": "data disclosure{s} pointed to the copy",
    "content logs": "log{s} of scheduled tasks moved from S3 into user storage",
    "content settings": "set{s} of settings moved into user storage",
    "content shares": "share{s} moved into user storage",
    "content workflows": "workflow template{s} moved from S3 into user storage",
    "item add": "row{s} of costs added up under the new id",
    "item copy": "row{s} copied under the new id",
    "item merge": "row{s} merged into the row of the new id",
    "item remove": "old row{s} of sums, at zero, removed",
    "item refresh": "row{s} under the new id brought up to date",
    "item update": "row{s} changed in place",
}
# And what it counts of the rest, by the state that it would get.
WOULD_NOT = {
    "applied": "there already", "verified": "there already", "kept": "to be kept as found",
    "conflict": "in conflict with what stands now", "failed": "failing as things stand",
}  # fmt: skip


def plan_text(summary: Mapping[str, Any]) -> str:
    """A plan for people: counts per table, then what deserves a look before it is applied."""
    lines = [f"Plan {summary['plan']}: {plural(summary['changes'], 'change')}", *_table_lines(summary["tables"])]
    return "\n".join([*lines, *(line if line[0] != "!" else f"  {line}" for line in stop_and_think(summary))])


def _table_lines(tables: list[dict[str, Any]]) -> list[str]:
    lines = []
    for one in tables:
        states = ", ".join(f"{one[state]:,} {state}" for state in STATES if one.get(state))
        way = one["place"] if one["source"] == one["place"] else f"{one['source']} -> {one['place']}"
        lines.append(f"  {way}: {states}")
    return lines


def run_apply(arguments: argparse.Namespace, context: Context) -> Outcome:
    summary = apply.apply_plan(context, dry_run=arguments.dry_run)
    if arguments.dry_run:
        would = summary["would"]
        made = {what: count for what, count in sorted(would.items()) if what not in STATES}
        lines = [f"  {count:,} {WOULD.get(what, what).format(s='s'[: count - 1])}" for what, count in made.items()]
        rest = [f"  {would[state]:,} {WOULD_NOT.get(state, state)}" for state in STATES if state in would]
        lines = [*(lines or ["  nothing"]), *(["Of the others:", *rest] if rest else [])]
        told = f"Dry run: {plural(sum(made.values()), 'change')} would be made. Nothing was written."
        return Outcome(0, "\n".join(["Apply would make:", *lines, told]), summary)
    lines = [apply.text(summary)]
    for one in (*summary["conflicts"][:20], *summary["failed"][:20]):
        lines.append(f"  {one['state']} {one['id']}: {one['source']}: {one['note']}")
    return Outcome(apply.code(summary), "\n".join(lines), summary)


def run_verify(arguments: argparse.Namespace, context: Context) -> Outcome:
    summary = verify.verify_plan(context)
    lines = [verify.text(summary)]
    lines += [f"  {one['verdict']} {one['id']}: {one['target']}: {one['why']}" for one in summary["wrong"][:20]]
    lines += [f"  left in {table}: {count:,}" for table, count in summary["leftovers"]["tables"].items()]
    if code := verify.code(summary):
        lines.append("`migrate plan` and `migrate apply` take up what is open; `rollback` undoes what was applied.")
    return Outcome(code, "\n".join(lines), summary)


_NO_STATUS: Mapping[str, Any] = {
    "plan": None,
    "states": {},
    "tables": [],
    "still_to_put_back": [],
    "still_to_remove": 0,
}


def run_status(arguments: argparse.Namespace, context: Context) -> Outcome:
    if not context.workspace.ledger.exists():
        return Outcome(0, "There is no plan yet.", _NO_STATUS)
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        latest, states, tables = ledger.latest_plan(), ledger.counts(), ledger.table_counts()
        back, spent = ledger.still_to_put_back(), ledger.records(SPENT_STANDS)
    header = f"Plan {latest['id']}" if latest else "There is no plan yet."
    lines = [header, *_table_lines(tables), *(f"Still to be put back: {one}" for one in back)]
    lines += [f"Still to be removed: {plural(spent, 'old row')} of a sum, at zero"] if spent else []
    return Outcome(0, "\n".join(lines), {
        "plan": latest["id"] if latest else None, "states": states, "tables": tables, "still_to_put_back": back,
        "still_to_remove": spent,
    })  # fmt: skip


def run_show(arguments: argparse.Namespace, context: Context) -> Outcome:
    if not context.workspace.ledger.exists():
        return Outcome(0, "There is no plan yet.", {"changes": []})
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        states = (arguments.state,) if arguments.state else ()
        found = ledger.select(states, user=arguments.user, table=arguments.table, limit=arguments.limit)
    changes = [shown(entry) for entry in found]
    lines = []
    for one in changes:
        lines.append(
            f"{one['id']}  {one['state']}  {one['action']}  {one['source']} -> {one['target']}  {one['note']}".rstrip()
        )
        lines += [
            f"      {path}: {before or '(nothing)'} -> {after or '(removed)'}" for path, before, after in one["edits"]
        ]
    return Outcome(0, "\n".join(lines) or "No change like that.", {"changes": changes})


def run_resolve(arguments: argparse.Namespace, context: Context) -> Outcome:
    with context.workspace.alone(), Ledger(context.workspace.ledger) as ledger:
        entry = ledger.get(arguments.change)
        if entry is None:
            raise BadInput(f"There is no change {arguments.change}; see `migrate show`.")
        what, reason = "done by hand" if arguments.done else "skipped", plain(arguments.reason)
        resolved = rollback.given_up(entry, f"{what}: {reason}")
        if resolved is None and entry.state not in ("planned", "conflict", "failed", "kept", "resolved"):
            raise BadInput(f"Change {arguments.change} is {entry.state}; only what is not done can be resolved.")
        detail = {**entry.detail, "by_hand": arguments.done}
        ledger.save([resolved or entry.becomes("resolved", f"{what}: {reason}", detail=detail)])
    return Outcome(0, f"Change {arguments.change} is {what}.", {"id": arguments.change, "how": what})


def run_cleanup_plan(arguments: argparse.Namespace, context: Context) -> Outcome:
    objects = bool(getattr(arguments, "objects", False))
    summary = cleanup.plan_cleanup(context, objects=objects)
    context.workspace.remember({"cleanup_objects": objects})  # what was not planned is not asked for
    return Outcome(0, _would_delete(summary), summary)


def run_cleanup_apply(arguments: argparse.Namespace, context: Context) -> Outcome:
    objects = _objects(arguments, context)
    if arguments.dry_run:
        summary = cleanup.plan_cleanup(context, objects=objects)
        return Outcome(0, _would_delete(summary), summary)
    summary = cleanup.apply_cleanup(context, objects=objects)
    return Outcome(cleanup.code(summary), _cleanup_text(summary, cleanup.text(summary)), summary)


def _objects(arguments: argparse.Namespace, context: Context) -> bool:
    """Whether source objects go as well: as this command says, else as the last `cleanup plan` did."""
    said: bool | None = arguments.objects
    return bool(context.workspace.settings().get("cleanup_objects")) if said is None else said


def run_cleanup_verify(arguments: argparse.Namespace, context: Context) -> Outcome:
    summary = verify_cleanup(context)
    lines = [
        f"{summary['right']:,} of {plural(summary['checked'], 'cleaned change')} are as they should be;"
        f" they had {plural(summary['records'], 'old record')}",
        *summary["wrong"][:20],
        *(f"Still to be put back: {one}" for one in summary["still_to_put_back"]),
    ]
    return Outcome(1 if summary["wrong"] or summary["still_to_put_back"] else 0, "\n".join(lines), summary)


def run_mark(arguments: argparse.Namespace, context: Context) -> Outcome:
    summary = cleanup.mark_retained(context, dry_run=arguments.dry_run)
    if not arguments.dry_run:
        context.workspace.remember({"kept": True})
    code = 0 if arguments.dry_run else cleanup.code(summary)
    return Outcome(code, _cleanup_text(summary, cleanup.text(summary)), summary)


def _cleanup_text(summary: Mapping[str, Any], header: str) -> str:
    lines = [header, *(f"  {count:,} in {place}" for place, count in summary["tables"].items())]
    lines += [f"  kept in {one['place']}: {one['count']:,}: {one['why']}" for one in summary["kept"]]
    lines += [f"  failed: {one}" for one in summary["failed"]]
    lines += [f"  still to be put back: {one}" for one in summary["still_to_put_back"]]
    lines += [f"  {one['level']}: {one['place']}: {one['text']}" for one in summary.get("findings", ())]
    return "\n".join(lines)


def _would_delete(summary: Mapping[str, Any]) -> str:
    told = f"Dry run: {cleanup.things(summary)} would be deleted. Nothing was deleted."
    return f"{_cleanup_text(summary, 'Cleanup would delete:')}\n{told}"


def run_rollback(arguments: argparse.Namespace, context: Context) -> Outcome:
    summary = rollback.rollback(context, dry_run=arguments.dry_run)
    others = summary.get("under_new_ids", {})
    listed = summary["left"] and not arguments.dry_run
    lines = [
        rollback.text(summary),
        *(f"  left {one['id']}: {one['target']}: {one['why']}" for one in summary["left"][:20]),
        *(["  Look at each; `migrate resolve CHANGE --skip --reason TEXT` takes one off this list."] if listed else []),
        *(f"  under a new id: {one}" for one in others.get("items", ())[:20]),
        *(f"  not searched for new ids: {one}" for one in others.get("unread", ())),
    ]
    # What would be left is a finding of the dry run, as of a plan; the status tells whether the look itself succeeded.
    return Outcome(0 if arguments.dry_run else rollback.code(summary), "\n".join(lines), summary)


def run_unlock(arguments: argparse.Namespace, context: Context) -> Outcome:
    if not arguments.confirm:
        raise BadInput("Give --confirm OWNER, the name that the message of the lock shows.")
    done = unlock(context, arguments.confirm)
    return Outcome(0, done, {"done": done})
