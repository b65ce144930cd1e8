"""Rows of user-data-storage as the services read them, equal every time they are made."""

from __future__ import annotations

import json
import random
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Aws
from wizard.migration import content
from wizard.migration.content import LogEntry, Origin
from wizard.migration.lzw import compress, uncompress

ORIGIN = Origin("bucket", "jane.doe@example.edu/20250305/Game:v3", 1_741_000_000, 1_795_000_000)
IDS = {"jane.doe@example.edu": "doej1", "Bob.Smith@example.edu": "smithb"}


def log(execution: str, day: int, body: Any) -> LogEntry:
    return LogEntry(execution, f"2025-09-{day:02}T09:00:00", json.dumps(body).encode())


def logs_of(row: content.Built) -> dict[str, Any]:
    logs: dict[str, Any] = row.item["data"]["M"]["logs"]["M"]
    return logs


def test_an_own_artifact() -> None:
    body = {"name": "Game", "contents": [97, 256], "score": Decimal("1.50")}
    built = content.artifact_item("doej1", "20250305/Game:v3", body, ORIGIN)
    assert built.item == {
        "PK": {"S": "doej1#amplify-artifacts#artifact-content"},
        "SK": {"S": "20250305/Game:v3"},
        "UUID": built.item["UUID"],
        "itemId": {"S": "20250305/Game:v3"},
        "appId": {"S": "doej1#amplify-artifacts"},
        "entityType": {"S": "artifact-content"},
        "createdAt": {"N": "1741000000"},
        "data": {"M": {"name": {"S": "Game"}, "contents": {"L": [{"N": "97"}, {"N": "256"}]}, "score": {"N": "1.50"}}},
        "migrated_from_s3": {"BOOL": True},
        "original_bucket": {"S": "bucket"},
        "original_path": {"S": "jane.doe@example.edu/20250305/Game:v3"},
        "migration_timestamp": {"S": "1795000000"},
    }
    assert str(uuid.UUID(built.item["UUID"]["S"])) == built.item["UUID"]["S"]
    assert content.artifact_item("doej1", "20250305/Game:v3", body, ORIGIN) == built
    assert (built.fits, built.warning) == (True, "")


def test_a_received_artifact_stands_with_its_sharer() -> None:
    built = content.artifact_item("o'smith", "20250306/Plan:v1", {}, ORIGIN, recipient="doej1")
    assert built.item["PK"] == {"S": "o-smith#amplify-artifacts#artifact-content"}
    assert built.item["SK"] == {"S": "shared-with-doej1#20250306/Plan:v1"}


def test_a_workflow_template() -> None:
    built = content.workflow_item("doej1", "9d", {"steps": []}, ORIGIN)
    assert built.item["PK"] == {"S": "doej1#amplify-workflows#workflow-templates"}
    assert (built.item["SK"], built.item["data"]) == ({"S": "9d"}, {"M": {"steps": {"L": []}}})


def test_sizes_are_told() -> None:
    assert "of at most 409,600" in content.workflow_item("u", "t", "x" * 360_000, ORIGIN).warning
    built = content.workflow_item("u", "t", "x" * 410_000, ORIGIN)
    assert not built.fits and "more than the 409,600" in built.warning
    assert content.oversize_artifact_key("doej1", "20250305/Game:v3") == "doej1/20250305/Game:v3"


def test_logs_are_compressed_only_where_that_makes_the_item_smaller() -> None:
    repetitive = {"lines": ["the same line of a log"] * 400}
    text = "".join(chr(97 + (i * i * 7 + i) % 26) for i in range(50))
    result = content.task_logs_item("doej1", "T_1", [log("e1", 1, repetitive), log("e2", 2, {"t": text})], ORIGIN)
    assert result.row.item["data"]["M"]["user"] == {"S": "doej1"}
    assert result.row.item["data"]["M"]["taskId"] == {"S": "T_1"}
    logs = logs_of(result.row)
    codes = [int(code["N"]) for code in logs["e1"]["L"]]
    assert json.loads(uncompress(codes)) == repetitive
    assert logs["e2"] == {"M": {"t": {"S": text}}}
    assert (result.archived, result.added) == ((), ("e1", "e2"))


def test_a_text_that_would_come_back_changed_is_not_compressed() -> None:
    body = {"lines": ["U+20ac is no euro sign here"] * 400}
    assert "M" in logs_of(content.task_logs_item("u", "t", [log("e", 1, body)], ORIGIN).row)["e"]
    assert logs_of(content.task_logs_item("u", "t", [log("e", 1, "[1] " * 300)], ORIGIN).row)["e"].keys() <= {"S", "L"}


