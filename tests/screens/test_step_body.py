"""Where a step has the focus when one comes to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult

import screens.app
from screens.widgets.step_body import Place, StepBody
from wizard.facts import Fact, Facts
from wizard.journey import status
from wizard.steps import JOURNEY


class OneStep(App[None]):
    """A step of the journey, and nothing around it."""

    CSS_PATH = Path(screens.app.__file__).with_name("wizard.tcss")

    def __init__(self, step_id: str, values: dict[str, Any]):
        super().__init__()
        self.step = JOURNEY[step_id]
        self.facts = Facts({name: Fact(name, "ok", name, "", value=value) for name, value in values.items()})

    def compose(self) -> ComposeResult:
        offered = [(one, self.step.locked(self.facts)) for one in self.step.actions if one.applies(self.facts)]
        refused = [(one, "" if one.effect == "read" or one.undo else why) for one, why in offered]
        yield StepBody(self.step, status(self.step, self.facts), self.facts, refused, [], {}, None)


HALF_UNDONE = {"id": 1, "changes": 9, "counts": {"planned": 9, "applied": 3}, "made": 3, "fresh": False, "undone": True}


@pytest.mark.parametrize("step", ["6c", "6d"])
@pytest.mark.parametrize(("cut_off", "focused"), [("rollback", "rollback-dry-run"), ("", "")])
async def test_an_undo_that_was_cut_off_is_what_one_goes_on_with(step: str, cut_off: str, focused: str) -> None:
    app = OneStep(step, {"plan": HALF_UNDONE, "verification": {}, "cut_off": {"step": cut_off} if cut_off else {}})
    async with app.run_test(size=(80, 24)) as pilot:
        body = app.query_one(StepBody)
        body.focus_on(None)
        await pilot.pause()
        usual = {"6c": "status", "6d": "verify"}[step]
        assert body.place() == Place(focused or usual)
