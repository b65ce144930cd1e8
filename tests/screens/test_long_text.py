"""Text that may be longer than its place, in a terminal that changes its size."""

from __future__ import annotations

from pathlib import Path

from textual.app import App

import screens.app
from screens.asking import Ask
from screens.widgets.long_text import LongText


class Bare(App[None]):
    """Nothing but a question."""

    CSS_PATH = Path(screens.app.__file__).with_name("wizard.tcss")


async def test_a_question_that_was_small_and_is_large_again_needs_no_scrollbar() -> None:
    """One of its lines fits into its width exactly, and not beside a scrollbar."""
    app = Bare()
    async with app.run_test(size=(100, 30)) as pilot:
        app.push_screen(Ask("Sure?", [*"abcdefghij", f"{'x' * 40} {'x' * 44}"], "Yes"))
        await pilot.pause()
        for size in ((70, 16), (100, 30)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.2)
        lines = app.screen.query_one(LongText)
        assert (lines.max_scroll_y, lines.show_vertical_scrollbar) == (0, False)
        assert app.screen.query_one("#dialog").border_subtitle == ""
