"""Keys that come faster than the screen is drawn: twice the same, onto what is being closed or redrawn, or any at all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Button

from screens.app import WizardApp
from screens.asking import Ask, Tell, TooSmall
from screens.journey import JourneyScreen
from screens.results import Tables
from screens.running import Running
from screens.widgets.options import Choose
from screens.widgets.step_body import ActionRow, StepBody
from tests.screens.stage import session_in
from tests.screens.test_wizard import at_step, finish_run, journey, press_action, screen_text, until
from wizard.session import Session

SIZE = (80, 24)
CHARACTERS = {"slash": "/", "space": " ", "question_mark": "?"}


def strike(app: WizardApp, *keys: str) -> None:
    """Send keys as a terminal does that had them in one read: none waits for what the one before it did."""
    for key in keys:
        event = events.Key(key, CHARACTERS.get(key, key if len(key) == 1 else None))
        event.set_sender(app)
        app._driver.send_message(event)


def click(app: WizardApp, x: int, y: int) -> None:
    for kind in (events.MouseDown, events.MouseUp):
        app._driver.send_message(kind(None, x, y, 0, 0, 1, False, False, False, screen_x=x, screen_y=y))


def action(app: WizardApp, action_id: str) -> ActionRow:
    return next(row for row in app.screen.query(ActionRow) if row.offered.id == action_id)


async def test_a_button_pressed_thrice_at_once_closes_one_screen(app: WizardApp, session: Session) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        await press_action(pilot, "populate")
        await until(pilot, lambda: isinstance(app.screen, Running) and app.screen.outcome is not None)
        await until(pilot, lambda: isinstance(app.focused, Button))
        app.focused.press().press().press()  # Continue
        await until(pilot, lambda: isinstance(app.screen, Ask) and getattr(app.focused, "id", "") == "no")
        app.screen.query_one("#no", Button).press().press().press()
        await at_step(pilot, "1")
        app.push_screen(Tables(session.results))
        await until(pilot, lambda: isinstance(app.screen, Tables))
        strike(app, "escape", "escape", "escape")
        await at_step(pilot, "1")
        assert [type(screen) for screen in app.screen_stack[1:]] == [JourneyScreen]
    assert [done.action.id for done in session.history] == ["populate-dry-run"]


async def test_a_button_pressed_twice_at_once_starts_one_run(app: WizardApp, session: Session) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        action(app, "populate-dry-run").query_one(Button).press().press().press()
        running = await finish_run(pilot)
        await at_step(pilot, "1")
        assert running not in app.screen_stack and not isinstance(app.screen, Running)
    assert len(session.history) == 1


async def test_keys_while_a_step_is_drawn_anew_harm_nothing(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        screen = journey(app)
        await screen.query_one("#body").remove_children()  # as for a moment in every redraw
        for key in ("escape", "c", "o", "l", "l"):
            await pilot.press(key)
        await screen.go(screen.current)
        await at_step(pilot, "1")
        screen.set_focus(None)
        strike(app, *"nbnb", "escape", "c", "r", "n", "c", "escape")
        await at_step(pilot, "4b")
        assert len(app.screen.query(StepBody)) == 1


async def test_a_click_on_what_was_just_removed_harms_nothing(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        screen = journey(app)
        gone = screen.query_one("StepBody #title")
        x, y = gone.region.x + 2, gone.region.y
        gone.remove()  # it is on the map of the screen until that is drawn anew
        assert gone.parent is None or screen.get_widget_at(x, y)[0] is gone
        screen._forward_event(events.MouseDown(None, x, y, 0, 0, 1, False, False, False, screen_x=x, screen_y=y))
        click(app, x, y)
        await pilot.pause()


async def test_a_list_without_room_takes_page_keys(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        rail = journey(app).rail
        rail.focus()
        rail.styles.height = 0
        await pilot.pause()
        rail._line_cache.clear()
        await pilot.press("pageup", "pagedown")
        assert app.is_running


async def test_a_select_that_goes_while_it_comes_harms_nothing(app: WizardApp) -> None:
    """It fails to find its own list then; so does one that is there when the wizard is left, seen under load."""
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        for _ in range(3):
            select = Choose([("one", "one")])
            journey(app).query_one("#body").mount(select)
            select.remove()
            await pilot.pause()
        await pilot.press("n")
        await at_step(pilot, "4b")


async def test_keys_that_come_while_it_is_left_harm_nothing(app: WizardApp) -> None:
    """One that no widget took comes back to the application when its screens may be gone."""
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
    assert not app.screen_stack
    for key in (events.Key("q", "q"), events.Paste("q")):
        await app.on_event(key)
        key._set_forwarded()
        await app.on_event(key)


KEYS = (
    *("enter", "escape", "tab", "up", "down") * 4, "shift+tab", "left", "right", "space", "pageup", "pagedown", "home", "end",
    "f1", "backspace", "ctrl+c", "ctrl+a", "slash", "question_mark", *"nbsvfrclotpxyumjk1DELETE",
)  # fmt: skip
SIZES = ((80, 24), (120, 40), (61, 15), (40, 10))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 7))])
async def test_any_keys_at_all_do_nothing_that_was_not_confirmed(tmp_path: Path, seed: int) -> None:
    """Without `y`, and with no way to the other button of a question, nothing is written, whatever else is pressed."""
    draw = random.Random(seed)
    harmless = [key for key in KEYS if key not in ("y", "tab", "shift+tab", "left", "right", "ctrl+c")]
    session = session_in(tmp_path / "workspace")
    app = WizardApp(session)
    with session.listening():
        async with app.run_test(size=SIZE) as pilot:
            await at_step(pilot, "1")
            for _ in range(25 if seed == 0 else 100):
                strike(app, *draw.choices(harmless if seed == 0 else KEYS, k=draw.choice((1, 2, 6))))
                if draw.random() < 0.5:
                    click(app, draw.randrange(app.size.width), draw.randrange(app.size.height)) if seed else None
                    await pilot.pause(draw.choice((0, 0.01)))
                if draw.random() < 0.05:
                    await pilot.resize_terminal(*draw.choice(SIZES))
            await calm(pilot)
            assert "Step" in screen_text(app)
    session.finish(5)
    effects = {done.action.effect for done in session.history}
    assert "destroy" not in effects and ("write" not in effects or seed)


async def calm(pilot: Pilot[int]) -> None:
    """Back to the step, as somebody would get there, once all that was pressed has had its effect."""
    app, still = pilot.app, 0
    await pilot.resize_terminal(*SIZE)
    for _ in range(200):
        await pilot.pause(0.05)
        still = still + 1 if isinstance(app.screen, JourneyScreen) and "Step" in screen_text(app) else 0
        match app.screen:
            case JourneyScreen() if still < 5 or app.screen.query("#body.-looking"):
                continue
            case JourneyScreen():
                return
            case Running():
                app.session.control.cancel()
                await pilot.press("enter")
            case Tell() | TooSmall():
                await pilot.press("enter")
            case _:
                await pilot.press("escape")
    pytest.fail(f"never calm:\n{screen_text(app)}")
