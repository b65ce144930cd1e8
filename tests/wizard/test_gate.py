"""The question before a command that writes: what it shows, what it takes for an answer, and what is refused before it asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.screens.terminal import Terminal
from tests.wizard.cli_run import SETTINGS, Cli, options, reach
from tests.wizard.migration import few
from tests.wizard.migration.stage import Stage, stage
from wizard.workspace import Workspace

__all__ = ["stage"]
HERE = "in v6/dev in us-east-1 of account 123456789012"


@pytest.fixture
def cli(stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    reach(monkeypatch, stage.aws.endpoint)
    return Cli(stage.deployment, stage.folder / "workspace", capsys)


def answered(stage: Stage, answer: str, *words: str) -> tuple[int, str]:
    """Exit status and screen of a command on a terminal, once its question was answered."""
    command = ["wizard", *words, *options(stage.deployment, stage.folder / "workspace")]
    with Terminal(*command, columns=160, **SETTINGS, AWS_ENDPOINT_URL=stage.aws.endpoint) as terminal:
        terminal.until(HERE)
        terminal.type(answer)
        return terminal.ends(60), terminal.text


def test_it_says_where_and_how_much_before_it_asks(stage: Stage) -> None:
    few.fill(stage).plan()
    before = stage.dump()
    code, shown = answered(stage, "\r", "migrate", "apply")
    assert code == 4 and "Declined; nothing was touched." in shown and stage.dump() == before
    changes = sum(entry.state == "planned" for entry in stage.entries())
    assert (
        f"{changes} changes will be made. Afterwards:" in shown and "cannot be downloaded under a changed id" in shown
    )
    code, shown = answered(stage, "y\r", "migrate", "apply")
    assert code == 0 and f"This writes {HERE}. Go on? [y/N] y" in shown
    code, shown = answered(stage, "DELETE\r", "rollback")
    assert code == 4 and f"{changes} changes will be undone" in shown and "The word was not typed" in shown
    assert f"This cannot be undone {HERE}. Type ROLLBACK to go on: DELETE" in shown


def test_a_signal_is_an_answer(stage: Stage) -> None:
    few.fill(stage).plan()
    before = stage.dump()
    code, shown = answered(stage, "\x03", "migrate", "apply")
    assert code == 130 and "Stopped; the same command goes on from here." in shown
    assert stage.dump() == before


def test_what_is_locked_is_said_before_anything_is_asked(stage: Stage, cli: Cli) -> None:
    for words in (("migrate", "apply"), ("cleanup", "apply"), ("cleanup", "mark"), ("rollback",)):
        assert cli(*words) == 3, words
        assert "There is no plan yet" in cli.printed[-1]
    few.fill(stage).plan()
    assert cli("migrate", "apply", "--yes") == 0
    assert "Afterwards:\n  Files made by the code interpreter" in cli.printed[-1], "also where nobody is asked"
    for words in (("cleanup", "apply"), ("cleanup", "apply", "--confirm", "DELETE"), ("cleanup", "mark")):
        assert cli(*words) == 3, words
        assert "step 6d" in cli.printed[-1]
    assert cli("migrate", "verify") == 0
    assert cli("cleanup", "apply") == 4
    assert "old records will be deleted where the copy exists" in cli.printed[-1]


def test_a_blocked_preview_is_no_question(stage: Stage, cli: Cli, tmp_path: Path) -> None:
    service = tmp_path / "checkout" / "amplify-a"
    service.mkdir(parents=True)
    (service / "serverless.yml").write_text(
        "service: amplify-v6-a\nprovider:\n  environment:\n"
        "    # Locally Defined Variables\n    X: y\n    # Imported Variables\n"
        "    Y: ${ssm:/amplify/dev/amplify-v6-b/NOWHERE}\n"
    )
    with Terminal(
        "wizard", "parameters", "populate", "--root", str(service.parent),
        *options(stage.deployment, cli.workspace), columns=160, **SETTINGS, AWS_ENDPOINT_URL=stage.aws.endpoint,
    ) as terminal:  # fmt: skip
        assert terminal.ends(60) == 3 and "It cannot be done as long as that stands." in terminal.text


def test_one_workspace_has_one_writer(stage: Stage, cli: Cli) -> None:
    few.fill(stage).plan()
    with Workspace(cli.workspace).alone():
        for words in (("backup", "create"), ("parameters", "restore"), ("migrate", "apply")):
            assert cli(*words, "--yes") == 3, words
            assert "is in use by process" in cli.printed[-1]
        told = [json.loads(line) for line in (cli.workspace / "commands.jsonl").read_text().splitlines()]
        assert [line["code"] for line in told if "code" in line][-3:] == [3, 3, 3], "a refused command is on record"
        assert cli("migrate", "apply", "--dry-run") == 0 and cli("endpoint", "show") == 0, "looking is always possible"


def test_an_error_nobody_foresaw_is_one_sentence_and_a_traceback_in_the_log(stage: Stage, cli: Cli) -> None:
    few.fill(stage).plan()
    assert cli("report", "--output", str(cli.workspace / "\0")) == 1
    assert "Traceback" not in cli.printed[-1] and cli.printed[-1].count("\n") == 1
    assert "Traceback" in (cli.workspace / "logs" / "amplify-migrate.log").read_text()


def test_where_nothing_is_to_do_nothing_is_asked(stage: Stage, cli: Cli) -> None:
    few.fill(stage).plan()
    assert cli("rollback") == 0 and cli("parameters", "restore", "--yes") == 0
    assert cli("migrate", "apply", "--yes") == 0
    assert cli("migrate", "apply") == 0
    assert cli("endpoint", "free", "--how", "stack") == 0
    assert "nothing to free" in cli.printed[-2] or "it is free" in cli.printed[-2]
