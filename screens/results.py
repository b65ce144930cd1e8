"""Looking at the plan and at what became of it: tables, then changes, then one change with before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.widgets import DataTable, Input, Select, Static

from screens.asking import Tell
from screens.sheet import Sheet, cell, number
from screens.shown import text
from screens.widgets.options import Choose
from wizard.migration.states import START, STATES
from wizard.results import ChangeRow, Results, names
from wizard.text import plural


class Counts(Sheet):
    """Rows with a number for each state that occurs."""

    def add_states(self, counts: Sequence[Mapping[str, int]]) -> list[str]:
        """Add a column for each state that occurs in any of the counts."""
        states = [state for state in STATES if any(count.get(state) for count in counts)]
        for state in states:
            self.table.add_column(state, key=state)
        self.columns = [*self.columns, *states]
        return states


class Tables(Counts):
    """Every table and bucket of the plan with its counts; Enter shows its changes."""

    COLUMNS = ("table or bucket",)  # and those states that occur
    BINDINGS = [  # noqa: RUF012
        Binding("enter", "changes", "Open", priority=True, show=False),  # the note says it
        Binding("p", "people", "People"),
        Binding("c", "conflicts", "Conflicts"),
        Binding("u", "unknown", "Unknown"),
        Binding("f", "findings", "Findings"),
    ]

    def __init__(self, results: Results):
        super().__init__("The plan, and what became of it")
        self.results = results

    def load(self) -> object:
        return self._load()

    @work(group="load", exclusive=True)
    async def _load(self) -> None:
        if (found := await self.ask(self.results.tables)) is None:
            return
        states = self.add_states([entry.counts for entry in found])
        room = max(34, self.app.size.width - 2 - sum(len(state) + 2 for state in states) - 4)
        for entry, name in zip(found, names(found), strict=True):
            counts = [number(entry.counts.get(state, 0)) for state in states]
            self.table.add_row(cell(name, room), *counts, key=f"{entry.row}\0{entry.place}")
        totals = {state: sum(entry.counts.get(state, 0) for entry in found) for state in states}
        told = ", ".join(f"{count:,} {state}" for state, count in totals.items())
        self.note(f"{told}, in {plural(len(found), 'place')}. Enter: the changes of a row." if found else "No changes.")

    def action_changes(self) -> None:
        if self.highlighted:
            row, _, place = self.highlighted.partition("\0")
            self.app.push_screen(Changes(self.results, row=row, title=f"Changes in {place} ({row})"))

    def action_people(self) -> None:
        self.app.push_screen(People(self.results))

    def action_conflicts(self) -> None:
        self.app.push_screen(Changes(self.results, state="conflict", title="Changes"))

    def action_unknown(self) -> None:
        self.app.push_screen(UnknownReferences(self.results))

    @work(group="findings", exclusive=True)
    async def action_findings(self) -> None:
        if (found := await self.ask(self.results.findings)) is not None:
            lines = [f"{level}: {place}: {words}{f' → {todo}' if todo else ''}" for level, place, words, todo in found]
            self.app.push_screen(Tell("Stop and think", lines or ["The plan found nothing unusual."]))


class People(Counts):
    """Everybody whom changes concern, with their number by state; Enter shows a person's changes."""

    COLUMNS = ("user",)  # and those states that occur
    BINDINGS = [Binding("enter", "changes", "Changes", priority=True)]  # noqa: RUF012

    def __init__(self, results: Results):
        super().__init__("The plan, person by person")
        self.results = results

    def load(self) -> object:
        return self._load()

    @work(group="load", exclusive=True)
    async def _load(self) -> None:
        if (found := await self.ask(self.results.users)) is None:
            return
        states = self.add_states([counts for _, counts in found])
        for user, counts in found:
            self.table.add_row(cell(user, 60), *(number(counts.get(state, 0)) for state in states), key=user)
        self.note(f"{plural(len(found), 'person', 'people')}. Enter: the changes of one." if found else "No changes.")

    def action_changes(self) -> None:
        if self.highlighted:
            self.app.push_screen(Changes(self.results, user=self.highlighted, title="Changes"))


