"""The order of the work: apply goes this way, rollback the other."""

from __future__ import annotations

from collections.abc import Collection

from wizard.catalog.tables import TABLES
from wizard.migration.targets import USER_DATA

# Rows of user storage stand under their new keys before content is made there: what its user saved is newer than what
# moves, and what moves is added to it. They come first in the catalog.
STORED = tuple(row.config_key for row in TABLES if USER_DATA in (row.config_key, row.copy_to))
STORED_RANKS, OTHER_RANKS = range(len(STORED)), range(len(STORED), len(TABLES))


def phases(rows: Collection[str]) -> list[tuple[str, tuple[str, ...]]]:
    """(kind, rows) of each phase: objects, user storage, content, then the other `rows` in the order of the catalog."""
    return [
        ("object", ()),
        *(("item", (row,)) for row in STORED if row in rows),
        ("content", ()),
        *(("item", (row,)) for row in _others(rows)),
    ]


def backwards(rows: Collection[str]) -> list[str]:
    """The phases of rollback as conditions of the ledger.

    Content and user storage are one: which of two changes of a row came first is told by their ids alone.
    """
    stored = ", ".join(repr(row) for row in STORED)
    return [
        *(f"kind = 'item' AND row = {row!r}" for row in reversed(_others(rows))),
        f"(kind = 'content' OR kind = 'item' AND row IN ({stored}))",
        "kind = 'object'",
    ]


def _others(rows: Collection[str]) -> list[str]:
    return [row.config_key for row in TABLES if row.config_key in rows and row.config_key not in STORED]
