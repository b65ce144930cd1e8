"""Verify: read again what was written and judge it; then scan for what was left under old ids.

Four verdicts: match, differs, missing, unknown (could not be read). Only match ever permits a deletion.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from wizard.aws import Account
from wizard.aws_errors import AWS_ERRORS, explain
from wizard.context import Context
from wizard.events import Progress
from wizard.migration.current_plan import open_plan, other_tables
from wizard.migration.entry import Entry, encode_key
from wizard.migration.ledger import Ledger
from wizard.migration.objects import ObjectCopy, verify_object
from wizard.migration.read_ahead import Read, ReadAhead
from wizard.migration.rewrite import Edit
from wizard.migration.scan import unmarked
from wizard.migration.show import shown
from wizard.migration.states import NEWEST, OPEN, took_tables
from wizard.migration.writes import read
from wizard.parallel import each
from wizard.text import plain, plural
from wizard.wire import Item, digest, key_of

log = logging.getLogger(__name__)

Verdict = Literal["match", "differs", "missing", "unknown"]
BATCH = 500
LISTED = 500  # changes that do not match and are named; all are counted


@dataclass(frozen=True)
class Judgement:
    """A verdict, why, and whether a service has changed the item since it was written."""

    verdict: Verdict
    why: str = ""
    later: bool = False


def row_at_target(entry: Entry) -> tuple[str, Item] | None:
    """(table, key) of the item that a change wrote; None where it wrote an object."""
    if entry.kind == "object" or (entry.kind == "content" and entry.detail.get("pointer")):
        return None
    sort_key = {"SK": {"S": entry.detail["at"]}} if entry.detail.get("at") else {}
    return entry.target_place, {**entry.target_key, **sort_key}


def judge(account: Account, entry: Entry, read: Read = read) -> Judgement:
    """Whether the target of a change is there and holds what was written."""
    try:
        if entry.kind == "object":
            check = verify_object(account, entry.object_copy, entry.target_digest, entry.detail.get("version", ""))
            return Judgement(check.verdict, check.detail, check.later)
        where = row_at_target(entry)
        if where is None:
            bucket, source, size, etag, *_ = entry.detail["sources"][0]
            copy = ObjectCopy(bucket, source, bucket, entry.detail["pointer"], size, etag)
            check = verify_object(account, copy, entry.detail.get("object_etag", ""))
            return Judgement(check.verdict, check.detail, check.later)
        found = read(account, *where)
    except AWS_ERRORS as error:
        return Judgement("unknown", explain(error))
    if found is None:
        return Judgement("missing", "nothing is at the target")
    return judge_item(entry, found)


def _judging(account: Account, read: Read, entry: Entry) -> Judgement:
    return judge(account, entry, read)


def judge_item(entry: Entry, found: Item) -> Judgement:
    """Compare an item with what was written: equal, or every written place still holds our value."""
    found = unmarked(found)
    if digest(found) == entry.target_digest:
        return Judgement("match")
    if entry.kind == "content":
        names = ("PK", "SK", "appId", "entityType", "data")
        lost = [name for name in names if name not in found]
    else:
        lost = [".".join(edit.slot) for edit in entry.edits if not _still(found, edit)]
    if lost:
        return Judgement("differs", f"{plain(lost[0], 120)} does not hold what was written")
    return Judgement("match", "a service has changed it since", later=True)


def _still(item: Item, edit: Edit) -> bool:
    """Whether the old value is gone from the place of an edit and, unless it was removed, the attribute is there.

    What no edit concerns is not looked at: see `decide` in `cleanup.py`.
    """
    renamed = edit.before is not None and edit.before.get("S") == edit.slot[-1]  # the key of a map
    places: list[Any] = [{"M": item}]
    for depth, part in enumerate(edit.slot):
        inner: list[Any] = []
        for place in places:
            if part == "[]":
                inner.extend([*place.get("L", ()), *({"S": text} for text in place.get("SS", ()))])
            elif part in place.get("M", {}):
                inner.append(place["M"][part])
        if not inner and depth == 0:
            return edit.after is None
        places = inner
    if renamed:
        return not places
    return edit.before not in places if edit.before is not None and edit.before != edit.after else True


def verify_plan(context: Context) -> dict[str, Any]:
    """Judge everything that was applied, record what matches, and look for what is left under old ids.

    Returns counts by verdict, the changes that do not match, and the leftovers of a fresh plan that is not recorded.
    """
    from wizard.migration.leftovers import leftovers

    account = context.account
    started, before = time.time(), account.costs.copy()
    with account.only_looking(), context.workspace.alone(), Ledger(context.workspace.ledger) as ledger:
        plan, ids = open_plan(context, ledger)
        verdicts: Counter[str] = Counter()
        later = 0
        wrong: list[dict[str, Any]] = []  # the first of them; a lost table may have a million
        wrong_total = 0
        totals = ledger.counts("target_place", f"state IN ('applied', 'verified') AND {NEWEST}")
        looked: Counter[str] = Counter()
        # What a rollback took and could not put back is told as such: the next apply puts it back, and it is verified then.
        taken = {(place, encode_key(key_of(item, names))) for _, place, names, item in ledger.taken()}
        ahead = ReadAhead(context)
        judging = partial(_judging, account, ahead)
        for batch in ledger.batches(("applied", "verified"), BATCH, where=NEWEST):
            ended: list[Entry] = []
            items = (entry for entry in batch if entry.kind == "item")
            ahead.take(where for entry in items if (where := row_at_target(entry)))
            for entry, judgement in each(judging, batch, workers=ahead.workers, control=context.control):
                place = entry.target_place
                looked[place] += 1
                context.feed.emit(Progress(place, looked[place], totals[place], "changes", "verify"))
                if judgement.verdict == "missing" and (
                    (place, encode_key(entry.target_key)) in taken
                    or _is_to_come(ledger, entry)
                    or _is_copied_on(ledger, entry)
                ):
                    continue
                verdicts[judgement.verdict] += 1
                later += judgement.later and _is_by_a_service(ledger, entry)
                if judgement.verdict == "match":
                    if entry.state == "applied":
                        ended.append(replace(entry, state="verified"))
                else:
                    wrong_total += 1
                    if len(wrong) < LISTED:
                        wrong.append({**shown(entry), "verdict": judgement.verdict, "why": judgement.why})
                    if judgement.verdict != "unknown":
                        # The next plan takes it up: what is missing is made again, what differs is looked at again.
                        state = "failed" if judgement.verdict == "missing" else "conflict"
                        detail = {**entry.detail, "was_made": True}
                        ended.append(entry.becomes(state, f"verify: {judgement.why}", detail=detail))
            ledger.save(ended)
        left = leftovers(context, ledger, plan, ids)
        besides = [*_new_versions(plan, left), *_lost_tables(context, plan, totals)]
        summary = {
            "verdicts": dict(verdicts),
            "changed_since": later,
            "wrong": [*besides, *wrong],
            "wrong_total": len(besides) + wrong_total,
            "leftovers": left,
            "states": ledger.counts(),
            "tables": ledger.table_counts(),
            "still_to_put_back": ledger.still_to_put_back(),
        }
        detail = {"verdicts": dict(verdicts), "leftovers": left, "costs": account.costs.since(before)}
        ledger.add_run("6d", started, code(summary), text(summary), detail)
        return summary


def _is_to_come(ledger: Ledger, entry: Entry) -> bool:
    """Whether a change that is still open brings what is not there yet, or a plan of the tables that was not made yet.

    Content that stood under an old id alone when it was planned has no digest.
    """
    where = row_at_target(entry) if entry.kind == "content" else None
    if where is None:
        return False
    if not entry.target_digest and not took_tables(ledger.scopes()):
        return True
    return any(other.state in OPEN for other in ledger.at_target(*where, "item"))


def _is_by_a_service(ledger: Ledger, entry: Entry) -> bool:
    """Whether what a change left was known, and no later change of ours was made there, which is judged itself."""
    where = row_at_target(entry)
    others = [*ledger.at_target(*where, "item"), *ledger.at_target(*where)] if where is not None else []
    ours = (other.id > entry.id and other.state in ("applied", "verified") and other.undoable for other in others)
    return bool(entry.target_digest or where is None) and not any(ours)


def _is_copied_on(ledger: Ledger, entry: Entry) -> bool:
    """Whether what a change wrote was copied on, with more users in the map, and cleaned since."""
    where = row_at_target(entry)
    return where is not None and ledger.is_cleaned(*where)


def _new_versions(plan: Mapping[str, Any], left: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A PDF whose copy was taken for a new version would make everybody accept it again; see `buckets.py`."""
    found = []
    for place, count in left["scanned"].items():
        before = plan["summary"]["scanned"].get(place, count)
        if place.endswith("-versions") and count > before:
            text = (
                f"it had {plural(before, 'version')} when the plan was made and has {count:,} now: everybody must accept"
                " the new one. Delete it if the copy of a PDF made it; if an administrator did, plan again"
            )
            found.append(_of_table("differs", place, text))
    return found


