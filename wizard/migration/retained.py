"""What stands beside its verified copy: the old records that cleanup may take, once each is proven anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wizard.catalog.bucket_model import all_mapped
from wizard.catalog.buckets import BUCKETS
from wizard.catalog.model import Ids
from wizard.catalog.tables import BY_KEY, TABLES
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.migration.states import BATCH, NEWEST

# Rows of which nothing but content was moved; and those that go with the stack that owns their table.
_OF_CONTENT = tuple(row.config_key for row in TABLES if row.consists_of)
_WITH_STACK = tuple(row.config_key for row in TABLES if row.copy_to)
_MOVED = (
    f"{NEWEST} AND action IN ('copy', 'merge', 'refresh') AND (source_place, source_key) <> (target_place, target_key)"
)


def _among(names: tuple[str, ...]) -> str:
    return f"row IN ({', '.join(repr(name) for name in names)})"


# The row behind what the operator mended himself, and said so, goes as well; one of which he skipped a part is his.
_SETTLED = "(state = 'verified' OR state = 'resolved' AND json_extract(detail, '$.by_hand'))"
_ROW_OF = "row || ' ' || source_place || ' ' || json_remove(source_key, '$.Item.part')"
# A set that is made once: looked up for each change it would take minutes where much was skipped.
_SKIPPED_PARTS = (
    f"SELECT {_ROW_OF} FROM changes AS one WHERE state = 'resolved' AND kind = 'content'"
    f" AND NOT coalesce(json_extract(detail, '$.by_hand'), 0) AND {NEWEST.replace('changes.', 'one.')}"
)
_SKIPPED = f"{_ROW_OF} IN ({_SKIPPED_PARTS})"
# Of an item that was moved as well, only what stands beside something else still needs the old one.
_LEADS_ALONE = f"{_ROW_OF} IN ({_SKIPPED_PARTS} AND json_extract(detail, '$.beside'))"
_ITEM = f"{_MOVED} AND NOT {_LEADS_ALONE}"
# The same as a condition of the ledger; source objects are taken only when asked for, and not counted here.
RETAINED = (
    f"(state = 'verified' AND kind = 'item' AND {_ITEM} AND NOT {_among(_WITH_STACK)}"
    f" OR {_SETTLED} AND kind = 'content' AND {_among(_OF_CONTENT)} AND NOT {_SKIPPED})"
)


@dataclass(frozen=True)
class Retained:
    """One thing that may go: an old item, the row behind several content changes, or a source object.

    `content`: the changes of what an old item points to.
    """

    place: str
    key: Any
    entries: tuple[Entry, ...]
    content: tuple[Entry, ...] = ()


def retained(ledger: Ledger, ids: Ids, objects: bool) -> Iterator[Retained]:
    """What is retained: items in the order of cleanup, then rows of content; source objects last, if wanted."""
    rows = ledger.counts("row", "kind = 'item' AND state = 'verified'")
    for row in sorted(rows, key=lambda row: not BY_KEY[row].identities):
        if row not in _WITH_STACK:
            for batch in ledger.batches(("verified",), BATCH, kinds=("item",), rows=(row,), where=_ITEM):
                for entry in batch:
                    place, key = entry.source_place, entry.source_key
                    content = tuple(ledger.content_of(place, key)) if BY_KEY[row].content else ()
                    yield Retained(place, key, (entry,), content)
    seen: set[str] = set()
    # Of what stands beside something else cleanup says why it stays.
    told = f"({_SETTLED} OR state = 'kept' AND json_extract(detail, '$.beside')) AND NOT {_SKIPPED}"
    for batch in ledger.batches((), BATCH, kinds=("content",), rows=_OF_CONTENT, where=told):
        for entry in batch:
            key = {name: value for name, value in entry.source_key.items() if name != "part"}
            if (known := f"{entry.source_place} {key}") not in seen:
                seen.add(known)
                yield Retained(entry.source_place, key, tuple(ledger.content_of(entry.source_place, key)))
    if objects:
        buckets = {row.config_key: row for row in BUCKETS}
        for batch in ledger.batches(("verified",), BATCH, kinds=("object",), where=NEWEST):
            for entry in batch:
                # A share of which only one user is migrated is still the other one's.
                if not buckets[entry.row].keep_source and all_mapped(buckets[entry.row], entry.source_key, ids):
                    yield Retained(entry.source_place, entry.source_key, (entry,))
