"""Whether what a pointer leads to is there: it follows only to what was made and found right, or stood already."""

from __future__ import annotations

from functools import partial
from typing import Any

from wizard.context import Context
from wizard.migration.apply_items import Readiness, Ready
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.migration.objects import object_stands
from wizard.migration.targets import pointed_at
from wizard.migration.writes import read
from wizard.wire import Item


class Pointed:
    """The targets of one run of apply."""

    def __init__(self, context: Context, ledger: Ledger, dry_run: bool):
        self._context, self._ledger = context, ledger
        # A dry run takes what is planned for done.
        self._there = ("verified", "cleaned", "planned") if dry_run else ("verified", "cleaned")

    def readiness(self, entry: Entry) -> Readiness:
        """Whether each pointer may follow."""
        return {
            (edit.slot, str(edit.before)): self.is_there(*edit.target)
            for edit in entry.edits
            if edit.target and edit.before
        }

    def is_there(self, kind: str, config_key: str, key: Any) -> Ready:
        """Whether a pointer may lead to this target."""
        place, plain_key = pointed_at(self._context.deployment, kind, key)
        if kind == "object":
            found = self._ledger.at_target(place, key, "object")
            if not found:  # newer services write there themselves
                return partial(object_stands, self._context.account, place, key)
            # "stands": newer services wrote another object there before the plan was made.
            if any(entry.state in self._there or entry.detail.get("stands") for entry in found):
                return True
            left = any(entry.state in ("resolved", "kept") for entry in found)  # it may have been put there since
            return partial(object_stands, self._context.account, place, key) if left else False
        for entry in self._ledger.at_target(place, plain_key):
            if entry.state == "resolved" and entry.detail.get("by_hand"):
                return partial(self._stands, place, plain_key)
            planned = [source for _, source, *_ in entry.detail["sources"]] if entry.state == "planned" else ()
            if entry.state in self._there and (
                "log" not in key or key["log"]["S"] in (*entry.detail.get("done", ()), *planned)
            ):
                return str(entry.detail["pointer"]) if entry.detail.get("pointer") else True
        return False

    def _stands(self, place: str, key: Item) -> bool:
        """Whether a row of user storage is there, as the operator said."""
        return read(self._context.account, place, key) is not None
