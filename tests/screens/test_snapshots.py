"""Pictures of the main screens at both sizes; `pytest --snapshot-update` after looking at the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.widgets import DataTable, Input

from screens import running
from screens.app import WizardApp
from screens.asking import Arrival
from screens.themes import DARK, LIGHT
from screens.widgets import progress
from tests.screens.stage import STEPS, stands_still
from tests.screens.test_wizard import at_step, press_action, screen_text, until
from wizard import follow
from wizard.journey import Action, Journey
from wizard.session import Header, Session

SIZES = [(80, 24), (120, 40)]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


@pytest.fixture
def steady(session: Session, monkeypatch: pytest.MonkeyPatch) -> WizardApp:
    """An application in which nothing depends on time or on where the test runs."""
    monkeypatch.setattr(Input, "cursor_blink", False)
    where = Header("123456789012", "us-east-1", "v6/dev", "SANDBOX", "~/.local/state/amplify-migrate/v6-dev")
    monkeypatch.setattr(session, "header", lambda: where)
    monkeypatch.setattr(Session, "log_file", Path("~/.local/state/amplify-migrate/v6-dev/amplify-migrate.log"))
    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(follow, "_clock", lambda second: "12:00:00")
    return WizardApp(session)


async def drawn(pilot, step: str) -> None:
    """At a step, with the rail beside it, which is drawn after it."""
    await at_step(pilot, step)
    await until(pilot, lambda: "✓ 0" in screen_text(pilot.app))


def test_arrival(snap_compare, steady: WizardApp, size: tuple[int, int]) -> None:
    async def before(pilot) -> None:
        await until(pilot, lambda: isinstance(pilot.app.screen, Arrival))

    assert snap_compare(steady, terminal_size=size, run_before=before)


def test_work_that_runs(snap_compare, steady: WizardApp, size: tuple[int, int]) -> None:
    still = Action("populate-dry-run", "Store parameters", "read", stands_still, lambda values: "amplify-migrate still")
    steady.session.journey = Journey((STEPS[0], replace(STEPS[1], actions=(still,))))

    async def before(pilot) -> None:
        await drawn(pilot, "1")
        await press_action(pilot, still.id)
        await until(
            pilot, lambda: "copy item 060" in screen_text(pilot.app) and "1,500/1,500" in screen_text(pilot.app)
        )
        await pilot.pause(0.6)

    assert snap_compare(steady, terminal_size=size, run_before=before)


def test_work_that_failed(snap_compare, steady: WizardApp, size: tuple[int, int]) -> None:
    async def before(pilot) -> None:
        await drawn(pilot, "1")
        await press_action(pilot, "crash")
        await until(pilot, lambda: getattr(pilot.app.screen, "outcome", None) is not None)
        await pilot.pause(0.6)

    assert snap_compare(steady, terminal_size=size, run_before=before)


def test_a_step(snap_compare, steady: WizardApp, size: tuple[int, int]) -> None:
    async def before(pilot) -> None:
        await drawn(pilot, "1")

    assert snap_compare(steady, terminal_size=size, run_before=before)


@pytest.mark.parametrize(("theme", "size"), [(LIGHT.name, (80, 24)), (DARK, (200, 60))], ids=["light", "200x60"])
def test_a_step_where_it_looks_otherwise(snap_compare, steady: WizardApp, theme: str, size: tuple[int, int]) -> None:
    steady.theme = theme

    async def before(pilot) -> None:
        await drawn(pilot, "1")

    assert snap_compare(steady, terminal_size=size, run_before=before)


def test_asking_before_a_write(snap_compare, steady: WizardApp, size: tuple[int, int]) -> None:
    async def before(pilot) -> None:
        await drawn(pilot, "1")
        await press_action(pilot, "populate")
        await until(pilot, lambda: getattr(pilot.app.screen, "outcome", None) is not None)
        await pilot.press("enter")
        await until(pilot, lambda: bool(pilot.app.screen.query("#dialog")))
        await pilot.pause(0.2)

    assert snap_compare(steady, terminal_size=size, run_before=before)


def test_cleanup_with_its_checklist(snap_compare, steady: WizardApp, size: tuple[int, int]) -> None:
    for name in ("parameters", "endpoint", "applied"):
        steady.session.context.workspace.remember({name: True})

    async def before(pilot) -> None:
        await drawn(pilot, "7")

    assert snap_compare(steady, terminal_size=size, run_before=before)


def test_changes_of_a_table(snap_compare, steady: WizardApp, size: tuple[int, int]) -> None:
    async def before(pilot) -> None:
        await drawn(pilot, "1")
        pilot.app.set_focus(None)
        await pilot.press("v")
        await until(pilot, lambda: [table.row_count for table in pilot.app.screen.query(DataTable)] == [2])
        await pilot.press("enter")
        await until(pilot, lambda: [table.row_count for table in pilot.app.screen.query(DataTable)] == [12])
        await pilot.pause(0.2)

    assert snap_compare(steady, terminal_size=size, run_before=before)
