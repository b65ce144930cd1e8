"""One plan in the making: what the scans found, what it is held against, and which pointers may follow.

Objects, content and items are resolved in this order, each by a module of its own; what the earlier ones make ready the
later ones point to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from wizard.catalog.buckets import BUCKETS
from wizard.catalog.model import Target
from wizard.catalog.tables import BY_KEY
from wizard.context import Context
from wizard.events import Finding
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.migration.rewrite import Edit
from wizard.migration.scan import Scope
from wizard.migration.staging import Staging
from wizard.migration.states import OPEN
from wizard.migration.targets import CONSOLIDATION, Survey, bucket_name
from wizard.text import plain

DONE = ("applied", "verified", "cleaned", "resolved")


@dataclass
class Resolution:
    """What the resolving modules share. Used inside the ledger's transaction, in the coordinator's thread.

    A `trial` only asks what a new plan would add: what is open in the ledger, and unchanged, is not recorded again.
    `unfit` is what earlier applies found to be no content of a row, as `Ledger.unfit` gives it.
    """

    context: Context
    ledger: Ledger
    staging: Staging
    found: Survey
    scope: Scope
    plan: int
    trial: bool = False
    unfit: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _held: Counter[tuple[str, str]] = field(default_factory=Counter)
    _examples: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def consolidation(self) -> str:
        return bucket_name(self.context.deployment, CONSOLIDATION)

    def put(self, entry: Entry) -> None:
        """Record a change of this plan."""
        self.ledger.put(replace(entry, plan=self.plan))

    def passes_over(self, before: Entry | None, unchanged: bool) -> bool:
        """Whether a change is not recorded again: the operator has seen to it, or a trial knows it as open.

        What an interrupted run may have written, which could not be seen now, keeps its record: rollback needs it.
        """
        if before is None:
            return False
        if before.intent and before.state in OPEN:
            return True
        if not unchanged:
            return False
        return before.state == "resolved" or (self.trial and before.state in ("conflict", "failed"))

    # --- pointers that stay ----------------------------------------------------------------------------------------------

    def hold(self, row: str, why: str, example: str, count: int = 1) -> None:
        """Note pointers of a table that cannot follow; told together once all is resolved."""
        self._held[(row, why)] += count
        self._examples.setdefault((row, why), example)

    def tell_held(self, unread: bool) -> None:
        """Pointers that stay, with the reason. `unread`: a bucket was not read, in which what is missing may lie."""
        todo = "Plan again once every bucket can be read." if unread else "It was so before the migration."
        for (row, why), count in self._held.items():
            place = self.context.deployment.name(row, BY_KEY[row].pattern).value
            example = plain(self._examples[(row, why)], 160)
            stay = "pointer stays as it is" if count == 1 else "pointers stay as they are"
            text = f"{count:,} {stay}: {why}, for example {example}"
            self.findings.append(Finding("attention", place, text, todo))

    # --- pointers that follow --------------------------------------------------------------------------------------------

    def ready(self, target: Target) -> bool:
        """Whether what a pointer is to lead to is there, or will be before the pointer is written."""
        kind, config_key, key = target
        place = self.consolidation if kind == "object" else self.found.names.get(config_key, "")
        if self.staging.is_ready(place, key):
            return True
        if kind == "object":
            # Newer services write there themselves, without an object of the same name in the older bucket.
            return self.staging.object(place, key) is not None or any(
                entry.state in ("verified", "cleaned") or entry.detail.get("stands")
                for entry in self.ledger.at_target(place, key, "object")
            )
        # A row that stands there by another way, the old table's copy for one, is not the content of this pointer.
        return any(
            entry.state in ("verified", "cleaned")
            and ("log" not in key or key["log"]["S"] in entry.detail.get("done", ()))
            for entry in self._content_at(place, key)
        )

    def resolvable(self, edit: Edit) -> Edit | None:
        """The edit of a pointer that can follow, else None; one to what stays in S3 leads there."""
        if edit.target is None:
            return edit
        if self.strange(edit) or not self.ready(edit.target):
            return None
        stays = self._stays_in_s3(edit.target)
        return replace(edit, after={"S": stays}) if stays else edit

    def strange(self, edit: Edit) -> bool:
        """Whether a pointer names a bucket itself that is not this deployment's: what lies there is not what moves."""
        return bool(edit.bucket) and edit.bucket not in self._own

    @cached_property
    def _own(self) -> frozenset[str]:
        deployment = self.context.deployment
        return frozenset(deployment.name(row.config_key, row.pattern).value for row in BUCKETS)

    def _stays_in_s3(self, target: Target) -> str:
        kind, config_key, key = target
        if kind == "object":
            return ""
        found = self._content_at(self.found.names.get(config_key, ""), key)
        return next((str(entry.detail["pointer"]) for entry in found if entry.detail.get("pointer")), "")

    def _content_at(self, place: str, key: Any) -> list[Entry]:
        return self.ledger.at_target(place, {name: value for name, value in key.items() if name != "log"})
