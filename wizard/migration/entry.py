"""One change as the ledger records it, and how it stands in the columns of a row."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wizard.migration.objects import ObjectCopy
from wizard.migration.rewrite import Change as Difference
from wizard.migration.rewrite import Edit
from wizard.migration.states import DONE, TRACES
from wizard.wire import Item, base64_text, from_json_line, to_json_line, value_from_json


@dataclass(frozen=True)
class Entry:
    """One change. Keys are wire-form items for tables, object keys (str) for buckets.

    `action` is update, copy, merge, add (summed and removed) or refresh for items; copy for objects; the name of the
    builder for content. `edits` are what a person reads; `written` is what rollback puts back.

    `detail`, by who writes it:

    - plan, of content: `part` of the source item; `user`, `key`, `template`, `task`, `logs`, … that its builder takes;
      `sources` [bucket, key, size, ETag, time] of its objects; `seen` and `holds`, digests of what moves and of what is to
      stand; `waits`, the object that it needs; `follows`, the digest of our own row that it goes on from.
    - plan and apply, of what stays: `beside` something else that stands, `older` than that, `stands` (another object),
      `unfit` [key, ETag] of objects that no row holds, `blocked` for as long as its source is what it is.
    - apply: `created` (nothing stood there), `deactivated` the source, `unkept` secrets; of content `done` (keys of objects),
      `at` (another sort key), `pointer` (a key in S3 instead of a row), `archiving` and `archived` logs, `object` with
      `object_etag` and `version`; of objects `made` by us, `confirmed` by S3; of sums `spent` and `spent_stands`.
    - whoever finds that it may stand although its state does not say so: `was_made`; `switched_off`, of an earlier turn.
    - rollback: `taken_back` (half of a sum), `left_for_good`, `led` (a row that is left leads to it).
    - `migrate resolve --done`: `by_hand`; cleanup: `kept_at_cleanup`.
    """

    rank: int
    row: str
    kind: str  # item, object, content
    action: str
    source_place: str
    source_key: Any
    target_place: str
    target_key: Any
    users: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    written: tuple[Difference, ...] = ()
    removed: Item | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    source_digest: str = ""
    target_digest: str = ""
    intent: bool = False
    state: str = "planned"
    note: str = ""
    attempts: int = 0
    plan: int = 0
    id: int = 0
    updated: float = 0.0
    turn: int = 1

    @property
    def moves(self) -> bool:
        """Whether something else than the source was written."""
        return (self.source_place, self.source_key) != (self.target_place, self.target_key)

    @property
    def object_copy(self) -> ObjectCopy:
        """The copy that an object change stands for."""
        return ObjectCopy(
            self.source_place, self.source_key, self.target_place, self.target_key, self.detail["size"],
            self.source_digest, self.detail["storage_class"], self.detail["modified"],
        )  # fmt: skip

    @property
    def made(self) -> bool:
        """Whether this was made, or may have been; the same as `MADE` of the ledger, but for cleaned ones."""
        return self.state in DONE or self.intent or bool(self.detail.get("was_made"))

    @property
    def undoable(self) -> bool:
        """Whether this is the record of something that was written, which rollback needs."""
        made = self.written or self.removed or any(self.detail.get(name) for name in TRACES)
        return bool(made) and (self.state in ("applied", "verified", "cleaned") or bool(self.detail.get("was_made")))

    @property
    def switched_off(self) -> bool:
        """Whether this change, or an earlier one that it goes on from, set the `active` of its source to 0."""
        if self.state == "rolled back":
            return False
        made = self.state in ("applied", "verified", "cleaned") or self.detail.get("was_made")
        return bool(self.detail.get("switched_off") or (made and self.detail.get("deactivated")))

    def becomes(self, state: str, note: str = "", **changed: Any) -> Entry:
        """The change as it went on; that the last rollback left it is true no more, nor, rolled back, that it was made."""
        past = ("left_for_good", "was_made") if state == "rolled back" else ("left_for_good",)
        detail = changed.pop("detail", self.detail)
        detail = {name: value for name, value in detail.items() if name not in past}
        return replace(self, state=state, note=note, detail=detail, **changed)


def encode_key(key: Any) -> str:
    """A key as text: the same key always gives the same text."""
    return key if isinstance(key, str) else to_json_line(dict(sorted(key.items())))


def decode_key(text: str) -> Any:
    """The key that `encode_key` wrote."""
    return from_json_line(text) if text.startswith('{"Item"') else text


def _decode_value(value: Any) -> Any:
    return None if value is None else value_from_json(value)


def encode_edits(edits: Iterable[Edit]) -> str:
    """Edits as JSON."""
    return json.dumps(
        [
            [
                edit.path, edit.before, edit.after, edit.target and (*edit.target[:2], encode_key(edit.target[2])),
                *([edit.bucket] if edit.bucket else []),
            ]
            for edit in edits
        ],
        default=base64_text,
    )  # fmt: skip


def decode_edits(text: str) -> tuple[Edit, ...]:
    """The edits that `encode_edits` wrote."""
    return tuple(
        Edit(
            tuple(path),
            _decode_value(before),
            _decode_value(after),
            (target[0], target[1], decode_key(target[2])) if target else None,
            *bucket,
        )
        for path, before, after, target, *bucket in json.loads(text)
    )


def _encode_written(written: Iterable[Difference]) -> str:
    return json.dumps([(one.path, one.before, one.after) for one in written], default=base64_text)


def _decode_written(text: str) -> tuple[Difference, ...]:
    return tuple(Difference(tuple(path), _decode_value(b), _decode_value(a)) for path, b, a in json.loads(text))


COLUMNS = (
    "id, plan, rank, row, kind, action, source_place, source_key, target_place, target_key, users, edits, written, removed,"
    " detail, source_digest, target_digest, intent, state, note, attempts, updated, turn"
)


def from_record(record: Sequence[Any]) -> Entry:
    """The change of a row of the ledger, its `COLUMNS` in order."""
    row = dict(zip(COLUMNS.split(", "), record, strict=True))
    return Entry(
        **{
            **row,
            "source_key": row["source_key"] if row["kind"] == "object" else decode_key(row["source_key"]),
            "target_key": row["target_key"] if row["kind"] == "object" else decode_key(row["target_key"]),
            "users": tuple(json.loads(row["users"])),
            "edits": decode_edits(row["edits"]),
            "written": _decode_written(row["written"]),
            "removed": from_json_line(row["removed"]) if row["removed"] else None,
            "detail": json.loads(row["detail"]),
            "intent": bool(row["intent"]),
        }
    )


def to_record(entry: Entry) -> tuple[Any, ...]:
    """The `COLUMNS` of a change without its id, as of now."""
    return (
        entry.plan, entry.rank, entry.row, entry.kind, entry.action,
        entry.source_place, encode_key(entry.source_key), entry.target_place, encode_key(entry.target_key),
        json.dumps(entry.users), encode_edits(entry.edits), _encode_written(entry.written),
        to_json_line(entry.removed) if entry.removed else "", json.dumps(entry.detail),
        entry.source_digest, entry.target_digest, int(entry.intent), entry.state, entry.note, entry.attempts, time.time(),
        entry.turn,
    )  # fmt: skip
