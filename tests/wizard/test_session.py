"""A sitting: locks, the order of dry run and write, and what became of each action; `--auto` over it."""

from __future__ import annotations

import logging
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.screens.stage import NASTY, session_in
from wizard import auto, cli, steps
from wizard.context import Context
from wizard.errors import Blocked
from wizard.events import Control, Feed
from wizard.facts import Fact, Facts
from wizard.farewell import farewell
from wizard.forms import complaints, filled
from wizard.journey import Action, Field, Journey, Outcome, Step
from wizard.session import Choice, Session, in_thread

STACK = "amplify-v6-lambda-basic-ops-dev"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = session_in(tmp_path)
    made.gather()
    return made


def action_of(session: Session, step: str, action: str) -> Action:
    return next(one for one in session.journey[step].actions if one.id == action)


def run(session: Session, step: str, action: str, **values: str) -> Outcome:
    chosen = action_of(session, step, action)
    outcome = session.start(chosen, filled(chosen, values, session.facts)).result(20)
    session.gather()
    return outcome


def test_locks_hold_where_an_action_is_started(session: Session) -> None:
    outcome = run(session, "4b", "free")
    assert outcome.code == 3 and "step 1 comes first" in outcome.text
    assert run(session, "4b", "look").code == 0
    run(session, "1", "populate")
    assert run(session, "4b", "free").code == 0


def test_who_writes_where_the_deployment_was_not_found_is_told_before(session: Session) -> None:
    action = next(action for step in session.journey.steps for action in step.actions)
    assert session.warnings(action, {}) == list(action.warning(session.facts, {}))
    session.facts = Facts(
        {"deployment": Fact("deployment", "blocked", "Deployment", "No table of v6/dev.", "Check --region.")}
    )
    assert session.warnings(action, {})[0] == "No table of v6/dev. Check --region."


def test_an_undo_is_open_where_its_step_is_locked_again(session: Session) -> None:
    session.journey = steps.JOURNEY
    found = {
        "plan": {"id": 1, "fresh": True, "changes": 3, "counts": {"conflict": 3}, "made": 3}
    }  # after a bad verification
    session.facts = Facts({name: Fact(name, "ok", name, "", value=value) for name, value in found.items()})
    assert steps.JOURNEY["6d"].locked(session.facts)
    undo = next(action for action in session.actions(steps.JOURNEY["6d"]) if action.id == "rollback")
    assert session.refusal(undo) == ""
    assert session.refusal(action_of(session, "7", "apply"))


def test_looking_cannot_write(session: Session) -> None:
    seen: list[bool] = []

    def spy(context, values) -> Outcome:
        seen.append(context.account.read_only)
        return Outcome(0, "")

    looks, writes = (Action(effect, effect, effect, spy, lambda values: "x") for effect in ("read", "write"))
    step = Step("0", "t", "g", lambda f: "", lambda f: "", lambda f: "", (looks, writes))
    session.journey = Journey((step,))
    for action in (looks, writes):
        session.start(action, {}).result(5)
    assert seen == [True, False] and session.context.account.read_only is False


def test_a_dry_run_counts_only_while_it_is_the_last_thing_done_and_ended_well(session: Session) -> None:
    preview = action_of(session, "1", "populate-dry-run")
    values = filled(preview, {}, session.facts)
    assert session.previewed(preview, values) is None
    run(session, "1", "populate-dry-run")
    assert session.previewed(preview, values).code == 0
    assert session.previewed(preview, {"prefix": "/other"}) is None
    run(session, "1", "populate")
    assert session.previewed(preview, values) is None
    for other in ("populate-dry-run", "blocked"):  # what it looked at may be another thing after another look
        run(session, "1", other)
    assert session.previewed(preview, values) is None
    assert session.previewed(action_of(session, "1", "blocked"), {}) is None


