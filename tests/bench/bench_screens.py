"""How soon the wizard is seen, and how soon a key shows while ten thousand log lines a second flow.

    python -m tests.bench.bench_screens [--lines 10000] [--keys 60] [--starts 5]

Everything goes through a pseudo-terminal: what counts is the bytes that a terminal would draw. Keys are sent at fixed
times, so that a screen that hangs cannot hide the ones that wait behind it. For comparison a bare interpreter is timed:
what it takes on a busy machine is no fault of the wizard.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.screens.terminal import Terminal

WAIT = 60.0  # seconds for anything to appear before the bench gives up


def until(terminal: Terminal, words: bytes, start: int = 0) -> float:
    """When the terminal was first sent these bytes behind position `start`."""
    end = time.perf_counter() + WAIT
    while words not in terminal.raw[start:]:
        if time.perf_counter() > end:
            raise TimeoutError(f"{words!r} never came: {terminal.raw[-2_000:]!r}")
        if select.select([terminal.master], [], [], 0.5)[0]:
            terminal.raw += os.read(terminal.master, 65_536)
    return time.perf_counter()


def drain(terminal: Terminal, seconds: float) -> None:
    """Take what comes within that time, as a terminal would."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        if select.select([terminal.master], [], [], left)[0]:
            terminal.raw += os.read(terminal.master, 65_536)


def first_paint(starts: int) -> tuple[list[float], list[float]]:
    """Milliseconds from the command to its first screen, and those of them that it computed: the same when idle."""
    found, computed = [], []
    for _ in range(starts):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with tempfile.TemporaryDirectory() as home:
            begun = time.perf_counter()
            with Terminal("wizard", HOME=home, AWS_EC2_METADATA_DISABLED="true") as terminal:
                found.append((until(terminal, b"Choose the deployment") - begun) * 1_000)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        computed.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1_000)
    return found, computed


def bare_start(starts: int) -> list[float]:
    """Milliseconds that an interpreter takes to start and end."""
    found = []
    for _ in range(starts):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        found.append((time.perf_counter() - begun) * 1_000)
    return found


def key_delays(lines: int, keys: int) -> tuple[list[float], float]:
    """Milliseconds from each key to its first trace on the terminal, while lines flow; and lines a second that did."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Terminal(
            "tests.bench.bench_screens", "--face", folder, "--lines", str(lines), columns=120, lines=40
        ) as terminal,
    ):
        until(terminal, b"Is this the right account")
        terminal.type("\r")
        until(terminal, b"Flood")
        while b"Running" not in terminal.raw:  # an Enter during the first look is not taken
            terminal.type("\r")
            drain(terminal, 1.0)
        drain(terminal, 2.0)
        delays = []
        for number in range(keys):
            mark, begun = len(terminal.raw), time.perf_counter()
            terminal.type("p")
            word = b"Paused" if number % 2 == 0 else b"Running"
            delays.append((until(terminal, word, mark) - begun) * 1_000)
            drain(terminal, 0.1)
        told = (Path(folder) / "rate").read_text().split()
        return delays, int(told[0]) / float(told[1])


def face(folder: Path, lines: int) -> int:
    """The wizard over one action that logs `lines` lines a second, paused or not."""
    from screens import app
    from tests.screens.stage import open_context
    from wizard.context import Context
    from wizard.events import Control, Feed
    from wizard.facts import Fact, Facts
    from wizard.journey import Action, Journey, Outcome, Step, Values
    from wizard.session import Choice, Session

    log = logging.getLogger("wizard.flood")

    def flood(context: Context, values: Values) -> Outcome:
        begun, count = time.perf_counter(), 0
        while not context.control.cancelled:
            for _ in range(lines // 100):
                log.info("copy   amplify-v6-lambda-dev-user-files  item %09d  user ada@example.edu -> adaj  ok", count)
                count += 1
            ahead = begun + count / lines - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            if count % lines < lines // 100:
                (folder / "rate").write_text(f"{count} {time.perf_counter() - begun}")
        return Outcome(0, "stopped")

    def gather(context: Context) -> Facts:
        return Facts({"identity": Fact("identity", "ok", "Account", "", value={"account": "123456789012", "arn": "x"})})

    step = Step(
        "1", "Flood", "Logs as fast as it is told.", lambda facts: "", lambda facts: "", lambda facts: "",
        (Action("flood", "Flood", "read", flood, lambda values: "flood"),),
    )  # fmt: skip
    feed = Feed(answers=True)
    context = open_context(Choice("v6", "dev"), feed, Control(), folder)
    return app.run(Session(Journey((step,)), gather, context=context, feed=feed))


def told(name: str, values: list[float]) -> str:
    ordered = sorted(values)
    return (
        f"{name}: median {statistics.median(ordered):.0f} ms, p95 {ordered[int(len(ordered) * 0.95) - 1]:.0f} ms,"
        f" worst {ordered[-1]:.0f} ms of {len(ordered)}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000, help="log lines a second")
    parser.add_argument("--keys", type=int, default=60, help="keys pressed while they flow")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--face", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.face:
        return face(arguments.face, arguments.lines)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(told("bare interpreter", bare_start(arguments.starts)))
    paint, computed = first_paint(arguments.starts)
    print(told("first paint", paint))
    print(told("  of it computing", computed))
    for lines in (100, arguments.lines):  # what the flow adds is the difference: the rest is the machine's
        delays, rate = key_delays(lines, arguments.keys)
        print(told(f"key to screen at {rate:,.0f} lines a second", delays))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
