"""What the scans of one plan found, on disk until it is resolved: memory does not grow with the data.

A file of its own beside the ledger, thrown away at the end: a plan that is interrupted leaves the ledger as it was.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wizard.catalog.tables import TABLES
from wizard.migration.content_plan import Move
from wizard.migration.entry import decode_edits, decode_key, encode_edits, encode_key
from wizard.migration.listing import ContentSource, Listed
from wizard.migration.objects import ObjectCopy
from wizard.migration.scan import Candidate, Received
from wizard.wire import Item
from wizard.workspace import private_opener

_SCHEMA = """
CREATE TABLE candidates (seq INTEGER PRIMARY KEY, rank INTEGER, place TEXT, source_key TEXT, target_place TEXT,
  target_key TEXT, users TEXT, edits TEXT, source_digest TEXT, target_digest TEXT, active INTEGER, fault TEXT);
CREATE TABLE seen (place TEXT, key TEXT, digest TEXT, PRIMARY KEY (place, key)) WITHOUT ROWID;
CREATE TABLE moves (seq INTEGER PRIMARY KEY, rank INTEGER, body TEXT, target_place TEXT, target_key TEXT,
  recency REAL, tie TEXT);
CREATE TABLE objects (bucket TEXT, key TEXT, size INTEGER, etag TEXT, modified TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE contents (row TEXT, key TEXT, fields TEXT, PRIMARY KEY (row, key)) WITHOUT ROWID;
CREATE TABLE pointed (row TEXT, key TEXT, PRIMARY KEY (row, key)) WITHOUT ROWID;
CREATE TABLE origins (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE copies (seq INTEGER PRIMARY KEY, rank INTEGER, row TEXT, body TEXT, target TEXT UNIQUE, modified TEXT,
  rivals INTEGER);
CREATE TABLE received (partition TEXT, key TEXT, sort TEXT, holds TEXT, stands INTEGER,
  PRIMARY KEY (partition, key, sort, stands)) WITHOUT ROWID;
CREATE TABLE deleted (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE claimed (target TEXT, part TEXT, PRIMARY KEY (target, part)) WITHOUT ROWID;
CREATE TABLE ready (place TEXT, key TEXT, PRIMARY KEY (place, key)) WITHOUT ROWID;
"""


class Staging:
    """One plan's findings. Written and read by the coordinator's thread only."""

    def __init__(self, path: Path):
        self._path = path
        path.unlink(missing_ok=True)
        with open(path, "ab", opener=private_opener):
            pass
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_SCHEMA)

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Group many additions."""
        self._db.execute("BEGIN")
        yield
        self._db.execute("COMMIT")

    # --- items ---------------------------------------------------------------------------------------------------------

    def add_candidates(self, rank: int, place: str, candidates: Iterable[Candidate]) -> None:
        self._db.executemany(
            "INSERT INTO candidates (rank, place, source_key, target_place, target_key, users, edits, source_digest,"
            " target_digest, active, fault) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    rank, place, encode_key(one.source_key), one.target_place, encode_key(one.target_key),
                    json.dumps(one.users), encode_edits(one.edits), one.source_digest, one.target_digest, one.active,
                    one.fault,
                )
                for one in candidates
            ],
        )  # fmt: skip

    def candidates(self, ranks: range = range(len(TABLES))) -> Iterator[tuple[int, str, Candidate]]:
        """(rank, table, candidate) in the order of apply, of tables of these ranks."""
        cursor = self._db.execute(
            "SELECT rank, place, source_key, target_place, target_key, users, edits, source_digest, target_digest,"
            " active, fault FROM candidates WHERE rank BETWEEN ? AND ? ORDER BY rank, seq",
            (ranks.start, ranks.stop - 1),
        )
        for (
            rank,
            place,
            source,
            target_place,
            target,
            users,
            edits,
            source_digest,
            target_digest,
            active,
            fault,
        ) in cursor:
            yield rank, place, Candidate(
                decode_key(source), target_place, decode_key(target), tuple(json.loads(users)), decode_edits(edits),
                source_digest, target_digest, bool(active), fault,
            )  # fmt: skip

    def add_seen(self, place: str, seen: Iterable[tuple[Item, str]]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", [(place, encode_key(key), digest) for key, digest in seen]
        )

    def seen(self, place: str, key: Item) -> str | None:
        """The digest of the item that stands at a key; None when none does."""
        record = self._db.execute(
            "SELECT digest FROM seen WHERE place = ? AND key = ?", (place, encode_key(key))
        ).fetchone()
        return record[0] if record else None

    def add_received(self, shares: Iterable[Received]) -> None:
        """Shares that stand in user storage."""
        rows = [(one.partition, one.key, one.sort, one.holds, one.stands) for one in shares]
        self._db.executemany("INSERT OR IGNORE INTO received VALUES (?, ?, ?, ?, ?)", rows)

    def received(self, partition: str, key: str) -> list[Received]:
        """The rows of a share in user storage; of one that was copied to its new key the copy, not the old row."""
        records = self._db.execute(
            "SELECT sort, holds, max(stands) FROM received WHERE partition = ? AND key = ? GROUP BY sort",
            (partition, key),
        ).fetchall()
        return [Received(partition, key, sort, holds, bool(stands)) for sort, holds, stands in records]

    # --- content and objects -------------------------------------------------------------------------------------------

    def add_moves(self, rank: int, target_place: str, found: Iterable[Move]) -> None:
        found = list(found)
        pointed = [objects for move in found for objects in move.objects]
        self._db.executemany("INSERT OR IGNORE INTO pointed VALUES (?, ?)", pointed)
        self._db.executemany(
            "INSERT INTO moves (rank, body, target_place, target_key, recency, tie) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    rank, _encode_move(move), target_place, encode_key(move.target_key), move.recency or 0.0,
                    "" if move.recency is None else encode_key(move.source_key),
                )
                for move in found
            ],
        )  # fmt: skip

    def moves(self) -> Iterator[tuple[int, Move]]:
        """(rank, move) in the order of apply; of those that have a recency the latest first, the same in every plan."""
        for rank, body in self._db.execute("SELECT rank, body FROM moves ORDER BY rank, recency DESC, tie, seq"):
            yield rank, _decode_move(body)

    def add_contents(self, row: str, found: Iterable[ContentSource]) -> None:
        """Objects of a bucket (its config key) that become rows."""
        self._db.executemany(
            "INSERT OR REPLACE INTO contents VALUES (?, ?, ?)",
            [(row, one.key, json.dumps(dict(one.fields))) for one in found],
        )

    def add_origins(self, keys: Iterable[str]) -> None:
        """Keys of objects that rows of user storage say they were made of."""
        self._db.executemany("INSERT OR IGNORE INTO origins VALUES (?)", ((key,) for key in keys))

    def unreferenced(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """(bucket's config key, key, fields of its layout) of contents that no move takes and no row was made of."""
        for row, key, fields in self._db.execute(
            "SELECT row, key, fields FROM contents WHERE key NOT IN (SELECT key FROM origins)"
            " AND NOT EXISTS (SELECT 1 FROM pointed WHERE pointed.row = contents.row AND pointed.key = contents.key)"
            " ORDER BY row, key"
        ):
            yield row, key, json.loads(fields)

    def add_objects(self, bucket: str, listed: Iterable[Listed]) -> None:
        """Lines of a listing."""
        self._db.executemany(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
            [(bucket, one.key, one.size, one.etag, one.modified) for one in listed],
        )

    def object(self, bucket: str, key: str) -> Listed | None:
        """The line of a listing."""
        record = self._db.execute(
            "SELECT key, size, etag, modified FROM objects WHERE bucket = ? AND key = ?", (bucket, key)
        ).fetchone()
        return Listed(*record) if record else None

    def add_copies(self, rank: int, row: str, copies: Iterable[ObjectCopy]) -> None:
        """Planned copies; of several sources of one target the one that was written last is kept.

        Sources with the same ETag are copies of each other and no rivals.
        """
        self._db.executemany(
            "INSERT INTO copies (rank, row, body, target, modified, rivals) VALUES (?, ?, ?, ?, ?, 0)"
            " ON CONFLICT (target) DO UPDATE SET"
            " rivals = rivals + (json_extract(excluded.body, '$.etag') <> json_extract(body, '$.etag')),"
            " rank = iif(excluded.modified > modified, excluded.rank, rank),"
            " row = iif(excluded.modified > modified, excluded.row, row),"
            " body = iif(excluded.modified > modified, excluded.body, body), modified = max(excluded.modified, modified)",
            [(rank, row, json.dumps(asdict(copy)), copy.target_key, copy.modified) for copy in copies],
        )

    def copies(self) -> Iterator[tuple[int, str, ObjectCopy, int]]:
        """(rank, bucket row, copy, number of older sources of the same target) in the order of apply and of targets."""
        for rank, row, body, rivals in self._db.execute(
            "SELECT rank, row, body, rivals FROM copies ORDER BY rank, target"
        ):
            yield rank, row, ObjectCopy(**json.loads(body)), rivals

    def add_deleted(self, keys: Iterable[str]) -> None:
        """Keys of the consolidation bucket whose object somebody deleted."""
        self._db.executemany("INSERT OR IGNORE INTO deleted VALUES (?)", ((key,) for key in keys))

    def is_deleted(self, key: str) -> bool:
        return self._db.execute("SELECT 1 FROM deleted WHERE key = ?", (key,)).fetchone() is not None

    def claim(self, target: Item, part: str) -> bool:
        """Whether this is the first change that makes a row; a second one of the same target is left out."""
        cursor = self._db.execute("INSERT OR IGNORE INTO claimed VALUES (?, ?)", (encode_key(target), part))
        return cursor.rowcount == 1

    def set_ready(self, place: str, key: Any) -> None:
        """This target exists, or will before anything that points to it is written."""
        self._db.execute("INSERT OR IGNORE INTO ready VALUES (?, ?)", (place, encode_key(key)))

    def is_ready(self, place: str, key: Any) -> bool:
        found = self._db.execute("SELECT 1 FROM ready WHERE place = ? AND key = ?", (place, encode_key(key)))
        return found.fetchone() is not None


def _encode_move(move: Move) -> str:
    return json.dumps(
        [
            move.row, move.action, move.place, encode_key(move.source_key), move.part, encode_key(move.target_key),
            list(move.users), [list(one) for one in move.objects], dict(move.detail),
            move.recency,
        ]
    )  # fmt: skip


def _decode_move(body: str) -> Move:
    row, action, place, source, part, target, users, objects, detail, recency = json.loads(body)
    return Move(
        row, action, place, decode_key(source), part, decode_key(target), tuple(users),
        tuple((bucket, key) for bucket, key in objects), detail, recency,
    )  # fmt: skip