def test_logs_of_a_row_that_stands_are_merged_and_nothing_is_dropped() -> None:
    existing = {
        "PK": {"S": "doej1#amplify-agent-logs#scheduled-task-logs"},
        "SK": {"S": "T_1"},
        "UUID": {"S": "kept"},
        "createdAt": {"N": "1"},
        "data": {"M": {"taskId": {"S": "T_1"}, "more": {"N": "1"}, "logs": {"M": {"e1": {"S": "its own"}}}}},
    }  # fmt: skip
    result = content.task_logs_item("doej1", "T_1", [log("e1", 1, "old"), log("e2", 2, "new")], ORIGIN, existing)
    assert logs_of(result.row) == {"e1": {"S": "its own"}, "e2": {"S": "new"}}
    assert result.row.item["UUID"] == {"S": "kept"} and result.row.item["data"]["M"]["more"] == {"N": "1"}
    assert result.added == ("e2",)
    again = content.task_logs_item("doej1", "T_1", [log("e1", 1, "old"), log("e2", 2, "new")], ORIGIN, result.row.item)
    assert (again.added, again.row.item) == ((), result.row.item)
    assert content.is_present(again.row.item, result.row.item)
    assert not content.is_present(result.row.item, existing)


def test_the_newest_logs_stay_in_the_row_and_the_others_are_archived_as_they_were() -> None:
    noise = random.Random(1)
    entries = [log(f"e{day}", day, noise.randbytes(50_000).hex()) for day in (3, 1, 5, 2, 4)]
    result = content.task_logs_item("doej1", "T_1", entries, ORIGIN)
    assert set(logs_of(result.row)) == {"e3", "e4", "e5"} and result.row.size <= content.LARGE
    bodies = {entry.execution_id: entry.body for entry in entries}
    assert {archived.key: archived.body for archived in result.archived} == {
        f"scheduledTaskLogs/doej1/T_1/{execution}.json": bodies[execution] for execution in ("e1", "e2")
    }
    assert set(result.added) == set(bodies)
    again = content.task_logs_item("doej1", "T_1", entries, ORIGIN, result.row.item)
    assert set(again.added) == {"e1", "e2"} and set(again.archived) == set(result.archived)


def test_a_log_that_fits_in_no_row_takes_no_room_from_the_others() -> None:
    noise = random.Random(2)
    entries = [log("old", 1, "short"), log("huge", 9, noise.randbytes(200_000).hex())]
    result = content.task_logs_item("doej1", "T_1", entries, ORIGIN)
    assert (set(logs_of(result.row)), [archived.key[-9:] for archived in result.archived]) == ({"old"}, ["huge.json"])


@given(st.lists(st.integers(1_000, 120_000), min_size=1, max_size=9))
@settings(max_examples=5)
def test_a_second_run_archives_exactly_the_same(sizes: list[int]) -> None:
    noise = random.Random(3)
    entries = [log(f"e{n}", n + 1, noise.randbytes(size).hex()) for n, size in enumerate(sizes)]
    first = content.task_logs_item("doej1", "T_1", entries, ORIGIN)
    again = content.task_logs_item("doej1", "T_1", entries, ORIGIN, first.row.item)
    assert (again.row, again.archived) == (first.row, first.archived)
    assert len(logs_of(first.row)) + len(first.archived) == len(entries) and first.row.size <= content.LARGE


def test_a_row_of_another_form_is_left_alone() -> None:
    existing = {"PK": {"S": "p"}, "SK": {"S": "s"}, "data": {"M": {"logs": {"L": []}}}}
    with pytest.raises(ValueError, match="no map of logs"):
        content.task_logs_item("doej1", "T_1", [log("e", 1, "x")], ORIGIN, existing)


def test_settings_keep_every_digit() -> None:
    wanted = {"M": {"theme": {"S": "dark"}, "n": {"N": "1.2345678901234567890"}, "tags": {"SS": ["a"]}}}
    built = content.settings_item("doej1", "jane.doe@example.edu", wanted, 1, 2)
    assert built.item["PK"] == {"S": "doej1#amplify-user-settings#user-settings"}
    assert built.item["SK"] == {"S": "user-settings"}
    assert built.item["data"] == {"M": {"settings": wanted}}
    assert built.item["migrated_from_shares_table"] == {"BOOL": True}
    assert built.item["original_user_id"] == {"S": "jane.doe@example.edu"}


def share(key: str, shared_by: str = "Bob.Smith@example.edu", shared_at: str = "1725000000000") -> dict[str, Any]:
    return {"M": {"sharedBy": {"S": shared_by}, "note": {"S": "look"}, "sharedAt": {"N": shared_at}, "key": {"S": key}}}


