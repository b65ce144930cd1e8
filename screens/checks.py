"""Everything that was found out about the account and the workspace, the worst first."""

from __future__ import annotations

from textual import on
from textual.widgets import DataTable

from screens.asking import Tell
from screens.sheet import Sheet, cell
from screens.shown import LEVELS
from wizard.facts import WORST_FIRST, Fact


class Checks(Sheet):
    """One row per check; Enter shows it whole."""

    COLUMNS = ("state", "check", "found, and what to do")

    def __init__(self, facts: list[Fact]):
        super().__init__("What was found out, the worst first")
        self._facts = {fact.name: fact for fact in sorted(facts, key=lambda fact: WORST_FIRST.index(fact.verdict))}

    def load(self) -> None:
        room = max(20, self.app.size.width - 13 - 28 - 6)  # beside state and check
        for name, fact in self._facts.items():
            mark, word, _ = LEVELS[fact.verdict]
            told = f"{fact.found}{f' → {fact.todo}' if fact.todo else ''}"
            self.table.add_row(cell(f"{mark} {word}"), cell(fact.title, 28), cell(told, room), key=name)
        self.note("Enter shows a check whole. Back on the step, r looks again.")

    @on(DataTable.RowSelected)
    def _whole(self, event: DataTable.RowSelected) -> None:
        fact = self._facts[event.row_key.value or ""]
        todo = ["", f"To do: {fact.todo}"] if fact.todo else []
        self.app.push_screen(Tell(f"{fact.title}: {LEVELS[fact.verdict][1]}", [fact.found, *todo]))
