"""Looking at the plan and at what became of it, in ordinary lines."""

from __future__ import annotations

from collections.abc import Callable

from screens.prompts import ask_text, choose, confirm, say
from wizard.results import START, ChangeRow, Results, names

PAGE = 20  # changes shown at a time


def view(results: Results) -> None:
    """The plan: its tables, then the changes of one, or of one person, conflicts, unknown references."""
    tables = results.tables()
    rows = [
        f"{name}: {', '.join(f'{n:,} {state}' for state, n in row.counts.items())}"
        for row, name in zip(tables, names(tables), strict=True)
    ]
    choices = [*rows, "all changes of one user", "conflicts", "unknown references", "back"]
    picked = choose("Look at what?", choices)
    if picked < len(tables):
        page(lambda after: results.changes(row=tables[picked].row, after=after, limit=PAGE))
    elif picked == len(tables):
        people = results.users()
        rows = [f"{one}: {sum(counts.values()):,} changes" for one, counts in people[:PAGE]]
        who = choose("Whose?", [*rows, "somebody else: type the whole id"])
        user = people[who][0] if who < len(rows) else ask_text("Whose? The whole id:")
        page(lambda after: results.changes(user=user, after=after, limit=PAGE))
    elif picked == len(tables) + 1:
        page(lambda after: results.changes(state="conflict", after=after, limit=PAGE))
    elif picked == len(tables) + 2:
        for entry in results.unknown_references() or []:
            say(f"{entry.place}: {entry.path}: {entry.count:,} ({entry.kind}), like {entry.example}")


def page(fetch: Callable[[tuple[int, int]], list[ChangeRow]]) -> None:
    """Changes, some at a time, each with its edits."""
    after = START
    while changes := fetch(after):
        for change in changes:
            say(f"{change.id}. {change.state} {change.action}: {change.source} {change.note}".rstrip())
            for path, before, now in change.edits:
                say(f"     {path}: {before or '(nothing)'} → {now or '(removed)'}")
        after = changes[-1].position
        if len(changes) < PAGE or not confirm("More?"):
            return
    say("No more changes.")
