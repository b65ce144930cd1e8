"""What an interrupted run began: for each change whose intent is recorded and whose result is not, what became of it.

Plan and rollback settle intents first, so that neither takes for untouched what a killed run has written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

from wizard.aws_errors import AWS_ERRORS, explain
from wizard.context import Context
from wizard.migration.apply_items import finished
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.migration.objects import ObjectCopy, verify_object
from wizard.migration.outcome import row_went_through, unclear, went_through, with_archived
from wizard.migration.replaced import with_replaced
from wizard.migration.states import BATCH, OPEN
from wizard.migration.targets import CONSOLIDATION, bucket_name
from wizard.migration.writes import read
from wizard.parallel import each

log = logging.getLogger(__name__)


def settle(context: Context, ledger: Ledger) -> int:
    """Record as done what AWS shows to be done; what was not written is open again. Returns how many were done."""
    done = 0
    for settled in as_they_stand(context, ledger):
        done += sum(entry.state in ("applied", "verified") for entry in settled)
        ledger.save(with_replaced(ledger, settled))
    return done


def as_they_stand(context: Context, ledger: Ledger) -> Iterator[list[Entry]]:
    """Those changes as AWS shows them by now, in batches. Only looks."""
    for batch in ledger.batches(OPEN, BATCH, where="intent = 1"):
        looked = each(lambda entry: _look(context, entry), batch, workers=context.workers, control=context.control)
        yield [entry for _, entry in looked]


def _look(context: Context, entry: Entry) -> Entry:
    try:
        return _settled(context, entry)
    except AWS_ERRORS as error:
        log.warning("%s: what an interrupted run began cannot be looked at: %s", entry.target_place, explain(error))
        return entry  # its intent stays


def _settled(context: Context, entry: Entry) -> Entry:
    account, open_again = context.account, replace(entry, intent=False)
    note = "was done when the run was interrupted"
    if entry.kind == "object":
        check = verify_object(account, entry.object_copy, entry.source_digest)
        if check.verdict == "unknown":
            return entry
        if check.verdict == "missing":
            return open_again
        if check.verdict == "differs":
            # Nothing stood there before. It is never deleted, having no ETag of ours, but listed.
            return replace(unclear(entry), target_digest="", detail={**entry.detail, "made": True, "was_made": True})
        return entry.becomes(
            "verified", note, intent=False, target_digest=check.etag, detail={**entry.detail, "made": True}
        )
    if entry.kind == "item":
        made = went_through(account, entry, read(account, entry.source_place, entry.source_key))
        if made is None:
            return unclear(entry)
        return replace(finished(entry, note), intent=False) if made else open_again
    if beside := object_beside(context, entry):
        check = verify_object(account, beside, beside.etag)
        if check.verdict == "match":
            detail = {**entry.detail, "object_etag": check.etag}
            return entry.becomes("verified", note, intent=False, detail=detail)
        # A row of versions may be written and its PDF not yet: apply goes on with it, rollback puts it back.
        return open_again if check.verdict == "missing" and entry.action != "disclosures" else entry
    if entry.detail.get("archiving"):
        entry = with_archived(account, bucket_name(context.deployment, CONSOLIDATION), entry)
        if entry.detail.get("archived"):
            entry = entry.becomes("failed", "interrupted while its logs were archived")
        open_again = replace(entry, intent=False)
    made = row_went_through(account, entry)
    if made is None:
        return unclear(entry)
    return entry.becomes("verified", note, intent=False) if made else open_again


def object_beside(context: Context, entry: Entry) -> ObjectCopy | None:
    """The copy that a content change makes besides its row or instead of one; None when it makes none."""
    if not entry.detail.get("object") and not entry.detail.get("copied"):
        return None
    bucket, key, size, etag, *_ = entry.detail["sources"][0]
    if entry.detail.get("object"):
        return ObjectCopy(
            bucket, key, bucket_name(context.deployment, CONSOLIDATION), entry.detail["object"], size, etag
        )
    return ObjectCopy(bucket, key, bucket, entry.detail["pointer"], size, etag)
