"""A plan and what became of it, as rows for people to look at: tables, changes, single edits, unknown references."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wizard.migration.states import START
from wizard.text import plain

if TYPE_CHECKING:
    from pathlib import Path

    from wizard.context import Context
    from wizard.migration.entry import Entry


@dataclass(frozen=True)
class TableRow:
    """Number of changes of one table or bucket by state. `row` is the catalog row, `place` the resource's name."""

    row: str
    place: str
    counts: Mapping[str, int]


def names(rows: Sequence[TableRow]) -> list[str]:
    """What to call each: its place, and its catalog row where several write to one table or bucket."""
    places = [row.place for row in rows]
    return [row.place if places.count(row.place) == 1 else f"{row.place} ({row.row})" for row in rows]


@dataclass(frozen=True)
class ChangeRow:
    """One change: which item, whose, and each edited path with its value before and after (never of a secret).

    `position` orders changes as apply does; pass the last one's to get those behind it.
    """

    id: int
    position: tuple[int, int]
    row: str
    action: str
    source: str
    target: str
    users: str
    state: str
    edits: tuple[tuple[str, str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Unknown:
    """Old ids, or what differs from one only by case, at a path that the catalog does not name."""

    place: str
    path: str
    kind: str
    count: int
    example: str


class Results(Protocol):
    """Read-only; each method may be called from any thread."""

    def tables(self) -> list[TableRow]:
        """In the order of apply."""

    def changes(
        self, row: str = "", user: str = "", state: str = "", after: tuple[int, int] = START, limit: int = 500
    ) -> list[ChangeRow]:
        """Changes in the order of apply, from behind `after`; `user` is a whole id."""

    def users(self) -> list[tuple[str, Mapping[str, int]]]:
        """Each user (the old id) that changes concern, with their number by state; the most first."""

    def unknown_references(self) -> list[Unknown]:
        """Of the newest plan, most frequent first."""

    def findings(self) -> list[tuple[str, str, str, str]]:
        """(level, place, text, todo) of the newest plan: what to think about before apply."""


@dataclass(frozen=True)
class LedgerResults:
    """The results in a workspace's ledger, opened for each question: SQLite connections belong to one thread."""

    path: Path

    def _ledger(self) -> Any:
        from wizard.migration.ledger import Ledger

        return Ledger(self.path, writable=False)

    def tables(self) -> list[TableRow]:
        known = ("row", "kind", "source", "place", "rank")
        with self._ledger() as ledger:
            return [
                TableRow(str(found["row"]), str(found["place"]), {k: n for k, n in found.items() if k not in known})
                for found in ledger.table_counts()
            ]

    def changes(
        self, row: str = "", user: str = "", state: str = "", after: tuple[int, int] = START, limit: int = 500
    ) -> list[ChangeRow]:
        with self._ledger() as ledger:
            entries = ledger.select(
                (state,) if state else (), rows=(row,) if row else (), user=user, after=after, limit=limit
            )
            return [change_row(entry) for entry in entries]

    def users(self) -> list[tuple[str, Mapping[str, int]]]:
        with self._ledger() as ledger:
            return sorted(ledger.user_counts().items(), key=lambda found: (-sum(found[1].values()), found[0]))

    def unknown_references(self) -> list[Unknown]:
        with self._ledger() as ledger:
            return [
                Unknown(found["place"], found["path"], found["kind"], found["count"], found["example"])
                for found in ledger.unknown_references()
            ]

    def findings(self) -> list[tuple[str, str, str, str]]:
        with self._ledger() as ledger:
            plan = ledger.latest_plan()
            found = ledger.findings(plan["id"]) if plan else []
            return [(entry["level"], entry["place"], entry["text"], entry["todo"]) for entry in found]


def of_workspace(context: Context) -> Results | None:
    """The results of a workspace; None while nothing has been planned in it."""
    path = context.workspace.ledger
    return LedgerResults(path) if path.exists() else None


def change_row(entry: Entry) -> ChangeRow:
    """A ledger entry for people."""
    return ChangeRow(
        id=entry.id,
        position=(entry.rank, entry.id),
        row=entry.row,
        action=entry.action,
        source=f"{entry.source_place}: {shown(entry.source_key)}",
        target=f"{entry.target_place}: {shown(entry.target_key)}" if entry.moves else "",
        users=", ".join(entry.users),
        state=entry.state,
        edits=tuple((".".join(map(str, edit.path)), shown(edit.before), shown(edit.after)) for edit in entry.edits),
        note=entry.note,
    )


def shown(value: Any) -> str:
    """A key or a wire-form value (`{"S": "ada"}`) as short text; "" for None."""
    match value:
        case None:
            return ""
        case str():
            return plain(value, 400)
        case {"S": str(text)} | {"N": str(text)} if len(value) == 1:
            return plain(text, 400)
        case {**parts} if all(isinstance(part, dict) for part in parts.values()):
            return plain(", ".join(f"{name}={shown(part)}" for name, part in parts.items()), 400)
        case _:
            return plain(json.dumps(value, default=repr, ensure_ascii=False), 400)
