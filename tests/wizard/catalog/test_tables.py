"""The rows of the catalog against what the services deploy and what holds user ids."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from wizard.catalog.model import KEYS, MEMBERS, Ids, Table, parse
from wizard.catalog.tables import BY_KEY, TABLES, fill_email, number_is_public, own_the_file
from wizard.sandbox.schemas import TABLES as SCHEMAS

DEPLOYED = Path(__file__).resolve().parents[4] / "shared" / "deployed-schemas.json"
IDS = Ids({"ann@example.edu": "a1", "4711": "b2", "same@example.edu": "same@example.edu"})

RE_KEYED = [
    "cognito-users", "accounts", "user-artifacts", "assistant-aliases", "agent-event-templates",
    "email-allowed-senders", "workflow-registry", "scheduled-tasks", "agent-state", "ops", "job-status", "user-tags",
    "conversation-metadata", "cost-calculations", "history-cost-calculations", "user-oauth-integrations",
    "object-access", "acceptance", "user-storage", "user-data-storage", "ops-common-data", "op-log",
]  # fmt: skip
IN_PLACE = [
    "admin-configs", "api-keys", "assistants", "code-interpreter-assistants", "assistant-threads",
    "assistant-thread-runs", "amplify-groups", "assistant-lookup", "group-assistant-conversations", "chat-usages",
    "chat-usage-archive", "additional-charges", "db-connections", "user-files", "hash-files", "embedding-progress",
    "memory", "projects", "ai-code", "layered-assistants", "skills", "skill-shares", "admin-logs",
    "amplify-group-logs",
]  # fmt: skip
LEFT_ALONE = [
    "oauth-state", "request-state", "poll-status", "datasource-registry", "model-rates", "env-vars-tracking",
    "work-sessions", "work-records", "dynamic-code", "critical-errors", "history-usage",
]  # fmt: skip


def suffix(row: Table) -> str:
    return row.pattern.partition("{stage}")[2].removeprefix("-")


def deployed() -> dict[str, Any]:
    if not DEPLOYED.exists():
        pytest.skip(f"{DEPLOYED} is not beside the project")
    tables: dict[str, Any] = json.loads(DEPLOYED.read_text(encoding="utf-8"))["tables"]
    return tables


def by_pattern() -> dict[str, Table]:
    return {pattern: row for row in TABLES for pattern in (row.pattern, *row.also)}


def test_every_deployed_table_has_a_row_with_its_key() -> None:
    rows = by_pattern()
    for pattern, schema in deployed().items():
        assert pattern in rows, f"no row for {pattern}"
        assert rows[pattern].key.schema == tuple((name, kind) for name, kind, _ in schema["key"]), pattern


def test_keys_agree_with_the_schemas_of_the_sandbox() -> None:
    rows, compared = by_pattern(), 0
    for schema in SCHEMAS:
        service, _, last = schema.id.partition("/")
        row = rows.get(f"amplify-{{dep}}-{service}-{{stage}}" + (f"-{last}" if last else ""))
        if row is not None and not row.skip:
            wanted = tuple((part.partition(":")[0], part.partition(":")[2] or "S") for part in schema.key.split())
            assert row.key.schema == wanted, schema.id
            compared += 1
    assert compared > 45


def test_every_table_that_holds_ids_is_treated_as_it_must_be() -> None:
    rows = {suffix(row): row for row in TABLES if suffix(row) != "assistants" or not row.skip}
    assert rows[""].config_key == "SHARES_DYNAMODB_TABLE", "the shares table has no suffix"
    for name in RE_KEYED:
        assert rows[name].rekeyed and not rows[name].skip, name
    for name in IN_PLACE:
        assert rows[name].ids and not rows[name].rekeyed and not rows[name].skip, name
    for name in LEFT_ALONE:
        assert rows[name].skip, name


def test_only_audit_logs_wait_for_an_option() -> None:
    assert {suffix(row) for row in TABLES if row.audit} == {"admin-logs", "amplify-group-logs", "op-log"}


def test_names_are_unique() -> None:
    assert len(BY_KEY) == len(TABLES)
    patterns = Counter(pattern for row in TABLES for pattern in (row.pattern, *row.also))
    assert not [pattern for pattern, count in patterns.items() if count > 1]


def test_a_skipped_row_maps_nothing_and_says_why() -> None:
    for row in TABLES:
        assert not (row.skip and (row.ids or row.content or row.copy_to)), row.config_key


def test_no_path_is_both_mapped_and_kept() -> None:
    for row in TABLES:
        assert not {path.parts for path in row.ids} & set(row.kept), row.config_key


def test_a_rekeyed_row_says_what_happens_on_a_clash() -> None:
    undecided = {suffix(row) for row in TABLES if row.rekeyed and row.clash is None and not row.skip}
    assert undecided == {"ops-common-data", "op-log"}, "nothing is known of the one, each record of the other stands"


def test_the_order_of_apply() -> None:
    order = [suffix(row) for row in TABLES if not row.skip]
    assert order[:2] == ["user-storage", "user-data-storage"]
    assert order[-1] == "cognito-users"
    assert order.index("amplify-groups") < order.index("admin-configs")
    assert order.index("user-data-storage") < min(order.index(name) for name in ("user-artifacts", "workflow-registry"))
    mostly = [name for name in RE_KEYED if name != "cognito-users"]
    assert max(order.index(name) for name in mostly) < min(order.index(name) for name in IN_PLACE)


@pytest.mark.parametrize(
    ("table", "paths"),
    {
        "OBJECT_ACCESS_DYNAMODB_TABLE": ["object_id"],
        "API_KEYS_DYNAMODB_TABLE": ["api_owner_id", "systemId"],
        "FILES_DYNAMO_TABLE": ["id"],
        "HASH_FILES_DYNAMO_TABLE": ["id", "textLocationKey"],
        "EMAIL_SETTINGS_DYNAMO_TABLE": ["allowedSenders[]"],
        "SCHEDULED_TASKS_TABLE": ["notifyEmailAddresses[]", "apiKeyId"],
        "COGNITO_USERS_DYNAMODB_TABLE": ["email"],
        "COST_CALCULATIONS_DYNAMO_TABLE": ["accountInfo"],
        "ASSISTANTS_DYNAMODB_TABLE": ["dataSources[].id", "dataSources[].key"],
        "ASSISTANT_GROUPS_DYNAMO_TABLE": ["group_id", "inactive_old_keys[]"],
        "AMPLIFY_ADMIN_LOGS_DYNAMODB_TABLE": ["log_id", "details"],
        "JOB_STATUS_TABLE": ["stored_result.key"],
        "OLD_USER_STORAGE_TABLE": ["UUID", "original_path", "original_user_id"],
    }.items(),
)
def test_what_must_stay_is_written_down(table: str, paths: list[str]) -> None:
    assert set(paths) <= set(BY_KEY[table].keep)


def test_secrets_are_marked() -> None:
    assert "integrations" in BY_KEY["OAUTH_USER_TABLE"].secret
    assert "apiKey" in BY_KEY["API_KEYS_DYNAMODB_TABLE"].secret
    assert "password" in BY_KEY["DB_CONNECTIONS_TABLE"].secret


def test_paths_are_read_part_by_part() -> None:
    assert parse("data.*.members[]") == ("data", "*", "members", MEMBERS)
    assert parse("members{}") == ("members", KEYS)
    assert parse("data[].key") == ("data", MEMBERS, "key")
    assert parse("data[]") == ("data", MEMBERS)


# --- attributes set in addition ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "filled"),
    [
        ({"user_id": {"S": "ann@example.edu"}}, {"email": {"S": "ann@example.edu"}}),
        ({"user_id": {"S": "ann@example.edu"}, "email": {"S": "x@example.edu"}}, {}),
        ({"user_id": {"S": "4711"}}, {}),
        ({"user_id": {"S": "nobody@example.edu"}}, {}),
        ({"user_id": {"S": "same@example.edu"}}, {}),
    ],
)
def test_an_address_that_was_the_id_becomes_the_email(item: dict[str, Any], filled: dict[str, Any]) -> None:
    assert fill_email(item, item, IDS) == filled


@pytest.mark.parametrize(
    ("item", "filled"),
    [
        ({"id": {"S": "4711/2024-01-01/f.json"}}, {"originalCreator": {"S": "b2"}}),
        ({"id": {"S": "4711/2024-01-01/f.json"}, "originalCreator": {"S": "z"}}, {}),
        ({"id": {"S": "47110/2024-01-01/f.json"}}, {}),
        ({"id": {"S": "0a1b2c"}}, {}),
        ({"id": {"S": "same@example.edu/2024-01-01/f.json"}}, {}),
    ],
)
def test_a_file_key_gets_its_creator(item: dict[str, Any], filled: dict[str, Any]) -> None:
    assert own_the_file(item, item, IDS) == filled


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ({"BOOL": True}, "1"),
        ({"BOOL": False}, "0"),
        ({"S": "true"}, "1"),
        ({"S": "False"}, "0"),
        ({"S": "1"}, "1"),
        ({"N": "1"}, None),
    ],
)
def test_is_public_becomes_a_number(value: dict[str, Any], number: str | None) -> None:
    item = {"user": {"S": "4711"}, "isPublic": value}
    assert number_is_public(item, item, IDS) == ({} if number is None else {"isPublic": {"N": number}})


def test_is_public_of_other_users_stays() -> None:
    item = {"user": {"S": "nobody"}, "isPublic": {"BOOL": True}}
    assert number_is_public(item, item, IDS) == {}
