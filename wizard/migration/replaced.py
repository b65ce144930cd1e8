"""Changes of ours whose content a later one of the same target has replaced: their old items are no copies."""

from __future__ import annotations

from collections.abc import Sequence

from wizard.catalog.tables import BY_KEY
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.migration.states import DONE

_REPLACED = "a newer row of the same key took its place"


def with_replaced(ledger: Ledger, results: Sequence[Entry]) -> list[Entry]:
    """What is about to be recorded, in the order in which it was made, with the changes that it replaces, as kept."""
    now = {entry.id: entry for entry in results}
    made: set[int] = set()
    for entry in results:
        if _replaces(entry):
            for recorded in ledger.at_target(entry.target_place, entry.target_key, "item"):
                other = now.get(recorded.id, recorded)
                earlier = other.id in made or recorded.state in DONE
                if other.id != entry.id and earlier and other.state in DONE and other.moves:
                    now[other.id] = other.becomes("kept", _REPLACED, detail={**other.detail, "was_made": True})
        made.add(entry.id)
    return list(now.values())


def _replaces(entry: Entry) -> bool:
    """Whether a change has put one item in the place of another, of which nothing stays."""
    if entry.kind != "item" or entry.action != "merge" or entry.state != "applied":
        return False
    clash = BY_KEY[entry.row].clash
    replaced = any(change.before is not None for change in entry.written)  # else it only added to what stood
    return replaced and clash is not None and clash.keeps_loser
