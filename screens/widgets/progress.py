"""Progress per table, bucket or service, with rate and time left; flushed a few times a second."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.text import Text
from textual.widgets import DataTable

from wizard.events import Progress
from wizard.text import plain


@dataclass
class Pace:
    """How fast one task goes: from its first report to its newest, in units per second."""

    first_done: int
    first_at: float
    done: int
    at: float

    def update(self, done: int, now: float) -> None:
        if done < self.done:  # a new phase of the same task counts from its own start
            self.first_done, self.first_at = done, now
        self.done, self.at = done, now

    @property
    def rate(self) -> float:
        """Units per second; 0 while it cannot be told."""
        seconds = self.at - self.first_at
        return (self.done - self.first_done) / seconds if seconds > 0.2 else 0.0

    def left(self, total: int | None) -> float | None:
        """Seconds left, or None while they cannot be told."""
        return (total - self.done) / self.rate if total is not None and self.rate > 0 else None


def speed(rate: float) -> str:
    """`120/s`, `31/min`; "" while it is not known."""
    return "" if not rate else f"{rate:,.0f}/s" if rate >= 1 else f"{rate * 60:,.0f}/min"


def duration(seconds: float) -> str:
    """`0:05`, `12:30`, `1:02:03`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def tail(name: str, width: int) -> str:
    """The end of a name that is too long: resource names of a deployment differ at their end."""
    return name if len(name) <= width else "…" + name[1 - width :]


class ProgressTable(DataTable[Text]):
    """One row per task, the newest values of each. Columns are as wide as what is in them; what is left is the name's."""

    COLUMNS = ("what", "phase", "done", "rate", "left")
    LEAST, MOST = (8, 5, 4, 8, 8), (70, 40, 23, 8, 8)  # columns
    NAME = 20  # columns that a long name has at least
    BESIDE = 5 * 2 + 4  # padding and margins

    def __init__(self) -> None:
        super().__init__(cursor_type="none", zebra_stripes=True, classes="-empty")
        self.can_focus = False
        self._paces: dict[str, Pace] = {}
        self._waiting: dict[str, Progress] = {}
        self._newest: dict[str, Progress] = {}
        self._phases: dict[str, str] = {}  # as drawn
        self._widths = self.LEAST
        self._longest = self.LEAST
        self._ended = False

    def _fit(self) -> None:
        """Share the width out; all rows are drawn anew when that changes."""
        room = self.app.size.width - self.BESIDE
        _, phase, done, rate, left = self._longest
        room -= done + rate + left
        phase = min(phase, max(self.LEAST[1], room - min(self._longest[0], self.NAME)))
        widths = (max(self.LEAST[0], min(self.MOST[0], room - phase)), phase, done, rate, left)
        if widths == self._widths:
            return
        self._widths = widths
        for column, width in zip(self.ordered_columns, widths, strict=True):
            column.width = width
        self._waiting = {**self._newest, **self._waiting}

    def on_resize(self) -> None:
        if self.columns:
            self._fit()

    def on_mount(self) -> None:
        for label, width in zip(self.COLUMNS, self._widths, strict=True):
            self.add_column(label, key=label, width=width)
        self._fit()
        self.anchor()  # at its end, where the work is, until someone scrolls
        self.set_interval(1 / 4, self.flush)

    def take(self, progress: Progress) -> None:
        """Remember the newest report; drawn at the next flush."""
        now = time.monotonic()
        pace = self._paces.setdefault(progress.task, Pace(progress.done, now, progress.done, now))
        pace.update(progress.done, now)
        self._waiting[progress.task] = self._newest[progress.task] = progress

    def end(self) -> None:
        """Draw the last reports; nothing is left to wait for."""
        self._ended = True
        self._waiting = dict(self._newest)
        self.flush()

    def flush(self) -> None:
        """Draw what was reported since the last time."""
        if not self._waiting:
            return
        self.remove_class("-empty")
        lengths = [self._longest, *(map(len, self._words(progress)) for progress in self._waiting.values())]
        self._longest = tuple(
            min(most, max(column)) for most, column in zip(self.MOST, zip(*lengths, strict=True), strict=True)
        )
        self._fit()
        waiting, self._waiting = self._waiting, {}
        with self.app.batch_update():
            for task, progress in waiting.items():
                cells = self._cells(progress)
                if self._phases.get(task, progress.phase) != progress.phase:
                    self.remove_row(task)  # and to the end with it: what was searched comes again when it is deleted
                self._phases[task] = progress.phase
                if task not in self.rows:
                    self.add_row(*cells, key=task)
                    continue
                for label, cell in zip(self.COLUMNS, cells, strict=True):
                    self.update_cell(task, label, cell)

    def _words(self, progress: Progress) -> tuple[str, str, str, str, str]:
        pace = self._paces[progress.task]
        total = f"/{progress.total:,}" if progress.total is not None else ""
        done = f"{progress.done:,}{total}" if progress.unit else ""
        return plain(progress.task), plain(progress.phase), done, speed(pace.rate), self._left(progress, pace)

    def _left(self, progress: Progress, pace: Pace) -> str:
        if progress.total is not None and progress.done >= progress.total:
            return "✓ done"
        if self._ended or progress.total is None:
            return ""
        left = pace.left(progress.total)
        return "…" if left is None else duration(left)

    def _cells(self, progress: Progress) -> tuple[Text, ...]:
        name, phase, *others = self._words(progress)
        shown = (tail(name, self._widths[0]), plain(phase, self._widths[1]), *others)
        return tuple(Text(words, no_wrap=True) for words in shown)
