"""Everything that can be looked at, in ordinary lines: the checks, the plan, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from screens.prompts import ask_text, choose, confirm, say, told
from wizard.facts import WORST_FIRST, Fact
from wizard.migration.states import START, STATES
from wizard.results import ChangeRow, Results, names
from wizard.text import plural

PAGE = 20  # changes or rows shown at a time


def view_checks(facts: Sequence[Fact]) -> None:
    """Everything that was found out, the worst first."""
    for fact in sorted(facts, key=lambda fact: WORST_FIRST.index(fact.verdict)):
        told(f"{fact.verdict}: {fact.title}: {fact.found}{f' → {fact.todo}' if fact.todo else ''}", hang=2)
    say(f"{plural(len(facts), 'check')}." if facts else "Nothing was found out yet: look at the account again.")


def view(results: Results) -> None:
    """The plan and what became of it, until the operator goes back: what the screens show as tables."""
    views: tuple[tuple[str, Callable[[Results], None]], ...] = (
        ("changes by table or bucket", _by_place),
        ("changes of one user", _by_user),
        ("changes in one state", _by_state),
        ("conflicts", lambda results: page(lambda after: results.changes(state="conflict", after=after, limit=PAGE))),
        ("unknown references: old ids where nobody expected any", _unknown),
        ("what to think about", _findings),
    )
    while True:
        picked = choose("Look at what of the plan?", [*(label for label, _ in views), "back"])
        if picked == len(views):
            return
        views[picked][1](results)


def _counted(counts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in counts if count)


def _by_place(results: Results) -> None:
    tables = results.tables()
    rows = [f"{name}: {_counted([*row.counts.items()])}" for row, name in zip(tables, names(tables), strict=True)]
    if not rows:
        say("No changes.")
        return
    picked = choose("Changes of which?", [*rows, "back"])
    if picked < len(tables):
        page(lambda after: results.changes(row=tables[picked].row, after=after, limit=PAGE))


def _by_user(results: Results) -> None:
    people = results.users()
    rows = [f"{one}: {_counted([*counts.items()])}" for one, counts in people[:PAGE]]
    more = len(people) - len(rows)
    else_ = f"somebody else: type the whole id ({more:,} more)" if more else "somebody else: type the whole id"
    who = choose("Whose?", [*rows, else_, "back"])
    if who <= len(rows):
        user = people[who][0] if who < len(rows) else ask_text("Whose? The whole id:")
        page(lambda after: results.changes(user=user, after=after, limit=PAGE))


def _by_state(results: Results) -> None:
    total = {state: sum(row.counts.get(state, 0) for row in results.tables()) for state in STATES}
    states = [state for state in STATES if total[state]]
    picked = choose("In which state?", [*(f"{state}: {total[state]:,}" for state in states), "back"])
    if picked < len(states):
        page(lambda after: results.changes(state=states[picked], after=after, limit=PAGE))


def _unknown(results: Results) -> None:
    found = results.unknown_references()
    for entry in found:
        say(f"{entry.place}: {entry.path}: {entry.count:,} ({entry.kind}), like {entry.example}")
    say(
        f"{plural(len(found), 'path')}, left as they are: does a service read them?"
        if found
        else "None: every old id stands at a path that the catalog names."
    )


def _findings(results: Results) -> None:
    found = results.findings()
    for level, place, words, todo in found:
        told(f"{level}: {place}: {words}{f' → {todo}' if todo else ''}", hang=2)
    if not found:
        say("The plan found nothing unusual.")


def page(fetch: Callable[[tuple[int, int]], list[ChangeRow]]) -> None:
    """Changes, some at a time, each with where it goes, whose it is and its edits."""
    after = START
    while changes := fetch(after):
        for change in changes:
            to = f" → {change.target}" if change.target else ""
            whose = f" (of {change.users})" if change.users else ""
            say(
                f"{change.id}. {change.state} {change.action}: {change.source}{to}{whose} {change.note}".rstrip(),
                hang=3,
            )
            for path, before, now in change.edits:
                say(f"     {path}: {before or '(nothing)'} → {now or '(removed)'}", hang=2)
        after = changes[-1].position
        if len(changes) < PAGE:
            break
        if not confirm("More?"):
            return
    say("No changes here." if after == START else "No more changes.")
