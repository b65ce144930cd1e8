"""The live log: a window on the lines that the application keeps; the file has all of them."""

from __future__ import annotations

import collections
import itertools

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
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


class LogPanel(Log):
    """Shows `Lines`; text can be selected and copied."""

    def __init__(self, lines: Lines, *, id: str | None = None):
        super().__init__(max_lines=KEPT, id=id)
        self._source = lines
        self._seen = 0
        self._following = True  # at the end until the operator scrolls up; a resize does not count

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self.is_vertical_scroll_end:
            self._following = True
        elif new_value < old_value:
            self._following = False

    def on_resize(self) -> None:
        if self._following:
            self.call_after_refresh(self.scroll_end, animate=False, x_axis=False)

    # The two below do what Textual's do at a third of the cost, which is what a key press waits for while lines flow.

    def _update_size(self, updates: int, lines: list[str]) -> None:  # type: ignore[override]
        """Widen to the longest line: here and now, where Textual starts a thread for every batch."""
        widest = max((len(line) if line.isascii() else cell_len(line) for line in lines), default=0)
        if widest > self._width:
            self._update_maximum_width(updates, widest)

    def _render_line_strip(self, y: int, rich_style: Style) -> Strip:
        """One line, its time apart; a selection is left to Textual."""
        if self.text_selection is not None:
            return super()._render_line_strip(y, rich_style)
        line = self._process_line(self._lines[y])
        if line[2:3] + line[5:6] != "::":
            return Strip([Segment(line, rich_style)], cell_len(line))
        time = rich_style + self.app.console.get_style("log.time")
        return Strip([Segment(line[:8], time), Segment(line[8:], rich_style)], cell_len(line))

    def catch_up(self) -> None:
        """Write what came since the last time, once the panel has a size."""
        if self.size.width and self._source.count > self._seen:
            missing = self._source.count - self._seen
            batch = self._source.since(self._seen)
            self._seen = self._source.count
            if missing > len(batch) and self.line_count:
                batch.insert(0, f"… {missing - len(batch):,} lines not shown here; the log file has them all")
            self.write_lines(batch, scroll_end=False)
            if self._following:
                self.scroll_end(animate=False, immediate=True, x_axis=False)
