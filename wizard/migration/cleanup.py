"""Cleanup: delete retained items (and, where wanted, source objects) that are proven to be copies, now.

An item goes only if its twin under the new id stands and matches what was verified, or was changed since and lacks none
of the old attributes, and if it is itself unchanged since it was copied. Everything else is kept, with the reason.
Identities go first: an address resolves to the old id until then.
"""

from __future__ import annotations

import datetime
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from wizard import recovery
from wizard.aws import Account
from wizard.aws_errors import AWS_ERRORS, explain
from wizard.catalog.model import Ids
from wizard.catalog.tables import BY_KEY
from wizard.context import Context
from wizard.errors import Blocked, MigrateError
from wizard.events import Progress
from wizard.lease import exclusive
from wizard.migration.current_plan import open_plan
from wizard.migration.entry import Entry
from wizard.migration.giving_back import give_back
from wizard.migration.ledger import Ledger
from wizard.migration.leftovers import leftovers
from wizard.migration.objects import delete_source
from wizard.migration.proofs import is_settled, leads_alone, lost, proofs, why_kept
from wizard.migration.recorded import recorded
from wizard.migration.retained import Retained, retained
from wizard.migration.scan import MARK, unmarked
from wizard.migration.states import BATCH, last_proof
from wizard.migration.verify import judge
from wizard.migration.writes import Lost, NotPutBack, delete, put_again, read, send, update
from wizard.parallel import each, waves
from wizard.text import plain, plural
from wizard.wire import Item, digest, key_of, key_text

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fate:
    """What becomes of it: `kept` gives the reason, "" when it goes (or is gone).

    `lost` says how it went wrong: `item`, which is more than was read, was taken away and does not stand again.
    """

    retained: Retained
    kept: str = ""
    item: Item | None = field(default=None, compare=False)
    lost: str = ""


def decide(account: Account, ids: Ids, one: Retained) -> Fate:
    """Whether it may go, by what stands now. Unknown is never yes."""
    try:
        first = one.entries[0]
        if first.kind == "object":
            return _of_object(account, one, dry_run=True)
        source = read(account, one.place, one.key)
        if first.kind == "content":
            why = why_kept(account, ids, one, source) if source is not None else ""
            return Fate(one, why) if why else Fate(one, "", source)
        judgement = judge(account, first)
        if judgement.verdict != "match":
            return Fate(one, f"its twin is not proven: {judgement.why or judgement.verdict}")
        if source is None:
            return Fate(one)
        if digest(unmarked(source)) != first.source_digest:
            return Fate(one, "it was changed since it was copied; plan and apply again")
        if judgement.later and (name := lost(account, ids, first, source)):
            return Fate(one, f"its twin was changed since and has no {plain(name, 120)} any more")
        return Fate(one, leads_alone(account, one), source)
    except AWS_ERRORS as error:
        return Fate(one, f"it could not be read: {explain(error)}")


def _of_object(account: Account, one: Retained, *, dry_run: bool = False) -> Fate:
    entry = one.entries[0]
    version, ours = entry.detail.get("version", ""), bool(entry.detail.get("confirmed"))
    result = delete_source(account, entry.object_copy, entry.target_digest, version, ours=ours, dry_run=dry_run)
    return Fate(one, "" if result.state == "deleted" else result.detail or result.state)


def _kept(entry: Entry, why: str) -> Entry:
    """A proven change whose old record stays; the report counts these."""
    return entry.becomes("verified", f"kept at cleanup: {why}", detail={**entry.detail, "kept_at_cleanup": True})


def _without_source(entry: Entry) -> Entry:
    """A change that was kept beside what stands, and whose row is gone: somebody deleted it."""
    return entry.becomes("kept", "its old row is gone", detail={**entry.detail, "beside": False})


def require_verified(ledger: Ledger) -> None:
    """Raises Blocked unless the last verification came after the last apply or rollback and found nothing wrong."""
    proof = last_proof(ledger.runs())
    if proof is None:
        raise Blocked("Nothing is deleted before it is verified: run `amplify-migrate migrate verify` first (step 6d).")
    if proof["code"] != 0:
        raise Blocked(f"The last verification was not clean ({proof['text']}); nothing is deleted (step 6d).")


def plan_cleanup(context: Context, *, objects: bool = False) -> dict[str, Any]:
    """What would be deleted and what would be kept and why. Writes nothing."""
    with context.account.only_looking(), Ledger(context.workspace.ledger, writable=False) as ledger:
        _, ids = open_plan(context, ledger)
        require_verified(ledger)
        tally = _Tally()
        tally.expect(retained(ledger, ids, objects))
        for batch in _chunks(retained(ledger, ids, objects)):
            for _, fate in _each(context, lambda one: decide(context.account, ids, one), batch):
                tally.add(fate, "deleted")
                _tell(context, tally, fate, "look")
        summary = tally.summary(ledger)
        tables = [name for name in summary["tables"] if name not in _buckets(ledger)]
        findings = recovery.findings(recovery.show(context, tables))
        return {**summary, "findings": [asdict(finding) for finding in findings]}


