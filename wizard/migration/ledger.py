"""The ledger: the SQLite file that records every planned change and what became of it.

A change moves `planned -> applied -> verified -> cleaned`, or to `conflict`, `failed`, `kept` or `rolled back`. Its state is
written after AWS has confirmed it, and every change is conditional and idempotent: being killed at any instant costs at
most the repetition of what was in flight. Only the coordinator's thread writes here.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from wizard.errors import BadInput, Blocked, Failed
from wizard.migration.entry import COLUMNS, Entry, encode_key, from_record, to_record
from wizard.migration.ledger_damage import is_damage
from wizard.migration.states import MADE, OPEN, START, TOLD
from wizard.wire import Item, from_json_line, key_of, key_text, to_json_line
from wizard.workspace import PLANNED_MAP, private_opener

FORMAT = 1
_NO_PLAN = "There is no plan yet: run `amplify-migrate migrate plan` first."
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)  # the file itself may be sound
# What ledgers of the first versions lack. `taken`: items that a deletion took away although a service had just added to
# them, until they stand again. `changes_item`: the item that a content change is a part of.
_ADDED = """
CREATE TABLE IF NOT EXISTS taken (id INTEGER PRIMARY KEY, changes TEXT, place TEXT, names TEXT, item TEXT);
CREATE INDEX IF NOT EXISTS changes_item ON changes (source_place, json_remove(source_key, '$.Item.part'))
  WHERE kind = 'content';
"""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS plans (
  id INTEGER PRIMARY KEY, created REAL NOT NULL, account TEXT, region TEXT, deployment TEXT, scope TEXT,
  map_digest TEXT, catalog_digest TEXT, tables TEXT, segments INTEGER, summary TEXT);
CREATE TABLE IF NOT EXISTS changes (
  id INTEGER PRIMARY KEY, plan INTEGER NOT NULL, rank INTEGER NOT NULL, row TEXT NOT NULL,
  kind TEXT NOT NULL, action TEXT NOT NULL,
  source_place TEXT NOT NULL, source_key TEXT NOT NULL, target_place TEXT NOT NULL, target_key TEXT NOT NULL,
  users TEXT NOT NULL, edits TEXT NOT NULL, written TEXT NOT NULL DEFAULT '[]', removed TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '{}', source_digest TEXT NOT NULL DEFAULT '', target_digest TEXT NOT NULL DEFAULT '',
  intent INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL, note TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0,
  updated REAL NOT NULL, turn INTEGER NOT NULL DEFAULT 1,
  UNIQUE (kind, source_place, source_key, target_place, target_key, turn));
CREATE INDEX IF NOT EXISTS changes_state ON changes (state, rank, id);
CREATE INDEX IF NOT EXISTS changes_target ON changes (target_place, target_key);
CREATE INDEX IF NOT EXISTS changes_row ON changes (row, state);
CREATE TABLE IF NOT EXISTS findings (
  id INTEGER PRIMARY KEY, plan INTEGER, phase TEXT, level TEXT, place TEXT, text TEXT, todo TEXT, count INTEGER);
CREATE TABLE IF NOT EXISTS unknown_references (
  plan INTEGER, place TEXT, path TEXT, kind TEXT, count INTEGER, example TEXT, PRIMARY KEY (plan, place, path, kind));
CREATE TABLE IF NOT EXISTS runs (
  id INTEGER PRIMARY KEY, step TEXT, started REAL, ended REAL, code INTEGER, text TEXT, detail TEXT);
CREATE TABLE IF NOT EXISTS backups (place TEXT PRIMARY KEY, record TEXT, created REAL);
"""


