"""What undoes one change of an item or of content, by what stands now. Reads, and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from wizard.aws import Account
from wizard.catalog.tables import BY_KEY
from wizard.migration.apply_content import KEY
from wizard.migration.entry import Entry
from wizard.migration.origins import GONE
from wizard.migration.outcome import UNSEEN_SUM, had_sums, is_spent, went_through
from wizard.migration.read_ahead import Read
from wizard.migration.rewrite import Change, holds, put_back
from wizard.migration.scan import unmarked
from wizard.migration.writes import Write, put_new, update
from wizard.text import plain
from wizard.wire import Item, digest, same

LEFT = "a service has changed it since; it is left as it is"
_REPLACED = "another item stands where the removed one was"


@dataclass(frozen=True)
class Undo:
    """What undoes a change: first an item goes that we made, then the writes are made, all or none.

    `emptied` is what the writes leave of an item that we made, and goes after them. `restored` is what they leave of one
    that stood before. `left` says what is not undone; writes beside it undo the rest, all but `theirs`, if given.
    """

    made: Item | None = None
    writes: tuple[Write, ...] = ()
    emptied: Item | None = None
    restored: Item | None = None
    left: str = ""
    theirs: tuple[str, ...] | None = None


def undo_item(account: Account, entry: Entry, read: Read) -> Undo:
    """Of an item's change: copied, merged, summed or changed in place."""
    row = BY_KEY[entry.row]
    names = row.key.names
    target = read(account, entry.target_place, entry.target_key)
    if entry.action == "update":
        undo = _put_back(entry, names, target)
        return _put_back_partly(entry, names, target) if target is not None and undo.left else undo
    made: Item | None = None
    emptied: Item | None = None
    back = Undo()
    writes: list[Write] = []
    source = read(account, entry.source_place, entry.source_key)
    if entry.removed is not None and went_through(account, entry, source, read) is None:
        return Undo(left=UNSEEN_SUM)
    if entry.detail.get("created"):
        if target is not None and digest(target) not in (entry.target_digest, entry.detail.get("spent")):
            return Undo(left=LEFT)
        if target is not None and entry.removed is not None:
            emptied = row.spent(target)
            if emptied != target:
                writes.append(update(entry.target_place, names, target, emptied))  # a sum never stands twice
        else:
            made = target
    else:
        back = _put_back(entry, names, target)
        if back.left:
            return back
        writes.extend(back.writes)
    if entry.removed is not None:
        if entry.detail.get("taken_back"):
            pass
        elif source is None:
            writes.append(put_new(entry.source_place, entry.removed, names))
        elif is_spent(entry, source):
            writes += [update(entry.source_place, names, source, entry.removed)] if had_sums(entry) else []
        elif same(source, entry.removed) and not writes:
            pass
        elif writes:
            # A service went on under the old id, be it with as much: what it spent and what was there are added up. In one
            # transaction with the other half, which tells a run that goes on from here whether it was made.
            writes.append(update(entry.source_place, names, source, row.merged(source, entry.removed)))
        elif target is None:
            return Undo(left=_REPLACED)
    elif source is None:
        return Undo(left=GONE if target is not None else "both the old one and the new one are gone")
    else:
        restored = unmarked(source)
        if entry.detail.get("deactivated"):
            if source.get("active") not in ({"N": "0"}, {"N": "1"}):
                return Undo(left="the old task was changed since")
            restored["active"] = {"N": "1"}
        if restored != source:
            writes.append(update(entry.source_place, names, source, restored))
    return Undo(made, tuple(writes), emptied, back.restored, _replaced_secrets(entry), theirs=())


def _replaced_secrets(entry: Entry) -> str:
    """What a merge replaced and the ledger, which holds no secrets, cannot give back; "" for nothing."""
    names = plain(", ".join(entry.detail.get("unkept", ())), 120)
    return (
        f"what it held in {names} before is secret and kept nowhere, so that this stays; all else is undone"
        if names
        else ""
    )


def _put_back(entry: Entry, names: tuple[str, ...], target: Item | None) -> Undo:
    """Values that still hold what we wrote get back what was there before."""
    if not entry.written:
        return Undo()
    if target is None:
        return Undo(left="the item is gone")
    if all(holds(target, Change(change.path, change.after, change.before)) for change in entry.written):
        return Undo()  # a rollback that was killed did this already
    if digest(target) != entry.target_digest and not all(holds(target, change) for change in entry.written):
        return Undo(left=LEFT)
    restored = put_back(target, entry.written)
    return Undo(writes=(update(entry.target_place, names, target, restored),), restored=restored)


def _put_back_partly(entry: Entry, names: tuple[str, ...], target: Item) -> Undo:
    """Attributes that are wholly as we left them get back what was there before; the others are left, and named."""
    of_attribute: dict[str, list[Change]] = {}
    for change in entry.written:
        of_attribute.setdefault(change.path[0], []).append(change)
    ours: list[Change] = []
    theirs: list[str] = []
    for name, changed in of_attribute.items():
        if all(holds(target, change) for change in changed):
            ours += changed
        elif not all(holds(target, Change(change.path, change.after, change.before)) for change in changed):
            theirs.append(name)
    if len(theirs) == len(of_attribute):
        return Undo(left=LEFT)
    left = f"a service has changed {plain(', '.join(theirs), 120)} since, which is left as it is" if theirs else ""
    writes = (update(entry.target_place, names, target, put_back(target, ours)),) if ours else ()
    return Undo(writes=writes, left=left, theirs=tuple(theirs))


def undo_content(account: Account, entry: Entry, read: Read) -> Undo:
    """Of the row that a content change made or completed; what it wrote besides is rollback's own to undo."""
    if entry.action == "disclosures":
        target = read(account, entry.target_place, entry.target_key)
        return _put_back(entry, tuple(entry.target_key), target)
    if entry.detail.get("pointer") or not (entry.detail.get("created") or entry.written):
        return Undo()
    target = read(account, entry.target_place, entry.target_key)
    if not entry.detail.get("created"):
        return _put_back(entry, KEY, target)
    if target is None:
        return Undo()
    if digest(target) != entry.target_digest:
        return Undo(left=LEFT)
    return Undo(target)
