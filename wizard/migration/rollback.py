"""Rollback: undo an apply from the ledger, last change first. What a service has changed since is left, and listed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from wizard.aws import Account
from wizard.aws_errors import ABSENT, AWS_ERRORS, code_of, explain
from wizard.context import Context
from wizard.errors import Blocked, MigrateError
from wizard.events import Progress
from wizard.lease import exclusive
from wizard.migration.abandoned import abort_abandoned
from wizard.migration.entry import Entry, encode_key
from wizard.migration.giving_back import give_back
from wizard.migration.intents import as_they_stand, object_beside, settle
from wizard.migration.leading import WHY, Leading, Place, leads_to
from wizard.migration.ledger import Ledger
from wizard.migration.objects import delete_copy, delete_written, verify_object
from wizard.migration.order import backwards
from wizard.migration.origins import GONE, Origin, missing, origins_of
from wizard.migration.outcome import with_archived
from wizard.migration.recorded import recorded
from wizard.migration.scan import unmarked
from wizard.migration.show import shown
from wizard.migration.states import BATCH, MADE, OPEN, UNDOABLE
from wizard.migration.targets import CONSOLIDATION, bucket_name
from wizard.migration.under_new_ids import under_new_ids
from wizard.migration.undoing import LEFT, Undo, undo_content, undo_item
from wizard.migration.writes import Lost, NotPutBack, delete, put_again, read, send, update
from wizard.parallel import each, waves
from wizard.text import at_minute, plain, plural
from wizard.wire import Item, key_text

log = logging.getLogger(__name__)

LISTED = 500  # changes left that are named
_UNSEEN = "whether it was copied could not be seen"


class _Foreseen:
    """Reads items for a dry run: as what would be undone before leaves them, where changes meet."""

    def __init__(self, met: set[tuple[str, str]]):
        self._met, self._left = met, dict[tuple[str, str], Item | None]()

    def __call__(self, account: Account, place: str, key: Item) -> Item | None:
        at = place, encode_key(key)
        return self._left[at] if at in self._left else read(account, place, key)

    def note(self, entry: Entry, undo: Undo) -> None:
        at, gone = (entry.target_place, encode_key(entry.target_key)), undo.made is not None or undo.emptied is not None
        if at in self._met and not undo.left and (gone or undo.restored is not None):
            self._left[at] = None if gone else undo.restored


@dataclass(frozen=True)
class _End:
    """How the undoing of a change ended: `left` is why it was not undone, "" where it was.

    `again`: another rollback may undo it, so that its record is still needed. `half`: its sum was taken back, and the row
    that held it goes once that is on record. `leads`: where what was left leads.
    """

    left: str = ""
    again: bool = False
    half: bool = False
    leads: frozenset[Place] = frozenset()


def rollback(context: Context, *, dry_run: bool = False) -> dict[str, Any]:
    """Undo everything that is applied. Raises Blocked after a cleanup, and points to the backups."""
    looking = context.account.only_looking() if dry_run else contextlib.nullcontext()
    with looking, Ledger(context.workspace.ledger, writable=not dry_run) as ledger:
        require_undoable(ledger)
        run = _Run(context, ledger, dry_run)
        if dry_run:
            run.all()
            return run.summary()
        with exclusive(context):
            started = time.time()
            if not ledger.records(UNDOABLE) and not ledger.taken():  # the plan and its verification stay as they are
                abort_abandoned(context, ledger)
                return {**run.summary(), "under_new_ids": under_new_ids(context, ledger, started)}
            # On record before the search: all is undone by then, and the search may be stopped.
            summary = recorded(context.account, ledger, "rollback", run.all, run.summary, code, text)
            return {**summary, "under_new_ids": under_new_ids(context, ledger, started)}


def given_up(entry: Entry, note: str) -> Entry | None:
    """A change that the last rollback left, once the operator has seen to it: no rollback lists it again, and a plan looks
    at its items anew. None for one that no rollback left, or that another rollback may undo."""
    return entry.becomes("rolled back", note, intent=False) if entry.detail.get("left_for_good") else None


def require_undoable(ledger: Ledger) -> None:
    """Raises Blocked before a plan, and after a cleanup, pointing to the backups."""
    if ledger.latest_plan() is None:
        raise Blocked("There is no plan yet, so nothing was applied: `amplify-migrate migrate plan` comes first.")
    if cleaned := ledger.counts(where="state = 'cleaned'").get("cleaned"):
        if back := ledger.still_to_put_back():
            raise Blocked(
                f"{plural(len(back), 'item')} that a cleanup took {'is' if len(back) == 1 else 'are'} still to be put back:"
                " `amplify-migrate migrate apply` does that first."
            )
        raise Blocked(
            f"{plural(cleaned, 'old item')} were deleted by cleanup and cannot be put back from the ledger. Restore from"
            f" the backups: {_backups(ledger)}."
        )


def how_many(context: Context, ledger: Ledger) -> int:
    """How many changes a rollback would undo at most, by what AWS shows of those that were in flight. Only looks."""
    unseen = [entry for batch in as_they_stand(context, ledger) for entry in batch]
    known = ledger.counts("intent", f"{UNDOABLE} AND NOT (intent = 1 AND state IN {OPEN})")
    return sum(known.values()) + sum(entry.made and (entry.undoable or entry.intent) for entry in unseen)


def _backups(ledger: Ledger) -> str:
    """The ways back that were noted before anything was applied, with their times in UTC."""
    applied = [float(run["started"]) for run in ledger.runs() if run["step"] == "6c"]
    moment = (
        f" (the first apply began at {datetime.fromtimestamp(min(applied), UTC).isoformat(timespec='seconds')})"
        if applied
        else ""
    )
    took = ledger.counts("source_place", "state = 'cleaned'")
    ways: dict[str, list[str]] = {}
    for place, one in ledger.backups().items():
        way = f"{one.get('arn') or one.get('kind')}, of {one.get('restorable') or 'an unknown time'}"
        if one.get("kind") == "pitr":
            until = at_minute(one["restorable"]) if one["restorable"] else "a time before the first apply"
            way = f"point-in-time recovery, restorable to {until}"
        if place in took:
            ways.setdefault(way, []).append(place)
    told = [
        f"{way}: {', '.join(places[:3])}{f' and {len(places) - 3:,} more' if len(places) > 3 else ''}"
        for way, places in ways.items()
    ]
    none = "none were recorded; see point-in-time recovery of each table"
    return f"{'; '.join(told) or none}{moment}; `report` lists each"


class _Run:
    """One run of rollback over a ledger, and what it came to so far."""

    def __init__(self, context: Context, ledger: Ledger, dry_run: bool):
        self.context, self.ledger, self.dry_run = context, ledger, dry_run
        self.undone: Counter[str] = Counter()
        self.left: list[dict[str, Any]] = []
        self.left_total = 0
        self._looked: Counter[str] = Counter()  # per table and bucket, for the progress
        self._totals: dict[str, int] = {}
        self._taken: list[tuple[Entry, Item]] = []  # with what a service had added, and not put back
        self._seen: dict[int, Entry] = {}  # of a dry run: what was in flight, as it stands
        self._foreseen = _Foreseen(ledger.met()) if dry_run else None
        self._leading = Leading()

    def all(self) -> None:
        """Against the order of apply."""
        if self.dry_run:
            self._seen = {one.id: one for batch in as_they_stand(self.context, self.ledger) for one in batch}
        else:
            give_back(self.context, self.ledger)
            settle(self.context, self.ledger)
        self._totals = self.ledger.counts("target_place", MADE)
        for phase in backwards(self.ledger.counts("row", "kind = 'item'")):
            for batch in self.ledger.made_last_first(BATCH, phase):
                stand = (self._seen.get(entry.id, entry) for entry in batch)
                self._batch([entry for entry in stand if entry.made])
        if not self.dry_run:
            abort_abandoned(self.context, self.ledger)

    def _batch(self, batch: list[Entry]) -> None:
        for wave in waves(batch, _places):
            if half := self._wave(wave):
                self._wave(half)

    def _wave(self, entries: Sequence[Entry]) -> list[Entry]:
        """Undo changes that nowhere meet; returns those of which the second half is still to come."""
        context, ended, half = self.context, list[Entry](), list[Entry]()
        undo = partial(self._undo, {entry.id: origins_of(self.ledger, context.deployment, entry) for entry in entries})
        try:
            for entry, end in each(undo, entries, workers=context.workers, control=context.control):
                if end.half:
                    half.append(replace(entry, detail={**entry.detail, "taken_back": True}))
                    continue
                if end.left:
                    self.left_total += 1
                    if len(self.left) < LISTED:
                        self.left.append({**shown(entry), "why": end.left})
                    self._leading.left(end.leads, end.again)
                    led = not end.again and self._leading.holds(entry)
                    detail = {**entry.detail, "left_for_good": not end.again, **({"led": True} if led else {})}
                    ended.append(replace(entry, note=f"rollback: {end.left}", detail=detail))
                else:
                    self._leading.undone(leads_to(context.deployment, entry))
                    self.undone[entry.target_place] += entry.undoable or entry.intent
                    ended.append(entry.becomes("rolled back", intent=False))
                place = entry.target_place
                self._looked[place] += 1
                context.feed.emit(Progress(place, self._looked[place], self._totals[place], "changes", "rollback"))
        finally:
            # What is undone is recorded, also when a cancel or a lost lock ends the batch.
            for entry, item in self._taken:
                log.error("%s: %s is still to be put back", entry.target_place, key_text(entry.target_key))
                self.ledger.add_taken([entry.id], entry.target_place, tuple(entry.target_key), item)
            self._taken.clear()
            if not self.dry_run:
                self.ledger.save([*ended, *half])
        return half

    def _undo(self, origins: Mapping[int, list[Origin]], entry: Entry) -> _End:
        leads = leads_to(self.context.deployment, entry)
        try:
            return _undo(self.context, entry, origins[entry.id], self._foreseen, self._leading)
        except NotPutBack as error:
            self._taken.append((entry, error.item))
            return _End(f"not undone yet: {error}", again=True, leads=leads)
        except AWS_ERRORS as error:
            if code_of(error) in ABSENT:
                return _End(f"{entry.target_place} or {entry.source_place} is gone")
            return _End(f"not undone yet: {explain(error)}", again=True, leads=leads)

    def summary(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "undone": dict(self.undone),
            "total": self.undone.total(),
            "left": self.left,
            "left_total": self.left_total,
            "still_to_put_back": self.ledger.still_to_put_back(),
        }


def _places(entry: Entry) -> set[tuple[str, str]]:
    """Where two changes meet; the later one is undone first."""
    return {(entry.source_place, str(entry.source_key)), (entry.target_place, str(entry.target_key))}


def _undo(
    context: Context, entry: Entry, origins: Sequence[Origin], foreseen: _Foreseen | None, leading: Leading
) -> _End:
    """Undo one change, or with `foreseen` only look. Nothing is undone whose `origins` do not all stand."""
    account, dry_run, look = context.account, foreseen is not None, foreseen or read
    leads = leads_to(context.deployment, entry)
    if entry.kind == "object":
        if entry.intent:
            return _End(_UNSEEN)
        if not entry.detail.get("made"):
            return _End()
        version, held = entry.detail.get("version", ""), leading.holds(entry)
        result = delete_copy(account, entry.object_copy, entry.target_digest, version, dry_run=dry_run or held)
        if result.state == "deleted" and held:
            return _End(WHY, again=leading.again(entry))
        return _End("" if result.state == "deleted" else result.detail or result.state)
    for _ in range(3):
        undo = undo_content(account, entry, look) if entry.kind == "content" else undo_item(account, entry, look)
        takes = undo.made or undo.writes or undo.emptied or entry.detail.get("archived")
        if takes and (undo.writes or not undo.left) and (why := missing(account, origins)):
            undo = Undo(left=why)
        if takes and not undo.left and leading.holds(entry):
            return _End(WHY, again=leading.again(entry), leads=leads)
        if foreseen is not None:
            foreseen.note(entry, undo)
            break
        try:
            if undo.made is not None:
                delete(account, entry.target_place, tuple(entry.target_key), undo.made)
                if _is_last(account, entry, origins):
                    what = f"the old one of {key_text(entry.target_key)} vanished"
                    put_again(account, entry.target_place, tuple(entry.target_key), undo.made, what)
                    why = "the old one vanished at the moment this one was deleted; it was put back"
                    return _End(why, again=True, leads=leads)
            if undo.writes:
                send(account, undo.writes)
                if undo.emptied is not None:
                    return _End(half=True)  # afterwards nothing tells that the sum was taken back
            if undo.emptied is not None:
                delete(account, entry.target_place, tuple(entry.target_key), undo.emptied)
            break
        except Lost:
            continue
    else:
        return _End("a service keeps writing to it", leads=leads)
    if not undo.left and entry.kind == "content":
        if entry.action in ("shares", "settings") and not dry_run:
            _unmark(account, entry)
        return _End(_objects_of_content(context, entry, dry_run))
    stands = undo.left and look(account, entry.target_place, entry.target_key) is not None
    return _End(undo.left, leads=leads_to(context.deployment, entry, undo.theirs) if stands else frozenset())


def _is_last(account: Account, entry: Entry, origins: Sequence[Origin]) -> bool:
    """Whether what an item that was just deleted was made from is gone as well: a cleanup elsewhere took it meanwhile."""
    with contextlib.suppress(MigrateError, *AWS_ERRORS):
        if entry.kind == "item" and read(account, entry.source_place, entry.source_key) is None:
            return True
        return missing(account, origins) == GONE
    return False


def _unmark(account: Account, entry: Entry) -> None:
    """Take the mark of `cleanup mark` off the shares row, which several changes came from; the first of them does it."""
    key = {name: value for name, value in entry.source_key.items() if name != "part"}
    source = read(account, entry.source_place, key)
    if source is not None and unmarked(source) != source:
        with contextlib.suppress(Lost):
            send(account, [update(entry.source_place, tuple(key), source, unmarked(source))])


def _objects_of_content(context: Context, entry: Entry, dry_run: bool) -> str:
    """Undo what was written beside a row: archived logs, an artifact too large for a row, a PDF. Why it is left, or ""."""
    account, consolidation = context.account, bucket_name(context.deployment, CONSOLIDATION)
    if entry.intent and entry.detail.get("archiving"):
        entry = with_archived(account, consolidation, entry)
    for key, etag in entry.detail.get("archived", ()):
        if delete_written(account, consolidation, key, etag, dry_run=dry_run).state != "deleted":
            return f"{plain(key, 120)} was written again since it was archived; it is left"
    copy, etag = object_beside(context, entry), entry.detail.get("object_etag", "")
    if copy is not None and entry.intent and not etag:
        check = verify_object(account, copy, copy.etag)
        if check.verdict == "unknown":
            return _UNSEEN
        if check.verdict == "differs":
            return LEFT
        etag = check.etag if check.verdict == "match" else ""
    if copy is not None and etag:
        result = delete_copy(account, copy, etag, dry_run=dry_run)
        return "" if result.state == "deleted" else result.detail
    return ""


def code(summary: Mapping[str, Any]) -> int:
    """1 when something was left, stands again or is still to be put back, else 0."""
    late = summary.get("under_new_ids", {}).get("late")
    return 1 if summary["left_total"] or summary["still_to_put_back"] or late else 0


def text(summary: Mapping[str, Any]) -> str:
    would = "would be undone" if summary["dry_run"] else "undone"
    left = f"; {summary['left_total']:,} left as they are" if summary["left_total"] else ""
    found = summary.get("under_new_ids", {})
    late = found.get("late", 0)
    others = found.get("count", 0) - late
    new = (
        f"; {plural(others, 'item')} under new ids that this program did not make {'was' if others == 1 else 'were'} left:"
        " they were there before, or services wrote them since"
        if others
        else ""
    )
    back = summary["still_to_put_back"]
    taken = f"; {plural(len(back), 'item')} still to be put back" if back else ""
    again = (
        f"; {plural(late, 'copy', 'copies')} arrived after {'it was' if late == 1 else 'they were'} undone: run `rollback`"
        " once more"
        if late
        else ""
    )
    return f"{plural(summary['total'], 'change')} {would}{left}{taken}{again}{new}"
