"""An action at work: progress per table, the live log, findings as they come, and what it came to."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Footer, Static

from screens.asking import AskToStop
from screens.shown import CODES, LEVELS, button, text
from screens.steady import Steady
from screens.widgets.header import WhereBar
from screens.widgets.log_panel import LogPanel
from screens.widgets.long_text import LongText
from screens.widgets.progress import ProgressTable, duration
from screens.widgets.prose import Prose
from wizard.events import Finding, Progress
from wizard.journey import Action, Outcome, Values
from wizard.text import total

if TYPE_CHECKING:
    from screens.app import WizardApp


class Running(Steady[Outcome]):
    """Starts the action and stays until the operator has read the outcome."""

    app: WizardApp
    AUTO_FOCUS = "#log"
    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("p", "pause", "Pause/go on", tooltip="Hold the work between two requests"),
        Binding("x", "stop", "Stop", tooltip="Stop between two requests; it goes on from there later"),
        Binding("enter,escape", "leave", "Continue", tooltip="Back to the step, once the work has ended"),
        Binding("l", "log_path", "Copy log path"),
        Binding("question_mark,f1", "app.help", "Help", key_display="?"),
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("pagedown", "scroll(10)", show=False),
    ]
    log_panel = getters.query_one("#log", LogPanel)
    progress = getters.query_one(ProgressTable)

    def __init__(self, action: Action, values: Values):
        super().__init__()
        self.action, self._values = action, values
        self._started = time.monotonic()
        self.outcome: Outcome | None = None
        self._findings = 0

    def compose(self) -> ComposeResult:
        step = self.app.session.step_of(self.action)
        yield WhereBar()
        with Vertical(id="work"):
            yield Static(text(f"Step {step.id} · {step.title}: {self.action.label}"), id="title")
            yield Static("", id="state")
            yield Static(text(f"$ {self.action.command(self._values)}"), id="running-command")
            yield ProgressTable()
            yield VerticalScroll(id="findings", classes="-empty", can_focus=False)
            yield LogPanel(self.app.lines, id="log")
            with LongText(id="outcome", can_focus=False):
                yield Prose(id="outcome-words")
            with Horizontal(id="buttons"):
                yield Button(button("Continue (Enter)"), id="continue", variant="primary", compact=True)
                yield Static("", id="more")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.query("#outcome, #buttons").set(display=False)
        self.set_interval(1 / 2, self._tick)
        self._tick()
        self._perform()

    def on_screen_resume(self) -> None:
        self.app.show_where()

    @work(group="run", exit_on_error=True)
    async def _perform(self) -> None:
        future = self.app.session.start(self.action, self._values)
        self._show(await asyncio.wrap_future(future))

    def _show(self, outcome: Outcome) -> None:
        self.app.drain()
        self.progress.end()
        self.outcome = outcome
        words = outcome.text
        if outcome.code not in (0, 4) and (file := self.app.session.log_file):
            words += f"\nLog file: {file}"
        self.query_one("#outcome-words", Prose).tell(words, CODES.get(outcome.code, CODES[1]))
        self.query("#outcome, #buttons").set(display=True)
        self.query_one("#work").add_class("-ended")  # makes room for it; findings stand in the step as well
        self.query_one("#continue").focus()
        self.call_after_refresh(self.refresh_bindings)  # the footer, once the focus has moved
        self.query_one("#running-command").display = False
        self.query_one("#state", Static).update(text(self._ending(outcome)))
        self.app.show_where()

    def _ending(self, outcome: Outcome) -> str:
        """How long it took, and what a long text comes to, which may stand far down in it."""
        return f"Ended after {duration(time.monotonic() - self._started)}. {total(outcome.text)}".rstrip()

    def _tick(self) -> None:
        session = self.app.session
        if self.outcome is not None:
            return
        elapsed = duration(time.monotonic() - self._started)
        state = "Stopping: requests in flight are finished first" if session.control.cancelled else "Running"
        if session.control.paused:
            state = "Paused: p goes on"
        # Measured: a relayout twice a second and at each key holds keys up while the log flows.
        self.query_one("#state", Static).update(text(f"{state}, {elapsed}."), layout=False)

    def take_progress(self, progress: Progress) -> None:
        self.progress.take(progress)

    def take_finding(self, finding: Finding) -> None:
        """Show a finding; beyond 200 they are in the log and in the step only."""
        self._findings += 1
        box = self.query_one("#findings")
        box.remove_class("-empty")
        if self._findings <= 200:
            todo = f" → {finding.todo}" if finding.todo else ""
            box.mount(Prose(f"{finding.place}: {finding.text}{todo}", LEVELS[finding.level], joint=""))
            box.scroll_end(animate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("pause", "stop"):
            return self.outcome is None
        if action == "leave":
            return self.outcome is not None
        return True

    def action_pause(self) -> None:
        control = self.app.session.control
        (control.resume if control.paused else control.pause)()
        self._tick()
        self.app.show_where()

    @work(group="ask")
    async def action_stop(self) -> None:
        """Ask, then cancel between two requests. A second Ctrl+C in the question is a yes."""
        control = self.app.session.control
        if control.cancelled:
            self.notify("Stopping already: requests in flight are finished first.", markup=False)
            return
        lines = ["It stops between two requests. What is done stays done, and the same action goes on from there."]
        if await self.app.push_screen_wait(
            AskToStop("Stop this work?", lines, "Stop it", "Go on", over=lambda: not self.app.session.busy)
        ):
            control.cancel()
            self._tick()

    @on(Button.Pressed, "#continue")
    def action_leave(self) -> None:
        if self.outcome is not None:
            self.dismiss(self.outcome)

    @on(LongText.Moved)
    def _moved(self, event: LongText.Moved) -> None:
        self.query_one("#more", Static).update(text(event.hint))

    def action_scroll(self, lines: int) -> None:
        """Scroll what the work came to, which may be long."""
        self.query_one("#outcome").scroll_relative(y=lines, animate=False)

    def action_log_path(self) -> None:
        self.app.copy(str(self.app.session.log_file or ""), "the path of the log file")
