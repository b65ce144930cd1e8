"""The whole real journey on the sandbox, by keys: from the first screen to a finished cleanup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Checkbox, Input

from screens.app import WizardApp
from screens.asking import Ask, AskForWord, Tell
from screens.journey import JourneyScreen
from screens.running import Running
from screens.widgets.form import FieldRow
from screens.widgets.step_body import ActionRow, StepBody
from tests.screens.test_wizard import at_step, screen_text, until
from wizard.auto import main_action
from wizard.context import Context
from wizard.events import Feed
from wizard.preflight import gather
from wizard.sandbox.demo import Demo, start_demo
from wizard.session import Session
from wizard.steps import JOURNEY
from wizard.workspace import Workspace

LONG = 240.0
Seen = Callable[[str], None]


def sandbox_session(demo: Demo, folder: Path) -> Session:
    """The real journey over a sandbox."""
    context = Context(demo.deployment, demo.account(), Workspace(folder), Feed(), root=demo.root, sandbox=True)
    return Session(JOURNEY, gather, context=context, resume_command="amplify-migrate demo")


async def fill(pilot: Pilot[int], csv: Path) -> None:
    """Enter what a step needs: the map's path, and a tick for each line of a checklist."""
    body = pilot.app.screen.query_one(StepBody)
    for row in body.query(FieldRow):
        for box in row.query(Checkbox):
            if row.field.required and not box.value:
                box.focus()
                await pilot.press("space")
        for entry in row.query(Input):
            if row.field.required and not entry.value:
                entry.focus()
                await pilot.press(*str(csv))
    await pilot.pause()


async def act(pilot: Pilot[int], action_id: str, word: str, seen: Seen = lambda moment: None) -> list[int]:
    """Press an action's button, answer what is asked, continue after each run; the exit statuses."""
    app, step = pilot.app, pilot.app.screen.step_id
    row = next(row for row in app.screen.query(ActionRow) if row.offered.id == action_id)
    row.query_one(Button).focus()
    await pilot.press("enter")
    codes: list[int] = []
    for _ in range(4):
        await until(pilot, lambda: not isinstance(app.screen, JourneyScreen) or bool(codes), LONG)
        screen = app.screen
        if isinstance(screen, Running):
            await until(pilot, lambda s=screen: s.outcome is not None or s.progress.row_count > 4, LONG)
            seen(f"running {step} {screen.action.id}")
            await until(pilot, lambda screen=screen: screen.outcome is not None, LONG)
            codes.append(screen.outcome.code)
            await pilot.press("enter")
            await until(pilot, lambda screen=screen: app.screen is not screen, LONG)
            await pilot.pause(0.2)
        elif isinstance(screen, AskForWord):
            await pilot.press(*word)
            seen(f"asking {step}")
            await pilot.press("enter")
            await until(pilot, lambda screen=screen: app.screen is not screen)
            codes.clear()
        elif isinstance(screen, Ask):
            await pilot.press("y")
            await until(pilot, lambda screen=screen: app.screen is not screen)
            codes.clear()
        else:
            break
    return codes


async def walk(pilot: Pilot[int], csv: Path, seen: Seen = lambda moment: None) -> list[str]:
    """Do the main action of each open step until none is open; the ids of the steps done so."""
    session, walked = pilot.app.session, []
    while (step := session.journey.first_open(session.facts)) and session.status(step).state not in ("done", "skipped"):
        assert len(walked) < 30, walked
        await at_step(pilot, step.id)
        assert session.status(step).state == "open", (step.id, session.status(step), walked)
        action = main_action(session.actions(step))
        await fill(pilot, csv)
        seen(f"step {step.id}")
        codes = await act(pilot, action.id, action.word(session.facts), seen)
        assert codes and codes[-1] == 0, (step.id, codes, session.history[-1].outcome.text, screen_text(pilot.app))
        walked.append(step.id)
        await until(pilot, lambda: isinstance(pilot.app.screen, JourneyScreen | Tell), LONG)
        await until(pilot, lambda: not pilot.app.screen_stack[1].query("#body.-looking"), LONG)
    return walked


@pytest.mark.slow
async def test_from_the_first_screen_to_a_finished_cleanup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with start_demo(tmp_path, users=4) as demo:
        for name, value in demo.environment().items():
            monkeypatch.setenv(name, value)
        session = sandbox_session(demo, tmp_path / "workspace")
        with session.listening():
            app = WizardApp(session)
            async with app.run_test(size=(80, 24), notifications=True) as pilot:
                await until(pilot, lambda: bool(session.facts.by_name), LONG)
                walked = await walk(pilot, demo.csv)
        session.finish(10)
        assert walked[-1] == "7" and "6c" in walked
