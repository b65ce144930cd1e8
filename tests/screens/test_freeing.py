"""Step 4b by keys: each way to free /user-data, its typed word, and what is seen when it fails or is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input, Select

from screens.app import WizardApp
from screens.asking import AskForWord, AskToStop, Tell
from screens.running import Running
from screens.widgets.form import FieldRow
from screens.widgets.step_body import ActionRow
from tests.screens.stage import BASIC_OPS, OWNER, freeing, gather_freeing, session_in
from tests.screens.test_wizard import at_step, finish_run, screen_text, until

SIZE = (80, 24)


@pytest.fixture
def app(tmp_path: Path):
    session = session_in(tmp_path / "workspace", journey=freeing(), gather=gather_freeing)
    with session.listening():
        yield WizardApp(session)
    session.finish(5)


def focused_action(app: WizardApp) -> str:
    return next((row.offered.id for row in app.screen.query(ActionRow) if row.has_focus_within), "")


async def tab_to(pilot: Pilot[int], kind: type, action: str = "") -> None:
    """Go with Tab to a widget of that kind; nothing is pressed on the way."""
    for _ in range(20):
        if isinstance(pilot.app.focused, kind) and focused_action(pilot.app) == action:
            return
        await pilot.press("tab")
    pytest.fail(f"Tab never came to {action or kind.__name__}:\n{screen_text(pilot.app)}")


async def choose(pilot: Pilot[int], how: str) -> None:
    select = pilot.app.screen.query_one(Select)
    await tab_to(pilot, Select)
    for _ in range(4):
        if select.value == how:
            return
        await pilot.press("enter", "down", "enter")
        await pilot.pause()
    for _ in range(4):  # it was above
        if select.value == how:
            return
        await pilot.press("enter", "up", "enter")
        await pilot.pause()
    pytest.fail(f"{how} cannot be chosen")


async def to_the_word(pilot: Pilot[int]) -> None:
    """Press the button that frees, read its dry run, and stand before the question."""
    app = pilot.app
    await tab_to(pilot, Button, "free")
    await pilot.press("enter")
    running = await finish_run(pilot)
    assert running.action.id == "dry-run"
    await until(pilot, lambda: isinstance(app.screen, AskForWord))
    assert app.focused is not None and app.focused.id == "word"


@pytest.mark.parametrize("how", ["stack", "resource", "serverless"])
async def test_each_way_frees_after_its_dry_run_and_the_typed_name(app: WizardApp, how: str) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "4b")
        assert not app.screen.query_one(Select)._allow_blank, "one of the ways is needed"
        await choose(pilot, how)
        if how == "serverless":
            await tab_to(pilot, Input)
            await pilot.press(".")
        await to_the_word(pilot)
        asked = str(app.screen._lines)
        assert f"--how {how}" in asked and "cannot be undone" in asked and "until amplify-lambda is deployed" in asked
        assert ("work-sessions" in asked) == (how != "resource")  # whose tables go with it
        await pilot.press(*"DELETE", "enter")
        await pilot.pause()
        assert isinstance(app.screen, AskForWord) and app.session.context.workspace.settings().get(OWNER) is None
        assert "is not" in screen_text(app) and "[ Cancel (Esc) ]" in screen_text(app), "the refusal hides no button"
        await pilot.press(*BASIC_OPS, "enter")
        await finish_run(pilot)
        await at_step(pilot, "4b")
        assert app.session.context.workspace.settings()["how"] == how and "✓ done: nobody owns" in screen_text(app)


async def test_the_old_checkout_is_asked_for_only_when_serverless_is_chosen(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "4b")
        for how, asked in (("stack", False), ("serverless", True), ("resource", False)):
            await choose(pilot, how)
            assert any(isinstance(one, Input) for one in app.screen.focus_chain) is asked
            await pilot.pause()
            (row,) = (row for row in app.screen.query(FieldRow) if row.field.label == "Old checkout")
            assert row.display is asked


async def test_neither_a_dry_run_nor_a_declined_word_puts_the_focus_on_what_destroys(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "4b")
        await tab_to(pilot, Button, "dry-run")
        await pilot.press("enter")
        await finish_run(pilot)
        await at_step(pilot, "4b")
        assert focused_action(app) == "dry-run"
        await tab_to(pilot, Button, "free")
        await pilot.press("enter")  # its dry run was just seen
        await until(pilot, lambda: isinstance(app.screen, AskForWord))
        await pilot.press("escape")
        await at_step(pilot, "4b")
        told = " ".join(screen_text(app).split())
        assert "– declined" in told and "✓ done: Show what would be removed" in told, "the dry run can still be read"
        assert focused_action(app) != "free"
        assert app.session.context.workspace.settings().get(OWNER) is None


async def test_a_failure_says_the_cause_and_the_log_and_the_step_stays_open(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "4b")
        await choose(pilot, "serverless")
        await tab_to(pilot, Input)
        await pilot.press(*"/nowhere")
        await to_the_word(pilot)
        await pilot.press(*BASIC_OPS, "enter")
        await until(pilot, lambda: isinstance(app.screen, Running) and app.screen.outcome is not None)
        await pilot.pause()
        shown = screen_text(app)
        assert "× not all was done" in shown and "/nowhere is no folder" in shown and "Log file:" in shown
        await pilot.press("enter")
        await at_step(pilot, "4b")
        assert app.session.status(app.session.journey["4b"]).state == "open"
        app.set_focus(None)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, Tell))
        await pilot.pause()
        assert "the stack stands as before" in " ".join(screen_text(app).split())


async def test_waiting_ends_when_the_path_was_freed_by_hand_and_can_be_stopped(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "4b")
        await tab_to(pilot, Button, "wait")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Running))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, AskToStop))
        await pilot.press("y")
        running = await finish_run(pilot)
        assert running.outcome is not None and running.outcome.code == 130
        await at_step(pilot, "4b")
        await tab_to(pilot, Button, "wait")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Running) and app.session.busy)
        app.session.context.workspace.remember({OWNER: "nobody"})
        running = await finish_run(pilot)
        assert running.outcome is not None and running.outcome.code == 0
        await at_step(pilot, "4b")
        assert "✓ done: nobody owns" in screen_text(app)


async def test_a_click_presses_a_button_that_moves_under_the_mouse_by_showing_its_command(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "4b")
        gone = next(row for row in app.screen.query(ActionRow) if row.offered.id != "dry-run").query_one(Button)
        await pilot.mouse_down(gone)
        assert app.mouse_captured is gone
        await pilot.press("r")
        await until(pilot, lambda: not gone.is_attached and app.mouse_captured is None)  # drawn anew, it lets go of it
        await at_step(pilot, "4b")
        assert focused_action(app) != "dry-run"
        row = next(row for row in app.screen.query(ActionRow) if row.offered.id == "dry-run")
        await pilot.mouse_down(row.query_one(Button))
        place = app.mouse_position
        await until(pilot, lambda: row.has_class("-current") and place not in row.query_one(Button).region)
        await pilot.mouse_up(offset=place)
        running = await finish_run(pilot)
        assert running.action.id == "dry-run" and [done.action.id for done in app.session.history] == ["dry-run"]
