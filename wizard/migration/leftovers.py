"""What a new plan would find now: items that services wrote under old ids since, and what was never done. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from wizard.catalog.model import Ids
from wizard.catalog.tables import TABLES
from wizard.context import Context
from wizard.migration.ledger import Ledger
from wizard.migration.plan import Census, builders_of, scan_tables
from wizard.migration.plan_buckets import homes, list_buckets
from wizard.migration.resolution import Resolution
from wizard.migration.resolve import resolve
from wizard.migration.rewrite import Watch
from wizard.migration.scan import Scope
from wizard.migration.staging import Staging
from wizard.migration.states import took_tables
from wizard.migration.targets import survey


class _Unwanted(Exception):
    """Ends the transaction, so that nothing of the trial plan stays in the ledger."""


def _unread(ledger: Ledger) -> Iterator[str]:
    """The tables of changes that concern nothing but pointers that no service reads, once per change."""
    unread = {row.config_key: {path.parts for path in row.ids if path.unread} for row in TABLES}
    rows = tuple(key for key, paths in unread.items() if paths)
    for batch in ledger.batches(
        ("planned",), 1_000, kinds=("item",), rows=rows, where="plan = -1 AND action = 'update'"
    ):
        yield from (entry.source_place for entry in batch if {edit.slot for edit in entry.edits} <= unread[entry.row])


def leftovers(context: Context, ledger: Ledger, plan: dict[str, Any], ids: Ids) -> dict[str, Any]:
    """What a plan of the same scope would find now: `{"count", "tables": {name: changes}, "unread": [names], "scanned":
    {name: items}}`."""
    scopes = ledger.scopes()
    content = any(one["only"] != "tables" for one in scopes)
    # Everything that any plan of this workspace took on; bucket names only when no plan took all buckets.
    whole = any(one["only"] != "tables" and not one["buckets"] for one in scopes)
    buckets = () if whole else tuple(name for one in scopes for name in one["buckets"])
    found = survey(context)
    scope = Scope(
        ids=ids, watch=Watch(Ids()), tables=took_tables(scopes), content=content, builders=builders_of(buckets),
        audit=any(one["audit"] for one in scopes), names=found.names, homes=homes(buckets),
        consistent=True,
    )  # fmt: skip
    counts: Counter[str] = Counter()
    with Staging(context.workspace.folder / "staging.sqlite") as staging:
        census, listed = Census(failed=found.unseen), plan["summary"].get("listed", {})
        listings = list_buckets(context, ids, buckets, staging, listed) if scope.content else None
        if listings is not None:
            census.take(listings)
        scan_tables(context, found, scope, staging, census)
        try:
            with ledger.transaction():
                work = Resolution(context, ledger, staging, found, scope, -1, trial=True)
                resolve(work, listings, census.failed, census.owners)
                # A conflict too: an object that was changed under the old id after its copy.
                counts.update(ledger.counts("source_place", "plan = -1 AND state IN ('planned', 'conflict', 'failed')"))
                counts.subtract(_unread(ledger))
                raise _Unwanted
        except _Unwanted:
            pass
    return {
        "count": counts.total(),
        "tables": dict(+counts),
        "unread": sorted(set(census.failed)),
        "scanned": dict(census.items),
    }