def test_a_received_share() -> None:
    name = "6c0a2b1e-0000-4000-8000-000000000001"
    key = f"jane.doe@example.edu/Bob.Smith@example.edu/2025-09-01/{name}.json"
    built = content.received_share_item("jane.doe@example.edu", share(key), IDS, 5)
    assert built.item["PK"] == {"S": "doej1#amplify-shares#received"}
    assert built.item["SK"] == {"S": f"smithb#2025-09-01#{name}"}
    assert built.item["createdAt"] == {"N": "1725000000"}
    assert built.item["data"]["M"] == {
        "sharedBy": {"S": "smithb"},
        "note": {"S": "look"},
        "sharedAt": {"N": "1725000000000"},
        "key": {"S": f"shares/doej1/smithb/2025-09-01/{name}.json"},
    }
    assert content.received_share_item("doej1", share(f"shares/{key}"), IDS, 5).item["SK"] == built.item["SK"]
    lowered = content.received_share_item("doej1", share(key, "bob.smith@example.edu"), IDS, 5)
    assert lowered.item["data"] == built.item["data"]


def test_a_share_without_date_or_uuid_in_its_key_still_gets_the_same_sort_key_each_time() -> None:
    entry = share("jane.doe@example.edu/Bob.Smith@example.edu/x.json", shared_at="1725235199000")
    one = content.received_share_item("jane.doe@example.edu", entry, IDS, 5).item["SK"]["S"]
    assert one == content.received_share_item("jane.doe@example.edu", entry, IDS, 6).item["SK"]["S"]
    assert one.startswith("smithb#2024-09-01#")  # 23:59:59 UTC
    with pytest.raises(ValueError, match="no key"):
        content.received_share_item("doej1", {"M": {"note": {"S": ""}}}, IDS, 5)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**37), 10**37)
    | st.floats(min_value=-1e100, max_value=1e100).filter(lambda number: not 0 < abs(number) < 1e-100)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), inner),
    max_leaves=15,
)  # fmt: skip


def plain_value(value: dict[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    match kind:
        case "N":
            return Decimal(inner)
        case "NULL":
            return None
        case "L":
            return [plain_value(member) for member in inner]
        case "M":
            return {name: plain_value(member) for name, member in inner.items()}
    return inner


@given(json_values)
def test_any_json_is_carried_to_the_digit(value: Any) -> None:
    def exact(found: Any) -> Any:
        if isinstance(found, float):
            return Decimal(repr(found))
        if isinstance(found, list):
            return [exact(member) for member in found]
        return {name: exact(member) for name, member in found.items()} if isinstance(found, dict) else found

    assert plain_value(content.to_wire(content.parse_body(json.dumps(value).encode()))) == exact(value)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"NaN", b'"\\ud83d"', b'{"":1}', b"1e999", b"[" * 40 + b"]" * 40, b"1" * 39, b"\xff", b"[" * 100_000],
)
def test_what_dynamodb_cannot_hold_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        content.to_wire(content.parse_body(body))
    assert len(str(caught.value)) < 200


def test_rows_are_accepted_by_dynamodb(aws: Aws) -> None:
    client = aws.client("dynamodb")
    client.create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK")],
    )
    body = {"contents": compress("hello world " * 50), "x": None, "y": [True, Decimal("0.10")], "z": {}}
    built = content.artifact_item("doej1", "20250305/Game:v3", body, ORIGIN)
    client.put_item(TableName="t", Item=built.item)
    found = client.get_item(TableName="t", Key={"PK": built.item["PK"], "SK": built.item["SK"]})["Item"]
    assert content.is_present(built.item, found)


def test_a_log_stands_where_its_execution_has_the_same_compressed_or_not() -> None:
    body = {"result": "the same text over and over " * 50, "cost": 0.1}
    packed = content.task_logs_item("u", "t", [log("e", 1, body)], ORIGIN).row.item
    assert "L" in packed["data"]["M"]["logs"]["M"]["e"]
    plain = json.loads(json.dumps(packed))
    plain["data"]["M"]["logs"]["M"]["e"] = content.to_wire(content.parse_body(json.dumps(body).encode()))
    for standing in packed, plain:
        assert content.task_logs_item("u", "t", [log("e", 1, body)], ORIGIN, standing).others == ()
        other = log("e", 1, {**body, "cost": 0.2})
        result = content.task_logs_item("u", "t", [other], ORIGIN, standing)
        assert (result.others, result.added, result.row.item) == ((other,), (), standing)


@pytest.mark.parametrize("standing", [{"L": [{"N": "1.5"}]}, {"L": [{"N": "97"}, {"N": "300"}]}, {"NULL": True}])
def test_what_is_no_log_is_another_one(standing: dict[str, Any]) -> None:
    existing = {"data": {"M": {"logs": {"M": {"e": standing}}}}}
    assert content.task_logs_item("u", "t", [log("e", 1, "x")], ORIGIN, existing).others == (log("e", 1, "x"),)
