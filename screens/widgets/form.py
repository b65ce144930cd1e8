"""The form of a step: one row per field, drawn from the same description that makes the command's options."""

from __future__ import annotations

from collections.abc import Mapping

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Checkbox, Input, Select, Static

from screens.shown import text
from screens.widgets.options import Choose
from wizard.forms import is_tick, unticked
from wizard.journey import Field


class Tick(Checkbox):
    """A box that shows by its characters, not by colour alone, whether it is ticked."""

    @property
    def _button(self) -> Content:
        return Content("[✓]" if self.value else "[ ]")


class FieldRow(Vertical):
    """Label, what to enter it with, and help."""

    class Changed(Message):
        """A value changed."""

        def __init__(self, name: str, value: str):
            super().__init__()
            self.name, self.value = name, value

    def __init__(self, field: Field, value: str):
        super().__init__()
        self.field, self.value = field, value

    def compose(self) -> ComposeResult:
        field = self.field
        needed = " (needed)" if field.required else ""
        option = f"  {field.option}" if field.option else ""
        if is_tick(field):
            yield Tick(text(field.label), value=self.value == "yes", compact=True)
        else:
            yield Static(text(f"{field.label}{needed}{option}"), classes="label")
            if field.choices:
                known = self.value if self.value in field.choices else Select.NULL
                options = [(text(choice), choice) for choice in field.choices if choice]
                value = known or Select.NULL
                blank = not field.required or value is Select.NULL  # nothing is not offered where something is needed
                yield Choose(options, prompt="(not set)", value=value, compact=True, allow_blank=blank)
            else:
                yield Input(self.value, compact=True)
        if field.help:
            yield Static(text(field.help), classes="help")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._set(event.value)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.screen.focus_next()

    @on(Checkbox.Changed)
    def _ticked(self, event: Checkbox.Changed) -> None:
        event.stop()
        self._set("yes" if event.value else unticked(self.field))

    @on(Select.Changed)
    def _selected(self, event: Select.Changed) -> None:
        event.stop()
        self._set("" if event.value is Select.NULL else str(event.value))

    def _set(self, value: str) -> None:
        if value != self.value:
            self.value = value
            self.post_message(self.Changed(self.field.name, value))


class Form(Vertical):
    """The fields of a step; values are plain strings by field name. One that the others do not ask for is not shown."""

    def __init__(self, fields: list[Field], values: Mapping[str, str]):
        super().__init__()
        self._fields, self._values = fields, dict(values)

    def compose(self) -> ComposeResult:
        for field in self._fields:
            row = FieldRow(field, self._values.get(field.name, ""))
            row.display = field.asked(self._values)
            yield row

    @on(FieldRow.Changed)
    def _changed(self, event: FieldRow.Changed) -> None:
        self._values[event.name] = event.value
        for row in self.query(FieldRow):
            row.display = row.field.asked(self._values)
