"""What a new plan would find now: items that services wrote under old ids since, and what was never done. Reads only."""

from __future__ import annotations

from collections import Counter
from typing import Any

from wizard.catalog.model import Ids
from wizard.context import Context
from wizard.migration.ledger import Ledger
from wizard.migration.plan import Census, builders_of, scan_tables
from wizard.migration.plan_buckets import list_buckets
from wizard.migration.resolve import Resolver
from wizard.migration.rewrite import Watch
from wizard.migration.scan import Scope
from wizard.migration.staging import Staging
from wizard.migration.targets import survey


class _Unwanted(Exception):
    """Ends the transaction, so that nothing of the trial plan stays in the ledger."""


def leftovers(context: Context, ledger: Ledger, plan: dict[str, Any], ids: Ids) -> dict[str, Any]:
    """`{"count", "tables": {name: count}, "conflicts"}` of the changes that a plan of the same scope would find now."""
    scopes = ledger.scopes()
    tables = any(one["only"] != "buckets" and not one["buckets"] for one in scopes)
    content = any(one["only"] != "tables" for one in scopes)
    # Everything that any plan of this workspace took on; bucket names only when no plan took all buckets.
    whole = any(one["only"] != "tables" and not one["buckets"] for one in scopes)
    buckets = () if whole else tuple(name for one in scopes for name in one["buckets"])
    found = survey(context)
    scope = Scope(
        ids=ids, watch=Watch(Ids()), tables=tables, content=content, builders=builders_of(buckets),
        audit=any(one["audit"] for one in scopes), names=found.names,
    )  # fmt: skip
    counts: Counter[str] = Counter()
    with Staging(context.workspace.folder / "staging.sqlite") as staging:
        census = Census()
        listings = list_buckets(context, ids, buckets, staging) if scope.content else None
        scan_tables(context, found, scope, staging, census)
        try:
            with ledger.transaction():
                ledger.drop_open()
                resolver = Resolver(context, ledger, staging, found, scope, -1)
                if listings is not None:
                    resolver.objects(listings)
                resolver.content()
                resolver.items(census.failed, census.owners)
                counts.update(ledger.counts("source_place", "plan = -1 AND state IN ('planned', 'failed')"))
                raise _Unwanted
        except _Unwanted:
            pass
    return {
        "count": sum(counts.values()),
        "tables": dict(counts),
        "unread": sorted(set(census.failed)),
        "scanned": dict(census.items),
    }
