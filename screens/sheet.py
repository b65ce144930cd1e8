"""A screen that is one table: sorted by `s`, left by Escape."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from rich.text import Text
from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import DataTable, Footer, Static

from screens.shown import text
from screens.steady import Steady
from screens.widgets.header import WhereBar
from wizard.session import in_thread
from wizard.text import plain

if TYPE_CHECKING:
    from screens.app import WizardApp

Found = TypeVar("Found")


def cell(foreign: object, limit: int = 80) -> Text:
    """Foreign text in a table."""
    return Text(plain(foreign, limit), no_wrap=True)


def number(count: int) -> Text:
    """A count, right-aligned; nothing for none."""
    return Text(f"{count:,}" if count else "", justify="right")


class Sheet(Steady[None]):
    """The table, a title over it and a note under it."""

    app: WizardApp
    AUTO_FOCUS = "DataTable"
    COLUMNS: Sequence[str] = ()
    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("escape,b", "leave_screen", "Back"),
        Binding("s", "sort", "Sort"),
        Binding("question_mark,f1", "app.help", "Help", show=False),  # the note says it
    ]
    table = getters.query_one(DataTable)

    def __init__(self, title: str):
        super().__init__()
        self._title = title
        self.columns = list(self.COLUMNS)
        self._sorted = -1
        self._words = ""

    def compose(self) -> ComposeResult:
        yield WhereBar()
        yield Static(text(self._title), id="title")
        yield from self.compose_filters()
        yield DataTable(cursor_type="row", zebra_stripes=True)
        yield Static("", id="note")
        yield Footer(compact=True)

    def compose_filters(self) -> ComposeResult:
        yield from ()

    def on_mount(self) -> None:
        for label in self.COLUMNS:
            self.table.add_column(label, key=label)
        self.watch(self.table, "virtual_size", self._tell)
        self.load()

    def on_screen_resume(self) -> None:
        self.app.show_where()

    def load(self) -> object:
        """Fill the table."""

    async def ask(self, question: Callable[[], Found]) -> Found | None:
        """An answer that takes a thread; None, with a note, when it cannot be had."""
        try:
            return await asyncio.wrap_future(in_thread(question))
        except Exception as error:
            self.note(self.app.session.crashed("reading the results", error))
            return None

    def note(self, words: str) -> None:
        self._words = words
        self._tell()

    def _tell(self) -> None:
        """What there is, and the keys that the footer has no room for."""
        aside = " ← →: the rest." if self.table.max_scroll_x > 0 else ""
        self.query_one("#note", Static).update(text(f"{self._words}{aside} ?: help."))

    @property
    def highlighted(self) -> str:
        """The key of the highlighted row; "" in an empty table."""
        if not self.table.row_count:
            return ""
        return self.table.coordinate_to_cell_key(self.table.cursor_coordinate).row_key.value or ""

    def action_sort(self) -> None:
        """Sort by the column after the one sorted by now; counts the largest first."""
        self._sorted = (self._sorted + 1) % len(self.columns)
        column = self.columns[self._sorted]

        def key(value: Text) -> tuple[int, str]:
            digits = value.plain.replace(",", "")
            return (-int(digits), "") if digits.isdigit() else (0, value.plain.lower())

        self.table.sort(column, key=key)
        self.note(f"Sorted by {column}.")
