"""Where each key of each bucket goes, and whose ids are in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.catalog.bucket_model import CONSOLIDATION, ID_FIELDS, Content, Skip, target_key, unknown_segments
from wizard.catalog.buckets import BUCKETS, STANDALONE

IDS = {
    "jane.doe@example.edu": "doej1",
    "bob@example.edu": "smithb",
    "bob": "b0001",
    "12345678": "emp12345678",
    "same@example.edu": "same@example.edu",
}
ROWS = {row.config_key: row for row in BUCKETS}


@pytest.mark.parametrize(
    ("config_key", "key", "target"),
    [
        ("S3_CONVERSATIONS_BUCKET_NAME", "jane.doe@example.edu/0f", "conversations/doej1/0f"),
        ("S3_CONVERSATIONS_BUCKET_NAME", "bob/0f", "conversations/b0001/0f"),
        ("S3_CONVERSATIONS_BUCKET_NAME", "same@example.edu/0f", "conversations/same@example.edu/0f"),
        ("S3_SHARE_BUCKET_NAME", "jane.doe@example.edu/bob@example.edu/d/6c", "shares/doej1/smithb/d/6c"),
        ("S3_SHARE_BUCKET_NAME", "eve@example.edu/bob@example.edu/d/6c", "shares/eve@example.edu/smithb/d/6c"),
        ("ASSISTANTS_CODE_INTERPRETER_FILES_BUCKET_NAME", "bob/m-f-FN-a +%20", "codeInterpreter/b0001/m-f-FN-a +%20"),
        ("AGENT_STATE_BUCKET", "bob@example.edu/s-1/a//b.txt", "agentState/smithb/s-1/a//b.txt"),
        ("S3_GROUP_ASSISTANT_CONVERSATIONS_BUCKET_NAME", "astgp/77/0f.txt", "agentConversations/astgp/77/0f.txt"),
        ("S3_GROUP_ASSISTANT_CONVERSATIONS_BUCKET_NAME", "astp/77/0f.txt", "agentConversations/astp/77/0f.txt"),
        ("DATA_DISCLOSURE_STORAGE_BUCKET", "disclosure_3.pdf", "dataDisclosure/disclosure_3.pdf"),
        ("S3_API_DOCUMENTATION_BUCKET", "Amplify_API.pdf", "apiDocumentation/Amplify_API.pdf"),
        ("S3_CONVERSION_OUTPUT_BUCKET_NAME", "templates/Slides.pptx", "powerPointTemplates/Slides.pptx"),
        (CONSOLIDATION, "conversations/jane.doe@example.edu/0f", "conversations/doej1/0f"),
        (CONSOLIDATION, "shares/smithb/jane.doe@example.edu/d/6c", "shares/smithb/doej1/d/6c"),
        (CONSOLIDATION, "scheduledTaskLogs/bob/T_1/e1.json", "scheduledTaskLogs/b0001/T_1/e1.json"),
    ],
)  # fmt: skip
def test_keys_go_to_the_guides_place(config_key: str, key: str, target: str) -> None:
    assert target_key(ROWS[config_key], key, IDS) == target


@pytest.mark.parametrize(
    ("config_key", "key"),
    [
        ("S3_CONVERSATIONS_BUCKET_NAME", "bobby/0f"),
        ("S3_CONVERSATIONS_BUCKET_NAME", "Bob@example.edu/0f"),
        ("S3_SHARE_BUCKET_NAME", "eve@example.edu/mallory@example.edu/2025-09-01/bob"),
        (CONSOLIDATION, "conversations/doej1/0f"),
    ],
)
def test_objects_of_users_outside_the_map_are_not_taken(config_key: str, key: str) -> None:
    assert target_key(ROWS[config_key], key, IDS) is None


@pytest.mark.parametrize(
    ("config_key", "key"),
    [
        ("S3_CONVERSATIONS_BUCKET_NAME", "temp/bob/conversations_chunk_0.json"),
        ("S3_CONVERSION_OUTPUT_BUCKET_NAME", "bob/9d.template"),
        ("S3_CONVERSION_INPUT_BUCKET_NAME", "bob/9d-to-docx.md"),
        ("S3_RAG_INPUT_BUCKET_NAME", "bob/2025-03-02/4a.json"),
        (CONSOLIDATION, "conversion/input/bob/x.md"),
        (CONSOLIDATION, "conversations/same@example.edu/0f"),
    ],
)
def test_what_stays_has_a_reason(config_key: str, key: str) -> None:
    found = target_key(ROWS[config_key], key, IDS)
    assert isinstance(found, Skip) and found.reason


def test_content_keeps_the_fields_of_its_key() -> None:
    found = target_key(ROWS["S3_ARTIFACTS_BUCKET"], "12345678/20250305/Game:v3", IDS)
    assert found == Content("artifact", {"user": "12345678", "date": "20250305", "name": "Game:v3"})
    found = target_key(ROWS["SCHEDULED_TASKS_LOGS_BUCKET"], "bob/T_1/logs/e1.json", IDS)
    assert found == Content("task-log", {"user": "bob", "task_id": "T_1", "execution_id": "e1"})
    found = target_key(ROWS["WORKFLOW_TEMPLATES_BUCKET"], "bob/9d.json", IDS)
    assert found == Content("workflow", {"user": "bob", "template_id": "9d"})


def test_an_employee_number_is_told_from_a_date_by_its_place() -> None:
    row = ROWS["S3_ARTIFACTS_BUCKET"]
    assert target_key(row, "20250305/20250306/Game:v3", {"20250305": "doej1"}) == Content(
        "artifact", {"user": "20250305", "date": "20250306", "name": "Game:v3"}
    )
    assert target_key(row, "87654321/12345678/Game:v3", IDS) is None
    assert unknown_segments(row, "87654321/12345678/Game:v3", IDS) == ["12345678"]


def test_an_old_id_elsewhere_in_a_key_is_reported() -> None:
    row = ROWS["AGENT_STATE_BUCKET"]
    assert unknown_segments(row, "bob/s-1/bob@example.edu/x", IDS) == ["bob@example.edu"]
    assert unknown_segments(row, "bob/s-1/bobby/x", IDS) == []
    assert unknown_segments(row, "eve/s-1/bob#2025/x", IDS) == ["bob"]
    assert unknown_segments(row, "bob/s-1/same@example.edu", IDS) == []
    assert unknown_segments(row, "bob/s-1/of bob (copy).txt", IDS) == ["bob"]
    assert unknown_segments(ROWS["S3_CONVERSION_OUTPUT_BUCKET_NAME"], "bob/u.docx", IDS) == []
    assert unknown_segments(ROWS[CONSOLIDATION], "newThings/bob/x", IDS) == ["bob"]
    assert unknown_segments(ROWS[CONSOLIDATION], "conversion/input/bob/x.md", IDS) == []
    assert unknown_segments(ROWS["S3_RAG_INPUT_BUCKET_NAME"], "bob/2025-03-02/4a.json", IDS) == []


def test_standalone_buckets_have_the_guides_names() -> None:
    assert set(STANDALONE) == {"group-conversations", "api-documentation", "data-disclosure", "conversion-templates"}
    assert not any(row.per_user for row in STANDALONE.values())


def test_every_row_either_says_where_keys_go_or_why_they_stay() -> None:
    assert len(ROWS) == len(BUCKETS)
    for row in BUCKETS:
        assert bool(row.routes) != bool(row.untouched), row.config_key
        assert all([bool(route.new), bool(route.content), bool(route.stays)].count(True) == 1 for route in row.routes)


segments = st.text(st.characters(exclude_characters="/", codec="utf-8"), min_size=1, max_size=12)


@given(st.lists(segments, min_size=3, max_size=6), st.dictionaries(segments, segments, max_size=4))
def test_only_named_segments_change_and_a_key_of_new_ids_stays(parts: list[str], ids: dict[str, str]) -> None:
    for row in BUCKETS:
        target = target_key(row, "/".join(parts), ids)
        if not isinstance(target, str):
            continue
        named = sum(field in row.routes[0].old for field in ID_FIELDS)
        if row.config_key != CONSOLIDATION:
            assert target.endswith("/".join(parts[named:]))
            assert target.split("/")[1 : 1 + named] == [ids.get(part, part) for part in parts[:named]]
