"""What a command says and hears on its terminal: text, questions, progress, signals, and the log."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from wizard.events import Control, Event, Finding, Paused, Progress, Question, Resumed
from wizard.text import plain

if TYPE_CHECKING:
    from wizard.context import Context

FILE_ONLY = {"file_only": True}  # `extra` of a record that belongs into the log file and not on the terminal


def somebody_is_there() -> bool:
    """Whether a question would be seen and could be answered."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(text: str, control: Control) -> str | None:
    """What a person types after `text`; None at the end of the input. Raises Interrupted when a signal cancels meanwhile."""
    say(plain(text), sys.stderr, end="")
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        control.check()
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


def say(text: str, stream: TextIO, end: str = "\n") -> None:
    """Print now. Who stopped to read (`| head -1`), or a terminal that has gone, ends nothing and changes no status.

    Raises OSError where standard output cannot take the text for another reason.
    """
    try:
        print(text, file=stream, end=end, flush=True)
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or the rest is tried again at exit
        if stream is sys.stdout and error.errno not in (errno.EPIPE, errno.EIO):
            raise


class Console:
    """Events on stderr: findings at once, progress at most every two seconds per task."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        match event:
            case Progress(task, done, total, unit, phase):
                self._progress(task, done, total, unit, phase)
            case Finding(level, place, text, _) if level in ("blocked", "unknown"):
                say(plain(f"{level}: {place}: {text}"), sys.stderr)
            case Paused(reason):
                say(plain(f"paused: {reason}"), sys.stderr)
            case Resumed():
                say("going on", sys.stderr)
            case Question() as question:
                typed = ask(f"{question.text} Press Enter when that is done, or n to stop: ", self._control)
                question.answer.set_result(typed is not None and typed.strip().lower() not in ("n", "no"))
            case _:
                pass

    def _progress(self, task: str, done: int, total: int | None, unit: str, phase: str) -> None:
        with self._lock:
            now = time.monotonic()
            if not sys.stderr.isatty() or now - self._last.get(task, now - 9) < 2.0:
                return
            self._last[task] = now
        say(plain(f"{phase} {task}: {done:,}{f' of {total:,}' if total else ''} {unit}"), sys.stderr)


@contextlib.contextmanager
def stopping(control: Control) -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP stops between two requests; the second one at once."""

    def stop(number: int, frame: object) -> None:
        if control.cancelled:
            os._exit(130)
        control.cancel()
        with contextlib.suppress(OSError):
            os.write(2, b"\nStopping after the requests in flight; once more stops at once.\n")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, stop) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def logged(arguments: argparse.Namespace) -> Iterator[Callable[[Context], None]]:
    """Warnings, and all lines of a `live` command, on stderr; what is given takes a context and puts every line into its
    log file as well. Never botocore's lines, which show bodies."""
    ours = logging.getLogger("wizard")
    ours.setLevel(logging.DEBUG if arguments.debug else logging.INFO)
    ours.propagate = False
    from wizard.workspace import PlainFormatter, log_handler

    handlers: list[logging.Handler] = []
    console = logging.StreamHandler(sys.stderr)
    shown = logging.INFO if arguments.live else logging.WARNING
    console.setLevel(logging.DEBUG if arguments.debug else shown)
    console.addFilter(lambda record: not getattr(record, "file_only", False))
    console.setFormatter(PlainFormatter("%(message)s"))

    def add(handler: logging.Handler) -> None:
        handlers.append(handler)
        ours.addHandler(handler)

    add(console)
    try:
        yield lambda context: add(log_handler(arguments.log or context.workspace.log_file))
    finally:
        for handler in handlers:
            ours.removeHandler(handler)
            handler.close()
        ours.propagate = True
