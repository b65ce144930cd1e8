"""Pictures of the main screens at both sizes; `pytest --snapshot-update` after looking at the report."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from screens.app import WizardApp
from tests.screens.test_wizard import at_step, press_action, until
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
    return WizardApp(session)


def test_a_step(snap_compare, steady: WizardApp, size: tuple[int, int]) -> None:
    async def before(pilot) -> None:
        await at_step(pilot, "1")

    assert snap_compare(steady, terminal_size=size, run_before=before)


def test_asking_before_a_write(snap_compare, steady: WizardApp, size: tuple[int, int]) -> None:
    async def before(pilot) -> None:
        await at_step(pilot, "1")
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
        await at_step(pilot, "7")

    assert snap_compare(steady, terminal_size=size, run_before=before)


def test_changes_of_a_table(snap_compare, steady: WizardApp, size: tuple[int, int]) -> None:
    async def before(pilot) -> None:
        await at_step(pilot, "1")
        pilot.app.set_focus(None)
        await pilot.press("v")
        await until(pilot, lambda: pilot.app.screen.query("DataTable").first().row_count == 2)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen.query("DataTable").first().row_count == 12)
        await pilot.pause(0.2)

    assert snap_compare(steady, terminal_size=size, run_before=before)