def test_a_deployment_that_is_slow_to_open_does_not_take_the_place_of_one_chosen_later(tmp_path: Path) -> None:
    session = session_in(tmp_path, chosen=False)
    connect, opening, go_on = session.connect, threading.Event(), threading.Event()
    assert connect is not None

    def slowly(choice: Choice, feed: Feed, control: Control) -> Context:
        if choice.dep == "prod":
            opening.set()
            assert go_on.wait(10)
        return connect(choice, feed, control)

    session.connect = slowly
    slow = in_thread(lambda: session.choose(Choice("prod", "prod")))
    assert opening.wait(10)
    session.choose(Choice("v6", "dev"))
    go_on.set()
    with pytest.raises(Blocked, match="chosen meanwhile"):
        slow.result(10)
    assert session.header().deployment == "v6/dev" and session.choice.dep == "v6"


def test_a_look_that_ends_after_another_deployment_was_chosen_tells_nothing_of_it(tmp_path: Path) -> None:
    session = session_in(tmp_path, chosen=False)
    session.choose(Choice("prod", "prod"))
    gather, started, go_on = session.gather_facts, threading.Event(), threading.Event()

    def slowly(context: Context) -> Facts:
        if context.deployment.dep == "prod":
            started.set()
            assert go_on.wait(10)
        return gather(context)

    session.gather_facts = slowly
    slow = in_thread(session.gather)
    assert started.wait(10)
    session.choose(Choice("v6", "dev"))
    go_on.set()
    slow.result(10)
    assert list(session.facts) == []


def test_a_crash_becomes_an_outcome_and_a_traceback_in_the_log(session: Session) -> None:
    with session.listening():
        outcome = run(session, "1", "crash")
    assert outcome.code == 1 and "RuntimeError" in outcome.text and "\x1b" not in outcome.text
    assert "Traceback" in session.log_file.read_text()
    assert session.exit_code == 1


def test_a_second_action_waits_for_the_first(session: Session) -> None:
    run(session, "1", "populate")
    run(session, "4b", "free")
    long = action_of(session, "6c", "apply")
    future = session.start(long, {"count": "100000"})
    with pytest.raises(Blocked):
        session.start(action_of(session, "1", "blocked"), {})
    assert session.finish(10) and future.result().code == 130 and session.exit_code == 130
    assert run(session, "6c", "apply", count="3").code == 0 and session.exit_code == 0


def test_nothing_is_left_on_the_loggers(session: Session) -> None:
    before = [list(logging.getLogger(name).handlers) for name in ("", "wizard")]
    with session.listening():
        pass
    assert [list(logging.getLogger(name).handlers) for name in ("", "wizard")] == before


def test_the_farewell_says_what_was_done_and_how_to_come_back(session: Session) -> None:
    run(session, "1", "populate-dry-run")
    words = farewell(session, 200)
    assert "done" in words and str(session.log_file) in words and words.endswith("--dep-name v6 --stage dev")
    assert "\x1b" not in words and NASTY.split("\x1b")[0] in words
    lines = farewell(session, 40).split("\n")
    assert f"Log: {session.log_file}" in lines and lines[-1].strip() == session.resume, "whole, to be copied"
    assert all(len(line) <= 40 for line in lines if not line.startswith(("Log: ", "Workspace: ", "    amplify-m")))
    assert lines[1].startswith(" " * 9)


def test_what_is_thrown_away_names_no_files_and_no_way_back(session: Session) -> None:
    run(session, "1", "populate-dry-run")
    session.lasting = session.keeps = False
    words = farewell(session)
    assert "Nothing of this is kept" in words and str(session.log_file) not in words and "Go on" not in words
    session.keeps = True  # in a folder that was asked for
    words = farewell(session)
    assert "Nothing of its AWS is kept" in words and str(session.log_file) in words and "Go on" not in words


