"""The states of a change, and the conditions on them that the ledger is asked with. Imports nothing: the faces read it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# In the order in which a change goes through them.
STATES = ("planned", "applied", "verified", "cleaned", "conflict", "failed", "kept", "resolved", "rolled back")
OPEN = ("planned", "conflict", "failed")  # what the next plan takes up again
DONE = ("applied", "verified")
BATCH = 200  # changes that are read, and their results recorded, together; what a kill may repeat
START = (-1_000_000, -1)  # before every (rank, id); buckets have negative ranks
TRACES = ("created", "made", "deactivated", "object_etag", "archived")  # in the detail of a change that wrote something

# Of the turns of one change the last that was made, or that the operator has seen to; the earlier ones are kept for
# rollback.
NEWEST = (
    "NOT EXISTS (SELECT 1 FROM changes AS later WHERE later.kind = changes.kind"
    " AND later.source_place = changes.source_place AND later.source_key = changes.source_key"
    " AND later.target_place = changes.target_place AND later.target_key = changes.target_key"
    " AND later.turn > changes.turn AND later.state IN ('applied', 'verified', 'cleaned', 'resolved'))"
)
# What is counted for people: a change that was kept, and then made by a later turn, has only its record left for rollback.
TOLD = f"(state <> 'kept' OR {NEWEST})"
# What was made or may have been, and so can be undone. With `was_made` verify found wrong what was written, or its old
# item is no copy; with an intent nobody has seen yet whether it was written.
MADE = (
    "(state IN ('applied', 'verified') OR state IN ('planned', 'conflict', 'failed', 'kept', 'resolved')"
    " AND (intent = 1 OR json_extract(detail, '$.was_made')))"
)
# SQLite takes a text for a number, an ETag that begins with a letter for none.
_TRACES = " OR ".join(f"coalesce(json_extract(detail, '$.{name}'), 0) NOT IN (0, '', '[]')" for name in TRACES)
UNDOABLE = (
    f"{MADE} AND (intent = 1 OR written <> '[]' OR removed <> '' OR {_TRACES})"  # without what was found standing
)

# Of whose sum the old row, at zero by now, could not be removed: the next apply does.
SPENT_STANDS = "state IN ('applied', 'verified') AND json_extract(detail, '$.spent_stands')"

_PROVING = ("6c", "rollback", "6d")  # steps of which the last tells whether what stands is verified


def last_proof(runs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of a ledger's runs the verification after which nothing was applied or rolled back; None without one."""
    last = next((run for run in reversed(runs) if run["step"] in _PROVING), None)
    return last if last is not None and last["step"] == "6d" else None


def is_undone(runs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a rollback began after the last plan was made, whatever the clock said, and however it ended."""
    return next((run["step"] for run in reversed(runs) if run["step"] in ("6b", "rollback")), "") == "rollback"


def took_tables(scopes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of these plans, as `Ledger.scopes` gives them, took on what tables hold."""
    return any(one["only"] != "buckets" and not one["buckets"] for one in scopes)
