"""The faces on a real terminal: first paint, signals, a dropped line, plain prompts, and no terminal at all."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.screens.terminal import Terminal

STAGE = "tests.screens.stage"
LEFT_SCREEN = "\x1b[?1049l"


def workspace(folder: Path, **settings: bool) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    return str(folder)


def arrive(terminal: Terminal) -> None:
    """Read what is shown on arrival, and go on."""
    terminal.until("Is this the right account?")
    terminal.type("\r")
    terminal.until(lambda: "Is this the right account?" not in terminal.text)


def start_apply(terminal: Terminal) -> None:
    arrive(terminal)
    terminal.until("[ Apply ]")
    terminal.until("Step 6c")
    terminal.settle()
    terminal.type("\t\t\r")
    terminal.until("Apply (y)")
    terminal.type("y")
    terminal.until("item ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_work_restores_the_terminal_and_can_be_resumed(tmp_path: Path, number: int) -> None:
    where = workspace(tmp_path, parameters=True, endpoint=True)
    with Terminal(STAGE, "textual", where) as terminal:
        start_apply(terminal)
        terminal.process.send_signal(number)
        assert terminal.ends() == 130
        assert LEFT_SCREEN in terminal.written
        assert "Go on any time" in terminal.written and str(tmp_path / "logs") in terminal.written
    with Terminal(STAGE, "textual", where) as terminal:
        terminal.until("step 6c, Apply")
        terminal.type("\x11")
        assert terminal.ends() == 0


def test_a_dropped_line_ends_the_process(tmp_path: Path) -> None:
    with Terminal(STAGE, "textual", workspace(tmp_path, parameters=True, endpoint=True)) as terminal:
        start_apply(terminal)
        terminal.drop()
        assert terminal.process.wait(20) == 130
    assert json.loads((tmp_path / "settings.json").read_text()).get("applied") is None


def test_ctrl_q_quits_after_the_last_outcome_too(tmp_path: Path) -> None:
    with Terminal(STAGE, "textual", workspace(tmp_path), columns=120, lines=40) as terminal:
        arrive(terminal)
        terminal.until("[ Dry run ]")
        terminal.settle()
        terminal.type("\r")
        terminal.until("Continue (Enter)")
        terminal.type("\x11")
        assert terminal.ends() == 0


def test_no_color_says_the_same_without_colours(tmp_path: Path) -> None:
    with Terminal(STAGE, "textual", workspace(tmp_path), NO_COLOR="1") as terminal:
        terminal.until("▸○ 1")
        terminal.until("✓ 0")
        terminal.type("\x11")
        assert terminal.ends() == 0


def test_ssh_outside_tmux_is_said(tmp_path: Path) -> None:
    with Terminal(STAGE, "textual", workspace(tmp_path), SSH_CONNECTION="1 2 3 4") as terminal:
        terminal.until("outside tmux or screen")
        terminal.type("\x11")
        assert terminal.ends() == 0


def test_plain_prompts_walk_the_journey(tmp_path: Path) -> None:
    with Terminal(STAGE, "plain", workspace(tmp_path), lines=60) as terminal:
        terminal.until("What now?")
        terminal.type("2\r")  # store parameters
        terminal.until("Prefix (--prefix)")
        terminal.type("\r")
        terminal.until("Store parameters now?")
        terminal.type("y")
        terminal.until("Step 4b: Free /user-data. Open")
        terminal.until("What now?")
        terminal.type("2\r")
        terminal.until("This deletes. It cannot be undone from here. Type")
        terminal.until("The word:")
        terminal.type("DELETE\r")
        terminal.until("That is not amplify-v6-lambda-basic-ops-dev.")
        terminal.until("Remove the stack: declined; nothing was touched.")
        terminal.until(lambda: terminal.text.count("What now?") >= 1 and terminal.text.rstrip().endswith("(number)"))
        terminal.type("2\r")
        terminal.until(lambda: terminal.text.count("The word:") == 2)
        assert "The dry run above still holds. The stack would be removed." in terminal.text
        terminal.type("amplify-v6-lambda-basic-ops-dev\r")
        terminal.until("Step 6c: Apply. Open")
        terminal.until(lambda: terminal.text.rstrip().endswith("(number)"))
        terminal.type("5\r")  # everything that was found out
        terminal.until("attention: Old items: 2 missing")
        terminal.until(lambda: terminal.text.rstrip().endswith("(number)"))
        terminal.type("8\r")
        assert terminal.ends() == 0
        assert "Go on any time" in terminal.text
        assert "\x1b[31m ends" not in terminal.written


def test_plain_default_of_a_question_is_no_and_what_was_typed_before_it_is_no_answer(tmp_path: Path) -> None:
    with Terminal(STAGE, "plain", workspace(tmp_path), lines=60) as terminal:
        terminal.until("What now?")
        terminal.type("2\r\ryyy")  # the field takes its Enter; the question comes after the dry run
        terminal.until("Store parameters now?")
        terminal.settle()
        terminal.type("\r")
        terminal.until("Store parameters: declined; nothing was touched.")
    assert not json.loads((tmp_path / "settings.json").read_text()).get("parameters")


def test_plain_takes_no_answer_that_is_not_offered_and_ends_with_the_input(tmp_path: Path) -> None:
    with Terminal(STAGE, "plain", workspace(tmp_path), lines=60) as terminal:
        terminal.until("What now?")
        terminal.type("99\r")
        terminal.until("A number from 1 to")
        terminal.type("\x15\x04")  # empty the line, then end of input
        assert terminal.ends() == 0
        assert "Go on any time" in terminal.text


def test_plain_ctrl_c_during_work_asks_and_stops(tmp_path: Path) -> None:
    with Terminal(STAGE, "plain", workspace(tmp_path, parameters=True, endpoint=True), lines=60) as terminal:
        terminal.until("What now?")
        terminal.type("1\r")
        terminal.until("How many changes")
        terminal.type("0\r")  # 20,000 of them: work that is not over before the signal arrives
        terminal.until("Apply now?")
        terminal.type("y")
        terminal.until("item ")
        terminal.process.send_signal(signal.SIGINT)
        terminal.until("Stop between two requests?")
        terminal.type("y")
        terminal.until("Stopped: Stopped; the same command goes on from here.")


def test_plain_sigterm_ends_with_130(tmp_path: Path) -> None:
    with Terminal(STAGE, "plain", workspace(tmp_path)) as terminal:
        terminal.until("What now?")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ends() == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_auto_stops_between_two_requests_and_says_how_to_go_on(tmp_path: Path, number: int) -> None:
    with Terminal(STAGE, "auto", workspace(tmp_path, parameters=True, endpoint=True)) as terminal:
        terminal.until("item ")
        terminal.process.send_signal(number)
        assert terminal.ends() == 130
        assert "Go on from here: amplify-migrate --dep-name v6" in terminal.text
    assert json.loads((tmp_path / "settings.json").read_text()).get("applied") is None
