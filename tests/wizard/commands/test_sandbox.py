"""The sandbox as a command on a terminal of its own."""

from __future__ import annotations

from pathlib import Path

from tests.screens.terminal import Terminal


def test_one_ctrl_c_ends_the_sandbox_and_leaves_nothing(tmp_path: Path) -> None:
    with Terminal("wizard", "sandbox", "--users", "2", lines=40, TMPDIR=str(tmp_path)) as terminal:
        terminal.until("Ctrl+C ends it and forgets everything.", 120)
        terminal.type("\x03")
        assert terminal.ends(60) == 0
    assert list(tmp_path.iterdir()) == []
