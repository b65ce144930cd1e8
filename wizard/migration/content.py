"""Rows of user-data-storage made from objects and from shares rows, in DynamoDB's wire form. Pure.

Everything that a second run would make again comes out equal: sort keys and UUIDs follow from what the row is made of,
and times are given. The markers (`migrated_from_s3`, …) are those of the guide's scripts; services ignore them.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from wizard.migration.lzw import is_compressed, safe_compress, safe_uncompress
from wizard.storage_key import plain_key
from wizard.wire import LARGEST_ITEM, Item, item_size, number, same

LARGE = 350 * 1024  # from here on a warning; task logs are kept below it, as the services keep them
MOST_READ = 16 * 1024**2  # bytes of a JSON object above which none can fit into an item; it need not be read
_DEPTH = 32  # levels of nesting in DynamoDB
_LOG_DEPTH = 4  # the level of a log in its row: below data, logs and its execution id
_DIGITS = 38  # significant digits in DynamoDB

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/gaiin-platform/amplify-genai-backend/user-data-storage")
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")

Wire = dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """Where content comes from. `modified` and `migrated_at` are epoch seconds: of the object, and of the plan."""

    bucket: str
    key: str
    modified: int
    migrated_at: int


@dataclass(frozen=True)
class Built:
    """A row and its size in bytes by DynamoDB's rules."""

    item: Item
    size: int

    @property
    def fits(self) -> bool:
        return self.size <= LARGEST_ITEM

    @property
    def warning(self) -> str:
        """What to say about the size; "" when it is nothing to worry about."""
        if not self.fits:
            return f"{self.size:,} bytes are more than the {LARGEST_ITEM:,} that one DynamoDB item holds"
        return f"{self.size:,} of at most {LARGEST_ITEM:,} bytes" if self.size >= LARGE else ""


@dataclass(frozen=True)
class LogEntry:
    """One execution of a scheduled task: `body` is the JSON object with its details, `executed_at` tells the newest."""

    execution_id: str
    executed_at: str
    body: bytes


@dataclass(frozen=True)
class Archived:
    """An object of the consolidation bucket that holds what a row of task logs has no room for."""

    key: str
    body: bytes


@dataclass(frozen=True)
class TaskLogs:
    """A row of task logs, the entries that go to S3 instead, and the execution ids that are new in either.

    `others` are nowhere: another log of the same execution stands, or came first.
    """

    row: Built
    archived: tuple[Archived, ...]
    added: tuple[str, ...]
    others: tuple[LogEntry, ...]


