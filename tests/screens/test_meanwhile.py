"""What is typed while the account is looked at, which may take long: it stays, goes on, and starts what it was meant to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from screens.app import WizardApp
from screens.asking import Arrival, Ask, Tell
from screens.running import Running
from screens.widgets.start import StartForm
from screens.widgets.step_body import ActionRow, StepBody
from tests.screens.stage import STEPS, gather, session_in
from tests.screens.test_hasty_keys import strike
from tests.screens.test_wizard import SIZE, at_step, finish_run, journey, press_action, screen_text, until
from wizard.context import Context
from wizard.facts import Facts
from wizard.journey import Outcome
from wizard.session import Look


class Gate:
    """Looks at the account wait while it is closed."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()

    def gather(self, context: Context) -> Facts:
        self.open.wait(20)
        return gather(context)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.set()


@pytest.fixture
def slow(tmp_path: Path, gate: Gate) -> Iterator[WizardApp]:
    session = session_in(tmp_path / "workspace", gather=gate.gather)
    with session.listening():
        yield WizardApp(session)
    session.finish(5)


async def look_ends(pilot: Pilot[int], gate: Gate) -> None:
    gate.open.set()
    await until(pilot, lambda: not journey(pilot.app).query("#body.-looking"))
    await pilot.pause(0.05)


def focused_action(app: WizardApp) -> str:
    rows = (row for row in journey(app).query(ActionRow) if row.has_focus_within)
    return next((row.offered.id for row in rows), "")


async def test_letters_that_come_with_the_tab_before_them_are_typed_and_not_taken_for_commands(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        await pilot.press("escape")
        journey(app).query_one("#text").focus()
        await pilot.pause()
        strike(app, "tab", "end", *"bns", "tab", "enter")
        await finish_run(pilot)
        assert app.session.history[0].action.id == "populate-dry-run"
        assert journey(app)._given["1"]["prefix"] == "/amplifybns"


async def test_a_value_half_typed_is_gone_on_with_after_the_look(slow: WizardApp, gate: Gate) -> None:
    async with slow.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        gate.open.clear()
        await pilot.press("r")
        slow.screen.query_one(Input).focus()
        await pilot.press("end", *"/nbs", "left")
        await look_ends(pilot, gate)
        assert isinstance(slow.focused, Input) and slow.focused.is_attached
        await pilot.press("x")
        assert slow.focused.value == "/amplify/nbxs"


async def test_keys_that_arrive_while_a_step_is_drawn_anew_are_not_lost(slow: WizardApp, gate: Gate) -> None:
    async with slow.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        slow.screen.query_one(Input).focus()
        await pilot.press("end")
        for _ in range(2):
            gate.open.clear()
            await pilot.press("ctrl+a")  # of the field: to its start
            journey(slow)._look()
            await pilot.pause()
            gate.open.set()
            for _ in range(30):
                strike(slow, "x")
                await asyncio.sleep(0.003)
            await until(pilot, lambda: not journey(slow).query("#body.-looking"))
        await until(pilot, lambda: getattr(slow.focused, "value", "") == "x" * 60 + "/amplify")


async def test_what_is_pressed_during_a_look_starts_after_it(slow: WizardApp, gate: Gate) -> None:
    async with slow.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        await press_action(pilot, "populate-dry-run")
        await until(pilot, lambda: isinstance(slow.screen, Running) and slow.screen.outcome is not None)
        gate.open.clear()
        strike(slow, "enter")
        await until(pilot, lambda: slow.screen is journey(slow))
        strike(slow, "tab", "enter")  # from the dry run to what stores, which asks
        await pilot.pause(0.1)
        assert slow.screen is journey(slow) and focused_action(slow) == "populate"
        await look_ends(pilot, gate)
        await until(pilot, lambda: isinstance(slow.screen, Ask))
        await pilot.press("n")
        await at_step(pilot, "1")
    assert [done.action.id for done in slow.session.history] == ["populate-dry-run"]


async def test_a_step_that_is_looked_at_says_so_and_what_its_action_came_to(slow: WizardApp, gate: Gate) -> None:
    async with slow.run_test(size=SIZE, notifications=True) as pilot:
        await at_step(pilot, "1")
        journey(slow)._last["7"] = (STEPS[-1].actions[0], Outcome(0, "12 items would be deleted."))
        await press_action(pilot, "populate")
        await finish_run(pilot)
        await until(pilot, lambda: isinstance(slow.screen, Ask))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(slow.screen, Running) and slow.screen.outcome is not None)
        gate.open.clear()
        strike(slow, "enter")
        await until(pilot, lambda: "… looking at the account: what stands" in screen_text(slow))
        await until(pilot, lambda: "✓ done: Store parameters: 84" in screen_text(slow))

        journey(slow).query_one(StepBody).press(STEPS[1].actions[0])
        await until(pilot, lambda: "if it still applies" in screen_text(slow))
        await look_ends(pilot, gate)
        await at_step(pilot, "4b")
        await until(pilot, lambda: "was not started" in screen_text(slow))
        assert list(journey(slow)._last) == ["1"], "what a later step came to was of what stood before"
    assert [done.action.id for done in slow.session.history] == ["populate-dry-run", "populate"]


async def test_the_end_of_a_look_leaves_the_operator_where_they_went(slow: WizardApp, gate: Gate) -> None:
    async with slow.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        gate.open.clear()
        await pilot.press("r", "s", "down", "down")
        await look_ends(pilot, gate)
        rail = journey(slow).rail
        assert slow.focused is rail and rail.highlighted == 3
        await pilot.press("s", "up", "up", "enter")
        await at_step(pilot, "1")
        assert focused_action(slow) == "populate-dry-run"

        gate.open.clear()
        await pilot.press("r", "question_mark")  # and what lies over the step does not take its focus for good
        await look_ends(pilot, gate)
        await until(pilot, lambda: isinstance(slow.screen, Tell))
        await pilot.press("escape", "enter")
        await finish_run(pilot)
        await at_step(pilot, "1")
        await pilot.press("tab", "shift+tab")

        await press_action(pilot, "populate")
        await until(pilot, lambda: isinstance(slow.screen, Ask))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(slow.screen, Running) and slow.screen.outcome is not None)
        gate.open.clear()
        await pilot.press("enter", "b")  # back to step 0, before the look finds step 1 done
        await look_ends(pilot, gate)
        await at_step(pilot, "0")


async def test_a_slow_look_at_step_0_overwrites_nothing_that_is_being_typed(tmp_path: Path) -> None:
    session = session_in(tmp_path / "workspace", chosen=False)
    gate = threading.Event()

    def look(profile: str, region: str) -> Look:
        gate.wait(20)
        return Look("123456789012", "arn:aws:iam::1:x", "us-east-1", (("v6", "dev", 53),))

    session.profiles = list  # type: ignore[method-assign]
    session.look = look  # type: ignore[method-assign]
    app = WizardApp(session)
    with session.listening():
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: bool(app.screen.query(StartForm)))
            region = app.screen.query_one("#region", Input)
            region.focus()
            await pilot.press(*"eu-w")
            gate.set()
            await until(pilot, lambda: bool(app.screen.query_one("#deployments").display))
            await pilot.press(*"est-1")
            assert app.focused is region and region.value == "eu-west-1"
            app.screen.query_one("#look", Button).focus()
            await pilot.press("enter")
            await until(pilot, lambda: app.focused is app.screen.query_one("#deployments"))
            strike(app, "enter", "enter")  # choose it, and use it
            await until(pilot, lambda: isinstance(app.screen, Arrival))
            assert session.choice.dep == "v6"
