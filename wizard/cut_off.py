"""Work that did not come to its end: the last command of a workspace, if it was stopped or killed."""

from __future__ import annotations

from typing import Any

from wizard import evidence
from wizard.context import Context
from wizard.facts import Fact
from wizard.report import step_of, when

# They only look, and one of them is watched until it is stopped: nothing is to be gone on with.
_LOOKS = ("preflight", "services verify")


def check_cut_off(context: Context) -> Fact:
    """The last command that carries out a step, if it did not end; {} where it ended, or is still running elsewhere."""
    done = [
        one
        for one in evidence.commands(context.workspace.command_log)
        if not one.get("dry_run") and one["command"] not in _LOOKS and step_of(one["command"])
    ]
    last: dict[str, Any] = done[-1] if done else {"code": 0}
    if last["code"] not in (None, 130):
        return Fact("cut_off", "ok", "Unfinished work", "none", "", {})
    command, began = f"`amplify-migrate {last['command']}`", when(last["time"])
    if last["code"] is None and (holder := context.workspace.holder()):
        return Fact(
            "cut_off", "attention", "Unfinished work", f"{command} of {began} is still running in {holder}",
            "Wait for it, or stop it there.", {},
        )  # fmt: skip
    how = "did not end" if last["code"] is None else "was stopped before its end"
    return Fact(
        "cut_off", "attention", "Unfinished work", f"{command} of {began} {how}", "The same goes on from there.",
        {"step": step_of(last["command"])},
    )  # fmt: skip
