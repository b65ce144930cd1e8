"""From what the scans found to the changes of the ledger: what stands at the targets decides.

A candidate whose target is free is copied. Where an item stands under the new id, an equal one means that it was done
before; another one is a clash and goes by the row's rule. Pointers are kept only where what they wait for is there.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wizard.catalog.model import Item, Table
from wizard.errors import Blocked
from wizard.migration.entry import Entry
from wizard.migration.order import OTHER_RANKS, STORED_RANKS
from wizard.migration.plan_buckets import Listings
from wizard.migration.read_ahead import ReadAhead
from wizard.migration.resolution import DONE, Resolution
from wizard.migration.resolve_content import ContentResolver
from wizard.migration.resolve_objects import ObjectResolver
from wizard.migration.rewrite import Edit, changes, rewrite
from wizard.migration.scan import Candidate, switched_on, unmarked
from wizard.migration.unreferenced import tell_unreferenced
from wizard.storage_key import sanitise_user
from wizard.wire import digest, outline, same

_AT_ONCE = 25  # clashes that are settled together; both items of each are held in memory


@dataclass(frozen=True)
class _Clash:
    """A candidate that needs a look at both items."""

    rank: int
    place: str
    row: Table
    candidate: Candidate
    before: Entry | None  # what an earlier plan did with it


def resolve(work: Resolution, listings: Listings | None, unread: Sequence[str], owners: Collection[str]) -> None:
    """Record a plan's changes in the order of apply: objects, user storage, the content that becomes rows of it, then
    the other items with the pointers to all that.

    `listings`: None where no bucket was listed. `unread` are tables that were not read whole: nothing leads there.
    `owners` are ids that have data. One outside the map may be spelled in user storage as one of the map is.
    """
    if listings is not None:
        ObjectResolver(work).resolve(listings)
    items = ItemResolver(work, unread, owners)
    items.resolve(STORED_RANKS)
    ContentResolver(work).resolve()
    items.resolve(OTHER_RANKS)
    if not unread:  # a table that could not be read may point anywhere
        tell_unreferenced(work)
    work.tell_held(listings is not None and bool(listings.failed))


class ItemResolver:
    """Records the changes of items of one plan."""

    def __init__(self, work: Resolution, unread: Sequence[str], owners: Collection[str]):
        """The arguments are those of `resolve`, the function."""
        self.work, self.staging, self._unread = work, work.staging, unread
        ids = work.scope.ids
        others = (owner for owner in owners if owner not in ids and owner not in ids.new)
        # Spellings in user storage that two people share.
        self._ambiguous = {spelled for owner in others if (spelled := sanitise_user(owner)) in ids.spelled}
        self._copied_before: set[str] = set()  # tables where an earlier run left copies
        self._ahead = ReadAhead(work.context)

    def resolve(self, ranks: range) -> None:
        """Record every change of the tables of these ranks."""
        clashes: list[_Clash] = []
        for rank, place, candidate in self.staging.candidates(ranks):
            if place in self._unread or candidate.target_place in self._unread:
                continue
            table = self.work.found.named(place)
            assert table is not None and table.row is not None
            if not candidate.target_place:
                raise Blocked(
                    f"{place} has rows to copy and there is no user-data-storage table yet: deploy amplify-lambda first"
                    " (step 4c)."
                )
            clash = self._item(rank, place, table.row, candidate)
            if clash is not None:
                clashes.append(clash)
            if len(clashes) >= _AT_ONCE:
                self._settle(clashes)
                clashes = []
        self._settle(clashes)

    def _item(self, rank: int, place: str, row: Table, candidate: Candidate) -> _Clash | None:
        resolved = []
        for one in candidate.edits:
            edit = self.work.resolvable(one)
            if edit is not None:
                resolved.append(edit)
            elif self.work.strange(one):
                if one.after is not None:  # once for the two edits of one pointer
                    self.work.hold(
                        row.config_key, "the target lies in a bucket that is not this deployment's", one.bucket
                    )
            elif one.target is not None and one.target[0] == "object" and self.work.scope.listed:
                self.work.hold(row.config_key, "the target does not exist", one.target[2])
        edits = tuple(edit for edit in resolved if edit.after != edit.before)
        entry = Entry(
            rank=rank, row=row.config_key, kind="item", action="update", source_place=place,
            source_key=candidate.source_key, target_place=candidate.target_place, target_key=candidate.target_key,
            users=candidate.users, edits=edits, source_digest=candidate.source_digest, plan=self.work.plan,
        )  # fmt: skip
        before = self.work.ledger.find(
            "item", place, candidate.source_key, candidate.target_place, candidate.target_key
        )
        entry = replace(entry, detail=_continued(before))
        if self.work.passes_over(before, before is not None and before.source_digest == candidate.source_digest):
            return None
        if candidate.source_key.get("PK", {}).get("S", "").partition("#")[0] in self._ambiguous:
            self.work.put(
                entry.becomes("kept", "two people's ids are spelled alike in user storage; move their rows by hand")
            )
            return None
        if candidate.fault:
            self.work.put(entry.becomes("failed", candidate.fault, detail={"blocked": True}))
            return None
        if not entry.moves:
            if edits:
                self.work.put(entry)
            return None
        if before is not None and _retained(before) and before.source_digest == candidate.source_digest:
            return None
        standing = self.staging.seen(candidate.target_place, candidate.target_key)
        if standing is None:
            self.work.put(replace(entry, action="add" if row.retire == "remove" else "copy"))
            return None
        retires = row.retire == "remove" or (row.retire == "deactivate" and candidate.active)
        if (
            standing == candidate.target_digest
            and len(edits) == len(candidate.edits)
            and not retires
            and before is None
        ):
            self.work.put(entry.becomes("verified", "was there already", action="copy", target_digest=standing))
            self._copied_before.add(place)
            return None
        return _Clash(rank, place, row, replace(candidate, edits=edits), before)

    def _settle(self, clashes: Sequence[_Clash]) -> None:
        """Look at both items of each clash and decide."""
        account = self.work.context.account
        places = [
            ((clash.place, clash.candidate.source_key), (clash.candidate.target_place, clash.candidate.target_key))
            for clash in clashes
        ]
        self._ahead.take(itertools.chain.from_iterable(places))
        for clash, (old, new) in zip(clashes, places, strict=True):
            source = self._ahead(account, *old)
            if source is not None:
                self.work.put(self._judge(clash, unmarked(source), self._ahead(account, *new)))

    def _judge(self, clash: _Clash, source: Item, existing: Item | None) -> Entry:
        row, candidate = clash.row, clash.candidate
        entry = Entry(
            rank=clash.rank, row=row.config_key, kind="item", action="merge", source_place=clash.place,
            source_key=candidate.source_key, target_place=candidate.target_place, target_key=candidate.target_key,
            users=candidate.users, edits=candidate.edits, source_digest=digest(source), plan=self.work.plan,
            detail=_continued(clash.before),
        )  # fmt: skip
        if existing is None:
            return replace(entry, action="add" if row.retire == "remove" else "copy")
        rewritten = rewrite(
            row, switched_on(source, entry.switched_off), self.work.scope.ids, self.work.resolvable
        ).item
        pointers = [
            edit for edit in candidate.edits if edit.target is not None
        ]  # apply asks for each whether it may follow
        if row.retire in ("remove", "remove on clash"):
            if row.retire == "remove on clash" and (counted := self._counted(clash, entry, existing, rewritten)):
                return counted
            return replace(entry, action="add", edits=edits_between(row, existing, row.merged(existing, rewritten)))
        before = clash.before
        # What was merged holds a service's attributes besides, and goes on by the rule of the clash.
        copied = before is not None and _retained(before) and before.action in ("copy", "refresh")
        if before is not None and copied and digest(existing) == before.target_digest:
            # A service wrote under the old id after the copy, and nobody touched the copy: it follows.
            return _refresh(entry, existing, (*edits_between(row, existing, rewritten), *pointers))
        loses = row.clash is None or (row.clash.keeps_loser and same(row.merged(existing, rewritten), existing))
        deactivates = row.retire == "deactivate" and candidate.active
        if loses and not deactivates and not same(rewritten, existing):
            return entry.becomes("kept", "another item stands under the new id; this one stays beside it")
        edits = edits_between(row, existing, row.merged(existing, rewritten))
        if not edits and not deactivates:
            return entry.becomes("verified", "was there already", target_digest=digest(existing))
        return replace(entry, edits=(*edits, *pointers))

    def _counted(self, clash: _Clash, entry: Entry, existing: Item, rewritten: Item) -> Entry | None:
        """What becomes of a retained row whose amount is in the new one already; None for one to be added up."""
        before = clash.before
        if before is not None and before.state in DONE and not _retained(before):
            return None
        if same(existing, rewritten):
            return entry.becomes("verified", "was there already", action="copy", target_digest=digest(existing))
        if before is not None and _retained(before):
            if digest(existing) == before.target_digest:
                return _refresh(entry, existing, edits_between(clash.row, existing, rewritten))
            return entry.becomes("kept", "it was copied once and both have changed since; add the difference by hand")
        if clash.place in self._copied_before:
            return entry.becomes("kept", "an earlier run copied rows of this table; it may be counted already")
        return None


def _continued(before: Entry | None) -> dict[str, Any]:
    """What a change of the same item has to know of the one before."""
    return {"switched_off": True} if before is not None and before.switched_off else {}


def _retained(before: Entry) -> bool:
    """Whether the old item of an earlier change still stands as it was read then, or was changed in place.

    What was removed or cleaned and stands there again was written anew by a service, however equal it is.
    """
    return before.state in DONE and before.state != "cleaned" and before.action != "add"


def _refresh(entry: Entry, existing: Item, edits: tuple[Edit, ...]) -> Entry:
    """The change that lets a copy follow its old item, for as long as the copy is what `existing` shows."""
    return replace(entry, action="refresh", edits=edits, detail={**entry.detail, "follows": digest(existing)})


def edits_between(row: Table, before: Item, after: Item) -> tuple[Edit, ...]:
    """What a merge changes, for people: of what it adds kind and size, and no values of secret attributes."""
    return tuple(
        Edit(change.path, _HIDDEN, _HIDDEN)
        if change.path[0] in row.secret
        else Edit(change.path, change.before, change.after if change.before else {"S": outline(change.after)})
        for change in changes(before, after)
    )


_HIDDEN = {"S": "(secret)"}
