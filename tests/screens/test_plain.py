"""Plain prompts before a deployment is open: what is asked, and what is said when it does not come to one."""

from __future__ import annotations

import os
import pty
import select
from dataclasses import replace
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from screens.plain import Walk
from screens.prompts import choose_named, entered, forget_what_was_typed
from tests.screens.stage import STEPS, gather, session_in
from wizard.context import Context
from wizard.errors import NoCredentials
from wizard.events import Control, Feed, Finding, Question
from wizard.facts import Facts
from wizard.journey import Action, Journey, Outcome, Values
from wizard.session import Choice, Session, in_thread
from wizard.steps import TRIED


class Agreeing(Walk):
    """Agrees to everything that running work asks."""

    def answer(self, question: Question) -> bool:
        return True


def test_what_opening_and_looking_ask_is_answered(tmp_path: Path) -> None:
    """Expired credentials may be met before any action runs."""
    opened, asked = session_in(tmp_path).context, []

    def ask(feed: Feed, control: Control) -> None:
        feed.ask(Question("The credentials expired."), control)
        asked.append("agreed")

    def open_(choice: Choice, feed: Feed, control: Control) -> Context:
        ask(feed, control)
        return opened

    def looks(context: Context) -> Facts:
        ask(context.feed, context.control)
        return gather(context)

    walk = Agreeing(Session(session_in(tmp_path).journey, looks, open_, choice=Choice("v6", "dev")))
    assert in_thread(walk.settled).result(60)
    in_thread(walk.look).result(60)
    assert asked == ["agreed", "agreed"] and walk.session.facts.known("identity")


def test_what_nobody_foresaw_before_a_deployment_is_chosen_names_a_log_only_where_there_is_one(tmp_path: Path) -> None:
    def fails() -> None:
        raise RuntimeError("of all things")

    for file in (None, tmp_path / "x.log"):
        session = session_in(tmp_path / "workspace", chosen=False)
        session.log_to = file
        with session.listening():
            why, _ = Walk(session).tried("looking there", fails)
        assert "RuntimeError: of all things" in why
        assert ("Start again with --log FILE" in why) == (file is None)
    assert "Traceback" in (tmp_path / "x.log").read_text()


def test_without_credentials_the_ways_to_give_them_are_said(tmp_path: Path) -> None:
    def fails() -> None:
        raise NoCredentials("No AWS credentials were found.")

    why, _ = Walk(session_in(tmp_path)).tried("looking there", fails)
    assert "Three ways to give credentials:" in why


def test_what_a_plan_gives_to_think_about_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def plans(context: Context, values: Values) -> Outcome:
        context.feed.emit(Finding("attention", "notes", "an old id where nobody expected one"))
        context.feed.emit(Finding("note", "skills", "does not exist"))
        return Outcome(0, "Plan 1: 3 changes\n  ! notes: an old id where nobody expected one")

    def thinks(outcome: Outcome) -> list[str]:
        return ["! notes: an old id where nobody expected one", "", "1.5 per user"]

    plan = Action("plan", "Make the plan", "read", plans, lambda values: "amplify-migrate migrate plan", review=thinks)
    step = replace(STEPS[1], actions=(plan,))
    walk = Walk(session_in(tmp_path, journey=Journey((STEPS[0], step))))
    assert walk.perform(step, plan) is not None
    told = capsys.readouterr().out
    assert told.count("an old id where nobody expected one") == 1 and "note: skills: does not exist" in told
    assert told.index("Plan 1: 3 changes") < told.index("Stop and think:") < told.index("1.5 per user")


def test_a_step_is_chosen_by_its_name_and_a_tick_is_asked_for_as_what_was_tried(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("99\r\x15 4B \r")
        assert choose_named("Which step?", {"4a": "Back up: done", "4b": "Free: open"}) == "4b"
        keys.send_text("y")
        assert entered(TRIED[0], "") == "yes"
    assert "  4b  Free: open\n" in capsys.readouterr().out
    assert TRIED[0].label == "Tried: log in as an ordinary user"


def test_what_is_typed_while_a_dry_run_works_is_no_answer_to_the_question_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits in the terminal itself: nobody reads keys meanwhile."""
    master, slave = pty.openpty()
    with os.fdopen(master, "wb", buffering=0) as keys, os.fdopen(slave, encoding="utf-8") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        keys.write(b"y\rDELETE\r")
        assert select.select([terminal], [], [], 10)[0]
        with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
            forget_what_was_typed()
        assert not select.select([terminal], [], [], 0)[0]
