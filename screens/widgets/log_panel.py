"""The live log: a window on the lines that the application keeps; the file has all of them."""

from __future__ import annotations

import collections
import itertools

from rich.highlighter import RegexHighlighter
from textual.widgets import Log

KEPT = 5_000  # lines on screen
BATCH = 2_000  # lines written at a time; measured to keep keys within 50 ms


class Lines:
    """The newest log lines and how many there ever were, so that each panel knows what it has not shown."""

    def __init__(self) -> None:
        self.kept: collections.deque[str] = collections.deque(maxlen=KEPT)
        self.count = 0

    def add(self, lines: list[str]) -> None:
        self.kept.extend(lines)
        self.count += len(lines)

    def since(self, seen: int) -> list[str]:
        """Lines after the first `seen` ones, at most `BATCH` of the newest."""
        fresh = min(self.count - seen, BATCH, len(self.kept))
        return list(itertools.islice(self.kept, len(self.kept) - fresh, None))


class LevelHighlighter(RegexHighlighter):
    """Marks level words; they are words, so nothing is said by colour alone."""

    base_style = "log."
    highlights = [r"^(?P<time>\d\d:\d\d:\d\d)", r"(?P<warning>\bWARNING\b)", r"(?P<error>\b(ERROR|CRITICAL)\b)"]  # noqa: RUF012


class LogPanel(Log):
    """Shows `Lines`; text can be selected and copied."""

    def __init__(self, lines: Lines, *, id: str | None = None):
        super().__init__(highlight=True, max_lines=KEPT, id=id)
        self.highlighter = LevelHighlighter()
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
