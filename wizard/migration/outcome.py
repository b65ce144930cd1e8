"""Whether a write whose answer never came was made: what stands is held against what stood before and what was to stand.

Services may have written since. What nothing tells any more stays on record as made, so that rollback lists it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wizard.aws import Account
from wizard.catalog.tables import BY_KEY
from wizard.migration.entry import Entry
from wizard.migration.multipart import under_kms
from wizard.migration.object_heads import etag_of, head, same_object
from wizard.migration.read_ahead import Read
from wizard.migration.rewrite import Change, holds
from wizard.migration.scan import unmarked
from wizard.migration.writes import read
from wizard.wire import Item, digest, same

UNSEEN_SUM = (
    "a run was interrupted as it summed this, and services wrote since: compare both rows, then `migrate resolve` it"
)
WRITTEN_SINCE = "a service wrote to it at that moment: plan and apply again"
APPEARED = "an item appeared under the new key"
_CHANGED = "a service changed it as the run was interrupted: whether it was written first cannot be seen"


def went_through(account: Account, entry: Entry, source: Item | None, read: Read = read) -> bool | None:
    """Whether the recorded intent of an item's change was carried out, and so is rollback's to undo; None: nothing tells."""
    if not entry.intent:
        return False
    if entry.action == "update":
        return False if source is None else _changed(entry, source)
    target = read(account, entry.target_place, entry.target_key)
    if entry.action == "add":
        return _summed(entry, source, target)
    exactly = source is not None and digest(unmarked(source)) == entry.source_digest  # as the transaction leaves it
    switched = bool(entry.detail.get("deactivated")) and source is not None and source.get("active") == {"N": "0"}
    if is_new(entry):
        # Nothing stood there, so that its item alone tells. One that a service has removed since leaves the other half.
        if target is None:
            return switched and exactly
        return digest(target) == entry.target_digest or None
    if target is None:
        return None if switched else False
    if exactly and digest(target) == entry.target_digest:
        return True
    held = _held(entry.written, target) if entry.written else exactly and switched
    if held is False and switched and not (entry.detail.get("switched_off") or entry.detail.get("was_made")):
        return None
    return held


def row_went_through(account: Account, entry: Entry) -> bool | None:
    """The same of the row that a content change makes or completes."""
    if not entry.intent:
        return False
    row = read(account, entry.target_place, entry.target_key)
    if row is not None and digest(row) == entry.target_digest:
        return True
    if entry.detail.get("created"):
        return None if row is not None else False
    return bool(entry.written and row) and _held(entry.written, row)


def with_archived(account: Account, bucket: str, entry: Entry) -> Entry:
    """The change with those logs on record that an interrupted run had archived in `bucket`: they are undone with it."""
    known = list(entry.detail.get("archived", ()))
    for key, size, *etag in entry.detail.get("archiving", ()):
        if any(key == one for one, _ in known) or not etag:  # ledgers of the first versions lack it
            continue
        found = head(account, bucket, key)
        if found is not None and same_object(
            size, etag[0], found["ContentLength"], etag_of(found), etags_tell=not under_kms(found)
        ):
            known.append([key, etag_of(found)])
    return replace(entry, detail={**entry.detail, "archived": known, "was_made": True}) if known else entry


def unclear(entry: Entry) -> Entry:
    """A change of which nothing tells any more whether it was made. Of a sum the intent stays: rollback adds by it."""
    if entry.action == "add" and had_sums(entry):
        return entry.becomes("conflict", UNSEEN_SUM)
    if entry.action == "add":  # on record, so that rollback lists it; the old item is looked at by the next plan
        return entry.becomes("applied", WRITTEN_SINCE, intent=False)
    note = APPEARED if entry.detail.get("created") else _CHANGED
    return entry.becomes("conflict", note, intent=False, detail={**entry.detail, "was_made": True})


def is_new(entry: Entry) -> bool:
    """Whether nothing stood under the new id when the copy was computed: an item equal to it by now is ours."""
    return entry.action == "copy" and bool(entry.detail.get("created"))


def is_spent(entry: Entry, source: Item | None) -> bool:
    """Whether the old item of a sum is as the sum left it, to be removed. One that was at zero before is so at any time."""
    return entry.removed is not None and source is not None and same(source, _spent(entry.removed, entry.row))


def had_sums(entry: Entry) -> bool:
    """Whether the old item of a sum held anything to add up: then one that `is_spent` tells that the sum was made."""
    return entry.removed is not None and not same(entry.removed, _spent(entry.removed, entry.row))


def _spent(item: Item, row: str) -> Item:
    return BY_KEY[row].spent(item)


def _changed(entry: Entry, item: Item) -> bool | None:
    """Of a change in place."""
    found = digest(item)
    if found in (entry.source_digest, entry.target_digest):
        return found == entry.target_digest
    return _held(entry.written, item) if entry.written else None


def _summed(entry: Entry, source: Item | None, target: Item | None) -> bool | None:
    """Of the transaction of a sum, also where services went on with either row."""
    if source is None or (is_spent(entry, source) and had_sums(entry)):
        return True
    if entry.removed is None:
        return False
    new: bool | None
    if entry.detail.get("created"):
        new = False if target is None else digest(target) == entry.target_digest or None
    else:
        new = bool(entry.written) and _held(entry.written, target)  # with nothing to sum nothing was written
    if not same(source, entry.removed):
        return new
    if not had_sums(entry):
        return new  # an old item at zero tells nothing
    return None if new else False  # a service has spent the same as before, or wrote the new row just so


def _held(written: Iterable[Change], item: Item | None) -> bool | None:
    """Whether an item has the values that were written (True) or those before them (False). All were written at once."""
    if item is None:
        return None
    if all(holds(item, change) for change in written):
        return True
    before = [replace(change, before=change.after, after=change.before) for change in written]
    return False if all(holds(item, change) for change in before) else None
