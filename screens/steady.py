"""A screen that withstands keys and clicks which arrive while it, or a part of it, is already on its way out."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.geometry import Offset
from textual.screen import Screen
from textual.widget import Widget

Result = TypeVar("Result")


class Steady(Screen[Result]):
    """What every screen of the wizard is; beside `ModalScreen` the second base, since styles follow the first one."""

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Leave, once: Textual would close whatever lies on top for the second of two quick keys."""
        return super().dismiss(result) if self.is_active else AwaitComplete()

    def action_leave_screen(self) -> None:
        """For a key that goes back."""
        self.dismiss()

    def action_copy_text(self) -> None:
        """Copy what is selected, and say so: the terminal shows nothing of it."""
        super().action_copy_text()
        self.notify("Copied the selection.", markup=False)

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """What can be selected there; nothing on what was removed and is not yet drawn over, where Textual fails."""
        widget, offset = super().get_widget_and_offset_at(x, y)
        return (widget, offset) if isinstance(widget, Screen) or (widget and widget.parent) else (None, None)
