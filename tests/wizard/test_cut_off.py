"""Coming back to work that did not come to its end: killed, stopped, or still running in another process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.screens.stage import gather, session_in
from wizard.context import Context
from wizard.cut_off import check_cut_off
from wizard.facts import Facts
from wizard.journey import Journey
from wizard.session import Session
from wizard.workspace import Workspace

BEGUN = {"time": 1_767_225_600.0, "dry_run": False, "process": 1}


def ran(workspace: Workspace, *commands: tuple[str, int | None]) -> None:
    """Write down commands with the status that they ended with; None: they were killed."""
    for number, (command, code) in enumerate(commands):
        workspace.write_command({"run": str(number), "command": command, **BEGUN})
        if code is not None:
            workspace.write_command({"run": str(number), "time": 1_767_225_700.0, "code": code})


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = session_in(tmp_path / "workspace")
    assert made.context is not None
    made.context.workspace.remember({"parameters": True})
    return made


def looked(session: Session) -> Facts:
    def both(context: Context) -> Facts:
        fact = check_cut_off(context)
        return Facts({**gather(context).by_name, fact.name: fact})

    session.gather_facts = both
    return session.gather()


@pytest.mark.parametrize(
    ("commands", "told"),
    [
        ([("migrate plan", 0), ("migrate apply", None), ("services verify", 0)], "did not end"),
        ([("migrate apply", 130)], "was stopped before its end"),
        ([("migrate apply", 3)], "was blocked"),
        ([("migrate apply", None), ("migrate plan", 0), ("migrate verify", 1)], "did not end"),
        ([("migrate apply", 130), ("users check", None), ("backup create", 0)], "was stopped before its end"),
        ([("migrate apply", None), ("migrate apply", 1)], ""),
        ([("migrate apply", None), ("rollback", 1), ("users check", 0)], ""),
        ([("migrate apply", None), ("migrate plan", 0), ("migrate verify", 0)], ""),
        ([("endpoint free", 130), ("users check", 0)], ""),
        ([("preflight", None), ("services verify", 130), ("users missing", None)], ""),
        ([], ""),
    ],
)
def test_what_was_cut_off_is_told_until_it_ends(session: Session, commands: list, told: str) -> None:
    assert session.context is not None
    ran(session.context.workspace, *commands)
    fact = looked(session).by_name["cut_off"]
    assert (fact.value, told in fact.found) == ({"step": "6c"} if told else {}, True)
    assert (fact.verdict == "attention") == any("Unfinished" in line for line in session.arrival())


RUNS = """
import argparse, pathlib, sys
from tests.screens.stage import session_in
from wizard.cli import _recorded
context = session_in(pathlib.Path(sys.argv[1])).context
context.account._identity = {"account": "123456789012", "arn": "arn:aws:iam::123456789012:user/x"}  # as AWS has said
with _recorded(argparse.Namespace(command="cleanup", action="verify", dry_run=False), context):
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_what_runs_in_another_process_was_not_cut_off_also_where_it_does_not_write(session: Session) -> None:
    assert session.context is not None
    workspace = session.context.workspace
    command = [sys.executable, "-c", RUNS, str(workspace.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == b"begun\n"
            fact = looked(session).by_name["cut_off"]
            assert fact.value == {} and f"is still running in process {other.pid}" in fact.found
        finally:
            other.kill()
    fact = looked(session).by_name["cut_off"]
    assert (fact.value, "did not end" in fact.found) == ({"step": "7"}, True)
    assert list(workspace.runs.iterdir())
    with workspace.running("next"):
        assert [path.name for path in workspace.runs.iterdir()] == ["next"], "what the dead left is removed"
    assert not list(workspace.runs.iterdir())
    (workspace.runs / "stray").mkdir()
    with workspace.running("next"):
        assert workspace.is_running("next"), "what cannot be opened hinders nobody"


LOOKS = """
import pathlib, sys
from tests.screens.stage import session_in
from wizard.cut_off import check_cut_off
context = session_in(pathlib.Path(sys.argv[1])).context
print("begun", flush=True)
while not (context.workspace.folder / "ended").exists():
    check_cut_off(context)
"""


def test_a_look_never_stands_in_the_way_of_a_command_that_begins(session: Session) -> None:
    assert session.context is not None
    workspace = session.context.workspace
    ran(workspace, ("migrate apply", None))
    with subprocess.Popen([sys.executable, "-c", LOOKS, str(workspace.folder)], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == b"begun\n"
            for _ in range(800):
                with workspace.alone():
                    pass
        finally:
            (workspace.folder / "ended").touch()


def test_one_comes_back_to_the_step_whose_work_was_cut_off(session: Session) -> None:
    assert session.context is not None
    session.context.workspace.remember({"endpoint": True})
    session.journey = Journey(
        tuple(replace(step, done=lambda facts: "") if step.id == "1" else step for step in session.journey.steps)
    )
    ran(session.context.workspace, ("migrate apply", None))
    looked(session)
    assert session.journey.first_open(session.facts).id == "1"
    assert session.landing().id == "6c"
    assert "Next        step 6c, Apply" in session.arrival()
    assert "  1   Populate Parameter Store: open" in session.arrival(), "no reason is announced where there is none"
    ran(session.context.workspace, ("migrate apply", 3))
    looked(session)
    assert session.landing().id == "6c" and "Unfinished  `amplify-migrate migrate apply`" in "\n".join(
        session.arrival()
    )
    session.context.workspace.remember({"applied": True})
    looked(session)
    assert session.landing().id == "1", "it is done, whoever ended it"
