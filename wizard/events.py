"""What work reports while it runs, and the way from worker threads to any front end.

The engine never touches a front end. It logs through stdlib `logging`, and puts the typed events below into a `Feed`;
a front end either drains the feed on a timer (screens, plain prompts) or is called for each event (commands).
A `Question` carries a future that the front end answers; a feed without anybody to answer refuses at once.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from wizard.errors import Blocked, Interrupted
from wizard.text import plain

Level = Literal["ok", "attention", "blocked", "unknown", "note"]


@dataclass(frozen=True)
class LogLine:
    """One line of the log, already free of control characters. `level` is a `logging` level."""

    level: int
    text: str
    time: float


@dataclass(frozen=True)
class Progress:
    """How far one task is. `total` is None while it is not known; `task` names a table, a bucket or a service."""

    task: str
    done: int
    total: int | None = None
    unit: str = "items"
    phase: str = ""


@dataclass(frozen=True)
class Finding:
    """Something the operator should see. `place` names the table, file or step, `todo` what to do about it."""

    level: Level
    place: str
    text: str
    todo: str = ""


@dataclass(frozen=True)
class Question:
    """Asks the operator to see to something: running work waits until that is done (True), or stops (False)."""

    text: str
    answer: Future[bool] = field(default_factory=Future, compare=False)


@dataclass(frozen=True)
class Paused:
    """Work waits; `reason` says for what."""

    reason: str


@dataclass(frozen=True)
class Resumed:
    """Work goes on after `Paused`."""


Event = LogLine | Progress | Finding | Question | Paused | Resumed


class Feed:
    """A bounded queue of events. Thread-safe; `emit` never blocks.

    Log lines beyond `bound` are dropped from the view (the log file has them all) and counted in `skipped`; of
    progress only the latest per task is kept. Other events are never dropped.
    """

    def __init__(self, listener: Callable[[Event], None] | None = None, *, answers: bool = False, bound: int = 20_000):
        self.answers = answers
        self.skipped = 0
        self._listener = listener
        self._bound = bound
        self._lock = threading.Lock()
        self._lines: collections.deque[LogLine] = collections.deque()
        self._progress: dict[str, Progress] = {}
        self._others: list[Event] = []

    def emit(self, event: Event) -> None:
        """Take an event from any thread."""
        if self._listener is not None:
            self._listener(event)
            return
        with self._lock:
            if isinstance(event, LogLine):
                if len(self._lines) >= self._bound:
                    self._lines.popleft()
                    self.skipped += 1
                self._lines.append(event)
            elif isinstance(event, Progress):
                self._progress[event.task] = event
            else:
                self._others.append(event)

    def drain(self, lines: int = 5_000) -> tuple[list[LogLine], list[Progress], list[Event], int]:
        """At most `lines` of the newest log lines, the latest progress per task, all else, and how many lines to skip."""
        with self._lock:
            excess = max(0, len(self._lines) - lines)
            for _ in range(excess):
                self._lines.popleft()
            taken, skipped = list(self._lines), self.skipped + excess
            progress, others = list(self._progress.values()), self._others
            self._lines.clear()
            self._progress = {}
            self._others = []
            self.skipped = 0
        return taken, progress, others, skipped

    def ask(self, question: Question, control: Control) -> None:
        """Put a question and wait until it is agreed to.

        Raises Blocked where nobody can answer; a no cancels the work, and a cancel raises Interrupted.
        """
        if not self.answers:
            raise Blocked(question.text)
        self.emit(question)
        while not question.answer.done():
            if control.cancelled:
                question.answer.cancel()
            control.check()
            time.sleep(0.05)
        if not question.answer.result():
            control.cancel()
        control.check()


class Control:
    """Pause, resume and cancel, checked by work between two requests."""

    def __init__(self) -> None:
        self._cancel = threading.Event()
        self._go = threading.Event()
        self._go.set()

    @property
    def cancelled(self) -> bool:
        return self._cancel.is_set()

    @property
    def paused(self) -> bool:
        return not self._go.is_set()

    def cancel(self) -> None:
        """Stop at the next check; what is in flight is finished first."""
        self._cancel.set()
        self._go.set()

    def pause(self) -> None:
        self._go.clear()

    def resume(self) -> None:
        self._go.set()

    def check(self) -> None:
        """Wait while paused; raise Interrupted once cancelled."""
        self._go.wait()
        if self._cancel.is_set():
            raise Interrupted("Stopped; the same command goes on from here.")

    def sleep(self, seconds: float) -> None:
        """Sleep that a cancel cuts short."""
        self._cancel.wait(seconds)
        self.check()


class FeedHandler(logging.Handler):
    """Turns log records into `LogLine` events of one feed."""

    def __init__(self, feed: Feed, level: int = logging.INFO):
        super().__init__(level)
        self.feed = feed

    def emit(self, record: logging.LogRecord) -> None:
        self.feed.emit(LogLine(record.levelno, plain(record.getMessage(), 1_000), record.created))
