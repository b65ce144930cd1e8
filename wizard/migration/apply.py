"""Apply: make exactly the planned changes, each on condition of what was read, and record each when AWS confirms it.

In batches: read and compute side by side (`prepare`), record the intent, write side by side (`carry_out`), record the
result. Killed at any instant, the same command goes on from there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import botocore.exceptions

from wizard.aws import Account
from wizard.aws_errors import ABSENT, AWS_ERRORS, code_of, explain
from wizard.catalog.tables import BY_KEY
from wizard.context import Context
from wizard.errors import Blocked
from wizard.events import Progress
from wizard.lease import exclusive, remove_left
from wizard.migration.abandoned import abandoned, abort_abandoned
from wizard.migration.apply_content import ContentTools, prepare_content
from wizard.migration.apply_items import (
    Prepared,
    Readiness,
    Ready,
    finished,
    prepare_item,
    reads_of,
)
from wizard.migration.current_plan import check_tables, open_plan
from wizard.migration.entry import Entry, encode_key
from wizard.migration.giving_back import give_back
from wizard.migration.ledger import Ledger
from wizard.migration.objects import copy_objects, taken_targets
from wizard.migration.order import phases
from wizard.migration.outcome import APPEARED, had_sums, is_new, is_spent, unclear, went_through
from wizard.migration.pointed import Pointed
from wizard.migration.read_ahead import ReadAhead
from wizard.migration.recorded import recorded
from wizard.migration.replaced import with_replaced
from wizard.migration.show import shown
from wizard.migration.spent_rows import remove_standing
from wizard.migration.states import BATCH, SPENT_STANDS, is_undone
from wizard.migration.targets import CONSOLIDATION, bucket_name
from wizard.migration.writes import Lost, NotPutBack, read, send
from wizard.parallel import each, waves
from wizard.text import plain, plural
from wizard.wire import Item, digest

log = logging.getLogger(__name__)

SLICE = 50  # objects that one task copies
PORTION = 4 * 2**20  # bytes of items that are prepared before they are written; lists of numbers take fifty times that
TRIES = 5  # of a change whose condition fails because a service writes at the same time

Wait = tuple[str, Ready]  # why a change cannot be made unless what it waits for is there


@dataclass(frozen=True)
class Result:
    """What became of one attempt: the entry as it is to be recorded; `again` asks for another attempt."""

    entry: Entry
    again: bool = False
    occupied: bool = False  # an item appeared under the new key
    taken: Item | None = None  # an old item that a service added to as it was removed, to be put back


def apply_plan(context: Context, *, dry_run: bool = False) -> dict[str, Any]:
    """Make what is planned. Returns counts by state and what was left.

    A dry run reads and computes everything and writes nothing, neither in AWS nor in the ledger.
    """
    if dry_run:
        with context.account.only_looking(), Ledger(context.workspace.ledger, writable=False) as ledger:
            run = _Run(context, ledger, dry_run=True)
            _require_standing(ledger)
            return run.all()
    with Ledger(context.workspace.ledger) as ledger:
        run = _Run(context, ledger)
        _require_standing(ledger)
        spent = ledger.select(where=SPENT_STANDS, limit=1)
        open_still = ledger.select(("planned", "failed"), limit=1) or ledger.taken() or spent
        if not open_still and not abandoned(context, ledger):
            remove_left(context)
            return run.summary()
        with exclusive(context):
            return recorded(context.account, ledger, "6c", run.all, run.summary, code, text)


def _require_standing(ledger: Ledger) -> None:
    """Raises Blocked once a rollback began, but for what is still to be put back or removed."""
    if is_undone(ledger.runs()) and not ledger.taken() and not ledger.select(where=SPENT_STANDS, limit=1):
        raise Blocked(
            "The plan was rolled back, wholly or in part: plan again (`amplify-migrate migrate plan`), or undo the rest"
            " (`amplify-migrate rollback`)."
        )


class _Run:
    """One run of apply over a ledger."""

    def __init__(self, context: Context, ledger: Ledger, *, dry_run: bool = False):
        self.context, self.ledger, self.dry_run = context, ledger, dry_run
        self.plan, self.ids = open_plan(context, ledger)
        self.done = 0
        self.would: Counter[str] = Counter()
        self.tools = ContentTools(
            context.account,
            self.ids,
            int(self.plan["created"]),
            bucket_name(context.deployment, CONSOLIDATION),
            bucket_name(context.deployment, "S3_ARTIFACTS_BUCKET"),
        )
        self.pointed = Pointed(context, ledger, dry_run)
        self._workers = context.workers

    def all(self) -> dict[str, Any]:
        """Phase by phase: what is pointed to before what points there."""
        if not self.dry_run:
            give_back(self.context, self.ledger)
        waiting = self.ledger.counts("target_place", "state IN ('planned', 'failed')")
        sources = self.ledger.counts("source_place", "state IN ('planned', 'failed')")
        check_tables(self.context, self.plan, {*waiting, *sources})
        carry = {"object": self._objects, "content": self._content, "item": self._items}
        for kind, rows in phases(self.ledger.counts("row", "kind = 'item' AND state IN ('planned', 'failed')")):
            self._phase(kind, rows, carry[kind])
        if self.dry_run:
            self.would += Counter({"item remove": self.ledger.records(SPENT_STANDS)})
        else:
            remove_standing(self.context, self.ledger)
            abort_abandoned(self.context, self.ledger)
        return self.summary()

    def summary(self) -> dict[str, Any]:
        states = self.ledger.counts()
        return {
            "done": self.done,
            "would": dict(self.would),
            "states": states,
            "tables": self.ledger.table_counts(),
            "conflicts": [shown(entry) for entry in self.ledger.select(("conflict",), limit=200)],
            "failed": [shown(entry) for entry in self.ledger.select(("failed",), limit=200)],
            "still_to_put_back": self.ledger.still_to_put_back(),
            "still_to_remove": self.ledger.records(SPENT_STANDS),
        }

    def _phase(self, kind: str, rows: Sequence[str], carry: Callable[[Iterator[list[Entry]]], Iterator[Entry]]) -> None:
        totals = self.ledger.counts("target_place", f"kind = '{kind}' AND state IN ('planned', 'failed')")
        finished: Counter[str] = Counter()
        batches = self.ledger.batches(
            ("planned", "failed"), BATCH, kinds=(kind,), rows=rows, where="json_extract(detail, '$.blocked') IS NULL"
        )
        for entry in carry(batches):
            place = entry.target_place
            finished[place] += 1
            self.done += entry.state in ("applied", "verified")
            self.context.feed.emit(Progress(place, finished[place], totals[place], "changes", "apply"))
            if finished[place] % BATCH == 0 or finished[place] == totals[place]:
                log.info("%s: %s of %s tried", place, f"{finished[place]:,}", plural(totals[place], kind))

    def _record_intent(self, entries: Iterable[Entry]) -> None:
        if not self.dry_run:
            self.ledger.save([replace(entry, intent=True) for entry in entries])

    def _save(self, results: Sequence[Entry]) -> None:
        if not self.dry_run:
            self.ledger.save(with_replaced(self.ledger, results))
        for entry in results:
            if entry.state in ("conflict", "failed"):
                log.warning("%s: %s: %s", entry.target_place, entry.state, plain(entry.note, 300))

    # --- objects -------------------------------------------------------------------------------------------------------

    def _objects(self, batches: Iterator[list[Entry]]) -> Iterator[Entry]:
        if self.dry_run:
            for batch in batches:
                self.would.update(["objects copied"] * len(batch))
                yield from batch
            return

        def copy(entries: list[Entry]) -> list[Entry]:
            results = copy_objects(self.context.account, [entry.object_copy for entry in entries])
            # One that failed, or that a killed run began, may have been made all the same: its intent stays until it is
            # looked at again.
            return [
                entry.becomes(
                    "verified" if one.state in ("copied", "present") else one.state, one.detail,
                    target_digest=one.etag, intent=one.state == "failed" or (one.state == "conflict" and entry.intent),
                    detail={
                        **entry.detail, "version": one.version_id, "made": one.state == "copied" or entry.intent,
                        "confirmed": one.state == "copied",
                    },
                )
                for entry, one in zip(entries, results, strict=True)
            ]  # fmt: skip

        # The next batch is begun while the last objects of this one are copied.
        for _, results in each(copy, self._slices(batches), workers=self.context.workers, control=self.context.control):
            self._save(results)
            yield from results

    def _slices(self, batches: Iterator[list[Entry]]) -> Iterator[list[Entry]]:
        """What one task copies each, in the order of the targets."""
        size = SLICE
        for number, batch in enumerate(batches):
            # The intent is on disk before the copy: after a kill, an equal object at the target is known to be ours. It is
            # not where one stood already.
            taken = taken_targets(self.context.account, [entry.object_copy for entry in batch])
            self._record_intent(entry for entry in batch if entry.target_key not in taken)
            if number == 0 and len(batch) < BATCH:
                size = max(1, -(-len(batch) // self.context.workers))  # few objects: something for every worker
            ordered = sorted(batch, key=lambda entry: str(entry.target_key))
            yield from (ordered[start : start + size] for start in range(0, len(ordered), size))

    # --- content -------------------------------------------------------------------------------------------------------

    def _content(self, batches: Iterator[list[Entry]]) -> Iterator[Entry]:
        for batch in batches:
            yield from self._content_batch(batch)
            self.context.control.check()

    def _content_batch(self, batch: list[Entry]) -> Iterator[Entry]:
        waits = {} if self.dry_run else {entry.id: self._waits(entry) for entry in batch}
        yield from self._write(batch, partial(self._prepare_content, waits))

    def _waits(self, entry: Entry) -> Wait:
        """What the content of a row waits for: a row of user storage that is to come there first, a conversation."""
        coming = self.ledger.at_target(entry.target_place, entry.target_key, "item") if entry.moves else ()
        if any(other.state in ("planned", "failed") and not other.detail.get("blocked") for other in coming):
            return "the row that stands in user storage under the old id was not copied", False
        there = self.pointed.is_there("object", *entry.detail["waits"]) if entry.action == "shares" else True
        return "the shared conversation was not copied", there

    def _prepare_content(self, waits: Mapping[int, Wait], entry: Entry) -> Prepared:
        why, there = waits.get(entry.id, ("", True))
        if not (there() if callable(there) else there):
            return Prepared(entry.becomes("failed", why))
        return prepare_content(self.tools, entry)

    # --- items ---------------------------------------------------------------------------------------------------------

    def _items(self, batches: Iterator[list[Entry]]) -> Iterator[Entry]:
        ahead = ReadAhead(self.context)
        for batch in batches:
            readiness = {entry.id: self.pointed.readiness(entry) for entry in batch}
            ahead.take(one for entry in batch for one in reads_of(entry))
            self._workers = ahead.workers
            prepare = partial(self._prepare_item, readiness, ahead)
            yield from self._write(batch, prepare)
            self.context.control.check()

    def _prepare_item(self, readiness: Mapping[int, Readiness], ahead: ReadAhead, entry: Entry) -> Prepared:
        return prepare_item(self.context.account, self.ids, entry, readiness.get(entry.id, {}), ahead)

    # --- the two halves of every write -----------------------------------------------------------------------------------

    def _write(self, batch: list[Entry], prepare: Callable[[Entry], Prepared]) -> Iterator[Entry]:
        todo = batch
        for attempt in range(TRIES):
            if not todo:
                return
            again: list[Entry] = []
            for prepared, ended in self._portions(prepare, todo):
                if self.dry_run:
                    self.would.update(f"{one.entry.kind} {one.entry.action}" for one in prepared)
                    self.would.update(entry.state for entry in ended)
                    yield from (*(one.entry for one in prepared), *ended)
                else:
                    yield from self._write_portion(prepared, ended, again)
            if again:
                self.context.control.sleep(0.05 * 2**attempt)
            todo = again
        exhausted = [entry.becomes("conflict", "a service keeps writing to it") for entry in todo]
        self._save(exhausted)
        yield from exhausted

    def _portions(
        self, prepare: Callable[[Entry], Prepared], todo: Sequence[Entry]
    ) -> Iterator[tuple[list[Prepared], list[Entry]]]:
        """What is to be written, and what ended without a write, a few megabytes at a time: an item may have 400 KB."""
        prepared: list[Prepared] = []
        ended: list[Entry] = []
        size = 0
        for entry, one in self._each(lambda entry: _safely(prepare, entry), todo):
            if one.pending:
                prepared.append(one)
                size += one.size
            else:
                # Not looked at, or not to be seen: what a kill left open stays so.
                unseen = one.unseen or one.entry.state == "failed" or one.entry.detail.get("archiving")
                intent = entry.intent and bool(unseen)
                ended.append(replace(one.entry, attempts=entry.attempts + 1, intent=intent))
            if size > PORTION:
                yield prepared, ended
                prepared, ended, size = [], [], 0
        yield prepared, ended

    def _write_portion(self, prepared: list[Prepared], ended: list[Entry], again: list[Entry]) -> Iterator[Entry]:
        """Write a portion and record it; what is to be tried once more is added to `again`."""
        # The intent is on disk before the call: after a kill, a source that is gone was moved by us.
        self._save(ended)
        self._record_intent(one.entry for one in prepared)
        yield from ended
        results: list[Result] = []
        try:
            # Of two changes of one target the earlier one comes first, as rollback undoes them the other way round.
            for wave in waves(sorted(prepared, key=lambda one: one.entry.id), _target):
                for _, result in self._each(self._carry_out, wave):
                    results.append(result)
        finally:
            # What AWS confirmed is recorded, also when a cancel or a lost lock ends the batch.
            final = [result.entry for result in results if not result.again and not result.occupied]
            for result in results:
                if result.taken is not None:
                    names = BY_KEY[result.entry.row].key.names
                    log.error("%s: %s", result.entry.source_place, result.entry.note)
                    self.ledger.add_taken([result.entry.id], result.entry.source_place, names, result.taken)
            self._save(final)
        yield from final
        again += [result.entry for result in results if result.again]
        for result in results:
            if result.occupied:
                if self._ours(result.entry):
                    again.append(replace(result.entry, action="merge", intent=False))
                else:
                    ours = result.entry.intent and is_new(result.entry)  # perhaps, and changed since
                    conflict = (
                        unclear(result.entry) if ours else result.entry.becomes("conflict", APPEARED, intent=False)
                    )
                    self._save([conflict])
                    yield conflict

    def _each(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        return each(function, tasks, workers=self._workers, control=self.context.control)

    def _ours(self, entry: Entry) -> bool:
        """Whether another change of ours wrote the target, as when two spellings of one key become the same."""
        return self.ledger.target_state(entry.target_place, entry.target_key) in ("applied", "verified", "cleaned")

    def _carry_out(self, prepared: Prepared) -> Result:
        entry = prepared.entry
        if entry.state == "failed":
            entry = entry.becomes("planned")  # another attempt; only what fails now has failed
        account, sent = self.context.account, False
        try:
            if prepared.first is not None:
                entry = prepared.first(replace(entry, intent=False))
            if entry.state in ("conflict", "failed") or not prepared.writes:
                return Result(replace(entry, attempts=entry.attempts + 1))
            send(account, prepared.writes)
            sent = True
            entry = replace(entry, intent=False)
            if prepared.after is not None:
                entry = prepared.after(entry)
            else:
                entry = entry.becomes("applied", prepared.note or entry.note)
            return Result(replace(entry, attempts=entry.attempts + 1))
        except Lost as lost:
            try:
                return self._refused(prepared, entry, lost)
            except AWS_ERRORS as error:  # what stands could not be read
                return Result(replace(_failed(entry, error), intent=True))
        except NotPutBack as error:
            done = entry.becomes("applied", str(error), attempts=entry.attempts + 1, intent=False)
            return Result(done, taken=error.item)
        except AWS_ERRORS as error:
            return Result(replace(_failed(entry, error), intent=sent or _may_be_made(error)))

    def _refused(self, prepared: Prepared, entry: Entry, lost: Lost) -> Result:
        """What a lost condition means, by what stands now. Raises what botocore raises."""
        account = self.context.account
        # The answer of a write that was made may be lost, and the client's own repetition refused.
        if entry.action in ("copy", "add") and entry.kind == "item":
            standing = read(account, entry.target_place, entry.target_key)
            made = standing is not None and digest(standing) == entry.target_digest
            source = read(account, entry.source_place, entry.source_key) if entry.action == "add" else None
            if is_spent(entry, source) and (made or had_sums(entry)):
                return Result(replace(entry, attempts=entry.attempts + 1, intent=True), again=True)
            if made and _source_followed(account, entry):
                # What stood there before was copied by somebody else: it is right, and not ours to take back. Otherwise
                # the request was made twice, by the client or on the way, and only the second answer came back.
                note = "" if entry.action == "add" or is_new(entry) else "was there already"
                return Result(entry.becomes("applied", note, attempts=entry.attempts + 1, intent=False))
            if standing is not None and entry.action == "copy":
                return Result(replace(entry, intent=lost.repeated), occupied=True)
        if entry.kind == "content" and prepared.after is not None:
            standing = read(account, entry.target_place, entry.target_key)
            if standing is not None and digest(standing) == entry.target_digest:  # with the time of our plan in it
                entry = prepared.after(replace(entry, intent=False))
                return Result(replace(entry, attempts=entry.attempts + 1))
        if entry.kind == "item" and entry.action in ("update", "merge", "refresh"):
            # The network may have made two requests of one, of which only the second was answered.
            source = read(account, entry.source_place, entry.source_key)
            if went_through(account, replace(entry, intent=True), source):
                return Result(replace(finished(entry), attempts=entry.attempts + 1, intent=False))
        return Result(replace(entry, attempts=entry.attempts + 1, intent=lost.repeated), again=True)


def _source_followed(account: Account, entry: Entry) -> bool:
    """Whether the other half of a transaction was made: the old item is removed, the old task does not run."""
    if entry.action == "copy" and not entry.detail.get("deactivated"):
        return True
    source = read(account, entry.source_place, entry.source_key)
    return source is None if entry.action == "add" else source is not None and source.get("active") == {"N": "0"}


def _target(prepared: Prepared) -> list[tuple[str, str]]:
    return [(prepared.entry.target_place, encode_key(prepared.entry.target_key))]


def _safely(prepare: Callable[[Entry], Prepared], entry: Entry) -> Prepared:
    try:
        return prepare(entry)
    except AWS_ERRORS as error:
        return Prepared(_failed(entry, error))


def _failed(entry: Entry, error: BaseException) -> Entry:
    gone = code_of(error) in ABSENT
    return entry.becomes("failed", "its table is gone" if gone else explain(error), attempts=entry.attempts + 1)


def _may_be_made(error: BaseException) -> bool:
    """Whether a write that ended so may have gone through, or an earlier try of it: the intent stays until that is seen."""
    if not isinstance(error, botocore.exceptions.ClientError):
        return True
    answer = error.response.get("ResponseMetadata", {})
    return int(answer.get("HTTPStatusCode", 0)) >= 500 or answer.get("RetryAttempts", 0) > 0


def code(summary: Mapping[str, Any]) -> int:
    """The exit status of an apply: 3 with conflicts, 1 with failures or what is still to be put back or removed, else 0."""
    states = summary["states"]
    open_still = states.get("failed") or summary["still_to_put_back"] or summary["still_to_remove"]
    return 3 if states.get("conflict") else 1 if open_still else 0


def text(summary: Mapping[str, Any]) -> str:
    """One line for people."""
    states = summary["states"]
    left = [
        plural(states[state], name)
        for state, name in (("conflict", "conflict"), ("failed", "failure"))
        if states.get(state)
    ]
    if back := summary["still_to_put_back"]:
        left.append(f"{plural(len(back), 'item')} still to be put back")
    if spent := summary["still_to_remove"]:
        left.append(f"{plural(spent, 'old row')} of a sum, at zero, still to be removed")
    kept = f"; {states['kept']:,} kept as found (`migrate show --state kept` says why)" if states.get("kept") else ""
    return f"{plural(summary['done'], 'change')} made; {', '.join(left) or 'nothing is left'}{kept}"
