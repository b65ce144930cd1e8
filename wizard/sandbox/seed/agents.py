"""Agent sessions, workflows, scheduled tasks, e-mail events and artifacts (services agent-loop and artifacts)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wizard.sandbox.seed.model import STAMP, Object, Person, Row, Seedling, World, body, codes


def seedlings(world: World) -> Iterator[Seedling]:
    for number, person, other in world.each():
        yield from _session(world, number, person)
        yield from _workflows(world, number, person)
        yield from _tasks(world, number, person)
        yield from _mail(world, number, person)
        yield from _artifacts(world, number, person, other)


def _session(world: World, number: int, person: Person) -> Iterator[Seedling]:
    bucket, session = world.bucket("agent-loop/agent-state"), f"s-{number}"
    prefix = f"{person.old}/{session}"
    memory: dict[str, Any] = {"bucket": bucket, "key": f"{prefix}/agent_state.json", "lastModified": STAMP}
    item = {
        "user": person.old, "sessionId": session, "state": "done", "timestamp": STAMP, "contextId": "c",
        "eventId": "agent/prompt/action/raw_result", "correlationId": world.uid("agent", person.old), "lastUpdated": STAMP,
    }  # fmt: skip
    yield Row("agent-loop/agent-state", {**item, "memory": memory})
    yield Object("agent-loop/agent-state", f"{prefix}/agent_state.json", body({"state": number}))
    yield Object("agent-loop/agent-state", f"{prefix}/index.json", body({"user": person.old, "session_id": session}))
    yield Object("agent-loop/agent-state", f"{prefix}/notes + déjà vu.txt", "déjà".encode(), "text/plain")
    if number % 4 == 1 and world.release.deployed:  # a session of the new services: no bucket, the id of before
        key = f"agentState/{person.old}/s-new/agent_state.json"
        yield Row(
            "agent-loop/agent-state", {**item, "sessionId": "s-new", "memory": {"key": key, "lastModified": STAMP}}
        )
        yield Object("lambda/consolidation", key, body({"state": "new"}))


def _workflows(world: World, number: int, person: Person) -> Iterator[Seedling]:
    for turn in range(1 + number % 2):
        id_ = world.uid("workflow", person.old, turn)
        key = f"{person.old}/{id_}.json"
        public: Any = True if number % 5 == 4 else turn  # one release wrote a boolean, which no index can hold
        yield Row("agent-loop/workflow-registry", {
            "user": person.old, "templateId": id_, "isBaseTemplate": False, "isPublic": public, "s3Key": key, "name": "Flow",
            "description": "Steps", "inputSchema": {}, "outputSchema": {}, "createdAt": STAMP,
        })  # fmt: skip
        template = {"templateId": id_, "steps": [{"tool": "search", "args": {"limit": 5, "score": 0.75}}]}
        yield Object("agent-loop/workflow-templates", key, body(template))


def _tasks(world: World, number: int, person: Person) -> Iterator[Seedling]:
    task = f"Daily_{world.uid('task', person.old)}"
    # One person's logs do not fit an item together, another's are large and compress well.
    sizes = [90_000] * 5 if person == world.bob else [2_000, 60_000 if number % 4 == 0 else 500]
    logs: list[dict[str, Any]] = []
    for turn, size in enumerate(sizes):
        run = f"e{turn}-{world.uid('execution', person.old, turn)}"
        key = f"{person.old}/{task}/logs/{run}.json"
        text = world.noise(size, run) if person == world.bob else "the same line again\n" * (size // 20)
        yield Object("agent-loop/scheduled-tasks-logs", key, body({"executionId": run, "result": text, "cost": 0.01}))
        logs.append({"executionId": run, "executedAt": f"2025-09-0{turn + 1}T09:00:00", "status": "success",
                     "source": "scheduled", "detailsKey": key})  # fmt: skip
    logs.append({"executionId": "e-none", "executedAt": STAMP, "status": "failure", "source": "manual"})
    yield Row("agent-loop/scheduled-tasks", {
        "user": person.old, "taskId": task, "taskName": "Daily", "description": "Digest", "taskInstructions": "Write",
        "taskType": "assistant", "objectInfo": {"objectId": world.public_assistant(person)}, "cronExpression": "0 9 * * *",
        "timeZone": "America/Chicago", "active": 0 if number % 3 == 2 else 1, "createdAt": STAMP,
        "apiKeyId": f"DailyDigest/ownerKey/{world.uid('agent key', person.old)}", "tags": [], "dateRange": {},
        "notifyOnCompletion": False, "notifyOnFailure": True, "notifyEmailAddresses": [person.email], "logs": logs,
    })  # fmt: skip


def _mail(world: World, number: int, person: Person) -> Iterator[Row]:
    if number % 2:
        return
    # Addresses and regular expressions, some of which hold ids: none of them may change.
    senders = ["boss@example.edu", r".*@example\.edu", person.old]
    yield Row("agent-loop/email-allowed-senders", {"email": person.old, "tag": "research", "allowedSenders": senders})
    yield Row("agent-loop/agent-event-templates", {
        "user": person.old, "tag": "research", "prompt": [{"role": "user", "content": "Summarise"}],
        "apiKeyId": f"Research/ownerKey/{world.uid('research', person.old)}", "assistantId": world.public_assistant(person),
    })  # fmt: skip


def _artifacts(world: World, number: int, person: Person, other: Person) -> Iterator[Seedling]:
    """Two of one's own, one received from the neighbour (kept under the recipient's id), for Jane one that is too large."""
    kept: list[dict[str, Any]] = []
    for name, date in (("Game", "20250305"), ("Plan B", "20250306")):
        kept.append(_entry(person, name, date))
        contents = codes(f"<html>{name} of {number}</html>")
        document = {"name": name, "type": "html", "contents": contents, "version": 1, "ratio": 0.5}
        yield Object(
            "artifacts/bucket", f"{person.old}/{date}/{name}:v1", body(document), metadata={"kind": "artifact"}
        )
    received = _entry(person, "Shared", "20250307") | {"sharedBy": other.old}
    kept.append(received)
    yield Object(
        "artifacts/bucket", received["key"], body({"name": "Shared", "type": "text", "contents": codes("mine")})
    )
    if person == world.jane:
        kept.append(_entry(person, "Atlas", "20250308"))
        large = {"name": "Atlas", "type": "text", "contents": world.noise(450_000, "atlas")}
        yield Object("artifacts/bucket", kept[-1]["key"], body(large))
    yield Row("artifacts/user-artifacts", {"user_id": person.old, "createdAt": STAMP, "lastAccessed": STAMP,
                                           "artifacts": kept})  # fmt: skip


def _entry(person: Person, name: str, date: str) -> dict[str, Any]:
    key = f"{person.old}/{date}/{name}:v1"
    return {"key": key, "artifactId": f"{name}:v1-{date}", "name": name, "type": "html", "description": "Made",
            "createdAt": "Mar 05, 2025", "tags": []}  # fmt: skip
