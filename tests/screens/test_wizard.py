"""The screens, driven by keys, over a real session and a short journey (`stage.py`)."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, DataTable, Input, Static
from textual.widgets._toast import Toast

from screens.app import AskToQuit, WizardApp
from screens.asking import Arrival, Ask, AskForWord, AskToStop, Tell, TooSmall
from screens.journey import JourneyScreen
from screens.results import Changes, People, Tables, UnknownReferences
from screens.running import Running
from screens.widgets.log_panel import LogPanel
from screens.widgets.progress import ProgressTable
from screens.widgets.prose import Prose
from screens.widgets.rail import Rail
from screens.widgets.start import StartForm
from screens.widgets.step_body import ActionRow, StepBody
from tests.screens.stage import NASTY, STEPS, session_in
from wizard.journey import Field, Journey
from wizard.session import Session
from wizard.steps import JOURNEY

SIZE = (80, 24)


async def until(pilot: Pilot[int], true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something to become true; fail with a picture of the screen's text otherwise."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            pytest.fail(f"never came true; on screen:\n{screen_text(pilot.app)}")
        await pilot.pause(0.02)


def screen_text(app) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


def journey(app: WizardApp) -> JourneyScreen:
    return next(screen for screen in app.screen_stack if isinstance(screen, JourneyScreen))


async def at_step(pilot: Pilot[int], step_id: str) -> None:
    """Wait until a step stands still on screen; what is shown to be read is read, on arrival and after a plan."""
    app = pilot.app
    settled: list[StepBody] = []

    def is_settled() -> bool:  # a look that ends draws the step anew
        if not isinstance(app.screen, JourneyScreen) or app.screen.step_id != step_id:
            return False
        bodies = [body for body in app.screen.query(StepBody) if body.step.id == step_id]
        settled.append(bodies[0]) if len(bodies) == 1 and not app.screen.query("#body.-looking") else settled.clear()
        return len(settled) > 10 and settled[-1] is settled[-10]

    while not is_settled():
        await until(pilot, lambda: isinstance(app.screen, Tell) or is_settled())
        if isinstance(app.screen, Tell):
            await pilot.press("enter")
            await pilot.pause()


async def press_action(pilot: Pilot[int], action_id: str) -> None:
    body = pilot.app.screen.query_one(StepBody)
    row = next(row for row in body.query(ActionRow) if row.offered.id == action_id)
    row.query_one(Button).focus()
    await pilot.press("enter")


async def finish_run(pilot: Pilot[int]) -> Running:
    """Wait for the run screen to have its outcome, and continue."""
    await until(pilot, lambda: isinstance(pilot.app.screen, Running) and pilot.app.screen.outcome is not None)
    running = pilot.app.screen
    await pilot.press("enter")
    await until(pilot, lambda: pilot.app.screen is not running)
    return running


async def store_parameters(pilot: Pilot[int]) -> None:
    await at_step(pilot, "1")
    await press_action(pilot, "populate")
    await finish_run(pilot)
    await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
    await pilot.press("y")
    await finish_run(pilot)
    await at_step(pilot, "4b")


async def free_endpoint(pilot: Pilot[int]) -> None:
    await press_action(pilot, "free")
    await finish_run(pilot)
    await until(pilot, lambda: isinstance(pilot.app.screen, AskForWord))
    await pilot.press(*"amplify-v6-lambda-basic-ops-dev", "enter")
    await finish_run(pilot)
    await at_step(pilot, "6c")


async def test_starts_at_the_first_open_step_and_says_why_earlier_ones_count(app: WizardApp) -> None:
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await at_step(pilot, "1")
        shown = screen_text(app)
        assert "SANDBOX" in shown and "123456789012 · us-east-1 · v6/dev" in shown
        await pilot.press("b")
        await at_step(pilot, "0")
        assert "✓ done: 85 tables found" in screen_text(app)


async def test_on_arrival_account_and_deployment_are_shown_before_anything_else(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Arrival))
        await pilot.pause(0.1)
        shown = screen_text(app)
        assert "Account     123456789012, as arn:aws:iam::1:x" in shown
        assert (
            "Next        step 1, Populate Parameter Store" in shown and "0   Deployment: done: 85 tables found" in shown
        )


async def test_a_dialog_closed_before_it_was_laid_out_harms_nothing(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        for dialog in (Tell("Read this", ["words"]), Ask("Sure?", ["words"], "Yes")):
            await app.push_screen(dialog)
            await dialog.query("#dialog").remove()
            dialog.on_resize()
            await pilot.pause()
            dialog.dismiss()
            await pilot.pause()


async def test_step_titles_are_whole_at_80_columns(tmp_path: Path) -> None:
    app = WizardApp(session_in(tmp_path / "workspace", journey=JOURNEY))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Clean up, or keep" in screen_text(app))
        shown = screen_text(app)
        assert [step.title for step in JOURNEY.steps if step.title not in shown] == []
        assert "✓ done" in shown and "× locked" in shown  # what the signs mean


async def test_a_question_shows_its_own_keys_and_not_those_of_the_step(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        await press_action(pilot, "populate")
        await finish_run(pilot)
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await until(pilot, lambda: "y Yes" in screen_text(app).splitlines()[-1])  # blank while it is laid out
        last = screen_text(app).splitlines()[-1]
        assert "Next" not in last and "n No" in last and "^q Quit" in last


async def test_enter_leaves_a_field_and_an_emptied_one_falls_back(app: WizardApp, session: Session) -> None:
    for name in ("parameters", "endpoint"):
        session.context.workspace.remember({name: True})
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "6c")
        entry = app.screen.query_one(Input)
        entry.focus()
        await pilot.press("enter")
        assert app.focused is not entry
        row = next(iter(app.screen.query(ActionRow)))
        entry.value = ""
        await until(pilot, lambda: row.values == {"count": "2000"})


async def test_next_skips_what_does_not_apply_and_back_keeps_what_was_entered(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        entry = app.screen.query_one(StepBody).query_one(Input)
        entry.value = "/elsewhere"
        await pilot.pause()
        assert "--prefix /elsewhere" in app.screen.query_one(StepBody).current_command()
        app.set_focus(None)
        await pilot.press("n")
        await at_step(pilot, "4b")
        await pilot.press("b")
        await at_step(pilot, "1")
        assert app.screen.query_one(StepBody).query_one(Input).value == "/elsewhere"


async def test_a_needed_field_on_the_way_does_not_take_the_key_that_goes_on(tmp_path: Path) -> None:
    asking = replace(STEPS[1].actions[0], fields=(Field("file", "File", "FILE", required=True),))
    steps = (*STEPS[:2], replace(STEPS[1], id="6a", actions=(asking,)), *STEPS[2:])
    app = WizardApp(session_in(tmp_path, journey=Journey(steps)))
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        app.set_focus(None)
        await pilot.press("n")
        await at_step(pilot, "6a")
        await pilot.press("n")
        await at_step(pilot, "4b")


async def test_a_write_runs_its_dry_run_first_then_asks_with_cancel_focused(app: WizardApp, session: Session) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        await press_action(pilot, "populate")
        running = await finish_run(pilot)
        assert running.outcome is not None and "would be written" in running.outcome.text
        await until(pilot, lambda: isinstance(app.screen, Ask))
        assert app.focused is not None and app.focused.id == "no"
        assert "84 parameters would be written" in screen_text(app)
        await pilot.press("enter")  # on Cancel
        await at_step(pilot, "1")
        assert [done.action.id for done in session.history] == ["populate-dry-run"]
        await until(pilot, lambda: "– declined" in screen_text(app))
        await pilot.press("o")  # what the dry run said is not what became of the question
        await until(pilot, lambda: isinstance(app.screen, Tell) and "Dry run: done" in screen_text(app))


async def test_a_dry_run_that_was_just_seen_is_not_repeated(app: WizardApp, session: Session) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        await press_action(pilot, "populate-dry-run")
        await finish_run(pilot)
        await at_step(pilot, "1")
        await until(pilot, lambda: "Store parameters" in str(getattr(app.focused, "label", "")))  # what it previewed
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        assert app.focused is not None and app.focused.id == "no"
        await pilot.press("y")
        await finish_run(pilot)
        await at_step(pilot, "4b")
        assert [done.action.id for done in session.history] == ["populate-dry-run", "populate"]


async def test_destroying_asks_for_the_exact_word(app: WizardApp, session: Session) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await store_parameters(pilot)
        await press_action(pilot, "free")
        await finish_run(pilot)
        await until(pilot, lambda: isinstance(app.screen, AskForWord))
        await pilot.press(*"delete", "enter")
        await pilot.pause()
        assert isinstance(app.screen, AskForWord) and "“delete” is not amplify-v6" in screen_text(app)
        assert app.screen.query_one("#yes", Button).disabled  # and the field is empty for another try
        await pilot.press(*"amplify-v6-lambda-basic-ops-dev", "enter")
        await finish_run(pilot)
        await at_step(pilot, "6c")
        assert session.history[-1].action.id == "free"


async def test_a_wrong_word_then_escape_does_nothing(app: WizardApp, session: Session) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await store_parameters(pilot)
        await press_action(pilot, "free")
        await finish_run(pilot)
        await until(pilot, lambda: isinstance(app.screen, AskForWord))
        await pilot.press(*"amplify", "enter", "escape")
        await at_step(pilot, "4b")
        assert "free" not in [done.action.id for done in session.history]


async def test_locked_steps_offer_looking_only(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        app.set_focus(None)
        await pilot.press("n")
        await at_step(pilot, "4b")
        assert "× locked: step 1 comes first" in screen_text(app)
        rows = {row.offered.id: row.query_one(Button).disabled for row in app.screen.query(ActionRow)}
        assert rows == {"look": False, "free": True}


async def test_boxes_must_be_ticked_before_cleanup(app: WizardApp, session: Session) -> None:
    for name in ("parameters", "endpoint", "applied"):
        session.context.workspace.remember({name: True})
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "7")
        await press_action(pilot, "clean")
        await pilot.pause()
        assert isinstance(app.screen, JourneyScreen)
        assert "must be confirmed first" in str(app.screen.query_one("#complaints", Static).content)
        assert app.focused is app.screen.query("Checkbox").first()  # where it is mended
        await pilot.press("space")
        assert not app.screen.query_one("#complaints", Static).display
        await press_action(pilot, "clean")
        await finish_run(pilot)
        await until(pilot, lambda: isinstance(app.screen, AskForWord))
        await pilot.press(*"DELETE", "enter")
        await finish_run(pilot)
        await at_step(pilot, "7")
        assert session.status(session.journey["7"]).state == "done"
        assert session.context.workspace.settings()["cleaned_values"] == {"tested": "yes", "hours": "24"}


async def test_keeping_old_records_is_as_near_as_deleting_them(app: WizardApp, session: Session) -> None:
    for name in ("parameters", "endpoint", "applied"):
        session.context.workspace.remember({name: True})
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "7")
        await press_action(pilot, "keep")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("y")
        await finish_run(pilot)
        await at_step(pilot, "7")
        assert session.status(session.journey["7"]).state == "done"


async def start_long_work(pilot: Pilot[int], count: int = 100_000) -> Running:
    session = pilot.app.session
    for name in ("parameters", "endpoint"):
        session.context.workspace.remember({name: True})
    await at_step(pilot, "0") if not session.facts.by_name else None
    await until(pilot, lambda: isinstance(pilot.app.screen, JourneyScreen) and pilot.app.screen.step_id == "6c")
    await at_step(pilot, "6c")
    pilot.app.screen.query_one(StepBody).query_one(Input).value = str(count)
    await pilot.pause()
    await press_action(pilot, "apply")
    await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
    await pilot.press("y")
    await until(pilot, lambda: isinstance(pilot.app.screen, Running) and pilot.app.session.busy)
    return pilot.app.screen


@pytest.fixture
def at_apply(session: Session) -> WizardApp:
    for name in ("parameters", "endpoint"):
        session.context.workspace.remember({name: True})
    return WizardApp(session)


async def test_progress_shows_rate_and_time_left_and_stop_says_how_to_go_on(at_apply: WizardApp) -> None:
    async with at_apply.run_test(size=(120, 40)) as pilot:
        running = await start_long_work(pilot)
        table = running.query_one(ProgressTable)
        await until(pilot, lambda: table.row_count == 2 and "/s" in table.get_cell_at((0, 3)).plain)
        assert table.get_cell_at((0, 4)).plain
        await pilot.press("x")
        await until(pilot, lambda: isinstance(at_apply.screen, AskToStop))
        await pilot.press("y")
        await until(pilot, lambda: running.outcome is not None)
        assert running.outcome.code == 130 and "goes on from here" in running.outcome.text


async def test_pause_holds_the_work(at_apply: WizardApp, session: Session) -> None:
    async with at_apply.run_test(size=SIZE) as pilot:
        running = await start_long_work(pilot)
        await pilot.press("p")
        await pilot.pause(0.2)
        before = at_apply.lines.count
        await pilot.pause(0.3)
        assert at_apply.lines.count == before and session.control.paused and "PAUSED" in screen_text(at_apply)
        await pilot.press("p")
        await until(pilot, lambda: at_apply.lines.count > before)
        session.control.cancel()
        await until(pilot, lambda: running.outcome is not None)


async def test_ctrl_c_asks_and_twice_stops(at_apply: WizardApp) -> None:
    async with at_apply.run_test(size=SIZE) as pilot:
        running = await start_long_work(pilot)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: isinstance(at_apply.screen, AskToStop))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: running.outcome is not None)
        assert running.outcome.code == 130


async def test_quitting_while_work_runs_asks(at_apply: WizardApp, session: Session) -> None:
    async with at_apply.run_test(size=SIZE) as pilot:
        await start_long_work(pilot)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: isinstance(at_apply.screen, AskToQuit))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(at_apply.screen, Running))
        assert session.busy
        await pilot.press("ctrl+q")
        await until(pilot, lambda: isinstance(at_apply.screen, AskToQuit))
        await pilot.press("y")
        await until(pilot, lambda: not session.busy)
        await until(pilot, lambda: at_apply._exit)
    assert at_apply.return_code == 130 or at_apply.return_value == 130


async def test_the_question_of_a_worker_is_asked_on_top(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        for key, code in (("y", 0), ("n", 130)):  # a no stops, and is not asked again
            await press_action(pilot, "ask")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            await until(pilot, lambda: "The credentials have expired. Renew them" in screen_text(app))
            await pilot.press(key)
            assert (await finish_run(pilot)).outcome.code == code
            await at_step(pilot, "1")


async def test_a_crash_of_a_worker_is_an_error_on_screen_and_in_the_log(app: WizardApp, session: Session) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        await press_action(pilot, "crash")
        await until(pilot, lambda: isinstance(app.screen, Running) and app.screen.outcome is not None)
        await pilot.pause(0.1)
        shown = screen_text(app)
        assert "RuntimeError" in shown and "Log file:" in shown
        app.screen.query_one("#outcome-words", Prose).tell("one of many lines\n" * 200)
        for size in (SIZE, (120, 40)):  # what it came to, however long, leaves no row of the screen unused
            await pilot.resize_terminal(*size)
            await until(pilot, lambda rows=size[1]: app.screen.query_one("#continue").region.y == rows - 2)
        await finish_run(pilot)
        await at_step(pilot, "1")
    assert "Traceback" in session.log_file.read_text()


async def test_a_blocked_action_names_the_cause_and_the_next_action(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        await press_action(pilot, "blocked")
        await finish_run(pilot)
        await at_step(pilot, "1")
        await until(pilot, lambda: "! blocked: Blocked: Step 2 does not" in screen_text(app))


async def test_a_second_sitting_comes_back_to_where_the_first_was(tmp_path: Path, app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await store_parameters(pilot)
    again = WizardApp(session_in(tmp_path / "workspace"))
    async with again.run_test(size=SIZE) as pilot:
        await at_step(pilot, "4b")


async def test_ten_thousand_lines_a_second_leave_keys_alive(app: WizardApp, session: Session) -> None:
    """Two seconds of 10,000 lines a second: the screen answers, what it keeps is bounded, the file has every line."""
    turns = 0
    async with app.run_test(size=(120, 40)) as pilot:
        await at_step(pilot, "1")
        app.set_focus(None)
        await pilot.press("l")
        running = threading.Event()

        def flood() -> None:
            start = time.monotonic()
            for burst in range(200):
                for number in range(100):
                    logging.getLogger("wizard.flood").info("line %d %s", burst * 100 + number, NASTY)
                time.sleep(max(0.0, start + (burst + 1) / 100 - time.monotonic()))
            running.set()

        threading.Thread(target=flood, daemon=True).start()
        while not running.is_set():
            await asyncio.sleep(0.02)
            turns += 1
        panel = app.screen.query_one(LogPanel)
        await until(pilot, lambda: any("line 19999" in line for line in panel.lines))
        assert turns >= 10  # of about 90 on an idle machine: the screen had its turn all the while
        assert len(app.lines.kept) <= 5_000 and panel.line_count <= 5_000
    assert session.log_file.read_text().count("wizard.flood: line ") == 20_000


async def test_resize_while_running_and_down_to_nothing(at_apply: WizardApp, session: Session) -> None:
    async with at_apply.run_test(size=(120, 40)) as pilot:
        running = await start_long_work(pilot)
        for size in ((80, 24), (200, 60), (40, 10)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.05)
        await until(pilot, lambda: isinstance(at_apply.screen, TooSmall))
        for size in ((1, 1), (10, 3)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.05)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: at_apply.screen is running)
        session.control.cancel()
        await until(pilot, lambda: running.outcome is not None)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(at_apply.screen, JourneyScreen))
        await until(
            pilot, lambda: "✓ done  – skipped" in screen_text(at_apply)
        )  # words of a rail that has room are gone
        assert not any(line.startswith("done") for line in screen_text(at_apply).split("\n"))


async def test_the_plan_can_be_looked_at_down_to_one_change(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        app.set_focus(None)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, Tables) and app.screen.table.row_count == 2)
        await until(pilot, lambda: "1,212 planned, 1 conflict, in 2 places." in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Changes) and app.screen.table.row_count == 12)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Tell))
        await pilot.pause()
        shown = screen_text(app)
        assert "before  ada@example.edu" in shown and "after   adaj [/red]" in shown
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Changes))
        await pilot.press("slash", *"ben@example.edu", "enter")
        await until(pilot, lambda: app.screen.table.row_count == 6)
        assert "(ACCOUNTS_DYNAMO_TABLE) of ben@example.edu" in " ".join(screen_text(app).split())
        await pilot.press("s", "s", "s", "s", "s")
        assert "Sorted by users" in screen_text(app)
        await pilot.press("escape", "p")
        await until(pilot, lambda: isinstance(app.screen, People) and app.screen.table.row_count == 2)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, Changes) and app.screen.table.row_count == 6)
        assert "Changes of ben@example.edu" in screen_text(app)
        await pilot.press("escape", "escape", "c")
        await until(pilot, lambda: isinstance(app.screen, Changes) and app.screen.table.row_count == 1)
        await pilot.press("escape", "u")
        await until(pilot, lambda: isinstance(app.screen, UnknownReferences) and app.screen.table.row_count == 1)


async def test_a_long_note_under_a_table_is_shown_to_its_end(app: WizardApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await at_step(pilot, "1")
        app.set_focus(None)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, Tables) and app.screen.table.row_count == 2)
        app.screen.note("123,456 of one kind, and of another. " * 3)
        await until(pilot, lambda: screen_text(app).count("?: help.") == 1)


async def test_help_theme_and_copy(app: WizardApp, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await at_step(pilot, "1")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Tell))
        await pilot.press("escape", "t", "c")
        await pilot.pause(0.1)
        assert app.theme == "light" and copied == ["amplify-migrate parameters populate --dry-run --prefix /amplify"]
        await until(pilot, lambda: bool(app.screen.query(Toast)))
        await pilot.pause()
        rail = app.screen.query_one(Rail).region
        assert all(toast.region.right <= rail.right for toast in app.screen.query(Toast)), "over what is read"
        await pilot.mouse_down("#title")
        await pilot.hover("#title", offset=(9, 0))
        await pilot.mouse_up("#title", offset=(9, 0))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "Copied the selection." in screen_text(app))
        assert copied[-1] and copied[-1] in "Step 1 · Populate Parameter Store"
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, Tables))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Tell))  # on every screen


async def test_step_0_chooses_and_goes_to_the_first_open_step(tmp_path: Path) -> None:
    session = session_in(tmp_path / "workspace", chosen=False)
    app = WizardApp(session)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: bool(app.screen.query(StartForm)))
        await pilot.press("n")
        assert journey(app).step_id == "0"
        form = app.screen.query_one(StartForm)
        form.query_one("#use", Button).press()
        await pilot.pause(0.1)
        assert "Enter both" in str(form.query_one("#start-refusal", Static).content)
        form.query_one("#dep", Input).value, form.query_one("#stage", Input).value = "v7", "dev"
        form.query_one("#use", Button).press()
        await at_step(pilot, "1")
        assert session.header().deployment == "v7/dev"


async def test_missing_credentials_are_explained_with_the_three_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    session = session_in(tmp_path / "workspace", chosen=False)
    app = WizardApp(session)
    async with app.run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: bool(app.screen.query(StartForm)))
        form = app.screen.query_one(StartForm)
        await until(
            pilot, lambda: "Look there" in str(form.query_one("#found", Static).content)
        )  # by itself, no region
        form.query_one("#region", Input).value = "us-east-1"
        form.query_one("#look", Button).press()
        found = form.query_one("#found", Static)
        await until(pilot, lambda: "No AWS credentials" in str(found.content))
        assert "aws sso login --profile" in str(found.content) and "AWS_ACCESS_KEY_ID" in str(found.content)


async def test_data_tables_take_foreign_text_as_text(app: WizardApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await at_step(pilot, "1")
        app.set_focus(None)
        await pilot.press("v", "u")
        await until(pilot, lambda: isinstance(app.screen, UnknownReferences) and app.screen.table.row_count == 1)
        assert "[bold]" in app.screen.query_one(DataTable).get_cell_at((0, 2)).plain
        assert "count" in screen_text(app)  # beside long names too
