"""Running work as ordinary lines, for faces that print: plain prompts and `--auto`."""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from wizard.events import Finding, LogLine, Paused, Progress, Question, Resumed
from wizard.session import Session
from wizard.text import plain

Result = TypeVar("Result")
PROGRESS_SECONDS = 5.0  # a line per task no more often than this
LINE_SECONDS = 1.0  # and one of any task: dozens of small tables say nothing to who has them read aloud


def finding_line(finding: Finding) -> str:
    """`attention: place: text. To do`"""
    todo = f" → {finding.todo}" if finding.todo else ""
    return plain(f"{finding.level}: {finding.place}: {finding.text}{todo}")


def log_line(line: LogLine) -> str:
    """`12:03:04 text`, with the level's name where it is more than information."""
    level = "" if line.level <= logging.INFO else f"{logging.getLevelName(line.level)} "
    return f"{_clock(int(line.time))} {level}{line.text}"


@functools.lru_cache(8)  # thousands of lines share a second
def _clock(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


def progress_line(progress: Progress) -> str:
    """`accounts: copy 10 of 20 items`; without a unit nothing is counted, and only the phase is told."""
    total = f" of {progress.total:,}" if progress.total else ""
    count = f"{progress.done:,}{total} {progress.unit}" if progress.unit else ""
    return plain(f"{progress.task}: {' '.join(part for part in (progress.phase, count) if part)}")


def last_words(words: str) -> None:
    """Print on the way out, even when the terminal is gone: then nothing more is written anywhere."""
    try:
        sys.stdout.write(words + "\n")
        sys.stdout.flush()
    except OSError:
        silence = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):  # else the interpreter fails on flushing them, and with it the exit status
            os.dup2(silence, stream)


class Follower:
    """Prints what the feed brings while a future is not done; questions go to `answer` in the caller's thread, findings
    to `find`, which prints them too if it is not given."""

    def __init__(
        self,
        session: Session,
        say: Callable[[str], None],
        answer: Callable[[Question], bool],
        find: Callable[[Finding], None] | None = None,
    ):
        self._session, self._say, self._answer = session, say, answer
        self._find = find or (lambda finding: say(finding_line(finding)))
        self._told: dict[str, float] = {}
        self._last = 0.0

    def follow(self, future: Future[Result]) -> Result:
        """Print until the work has ended; its result, or what it raised."""
        while not future.done():
            wait([future], timeout=0.1)
            self.drain()
        self.drain()
        return future.result()

    def drain(self) -> None:
        """Print what has come since the last time."""
        lines, progress, others, skipped = self._session.feed.drain()
        if skipped:
            self._say(f"… {skipped:,} lines skipped here, all in {self._session.log_file}")
        for line in lines:
            self._say(log_line(line))
        for entry in progress:
            self._tell(entry)
        for event in others:
            match event:
                case Question():
                    if not event.answer.done():
                        event.answer.set_result(self._answer(event))
                case Finding():
                    self._find(event)
                case Paused():
                    self._say(f"Waiting: {plain(event.reason)}")
                case Resumed():
                    self._say("Going on.")

    def _tell(self, progress: Progress) -> None:
        """Print how far a task is: now and then, and its end where it was spoken of."""
        now, before = time.monotonic(), self._told.get(progress.task)
        if progress.total is not None and progress.done >= progress.total:
            due = self._told.pop(progress.task, None) is not None
        else:
            due = now - self._last >= LINE_SECONDS and (before is None or now - before >= PROGRESS_SECONDS)
            if due:
                self._told[progress.task] = self._last = now
        if due:
            self._say(progress_line(progress))
