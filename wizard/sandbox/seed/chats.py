"""Conversations, files, shares, accounts, usage and costs (services amplify-lambda, amplify-js, chat-billing)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from wizard.sandbox.seed.model import MILLISECONDS, STAMP, Object, Person, Row, Seedling, World, body, codes


def seedlings(world: World) -> Iterator[Seedling]:
    for number, person, other in world.each():
        yield from _conversations(world, number, person)
        yield from _files(world, number, person)
        yield from _shares(world, number, person, other)
        yield from _account(world, number, person)
        yield from _usage(world, number, person)
        yield from _costs(world, number, person)
    yield from _clashes(world)
    yield from _conversions(world)


def _conversations(world: World, number: int, person: Person) -> Iterator[Seedling]:
    for turn in range(2 + number % 2):
        id_ = world.conversation(person, turn)
        document = {
            "conversation": codes(f'{{"id":"{id_}","name":"Größe {turn}","owner":"{person.old}"}}'),
            "folder": None,
        }
        tags = "class=chat&owner=example" if turn == 0 else ""
        metadata = {"source": "sandbox"} if number % 2 else {}
        yield Object("lambda/user-conversations", f"{person.old}/{id_}", body(document), metadata=metadata, tags=tags)
        yield Row("lambda/conversation-metadata", {
            "user_id": person.old, "conversation_id": id_, "name": f"Chat {turn}", "model": "gpt-4o", "folder_id": "f1",
            "folder_name": "Work", "tags": [], "is_local": False, "group_type": None,
            "code_interpreter_assistant_id": world.interpreter(person), "last_modified": MILLISECONDS + turn,
            "s3_key": f"{person.old}/{id_}", ("cached_at" if turn else "updated_at"): MILLISECONDS,
        })  # fmt: skip
    # What an interrupted download leaves behind; nobody wants it.
    yield Object("lambda/user-conversations", f"temp/{person.old}/conversations_chunk_0.json", body([]))
    if number % 3 == 0:  # already written to the new place, under the id of before: split state
        split = world.uid("split", person.old)
        yield Object(
            "lambda/consolidation", f"conversations/{person.old}/{split}", body({"conversation": codes("new")})
        )


def _files(world: World, number: int, person: Person) -> Iterator[Seedling]:
    key, text = world.file_key(person), f"global/{world.uid('text', person.old)}.content.json"
    yield Row("lambda/user-files", {
        "id": key, "name": "paper.pdf", "type": "application/pdf", "tags": ["x"], "data": {}, "knowledgeBase": "default",
        "createdAt": STAMP, "updatedAt": STAMP, "createdBy": person.old, "updatedBy": person.old,
        "totalTokens": 800 + number, "dochash": world.uid("doc", person.old),
    })  # fmt: skip
    bucket = world.bucket("lambda/file-text")
    yield Row("lambda/hash-files", {"id": key, "hash": world.uid("hash", person.old), "textLocationBucket": bucket,
                                    "textLocationKey": text, "createdAt": STAMP})  # fmt: skip
    yield Row("lambda/hash-files", {"id": world.uid("hash", person.old), "originalCreator": person.old,
                                    "textLocationBucket": bucket, "textLocationKey": text, "createdAt": STAMP})  # fmt: skip
    yield Row("embedding/embedding-progress", {
        "object_id": text, "parentChunkStatus": "completed", "timestamp": STAMP, "originalCreator": person.old,
        "terminated": False, "totalChunks": 1,
        "data": {"childChunks": {"1": {"status": "completed", "lastUpdated": STAMP, "version": 1}}},
    })  # fmt: skip
    yield Object("lambda/rag-input", key, body({"file": "paper.pdf"}))
    yield Object("lambda/file-text", text, body({"content": "text"}))
    yield Object("lambda/rag-chunks", f"{text}-0.chunks.json", body({"chunks": []}))
    yield Row("lambda/user-tags", {"user": person.old, "tags": {"research", "teaching", f"tag{number}"}})
    if number == 0:  # uploaded for a group: the group's id stands where a user's would
        group_key = f"{world.group}/2025-03-02/{world.uid('group file')}.json"
        yield Row("lambda/user-files", {"id": group_key, "name": "minutes.pdf", "type": "application/pdf",
                                        "createdAt": STAMP, "createdBy": world.group, "updatedBy": person.old})  # fmt: skip
        yield Object("lambda/rag-input", group_key, body({"file": "minutes.pdf"}))


def share_key(world: World, recipient: Person, sharer: Person) -> str:
    return f"{recipient.old}/{sharer.old}/2025-09-01/{world.uid('share', recipient.old, sharer.old)}.json"


def _shares(world: World, number: int, person: Person, other: Person) -> Iterator[Seedling]:
    """What the neighbour, and for some the visitor, shared with a person; the sharer's id is in lower case in bodies."""
    sharers = [other] + ([world.visitor] if number % 4 == 0 and other != world.visitor != person else [])
    data: list[dict[str, Any]] = []
    for sharer in sharers:
        key = share_key(world, person, sharer)
        data.append({"sharedBy": sharer.old, "note": "look", "sharedAt": MILLISECONDS, "key": key})
        document = {"version": 1, "sharedBy": sharer.old.lower(), "conversations": codes("shared")}
        yield Object("lambda/share", key, body(document), metadata={"shared": "yes"})
    settings = {
        "theme": "dark",
        "featureOptions": {"memory": True},
        "hiddenModelIds": ["gpt-3.5"],
        "zoom": Decimal("1.25"),
    }
    item: dict[str, Any] = {
        "id": f"{person.old}/{world.uid('shares', person.old)}", "user": person.old, "name": "/state/share",
        "createdAt": STAMP, "updatedAt": STAMP, "data": data,
    }  # fmt: skip
    if number % 5 != 1:
        item["settings"] = settings
    if number % 5 == 2:
        del item["data"]
    yield Row("lambda/", item)


