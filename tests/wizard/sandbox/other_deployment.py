"""A second deployment for engine tests, shaped unlike the sandbox: other names, ids, counts and value types.

Items are in wire form and written out by hand, so that nothing of the sandbox's seed can leak into what a test expects.
"""

from __future__ import annotations

from typing import Any

from wizard.deployment import Deployment
from wizard.sandbox.schemas import BUCKETS, TABLES

DEPLOYMENT = Deployment("prod2", "prod", "us-east-1")

SUB = "7f0c1a52-4c1e-4f6e-9a51-2d1c0b8f7e11"
SPACE = "dr who@example.edu"
QUOTE = "o\"neil+x'y@example.edu"
NUMBER = "4711"
LONGER = "47110"  # begins like NUMBER, is not in the map
SHORT = "zz"
MAP = {SUB: "u-00017", SPACE: "whod", QUOTE: SUB.replace("7", "8"), NUMBER: "10000001", SHORT: "y"}
OUTSIDE = (LONGER, "Nobody@example.edu")

_ABSENT = {
    "lambda/chat-usages", "lambda/chat-usage-archive", "lambda/assistants", "lambda/poll-status", "custom/notes",
    "chat-billing/history-usage", "admin/critical-errors", "memory/projects", "se/ops-common-data",
}  # fmt: skip


def s(value: str) -> dict[str, str]:
    return {"S": value}


def n(value: object) -> dict[str, str]:
    return {"N": str(value)}


def build(aws: Any) -> dict[str, Any]:
    """Create and fill it on an `aws` fixture's server.

    Returns `deployment`, `map` (old -> new), `outside` (ids without a row in the map), `items`
    (`{table name: [items]}`), `objects` (`{bucket name: {key: body}}`) as they were written.
    """
    dynamodb, s3 = aws.client("dynamodb"), aws.client("s3")
    for schema in TABLES:
        if schema.id not in _ABSENT:
            definition = schema.properties(schema.name(DEPLOYMENT))
            for ours in ("TimeToLiveSpecification", "PointInTimeRecoverySpecification"):
                definition.pop(ours, None)
            if stream := definition.pop("StreamSpecification", None):
                definition["StreamSpecification"] = {"StreamEnabled": True, **stream}
            dynamodb.create_table(**definition)
    for bucket in BUCKETS:
        if bucket.service != "lambda-basic-ops":
            s3.create_bucket(Bucket=bucket.name(DEPLOYMENT))
    items = {_table(id_): rows for id_, rows in _items().items()}
    for table, rows in items.items():
        for item in rows:
            dynamodb.put_item(TableName=table, Item=item)
    objects = {_bucket(id_): bodies for id_, bodies in _objects().items()}
    for bucket_name, bodies in objects.items():
        for key, body in bodies.items():
            s3.put_object(Bucket=bucket_name, Key=key, Body=body, Metadata={"origin": "prod2"}, Tagging="a=1&b=x%20y")
    return {"deployment": DEPLOYMENT, "map": dict(MAP), "outside": OUTSIDE, "items": items, "objects": objects}


def _table(id_: str) -> str:
    return next(schema.name(DEPLOYMENT) for schema in TABLES if schema.id == id_)


def _bucket(id_: str) -> str:
    return next(bucket.name(DEPLOYMENT) for bucket in BUCKETS if bucket.id == id_)


