"""Work that did not come to its end: the last command of a workspace, if it was stopped or killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wizard import evidence
from wizard.context import Context
from wizard.facts import Fact
from wizard.report import step_of, when

# They only look, and one of them is watched until it is stopped: nothing is to be gone on with.
_LOOKS = ("preflight", "services verify")
# What not every command ends, as only the ledger knows of it: by what the rest is made, taken back, or seen to be none.
_RESUMED_BY = {
    "migrate apply": ("migrate apply", "rollback", "migrate verify"),
    "rollback": ("rollback", "migrate apply", "migrate verify"),
    "cleanup apply": ("cleanup apply", "cleanup mark"),
    "cleanup mark": ("cleanup mark", "cleanup apply"),
}
_STOPPED = (None, 130)
# By its status; None: killed. What is blocked may not have begun, or may have lost its lock in the middle.
_HOW = {None: "did not end", 130: "was stopped before its end", 3: "was blocked"}


def check_cut_off(context: Context) -> Fact:
    """The last command that carries out a step, if it did not end; {} where it ended, or is still running elsewhere.

    An apply, a rollback and a cleanup also after other commands, until what they began is gone on with.
    """
    done = [
        one
        for one in evidence.commands(context.workspace.command_log)
        if not one.get("dry_run") and one["command"] not in _LOOKS and step_of(one["command"])
    ]
    last: dict[str, Any] = done[-1] if done else {"code": 0}
    if last["code"] not in _STOPPED:
        last = next(_left_open(done), last)
    if last["code"] not in _HOW:
        return Fact("cut_off", "ok", "Unfinished work", "none", "", {})
    command, began = f"`amplify-migrate {last['command']}`", when(last["time"])
    if last["code"] is None and context.workspace.is_running(str(last["run"])):
        return Fact(
            "cut_off", "attention", "Unfinished work", f"{command} of {began} is still running in process {last['process']}",
            "Wait for it, or stop it there.", {},
        )  # fmt: skip
    return Fact(
        "cut_off", "ok" if last["code"] == 3 else "attention", "Unfinished work", f"{command} of {began} {_HOW[last['code']]}",
        "The same goes on from there.",
        {"step": step_of(last["command"])},
    )  # fmt: skip


def _left_open(done: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The commands that were stopped and that nothing after them has gone on with, the last one first."""
    ended: set[str] = set()
    for one in reversed(done):
        resumed_by = _RESUMED_BY.get(one["command"], ())
        if one["code"] in _STOPPED and resumed_by and ended.isdisjoint(resumed_by):
            yield one
        if one["code"] == 0 or (resumed_by and one["code"] not in _STOPPED):
            ended.add(one["command"])
