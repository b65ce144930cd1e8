"""Old rows of sums: emptied by the transaction that adds them to the new row, then removed."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace

from wizard.aws import Account
from wizard.aws_errors import AWS_ERRORS, explain
from wizard.catalog.tables import BY_KEY
from wizard.context import Context
from wizard.errors import MigrateError
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.migration.outcome import WRITTEN_SINCE
from wizard.migration.states import BATCH, OPEN, SPENT_STANDS
from wizard.migration.writes import Lost, NotPutBack, delete, read
from wizard.parallel import each
from wizard.wire import Item

log = logging.getLogger(__name__)


def remove_spent(account: Account, spent: Item, entry: Entry) -> Entry:
    """Remove an old item whose sums were added to the new one; what a service has put there since stays.

    One that could not go is marked `spent_stands`: the next apply removes it. Raises NotPutBack as `delete` does.
    """
    entry = _without_mark(entry)
    try:
        delete(account, entry.source_place, BY_KEY[entry.row].key.names, spent)
    except (Lost, MigrateError, *AWS_ERRORS) as error:
        # The sum stands and is recorded, whatever ends the run now: only then can it be undone.
        with suppress(MigrateError, *AWS_ERRORS):
            if read(account, entry.source_place, entry.source_key) is None:
                return entry.becomes("applied", entry.note)
        if isinstance(error, Lost):
            return entry.becomes("applied", WRITTEN_SINCE)
        log.warning("%s: a summed row, at zero by now, still stands: %s", entry.source_place, explain(error))
        note = f"its old item, at zero by now, still stands ({explain(error)}): `migrate apply` removes it"
        return entry.becomes("applied", note, detail={**entry.detail, "spent_stands": True})
    return entry.becomes("applied", entry.note)


def remove_standing(context: Context, ledger: Ledger) -> None:
    """Remove those that an earlier run could not: it was stopped, or it was not allowed to."""

    def remove(entry: Entry) -> tuple[Entry, Item | None]:
        spent = BY_KEY[entry.row].spent(entry.removed or {})
        try:
            return replace(remove_spent(context.account, spent, replace(entry, note="")), state=entry.state), None
        except NotPutBack as error:
            log.error("%s: %s", entry.source_place, error)
            return replace(_without_mark(entry), note=str(error)), error.item

    for batch in ledger.batches((), BATCH, where=SPENT_STANDS):
        free, ended = [entry for entry in batch if not _is_taken_up(ledger, entry)], list[Entry]()
        try:
            for entry, (gone, taken) in each(remove, free, workers=context.workers, control=context.control):
                ended.append(gone)
                if taken is not None:
                    ledger.add_taken([entry.id], entry.source_place, BY_KEY[entry.row].key.names, taken)
        finally:
            ledger.save(ended)


def _is_taken_up(ledger: Ledger, entry: Entry) -> bool:
    """Whether a later change of the same row is open, which removes it."""
    last = ledger.find(entry.kind, entry.source_place, entry.source_key, entry.target_place, entry.target_key)
    return last is not None and last.state in OPEN


def _without_mark(entry: Entry) -> Entry:
    return replace(entry, detail={name: value for name, value in entry.detail.items() if name != "spent_stands"})
