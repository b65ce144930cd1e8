"""Runs a command under a pseudo-terminal and hands over its output line by line, free of control sequences."""

from __future__ import annotations

import codecs
import contextlib
import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from wizard.errors import Failed
from wizard.events import Control
from wizard.text import plain, without_secrets

# CSI, OSC (ended by BEL or ST), and the two-character escapes of ECMA-48.
_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])"
)
GRACE_SECONDS = 20.0  # between the interrupt that a cancel sends and the kill


def strip_control(text: str) -> str:
    """`text` without terminal control sequences and secrets; what is left of other control characters is made visible."""
    return plain(without_secrets(_CONTROL.sub("", text).replace("\t", "    ")))


def split_lines(pending: str) -> tuple[list[str], str]:
    """Complete lines (a lone carriage return ends one: spinners redraw that way) and the unfinished rest."""
    parts = re.split(r"\r*\n|\r(?!$)", pending)
    return parts[:-1], parts[-1]


def run_lines(
    arguments: Sequence[str], place: Path, environment: Mapping[str, str], control: Control, line: Callable[[str], None]
) -> int:
    """Run `arguments` in `place`, call `line` for each line of output as it comes, return the exit status.

    A cancel interrupts the command's process group, waits for it to end, and raises Interrupted. Raises Failed where
    the command cannot be started.
    """
    reader, writer = pty.openpty()
    try:
        process = subprocess.Popen(
            list(arguments), cwd=place, env={**environment, "TERM": "dumb", "NO_COLOR": "1", "CI": "1"},
            stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, start_new_session=True, close_fds=True,
        )  # fmt: skip
    except OSError as error:
        os.close(reader)
        raise Failed(f"{arguments[0]} could not be started in {place}: {error.strerror}.") from error
    finally:
        os.close(writer)
    decode, pending, last = codecs.getincrementaldecoder("utf-8")("replace").decode, "", None
    try:
        while True:
            if control.cancelled:
                control.check()
            ready, _, _ = select.select([reader], [], [], 0.2)
            if not ready:
                if process.poll() is not None:
                    break
                continue
            try:
                chunk = os.read(reader, 65_536)
            except OSError:  # EIO: every writer has closed
                break
            if not chunk:
                break
            lines, pending = split_lines(pending + decode(chunk))
            for text in map(strip_control, lines):
                if text.strip() and text != last:  # a spinner repeats its line
                    line(text)
                    last = text
        if pending.strip():
            line(strip_control(pending))
        return process.wait()
    finally:
        os.close(reader)
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
