"""The check after cleanup: each old key is absent, and its twin present as it was written or changed since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from wizard.aws import Account
from wizard.aws_errors import AWS_ERRORS, explain
from wizard.context import Context
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.migration.object_heads import head
from wizard.migration.states import BATCH, NEWEST
from wizard.migration.verify import judge, row_at_target
from wizard.migration.writes import read
from wizard.parallel import each

LISTED = 200  # cleaned changes that are named for not being as they should; all are counted


def verify_cleanup(context: Context) -> dict[str, Any]:
    """Read back what was cleaned: each old key is absent and its twin present."""
    with context.account.only_looking(), Ledger(context.workspace.ledger, writable=False) as ledger:
        counts: Counter[str] = Counter()
        wrong: list[str] = []

        def look(entry: Entry) -> str:
            try:
                return _as_cleaned(context.account, entry, copied_on)
            except AWS_ERRORS as error:
                return f"could not be read: {explain(error)}"

        for batch in ledger.batches(("cleaned",), BATCH, where=NEWEST):
            # With more users in the map a copy was copied on and went itself: that change is looked at for both.
            copied_on = {entry.id for entry in batch if (where := row_at_target(entry)) and ledger.is_cleaned(*where)}
            for entry, verdict in each(look, batch, workers=context.workers, control=context.control):
                counts[verdict] += 1
                if verdict != "right" and len(wrong) < LISTED:
                    wrong.append(f"{entry.source_place}: {verdict}")
        records = ledger.records("state = 'cleaned'")
        return {
            "checked": sum(counts.values()), "right": counts["right"], "records": records, "wrong": wrong,
            "still_to_put_back": ledger.still_to_put_back(),
        }  # fmt: skip


def _as_cleaned(account: Account, entry: Entry, copied_on: Collection[int]) -> str:
    """ "right", or what is wrong with a change whose source was deleted. Raises what botocore raises."""
    key = entry.source_key
    if entry.kind == "object":
        if head(account, entry.source_place, key) is not None:
            return "the old object is there again"
    elif read(account, entry.source_place, {name: key[name] for name in key if name != "part"}) is not None:
        return "the old item is there again"
    if entry.id in copied_on:
        return "right"
    judgement = judge(account, entry)
    if judgement.verdict == "match":
        return "right"
    if judgement.verdict == "unknown":
        return f"could not be read: {judgement.why}"
    if entry.kind != "object":
        return "the item under the new id is not as written"
    standing = head(account, entry.target_place, entry.target_key)
    if standing is None:
        return "the copy is missing"
    # Without versions what we wrote is gone once a service writes; then, it is newer than the deletion.
    return "right" if standing["LastModified"].timestamp() > entry.updated else "the copy is not as written"
