"""Lists of options that stand keys before they are drawn, and being taken away before they are there: Textual's fail."""

from __future__ import annotations

from textual._widget_navigation import Direction
from textual.app import ComposeResult
from textual.widgets import OptionList, Select
from textual.widgets._select import SelectCurrent, SelectOverlay


class Options(OptionList):
    """A list of options."""

    def _move_page(self, direction: Direction) -> None:
        if self._lines:
            super()._move_page(direction)


class Overlay(SelectOverlay):  # of one parent, since styles and queries follow the first one only
    """The list that a `Choose` opens."""

    def _move_page(self, direction: Direction) -> None:
        if self._lines:
            super()._move_page(direction)


class Choose(Select[str]):
    """One of several values."""

    def _setup_options_renderables(self) -> None:
        if self.query(SelectOverlay):  # it may be taken away before it has one
            super()._setup_options_renderables()

    def compose(self) -> ComposeResult:
        yield SelectCurrent(self.prompt)
        yield Overlay(type_to_search=self._type_to_search).data_bind(compact=Select.compact)