def apply_cleanup(context: Context, *, objects: bool = False) -> dict[str, Any]:
    """Delete what is proven, one by one on condition, and read back: the old key absent, its twin present."""
    with Ledger(context.workspace.ledger) as ledger:
        plan, ids = open_plan(context, ledger)
        require_verified(ledger)
        with exclusive(context):
            tally = _Tally()

            def work() -> None:
                tally.failed += give_back(context, ledger)
                _require_nothing_new(context, ledger, plan, ids)
                tally.expect(retained(ledger, ids, objects))
                for batch in _chunks(retained(ledger, ids, objects)):
                    _delete_batch(context, ledger, ids, batch, tally)

            return recorded(context.account, ledger, "7", work, lambda: tally.summary(ledger), code, text)


def _require_nothing_new(context: Context, ledger: Ledger, plan: dict[str, Any], ids: Ids) -> None:
    """Raises Blocked when services have written under old ids since the migration, or may have."""
    with context.account.only_looking():
        left = leftovers(context, ledger, plan, ids)
    if left["unread"]:
        raise Blocked(
            f"{', '.join(left['unread'])} could not be read, so that new items under old ids may stand there;"
            " grant dynamodb:Scan and s3:ListBucket, then clean up."
        )
    if left["count"]:
        raise Blocked(
            f"{plural(left['count'], 'item')} under old ids appeared since the migration ({', '.join(left['tables'])});"
            " plan, apply and verify again, then clean up."
        )


def _delete_batch(context: Context, ledger: Ledger, ids: Ids, batch: list[Retained], tally: _Tally) -> None:
    ended: list[Entry] = []
    try:
        # A copy that a later plan copied on goes after the item that it is the twin of.
        for wave in waves(batch, _places):
            for _, fate in _each(context, lambda one: _delete(context.account, ids, one), wave):
                tally.add(fate, "deleted")
                _tell(context, tally, fate, "cleanup")
                if fate.lost and fate.item is not None:
                    first = fate.retained.entries[0]
                    of = [entry.id for entry in fate.retained.entries]
                    ledger.add_taken(of, fate.retained.place, BY_KEY[first.row].key.names, fate.item)
                if fate.kept:
                    proven = (entry for entry in fate.retained.entries if entry.state == "verified")
                    ended.extend(_kept(entry, fate.kept) for entry in proven)
                else:
                    settled = (entry for entry in fate.retained.entries if is_settled(entry))
                    ended.extend(entry.becomes("cleaned", fate.lost) for entry in settled)
                    beside = (entry for entry in fate.retained.entries if entry.detail.get("beside"))
                    ended.extend(_without_source(entry) for entry in beside if entry.state == "kept")
    finally:
        # What is gone is recorded, also when a cancel or a lost lock ends the batch.
        ledger.save(ended)


def _places(one: Retained) -> set[tuple[str, str]]:
    targets = ((entry.target_place, str(entry.target_key)) for entry in one.entries)
    return {(one.place, str(one.key)), *targets}


def _delete(account: Account, ids: Ids, one: Retained) -> Fate:
    first = one.entries[0]
    if first.kind == "object":
        return _of_object(account, one)
    names = BY_KEY[first.row].key.names
    kept = ""
    for _ in range(3):
        fate = decide(account, ids, one)
        if fate.kept or fate.item is None:
            return fate
        try:
            kept = _try_delete(account, one, names, fate.item)
            if not kept:
                return Fate(one, _without_twin(account, ids, one, fate.item))
        except NotPutBack as error:
            log.error("%s: %s", one.place, error)
            return Fate(one, item=error.item, lost=str(error))
        except AWS_ERRORS as error:
            return Fate(one, explain(error))
    return Fate(one, kept)


def _without_twin(account: Account, ids: Ids, one: Retained, item: Item) -> str:
    """Put back what was just deleted where its twin vanished at that moment; returns that, "" where the twin stands."""
    first, names = one.entries[0], BY_KEY[one.entries[0].row].key.names
    made = [entry for _, entry in proofs(one, item, ids) if entry] if first.kind == "content" else [first]
    try:
        verdicts = {judge(account, entry).verdict for entry in made}
    except MigrateError:  # stopped meanwhile: it is gone all the same
        return ""
    if not verdicts & {"missing", "differs"}:
        return ""
    put_again(account, one.place, names, item, f"the twin of {key_text(key_of(item, names))} vanished")
    log.warning("%s: the twin of an item vanished at the moment it was deleted; it was put back", one.place)
    return "its twin vanished at the moment it was deleted; it was put back"