def _lost_tables(context: Context, plan: Mapping[str, Any], verified: Iterable[str]) -> list[dict[str, Any]]:
    """Tables that were deleted, or created again, since the changes in them were looked at: the last look of all."""
    return [
        _of_table("missing", name, f"{state}, since its items were looked at: restore it, then verify again")
        for name, state in other_tables(context, plan, verified)
    ]


def _of_table(verdict: Verdict, place: str, why: str) -> dict[str, Any]:
    """A line of what is wrong that concerns no single change."""
    return {"verdict": verdict, "why": why, "id": 0, "source": place, "target": place, "edits": []}


def code(summary: Mapping[str, Any]) -> int:
    """0 only if all matches, nothing is left, and all that a deletion took stands again."""
    states = summary["states"]
    undone = sum(states.get(state, 0) for state in ("planned", "conflict", "failed"))
    left = summary["leftovers"]
    return 1 if summary["wrong"] or undone or left["count"] or left["unread"] or summary["still_to_put_back"] else 0


def text(summary: Mapping[str, Any]) -> str:
    """One or two sentences for people."""
    verdicts, left = summary["verdicts"], summary["leftovers"]["count"]
    parts = [f"{plural(verdicts.get('match', 0), 'change')} verified"]
    parts += [f"{count:,} {verdict}" for verdict, count in sorted(verdicts.items()) if verdict != "match"]
    tables = [one for one in summary["wrong"] if one["id"] == 0]
    if any(one["verdict"] == "differs" for one in tables):
        parts.append("there is a new version of the data disclosure")
    parts += [f"{one['target']}: {one['why']}" for one in tables if one["verdict"] == "missing"]
    undone = sum(summary["states"].get(state, 0) for state in ("planned", "conflict", "failed"))
    undone -= verdicts.get("missing", 0) + verdicts.get("differs", 0)  # open again, and told above
    if undone > 0:
        parts.append(f"{undone:,} not applied")
    if unread := summary["leftovers"]["unread"]:
        parts.append(f"{', '.join(unread)} could not be read: grant dynamodb:Scan and s3:ListBucket, then verify again")
    if back := summary["still_to_put_back"]:
        parts.append(f"{plural(len(back), 'item')} still to be put back: apply again")
    if not left:
        parts.append("nothing is left under old ids")
    elif undone > 0:
        parts.append(f"{plural(left, 'item')} under old ids: apply first, then verify again")
    elif set(summary["states"]) == {"rolled back"}:
        parts.append(f"{plural(left, 'item')} under old ids again, as all was rolled back: plan and apply again")
    else:
        parts.append(f"{plural(left, 'item')} under old ids appeared since: plan and apply again")
    return "; ".join(parts)
