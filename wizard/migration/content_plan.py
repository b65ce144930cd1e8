"""Which content moves into user-data-storage, read off the items of the tables that point to it. Pure.

A row of the catalog names its builders in `content`; each gives the moves that one item asks for. Building the rows
themselves is `content.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from wizard.catalog.model import Ids, Item, Table
from wizard.catalog.pointers import LEGACY_ARTIFACT, artifact_target, share, user_data_key
from wizard.migration.content import received_share_item
from wizard.wire import digest, key_of

ALL = ("shares", "settings", "artifacts", "workflows", "logs", "disclosures")


@dataclass(frozen=True)
class Move:
    """One row of user-data-storage to be made.

    `part` tells the moves of one item apart; `objects` are the source objects as (bucket config key, key).
    `detail` is what the builder needs besides the source item (JSON). `recency`: of several moves to one target the
    latest (epoch seconds) is made; None where each target has one source.
    """

    row: str
    action: str
    place: str
    source_key: Item
    part: str
    target_key: Item
    users: tuple[str, ...]
    objects: tuple[tuple[str, str], ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)
    recency: float | None = None


def moves(
    row: Table, place: str, item: Item, key_names: tuple[str, ...], ids: Ids, builders: Collection[str] = ALL
) -> Iterator[Move]:
    """The moves that an item asks for; none for users who are not in the map, none of other builders."""
    for action in (action for action in row.content if action in builders):
        yield from _BUILDERS[action](row, place, item, key_of(item, key_names), ids)


def _text(item: Item, name: str) -> str:
    return str(item.get(name, {}).get("S", ""))


def _digits(item: Item, name: str) -> str:
    return str(item.get(name, {}).get("N", ""))


def _artifacts(row: Table, place: str, item: Item, key: Item, ids: Ids) -> Iterator[Move]:
    for entry in item.get("artifacts", {}).get("L", []):
        fields = entry.get("M", {})
        source = _text(fields, "key")
        match = LEGACY_ARTIFACT.match(source)
        if match and match["user"] in ids:
            user, shared_by = match["user"], _text(fields, "sharedBy")
            target = artifact_target(user, match["key"], shared_by, ids)
            detail = {"user": ids[user], "key": match["key"], "sharedBy": ids.successor(shared_by) if shared_by else ""}
            yield Move(
                row.config_key,
                "artifacts",
                place,
                key,
                source,
                target,
                (user,),
                (("S3_ARTIFACTS_BUCKET", source),),
                detail,
            )


def _workflows(row: Table, place: str, item: Item, key: Item, ids: Ids) -> Iterator[Move]:
    source, template = _text(item, "s3Key"), _text(item, "templateId")
    user = source.partition("/")[0]
    if source and user in ids:
        target = user_data_key(ids[user], "amplify-workflows", "workflow-templates", template)
        yield Move(
            row.config_key, "workflows", place, key, source, target, (user,),
            (("WORKFLOW_TEMPLATES_BUCKET", source),), {"user": ids[user], "template": template},
        )  # fmt: skip


def _logs(row: Table, place: str, item: Item, key: Item, ids: Ids) -> Iterator[Move]:
    task, by_user = _text(item, "taskId"), dict[str, list[tuple[str, str]]]()
    for entry in item.get("logs", {}).get("L", []):
        fields = entry.get("M", {})
        source = _text(fields, "detailsKey")
        user = source.partition("/")[0]
        if source and user in ids:
            # An entry without an id goes by the name of its file; DynamoDB takes no empty name.
            execution = _text(fields, "executionId") or source.rpartition("/")[2].removesuffix(".json")
            by_user.setdefault(user, []).append((execution, source))
    for user, logs in by_user.items():
        target = user_data_key(ids[user], "amplify-agent-logs", "scheduled-task-logs", task)
        entries = [entry.get("M", {}) for entry in item["logs"]["L"]]
        times = {_text(one, "executionId"): _text(one, "executedAt") or _digits(one, "executedAt") for one in entries}
        yield Move(
            row.config_key, "logs", place, key, "logs", target, (user,),
            tuple(("SCHEDULED_TASKS_LOGS_BUCKET", source) for _, source in logs),
            {"user": ids[user], "task": task, "logs": [[run, source, times.get(run, "")] for run, source in logs]},
        )  # fmt: skip


def _settings(row: Table, place: str, item: Item, key: Item, ids: Ids) -> Iterator[Move]:
    user = _text(item, "user")
    if user in ids and item.get("settings", {}).get("M"):
        target = user_data_key(ids[user], "amplify-user-settings", "user-settings", "user-settings")
        yield Move(
            row.config_key,
            "settings",
            place,
            key,
            "settings",
            target,
            (user,),
            (),
            {"user": ids[user], "old": user, "seen": digest({"": item["settings"]})},
            written_at(item),
        )


def written_at(item: Item) -> float:
    """When a row was last written, in epoch seconds: by `updatedAt`, else `createdAt`, as number or ISO text; else 0."""
    for value in (item[name] for name in ("updatedAt", "createdAt") if name in item):
        try:
            seconds = float(value["N"] if "N" in value else value["S"])
        except KeyError:
            continue
        except ValueError:
            try:
                moment = datetime.fromisoformat(value["S"])
            except ValueError:
                continue
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        return seconds / 1_000 if seconds > 10**11 else seconds
    return 0.0


def _shares(row: Table, place: str, item: Item, key: Item, ids: Ids) -> Iterator[Move]:
    user = _text(item, "user")
    for entry in item.get("data", {}).get("L", []) if user in ids else []:
        source = _text(entry.get("M", {}), "key")
        if (followed := share(source, item, ids)) is None:
            continue
        _, (_, bucket, moved) = followed
        built = received_share_item(user, entry, ids, 0).item
        target = {"PK": built["PK"], "SK": built["SK"]}
        detail = {
            "user": ids[user], "old": user, "waits": [bucket, moved], "seen": digest({"": entry}),
            "holds": digest({"": built["data"]}),
        }  # fmt: skip
        yield Move(row.config_key, "shares", place, key, source, target, (user,), (), detail)


def _disclosures(row: Table, place: str, item: Item, key: Item, ids: Ids) -> Iterator[Move]:
    """The one pointer that is written before its object, see `buckets.py`: the row itself is the target."""
    name = _text(item, "pdf_id")
    if name and "/" not in name:
        yield Move(
            row.config_key, "disclosures", place, key, name, key, (), (("DATA_DISCLOSURE_STORAGE_BUCKET", name),),
            {"pdf_id": name},
        )  # fmt: skip


_Builder = Callable[[Table, str, Item, Item, Ids], Iterator[Move]]
_BUILDERS: dict[str, _Builder] = {
    "artifacts": _artifacts,
    "workflows": _workflows,
    "logs": _logs,
    "settings": _settings,
    "shares": _shares,
    "disclosures": _disclosures,
}
