"""Looks at a migrated sandbox with a plain boto3 client: nothing of the engine judges its own work.

What is expected follows from the seed alone: the ids of the map, the rows and objects as they were written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.exceptions
from boto3.dynamodb.types import TypeDeserializer

from wizard.sandbox import CREDENTIALS
from wizard.sandbox.demo import Demo
from wizard.sandbox.schemas import resource_name
from wizard.sandbox.seed import seedlings
from wizard.sandbox.seed.model import Object, Row
from wizard.text import plural

# Attributes that hold a user's id and nothing else, of tables whose old rows go with the cleanup.
_WHOLE: Mapping[str, tuple[str, ...]] = {
    "object-access/cognito-users": ("user_id",),
    "object-access/object-access": ("principal_id",),
    "object-access/api-keys": ("owner", "delegate"),
    "object-access/amplify-groups": ("createdBy",),
    "lambda/accounts": ("user",),
    "lambda/user-files": ("createdBy", "updatedBy"),
    "lambda/hash-files": ("originalCreator",),
    "lambda/user-tags": ("user",),
    "lambda/chat-usage": ("user",),
    "lambda/chat-usages": ("user",),
    "lambda/conversation-metadata": ("user_id",),
    "lambda/db-connections": ("user",),
    "lambda/cost-calculations": ("id",),
    "assistants/assistants": ("user",),
    "assistants/assistant-aliases": ("user",),
    "assistants/assistant-lookup": ("createdBy",),
    "assistants/code-interpreter-assistants": ("user",),
    "assistants/assistant-threads": ("user",),
    "assistants/assistant-thread-runs": ("user",),
    "assistants/group-assistant-conversations": ("user",),
    "agent-loop/agent-state": ("user",),
    "agent-loop/agent-event-templates": ("user",),
    "agent-loop/workflow-registry": ("user",),
    "agent-loop/scheduled-tasks": ("user",),
    "artifacts/user-artifacts": ("user_id",),
    "assistants-api/job-status": ("user",),
    "lambda-ops/ops": ("user",),
    "chat-billing/additional-charges": ("user",),
    "data-disclosure/acceptance": ("user",),
    "embedding/embedding-progress": ("originalCreator",),
    "memory/memory": ("user",),
    "memory/projects": ("user",),
}
# Buckets whose objects move, and the prefix of their new keys; the first segments of the key are ids.
_MOVED: Mapping[str, tuple[str, int]] = {
    "lambda/user-conversations": ("conversations/", 1),
    "lambda/share": ("shares/", 2),
    "assistants/code-interpreter-files": ("codeInterpreter/", 1),
    "agent-loop/agent-state": ("agentState/", 1),
    "assistants/group-conversations-content": ("agentConversations/", 0),
    "data-disclosure/storage": ("dataDisclosure/", 0),
    "api/documentation-bucket": ("apiDocumentation/", 0),
}
_EXAMPLES = 5  # of missing objects that are named
_plain = TypeDeserializer().deserialize  # numbers compare by value: DynamoDB gives 1.10 back as 1.1


@dataclass(frozen=True)
class Verdict:
    """What was found wrong, as sentences; `right` when nothing was."""

    wrong: tuple[str, ...]
    looked_at: Mapping[str, int]

    @property
    def right(self) -> bool:
        return not self.wrong

    @property
    def text(self) -> str:
        seen = ", ".join(plural(count, what) for what, count in self.looked_at.items())
        if self.right:
            return f"Read back without the engine: {seen}; every id and every object is where it belongs."
        return "\n".join(
            [f"Read back without the engine ({seen}), this is wrong:", *(f"  {one}" for one in self.wrong)]
        )

    @property
    def details(self) -> dict[str, Any]:
        return {"right": self.right, "wrong": list(self.wrong), "looked_at": dict(self.looked_at)}


def check(demo: Demo) -> Verdict:
    """Compare a sandbox at the end of its journey with what its seed makes one expect."""
    session = boto3.Session(*CREDENTIALS, region_name=demo.deployment.region)
    dynamodb = session.client("dynamodb", endpoint_url=demo.endpoint)
    s3 = session.client("s3", endpoint_url=demo.endpoint)
    ids = demo.seeded.ids
    planted = list(seedlings(demo.world))
    wrong: list[str] = []
    lost: list[str] = []
    rows = objects = 0
    for id_, attributes in _WHOLE.items():
        seeded = [one.item for one in planted if isinstance(one, Row) and one.table == id_]
        if not seeded:
            continue
        table = resource_name(id_, demo.deployment)
        found = list(_scan(dynamodb, table))
        rows += len(found)
        wrong += _misplaced(table, attributes, seeded, found, ids)
        wrong += _disturbed(table, seeded, found, ids)
    # What stood at a target before is never overwritten: there the planted copy is not what must be found.
    standing = {
        "/".join(ids.get(part, part) for part in one.key.split("/"))
        for one in planted
        if isinstance(one, Object) and one.bucket == "lambda/consolidation"
    }
    for one in planted:
        if isinstance(one, Object) and (expected := _new_key(one, ids)) and expected not in standing:
            objects += 1
            lost += _missing(s3, resource_name("lambda/consolidation", demo.deployment), expected, one)
    wrong += lost[:_EXAMPLES]
    if len(lost) > _EXAMPLES:
        wrong.append(f"and {plural(len(lost) - _EXAMPLES, 'more object')} like these")
    return Verdict(tuple(wrong), {"row": rows, "object": objects})


def _scan(dynamodb: Any, table: str) -> Iterator[dict[str, Any]]:
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]


def _misplaced(
    table: str,
    attributes: tuple[str, ...],
    seeded: list[Mapping[str, Any]],
    found: list[dict[str, Any]],
    ids: Mapping[str, str],
) -> Iterator[str]:
    """Old ids that are still there, and new ones that are not."""
    for attribute in attributes:
        there = {item[attribute].get("S", "") for item in found if attribute in item}
        wanted = {ids.get(str(item[attribute]), str(item[attribute])) for item in seeded if item.get(attribute)}
        changed = {old for old, new in ids.items() if old != new}
        if left := sorted(there & changed):
            yield f"{table}: {attribute} still holds {', '.join(left)}"
        if lost := sorted(wanted - there):
            yield f"{table}: {attribute} should hold {', '.join(lost)}"


def _disturbed(
    table: str, seeded: list[Mapping[str, Any]], found: list[dict[str, Any]], ids: Mapping[str, str]
) -> Iterator[str]:
    """Rows that hold no id of the map and are not as they were written."""
    touched = [*ids, *(new for old, new in ids.items() if old != new)]
    present = [_comparable({name: _plain(value) for name, value in one.items()}) for one in found]
    for item in seeded:
        if not any(id_ in repr(item) for id_ in touched) and _comparable(item) not in present:
            yield f"{table}: a row without an id of the map was changed"


def _comparable(item: Mapping[str, Any]) -> dict[str, Any]:
    # The bucket of group conversations is copied whole, so its pointers follow in everybody's rows.
    return {name: value for name, value in item.items() if name != "s3Location"}


def _new_key(one: Object, ids: Mapping[str, str]) -> str:
    """Where an object belongs after the migration; "" when it stays or is nobody's of the map."""
    if one.bucket not in _MOVED or one.key.startswith("temp/"):
        return ""
    prefix, segments = _MOVED[one.bucket]
    parts = one.key.split("/")
    if segments and parts[0] not in ids:
        return ""
    return prefix + "/".join([*(ids.get(part, part) for part in parts[:segments]), *parts[segments:]])


def _missing(s3: Any, bucket: str, key: str, one: Object) -> Iterator[str]:
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
    except botocore.exceptions.ClientError:
        yield f"{bucket}: {key} is missing"
        return
    if found["Body"].read() != one.body or found["Metadata"] != dict(one.metadata):
        yield f"{bucket}: {key} is not the object that it is a copy of"
