"""The user storage table of basic-ops with the three spellings of its partition key, and what is in the new table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from wizard.sandbox.seed.chats import share_key
from wizard.sandbox.seed.model import MILLISECONDS, SECONDS, STAMP, Person, Row, World, codes

OLD, NEW = "lambda-basic-ops/user-storage", "lambda/user-data-storage"


def seedlings(world: World) -> Iterator[Row]:
    for number, person, other in world.each():
        yield from _plain(world, number, person, other)
        yield from _doubled(world, number, person)
    yield from _in_new_table(world)
    yield from _of_basic_ops(world)


def safe(user: str) -> str:
    """The user part of a partition key: what the services do not keep becomes a dash."""
    return re.sub(r"[^A-Za-z0-9@._-]", "-", user)


def dashed(user: str) -> str:
    """The user's id as a part of an application's name, where letters and digits alone are kept."""
    return re.sub(r"[^A-Za-z0-9-]", "-", user)


def entry(
    world: World,
    table: str,
    hash_: str,
    entity: str,
    sort: str,
    data: dict[str, Any],
    *,
    at: int = SECONDS,
    **more: Any,
) -> Row:
    """One row as the services write it."""
    return Row(table, {
        "PK": f"{hash_}#{entity}", "SK": sort, "UUID": world.uid("storage", hash_, entity, sort), "appId": hash_,
        "entityType": entity, "createdAt": at, "data": data, **more,
    })  # fmt: skip


def _plain(world: World, number: int, person: Person, other: Person) -> Iterator[Row]:
    shares = f"{safe(person.old)}#amplify-shares"
    key = share_key(world, person, other)
    # Some rows of earlier services hold the key with its prefix, most without.
    data = {"sharedBy": other.old, "note": "look", "sharedAt": MILLISECONDS,
            "key": f"shares/{key}" if number % 3 == 0 else key}  # fmt: skip
    yield entry(world, OLD, shares, "received", f"{other.old}#2025-09-01#{world.uid('received', person.old)}", data)
    artifacts = f"{safe(person.old)}#amplify-artifacts"
    sort = f"shared-with-{other.old}#20250305/Poster:v3"
    yield entry(world, OLD, artifacts, "artifact-content", sort, {"name": "Poster", "contents": codes("poster")})
    # An application of somebody else's making: only the key's user part is known to be an id.
    yield entry(world, OLD, f"{safe(person.old)}#my-app", "prompts", f"p{number}", {"text": "hello", "by": "me"},
                updatedAt=SECONDS + number, rangeKey="r")  # fmt: skip


def _doubled(world: World, number: int, person: Person) -> Iterator[Row]:
    """Applications named `{user}#amplify-…`, as one release passed them: the user's id stands twice in the key."""
    head = f"{safe(person.old)}#{dashed(person.old)}"
    settings = {"settings": {"theme": "light", "fontSize": 14}}
    yield entry(world, OLD, f"{head}-amplify-user-settings", "user-settings", "user-settings", settings)
    if number % 2:
        template = {"templateId": f"t{number}", "steps": []}
        yield entry(world, OLD, f"{head}-amplify-workflows", "workflow-templates", f"t{number}", template)
    else:
        logs = {"taskId": f"task{number}", "user": person.old, "logs": {"e0": {"result": "fine"}}}
        yield entry(world, OLD, f"{head}-amplify-agent-logs", "scheduled-task-logs", f"task{number}", logs)


def _in_new_table(world: World) -> Iterator[Row]:
    """What is there already where the new services run: rows imported before, and rows they wrote themselves."""
    jane, bob = world.jane, world.bob
    same = next(row for row in _plain(world, 0, jane, world.everyone[1]) if row.item["entityType"] == "prompts")
    yield Row(NEW, same.item)  # imported before, unchanged
    later = {"settings": {"theme": "contrast", "fontSize": 18}}
    yield entry(world, NEW, f"{safe(bob.new)}#amplify-user-settings", "user-settings", "user-settings", later,
                at=SECONDS + 86_400)  # fmt: skip
    yield entry(world, NEW, f"{safe(bob.old)}#{dashed(bob.old)}-amplify-workflows", "workflow-templates", "t-new",
                {"templateId": "t-new", "steps": []})  # fmt: skip
    yield entry(world, NEW, f"{safe(world.visitor.old)}#amplify-shares", "received",
                f"{jane.old}#2025-09-02#{world.uid('visitor share')}",
                {"sharedBy": jane.old, "note": "", "sharedAt": MILLISECONDS,
                 "key": f"shares/{world.visitor.old}/{jane.old}/2025-09-02/{world.uid('visitor share')}.json"})  # fmt: skip


def _of_basic_ops(world: World) -> Iterator[Row]:
    """The tables that die with the basic-ops stack; no step moves them."""
    for number, person, _ in world.each():
        session = SECONDS + number
        yield Row("lambda-basic-ops/work-sessions", {"username": person.old, "session_id": session, "tags": []})
        yield Row("lambda-basic-ops/work-records", {"session_id": session, "record_id": 1, "attachments": []})
    yield Row("lambda-basic-ops/dynamic-code", {
        "uuid": world.uid("dynamic"), "creator": world.jane.old, "created_at": STAMP, "last_updated": STAMP,
        "s3Key": f"{world.bucket('lambda-basic-ops/dynamic-code')}/{world.jane.old}/09-01-2025/x.py",
    })  # fmt: skip
