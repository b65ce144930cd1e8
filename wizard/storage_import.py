"""Import of saved items into a table: only what is not there yet, and never over a newer row.

A file is read as a whole before the first row is written, so that a damaged one leaves the table as it was. Each row is
put on condition that its key is free; what stands there already is compared, and of two rows the newer one stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import decimal
import itertools
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

import botocore.exceptions

from wizard import storage, wire
from wizard.aws_errors import ABSENT, DENIED, code_of, explain
from wizard.context import Context
from wizard.errors import BadInput, Blocked, Failed
from wizard.events import Progress
from wizard.import_sources import Source
from wizard.migration.scan import is_lock
from wizard.parallel import each
from wizard.wire import Item
from wizard.workspace import private_opener

log = logging.getLogger(__name__)

Verdict = Literal["written", "present", "replaced", "kept", "failed"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
LISTED = 1_000  # clashes and failures that are listed by key; all are counted
ATTEMPTS = 5  # at a row that changes between reading it and writing it


@dataclass(frozen=True)
class Note:
    """A row that needs a look: its key, what became of it, and why."""

    key: str
    verdict: Verdict
    why: str


@dataclass
class Imported:
    """What an import came to; in a dry run `written` and `replaced` are what it would write.

    `present` rows stood there already; of `kept` the row in the table was as new or newer and stayed; of `replaced` the
    one in the table was older and was saved to `replaced_rows` first.
    """

    table: str
    rows: int = 0
    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    notes: list[Note] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    replaced_rows: str = ""

    def take(self, verdict: Verdict, key: str, why: str) -> None:
        self.rows += 1
        self.counts[verdict] += 1
        if why and len(self.notes) < LISTED:
            self.notes.append(Note(key, verdict, why))

    def record(self) -> dict[str, object]:
        """As a JSON document."""
        return dataclasses.asdict(self)


class _Foreseen:
    """What a dry run would have written by now, by key: rows of one file may meet under one mapped key.

    In a temporary database of SQLite's, on disk and without a name, so that memory stays flat.
    """

    def __init__(self) -> None:
        self._rows = sqlite3.connect("")
        self._rows.execute("CREATE TABLE row (key TEXT PRIMARY KEY, item TEXT)")

    def get(self, key: str) -> Item | None:
        found = self._rows.execute("SELECT item FROM row WHERE key = ?", (key,)).fetchone()
        return wire.from_json_line(found[0]) if found else None

    def put(self, key: str, item: Item) -> None:
        self._rows.execute("INSERT OR REPLACE INTO row VALUES (?, ?)", (key, wire.to_json_line(item)))

    def close(self) -> None:
        self._rows.close()


class _Replaced:
    """The rows that an import replaces, appended to a private file of JSON lines, on disk before each write over one."""

    def __init__(self, path: Path):
        self.path = path
        self.used = False
        self._lock = threading.Lock()

    def save(self, item: Item) -> None:
        with self._lock, open(self.path, "a", encoding="utf-8", opener=private_opener) as file:
            file.write(wire.to_json_line(item) + "\n")
            file.flush()
            os.fsync(file.fileno())
            self.used = True


def unchanged(item: Item) -> Item:
    """For an import without a user map."""
    return item


def import_rows(
    context: Context,
    source: Source,
    table: str,
    transform: Callable[[Item], Item] = unchanged,
    *,
    dry_run: bool = False,
) -> Imported:
    """Put the rows of `source`, each through `transform`, into `table`; rows that stand there already are left alone.

    Idempotent: the same call goes on where it was stopped. A dry run only reads. BadInput, before anything is written,
    for a file that does not fit; Blocked when the table is absent or may not be used; Failed when AWS is out of reach.
    """
    description = storage.describe(context.account, table)
    if description is None:
        raise Blocked(f"There is no table {table} in {context.region}: deploy amplify-lambda first (step 4c).")
    keys = storage.key_names(description)
    types = {part["AttributeName"]: part["AttributeType"] for part in description["AttributeDefinitions"]}
    total = _check(context, source, keys, types)
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    replaced = _Replaced(context.workspace.backups / f"{table}-replaced-{moment}.json")
    done = Imported(table, lost=list(source.lost()))

    rows = (transform(item) for item in source.rows() if not is_lock(item))
    if dry_run:
        outcomes = _foresee(context, table, keys, rows)
    else:
        outcomes = _write(context, table, keys, rows, replaced)
    try:
        for verdict, key, why in outcomes:
            done.take(verdict, key, why)
            if done.rows % 100 == 0 or done.rows == total:
                context.feed.emit(Progress(table, done.rows, total, phase="import"))
    except botocore.exceptions.BotoCoreError as error:
        raise Failed(f"AWS is out of reach ({explain(error)}); run the import again, it goes on from here.") from error
    except OSError as error:
        raise Failed(f"{replaced.path} cannot be written: {error.strerror}; no row was replaced unsaved.") from error
    done.replaced_rows = str(replaced.path) if replaced.used else ""
    for note in done.notes:
        log.info("%s: %s, %s", note.key, note.verdict, note.why)
    return done


def _check(context: Context, source: Source, keys: list[str], types: dict[str, str]) -> int:
    """Read all rows once; each must have the table's key. Returns how many there are."""
    count = 0
    for item in source.rows():
        count += 1
        for name in keys:
            if types[name] not in item.get(name, {}):
                raise BadInput(
                    f"{source.path} row {count:,} has no {name} of type {types[name]}, which the table's key needs:"
                    " it is not a backup of this table."
                )
        if count % 1_000 == 0:
            context.feed.emit(Progress(str(source.path.name), count, unit="rows", phase="check"))
            context.control.check()
    source.check_count(count)
    return count


