"""Plan, apply, verify and cleanup of a whole second deployment, judged item by item against what is written out here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.migration.stage import Dump, Item, Stage, n, requests_of, run, s, writes
from tests.wizard.sandbox.other_deployment import DEPLOYMENT, LONGER, MAP, NUMBER, QUOTE, SHORT, SPACE, SUB, build
from wizard.wire import canonical

EVERYONE = [*MAP, LONGER, "Nobody@example.edu"]
OLD_STORAGE, NEW_STORAGE = "lambda-basic-ops/user-storage", "lambda/user-data-storage"


def new(user: str) -> str:
    return MAP.get(user, user)


@dataclass
class Walk:
    """What was seen at each point."""

    stage: Stage
    seeded: Dump = field(default_factory=dict)
    planned: Dump = field(default_factory=dict)
    applied: Dump = field(default_factory=dict)
    cleaned: Dump = field(default_factory=dict)
    documents: dict[str, Any] = field(default_factory=dict)
    written: dict[str, dict[str, int]] = field(default_factory=dict)
    requests: dict[str, dict[str, int]] = field(default_factory=dict)

    def step(self, name: str, *words: str, workspace: str = "workspace") -> None:
        context = self.stage.context(workspace)
        seen = requests_of(context)
        ended = run(context, *words)
        assert ended.code == 0, f"{name}: {ended.text}"
        self.documents[name], self.written[name], self.requests[name] = ended.document, writes(seen), dict(seen)


@pytest.fixture(scope="module")
def walk(moto_server: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    moto_server.reset()
    build(moto_server)
    stage = Stage(moto_server, tmp_path_factory.mktemp("walk"), DEPLOYMENT)
    csv = stage.csv(MAP)
    of = Walk(stage, stage.dump())
    of.step("plan", "migrate", "plan", "--csv-file", csv)
    of.planned = stage.dump()
    of.step("apply", "migrate", "apply")
    of.applied = stage.dump()
    of.step("plan again", "migrate", "plan", "--csv-file", csv)
    of.step("apply again", "migrate", "apply")
    of.step("plan elsewhere", "migrate", "plan", "--csv-file", csv, workspace="elsewhere")
    of.step("apply elsewhere", "migrate", "apply", workspace="elsewhere")
    of.step("verify", "migrate", "verify")
    of.step("cleanup plan", "cleanup", "plan")
    of.step("cleanup", "cleanup", "apply")
    of.step("cleanup verify", "cleanup", "verify")
    of.cleaned = stage.dump()
    of.step("plan after cleanup", "migrate", "plan", "--csv-file", csv)
    yield of
    moto_server.reset()


def table(of: Dump, name: str) -> list[Item]:
    return list(of[Stage(None, None, DEPLOYMENT).name(name)].values())  # type: ignore[arg-type]


def as_stored(items: list[Item]) -> list[str]:
    return sorted(canonical(item).decode() for item in items)


def same_items(found: list[Item], expected: list[Item]) -> bool:
    return sorted(json.dumps(item, sort_keys=True) for item in found) == sorted(
        json.dumps(json.loads(text), sort_keys=True) for text in as_stored(expected)
    )


def expected() -> dict[str, list[Item]]:
    """What stands in the end, table by table."""
    file = f"{SPACE}/2024-01-31/1.json"
    return {
        "object-access/cognito-users": [
            {"user_id": s(new(user)), "given_name": s(""), "version": n(index), "custom:saml_groups": {"L": []},
             **({"email": s(user)} if user in MAP and "@" in user else {})}
            for index, user in enumerate(EVERYONE)
        ],
        "object-access/object-access": [
            {"object_id": s(file), "principal_id": s(new(user)), "permission_level": s("read"), "policy": {"NULL": True}}
            for user in EVERYONE
        ],
        "object-access/amplify-groups": [
            {"group_id": s("G 1_x"), "createdBy": s(LONGER), "members": {"M": {new(user): s("write") for user in EVERYONE}},
             "systemUsers": {"SS": ["Robot-000001", NUMBER + "-system"]}},
        ],
        "object-access/api-keys": [
            {"api_owner_id": s(f"{QUOTE}/ownerKey/1"), "owner": s(new(QUOTE)), "delegate": s(new(SHORT)), "apiKey": s("fake-1")},
            {"api_owner_id": s("Agent/ownerKey/2"), "owner": s(new(NUMBER)), "delegate": {"NULL": True}, "apiKey": s("fake-2")},
        ],
        "admin/admin-configs": [
            {"config_id": s("admins"), "data": {"L": [s(LONGER), s(new(NUMBER)), s(new(SUB))]}, "last_updated": s("t")},
            {"config_id": s("amplifyGroups"), "data": {"M": {NUMBER: {"M": {"members": {"L": [s(new(NUMBER))]},
                                                                            "createdBy": s(new(SPACE))}}}}},
        ],
        "lambda/accounts": [
            {"user": s(new(user)),
             "accounts": {"L": [{"M": {"id": s("c"), "isDefault": {"BOOL": True}, "rate": n("1.1")}}]}}
            for user in EVERYONE
        ],
        "lambda/user-tags": [
            {"user": s(new(QUOTE)), "tags": {"SS": ["b", "a", QUOTE]}}, {"user": s(LONGER), "tags": {"SS": ["c"]}},
        ],
        "lambda/chat-usage": [
            {"id": s(f"use-{index}"), "user": s(new(EVERYONE[index % len(EVERYONE)])), "time": s(f"2024-01-01T00:{index:02}"),
             "inputTokens": n(index), "digest": {"B": bytes([index])}, "scores": {"NS": ["1", "2.5"]}}
            for index in range(49)
        ],
        "lambda/cost-calculations": [
            {"id": s(new(SUB)), "accountInfo": s(f"c#{SUB}/ownerKey/1"), "dailyCost": n("1.125"), "monthlyCost": n("4"),
             "hourlyCost": {"L": [n("1.5")] * 24}},
        ],
        "lambda/history-cost-calculations": [
            {"userDate": s(f"{new(user)}#2024-01-31"), "accountInfo": s("c#NA"), "dailyCost": n("0.1")}
            for user in (NUMBER, LONGER)
        ],
        "lambda/conversation-metadata": [
            {"user_id": s(new(SPACE)), "conversation_id": s("c 1"), "last_modified": n(1700000000001),
             "s3_key": s(f"conversations/{new(SPACE)}/c 1"), "code_interpreter_assistant_id": s(f"{SPACE}/ast/1")},
        ],
        "lambda/user-files": [
            {"id": s(file), "createdBy": s(new(SPACE)), "updatedBy": s(LONGER), "name": s("f"), "type": s("t"),
             "createdAt": s("t")},
        ],
        "lambda/hash-files": [
            {"id": s(file), "hash": s("h"), "textLocationKey": s("global/h.content.json"), "originalCreator": s(new(SPACE))},
        ],
        "lambda/": [],
        "assistants/assistants": [
            {"id": s("ast/1"), "assistantId": s("astp/1"), "user": s(new(NUMBER)), "version": n(1),
             "dataSources": {"L": [{"M": {"key": s(file)}}]}},
            {"id": s("ast/2"), "assistantId": s("astp/2"), "user": s(LONGER), "version": n(1)},
        ],
        "assistants/assistant-lookup": [
            {"astPath": s(NUMBER), "assistantId": s("astp/2"), "createdBy": s(LONGER),
             "accessTo": {"M": {"users": {"L": [s(new(SUB)), s(LONGER)]}}},
             "pathHistory": {"L": [{"M": {"changedBy": s(new(SPACE)), "path": s(NUMBER)}}]}},
        ],
        "agent-loop/scheduled-tasks": [
            {"user": s(new(NUMBER)), "taskId": s("t 1"), "active": n(1), "notifyEmailAddresses": {"L": [s(SPACE)]},
             "logs": {"L": [{"M": {"executionId": s("x")}}]}},
        ],
        "agent-loop/email-allowed-senders": [
            {"email": s(new(SPACE)), "tag": s("a"), "allowedSenders": {"L": [s(SPACE), s(NUMBER + ".*")]}},
        ],
        "assistants-api/user-oauth-integrations": [
            {"user_integration": s(f"{new(user)}/google"), "integrations": {"M": {"google_drive": s("fake-blob")}}}
            for user in (NUMBER, LONGER)
        ],
        "artifacts/user-artifacts": [
            {"user_id": s(new(NUMBER)), "artifacts": {"L": [
                {"M": {"key": s("20240131/Map:v2"), "name": s("Map")}},
                {"M": {"key": s("20240201/Gift:v1"), "name": s("Gift"), "sharedBy": s(new(SUB))}}]}},
        ],
    }  # fmt: skip


@pytest.mark.parametrize("name", expected())
def test_what_stands_in_the_end(walk: Walk, name: str) -> None:
    assert same_items(table(walk.cleaned, name), expected()[name])


def test_the_plan_wrote_nothing(walk: Walk) -> None:
    assert walk.planned == walk.seeded
    assert walk.written["plan"] == walk.written["cleanup plan"] == {}


def test_old_items_stand_until_cleanup(walk: Walk) -> None:
    gone = {
        (name, key) for name, items in walk.seeded.items() for key in items if key not in walk.applied[name]
    }  # fmt: skip
    assert {name for name, _ in gone} == {walk.stage.name("lambda/cost-calculations")}
    changed = {
        name for name, items in walk.seeded.items() for key, item in items.items()
        if walk.applied[name].get(key, item) != item and _is_rekeyed(name, key, walk)
    }  # fmt: skip
    assert changed == {walk.stage.name("agent-loop/scheduled-tasks")}, "only `active` of a task's old copy changes"
    (old_task,) = [item for item in table(walk.applied, "agent-loop/scheduled-tasks") if item["user"] == s(NUMBER)]
    (seeded,) = table(walk.seeded, "agent-loop/scheduled-tasks")
    assert old_task == {**seeded, "active": n(0)}


def _is_rekeyed(name: str, key: str, walk: Walk) -> bool:
    return key not in walk.cleaned[name]


def test_items_without_a_mapped_id_are_bit_identical(walk: Walk) -> None:
    kept = 0
    for name, items in walk.seeded.items():
        for key, item in items.items():
            text = json.dumps(item, ensure_ascii=False).replace(LONGER, "").replace('\\"', '"')
            if not any(old in text for old in MAP) and not any(f'"{target}' in text for target in MAP.values()):
                assert walk.cleaned[name].get(key) == item, f"{name} {key}"
                kept += 1
    assert kept > 15


def test_the_old_user_storage_is_copied_and_never_touched(walk: Walk) -> None:
    old = walk.stage.name(OLD_STORAGE)
    stored = {item["UUID"]["S"]: item for item in table(walk.cleaned, NEW_STORAGE) if "UUID" in item}
    assert walk.seeded[old] == walk.applied[old] == walk.cleaned[old]
    assert stored["u1"]["PK"] == s(f"{new(NUMBER)}#my-app#thing")
    assert stored["u1"]["appId"] == s(f"{new(NUMBER)}#my-app")
    assert stored["u1"]["data"] == {"M": {"blob": {"B": "AP8="}, "none": {"NULL": True}}}
    assert stored["u2"]["PK"] == s("whod#amplify-workflows#workflow-templates")
    assert stored["u3"]["PK"] == s(f"{LONGER}#my-app#thing"), "the table is copied whole"


def test_content_became_rows(walk: Walk) -> None:
    keys = {(item["PK"]["S"], item["SK"]["S"]) for item in table(walk.cleaned, NEW_STORAGE)}
    assert (f"{new(NUMBER)}#amplify-artifacts#artifact-content", "20240131/Map:v2") in keys
    assert (f"{new(SUB)}#amplify-artifacts#artifact-content", f"shared-with-{new(NUMBER)}#20240201/Gift:v1") in keys
    assert (f"{new(NUMBER)}#amplify-agent-logs#scheduled-task-logs", "t 1") in keys
    assert any(partition == f"{new(SHORT)}#amplify-shares#received" for partition, _ in keys)
    (settings,) = [item for item in table(walk.cleaned, NEW_STORAGE) if "user-settings" in item["PK"]["S"]]
    assert '"scale": {"N": "0.5"}' in json.dumps(settings) and '"on": {"BOOL": false}' in json.dumps(settings)


def test_each_table_is_scanned_once(walk: Walk) -> None:
    assert walk.requests["plan"]["Scan"] == len([name for name in walk.seeded if _has_ids(name)])


def _has_ids(name: str) -> bool:
    from wizard.catalog.tables import TABLES

    row = next(
        (row for row in TABLES if DEPLOYMENT.fill(row.pattern) == name or name in map(DEPLOYMENT.fill, row.also)), None
    )
    return row is None or not row.skip


def test_each_change_is_written_once(walk: Walk) -> None:
    written = {name: count for name, count in walk.written["apply"].items() if name not in ("CopyObject", "PutObject")}
    transactions = 2  # the cost row, and the task with its old copy
    assert written.pop("DeleteItem") == 1  # the old cost row, once its sum stands
    assert written.pop("TransactWriteItems") == transactions
    items = sum(written.values()) + transactions
    planned = [entry for entry in walk.stage.entries() if entry.kind != "object"]
    assert items == len(planned)


def test_a_second_plan_is_empty_and_its_apply_writes_nothing(walk: Walk) -> None:
    for again in ("plan again", "plan elsewhere", "plan after cleanup"):
        assert (walk.documents[again]["changes"], walk.documents[again]["blocked"]) == (0, 0), again
    assert walk.written["apply again"] == walk.written["apply elsewhere"] == {}


def test_everything_that_was_planned_is_verified_and_cleaned(walk: Walk) -> None:
    assert set(walk.documents["verify"]["verdicts"]) == {"match"}
    assert walk.documents["verify"]["leftovers"]["count"] == 0
    assert walk.documents["cleanup"]["kept"] == []
    assert walk.documents["cleanup plan"]["tables"] == walk.documents["cleanup"]["tables"]
    checked = walk.documents["cleanup verify"]
    assert checked["checked"] == checked["right"] > 20
    assert checked["wrong"] == []


def test_the_lease_is_gone(walk: Walk) -> None:
    assert "amplify-migrate#lock" not in json.dumps(walk.applied) + json.dumps(walk.cleaned)


def test_unknown_references_are_reported_with_table_and_path(walk: Walk) -> None:
    found = {
        (one["place"].rpartition("-prod-")[2], one["path"]) for one in walk.documents["plan"]["unknown_references"]
    }
    assert found == {("admin-configs", "data{}"), ("assistant-lookup", "pathHistory[].path"), ("user-tags", "tags[]")}


def test_the_rows_of_others_are_counted(walk: Walk) -> None:
    assert walk.documents["plan"]["users"]["in_map"] == len(MAP)
    assert "Nobody@example.edu" in walk.documents["plan"]["not_in_map"]["examples"]