def _items() -> dict[str, list[dict[str, Any]]]:
    everyone = [*MAP, *OUTSIDE]
    file = f"{SPACE}/2024-01-31/1.json"
    task_log = f"{NUMBER}/t 1/logs/x.json"
    return {
        "object-access/cognito-users": [
            {"user_id": s(user), "given_name": s(""), "version": n(index), "custom:saml_groups": {"L": []}}
            for index, user in enumerate(everyone)
        ],
        "object-access/object-access": [
            {"object_id": s(file), "principal_id": s(user), "permission_level": s("read"), "policy": {"NULL": True}}
            for user in everyone
        ],
        "object-access/amplify-groups": [
            {
                "group_id": s("G 1_x"),
                "createdBy": s(LONGER),
                "members": {"M": {user: s("write") for user in everyone}},
                "systemUsers": {"SS": ["Robot-000001", NUMBER + "-system"]},
            }
        ],
        "object-access/api-keys": [
            {"api_owner_id": s(f"{QUOTE}/ownerKey/1"), "owner": s(QUOTE), "delegate": s(SHORT), "apiKey": s("fake-1")},
            {"api_owner_id": s("Agent/ownerKey/2"), "owner": s(NUMBER), "delegate": {"NULL": True}, "apiKey": s("fake-2")},
        ],
        "admin/admin-configs": [
            {"config_id": s("admins"), "data": {"L": [s(LONGER), s(NUMBER), s(SUB)]}, "last_updated": s("t")},
            {"config_id": s("amplifyGroups"), "data": {"M": {NUMBER: {"M": {"members": {"L": [s(NUMBER)]},
                                                                            "createdBy": s(SPACE)}}}}},
        ],
        "lambda/accounts": [
            {"user": s(user), "accounts": {"L": [{"M": {"id": s("c"), "isDefault": {"BOOL": True}, "rate": n("1.10")}}]}}
            for user in everyone
        ],
        "lambda/user-tags": [{"user": s(QUOTE), "tags": {"SS": ["b", "a", QUOTE]}}, {"user": s(LONGER), "tags": {"SS": ["c"]}}],
        "lambda/chat-usage": [
            {"id": s(f"use-{index}"), "user": s(everyone[index % len(everyone)]), "time": s(f"2024-01-01T00:{index:02}"),
             "inputTokens": n(index), "digest": {"B": bytes([index])}, "scores": {"NS": ["1", "2.5"]}}
            for index in range(49)
        ],
        "lambda/cost-calculations": [
            {"id": s(SUB), "accountInfo": s(f"c#{SUB}/ownerKey/1"), "dailyCost": n("0.125"), "monthlyCost": n("3"),
             "hourlyCost": {"L": [n("0.5")] * 24}},
            {"id": s(MAP[SUB]), "accountInfo": s(f"c#{SUB}/ownerKey/1"), "dailyCost": n("1"), "monthlyCost": n("1"),
             "hourlyCost": {"L": [n("1")] * 24}},
        ],
        "lambda/history-cost-calculations": [
            {"userDate": s(f"{user}#2024-01-31"), "accountInfo": s("c#NA"), "dailyCost": n("0.1")}
            for user in (NUMBER, LONGER)
        ],
        "lambda/conversation-metadata": [
            {"user_id": s(SPACE), "conversation_id": s("c 1"), "last_modified": n(1700000000001),
             "s3_key": s(f"{SPACE}/c 1"), "code_interpreter_assistant_id": s(f"{SPACE}/ast/1")},
        ],
        "lambda/user-files": [{"id": s(file), "createdBy": s(SPACE), "updatedBy": s(LONGER), "name": s("f"), "type": s("t"),
                               "createdAt": s("t")}],
        "lambda/hash-files": [{"id": s(file), "hash": s("h"), "textLocationKey": s("global/h.content.json")}],
        "lambda/": [
            {"id": s(f"{SHORT}/9"), "user": s(SHORT), "name": s("/state/share"),
             "data": {"L": [{"M": {"sharedBy": s(QUOTE), "note": s(""), "sharedAt": n(1700000000000),
                                   "key": s(f"{SHORT}/{QUOTE}/2024-01-01/2.json")}}]},
             "settings": {"M": {"scale": n("0.5"), "on": {"BOOL": False}}}},
        ],
        "assistants/assistants": [
            {"id": s("ast/1"), "assistantId": s("astp/1"), "user": s(NUMBER), "version": n(1),
             "dataSources": {"L": [{"M": {"key": s(file)}}]}},
            {"id": s("ast/2"), "assistantId": s("astp/2"), "user": s(LONGER), "version": n(1)},
        ],
        "assistants/assistant-lookup": [
            {"astPath": s(NUMBER), "assistantId": s("astp/2"), "createdBy": s(LONGER),
             "accessTo": {"M": {"users": {"L": [s(SUB), s(LONGER)]}}},
             "pathHistory": {"L": [{"M": {"changedBy": s(SPACE), "path": s(NUMBER)}}]}},
        ],
        "agent-loop/scheduled-tasks": [
            {"user": s(NUMBER), "taskId": s("t 1"), "active": n(1), "notifyEmailAddresses": {"L": [s(SPACE)]},
             "logs": {"L": [{"M": {"executionId": s("x"), "detailsKey": s(task_log)}}]}},
        ],
        "agent-loop/email-allowed-senders": [
            {"email": s(SPACE), "tag": s("a"), "allowedSenders": {"L": [s(SPACE), s(NUMBER + ".*")]}},
        ],
        "assistants-api/user-oauth-integrations": [
            {"user_integration": s(f"{user}/google"), "integrations": {"M": {"google_drive": s("fake-blob")}}}
            for user in (NUMBER, LONGER)
        ],
        "artifacts/user-artifacts": [
            {"user_id": s(NUMBER), "artifacts": {"L": [
                {"M": {"key": s(f"{NUMBER}/20240131/Map:v2"), "name": s("Map")}},
                {"M": {"key": s(f"{NUMBER}/20240201/Gift:v1"), "name": s("Gift"), "sharedBy": s(SUB)}}]}},
        ],
        "lambda-basic-ops/user-storage": [
            {"PK": s(f"{NUMBER}#my-app#thing"), "SK": s("k"), "UUID": s("u1"), "appId": s(f"{NUMBER}#my-app"),
             "entityType": s("thing"), "createdAt": n(1), "data": {"M": {"blob": {"B": b"\x00\xff"}, "none": {"NULL": True}}}},
            {"PK": s("dr-who@example.edu#dr-who-example-edu-amplify-workflows#workflow-templates"), "SK": s("w"),
             "UUID": s("u2"), "appId": s("dr-who@example.edu#dr-who-example-edu-amplify-workflows"),
             "entityType": s("workflow-templates"), "createdAt": n(2), "data": {"M": {}}},
            {"PK": s(f"{LONGER}#my-app#thing"), "SK": s("k"), "UUID": s("u3"), "appId": s(f"{LONGER}#my-app"),
             "entityType": s("thing"), "createdAt": n(3), "data": {"M": {}}},
        ],
    }  # fmt: skip


def _objects() -> dict[str, dict[str, bytes]]:
    return {
        "lambda/user-conversations": {
            f"{SPACE}/c 1": b"{}",
            f"{NUMBER}/x+y%20é": "é".encode(),
            f"{LONGER}/kept": b"{}",
            f"temp/{NUMBER}/conversations_chunk_0.json": b"[]",
        },
        "lambda/share": {f"{SHORT}/{QUOTE}/2024-01-01/2.json": b'{"shared": true}'},
        "assistants/code-interpreter-files": {f"{QUOTE}/m-f-FN-a//b.png": b"png"},
        "agent-loop/scheduled-tasks-logs": {f"{NUMBER}/t 1/logs/x.json": b'{"executionId": "x", "ok": true}'},
        "artifacts/bucket": {
            f"{NUMBER}/20240131/Map:v2": b'{"name": "Map", "contents": [60, 62]}',
            f"{NUMBER}/20240201/Gift:v1": b'{"name": "Gift", "contents": "text", "ratio": 0.25}',
        },
        "lambda/consolidation": {f"conversations/{SUB}/already there": b"{}"},
    }
