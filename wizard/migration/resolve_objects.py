"""Planned copies of objects, held against what stands in the consolidation bucket. What stands there is never replaced."""

from __future__ import annotations

import json
import logging
from collections import Counter

import botocore.exceptions

from wizard.aws_errors import AWS_ERRORS, explain
from wizard.catalog.buckets import BUCKETS
from wizard.catalog.model import Ids
from wizard.errors import Blocked
from wizard.events import Finding
from wizard.migration.entry import Entry
from wizard.migration.listing import Listed, deleted_keys, etags_tell
from wizard.migration.object_heads import bodies_equal, same_object
from wizard.migration.objects import ObjectCopy
from wizard.migration.plan_buckets import Listings
from wizard.migration.resolution import DONE, Resolution
from wizard.text import plain, plural

log = logging.getLogger(__name__)

_DELETED = "somebody deleted it in the consolidation bucket; it is not brought back"


class ObjectResolver:
    """Records the copies of one plan."""

    def __init__(self, work: Resolution):
        self.work, self.staging = work, work.staging
        self._plain_etags: dict[str, bool] = {}

    def resolve(self, listings: Listings) -> None:
        """Record every copy. Raises Blocked where there is something to copy and no bucket of ours to copy it into."""
        first = {key for _, move in self.staging.moves() if move.action == "disclosures" for _, key in move.objects}
        watched = listings.standing and self._uploads_become_versions()
        buckets = {row.config_key: row for row in BUCKETS}
        rivals, unnamed = Counter[str](), list[tuple[str, str]]()
        if listings.standing:
            self.staging.add_deleted(deleted_keys(self.work.context))
        for rank, row, copy, others in self.staging.copies():
            if not listings.standing:
                raise Blocked(f"Objects must be copied into the consolidation bucket, and {listings.obstacle}")
            rivals[copy.source_bucket] += others
            bucket = buckets[row]
            if bucket.pointer_first and copy.source_key in first:
                continue  # copied together with its row of versions
            arrives = self.staging.object(copy.target_bucket, copy.target_key) is None
            versioned = bucket.becomes_version and copy.source_key.lower().endswith(bucket.becomes_version)
            if versioned and watched and arrives:
                unnamed.append((copy.source_bucket, copy.source_key))
                continue
            self._copy(rank, row, copy)
        for place, count in rivals.items():
            if count:
                text = f"{plural(count, 'older object')} left in place: a newer one goes where it would have gone"
                self.work.findings.append(Finding("attention", place, text))
        for place, key in unnamed[:20]:
            text = f"{plain(key, 120)} stays: no row of versions names it, and its copy would become a new version"
            self.work.findings.append(Finding("attention", place, text, "Everybody would have to accept it again."))

    def _copy(self, rank: int, row: str, copy: ObjectCopy) -> None:
        work = self.work
        entry = Entry(
            rank=rank, row=row, kind="object", action="copy", source_place=copy.source_bucket, source_key=copy.source_key,
            target_place=copy.target_bucket, target_key=copy.target_key, source_digest=copy.etag,
            users=users_in(copy.source_key, work.scope.ids), plan=work.plan,
            detail={"size": copy.size, "storage_class": copy.storage_class, "modified": copy.modified},
        )  # fmt: skip
        before = work.ledger.find("object", copy.source_bucket, copy.source_key, copy.target_bucket, copy.target_key)
        unchanged = before is not None and before.source_digest == copy.etag
        if work.passes_over(before, unchanged):
            if before is not None and before.intent:
                self.staging.set_ready(copy.target_bucket, copy.target_key)
            return
        if before is not None and before.state in DONE and unchanged:
            self.staging.set_ready(copy.target_bucket, copy.target_key)
            return
        standing = self.staging.object(copy.target_bucket, copy.target_key)
        if standing is None and self.staging.is_deleted(copy.target_key):
            if before is not None and before.state == "cleaned":  # its older object was put again since
                work.findings.append(
                    Finding("attention", copy.target_bucket, f"{plain(copy.target_key, 120)}: {_DELETED}")
                )
            elif before is not None and before.undoable:  # a copy of ours: its record stays for rollback
                work.ledger.keep(before, _DELETED)
            else:
                work.put(entry.becomes("kept", _DELETED))
            return
        self.staging.set_ready(copy.target_bucket, copy.target_key)
        if standing is None:
            work.put(entry)
        elif self._is_there(copy, standing, before):
            work.put(entry.becomes("verified", "was there already", target_digest=standing.etag))
        elif before is not None and before.state in DONE:
            note = "a service changed it under the old id after it was copied; the copy is older"
            work.put(entry.becomes("conflict", note))
        else:
            # What stands there was written by newer services: pointers may lead to it.
            note = "another object stands at the target; this one stays beside it"
            work.put(entry.becomes("kept", note, detail={**entry.detail, "stands": True}))

    def _is_there(self, copy: ObjectCopy, standing: Listed, before: Entry | None) -> bool:
        """Whether the target holds the source. Where ETags cannot tell, of one that was looked at before and has changed, or
        was found to differ, only the bytes do."""
        if not same_object(copy.size, copy.etag, standing.size, standing.etag, etags_tell=self._etags_tell(copy)):
            return False
        if before is None or copy.etag == standing.etag:
            return True
        source = copy.source_bucket, copy.source_key, copy.etag
        try:
            return bodies_equal(
                self.work.context.account, copy.size, source, (copy.target_bucket, copy.target_key, standing.etag)
            )
        except AWS_ERRORS as error:
            log.warning(
                "%s: %s could not be compared: %s", copy.source_bucket, plain(copy.source_key, 200), explain(error)
            )
            return False

    def _etags_tell(self, copy: ObjectCopy) -> bool:
        for bucket in (copy.source_bucket, copy.target_bucket):
            if bucket not in self._plain_etags:
                self._plain_etags[bucket] = etags_tell(self.work.context.account, bucket)
        return self._plain_etags[copy.source_bucket] and self._plain_etags[copy.target_bucket]

    def _uploads_become_versions(self) -> bool:
        """Whether a PDF that arrives under dataDisclosure/ starts a function that makes it a new version."""
        account = self.work.context.account
        try:
            events = account.call(
                "s3", "get_bucket_notification_configuration", Bucket=self.work.consolidation,
                ExpectedBucketOwner=account.id,
            )  # fmt: skip
        except botocore.exceptions.ClientError:
            return True
        return "dataDisclosure/" in json.dumps(
            {name: value for name, value in events.items() if name != "ResponseMetadata"}
        )


def users_in(key: str, ids: Ids) -> tuple[str, ...]:
    """The users of the map whose ids are segments of an object's key."""
    return tuple(dict.fromkeys(part for part in key.split("/") if part in ids))
