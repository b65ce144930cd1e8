"""Puts back what a deletion took although a service had just added to it, and what could not be put back at once."""

from __future__ import annotations

import logging

from wizard.aws_errors import AWS_ERRORS, explain
from wizard.context import Context
from wizard.migration.ledger import Ledger
from wizard.migration.writes import Lost, put_new, read, send
from wizard.wire import Item, key_of, key_text, same

log = logging.getLogger(__name__)


def give_back(context: Context, ledger: Ledger) -> list[str]:
    """Put back what earlier runs took; returns one line for each item that does not stand again, with the reason.

    Called with the lock held, before a run looks at anything else.
    """
    left = []
    for number, place, names, item in ledger.taken():
        try:
            why = _put_back(context, place, names, item)
        except AWS_ERRORS as error:
            why = explain(error)
        if why:
            left.append(f"{place}: {key_text(key_of(item, names))} is still to be put back: {why}")
            log.warning("%s", left[-1])
        else:
            ledger.give_back(number, "it, or its twin, was changed at the moment it was deleted; it was put back")
    return left


def _put_back(context: Context, place: str, names: list[str], item: Item) -> str:
    """Why an item does not stand again, "" when it does."""
    try:
        send(context.account, [put_new(place, item, names)])
    except Lost:
        standing = read(context.account, place, key_of(item, names))
        if standing is None or not same(standing, item):  # else only the answer was lost
            return "another item stands there by now; compare it with the one in the ledger"
    return ""
