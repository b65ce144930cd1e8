"""Puts back what a deletion took although a service had just added to it, and what could not be put back at once."""

from __future__ import annotations

import logging

from wizard.aws_errors import AWS_ERRORS, explain
from wizard.context import Context
from wizard.migration.ledger import Ledger
from wizard.migration.writes import Lost, put_new, read, send, update
from wizard.wire import Item, key_of, key_text, same, to_json_line
from wizard.workspace import write_whole

_PUT_BACK = "it, or its twin, was changed at the moment it was deleted; it was put back"

log = logging.getLogger(__name__)


def give_back(context: Context, ledger: Ledger) -> list[str]:
    """Put back what earlier runs took; returns one line for each item that does not stand again, with the reason.

    Called with the lock held, before a run looks at anything else.
    """
    left = []
    for number, place, names, item in ledger.taken():
        note = _PUT_BACK
        try:
            why = _put_back(context, place, names, item)
            if why is None:
                note, why = _set_aside(context, ledger, number, place, names, item), ""
                left.append(f"{place}: {note}")
        except AWS_ERRORS as error:
            why = explain(error)
        if why:
            left.append(f"{place}: {key_text(key_of(item, names))} is still to be put back: {why}")
            log.warning("%s", left[-1])
        else:
            ledger.give_back(number, note)
    return left


def _put_back(context: Context, place: str, names: list[str], item: Item) -> str | None:
    """Why an item does not stand again, "" when it does, None where another one stands that differs.

    One that only lacks attributes, as a service makes it that begins anew, gets them.
    """
    try:
        send(context.account, [put_new(place, item, names)])
    except Lost:
        standing = read(context.account, place, key_of(item, names))
        if standing is None:
            return "a service keeps writing there"
        if any(name in standing and not same({"": standing[name]}, {"": item[name]}) for name in item):
            return None
        whole = {**item, **standing}
        if not same(standing, whole):  # else only the answer was lost
            try:
                send(context.account, [update(place, names, standing, whole)])
            except Lost:
                return "a service keeps writing there"
    return ""


def _set_aside(context: Context, ledger: Ledger, number: int, place: str, names: list[str], item: Item) -> str:
    """Write an item whose key another one has taken to a file that only the owner can read; returns the finding."""
    path = context.workspace.backups / f"not-put-back-{place}-{number}.json"
    with write_whole(path) as file:
        file.write(to_json_line(item) + "\n")
    note = f"another item stands at {key_text(key_of(item, names))} by now; what was deleted there is in {path}"
    log.error("%s: %s", place, note)
    plan = ledger.latest_plan()
    todo = "Compare it with the item that stands there, and add by hand what that one lacks."
    ledger.add_finding(plan["id"] if plan else 0, "apply", "attention", place, note, todo)
    return note
