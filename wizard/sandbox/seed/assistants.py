"""Assistants of people and of groups, code interpreter, layered assistants (service amplify-assistants)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wizard.sandbox.seed.model import MILLISECONDS, STAMP, Object, Person, Row, Seedling, World, body


def seedlings(world: World) -> Iterator[Seedling]:
    for number, person, other in world.each():
        yield from _assistant(world, number, person, other)
        yield from _interpreter(world, number, person)
    yield from _of_groups(world)


def _assistant(world: World, number: int, person: Person, other: Person) -> Iterator[Row]:
    file, path = world.file_key(person), f"helper-{number}"
    item: dict[str, Any] = {
        "id": world.assistant(person), "assistantId": world.public_assistant(person), "user": person.old,
        "name": "Helper", "version": 3, "tags": [], "uri": "", "hash": "h", "coreHash": "c", "dataSourcesHash": "d",
        "instructionsHash": "i", "disclaimerHash": "x", "createdAt": STAMP, "updatedAt": STAMP, "description": "Helps",
        "instructions": f"You work for {person.old}.", "disclaimer": "",
        "dataSources": [{"id": f"s3://{file}", "key": file, "type": "application/pdf"}],
        "data": {"groupId": None, "access": {}, "astPath": path, "integrationDriveData": {}},
    }  # fmt: skip
    if number % 5 == 3:
        del item["name"]  # such rows are missing in UserNameIndex
    yield Row("assistants/assistants", item)
    for kind in ("latest", "latest_published"):
        yield Row("assistants/assistant-aliases", {
            "user": person.old, "assistantId": f"{item['assistantId']}?type={kind}", "createdAt": STAMP, "updatedAt": STAMP,
            "aliasTo": kind, "currentVersion": 3, "data": {"id": item["id"]},
        })  # fmt: skip
    yield Row("assistants/assistant-lookup", {
        "astPath": path, "assistantId": item["assistantId"], "public": True, "createdBy": person.old,
        "createdAt": STAMP, "lastAccessed": STAMP,
        "pathHistory": [{"path": path, "assistant_id": item["assistantId"], "changedAt": STAMP, "changedBy": other.old}],
        "accessTo": {"amplifyGroups": ["Team A"], "users": [other.old, world.visitor.old]},
    })  # fmt: skip
    yield Row("lambda/assistants", {"id": world.assistant(person), "user": person.old, "name": "Legacy"})


def _interpreter(world: World, number: int, person: Person) -> Iterator[Seedling]:
    interpreter, thread = world.interpreter(person), world.thread(person)
    times = {"createdAt": MILLISECONDS, "updatedAt": MILLISECONDS}
    yield Row("assistants/code-interpreter-assistants", {
        "id": interpreter, "user": person.old, "assistant": "Code Interpreter", "description": "", "instructions": "Run it",
        "tags": [], **times, "fileKeys": [world.file_key(person)], "data": {"assistantId": "asst_abc", "provider": "azure"},
    })  # fmt: skip
    yield Row("assistants/assistant-threads", {"id": thread, "data": {"azure": {"threadId": "thread_x"}},
                                               "user": person.old, **times})  # fmt: skip
    yield Row("assistants/assistant-thread-runs", {
        "id": f"{person.old}/run/{world.uid('run', person.old)}", "data": {}, "thread_key": thread,
        "assistant_key": interpreter, "user": person.old, "status": "completed", "assistant": "codeInterpreter", **times,
    })  # fmt: skip
    for name in ("chart.png", "a b+c%20é.png")[: 1 + number % 2]:
        for size in ("", "-low-res"):
            key = f"{person.old}/msg_1-file_1-FN-{name}{size}"
            yield Object("assistants/code-interpreter-files", key, b"\x89PNG " + key.encode(), "image/png")
    yield Row("assistants/layered-assistants", {
        "assistantId": f"astr/{world.uid('layered', person.old)}", "createdBy": person.old, "name": "Router",
        "description": "Routes", "rootNode": {"id": world.assistant(person)}, "createdAt": STAMP, "updatedAt": STAMP,
    })  # fmt: skip
    yield Row("amplify-js/skills", {"id": world.uid("skill", person.old), "user": person.old, "name": "Summarise",
                                    "isPublic": "false"})  # fmt: skip
    if person != world.bob:
        yield Row("amplify-js/skill-shares", {"shareId": world.uid("skill share", person.old), "sharedBy": person.old,
                                              "sharedWith": world.bob.old, "ttl": 1_900_000_000,
                                              "skillId": world.uid("skill", person.old)})  # fmt: skip


def _of_groups(world: World) -> Iterator[Seedling]:
    id_ = world.group_assistant
    yield Row("assistants/assistants", {
        "id": id_.replace("astgp", "astg"), "assistantId": id_, "user": world.group, "name": "Team Bot", "version": 1,
        "createdAt": STAMP, "updatedAt": STAMP, "dataSources": [], "data": {"groupId": world.group, "access": {}},
    })  # fmt: skip
    bucket = world.bucket("assistants/group-conversations-content")
    for number, person, _ in world.each():
        assistant = world.public_assistant(person) if number % 6 == 5 else id_
        conversation = world.uid("group conversation", person.old)
        key = f"{assistant}/{conversation}.txt"
        yield Object("assistants/group-conversations-content", key, f"user: {person.old}".encode(), "text/plain")
        yield Row("assistants/group-assistant-conversations", {
            "conversationId": conversation, "assistantId": assistant, "assistantName": "Team Bot", "modelUsed": "gpt-4o",
            "numberPrompts": 4, "user": person.old, "s3Location": f"s3://{bucket}/{key}", "timestamp": STAMP,
            "category": "help", "systemRating": 4, "userRating": 5, "userFeedback": "", "employeeType": "staff",
            "entryPoint": "Amplify",
        })  # fmt: skip
    if world.release.deployed:  # written by the new services: a visitor of a public web page, who has no account
        key = f"agentConversations/{id_}/{world.uid('wordpress')}.txt"
        yield Object("lambda/consolidation", key, b"guest", "text/plain")
        yield Row("assistants/group-assistant-conversations", {
            "conversationId": world.uid("wordpress"), "assistantId": id_, "assistantName": "Team Bot",
            "user": "guest@example.edu", "numberPrompts": 1, "s3Location": key, "timestamp": STAMP,
        })  # fmt: skip
    yield Object("api/documentation-bucket", "Amplify API v1 (draft+2).pdf", b"%PDF-1.4 api", "application/pdf")
    yield Object("api/documentation-bucket", "postman.json", body({"info": "api"}))
