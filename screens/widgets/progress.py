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
    """One row per task, the newest values of each."""

    COLUMNS = (("what", 0), ("phase", 8), ("done", 17), ("rate", 9), ("left", 8))
    OTHERS = 8 + 17 + 9 + 8 + 5 * 2 + 4  # widths of the other columns, padding, margins

    def __init__(self) -> None:
        super().__init__(cursor_type="none", zebra_stripes=True, classes="-empty")
        self.can_focus = False
        self._paces: dict[str, Pace] = {}
        self._waiting: dict[str, Progress] = {}
        self._newest: dict[str, Progress] = {}
        self._name_width = 0

    def _fit(self) -> None:
        self._name_width = max(20, min(70, self.app.size.width - self.OTHERS))

    def on_resize(self) -> None:
        before = self._name_width
        self._fit()
        if self._name_width != before and self.columns:
            self.ordered_columns[0].width = self._name_width
            self._waiting = {**self._newest, **self._waiting}  # all names anew

    def on_mount(self) -> None:
        self._fit()
        for label, width in self.COLUMNS:
            self.add_column(label, key=label, width=width or self._name_width)
        self.set_interval(1 / 4, self.flush)

    def take(self, progress: Progress) -> None:
        """Remember the newest report; drawn at the next flush."""
        now = time.monotonic()
        pace = self._paces.setdefault(progress.task, Pace(progress.done, now, progress.done, now))
        pace.update(progress.done, now)
        self._waiting[progress.task] = self._newest[progress.task] = progress

    def flush(self) -> None:
        """Draw what was reported since the last time."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        self.remove_class("-empty")
        with self.app.batch_update():
            for task, progress in waiting.items():
                cells = self._cells(progress)
                if task not in self.rows:
                    self.add_row(*cells, key=task)
                    self.call_after_refresh(self.scroll_end, animate=False)  # to where the work is
                    continue
                for (label, _), cell in zip(self.COLUMNS, cells, strict=True):
                    self.update_cell(task, label, cell)

    def _cells(self, progress: Progress) -> tuple[Text, ...]:
        pace = self._paces[progress.task]
        complete = progress.total is not None and progress.done >= progress.total
        total = f"/{progress.total:,}" if progress.total is not None else ""
        left = pace.left(progress.total)
        return (
            Text(tail(plain(progress.task), self._name_width), no_wrap=True),
            Text(plain(progress.phase, 8)),
            Text(f"{progress.done:,}{total}"),
            Text(speed(pace.rate)),
            Text("✓ done" if complete else duration(left) if left is not None else "…"),
        )
