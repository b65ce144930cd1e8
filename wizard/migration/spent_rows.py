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
from wizard.migration.states import BATCH, OPEN
from wizard.migration.writes import Lost, delete, read
from wizard.parallel import each
from wizard.wire import Item

STANDING = "state IN ('applied', 'verified') AND json_extract(detail, '$.spent_stands')"  # as a condition of the ledger
WRITTEN_SINCE = "a service wrote to the old item at that moment: plan and apply again"

log = logging.getLogger(__name__)


def remove_spent(account: Account, spent: Item, entry: Entry) -> Entry:
    """Remove an old item whose sums were added to the new one; what a service has put there since stays.

    One that could not go is marked `spent_stands`: the next apply removes it.
    """
    entry = replace(entry, detail={name: value for name, value in entry.detail.items() if name != "spent_stands"})
    try:
        delete(account, entry.source_place, BY_KEY[entry.row].key.names, spent)
    except Lost:
        with suppress(MigrateError, *AWS_ERRORS):
            if read(account, entry.source_place, entry.source_key) is None:
                return entry.becomes("applied", entry.note)
        return entry.becomes("applied", WRITTEN_SINCE)
    except (MigrateError, *AWS_ERRORS) as error:
        # The sum stands and is recorded, whatever ends the run now: only then can it be undone.
        log.warning("%s: a summed row, at zero by now, still stands: %s", entry.source_place, explain(error))
        note = f"its old item, at zero by now, still stands ({explain(error)}): `migrate apply` removes it"
        return entry.becomes("applied", note, detail={**entry.detail, "spent_stands": True})
    return entry.becomes("applied", entry.note)


def remove_standing(context: Context, ledger: Ledger) -> None:
    """Remove those that an earlier run could not: it was stopped, or it was not allowed to."""

    def remove(entry: Entry) -> Entry:
        spent = BY_KEY[entry.row].spent(entry.removed or {})
        return replace(remove_spent(context.account, spent, replace(entry, note="")), state=entry.state)

    for batch in ledger.batches((), BATCH, where=STANDING):
        free = [entry for entry in batch if not _is_taken_up(ledger, entry)]
        ledger.save([gone for _, gone in each(remove, free, workers=context.workers, control=context.control)])


def _is_taken_up(ledger: Ledger, entry: Entry) -> bool:
    """Whether a later change of the same row is open, which removes it."""
    last = ledger.find(entry.kind, entry.source_place, entry.source_key, entry.target_place, entry.target_key)
    return last is not None and last.state in OPEN
