"""Where pointers lead once their content has moved. Each function gives the new value and what must exist first.

Keys of content: see `buckets.py` for objects and `migration/content.py` for rows of user-data-storage.
"""

from __future__ import annotations

import json
import re
from typing import Any

from wizard.catalog.model import REMOVE, Ids, Item, Target
from wizard.storage_key import plain_key

CONSOLIDATION = "S3_CONSOLIDATION_BUCKET_NAME"
USER_DATA = "USER_DATA_STORAGE_TABLE"

Value = dict[str, Any]  # a value in wire form
Followed = tuple[str | object, Target] | None

LEGACY_ARTIFACT = re.compile(r"^(?P<user>[^/]+)/(?P<key>\d{8}/[^/]+:v\d+)$")


def user_data_key(user: str, app: str, entity: str, sort: str) -> Item:
    """The key of a row of user-data-storage, in wire form."""
    return {"PK": {"S": plain_key(user, app, entity)}, "SK": {"S": sort}}


def owner(item: Item, attribute: str, ids: Ids) -> str:
    """The id that the item's owner has after the migration."""
    return ids.successor(item.get(attribute, {}).get("S", ""))


def _object(key: str) -> Target:
    return ("object", CONSOLIDATION, key)


def _moved_prefix(text: str, ids: Ids, home: str) -> str | None:
    """`{old}/rest` or `{home}/{old}/rest` -> `{home}/{new}/rest`."""
    user, found, rest = text.removeprefix(f"{home}/").partition("/")
    return f"{home}/{ids[user]}/{rest}" if found and user in ids else None


def conversation(text: str, item: Item, ids: Ids) -> Followed:
    moved = _moved_prefix(text, ids, "conversations")
    return (moved, _object(moved)) if moved else None


def agent_state(text: str, item: Item, ids: Ids) -> Followed:
    moved = _moved_prefix(text, ids, "agentState")
    return (moved, _object(moved)) if moved else None


def agent_state_bucket(text: str, item: Item, ids: Ids) -> Followed:
    """`memory.bucket` goes when the key beside it leads into the consolidation bucket."""
    key = item.get("memory", {}).get("M", {}).get("key", {}).get("S", "")
    moved = _moved_prefix(key, ids, "agentState")
    return (REMOVE, _object(moved)) if moved else None


def memory_bucket(value: Any, item: Item) -> str:
    """The bucket that `memory` names beside the key, in whatever form it was stored."""
    memory = item.get("memory", {})
    named = memory.get("M", {}).get("bucket", {}).get("S") or (_untyped(memory) or {}).get("bucket", {}).get("S", "")
    return str(named)


def agent_state_typed(value: Value, item: Item, ids: Ids) -> tuple[Value, Target] | None:
    """`memory` that was stored as typed JSON, in a text or in maps, becomes the plain map that services read.

    The forms are `{"M": {"key": {"S": …}, …}}` and `{"key": {"S": …}, …}`, and `{"key": …, …}` in a text.
    """
    memory = _untyped(value)
    key = memory.get("key", {}).get("S", "") if memory else ""
    moved = _moved_prefix(key, ids, "agentState")
    if not memory or not moved:
        return None
    kept = {name: member for name, member in memory.items() if name != "bucket"}
    return {"M": {**kept, "key": {"S": moved}}}, _object(moved)


def _untyped(value: Value) -> Item | None:
    """The map that a value of these forms stands for, in wire form; None for any other value."""
    if "S" in value:
        try:
            found = json.loads(value["S"])
        except ValueError:
            return None
    else:
        found = _plain(value)
    if isinstance(found, dict) and found.keys() == {"M"}:
        found = found["M"]
    if not isinstance(found, dict):
        return None
    if "S" in value and all(isinstance(member, str) for member in found.values()):
        return {name: {"S": member} for name, member in found.items()}
    return found if all(_is_typed(member) for member in found.values()) else None


def _plain(value: Value) -> Any:
    """Maps, texts and booleans of a wire value; None for all else."""
    ((kind, content),) = value.items()
    if kind == "M":
        return {name: _plain(member) for name, member in content.items()}
    return content if kind in ("S", "BOOL") else None


def _is_typed(member: Any) -> bool:
    """Whether a member is a wire value that a map of names and texts can hold."""
    if not isinstance(member, dict) or len(member) != 1:
        return False
    ((kind, content),) = member.items()
    return (kind in ("S", "N") and isinstance(content, str)) or (kind in ("BOOL", "NULL") and isinstance(content, bool))


def group_conversation(text: str, item: Item, ids: Ids) -> Followed:
    """`s3://{bucket}/astgp/…` -> `agentConversations/astgp/…`; anything else is migrated already."""
    _, found, path = text.partition("s3://")
    key = path.partition("/")[2]
    moved = f"agentConversations/{key}"
    return (moved, _object(moved)) if found and key.startswith(("astgp/", "astp/")) else None


def location_bucket(text: str, item: Item) -> str:
    """`s3://{bucket}/…` -> `{bucket}`; "" for a key alone."""
    return text.removeprefix("s3://").partition("/")[0] if text.startswith("s3://") else ""


def share(text: str, item: Item, ids: Ids) -> Followed:
    """`[shares/]{recipient}/{sharer}/rest`: both users by the whole map, written with `shares/`."""
    parts = text.removeprefix("shares/").split("/", 2)
    if len(parts) < 3 or not (parts[0] in ids or parts[1] in ids):
        return None
    moved = f"shares/{ids.successor(parts[0])}/{ids.successor(parts[1])}/{parts[2]}"
    return moved, _object(moved)


def artifact_target(user: str, key: str, shared_by: str, ids: Ids) -> Item:
    """The row of an artifact: its owner's partition, or the sharer's for one that was received."""
    recipient = ids.successor(user)
    if shared_by:
        return user_data_key(
            ids.successor(shared_by), "amplify-artifacts", "artifact-content", f"shared-with-{recipient}#{key}"
        )
    return user_data_key(recipient, "amplify-artifacts", "artifact-content", key)


def artifact(text: str, item: Item, ids: Ids) -> Followed:
    """`{user}/{yyyymmdd}/{Name}:v{n}` loses the user; tested with the user first, which may be eight digits itself."""
    match = LEGACY_ARTIFACT.match(text)
    if not match or match["user"] not in ids:
        return None
    shared_by = next(
        (
            entry["M"].get("sharedBy", {}).get("S", "")
            for entry in item.get("artifacts", {}).get("L", [])
            if entry.get("M", {}).get("key", {}).get("S") == text
        ),
        "",
    )
    return match["key"], ("item", USER_DATA, artifact_target(match["user"], match["key"], shared_by, ids))


def workflow_template(text: str, item: Item, ids: Ids) -> Followed:
    template = item.get("templateId", {}).get("S", "")
    user = text.partition("/")[0]
    if user not in ids:
        return None
    key = user_data_key(ids.successor(user), "amplify-workflows", "workflow-templates", template)
    return REMOVE, ("item", USER_DATA, key)


def task_log(text: str, item: Item, ids: Ids) -> Followed:
    task = item.get("taskId", {}).get("S", "")
    user = text.partition("/")[0]
    if user not in ids:
        return None
    key = user_data_key(ids.successor(user), "amplify-agent-logs", "scheduled-task-logs", task)
    return REMOVE, ("item", USER_DATA, {**key, "log": {"S": text}})