def parse_body(body: bytes) -> Any:
    """The JSON of an object, numbers to the last digit. ValueError when it is none."""

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no JSON number")

    try:
        return json.loads(body.decode("utf-8-sig"), parse_float=Decimal, parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise ValueError("it is no JSON: not even UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def to_wire(value: Any, depth: int = 1) -> Wire:
    """A JSON value in wire form; `depth` is the level at which it stands in its item.

    ValueError for what DynamoDB does not hold: deeper nesting, longer numbers, empty names, half characters.
    """
    if depth > _DEPTH:
        raise ValueError(f"it is nested deeper than the {_DEPTH} levels that DynamoDB holds")
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": _text(value)}
        case int() | Decimal():
            return {"N": _number(value)}
        case list() | tuple():
            return {"L": [to_wire(member, depth + 1) for member in value]}
        case dict():
            if "" in value:
                raise ValueError("a name in it is empty, which DynamoDB does not hold")
            return {"M": {_text(name): to_wire(member, depth + 1) for name, member in value.items()}}
    raise ValueError(f"{type(value).__name__} is no JSON value")


def artifact_item(owner: str, artifact: str, body: Any, origin: Origin, *, recipient: str = "") -> Built:
    """An artifact (`artifact` is `20250305/Game:v3`) under its owner's new id.

    One that was shared stands in the sharer's partition, where the services look: then `owner` is the sharer's new id
    and `recipient` the new id of the user under whose key the object was.
    """
    sort = f"shared-with-{recipient}#{artifact}" if recipient else artifact
    return _row(owner, "amplify-artifacts", "artifact-content", sort, to_wire(body), _from_s3(origin), origin.modified)


def oversize_artifact_key(user: str, artifact: str) -> str:
    """Where an artifact stays that fits in no row: a legacy-shaped key, which metadata keep and the services accept."""
    return f"{user}/{artifact}"


def workflow_item(user: str, template_id: str, body: Any, origin: Origin) -> Built:
    """A workflow template under its owner's new id."""
    data = to_wire(body)
    return _row(user, "amplify-workflows", "workflow-templates", template_id, data, _from_s3(origin), origin.modified)


def check_log(body: bytes) -> None:
    """ValueError, saying what is wrong, where no row of task logs can hold a log."""
    to_wire(parse_body(body), _LOG_DEPTH)


def task_logs_item(
    user: str,
    task_id: str,
    entries: Sequence[LogEntry],
    origin: Origin,
    existing: Item | None = None,
) -> TaskLogs:
    """The log row of a task under the new id of its user, merged into the row that stands there already.

    What the row has it keeps; an execution that it has is not added again. Each new entry is compressed where that makes
    the item smaller. What does not fit under 350 KB, newest first, goes to
    `scheduledTaskLogs/{user}/{taskId}/{executionId}.json` as they are, in every run the same. ValueError for a body that
    is no JSON, and for a row that holds something else.
    """
    standing = _standing_logs(existing) if existing else {}
    new, others = list[LogEntry](), list[LogEntry]()
    bodies: dict[str, bytes] = {}
    for entry in entries:
        if entry.execution_id in standing:
            there = _is_log(standing[entry.execution_id], parse_body(entry.body))
        elif there := entry.execution_id not in bodies:
            bodies[entry.execution_id] = entry.body
            new.append(entry)
        else:
            there = bodies[entry.execution_id] == entry.body
        if not there:
            others.append(entry)
    logs: dict[str, Wire] = dict(standing)
    archived = []
    room = LARGE - _task_logs_row(user, task_id, logs, origin, existing).size
    for entry in sorted(new, key=lambda entry: (entry.executed_at, entry.execution_id), reverse=True):
        wire = _smaller(parse_body(entry.body))
        size = 1 + item_size({entry.execution_id: wire})
        if size <= room:  # one that does not fit takes no room, so that a second run archives exactly the same
            logs[entry.execution_id] = wire
            room -= size
        else:
            archived.append(Archived(archive_key(user, task_id, entry.execution_id), entry.body))
    row = _task_logs_row(user, task_id, logs, origin, existing)
    return TaskLogs(row, tuple(archived), tuple(entry.execution_id for entry in new), tuple(others))


def archive_key(user: str, task_id: str, execution_id: str) -> str:
    """Where the services look in the consolidation bucket for an execution that a row of task logs does not hold."""
    return f"scheduledTaskLogs/{user}/{task_id}/{execution_id}.json"


def settings_item(user: str, old_user: str, settings: Wire, created: int, migrated_at: int) -> Built:
    """The settings of a shares row (`settings`, in wire form, to the digit) under the user's new id."""
    markers = {
        "migrated_from_shares_table": {"BOOL": True},
        "original_user_id": {"S": old_user},
        "migration_timestamp": {"S": str(migrated_at)},
    }
    data = {"M": {"settings": settings}}
    return _row(user, "amplify-user-settings", "user-settings", "user-settings", data, markers, created)


def received_share_item(user: str, entry: Wire, ids: Mapping[str, str], migrated_at: int) -> Built:
    """One member of a shares row's `data` as a row of its recipient, whose old or new id is `user`.

    The sort key is `{sharer}#{date}#{uuid}`: date and uuid of the object's key, else the day of `sharedAt` in UTC and a
    uuid made from the key. ValueError for an entry without a key.
    """
    data = share_data(entry, ids)
    sharer, mapped = data["M"]["sharedBy"]["S"], share_key(data["M"]["key"]["S"])
    shared_at = _seconds(data["M"].get("sharedAt", {}).get("N", "0"))
    recipient, day = ids.get(user, user), mapped.split("/")[2]
    date = day if _DATE.match(day) else _day(shared_at)
    markers = {
        "migrated_from_shares_table": {"BOOL": True},
        "original_user_id": {"S": user},
        "migration_timestamp": {"S": str(migrated_at)},
    }
    sort = f"{sharer}#{date}#{_share_uuid(mapped)}"
    return _row(recipient, "amplify-shares", "received", sort, data, markers, shared_at)


def share_data(entry: Wire, ids: Mapping[str, str]) -> Wire:
    """A share, of a shares row or of user storage, as its row of user storage holds it under new ids.

    ValueError for one without a key.
    """
    content = entry["M"]
    parts = share_key(content.get("key", {}).get("S", "")).split("/")
    if len(parts) < 3:
        raise ValueError("the share has no key of the form recipient/sharer/…")
    sharer = _sharer(content.get("sharedBy", {}).get("S", ""), parts[1], ids)
    mapped = "/".join([ids.get(parts[0], parts[0]), ids.get(parts[1], parts[1]), *parts[2:]])
    return {"M": {**content, "sharedBy": {"S": sharer}, "key": {"S": f"shares/{mapped}"}}}


def share_lacks(wanted: Wire, standing: Wire, ids: Mapping[str, str]) -> list[str]:
    """Names of what a share, as `share_data` gives it, holds and the one that stands does not, or holds otherwise."""
    holds = share_data(standing, ids)["M"]
    return [
        name for name, value in wanted["M"].items() if name not in holds or not same({"": value}, {"": holds[name]})
    ]


def share_key(key: str) -> str:
    """A share's key without `shares/`: two spellings of one key are one share."""
    return key.removeprefix("shares/")


def is_present(built: Item, existing: Item) -> bool:
    """Whether the row that stands under the key holds this content already; markers and times do not matter."""
    return same({"data": built["data"]}, {"data": existing.get("data", {"NULL": True})})


def deterministic_uuid(partition: str, sort: str) -> str:
    """The UUID of a row that we make: the same for the same key, whoever makes it and how often."""
    return str(uuid.uuid5(_NAMESPACE, f"{partition}\n{sort}"))


def _row(user: str, app: str, entity: str, sort: str, data: Wire, markers: Item, created: int) -> Built:
    partition = plain_key(user, app, entity)
    item: Item = {
        "PK": {"S": partition},
        "SK": {"S": sort},
        "UUID": {"S": deterministic_uuid(partition, sort)},
        "itemId": {"S": sort},
        "appId": {"S": plain_key(user, app)},
        "entityType": {"S": entity},
        "createdAt": {"N": str(created)},
        "data": data,
        **markers,
    }
    return Built(item, item_size(item))


def _from_s3(origin: Origin) -> Item:
    return {
        "migrated_from_s3": {"BOOL": True},
        "original_bucket": {"S": origin.bucket},
        "original_path": {"S": origin.key},
        "migration_timestamp": {"S": str(origin.migrated_at)},
    }


def _task_logs_row(user: str, task_id: str, logs: Mapping[str, Wire], origin: Origin, existing: Item | None) -> Built:
    identity = {"taskId": {"S": task_id}, "user": {"S": user}}
    if existing is None:
        data = {"M": {**identity, "logs": {"M": dict(logs)}}}
        return _row(user, "amplify-agent-logs", "scheduled-task-logs", task_id, data, _from_s3(origin), origin.modified)
    data = {"M": {**existing.get("data", {}).get("M", {}), **identity, "logs": {"M": dict(logs)}}}
    item = {**_from_s3(origin), **existing, "data": data}
    return Built(item, item_size(item))


def _standing_logs(item: Item) -> Mapping[str, Wire]:
    logs: Mapping[str, Wire] | None = item.get("data", {}).get("M", {}).get("logs", {"M": {}}).get("M")
    if logs is None:
        raise ValueError("the row that stands there holds no map of logs")
    return logs


def _is_log(standing: Wire, details: Any) -> bool:
    """Whether a row of task logs has this log, as it is or compressed."""
    if same({"": standing}, {"": to_wire(details, _LOG_DEPTH)}):
        return True
    try:
        codes = [int(code["N"]) for code in standing["L"]]
    except (KeyError, ValueError):
        return False
    return is_compressed(codes) and bool(safe_uncompress(codes) == details)


def _smaller(details: Any) -> Wire:
    as_is = to_wire(details, _LOG_DEPTH)
    codes = safe_compress(details)
    # A text that holds U+12ab literally, or is JSON itself, would be read back as something else.
    if codes is details or safe_uncompress(codes) != details:
        return as_is
    compressed = {"L": [{"N": str(code)} for code in codes]}
    return compressed if item_size({"": compressed}) < item_size({"": as_is}) else as_is


def _sharer(shared_by: str, in_key: str, ids: Mapping[str, str]) -> str:
    # Services lower-case `sharedBy`; the key has the id as it is written.
    if shared_by not in ids and in_key in ids and shared_by in ("", in_key.lower()):
        return ids[in_key]
    return ids.get(shared_by, shared_by) or in_key


def _share_uuid(key: str) -> str:
    name = key.rpartition("/")[2].rpartition(".")[0] or key.rpartition("/")[2]
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return str(uuid.uuid5(_NAMESPACE, key))


def _seconds(milliseconds: str) -> int:
    value = int(Decimal(milliseconds))
    return value // 1000 if value > 100_000_000_000 else value


def _day(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError) as error:
        raise ValueError(f"{seconds} is no time of a share") from error


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            "a text in it has half a character (a lone surrogate), which DynamoDB does not hold"
        ) from error
    return value


def _number(value: int | Decimal) -> str:
    text = str(value)
    digits = number(text).lstrip("-").replace(".", "").strip("0")
    if len(digits) > _DIGITS:
        raise ValueError(f"a number in it has more than {_DIGITS} digits, which DynamoDB does not hold")
    return text
