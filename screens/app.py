"""The Textual application: it drains the engine's events on a timer, asks its questions, and owns the main screen."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import InvalidStateError
from typing import Any

from rich.text import Text
from textual import work
from textual._context import active_message_pump
from textual.binding import Binding
from textual.events import Resize
from textual.screen import Screen
from textual.widget import Widget

from screens.asking import Ask, Tell, TooSmall, too_small
from screens.help import HELP
from screens.journey import JourneyScreen
from screens.keys import KeyByKey
from screens.running import Running
from screens.themes import DARK, LIGHT, theme_for
from screens.widgets.header import WhereBar
from screens.widgets.log_panel import Lines, LogPanel
from wizard.events import Event, Finding, Paused, Question, Resumed
from wizard.farewell import farewell
from wizard.follow import last_words, log_line
from wizard.session import Session

log = logging.getLogger("wizard.screens")

DRAINS_PER_SECOND = (
    5  # measured: each costs a repaint, which a key waits for; with 10 the slowest keys take twice as long
)
STOP_SECONDS = 30.0  # how long a stop waits for requests in flight before the process ends all the same


class WizardApp(KeyByKey[int]):
    """One sitting."""

    CSS_PATH = "wizard.tcss"
    TITLE = "amplify-migrate"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (15, "-low"), (30, "-high")]  # noqa: RUF012
    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("ctrl+q", "quit", "Quit", priority=True, tooltip="Leave; asks while something runs"),
    ]

    def __init__(self, session: Session):
        super().__init__()
        self.register_theme(LIGHT)
        self.theme = theme_for(os.environ)
        self.session = session
        self.lines = Lines()
        self.findings: dict[str, list[Finding]] = {}
        self._paused = False
        self._journey = JourneyScreen()

    def on_mount(self) -> None:
        self.push_screen(self._journey)
        self.set_interval(1 / DRAINS_PER_SECOND, self.drain)
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                loop.add_signal_handler(number, self.leave_at_once)

    def on_resize(self, event: Resize) -> None:
        if too_small(event.size) and not isinstance(self.screen, TooSmall):
            self.push_screen(TooSmall())

    # What the engine reports

    def drain(self) -> None:
        """Take everything that came since the last time."""
        lines, progress, others, skipped = self.session.feed.drain()
        if skipped:
            self.lines.add([f"… {skipped:,} lines skipped here, all in {self.session.log_file}"])
        if lines:
            self.lines.add([log_line(line) for line in lines])
        for screen in self.seen_screens():
            for panel in screen.query(LogPanel):
                panel.catch_up()
        if running := self.running_screen():
            for report in progress:
                running.take_progress(report)
        for event in others:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Question():
                self._answer(event)
            case Finding():
                if running := self.running_screen():
                    running.take_finding(event)
                self.findings.setdefault(self._journey.step_id, []).append(event)
            case Paused():
                self._paused = True
                self.show_where()
            case Resumed():
                self._paused = False
                self.show_where()

    def running_screen(self) -> Running | None:
        """The one on which work is shown, whatever lies over it."""
        return next((screen for screen in self.screen_stack if isinstance(screen, Running)), None)

    def seen_screens(self) -> Iterator[Screen[Any]]:
        """From the top one down to the first that hides what is under it; a hidden one that draws costs all a repaint."""
        for screen in reversed(self.screen_stack):
            yield screen
            if not screen.is_modal:
                return

    def show_where(self) -> None:
        """Draw the top line of what is seen; a screen that comes back asks for it."""
        header = self.session.header()
        paused = self._paused or (self.session.busy and self.session.control.paused)
        for screen in self.seen_screens():
            for bar in screen.query(WhereBar):
                bar.show(header, paused)

    @work(group="question")
    async def _answer(self, question: Question) -> None:
        """Ask what running work asks; a no stops it."""
        agreed = await self.push_screen_wait(
            Ask(
                "The work waits for you",
                [question.text],
                "It is done: go on",
                "Stop the work",
                over=question.answer.done,
            )
        )
        self._paused = self._paused and agreed
        self.show_where()
        with contextlib.suppress(InvalidStateError):  # cancelled meanwhile
            question.answer.set_result(agreed)

    # Leaving

    async def action_quit(self) -> None:
        if self.session.busy:
            self._ask_to_quit()
        else:
            self.exit(self.session.exit_code)

    @work(group="quit", exclusive=True)
    async def _ask_to_quit(self) -> None:
        if any(isinstance(screen, AskToQuit) for screen in self.screen_stack):
            return
        lines = ["It stops between two requests. What is done stays done; start again to go on from there."]
        if await self.push_screen_wait(AskToQuit("Work is running. Stop it and quit?", lines, "Quit", "Stay")):
            self.notify("Stopping: requests in flight are finished first.", markup=False)
            self.session.control.cancel()
            while self.session.busy:
                await asyncio.sleep(0.1)
            self.exit(130)

    def leave_at_once(self) -> None:
        """SIGTERM, or the line was dropped: stop between two requests, restore the terminal, end with 130."""
        log.warning("asked to end by a signal; stopping between two requests")
        self.session.control.cancel()
        # A terminal that is gone can hold up the farewell; the ledger can stand a hard end at any instant.
        last_resort = threading.Timer(STOP_SECONDS, os._exit, (130,))
        last_resort.daemon = True
        last_resort.start()
        self.exit(130)

    def action_help_quit(self) -> None:
        """Ctrl+C with nothing selected: stop what runs, after a question; a second one in the question is a yes."""
        running = self.running_screen()
        if running is not None and self.session.busy:
            running.action_stop()
        else:
            self.notify("Ctrl+Q quits.", markup=False)

    def action_help(self) -> None:
        session = self.session
        where = [f"Workspace: {session.header().workspace}"] if session.context else []
        log_file = [f"Log file: {session.log_file}"] if session.log_file else []
        self.push_screen(Tell("Help", [*HELP, "", *where, *log_file, f"Come back with: {session.resume}"]))

    def action_theme(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK

    def copy(self, words: str, what: str) -> None:
        """Copy through the terminal, and show it, since not every terminal takes it."""
        self.copy_to_clipboard(words)
        self.notify(words, title=f"Copied {what}", markup=False)

    # Failures

    def _handle_exception(self, error: Exception) -> None:
        # What has left the screen, or leaves with all of it, may fail to find its own parts; nobody misses what it would
        # have drawn.
        pump = active_message_pump.get(None)
        if self._exit or (isinstance(pump, Widget) and is_leaving(pump)):
            log.info("a part that was leaving the screen failed", exc_info=error)
            return
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        # Textual's own traceback prints local variables, which may hold credentials.
        error = sys.exc_info()[1] or self._exception
        log.critical("the screens failed", exc_info=error)
        where = f" Details: {self.session.log_file}" if self.session.log_file else ""
        self._exit_renderables.append(
            Text(f"The screens failed ({type(error).__name__}). Nothing is lost: start again, or use --plain.{where}")
        )
        self._close_messages_no_wait()


def is_leaving(widget: Widget) -> bool:
    """Whether a widget was removed, itself or with what holds it."""
    return not widget.is_attached or any(node._pruning for node in widget.ancestors_with_self)


class AskToQuit(Ask):
    """Its own type, so that there is only one at a time."""


def run(session: Session) -> int:
    """Show the screens until the operator leaves; the exit status. Prints what was done to the normal terminal."""
    # Measured: log and tables make many objects; so the collector stays below what a key press notices.
    gc.set_threshold(50_000, 20, 50)
    # The screen gets its turn beside a busy worker sooner than after the usual 5 ms.
    sys.setswitchinterval(0.001)
    with session.listening():
        app = WizardApp(session)
        app.call_later(gc.freeze)
        code = app.run()
        stopped = session.finish(STOP_SECONDS) if session.busy else True
    flying = "" if stopped else "\nA request was still in flight; starting again finds out what became of it."
    last_words(farewell(session, shutil.get_terminal_size().columns) + flying)
    return app.return_code or (code if code is not None else 1)
