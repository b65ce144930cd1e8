"""One step for a person: where it stands and why, what it is about, what was found, its form and its actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Click, MouseDown, MouseUp
from textual.geometry import Offset
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from screens.shown import CODES, LEVELS, STATES, button, excerpt, text
from screens.widgets.form import FieldRow, Form
from screens.widgets.prose import Prose
from wizard.events import Finding, Level
from wizard.facts import Facts
from wizard.forms import complaints, fields, filled, is_tick, value_of, wrong
from wizard.journey import EFFECTS, Action, Outcome, Status, Step

WORST_FIRST = ("blocked", "attention", "unknown", "ok", "note")


class ActionButton(Button):
    """Takes a click although it may have moved under the mouse: where there is little room the row that gets the focus
    shows its command, and what was pressed is no longer where the mouse is let go."""

    _down: Offset | None = None

    def on_mouse_down(self, event: MouseDown) -> None:
        self._down = event.screen_offset
        self.capture_mouse()

    def on_mouse_up(self, event: MouseUp) -> None:
        self.release_mouse()
        if self._down == event.screen_offset:
            self.press()
        self._down = None

    def on_unmount(self) -> None:
        self.release_mouse()  # drawn anew while it is held: the mouse would stay with what is gone

    async def _on_click(self, event: Click) -> None:
        event.stop()  # it comes only where nothing moved


class ActionRow(Vertical):
    """A button, what it does to the account, and the command line that does the same."""

    class Chosen(Message):
        """The operator wants this action."""

        def __init__(self, action: Action, values: Mapping[str, str]):
            super().__init__()
            self.action, self.values = action, values

    def __init__(self, action: Action, refusal: str):
        super().__init__()
        self.offered, self._refusal = action, refusal
        self.values: Mapping[str, str] = {}

    def compose(self) -> ComposeResult:
        action = self.offered
        variant = {"read": "primary", "write": "warning", "destroy": "error"}[action.effect]
        effect = action.does or EFFECTS[action.effect]
        with Horizontal(classes="button-line"):
            yield ActionButton(
                button(action.label),
                variant=variant,  # type: ignore[arg-type]
                compact=True,
                disabled=bool(self._refusal),
            )
            yield Static(text(effect if not self._refusal else f"not yet: {self._refusal}"), classes="effect")
        yield Static("", classes="command")

    def take(self, values: Mapping[str, str]) -> None:
        """Show the command with these values."""
        self.values = values
        for line in self.query(".command").results(Static):
            line.update(text(f"$ {self.command}"))

    @property
    def command(self) -> str:
        return self.offered.command(self.values)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Chosen(self.offered, self.values))


@dataclass(frozen=True)
class Place:
    """Where the focus is in a step: the name of a field or an action, or `#ID` of another part; and where in a field."""

    name: str
    cursor: int | None = None


TEXT = "#text"
LOOKING = ("…", "looking at the account", "$text-accent")


class StepBody(Vertical):
    """Built anew for each step; its actions stay in sight while the text scrolls. `given` are the values that the
    operator typed; they outlive the body. `declined` is what was not agreed to after `last`. `ending` is what the last
    step says once the journey is at its end."""

    def __init__(
        self,
        step: Step,
        status: Status,
        facts: Facts,
        actions: list[tuple[Action, str]],
        findings: list[Finding],
        given: dict[str, str],
        last: tuple[Action, Outcome] | None,
        declined: Action | None = None,
        ending: Sequence[str] = (),
    ):
        super().__init__()
        self.step, self._status, self._facts = step, status, facts
        self._actions, self._findings, self._last, self._ending = actions, findings, last, ending
        self._declined = declined
        self.given = given
        self._fell_on_text = False  # for want of a better place
        self._refused: Action | None = None  # for values that will not do

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="text"):
            yield Static(text(f"Step {self.step.id} · {self.step.title}"), id="title")
            yield Prose(self._status.why, STATES[self._status.state], id="status")
            if self._ending:
                yield Prose("\n".join(self._ending), id="ending")
            if self._declined is not None:
                yield Prose(self._declined.label, CODES[4], id="declined")
            yield Prose(id="last")
            if not self._ending:  # then what to do here is behind
                yield Static(text(self.step.guidance.strip()), classes="guidance")
            for level, words in self.findings():
                yield Prose(words, LEVELS[level], joint="", classes="finding")
            if wanted := fields([action for action, _ in reversed(self._actions)]):
                values = {field.name: value_of(field, self.given, self._facts) for field in wanted}
                yield Form(wanted, values)
        if self._actions:
            with VerticalScroll(id="actions", can_focus=False):
                yield Static("", id="settings")
                yield Static("", id="complaints")
                for action, refusal in self._actions:
                    yield ActionRow(action, refusal)

    def findings(self) -> list[tuple[Level, str]]:
        """Facts that the step rests on, then what its actions found; the worst first."""
        names = (*self.step.needs, *self.step.tells)
        facts = [fact for name in names if (fact := self._facts.by_name.get(name)) is not None]
        rows: list[tuple[Level, str, str, str]] = [(fact.verdict, fact.title, fact.found, fact.todo) for fact in facts]
        rows += [(finding.level, finding.place, finding.text, finding.todo) for finding in self._findings[-100:]]
        rows.sort(key=lambda row: WORST_FIRST.index(row[0]))
        return [(level, f"{place}: {found}{f' → {todo}' if todo else ''}") for level, place, found, todo in rows]

    def on_mount(self) -> None:
        self._tell_last()
        self._update_commands()
        self.on_descendant_focus()

    def _tell_last(self) -> None:
        """What the last action of this step came to, if there was one."""
        for told in self.query("#last").results(Prose):
            told.display = self._last is not None
            if self._last is not None:
                action, outcome = self._last
                joint = "\n" if "\n" in outcome.text.strip() else " "
                words = (
                    f"{action.label}:{joint}{excerpt(outcome.text, 'o shows all')}" if outcome.text else action.label
                )
                told.tell(words, CODES.get(outcome.code, CODES[1]))
                told.set_class(outcome.code != 0, "-failed")

    def look_again(self, last: tuple[Action, Outcome] | None) -> None:
        """Until the step is drawn anew: what it showed was so before, and `last` may have changed it."""
        for status in self.query("#status").results(Prose):
            status.tell("what stands here was so before" if list(self._facts) else "", LOOKING)
        if last is not self._last:
            self._last = last
            self._tell_last()
            self.query("#declined").set(display=False)
            self.query_one(TEXT).scroll_home(animate=False)

    def on_descendant_focus(self) -> None:
        """Where there is little room only the current action shows its command: the one focused last, else the first."""
        rows = list(self.query(ActionRow))
        current = next((row for row in rows if row.has_focus_within), None)
        if rows and (current is not None or not any(row.has_class("-current") for row in rows)):
            for row in rows:
                row.set_class(row is (current or rows[0]), "-current")

    @on(FieldRow.Changed)
    def _changed(self, event: FieldRow.Changed) -> None:
        event.stop()
        self.given[event.name] = event.value
        self._update_commands()
        if self._refused is not None:  # mended, perhaps
            self._complain(self._refused, filled(self._refused, self.given, self._facts))

    def _update_settings(self) -> None:
        """Where there is little room: what the form above is set to, which may be scrolled out of sight."""
        wanted = fields([action for action, _ in reversed(self._actions)])
        values = {one.name: value_of(one, self.given, self._facts) for one in wanted}
        asked = [one for one in wanted if one.asked(values)]
        boxes = [one for one in asked if is_tick(one) and (one.required or "no" not in one.choices)]  # the checklist
        told = [f"{sum(values[one.name] == 'yes' for one in boxes)} of {len(boxes)} ticked"] if boxes else []
        told += [f"{one.label}: {values[one.name] or '(not set)'}" for one in asked if one not in boxes]
        if line := self.query_one_optional("#settings", Static):
            line.update(text(f"↑ Shift+Tab: {' · '.join(told)}" if told else ""))
            line.set_class(not told, "-none")

    def _update_commands(self) -> None:
        self._update_settings()
        for row in self.query(ActionRow):
            row.take(filled(row.offered, self.given, self._facts))

    @on(ActionRow.Chosen)
    def _chosen(self, event: ActionRow.Chosen) -> None:
        self._complain(event.action, event.values)
        if found := wrong(event.action, event.values):
            event.stop()
            for row in self.query(FieldRow):
                if row.field.name == found[0].name:
                    self._give_focus(row)

    def _complain(self, action: Action, values: Mapping[str, str]) -> None:
        """Say what is wrong with an action's values, until it is mended."""
        told = complaints(action, values)
        self._refused = action if told else None
        if box := self.query_one_optional("#complaints", Static):
            box.update(text("\n".join(f"× {line}" for line in told)))
            box.set_class(bool(told), "-told")

    def current_command(self) -> str:
        """The command of the action focused last, else of the first one; "" without actions."""
        return next((row.command for row in self.query(ActionRow) if row.has_class("-current")), "")

    def place(self) -> Place | None:
        """Where the focus is; None where it is elsewhere, or has no place of its own."""
        focused = self.screen.focused
        for row in self._rows():
            if focused is not None and row in focused.ancestors:
                return Place(_name(row), _cursor(focused))
        if focused is None or focused.id is None or self not in focused.ancestors:
            return None
        return None if self._fell_on_text and f"#{focused.id}" == TEXT else Place(f"#{focused.id}", _cursor(focused))

    def focus_on(self, place: Place | None) -> None:
        """Give the focus back to what had it before the step was drawn anew, or to where one begins."""
        if place is None:
            self.focus_first()
            return
        parts: Iterable[Widget] = (row for row in self._rows() if _name(row) == place.name)
        if place.name.startswith("#"):
            parts = self.query(place.name)
        if not any(self._give_focus(part, place.cursor) for part in parts):
            self.focus_first()

    def _rows(self) -> Iterator[FieldRow | ActionRow]:
        yield from (row for row in self.query(FieldRow) if row.display)
        yield from self.query(ActionRow)

    def _give_focus(self, part: Widget, cursor: int | None = None) -> bool:
        """Focus a part, or what is entered or pressed in it; False where that takes no focus now."""
        widget = part if part.can_focus else next(iter(part.query("Input, Select, Checkbox, Button")), None)
        if widget is None or not widget.focusable:
            return False
        self.screen.set_focus(widget, scroll_visible=False, from_app_focus=cursor is not None)
        if isinstance(widget, Input) and cursor is not None:
            widget.cursor_position = cursor
        if part.id != TEXT[1:]:
            self.call_after_refresh(part.scroll_visible, animate=False)  # what is typed or pressed must be seen
        return True

    def press(self, action: Action) -> None:
        """Press an action's button, if it can be pressed."""
        for row in self.query(ActionRow):
            if row.offered is action:
                row.query_one(Button).press()

    def focus_first(self) -> None:
        """Focus a needed field that is empty, unless the step is done; else the dry run of an undo that was cut off, or of
        what writes, another button that only looks, or the text."""
        needed = () if self._status.state == "done" else self.query(FieldRow)
        for row in needed:
            if row.display and row.field.required and not row.value and self._give_focus(row):
                return
        looking = [row for row in self.query(ActionRow) if row.offered.effect == "read"]
        previews = {action.preview for action, refusal in self._actions if action.effect == "write" and not refusal}
        cut_off = (self._facts.value("cut_off") or {}).get("step")
        previews = {action.preview for action, _ in self._actions if action.undo and action.id == cut_off} or previews
        dry_run = next((row for row in looking if row.offered.id in previews), None)
        if looking:  # a step's last action is what it is for
            last, refusal = self._actions[-1]
            if self._give_focus(dry_run or looking[-1 if last.effect == "read" and not refusal else 0]):
                return
        self.focus_text()
        self._fell_on_text = True

    def focus_text(self) -> None:
        """Focus the text, where letters are keys and arrows scroll."""
        self._fell_on_text = False
        for scroll in self.query(TEXT):
            self.screen.set_focus(scroll, scroll_visible=False)


def _cursor(widget: Widget) -> int | None:
    return widget.cursor_position if isinstance(widget, Input) else None


def _name(row: FieldRow | ActionRow) -> str:
    return row.field.name if isinstance(row, FieldRow) else row.offered.id
