"""The log panel: long lines stand in several rows and are copied as they were written."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.selection import Selection

from screens.widgets.log_panel import Lines, LogPanel, Rest, rows

COMMAND = (
    "12:00:00     (cd amplify-lambda-assistants-api-office365 && serverless deploy --stage dev --region us-east-1)"
)


def test_rows_are_cut_after_spaces_and_put_together_are_the_line() -> None:
    assert list(rows(COMMAND, 60)) == [
        "12:00:00     (cd amplify-lambda-assistants-api-office365 && ",
        "serverless deploy --stage dev --region us-east-1)",
    ]
    for line, width in ((COMMAND, 7), ("x" * 25, 10), (f"    {'x' * 25}", 10), ("日本語" * 9, 5), ("", 4), ("fits", 4)):
        cut = list(rows(line, width))
        assert "".join(cut) == line and [isinstance(row, Rest) for row in cut] == [n > 0 for n in range(len(cut))]
    assert [len(row) for row in rows("日本語" * 3, 5)] == [2, 2, 2, 2, 1]  # two cells each
    assert list(rows("日", 1)) == ["日"]


class Shown(App[None]):
    CSS = "#log { overflow: hidden scroll; height: 6; }"

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines()

    def compose(self) -> ComposeResult:
        yield LogPanel(self.lines, id="log")


async def test_a_long_command_is_seen_whole_at_every_width_and_copied_without_breaks() -> None:
    app = Shown()
    app.lines.add([f"12:00:00 line {number}" for number in range(20)] + [COMMAND, "12:00:00 the last"])
    async with app.run_test(size=(80, 24)) as pilot:
        panel = app.query_one(LogPanel)
        panel.catch_up()
        await pilot.pause()
        for width in (40, 200, 80):
            await pilot.resize_terminal(width, 24)
            await pilot.pause()
            assert max(len(row) for row in panel.lines) <= panel.scrollable_size.width
            assert panel.is_vertical_scroll_end and panel.lines[-1] == "12:00:00 the last"
            first = panel.lines.index("12:00:00 line 19") + 1
            chosen = Selection(Offset(13, first), Offset(8, len(panel.lines) - 1))
            assert panel.get_selection(chosen) == (f"{COMMAND[13:]}\n12:00:00", "\n")
        panel.scroll_to(y=3, animate=False)
        await pilot.pause()
        await pilot.resize_terminal(40, 24)
        await pilot.pause()
        assert panel.lines[panel.scroll_offset.y] == "12:00:00 line 3"
