"""The live log: a window on the lines that the application keeps; the file has all of them."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator

from rich.cells import cell_len, get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.selection import Selection
from textual.strip import Strip
from textual.widgets import Log

KEPT = 5_000  # lines on screen


class Lines:
    """The newest log lines and how many there ever were, so that each panel knows what it has not shown."""

    def __init__(self) -> None:
        self.kept: collections.deque[str] = collections.deque(maxlen=KEPT)
        self.count = 0

    def add(self, lines: list[str]) -> None:
        self.kept.extend(lines)
        self.count += len(lines)

    def since(self, seen: int) -> list[str]:
        """Lines after the first `seen` ones, as far as they are kept."""
        fresh = min(self.count - seen, len(self.kept))
        return list(itertools.islice(self.kept, len(self.kept) - fresh, None))


class Rest(str):
    """A row that goes on the line of the row above it."""

    __slots__ = ()


def rows(line: str, width: int) -> Iterator[str]:
    """A line in rows of at most `width` cells, cut after spaces where there are any; put together they are the line."""
    row: type[str] = str
    while len(line) > width or not (line.isascii() or cell_len(line) <= width):
        most = width if line.isascii() else _within(line, width)
        cut = line.rfind(" ", 0, most) + 1
        if not line[:cut].strip():
            cut = most  # a word that is wider than the panel, maybe after an indent
        yield row(line[:cut])
        line, row = line[cut:], Rest
    if line or row is str:
        yield row(line)


def _within(line: str, width: int) -> int:
    """How many characters at the front fit into `width` cells; at least one."""
    cells = 0
    for count, char in enumerate(line):
        cells += get_character_cell_size(char)
        if cells > width:
            return max(1, count)
    return len(line)


class LogPanel(Log):
    """Shows `Lines`, the long ones in several rows; text can be selected and copied as it was written."""

    COMPONENT_CLASSES = {"log-panel--time"}  # noqa: RUF012 - Textual reads a plain set

    def __init__(self, lines: Lines, *, id: str | None = None):
        super().__init__(max_lines=KEPT, id=id)
        self._source = lines
        self._seen = 0
        self._following = True  # at the end until the operator scrolls up; a resize does not count
        self._wrapped_at = 0  # cells

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self.is_vertical_scroll_end:
            self._following = True
        elif new_value < old_value:
            self._following = False

    def on_resize(self) -> None:
        if self._lines and self.scrollable_size.width not in (0, self._wrapped_at):
            self._wrap_anew()
        if self._following:
            self.call_after_refresh(self.scroll_end, animate=False, x_axis=False)

    def _wrap_anew(self) -> None:
        """Cut the lines to another width; the line at the top stays there."""
        below = sum(not isinstance(row, Rest) for row in self._lines[self.scroll_offset.y :])
        self.clear()
        self._seen -= min(self._seen, len(self._source.kept))
        self.catch_up()
        starts = [y for y, row in enumerate(self._lines) if not isinstance(row, Rest)]
        if not self._following and below:
            self.call_after_refresh(self.scroll_to, y=starts[max(0, len(starts) - below)], animate=False)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text under the selection; a line that stands in several rows is one line."""
        found = ""
        for y, row in enumerate(self._lines):
            if (span := selection.get_span(y)) is not None:
                start, end = span
                joint = "" if isinstance(row, Rest) or not found else "\n"
                found += joint + (row[start:] if end == -1 else row[start:end])
        return found, "\n"

    def _render_line_strip(self, y: int, rich_style: Style) -> Strip:
        """One row, its time apart, at a third of Textual's cost, which is what a key press waits for while lines flow; a
        selection is left to Textual."""
        if self.text_selection is not None:
            return super()._render_line_strip(y, rich_style)
        line = self._process_line(self._lines[y])
        if line[2:3] + line[5:6] != "::" or isinstance(self._lines[y], Rest):
            return Strip([Segment(line, rich_style)], cell_len(line))
        time = rich_style + self.get_component_rich_style("log-panel--time", partial=True)
        return Strip([Segment(line[:8], time), Segment(line[8:], rich_style)], cell_len(line))

    def catch_up(self) -> None:
        """Write what came since the last time, once the panel has a size."""
        if self.scrollable_size.width and self._source.count > self._seen:
            missing = self._source.count - self._seen
            batch = self._source.since(self._seen)
            self._seen = self._source.count
            if missing > len(batch) and self.line_count:
                batch.insert(0, f"… {missing - len(batch):,} lines not shown here; the log file has them all")
            if not self._lines:
                self._wrapped_at = self.scrollable_size.width
            # As Textual's write_lines does, which would cut lines again, measure each, and start a thread for it.
            self._lines += [row for line in batch for row in rows(line, self._wrapped_at)]
            self._prune_max_lines()
            self.virtual_size = Size(self._wrapped_at, len(self._lines))
            self.refresh()
            if self._following:
                self.scroll_end(animate=False, immediate=True, x_axis=False)