def _account(world: World, number: int, person: Person) -> Iterator[Row]:
    accounts = [{"id": "12345.6789", "name": "Dept COA", "isDefault": True,
                 "rateLimit": {"period": "Unlimited", "rate": None}}]  # fmt: skip
    if number % 2:
        limit = {"period": "Monthly", "rate": Decimal("10.50")}
        accounts.append({"id": f"9{number:04}.1", "name": "Grant", "isDefault": False, "rateLimit": limit})
    yield Row("lambda/accounts", {"user": person.old, "accounts": accounts})
    if number % 3 == 0:
        yield Row("lambda/db-connections", {
            "id": world.uid("db", person.old), "user": person.old, "connection_name": "Prod", "type": "postgres",
            "host": "db.example.edu", "port": 5432, "database": "research", "username": person.old,
            "password": "fake-password", "created_at": STAMP, "updated_at": STAMP,
        })  # fmt: skip
    yield Row("lambda-ops/ops", {"id": world.uid("ops", person.old), "user": person.old, "tag": "default", "ops": [
        {"id": "op1", "url": "/x", "name": "x", "method": "POST", "tags": ["default"]}]})  # fmt: skip
    if number == 0:
        yield Row("lambda-ops/ops", {"id": world.uid("ops", "system"), "user": "system", "tag": "default", "ops": []})
    yield Row("amplify-js/request-state", {"user": person.old, "requestId": world.uid("request", person.old),
                                           "exit": False, "lastUpdatedTime": MILLISECONDS, "ttl": 1_900_000_000})  # fmt: skip


def _usage(world: World, number: int, person: Person) -> Iterator[Row]:
    for turn in range(3):
        item = {
            "id": world.uid("usage", person.old, turn), "requestId": f"r{turn}", "user": person.old,
            "time": f"2025-09-0{turn + 1}T10:00:00", "accountId": "general_account", "inputTokens": 12 + number,
            "outputTokens": 90, "modelId": "gpt-4o",
            "details": {"api_key_id": world.key_of(person), "itemType": "chat"},
        }  # fmt: skip
        yield Row("lambda/chat-usage", item)
        if turn == 0:
            yield Row("lambda/chat-usage-archive", {**item, "id": world.uid("archived", person.old)})
    yield Row("chat-billing/history-usage", {"id": person.old, "userDateComposite": f"{person.old}#2024-12",
                                             "inputTokens": 5})  # fmt: skip


