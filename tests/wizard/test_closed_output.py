"""Output that nobody takes: the work goes on, the exit status stays that of the work, and there is never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from tests.wizard.cli_run import SETTINGS, options
from tests.wizard.migration import few
from tests.wizard.migration.stage import Stage, stage
from wizard import cli

__all__ = ["stage"]


@pytest.fixture
def planned(stage: Stage) -> Stage:
    few.fill(stage).plan()
    return stage


def ended(stage: Stage, words: str, how: str) -> tuple[int, str]:
    """Exit status and stderr of a command of a shell with this redirection."""
    command = [sys.executable, "-m", "wizard", *words.split(), *options(stage.deployment, stage.folder / "workspace")]
    process = subprocess.run(
        ["bash", "-c", f'"$@" {how}; exit ${{PIPESTATUS[0]}}', "bash", *command],
        env={"PATH": os.environ["PATH"], **SETTINGS, "AWS_ENDPOINT_URL": stage.aws.endpoint},
        capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return process.returncode, process.stderr


def test_a_reader_that_has_gone_changes_neither_the_work_nor_its_status(planned: Stage) -> None:
    """`| head -1`, also with the messages, and with a script that closes both."""
    assert ended(planned, "migrate show --json", "| true")[0] == 0
    assert ended(planned, "migrate apply --yes", "2>&1 | true") == (0, "")
    assert ended(planned, "migrate verify --json", ">&- 2>&-") == (0, "")
    assert {entry.state for entry in planned.entries()} == {"verified"}
    assert ended(planned, "cleanup apply", "2>&1 | true") == (4, ""), "not confirmed"


def test_a_full_disk_behind_the_output_is_a_sentence(planned: Stage) -> None:
    said = "No space left on device. Mend that, then run the same command again; nothing that was done is lost.\n"
    assert ended(planned, "migrate show --json", "> /dev/full") == (1, said)
    code, text = ended(planned, "nonsense --json", "> /dev/full")
    assert (code, text.startswith("Argument COMMAND"), text.count("\n")) == (2, True, 1)


def test_what_an_old_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "ascii"))
    assert cli.main(["nonsense"]) == 2
    print("Looking…", flush=True)
    assert out.getvalue() == b"Looking\\u2026\n"
