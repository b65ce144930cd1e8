"""What an item's change comes to now: read, rewritten again, compared with the plan, and turned into conditional writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from wizard.aws import Account
from wizard.catalog.model import Ids, Table
from wizard.catalog.tables import BY_KEY
from wizard.migration.entry import Entry
from wizard.migration.outcome import WRITTEN_SINCE, had_sums, is_spent, unclear, went_through
from wizard.migration.read_ahead import Read
from wizard.migration.rewrite import Change, Edit, changes, rewrite, traces
from wizard.migration.scan import switched_on, unmarked
from wizard.migration.spent_rows import remove_spent
from wizard.migration.writes import Write, put_new, read, update
from wizard.wire import Item, digest, item_size, same

_BESIDE = "another item stands under the new id; this one stays beside it"

# Whether a pointer may change: a text is the value it gets instead of the planned one, a function is asked when needed.
Ready = bool | str | Callable[[], bool]
Readiness = Mapping[tuple[tuple[str, ...], str], Ready]  # (slot, value before) of a pointer


@dataclass(frozen=True)
class Prepared:
    """An entry with what is to be written. With nothing to write the entry says what it ended as.

    `first` writes objects before the items, `after` follows them; each returns what the entry became, with its intent
    where something may have been made that nobody has seen. `unseen`: nothing tells whether what a killed run began was
    made, and the intent of the change stays.
    """

    entry: Entry
    writes: tuple[Write, ...] = ()
    note: str = ""
    first: Callable[[Entry], Entry] | None = None
    after: Callable[[Entry], Entry] | None = None
    unseen: bool = False

    @property
    def pending(self) -> bool:
        return bool(self.writes or self.first)

    @property
    def size(self) -> int:
        """Bytes of what is to be written and compared, by DynamoDB's rules."""
        bodies = [body for write in self.writes for body in write.values()]
        return sum(item_size(body.get(part, {})) for body in bodies for part in ("Item", "ExpressionAttributeValues"))


def reads_of(entry: Entry) -> list[tuple[str, Item]]:
    """(table, key) of what `prepare_item` reads for a change, and may be read ahead."""
    places = [(entry.source_place, entry.source_key)]
    if entry.moves:
        places.append((entry.target_place, entry.target_key))
    return places


def prepare_item(account: Account, ids: Ids, entry: Entry, readiness: Readiness, read: Read = read) -> Prepared:
    """Read what stands and compute the writes, or why there are none."""
    row = BY_KEY[entry.row]
    source = read(account, entry.source_place, entry.source_key)
    through = went_through(account, entry, source, read)
    if through is None:
        return Prepared(unclear(entry), unseen=entry.action == "add" and had_sums(entry))
    if entry.action == "add" and entry.undoable:  # another sum would take the place of this record
        return Prepared(entry.becomes("conflict", "the item that it was added to is gone: plan again"))
    if through:
        if is_spent(entry, source):
            return Prepared(entry, first=partial(remove_spent, account, source or {}))
        if entry.action == "add" and source is not None:
            return Prepared(finished(entry, WRITTEN_SINCE))
        return Prepared(finished(entry, "was done when the run was interrupted"))
    if source is None:
        return Prepared(entry.becomes("conflict", "the item is gone"))
    if entry.action == "update":
        return _update(row, ids, entry, source, readiness)
    existing = read(account, entry.target_place, entry.target_key)
    if entry.action in ("merge", "refresh") and existing is None:
        return Prepared(entry.becomes("conflict", "the item under the new id is gone"))
    if entry.action == "refresh" and existing is not None and digest(existing) != entry.detail.get("follows"):
        return Prepared(entry.becomes("conflict", "the item under the new id was changed since the plan"))
    return _move(account, row, ids, entry, source, existing, readiness)


def _accepting(entry: Entry, readiness: Readiness) -> tuple[Callable[[Edit], Edit | None], list[Edit]]:
    """Accept the planned edits only; pointers whose target is not verified are held, and collected."""
    planned = {(edit.slot, str(edit.before)) for edit in entry.edits}
    held: list[Edit] = []

    def accept(edit: Edit) -> Edit | None:
        if (edit.slot, str(edit.before)) not in planned and entry.action in ("update", "copy", "add"):
            return None
        if edit.target is None:
            return edit
        ready = readiness.get((edit.slot, str(edit.before)), False)
        if callable(ready):
            ready = ready()
        if isinstance(ready, str):
            return replace(edit, after={"S": ready})
        if not ready:
            held.append(edit)
            return None
        return edit

    return accept, held


def _third_values(entry: Entry, edits: tuple[Edit, ...], held: list[Edit], item: Item) -> list[Edit]:
    """Planned edits that were neither found again nor done already."""
    found = Counter((edit.slot, str(edit.before)) for edit in (*edits, *held))
    missing = []
    for edit in entry.edits:
        identity = (edit.slot, str(edit.before))
        if found[identity]:
            found[identity] -= 1
        elif not _holds(item, edit.slot, edit.after):
            missing.append(edit)
    return missing