def _try_delete(account: Account, one: Retained, names: tuple[str, ...], item: Item) -> str:
    """Why it stands after all, "" when it is gone. The answer may be lost when the work is done: what stands tells."""
    deleted = False
    try:
        delete(account, one.place, names, item)
        deleted = True
        kept = "it is still there after it was deleted"
    except Lost:
        kept = "it was changed while it was looked at"
    except AWS_ERRORS as error:
        if read(account, one.place, key_of(item, names)) is not None:
            raise
        log.warning("%s: an item is gone, though its deletion was not confirmed: %s", one.place, explain(error))
        return ""
    try:
        return kept if read(account, one.place, key_of(item, names)) is not None else ""
    except (MigrateError, *AWS_ERRORS) as error:
        if not deleted:
            raise
        log.warning("%s: a deletion was confirmed and not read back: %s", one.place, error)
        return ""


def mark_retained(context: Context, *, dry_run: bool = False) -> dict[str, Any]:
    """Flag what is retained with an attribute, the guide's alternative to deleting; later checks ignore it."""
    with Ledger(context.workspace.ledger, writable=not dry_run) as ledger:
        _, ids = open_plan(context, ledger)
        require_verified(ledger)
        stamp = {"S": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}

        def flag(one: Retained) -> Fate:
            fate = decide(context.account, ids, one)
            if dry_run or fate.kept or fate.item is None or MARK in fate.item:
                return fate
            names = BY_KEY[one.entries[0].row].key.names
            try:
                send(context.account, [update(one.place, names, fate.item, {**fate.item, MARK: stamp})])
            except (Lost, *AWS_ERRORS) as error:
                return Fate(one, f"it could not be marked: {explain(error)}")
            return fate

        with context.account.only_looking() if dry_run else exclusive(context):
            tally = _Tally()
            tally.expect(retained(ledger, ids, False))
            for batch in _chunks(retained(ledger, ids, False)):
                for _, fate in _each(context, flag, batch):
                    tally.add(fate, "to be marked" if dry_run else "marked")
                    _tell(context, tally, fate, "mark")
        return tally.summary(ledger)


def _tell(context: Context, tally: _Tally, fate: Fate, phase: str) -> None:
    place = fate.retained.place
    context.feed.emit(Progress(place, tally.looked[place], tally.totals[place], "records", phase))


def _buckets(ledger: Ledger) -> set[str]:
    return set(ledger.counts("source_place", "kind = 'object'"))


class _Tally:
    """Counts per place, with a sample of what was kept."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.looked: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.objects = 0  # of those
        self.kept: Counter[tuple[str, str]] = Counter()
        self.failed: list[str] = []
        self.what = "deleted"

    def expect(self, found: Iterable[Retained]) -> None:
        """How many there are per place, for the progress."""
        self.totals = Counter(one.place for one in found)

    def add(self, fate: Fate, what: str) -> None:
        self.what = what
        self.looked[fate.retained.place] += 1
        if fate.lost:
            self.failed.append(f"{fate.retained.place}: {fate.lost}")
        elif fate.kept:
            self.kept[(fate.retained.place, fate.kept)] += 1
        else:
            self.done[fate.retained.place] += 1
            self.objects += fate.retained.entries[0].kind == "object"

    def summary(self, ledger: Ledger) -> dict[str, Any]:
        return {
            "action": self.what,
            "tables": dict(self.done),
            "total": sum(self.done.values()),
            "objects": self.objects,
            "kept": [{"place": place, "why": why, "count": count} for (place, why), count in self.kept.items()],
            "kept_total": sum(self.kept.values()),
            "failed": self.failed,
            "still_to_put_back": ledger.still_to_put_back(),
        }


def code(summary: Mapping[str, Any]) -> int:
    """1 when something was kept that was to go, or an item was lost, else 0."""
    return 1 if summary["kept_total"] or summary["failed"] or summary["still_to_put_back"] else 0


def things(summary: Mapping[str, Any]) -> str:
    """What a cleanup takes or took, in numbers: records of tables, then objects."""
    records, objects = summary["total"] - summary["objects"], summary["objects"]
    told = [plural(records, "old record")] if records or not objects else []
    return " and ".join([*told, *([plural(objects, "source object")] if objects else [])])


def text(summary: Mapping[str, Any]) -> str:
    kept = f"; {plural(summary['kept_total'], 'item')} kept, each with its reason" if summary["kept_total"] else ""
    failed = f"; {plural(len(summary['failed']), 'item')} could not be put back" if summary["failed"] else ""
    return f"{things(summary)} {summary['action']}{kept}{failed}"


def _chunks(found: Iterator[Retained]) -> Iterator[list[Retained]]:
    """Batches of one table each, so that all identities are gone before anything else goes."""
    batch: list[Retained] = []
    for one in found:
        if batch and (len(batch) == BATCH or one.place != batch[0].place):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _each(context: Context, function: Callable[[Any], Any], tasks: list[Any]) -> Iterator[tuple[Any, Any]]:
    return each(function, tasks, workers=context.workers, control=context.control)
