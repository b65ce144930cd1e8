"""What tests of faces share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from screens.app import WizardApp
from tests.screens.stage import session_in
from wizard.session import Session

Wait = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture(autouse=True)
def quiet_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "SSH_CONNECTION", "TMUX", "STY", "COLORFGBG", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = session_in(tmp_path / "workspace")
    with made.listening():
        yield made
    made.finish(5)


@pytest.fixture
def app(session: Session) -> WizardApp:
    return WizardApp(session)
