"""What stands under new ids although nothing of ours made it: after a rollback, what services wrote meanwhile. Reads only."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Any

from wizard.aws_errors import AWS_ERRORS, explain
from wizard.catalog.model import Ids
from wizard.context import Context
from wizard.errors import Interrupted, MigrateError
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.migration.plan import Census, scan_tables
from wizard.migration.rewrite import Watch
from wizard.migration.scan import Scope
from wizard.migration.staging import Staging
from wizard.migration.targets import survey
from wizard.text import plain
from wizard.users import planned_ids
from wizard.wire import key_text

LISTED = 50  # items that are named


def under_new_ids(context: Context, ledger: Ledger, since: float) -> dict[str, Any]:
    """`{"count", "late", "tables": {name: count}, "items": ["table: key", …], "unread": [table, …]}`.

    Found as a plan finds old ids, with the map turned round. What the ledger knows is left out: it is undone, or listed
    as left. `late` of them are copies that the rollback begun at `since` had undone and that stand again, from a request
    that was long under way: they are recorded as made, for the next rollback. What could not be read is named and raises
    nothing but Interrupted: everything is undone by then.
    """
    try:
        return _search(context, ledger, since)
    except Interrupted:
        raise
    except AWS_ERRORS as error:
        return _nothing(explain(error))
    except (MigrateError, OSError, sqlite3.Error) as error:
        return _nothing(plain(str(error), 300))


def _nothing(why: str) -> dict[str, Any]:
    return {"count": 0, "late": 0, "tables": {}, "items": [], "unread": [why]}


def _search(context: Context, ledger: Ledger, since: float) -> dict[str, Any]:
    changed = Ids(planned_ids(context.workspace)).changed
    counts: Counter[str] = Counter()
    items: list[str] = []
    late: list[Entry] = []
    census, unread = Census(), list[str]()
    if changed:
        turned = Ids({new: old for old, new in changed.items()})
        found = survey(context)
        scope = Scope(
            ids=turned, watch=Watch(Ids()), content=False, listed=False, builders=(), names=found.names, consistent=True
        )  # fmt: skip
        with Staging(context.workspace.folder / "staging.sqlite") as staging:
            scan_tables(context, found, scope, staging, census)
            unread = sorted({*census.failed, *found.unseen})
            for _, place, candidate in staging.candidates():
                if candidate.users and not ledger.knows(place, candidate.source_key):
                    counts[place] += 1
                    if again := ledger.undone(place, candidate.source_key, candidate.source_digest, since):
                        late.append(again.becomes("applied", "it arrived after it was undone"))
                    if len(items) < LISTED:
                        items.append(f"{place}: {key_text(candidate.source_key)}")
    ledger.save(late)
    return {"count": counts.total(), "late": len(late), "tables": dict(counts), "items": items, "unread": unread}