class Ledger:
    """One open ledger. Raises BadInput for a file that is not one, Failed when the disk does not take it."""

    def __init__(self, path: Path, *, writable: bool = True):
        self.path = path
        stood = path.exists()
        if not writable and not stood:
            raise Blocked(_NO_PLAN)
        try:
            if writable and not stood:
                with open(path, "ab", opener=private_opener):
                    pass
            uri = f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}"
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error
        except OSError as error:
            raise BadInput(f"The ledger {path} cannot be opened: {error.strerror}.") from error
        try:
            self._prepare(writable, stood)
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.DatabaseError | UnicodeDecodeError):  # the latter: a message of SQLite's
                raise self._unusable(error) from error
            raise

    def _prepare(self, writable: bool, stood: bool) -> None:
        """Make sure that the file is a ledger, or becomes one; one that `stood` and is empty was cut after a plan."""
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if found > FORMAT:
            raise BadInput(f"The ledger {self.path} was written by a newer amplify-migrate; use that one.")
        if stood and not tables and (self.path.parent / PLANNED_MAP).exists():
            raise BadInput(self._damaged())
        if found == 0 and not tables and not writable:
            raise Blocked(_NO_PLAN)
        if found == 0 and tables:
            raise BadInput(f"{self.path} is not a ledger of amplify-migrate; move it away or give another --workspace.")
        if writable:
            self._db.execute("PRAGMA journal_mode=WAL")  # changes the file: only once it is known to be ours
            self._db.execute("PRAGMA synchronous=FULL")
        if writable and found == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        if writable:
            self._db.executescript(_ADDED)

    def _unusable(self, error: sqlite3.DatabaseError | UnicodeDecodeError) -> Failed | BadInput:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM:
            return Failed(
                f"The ledger {self.path} cannot be written ({error}). Nothing is lost: mend that, then run it again."
            )
        return BadInput(f"The ledger {self.path} cannot be opened ({error}); restore it, or move it away.")

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()
        reason = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if reason in _NO_ROOM:
            raise Failed(
                f"The ledger {self.path} cannot be written ({error}). Nothing is lost: mend that, then run it again."
            ) from error
        if is_damage(error):  # the error itself may quote what stands in it
            raise BadInput(self._damaged()) from error

    def _damaged(self) -> str:
        return (
            f"The ledger {self.path} is damaged; put back a copy of the workspace, or move it away: a new plan finds what is"
            " still to be done."
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it returns."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if is_damage(error):
                raise
            raise Failed(
                f"The ledger {self.path} cannot be written ({error}). Nothing is lost: mend that, then run it again."
            ) from error

    # --- plans ---------------------------------------------------------------------------------------------------------

    def add_plan(self, values: Mapping[str, Any]) -> int:
        """Record a plan; `values` are the columns of `plans` (JSON where not a scalar). Returns its id."""
        names = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        encoded = [json.dumps(v) if isinstance(v, dict | list) else v for v in values.values()]
        cursor = self._db.execute(f"INSERT INTO plans ({names}) VALUES ({marks})", encoded)
        return int(cursor.lastrowid or 0)

    def latest_plan(self) -> dict[str, Any] | None:
        """The newest plan as a dictionary, or None."""
        cursor = self._db.execute("SELECT * FROM plans ORDER BY id DESC LIMIT 1")
        record = cursor.fetchone()
        if record is None:
            return None
        values = dict(zip((column[0] for column in cursor.description), record, strict=True))
        return {
            name: json.loads(value) if name in ("deployment", "scope", "tables", "summary") and value else value
            for name, value in values.items()
        }

    def scopes(self) -> list[dict[str, Any]]:
        """What each plan of this workspace took on: {"only", "buckets", "audit"}."""
        return [json.loads(record[0]) for record in self._db.execute("SELECT scope FROM plans ORDER BY id")]

    def summarise_plan(self, plan: int, summary: Mapping[str, Any]) -> None:
        self._db.execute("UPDATE plans SET summary = ? WHERE id = ?", (json.dumps(summary), plan))

    def drop_open(self) -> None:
        """Forget what was planned but not done: the new plan finds it again. Rows that were removed are never forgotten."""
        marks = ", ".join("?" for _ in OPEN)
        self._db.execute(
            "DELETE FROM changes WHERE intent = 0 AND removed = '' AND json_extract(detail, '$.was_made') IS NULL"
            f" AND state IN ({marks})",
            OPEN,
        )

    # --- changes -------------------------------------------------------------------------------------------------------

    def find(self, kind: str, source_place: str, source_key: Any, target_place: str, target_key: Any) -> Entry | None:
        """The change from this source to this target."""
        cursor = self._db.execute(
            f"SELECT {COLUMNS} FROM changes WHERE kind = ? AND source_place = ? AND source_key = ?"
            " AND target_place = ? AND target_key = ? ORDER BY turn DESC LIMIT 1",
            (kind, source_place, encode_key(source_key), target_place, encode_key(target_key)),
        )
        record = cursor.fetchone()
        return from_record(record) if record else None

    def get(self, change: int) -> Entry | None:
        record = self._db.execute(f"SELECT {COLUMNS} FROM changes WHERE id = ?", (change,)).fetchone()
        return from_record(record) if record else None

    def put(self, entry: Entry) -> None:
        """Add a change, or replace the open one with the same source and target.

        The record of a change that was made is never replaced, rollback needs it: another change of the same item is
        its next turn.
        """
        before = self.find(entry.kind, entry.source_place, entry.source_key, entry.target_place, entry.target_key)
        if before is not None:
            # Nor is that of one that may have been made: a sum that nothing tells of, what was resolved after a kill.
            entry = replace(entry, turn=before.turn + (before.undoable or before.intent))
            beside = entry.kind == "item" and entry.state == "kept" and before.state in ("applied", "verified")
            if before.undoable and (beside or before.state in ("conflict", "failed")):
                # The new turn takes up what was found wrong. The record of what was written stays, and proves nothing.
                self.keep(before, before.note)
        names = COLUMNS.removeprefix("id, ")
        marks = ", ".join("?" for _ in names.split(", "))
        # One that is replaced gets a new id: ids stand in the order of the work, which rollback undoes backwards.
        self._db.execute(f"INSERT OR REPLACE INTO changes ({names}) VALUES ({marks})", to_record(entry))

    def save(self, entries: Iterable[Entry]) -> None:
        """Write the changed fields of existing changes, in one transaction."""
        names = COLUMNS.removeprefix("id, ").split(", ")
        assignments = ", ".join(f"{name} = ?" for name in names)
        with self.transaction():
            for entry in entries:
                self._db.execute(f"UPDATE changes SET {assignments} WHERE id = ?", (*to_record(entry), entry.id))

    def keep(self, entry: Entry, note: str) -> None:
        """Take a change off the list of what is to be done; inside a transaction of the caller. Rollback still knows it."""
        detail = {**entry.detail, "was_made": True} if entry.undoable else entry.detail
        self._db.execute(
            "UPDATE changes SET state = 'kept', note = ?, detail = ? WHERE id = ?", (note, json.dumps(detail), entry.id)
        )

    def select(
        self,
        states: Sequence[str] = (),
        *,
        kinds: Sequence[str] = (),
        rows: Sequence[str] = (),
        user: str = "",
        table: str = "",
        after: tuple[int, int] = START,
        limit: int = -1,
        where: str = "",
    ) -> list[Entry]:
        """Changes in the order of apply, from behind `after` (rank, id)."""
        clauses, values = ["(rank, id) > (?, ?)"], list[Any](after)
        for name, wanted in (("state", states), ("kind", kinds), ("row", rows)):
            if wanted:
                clauses.append(f"{name} IN ({', '.join('?' for _ in wanted)})")
                values.extend(wanted)
        if user:
            clauses.append("EXISTS (SELECT 1 FROM json_each(users) WHERE value = ?)")
            values.append(user)
        if table:
            clauses.append("? IN (row, source_place, target_place)")
            values.append(table)
        if where:
            clauses.append(where)
        query = f"SELECT {COLUMNS} FROM changes WHERE {' AND '.join(clauses)} ORDER BY rank, id LIMIT ?"
        return [from_record(record) for record in self._db.execute(query, (*values, limit))]

    def batches(self, states: Sequence[str], size: int, **filters: Any) -> Iterator[list[Entry]]:
        """All changes in these states, `size` at a time; changes may leave the states meanwhile."""
        after = START
        while batch := self.select(states, after=after, limit=size, **filters):
            yield batch
            after = (batch[-1].rank, batch[-1].id)

    def made_last_first(self, size: int, where: str) -> Iterator[list[Entry]]:
        """Changes that were made or may have been, from the last recorded to the first, `size` at a time, for undoing."""
        last = 1 << 62
        query = f"SELECT {COLUMNS} FROM changes WHERE id < ? AND {where} AND {MADE} ORDER BY id DESC LIMIT ?"
        while records := self._db.execute(query, (last, size)).fetchall():
            batch = [from_record(record) for record in records]
            yield batch
            last = batch[-1].id

    def met(self) -> set[tuple[str, str]]:
        """(place, key as it is recorded) of the items that more than one change leads to which was made."""
        query = f"SELECT target_place, target_key FROM changes WHERE {MADE} GROUP BY 1, 2 HAVING count(*) > 1"
        return {(place, key) for place, key in self._db.execute(query)}

    def target_state(self, place: str, key: Any) -> str:
        """The best state of the changes that lead to a target; "" when none does."""
        records = self._db.execute(
            "SELECT state FROM changes WHERE target_place = ? AND target_key = ?", (place, encode_key(key))
        ).fetchall()
        found = {record[0] for record in records}
        return next((state for state in ("cleaned", "verified", "applied", "planned") if state in found), "")

    def knows(self, place: str, key: Any) -> bool:
        """Whether a change explains what stands at this key: one that leads there, or that was to lead on from there.

        A copy that is undone, or was never made, explains nothing; nor does one that somebody else made before us.
        """
        unmade = f"json_extract(detail, '$.created') AND NOT {MADE}"
        others = "kind = 'item' AND action = 'copy' AND NOT json_extract(detail, '$.created')"
        leads = f"NOT coalesce({unmade}, 0) AND NOT coalesce({others}, 0)"
        at_target = f"SELECT {leads} FROM changes WHERE target_place = ? AND target_key = ?"
        if there := self._db.execute(at_target, (place, encode_key(key))).fetchall():
            return any(record[0] for record in there)
        at_source = "SELECT 1 FROM changes WHERE kind = 'item' AND source_place = ? AND source_key = ?"
        return self._db.execute(at_source, (place, encode_key(key))).fetchone() is not None  # it stood there before

    def undone(self, place: str, key: Any, target_digest: str, since: float) -> Entry | None:
        """The copy that was undone `since` then and had left exactly this item at this key."""
        record = self._db.execute(
            f"SELECT {COLUMNS} FROM changes WHERE target_place = ? AND target_key = ? AND target_digest = ? AND updated >= ?"
            " AND kind = 'item' AND state = 'rolled back' AND json_extract(detail, '$.created')",
            (place, encode_key(key), target_digest, since),
        ).fetchone()
        return from_record(record) if record else None

    def at_target(self, place: str, key: Any, kind: str = "content") -> list[Entry]:
        """The changes of a kind that lead to a target."""
        records = self._db.execute(
            f"SELECT {COLUMNS} FROM changes WHERE target_place = ? AND target_key = ? AND kind = ?",
            (place, encode_key(key), kind),
        )
        return [from_record(record) for record in records]

    def unfit(self) -> dict[tuple[str, str, str], str]:
        """`{(bucket, key, ETag): why}` of objects that apply found to be no content of a row, for changes that failed."""
        records = self._db.execute(
            "SELECT note, detail FROM changes WHERE kind = 'content' AND state = 'failed'"
            " AND json_extract(detail, '$.blocked') AND json_extract(detail, '$.unfit') IS NOT NULL"
        )
        return {
            (detail["sources"][0][0], key, etag): note
            for note, detail in ((note, json.loads(text)) for note, text in records)
            for key, etag in detail["unfit"]
        }

    def is_cleaned(self, place: str, key: Item) -> bool:
        """Whether cleanup deleted the item at a key, which another change had copied on."""
        found = self._db.execute(
            "SELECT 1 FROM changes WHERE kind = 'item' AND source_place = ? AND source_key = ? AND state = 'cleaned'",
            (place, encode_key(key)),
        )
        return found.fetchone() is not None

    def content_of(self, place: str, key: Item) -> list[Entry]:
        """The content changes that one source item asked for."""
        records = self._db.execute(
            f"SELECT {COLUMNS} FROM changes WHERE kind = 'content' AND source_place = ?"
            " AND json_remove(source_key, '$.Item.part') = ?",
            (place, encode_key(key)),
        )
        return [from_record(record) for record in records]

    def counts(self, by: str = "state", where: str = TOLD) -> dict[str, int]:
        """Number of changes by a column, or by several joined with `||`."""
        return dict(self._db.execute(f"SELECT {by}, count(*) FROM changes WHERE {where} GROUP BY 1"))

    def records(self, where: str) -> int:
        """Number of different old records behind changes: a shares row is the source of one change for each share in it."""
        key = "CASE kind WHEN 'content' THEN json_remove(source_key, '$.Item.part') ELSE source_key END"
        query = f"SELECT count(DISTINCT source_place || ' ' || {key}) FROM changes WHERE {where}"
        return int(self._db.execute(query).fetchone()[0])

    def table_counts(self) -> list[dict[str, Any]]:
        """Per catalog row: {"row", "kind", "source", "place", and a count per state}, in the order of apply.

        `source` is where it comes from, `place` where it goes: the same table for what changes in place.
        """
        found: dict[tuple[str, str, str], dict[str, Any]] = {}
        for rank, row, kind, source, place, state, count in self._db.execute(
            "SELECT min(rank), row, kind, source_place, target_place, state, count(*) FROM changes"
            f" WHERE {TOLD} GROUP BY row, kind, source_place, target_place, state ORDER BY 1"
        ):
            one = {"row": row, "kind": kind, "source": source, "place": place, "rank": rank}
            found.setdefault((row, source, place), one)[state] = count
        return list(found.values())

    def user_counts(self) -> dict[str, dict[str, int]]:
        """Number of changes by user (old id) and state."""
        found: dict[str, dict[str, int]] = {}
        for user, state, count in self._db.execute(
            f"SELECT value, state, count(*) FROM changes, json_each(users) WHERE {TOLD} GROUP BY value, state"
        ):
            found.setdefault(str(user), {})[state] = count
        return found

    # --- what a deletion took and could not give back --------------------------------------------------------------------

    def add_taken(self, changes: Sequence[int], place: str, names: Sequence[str], item: Item) -> None:
        """Keep an item that was deleted, with the names of its key, for its changes, until it stands again."""
        self._db.execute(
            "INSERT INTO taken (changes, place, names, item) VALUES (?, ?, ?, ?)",
            (json.dumps(changes), place, json.dumps(names), to_json_line(item)),
        )

    def taken(self) -> list[tuple[int, str, list[str], Item]]:
        """(number, table, names of its key, item) of what is to be put back."""
        # A ledger of the first versions that is only looked at lacks the table.
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'taken'").fetchone():
            return []
        records = self._db.execute("SELECT id, place, names, item FROM taken ORDER BY id")
        return [(number, place, json.loads(names), from_json_line(item)) for number, place, names, item in records]

    def still_to_put_back(self) -> list[str]:
        """Table and key of what a deletion took and what does not stand again, as text."""
        return [f"{place}: {key_text(key_of(item, names))}" for _, place, names, item in self.taken()]

    def give_back(self, number: int, note: str) -> None:
        """Forget an item that stands again; what counted as cleaned for it is retained as before."""
        with self.transaction():
            self._db.execute(
                "UPDATE changes SET state = 'verified', note = ? WHERE state = 'cleaned'"
                " AND id IN (SELECT value FROM taken, json_each(taken.changes) WHERE taken.id = ?)",
                (note, number),
            )
            self._db.execute("DELETE FROM taken WHERE id = ?", (number,))

    # --- what else is remembered -----------------------------------------------------------------------------------------

    def add_finding(
        self, plan: int, phase: str, level: str, place: str, text: str, todo: str = "", count: int = 1
    ) -> None:
        self._db.execute(
            "INSERT INTO findings (plan, phase, level, place, text, todo, count) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (plan, phase, level, place, text, todo, count),
        )

    def findings(self, plan: int | None = None) -> list[dict[str, Any]]:
        clause, values = ("WHERE plan = ?", (plan,)) if plan is not None else ("", ())
        cursor = self._db.execute(f"SELECT * FROM findings {clause} ORDER BY id", values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, record, strict=True)) for record in cursor]

    def set_unknown_references(self, plan: int, found: Mapping[tuple[str, str, str], tuple[int, str]]) -> None:
        """`{(place, path, kind): (count, example id)}` of one plan."""
        self._db.executemany(
            "INSERT OR REPLACE INTO unknown_references VALUES (?, ?, ?, ?, ?, ?)",
            [(plan, *where, count, example) for where, (count, example) in found.items()],
        )

    def unknown_references(self) -> list[dict[str, Any]]:
        """Of the newest plan: {"place", "path", "kind", "count", "example"}, most frequent first."""
        cursor = self._db.execute(
            "SELECT place, path, kind, count, example FROM unknown_references"
            " WHERE plan = (SELECT max(id) FROM plans) ORDER BY count DESC, place, path"
        )
        return [dict(zip(("place", "path", "kind", "count", "example"), record, strict=True)) for record in cursor]

    def add_run(self, step: str, started: float, code: int, text: str, detail: Mapping[str, Any]) -> None:
        """Remember that a step was carried out."""
        self.end_run(self.begin_run(step, started), code, text, detail)

    def begin_run(self, step: str, started: float) -> int:
        """Remember that a step began, as one that was stopped, which it is if nothing ends it; its number."""
        insert = "INSERT INTO runs (step, started, ended, code, text, detail) VALUES (?, ?, ?, ?, ?, '{}')"
        return int(self._db.execute(insert, (step, started, started, 130, "It did not end.")).lastrowid or 0)

    def end_run(self, run: int, code: int, text: str, detail: Mapping[str, Any]) -> None:
        """Remember what a step that began came to."""
        self._db.execute(
            "UPDATE runs SET ended = ?, code = ?, text = ?, detail = ? WHERE id = ?",
            (time.time(), code, text, json.dumps(detail, default=str), run),
        )

    def runs(self) -> list[dict[str, Any]]:
        cursor = self._db.execute("SELECT step, started, ended, code, text, detail FROM runs ORDER BY id")
        names = [column[0] for column in cursor.description]
        return [{**dict(zip(names, record, strict=True)), "detail": json.loads(record[5])} for record in cursor]

    def set_backup(self, place: str, record: Mapping[str, Any]) -> None:
        """Remember the recovery of a table: {"kind": "pitr"|"backup"|"file", "arn", "restorable", …}."""
        self._db.execute(
            "INSERT OR REPLACE INTO backups VALUES (?, ?, ?)", (place, json.dumps(record, default=str), time.time())
        )

    def backups(self) -> dict[str, dict[str, Any]]:
        return {place: json.loads(record) for place, record in self._db.execute("SELECT place, record FROM backups")}