def _write(
    context: Context, table: str, keys: list[str], rows: Iterator[Item], replaced: _Replaced
) -> Iterator[tuple[Verdict, str, str]]:
    """Put rows side by side: of each what became of it, its key as text, and why."""

    def place(item: Item) -> tuple[Verdict, str, str]:
        return _place(context, table, keys, item, replaced)

    for _, outcome in each(place, rows, workers=context.workers, control=context.control):
        yield outcome


def _foresee(context: Context, table: str, keys: list[str], rows: Iterator[Item]) -> Iterator[tuple[Verdict, str, str]]:
    """What `_write` would come to, read only."""

    def stands(item: Item) -> Item | None:
        return _read(context, table, wire.key_of(item, keys))

    with contextlib.closing(_Foreseen()) as foreseen:
        for item, found in each(stands, rows, workers=context.workers, control=context.control):
            key = wire.key_text(wire.key_of(item, keys))
            verdict, why = judge(foreseen.get(key) or found, item)
            if verdict in ("written", "replaced"):
                foreseen.put(key, item)
            yield verdict, key, why


def _place(context: Context, table: str, keys: list[str], item: Item, replaced: _Replaced) -> tuple[Verdict, str, str]:
    """Put one row where nothing, or an older row, stands."""
    key = wire.key_of(item, keys)
    shown = wire.key_text(key)
    free = {"ConditionExpression": "attribute_not_exists(#k)", "ExpressionAttributeNames": {"#k": keys[0]}}
    condition, verdict, why = free, *judge(None, item)
    stands: Item | None = None
    for _ in range(ATTEMPTS):
        try:
            answer = context.account.call(
                "dynamodb", "put_item", TableName=table, Item=item, ReturnValues="ALL_OLD", **condition
            )
            gone = answer.get("Attributes")
            if gone and not (stands and wire.same(gone, stands)):
                # A condition names attributes, and cannot see one that a service adds between reading and writing.
                replaced.save(gone)
                why = f"{why}, and changed at that moment; it is saved as it was then"
            return verdict, shown, why
        except botocore.exceptions.ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                if code_of(error) in DENIED | ABSENT:
                    raise Blocked(f"{table} cannot be written: {explain(error)}. Check the permissions.") from error
                return "failed", shown, explain(error)
        stands = _read(context, table, key)
        verdict, why = judge(stands, item)
        if verdict in ("present", "kept"):
            return verdict, shown, why
        condition = free
        if stands is not None:
            replaced.save(stands)
            names = itertools.chain(keys, (name for name in stands if name not in keys))
            condition = wire.unchanged_condition(stands, names)
    return "failed", shown, "the row in the table keeps changing; stop what writes to it and import again"


def _read(context: Context, table: str, key: Item) -> Item | None:
    return context.account.call("dynamodb", "get_item", TableName=table, Key=key, ConsistentRead=True).get("Item")


def judge(stands: Item | None, item: Item) -> tuple[Verdict, str]:
    """What becomes of a row where `stands` is in the table, and why; the newer of the two stays."""
    if stands is None:
        return "written", ""
    if wire.same(stands, item):
        return "present", ""
    if moment_of(stands) >= moment_of(item):
        return "kept", "the row in the table is as new or newer and stays"
    return "replaced", "the row in the table was older"


def moment_of(item: Item) -> decimal.Decimal:
    """When a row was last written, in seconds: the later of `updatedAt` and `createdAt` (s or ms); 0 without both."""
    latest = decimal.Decimal(0)
    for name in ("updatedAt", "createdAt"):
        try:
            value = decimal.Decimal(wire.number(item[name]["N"]))
        except (KeyError, ValueError):
            continue
        latest = max(latest, value / 1_000 if value > 10**11 else value)
    return latest
