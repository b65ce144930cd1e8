"""Data disclosure, integrations, memory, and tables that no catalog may know (the remaining services)."""

from __future__ import annotations

from collections.abc import Iterator

from wizard.sandbox.seed.model import MILLISECONDS, STAMP, Object, Row, Seedling, World, body


def seedlings(world: World) -> Iterator[Seedling]:
    yield from _disclosure(world)
    yield from _integrations(world)
    yield from _outside(world)
    yield from _without_users(world)


def _disclosure(world: World) -> Iterator[Seedling]:
    bucket = world.bucket("data-disclosure/storage")
    for version in (1, 2, 3):
        name = f"disclosure_{version}.pdf"
        yield Object("data-disclosure/storage", name, f"%PDF-1.4 {version}".encode(), "application/pdf")
        yield Row("data-disclosure/versions", {
            "key": "latest" if version == 3 else f"v{version}", "version": version, "pdf_id": name,
            "html_content": f"<p>Version {version}</p>", "timestamp": STAMP, "s3_reference": f"s3://{bucket}/{name}",
        })  # fmt: skip
    for number, person, _ in world.each():
        yield Row("data-disclosure/acceptance", {
            "user": person.old, "acceptedDataDisclosure": True, "acceptedTimestamp": STAMP, "completedTraining": False,
            "documentVersion": 3 if number % 2 else 2, "documentID": f"s3://{bucket}/disclosure_3.pdf",
        })  # fmt: skip
    if world.jane.changes:
        yield Row("data-disclosure/acceptance", {
            "user": world.jane.new, "acceptedDataDisclosure": True, "acceptedTimestamp": "2025-11-20T08:00:00",
            "completedTraining": True, "documentVersion": 3, "documentID": f"s3://{bucket}/disclosure_3.pdf",
        })  # fmt: skip


def _integrations(world: World) -> Iterator[Seedling]:
    bucket = world.bucket("assistants-api/job-results")
    for number, person, _ in world.each():
        provider = "google" if number % 2 else "microsoft"
        name = f"{provider}_drive"
        yield Row("assistants-api/user-oauth-integrations", {
            "user_integration": f"{person.old}/{provider}", "integrations": {name: "fake-token"}, "last_updated": STAMP,
        })  # fmt: skip
        yield Row("assistants-api/oauth-state", {"state": world.uid("state", person.old), "integration": name,
                                                 "user": person.old, "timestamp": MILLISECONDS // 1000})  # fmt: skip
        yield Row("assistants-api/op-log", {"user": person.old, "timestamp": STAMP, "actionName": "search",
                                            "resultCode": 200, "resultMessage": f"ok for {person.old}"})  # fmt: skip
        job = world.uid("job", person.old)
        key = f"{person.old}/{job}/result.json"
        yield Object("assistants-api/job-results", key, body({"result": number}))
        yield Row("assistants-api/job-status", {
            "user": person.old, "job_id": job, "status": "completed", "created_at": STAMP, "updated_at": STAMP,
            "stored_result": {"bucket": bucket, "key": key},
        })  # fmt: skip


def _outside(world: World) -> Iterator[Row]:
    """Services that are not in the public tree, and a table of somebody's own that nobody else knows."""
    for number, person, _ in world.each():
        owner = (("user", person.old), ("assistant", world.public_assistant(person)), ("project", "p1"))[number % 3]
        yield Row("memory/memory", {"id": world.uid("memory", person.old), "content": "Likes tea", "user": person.old,
                                    "memory_type": owner[0], "memory_type_id": owner[1], "created_at": STAMP})  # fmt: skip
        yield Row("memory/projects", {"id": world.uid("project", person.old), "user": person.old, "name": "Thesis"})
        yield Row("se/ai-code", {
            "uuid": world.uid("code", person.old), "creator": person.old, "created_at": STAMP, "last_updated": STAMP,
            "s3Key": f"{world.bucket('lambda-basic-ops/dynamic-code')}/{person.old}/09-01-2025/x.py", "description": "",
        })  # fmt: skip
    jane, bob = world.jane, world.bob
    yield Row(
        "se/ops-common-data", {"PK": f"{jane.old}#shared#notes", "SK": "n1", "app_id": "shared", "data": {"x": 1}}
    )
    yield Row("custom/notes", {"id": "1", "author": jane.old, "text": "Free text that only mentions nobody"})
    yield Row("custom/notes", {"id": "2", "author": bob.old, "path": f"notes/{bob.old}/2.md", "seenBy": [jane.old]})
    # A known table with an attribute that no release writes.
    yield Row("lambda/db-connections", {"id": world.uid("db", "odd"), "user": world.visitor.old, "reviewer": bob.old,
                                        "connection_name": "Odd", "type": "mysql"})  # fmt: skip


def _without_users(world: World) -> Iterator[Row]:
    yield Row("chat-billing/model-rates", {"ModelID": "gpt-4o", "Provider": "Azure", "InputCostPerThousandTokens": 1})
    yield Row("amplify-js/datasource-registry", {"type": "s3", "endpoint": "https://api.example.edu/files"})
    yield Row("lambda/env-vars-tracking", {"service_var_key": "lambda#ACCOUNTS_DYNAMO_TABLE", "service_name": "lambda"})
    yield Row("lambda/poll-status", {"requestId": world.uid("poll"), "user": world.jane.old, "status": "done",
                                     "createdAt": STAMP, "ttl": 1_900_000_000})  # fmt: skip