def _holds(item: Item, slot: tuple[str, ...], value: Any) -> bool:
    """Whether the place of an edit holds `value` (or nothing, where it was to be removed)."""
    places: list[Any] = [{"M": item}]
    for part in slot:
        inner: list[Any] = []
        for place in places:
            if part == "[]":
                inner.extend(place.get("L", ()))
                inner.extend({"S": text} for text in place.get("SS", ()))
            elif part in place.get("M", {}):
                inner.append(place["M"][part])
            elif value is not None and value.get("S") in place.get("M", {}):
                return True  # a map key that was renamed already
        places = inner
    return not places if value is None else value in places


def _update(row: Table, ids: Ids, entry: Entry, source: Item, readiness: Readiness) -> Prepared:
    accept, held = _accepting(entry, readiness)
    new = rewrite(row, source, ids, accept)
    if _third_values(entry, new.edits, held, source):
        return Prepared(entry.becomes("conflict", "a planned value was changed since the plan"))
    if not new.edits:
        if held:
            return Prepared(entry.becomes("failed", "its content could not be moved; the pointer stays"))
        return Prepared(entry.becomes("applied", "was done already", target_digest=digest(source)))
    recorded = replace(
        entry,
        source_digest=digest(source),
        target_digest=digest(new.item),
        written=_kept(row, source, new.item),
        edits=new.edits,
    )
    return Prepared(recorded, (update(entry.source_place, row.key.names, source, new.item),), note=_held_note(held))


def _move(
    account: Account,
    row: Table,
    ids: Ids,
    entry: Entry,
    source: Item,
    existing: Item | None,
    readiness: Readiness,
) -> Prepared:
    accept, held = _accepting(entry, readiness)
    rewritten = rewrite(row, switched_on(unmarked(source), entry.switched_off), ids, accept)
    if entry.action == "copy" and _third_values(entry, rewritten.edits, held, source):
        return Prepared(entry.becomes("conflict", "a planned value was changed since the plan"))
    key_names = row.key.names
    after: Item
    unkept: list[str] = []
    if existing is None or entry.action == "copy":  # a copy goes nowhere else: where an item has appeared it is refused
        after, writes = rewritten.item, [put_new(entry.target_place, rewritten.item, key_names)]
        written = ()
    else:
        after = rewritten.item if entry.action == "refresh" else row.merged(existing, rewritten.item)
        writes = [update(entry.target_place, key_names, existing, after)] if changes(existing, after) else []
        written = _kept(row, existing, after)
        unkept = sorted({one.path[0] for one in traces(existing, after) if _replaces_secret(row, one)})
    left = source
    was_off = bool(entry.detail.get("was_made") and entry.detail.get("deactivated"))  # rollback switches it on again
    removes = entry.action == "add"
    if removes and row.spent(source) != source:
        # Not deleted here: a transaction does not tell what it took, and a service may be adding an attribute.
        writes.append(update(entry.source_place, key_names, source, row.spent(source)))
    elif row.retire == "deactivate" and source.get("active") == {"N": "1"}:
        left = {**source, "active": {"N": "0"}}
        writes.append(update(entry.source_place, key_names, source, left))
    if entry.action == "merge" and existing is not None and after_is_without(row, existing, after, rewritten.item):
        return _beside(entry, existing, left, writes)
    recorded = replace(
        entry,
        source_digest=digest(unmarked(left)),
        target_digest=digest(after),
        written=written,
        removed=source if removes else None,
        detail={
            **entry.detail,
            "created": existing is None,
            "deactivated": left is not source or was_off,
            "unkept": unkept,
        },
    )
    if removes:
        remove = partial(remove_spent, account, row.spent(source))
        recorded = replace(
            recorded, note=_held_note(held), detail={**recorded.detail, "spent": digest(row.spent(after))}
        )
        return Prepared(recorded, tuple(writes), after=remove) if writes else Prepared(recorded, first=remove)
    if not writes:
        return Prepared(recorded.becomes("applied", "was merged already"))
    return Prepared(recorded, tuple(writes), note=_held_note(held))


def _beside(entry: Entry, existing: Item, left: Item, writes: list[Write]) -> Prepared:
    """An old item that is no copy of the one under the new id: it stays, but as a task it must not run a second time."""
    if not writes:
        return Prepared(entry.becomes("kept", _BESIDE))
    made = {"created": False, "deactivated": True, "was_made": True, "beside": True}
    recorded = replace(
        entry, source_digest=digest(unmarked(left)), target_digest=digest(existing), detail={**entry.detail, **made}
    )
    return Prepared(recorded, tuple(writes), after=finished)


def finished(entry: Entry, note: str = "") -> Entry:
    """What a change becomes once its writes are made."""
    return entry.becomes("kept", _BESIDE) if entry.detail.get("beside") else entry.becomes("applied", note)


def after_is_without(row: Table, existing: Item, after: Item, rewritten: Item) -> bool:
    """Whether a merge left out what the old item holds: then it is no copy."""
    left_out = row.clash is None or row.clash.keeps_loser
    return left_out and same(after, existing) and not same(rewritten, existing)


def _kept(row: Table, before: Item, after: Item) -> tuple[Any, ...]:
    """The differences that rollback puts back; of secret attributes only what was added."""
    return tuple(change for change in traces(before, after) if not _replaces_secret(row, change))


def _replaces_secret(row: Table, change: Change) -> bool:
    return change.before is not None and change.path[0] in row.secret


def _held_note(held: list[Edit]) -> str:
    return f"{len(held)} pointers stay: their content could not be moved" if held else ""