def _costs(world: World, number: int, person: Person) -> Iterator[Row]:
    info = f"12345.6789#{world.key_of(person)}"
    hours = [Decimal("0.01") * (hour % 3) for hour in range(24)]
    item = {"id": person.old, "accountInfo": info, "dailyCost": Decimal("0.42"),
            "monthlyCost": Decimal("12.7") + number, "hourlyCost": hours}  # fmt: skip
    yield Row("lambda/cost-calculations", {**item, **({"record_type": "cost"} if number % 4 else {})})
    yield Row("lambda/cost-calculations", {**item, "accountInfo": "general_account#NA", "record_type": "cost"})
    for date, name in (("2025-08-31", "dailyCost"), ("2025-08", "monthlyCost")):
        yield Row("lambda/history-cost-calculations", {
            "userDate": f"{person.old}#{date}", "accountInfo": "12345.6789#NA", name: Decimal("0.42"), "timestamp": STAMP,
        })  # fmt: skip
    interpreter = f"{world.thread(person)}/{world.interpreter(person)}"
    charge = {"accountId": "general_account", "user": person.old, "modelId": "gpt-4o", "requestId": "r", "time": STAMP}
    details = {"sessions": [{"start_time": MILLISECONDS, "operations": []}], "thread_id": "thread_x",
               "assistant_id": "asst_abc", "itemType": "codeInterpreter"}  # fmt: skip
    yield Row("chat-billing/additional-charges", {**charge, "id": interpreter, "details": details})
    yield Row("chat-billing/additional-charges", {**charge, "id": world.uid("charge", person.old),
                                                  "itemType": "codeInterpreterSession"})  # fmt: skip


def _clashes(world: World) -> Iterator[Row]:
    """What services wrote under the new ids before the migration."""
    jane, bob = world.jane, world.bob
    if not jane.changes:
        return
    limit = {"period": "Unlimited", "rate": None}
    accounts = [{"id": "12345.6789", "name": "Renamed by Bob", "isDefault": False, "rateLimit": limit},
                {"id": "77777.1", "name": "New grant", "isDefault": True, "rateLimit": limit}]  # fmt: skip
    yield Row("lambda/accounts", {"user": bob.new, "accounts": accounts})
    yield Row("lambda/user-tags", {"user": jane.new, "tags": {"research", "new"}})
    yield Row("lambda/cost-calculations", {
        "id": jane.new, "accountInfo": "general_account#NA", "dailyCost": Decimal("1.10"), "monthlyCost": Decimal("2"),
        "hourlyCost": [Decimal("0.5")] * 24, "record_type": "cost",
    })  # fmt: skip
    yield Row("lambda/history-cost-calculations", {"userDate": f"{bob.new}#2025-08", "accountInfo": "12345.6789#NA",
                                                   "monthlyCost": Decimal("1.08"), "timestamp": STAMP})  # fmt: skip


def _conversions(world: World) -> Iterator[Object]:
    """Document conversion: people's files are short-lived, PowerPoint templates are not."""
    deck = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    metadata = {"isavailable": "true", "amplifygroups": "Team A"}
    yield Object("lambda/document-conversion-output", "templates/Example Deck.pptx", b"PK deck", deck, metadata)
    yield Object(
        "lambda/document-conversion-output", "templates/plain.pptx", b"PK plain", deck, {"isavailable": "false"}
    )
    uid = world.uid("conversion")
    yield Object("lambda/document-conversion-output", f"{world.jane.old}/{uid}.docx", b"PK", "application/zip")
    yield Object("lambda/document-conversion-input", f"{world.jane.old}/{uid}-to-docx.md", b"# text", "text/markdown")
    yield Object("lambda/image-input", f"{world.jane.old}/2025-03-02/{uid}.json", body({"data": "image"}))
    yield Object("lambda/zip-files", f"{world.bob.old}/{uid}.zip", b"PK", "application/zip")
    yield Object("lambda/access-logs", "2025-09-01-00-00-00-log", b"log", "text/plain")
