"""What an interrupted run began: for each change whose intent is recorded and whose result is not, what became of it.

Plan and rollback settle intents first, so that neither takes for untouched what a killed run has written.
"""

from __future__ import annotations

from dataclasses import replace

from wizard.context import Context
from wizard.migration.apply_items import finished, went_through
from wizard.migration.ledger import Entry, Ledger
from wizard.migration.objects import verify_object
from wizard.migration.writes import read
from wizard.parallel import each
from wizard.wire import digest

_BATCH = 200


def settle(context: Context, ledger: Ledger) -> int:
    """Record as done what AWS shows to be done; what was not written is open again. Returns how many were done."""
    done = 0
    for batch in ledger.batches(("planned", "conflict", "failed"), _BATCH, where="intent = 1"):
        looked = each(lambda entry: _look(context, entry), batch, workers=context.workers, control=context.control)
        settled = [entry for _, entry in looked]
        done += sum(entry.state in ("applied", "verified") for entry in settled)
        ledger.save(settled)
    return done


def _look(context: Context, entry: Entry) -> Entry:
    account, open_again = context.account, entry.becomes(entry.state, entry.note, intent=False)
    note = "was done when the run was interrupted"
    if entry.kind == "object":
        check = verify_object(account, entry.object_copy)
        if check.verdict != "match":
            return open_again
        return entry.becomes(
            "verified", note, intent=False, target_digest=check.etag, detail={**entry.detail, "made": True}
        )
    if entry.kind == "item":
        source = read(account, entry.source_place, entry.source_key)
        made = (
            digest(source) == entry.target_digest
            if entry.action == "update" and source
            else went_through(account, entry, source)
        )
        return replace(finished(entry, note), intent=False) if made else open_again
    found = read(account, entry.target_place, entry.target_key)
    made = found is not None and digest(found) == entry.target_digest
    return entry.becomes("verified", note, intent=False) if made else open_again