class Changes(Sheet):
    """Changes, filtered by user and state; Enter shows one."""

    COLUMNS = ("change", "state", "what", "item", "users", "edits")
    BINDINGS = [  # noqa: RUF012
        Binding("enter", "open", "Open", priority=False),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("u", "this_user", "This user"),
        Binding("m", "more", "More"),
    ]
    PAGE = 500

    def __init__(self, results: Results, row: str = "", state: str = "", user: str = "", title: str = "Changes"):
        super().__init__(title)
        self.results = results
        self._place = title  # what it is about apart from the filters, which the operator may change
        self._row, self._state, self._user = row, state, user
        self._more = False
        self._shown: dict[str, ChangeRow] = {}
        self._last = START

    def compose_filters(self) -> ComposeResult:
        with Horizontal(id="filters"):
            yield Input(self._user, placeholder="/ one user: the whole id", id="user", compact=True)
            yield Choose(
                [(state, state) for state in STATES],
                prompt="any state",
                value=self._state or Select.NULL,
                id="state",
                compact=True,
            )

    def load(self) -> None:
        self.table.clear()
        self._shown.clear()
        self._last = START
        self._load_more()

    @work(group="load", exclusive=True)
    async def _load_more(self) -> None:
        row, user, state, last = self._row, self._user, self._state, self._last
        found = await self.ask(lambda: self.results.changes(row, user, state, last, self.PAGE))
        if found is None:
            return
        room = max(44, self.app.size.width - 76)  # users and edits beside it, where the terminal is wide
        for change in found:
            self._shown[str(change.id)] = change
            self.table.add_row(
                number(change.id), cell(change.state), cell(change.action, 12),
                cell(change.source.partition(": ")[2] if row else change.source, room), cell(change.users, 40),
                number(len(change.edits)), key=str(change.id),
            )  # fmt: skip
        self._last = found[-1].position if found else self._last
        self._more = len(found) == self.PAGE
        self.refresh_bindings()
        whose = f" of {user}" if user else ""
        self.query_one("#title", Static).update(text(f"{self._place}{whose}{f', {state}' if state else ''}"))
        shown = f"{plural(len(self._shown), 'change')} shown{'; m shows more' if self._more else ''}."
        self.note(f"{shown} Enter: before and after of one." if self._shown else "No changes here.")

    @on(Input.Submitted, "#user")
    def _filter_user(self, event: Input.Submitted) -> None:
        self._user = event.value.strip()
        self.load()
        self.table.focus()

    @on(Select.Changed, "#state")
    def _filter_state(self, event: Select.Changed) -> None:
        state = "" if event.value is Select.NULL else str(event.value)
        if state != self._state:
            self._state = state
            self.load()

    @on(DataTable.RowSelected)
    def _selected(self, event: DataTable.RowSelected) -> None:
        if change := self._shown.get(event.row_key.value or ""):
            self.app.push_screen(Tell(f"Change {change.id}: {change.state}", change_lines(change)))

    def action_open(self) -> None:
        self.table.action_select_cursor()

    def action_filter(self) -> None:
        self.query_one("#user").focus()

    def action_this_user(self) -> None:
        """Filter by the first user of the highlighted change; again: all users."""
        change = self._shown.get(self.highlighted)
        self._user = "" if self._user or change is None else change.users.partition(", ")[0]
        self.query_one("#user", Input).value = self._user
        self.load()

    def action_more(self) -> None:
        self._load_more()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._more if action == "more" else super().check_action(action, parameters)


def change_lines(change: ChangeRow) -> list[str]:
    """One change for a person: where, whose, and each path before and after."""
    lines = [f"Row     {change.row}", f"Users   {change.users}", f"From    {change.source}"]
    if change.target:
        lines.append(f"To      {change.target}")
    if change.note:
        lines.append(f"Note    {change.note}")
    lines += [""] if change.edits else []
    for path, before, after in change.edits:
        lines += [path, f"  before  {before or '(nothing)'}", f"  after   {after or '(removed)'}"]
    return lines


class UnknownReferences(Sheet):
    """Ids that the migration will not touch, since the catalog does not know the path."""

    COLUMNS = ("count", "kind", "path", "table", "example")

    def __init__(self, results: Results):
        super().__init__("Ids at paths that the catalog does not name")
        self.results = results

    def load(self) -> object:
        return self._load()

    @work(group="load", exclusive=True)
    async def _load(self) -> None:
        if (found := await self.ask(self.results.unknown_references)) is None:
            return
        for entry in found:
            self.table.add_row(
                number(entry.count), cell(entry.kind), cell(entry.path), cell(entry.place), cell(entry.example, 60)
            )
        self.note(
            f"{plural(len(found), 'path')}, left as they are: does a service read them?"
            if found
            else "None: every old id stands at a path that the catalog names."
        )
