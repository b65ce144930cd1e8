"""The plan in ordinary lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from screens.plain import Walk
from screens.plain_results import page, view
from tests.screens.stage import SomeResults, session_in
from wizard.results import ChangeRow, TableRow, names
from wizard.steps import JOURNEY


def test_changes_of_buckets_which_come_before_those_of_tables_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    change = ChangeRow(7, (-3, 7), "S3_FILES", "copy", "files: ada/1.txt", "storage: adaj/1.txt", "ada", "planned")
    page(lambda after: [change] if after < change.position else [])
    assert "7. planned copy: files: ada/1.txt" in capsys.readouterr().out


def test_rows_that_write_to_one_place_are_told_apart() -> None:
    rows = [TableRow("A", "storage", {}), TableRow("B", "storage", {}), TableRow("C", "accounts", {})]
    assert names(rows) == ["storage (A)", "storage (B)", "accounts"]


def test_the_plan_is_looked_at_by_table_user_state_conflicts_and_unknown_references(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers = ["1", "1", "2", "2", "3", "2", "4", "5", "6", "7"]
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("".join(f"{answer}\r" for answer in answers))
        view(SomeResults())
    told = capsys.readouterr().out
    for words in (
        "amplify-v6-lambda-dev-accounts: 12 planned, 1 conflict", "accounts: user=adaj (of\n   ada@example.edu)",
        "ben@example.edu: 5 planned, 1 conflict", "conflict: 1", "3. conflict copy",
        "amplify-v6-lambda-dev-notes: meta.owner", "2 users have no row at all",
    ):  # fmt: skip
        assert words in told, words
    assert "\x1b[31m" not in told


def test_what_a_choice_does_not_need_is_not_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = JOURNEY["4b"]
    free = next(action for action in step.actions if action.id == "free")
    for how, asked in (("1", False), ("2", True)):
        walk = Walk(session_in(tmp_path))
        with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
            keys.send_text(f"{how}\r" + ("/old\r" if asked else ""))
            values = walk.enter(step, free)
        assert ("--old-root" in free.command(values or {})) is asked
        assert ("the folder of the release" in capsys.readouterr().out) is asked