def test_the_way_back_is_made_of_the_choice(tmp_path: Path) -> None:
    session = session_in(tmp_path, chosen=False)
    session.resume_command = ""
    assert session.resume == "amplify-migrate"
    session.choose(type(session.choice)("v7", "dev", "", "my profile"))
    assert session.resume == "amplify-migrate --dep-name v7 --stage dev --region us-east-1 --profile 'my profile'"
    words = ["--workspace", "/w", "--root", "/new", "--max-write-units", "50", "--workers", "16", "--plain"]
    session.given = cli._given(cli.build_parser(()).parse_args(words))
    assert session.resume.endswith(" --root /new --workspace /w --max-write-units 50 --plain")


def test_a_needed_box_must_be_ticked(session: Session) -> None:
    clean = action_of(session, "7", "clean")
    assert complaints(clean, {"tested": "no", "hours": "24"}) == ["“Acceptance test passed” must be confirmed first."]
    boxes = steps.ticks({"a": "A", "b": "B"}, "", {})
    assert complaints(replace(clean, fields=boxes), {"a": "no"}) == ["“A”, “B” must be confirmed first."]
    assert complaints(clean, {"tested": "yes", "hours": "25"}) == ["Hours without errors is one of: 24, 48."]
    assert complaints(clean, {"tested": "yes", "hours": "48"}) == []


# --auto


def walked(session: Session, **options) -> tuple[int, str]:
    lines: list[str] = []
    code = auto.walk(session, out=lines.append, **options)
    return code, "\n".join(lines)


def test_auto_stops_before_destroying_without_the_word(session: Session) -> None:
    code, told = walked(session, confirm="DELETE")
    assert code == 3 and f"--confirm {STACK}" in told and "Stopped at step 4b" in told
    assert "skipped: the old table has no rows" in told and "done: 84 of 84 parameters" in told
    assert told.index("populate --dry-run") < told.index("populate --prefix")
    assert "\x1b" not in told


def test_auto_with_the_words_leaves_boxes_to_a_person(session: Session) -> None:
    code, told = walked(session, confirm={"4b": STACK, "7": "DELETE"})
    assert code == 3 and "must be confirmed first" in told and "done: every change is applied" in told


def test_auto_on_a_real_account_writes_only_with_yes(tmp_path: Path) -> None:
    session = session_in(tmp_path, sandbox=False)
    code, told = walked(session, confirm=STACK)
    assert code == 4 and "needs --yes" in told
    assert "parameters" not in session.context.workspace.settings()


def test_auto_goes_on_where_it_was(session: Session) -> None:
    session.context.workspace.remember({"parameters": True, "endpoint": True, "applied": True, "cleaned": True})
    code, told = walked(session)
    assert code == 0 and told.count("done: ") == 5 and "at its end" in told


def test_auto_that_cannot_go_on_stops_its_work_first(session: Session) -> None:
    def gone(line: str) -> None:
        if session.busy:
            raise RuntimeError("nobody listens")

    with pytest.raises(RuntimeError):
        auto.walk(session, confirm=STACK, yes=True, out=gone)
    assert not session.busy and session.control.cancelled


def test_auto_names_the_command_where_a_value_is_missing(session: Session) -> None:
    needed = Field("file", "User map", "FILE", lambda facts: "", required=True)
    check = Action("check", "Check", "read", lambda context, values: Outcome(0, ""),
                   lambda values: "amplify-migrate users check FILE", fields=(needed,))  # fmt: skip
    session.journey = Journey((Step("6a", "Map", "The map.", lambda f: "", lambda f: "", lambda f: "", (check,)),))
    code, told = walked(session)
    assert code == 3 and "Run it by itself" in told and "amplify-migrate users check FILE" in told


def test_auto_refuses_questions(session: Session) -> None:
    session.feed.answers = False
    assert run(session, "1", "ask").code == 3


def test_a_workspace_that_was_taken_away_is_said_and_looks_like_no_new_start(session: Session) -> None:
    session.gather()
    shutil.rmtree(session.context.workspace.folder)
    with pytest.raises(Blocked, match="is gone"):
        session.gather()
    step = session.journey["1"]
    outcome = session.start(step.actions[0], {}).result(5)
    assert outcome.code == 3 and "is gone" in outcome.text
    assert session.history[-1].outcome is outcome
