"""The main screen: a rail of steps, the current step, and the log."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Horizontal
from textual.widget import Widget
from textual.widgets import Footer, Input, OptionList, Static

from screens.asking import Arrival, Ask, AskForWord, Tell
from screens.checks import Checks
from screens.results import Tables
from screens.running import Running
from screens.shown import CODES, excerpt, text
from screens.steady import Steady
from screens.widgets.header import WhereBar
from screens.widgets.log_panel import LogPanel
from screens.widgets.rail import Rail
from screens.widgets.start import StartForm
from screens.widgets.step_body import ActionRow, Place, StepBody
from wizard.errors import Interrupted, MigrateError
from wizard.face import FRAGILE, fragile_line
from wizard.forms import filled
from wizard.guidance import NOT_RENEWED
from wizard.journey import Action, Outcome, Step, Values
from wizard.session import Choice, in_thread

if TYPE_CHECKING:
    from screens.app import WizardApp


class JourneyScreen(Steady[None]):
    """Goes to the first step that is not done; any other can be visited."""

    app: WizardApp
    AUTO_FOCUS = ""
    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("n,right", "go(1)", "Next", tooltip="The next step that applies"),
        Binding("b,left", "go(-1)", "Back", tooltip="The step before; what you entered is kept"),
        Binding("s", "rail", "Steps", tooltip="Choose any step"),
        Binding("v", "results", "Plan", tooltip="Tables, changes, conflicts, unknown references"),
        Binding("f", "checks", "Checks", tooltip="Everything that was found out, and what to do about it"),
        Binding("o", "outcome", "Last result", show=False),
        Binding("r", "refresh", "Look", tooltip="Look at the account again"),
        Binding("c", "copy_command", "Copy cmd", tooltip="The command line that does the same"),
        Binding("l", "log", "Log", tooltip="Show or hide the log"),
        Binding("question_mark,f1", "app.help", "Help", key_display="?"),
        Binding("escape", "leave_field", "Leave the field"),
        Binding("t", "app.theme", "Light/dark", show=False),
    ]
    rail = getters.query_one(Rail)
    log_panel = getters.query_one("#log", LogPanel)

    def __init__(self) -> None:
        super().__init__()
        self.step_id = ""
        self._given: dict[str, dict[str, str]] = {}
        self._last: dict[str, tuple[Action, Outcome]] = {}
        self._declined: dict[str, Action] = {}  # by step: what the last question was about, if the answer was no
        self._drawing = asyncio.Lock()
        self._holding = 0  # looks that have not ended
        self._acting = False
        self._wanted: Action | None = None  # pressed while the account was looked at
        self._pressed: Widget | None = None  # what started something that changes the account

    @property
    def current(self) -> Step:
        return self.app.session.journey[self.step_id]

    def compose(self) -> ComposeResult:
        yield WhereBar()
        if fragile_line(os.environ):
            yield Static(text(f"! {FRAGILE}"), id="fragile")
        with Horizontal(id="middle"):
            yield Rail(id="rail", compact=True)
            yield Container(id="body")
        yield LogPanel(self.app.lines, id="log")
        yield Footer(compact=True)

    async def on_mount(self) -> None:
        self.log_panel.display = False
        self.step_id = self.app.session.journey.steps[0].id
        await self._draw()
        if self.app.session.context is not None:
            self._look(then_go=True)
        else:
            self._open_what_is_known()

    def on_screen_resume(self) -> None:
        self.app.show_where()

    # Drawing

    async def _draw(self, come: bool = False) -> None:
        """Draw the current step anew. What was typed and where the focus is stay, but for a button that has changed
        something; `come` brings the focus here from the rail or the log."""
        session, step = self.app.session, self.current
        before = self.query_one_optional(StepBody)
        away = self.focused is not None and (before is None or before not in self.focused.ancestors)
        stays = before is not None and before.step is step and self.focused is not self._pressed
        place = before.place() if before is not None and stays else None
        self._pressed = None
        statuses = {known.id: session.status(known) for known in session.journey.steps}
        body = StepBody(
            step,
            statuses[step.id],
            session.facts,
            [(action, session.refusal(action)) for action in session.actions(step)] if session.context else [],
            self.app.findings.get(step.id, []),
            self._given.setdefault(step.id, {}),
            self._last.get(step.id),
            self._declined.get(step.id),
            session.ending() if step is session.journey.steps[-1] else (),
        )
        async with self._drawing:
            holder = self.query_one("#body")
            form = self.query_one_optional(StartForm)
            choice = form.entered if form is not None and not form.settled else session.choice
            with self.app.batch_update():  # or the rail would say one thing and the step another, or nothing
                self.rail.show(session.journey.steps, statuses, step.id)
                self.app.show_where()
                await holder.remove_children()
                await holder.mount(body)
                if step is session.journey.steps[0] and session.connect is not None:
                    await body.query_one("#text").mount(StartForm(choice))
                if come or not away:  # now: a focus that comes later would come between two keys
                    body.focus_on(place)

    async def go(self, step: Step) -> None:
        """Stand at a step."""
        self.step_id = step.id
        await self._draw(come=True)

    # Looking at the account

    @work(group="look", exclusive=True)
    async def _look(self, then_go: bool = False) -> None:
        await self.look(then_go)
        self._start_wanted()

    async def look(self, then_go: bool) -> bool:
        """Gather the facts; go to the first open step if wanted. False when they could not be had."""
        session = self.app.session
        body = self.query_one("#body")
        body.border_subtitle = "looking at the account…"
        body.add_class("-looking")
        if (shown := self.query_one_optional(StepBody)) and shown.step is self.current:
            shown.look_again(self._last.get(self.step_id))
        with self._held_back():
            failed = await self._gather()
            if then_go or failed:
                self._forget_wanted("the account could not be looked at" if failed else "see first what was found")
            if then_go and not failed:
                self.step_id = session.landing().id
            async with self.app.turn:
                await self._draw()
            body.border_subtitle = ""
            body.remove_class("-looking")
        if failed:
            lines = [failed, "", "Nothing was changed. Mend the cause, then press r to look again."]
            log_file = session.log_file
            self.app.push_screen(
                Tell("The account could not be looked at", [*lines, *([f"Log file: {log_file}"] if log_file else [])])
            )
        elif then_go:
            self.app.push_screen(Arrival("Is this the right account?", session.arrival()))
        return not failed

    async def _gather(self) -> str:
        """Why the facts could not be had, or ""."""
        try:
            await asyncio.wrap_future(in_thread(self.app.session.gather, "gather"))
        except MigrateError as error:
            return str(error)
        except Exception as error:
            return self.app.session.crashed("looking at the account", error)
        return ""

    @contextlib.contextmanager
    def _held_back(self) -> Iterator[None]:
        """What is pressed meanwhile waits: what a look finds may move on to another step, or lock this one."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1

    @work(group="choose", exclusive=True)
    async def _open_what_is_known(self) -> None:
        """Options, environment or checkout may say already which deployment this is about."""
        choice = self.app.session.choice
        if why := await self._open(choice):
            if choice.dep and (form := self.query_one_optional(StartForm)):
                form.refuse(why)
            return
        await self.look(then_go=True)

    @on(StartForm.Chosen)
    @work(group="choose", exclusive=True)
    async def _choose(self, event: StartForm.Chosen) -> None:
        if why := await self._open(event.choice):
            if form := self.query_one_optional(StartForm):
                form.refuse(why)
            return
        await self.look(then_go=True)

    async def _open(self, choice: Choice) -> str:
        """Open a deployment; why it cannot be, or ""."""
        try:
            await asyncio.wrap_future(in_thread(lambda: self.app.session.choose(choice)))
        except Interrupted:
            return f"{NOT_RENEWED} Then press “Use this deployment” again."
        except MigrateError as error:
            return str(error)
        except Exception as error:
            return self.app.session.crashed("opening the deployment", error)
        for form in self.query(StartForm):
            form.settled = True
        self._given.clear()
        self._last.clear()
        self._declined.clear()
        self.app.findings.clear()
        return ""

    # Acting

    @on(ActionRow.Chosen)
    def _act(self, event: ActionRow.Chosen) -> None:
        event.stop()
        if self._holding:
            self._wanted = event.action
            self.notify(
                f"Still looking at the account; after that “{event.action.label}” starts, if it still applies.",
                markup=False,
            )
        elif not self._acting:  # a second press comes before the first has put its screen over this one
            self._acting = True
            self._perform(event.action, event.values)

    def _start_wanted(self) -> None:
        """Press what was pressed during a look, or say why that is not possible any more."""
        if (wanted := self._wanted) is None:
            return
        if why := self._why_not(wanted):
            self._forget_wanted(why)
            return
        self._wanted = None
        self.query_one(StepBody).press(wanted)

    def _why_not(self, action: Action) -> str:
        """Why an action cannot be pressed now, or ""."""
        session = self.app.session
        if not self.is_current:
            return "something else is open"
        if session.step_of(action) is not self.current:
            return "another step is shown now"
        if all(action is not offered for offered in session.actions(self.current)):
            return "it does not apply any more"
        return session.refusal(action)

    def _forget_wanted(self, why: str) -> None:
        """What was promised does not come: say so."""
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self.notify(f"“{wanted.label}” was not started: {why}.", severity="warning", timeout=10, markup=False)

    @work(group="perform")
    async def _perform(self, action: Action, values: Values) -> None:
        try:
            await self._act_on(action, values)
        finally:
            self._acting = False
        self._start_wanted()

    async def _act_on(self, action: Action, values: Values) -> None:
        """The dry run first, then the question, then the action, then a fresh look."""
        session, step = self.app.session, self.current
        self._pressed = self.focused if action.effect != "read" else None
        preview = session.preview_of(action)
        seen: Outcome | None = None
        if preview is not None:
            shown = filled(preview, self._given[step.id], session.facts)
            seen = session.previewed(preview, shown) or await self._run(step, preview, shown)
            if seen.code not in (0, 1):
                await self.look(then_go=False)
                return
        if action.effect != "read" and not await self._agreed(step, action, values, seen):
            self._declined[step.id] = action
            async with self.app.turn:
                await self._draw()
            return
        before = session.status(step).state
        outcome = await self._run(step, action, values)
        with self._held_back():
            await self.look(then_go=False)
            if lines := action.review(outcome):
                await self.app.push_screen_wait(Tell("Stop and think", lines))
            if self.step_id != step.id:
                return  # the operator has gone elsewhere meanwhile
            if outcome.code == 0 and before != "done" and session.status(step).state == "done":
                self.app.clear_notifications()  # what they announced does not come any more
                self.notify(f"Step {step.id} is done.", timeout=3, markup=False)
                self._forget_wanted(f"step {step.id} is done")
                self.step_id = session.following(step).id
                async with self.app.turn:
                    await self._draw()
                self._tell_the_end()
            elif outcome.code == 0 and session.status(step).state != "done":
                self._suggest(action, session.previewed_by(action))
            elif outcome.code == 0 and action.effect != "read":  # what was kept before is deleted now, and the like
                self._tell_the_end()

    def _tell_the_end(self) -> None:
        """Say so once nothing is left to do; the last step goes on saying it."""
        if ending := self.app.session.ending():
            self.app.clear_notifications()  # which would lie over it
            self.app.push_screen(Tell("The end", ending))

    def _suggest(self, dry_run: Action, write: Action | None) -> None:
        """After a dry run the focus goes to what it previewed, unless it was moved elsewhere: pressing Enter again asks,
        and does not look again."""
        body = self.query_one_optional(StepBody)
        if write is None or body is None or self._wanted or self.app.session.refusal(write):
            return
        if (place := body.place()) and place.name == dry_run.id:
            body.focus_on(Place(write.id))

    async def _run(self, step: Step, action: Action, values: Values) -> Outcome:
        self.app.findings[step.id] = []
        self._declined.pop(step.id, None)
        outcome = await self.app.push_screen_wait(Running(action, values))
        if action.effect != "read" or action.review(outcome):
            self._outdate(step, action)
        self._last[step.id] = (action, outcome)
        self._given[step.id].update(action.offers(outcome))
        return outcome

    def _outdate(self, step: Step, action: Action) -> None:
        """What later steps came to was of what stood before; of an undo it is true of all."""
        steps = self.app.session.journey.steps
        for one in steps if action.undo else steps[steps.index(step) + 1 :]:
            for known in (self._last, self._declined, self.app.findings):
                known.pop(one.id, None)

    async def _agreed(self, step: Step, action: Action, values: Values, seen: Outcome | None) -> bool:
        where = self.app.session.header()
        lines = [f"On account {where.account}, {where.region}, deployment {where.deployment} ({where.badge}).", ""]
        if warnings := self.app.session.warnings(action, values):
            lines += [*(f"! {line}" for line in warnings), ""]
        if seen is not None:
            lines += ["The dry run says:", excerpt(seen.text, "Cancel, then o shows all"), ""]
        lines += ["If it stops half-way, the same action goes on from there.", f"$ {action.command(values)}"]
        title = f"Step {step.id} · {action.label}?"
        if action.effect == "destroy":
            word = action.word(self.app.session.facts)
            lines.insert(1, self.app.session.finality(action))
            return await self.app.push_screen_wait(AskForWord(title, lines, word, action.label))
        return await self.app.push_screen_wait(Ask(title, lines, action.label))

    # Keys

    @on(OptionList.OptionSelected, "#rail")
    async def _picked(self, event: OptionList.OptionSelected) -> None:
        await self.go(self.app.session.journey[str(event.option.id)])

    async def action_go(self, direction: int) -> None:
        session = self.app.session
        if session.context is None:
            self.notify("Choose the deployment first; the other steps follow from it.", markup=False)
            return
        find = session.journey.after if direction > 0 else session.journey.before
        step = find(self.step_id, session.facts)
        if step is None:
            self.notify("This is the last step." if direction > 0 else "This is the first step.", markup=False)
            return
        await self.go(step)
        if isinstance(self.focused, Input):
            self.action_leave_field()  # the next press of the same key means the same

    def action_leave_field(self) -> None:
        """Out of a field, where letters are text, to where they are keys."""
        if body := self.query_one_optional(StepBody):  # none for a moment while the step is drawn anew
            body.focus_text()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return isinstance(self.focused, Input) if action == "leave_field" else True

    def action_rail(self) -> None:
        self.set_focus(self.rail)

    def action_refresh(self) -> None:
        if self.app.session.context is not None and not self._holding:
            self._look()

    def action_copy_command(self) -> None:
        if (body := self.query_one_optional(StepBody)) and (command := body.current_command()):
            self.app.copy(command, "the command")

    def action_log(self) -> None:
        self.log_panel.display = not self.log_panel.display
        if self.log_panel.display:
            self.log_panel.focus()

    def action_checks(self) -> None:
        self.app.push_screen(Checks(list(self.app.session.facts)))

    def action_outcome(self) -> None:
        """The whole of what the last action of this step said."""
        if self.step_id in self._last:
            action, outcome = self._last[self.step_id]
            title = f"{action.label}: {CODES.get(outcome.code, CODES[1])[1]}"
            self.app.push_screen(Tell(title, outcome.text.split("\n")))

    def action_results(self) -> None:
        results = self.app.session.results
        if results is None:
            self.notify("There is no plan yet: step 6b makes it.", markup=False)
            return
        self.app.push_screen(Tables(results))
