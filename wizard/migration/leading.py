"""Where rows lead that rollback leaves: what they lead to is left as well, or nobody would find it any more."""

from __future__ import annotations

from collections.abc import Collection

from wizard.deployment import Deployment
from wizard.migration.entry import Entry, encode_key
from wizard.migration.targets import pointed_at

WHY = "a row that is left leads to it; it is left as well"

Place = tuple[str, str]  # (table or bucket, key as text)


def leads_to(deployment: Deployment, entry: Entry, attributes: Collection[str] | None = None) -> frozenset[Place]:
    """What a change's row points to under new ids; of an item only by these `attributes`, if given."""
    targets = [
        (edit.target[0], edit.target[2])
        for edit in entry.edits
        if edit.target is not None and (attributes is None or edit.slot[0] in attributes)
    ]
    if "waits" in entry.detail:
        targets.append(("object", entry.detail["waits"][1]))
    places = (pointed_at(deployment, *target) for target in targets)
    return frozenset((place, encode_key(key)) for place, key in places)


class Leading:
    """What the rows lead to that one run of rollback has met so far; they come before what they lead to."""

    def __init__(self) -> None:
        self._for_good, self._for_now, self._free = set[Place](), set[Place](), set[Place]()

    def left(self, places: Collection[Place], again: bool) -> None:
        """A row stays that leads there; `again`: until another rollback."""
        (self._for_now if again else self._for_good).update(places)

    def undone(self, places: Collection[Place]) -> None:
        """A row that led there does so no more."""
        self._free.update(places)

    def holds(self, entry: Entry) -> bool:
        """Whether a change is left since a row leads to what it made, be it one that an earlier rollback left."""
        place = entry.target_place, encode_key(entry.target_key)
        earlier = bool(entry.detail.get("led")) and place not in self._free
        return earlier or place in self._for_good or place in self._for_now

    def again(self, entry: Entry) -> bool:
        """Whether the next rollback may undo it after all: the row was not left for good."""
        place = entry.target_place, encode_key(entry.target_key)
        return place in self._for_now and place not in self._for_good and not entry.detail.get("led")
