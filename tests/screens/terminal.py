"""A program on a pseudo-terminal, and what a person would see on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[2]


class Terminal:
    """Runs `python -m MODULE ARGUMENTS…` on a terminal of its own, in `place`."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24, place: Path = ROOT, **environment: str):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=place,
            env={**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that a hang-up reaches it
        )
        os.close(slave)
        self.raw = b""
        self.screen = pyte.HistoryScreen(columns, lines, history=5_000)
        self._stream = pyte.ByteStream(self.screen)

    def read(self, seconds: float = 0.05) -> bool:
        """Take what the program wrote within that time; whether more can come."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.master], [], [], left)[0]:
                return True
            try:
                data = os.read(self.master, 65_536)
            except OSError:  # the other end is closed
                return False
            if not data:
                return False
            self.raw += data
            with contextlib.suppress(Exception):  # pyte does not know every private sequence
                self._stream.feed(data)
        return True

    @property
    def text(self) -> str:
        """The screen as lines."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def written(self) -> str:
        """All that was ever written, with its control sequences."""
        return self.raw.decode("utf-8", "replace")

    def until(self, true: str | Callable[[], bool], seconds: float = 40) -> None:
        """Wait until words are on the screen, or a condition holds."""
        end = time.monotonic() + seconds
        check = (lambda: true in self.text) if isinstance(true, str) else true
        while not check():
            if time.monotonic() > end:
                raise AssertionError(f"{true!r} never came; on the terminal:\n{self.text}")
            self.read()

    def settle(self, quiet: float = 0.6, seconds: float = 20) -> None:
        """Wait until no word changed for a while (a cursor may blink): what takes keys is then in its place."""
        end = time.monotonic() + seconds
        before = None
        while before != (before := self.text) and time.monotonic() < end:
            self.read(quiet)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def ends(self, seconds: float = 40) -> int:
        """The exit status, once the program has ended."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read()
        while self.process.poll() is not None and self.read() and time.monotonic() < end:
            pass  # its last words may still be on their way
        if self.process.poll() is None:
            raise AssertionError(f"it did not end; on the terminal:\n{self.text}")
        return self.process.returncode

    def drop(self) -> None:
        """The line is gone: the terminal hangs up."""
        os.close(self.master)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self.master)
