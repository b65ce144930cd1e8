"""From what the scans found to the changes of the ledger: what stands at the targets decides.

A candidate whose target is free is copied. Where an item stands under the new id, an equal one means that it was done
before; another one is a clash and goes by the row's rule. Pointers are kept only where what they wait for is there.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import botocore.exceptions

from wizard.catalog.model import Ids, Item, Table
from wizard.catalog.tables import BY_KEY
from wizard.context import Context
from wizard.errors import Blocked
from wizard.events import Finding
from wizard.migration.apply_content import ContentTools, prepare_content
from wizard.migration.content import LARGE, Origin, archive_key, artifact_item, oversize_artifact_key, parse_body
from wizard.migration.content_plan import Move
from wizard.migration.ledger import Entry, Ledger
from wizard.migration.listing import deleted_keys, etags_tell
from wizard.migration.objects import ObjectCopy, read_object, same_object
from wizard.migration.plan_buckets import Listings
from wizard.migration.read_ahead import ReadAhead
from wizard.migration.rewrite import Edit, changes, rewrite
from wizard.migration.scan import Candidate, Scope, unmarked
from wizard.migration.staging import Staging
from wizard.migration.targets import CONSOLIDATION, USER_DATA, Survey, bucket_name
from wizard.storage_key import sanitise_user
from wizard.text import plural
from wizard.wire import digest, same

ARTIFACTS = "S3_ARTIFACTS_BUCKET"
DISCLOSURES = "DATA_DISCLOSURE_STORAGE_BUCKET"
DONE = ("applied", "verified", "cleaned", "resolved")
_AT_ONCE = 100  # clashes that are settled together; what is held in memory


@dataclass(frozen=True)
class _Clash:
    """A candidate that needs a look at both items."""

    rank: int
    place: str
    row: Table
    candidate: Candidate
    before: Entry | None  # what an earlier plan did with it


class Resolver:
    """Writes one plan's changes. Runs inside the ledger's transaction, in the coordinator's thread."""

    def __init__(self, context: Context, ledger: Ledger, staging: Staging, found: Survey, scope: Scope, plan: int):
        self.context, self.ledger, self.staging, self.found, self.scope, self.plan = (
            context, ledger, staging, found, scope, plan,
        )  # fmt: skip
        self.findings: list[Finding] = []
        self._ambiguous: set[str] = set()  # spellings in user storage that two people share
        self._copied_before: set[str] = set()  # tables where an earlier run left copies
        self._consolidation = bucket_name(context.deployment, CONSOLIDATION)
        self._plain_etags: dict[str, bool] = {}
        self._tools = ContentTools(
            context.account,
            scope.ids,
            int(time.time()),
            self._consolidation,
            bucket_name(context.deployment, ARTIFACTS),
        )
        self.held: Counter[tuple[str, str]] = Counter()

    # --- objects and content -------------------------------------------------------------------------------------------

    def objects(self, listings: Listings) -> None:
        """Record object copies. What stands at a target already is equal, or stays and is listed."""
        first = {key for _, move in self.staging.moves() if move.action == "disclosures" for _, key in move.objects}
        watched = listings.standing and self._uploads_become_versions()
        rivals = Counter[str]()
        if listings.standing:
            self.staging.add_deleted(deleted_keys(self.context))
        for rank, row, copy, others in self.staging.copies():
            if not listings.standing:
                raise Blocked(
                    f"The consolidation bucket {self._consolidation} does not exist and objects must be copied there: deploy"
                    " amplify-lambda first (step 4c)."
                )
            rivals[copy.source_bucket] += others
            if row == DISCLOSURES and copy.source_key in first:
                continue  # copied together with its row of versions
            if row == DISCLOSURES and watched and copy.source_key.lower().endswith(".pdf"):
                self.held[
                    ("DATA_DISCLOSURE_VERSIONS_TABLE", "no row names the PDF, and its copy would become a new version")
                ] += 1
                continue
            self._object(rank, row, copy)
        for bucket, count in rivals.items():
            if count:
                self.findings.append(
                    Finding(
                        "attention",
                        bucket,
                        f"{plural(count, 'older object')} lead to a target that a newer one takes; they stay",
                    )
                )

    def _object(self, rank: int, row: str, copy: ObjectCopy) -> None:
        entry = Entry(
            rank=rank, row=row, kind="object", action="copy", source_place=copy.source_bucket, source_key=copy.source_key,
            target_place=copy.target_bucket, target_key=copy.target_key, source_digest=copy.etag,
            users=users_in(copy.source_key, self.scope.ids), plan=self.plan,
            detail={"size": copy.size, "storage_class": copy.storage_class, "modified": copy.modified},
        )  # fmt: skip
        before = self.ledger.find("object", copy.source_bucket, copy.source_key, copy.target_bucket, copy.target_key)
        if before is not None and before.state in DONE and before.source_digest == copy.etag:
            self.staging.set_ready(copy.target_bucket, copy.target_key)
            return
        standing = self.staging.object(copy.target_bucket, copy.target_key)
        if standing is None and before is None and self.staging.is_deleted(copy.target_key):
            self._put(entry.becomes("kept", "somebody deleted it in the consolidation bucket; it is not brought back"))
            return
        self.staging.set_ready(copy.target_bucket, copy.target_key)
        if standing is None:
            self._put(entry)
        elif same_object(copy.size, copy.etag, standing.size, standing.etag, etags_tell=self._etags_tell(copy)):
            self._put(entry.becomes("verified", "was there already", target_digest=standing.etag))
        elif before is not None and before.state in DONE:
            self._put(
                entry.becomes(
                    "conflict", "a service changed it under the old id after it was copied; the copy is older"
                )
            )
        else:
            # What stands there was written by newer services: pointers may lead to it.
            note = "another object stands at the target; this one stays beside it"
            self._put(entry.becomes("kept", note, detail={**entry.detail, "stands": True}))

    def _etags_tell(self, copy: ObjectCopy) -> bool:
        for bucket in (copy.source_bucket, copy.target_bucket):
            if bucket not in self._plain_etags:
                self._plain_etags[bucket] = etags_tell(self.context.account, bucket)
        return self._plain_etags[copy.source_bucket] and self._plain_etags[copy.target_bucket]

    def _uploads_become_versions(self) -> bool:
        """Whether a PDF that arrives under dataDisclosure/ starts a function (domain B8)."""
        try:
            events = self.context.account.call(
                "s3", "get_bucket_notification_configuration", Bucket=self._consolidation,
                ExpectedBucketOwner=self.context.account.id,
            )  # fmt: skip
        except botocore.exceptions.ClientError:
            return True
        return "dataDisclosure/" in json.dumps(
            {name: value for name, value in events.items() if name != "ResponseMetadata"}
        )

    def content(self) -> None:
        """Record the rows that are to be made, each target once, where their sources exist."""
        standing: list[Entry] = []
        for rank, move in self.staging.moves():
            entry = self._move(rank, move)
            if entry is None:
                continue
            if not self.staging.claim(entry.target_key, move.part if move.action == "disclosures" else ""):
                continue
            if move.action == "shares" and (sort := self._received(entry)):
                self._put_content(entry.becomes("verified", "was there already", detail={**entry.detail, "at": sort}))
            elif move.action == "artifacts" and (done := self._in_s3(entry)) is not None:
                self._put_content(done)
            elif move.action != "disclosures" and self.staging.seen(entry.target_place, entry.target_key) is not None:
                standing.append(entry)
            else:
                self._put_content(entry)
            if len(standing) >= _AT_ONCE:
                self._settle_content(standing)
                standing = []
        self._settle_content(standing)

    def _settle_content(self, standing: Sequence[Entry]) -> None:
        """Look at the rows that stand already where content is to go, and decide."""
        ahead = ReadAhead(self.context, ((entry.target_place, entry.target_key) for entry in standing))
        for entry in standing:
            existing = ahead(self.context.account, entry.target_place, entry.target_key)
            self._put_content(self._as_it_stands(entry, existing))

    def _put_content(self, entry: Entry) -> None:
        """Record a content change; what is kept where it is makes nothing ready for its pointers."""
        self._put(entry)
        if entry.state in ("planned", *DONE):
            self._content_ready(entry)

    def _in_s3(self, entry: Entry) -> Entry | None:
        """An artifact that is too large for a row and stays in S3 under its new key; None for all others."""
        (bucket, source, size, etag, *_) = entry.detail["sources"][0]
        key = oversize_artifact_key(entry.detail["user"], entry.detail["key"])
        copy = self.staging.object(bucket, key)
        if self.staging.seen(entry.target_place, entry.target_key) is not None or size < LARGE // 4 or copy is None:
            return None
        if key == source and self._fits(entry, bucket, source, etag):
            return None
        if not same_object(size, etag, copy.size, copy.etag):
            return None
        detail = {**entry.detail, "done": [source], "pointer": key}
        return entry.becomes("verified", f"too large for a row; it stays in S3 as {key}", detail=detail)

    def _fits(self, entry: Entry, bucket: str, key: str, etag: str) -> bool:
        body = read_object(self.context.account, bucket, key, etag)
        if not isinstance(body, bytes):
            return True
        try:
            return artifact_item(
                entry.detail["user"], entry.detail["key"], parse_body(body), Origin(bucket, key, 0, 0)
            ).fits
        except ValueError:
            return True

    def _received(self, entry: Entry) -> str:
        key = entry.detail["waits"][1].removeprefix("shares/")
        return self.staging.received(entry.target_key["PK"]["S"], key)

    def _move(self, rank: int, move: Move) -> Entry | None:
        """The change of one move; None when there is nothing (left) to do."""
        place = move.place if move.action == "disclosures" else self.found.names.get(USER_DATA, "")
        sources = [(bucket_name(self.context.deployment, bucket), key) for bucket, key in move.objects]
        present = [listed for bucket, key in sources if (listed := self.staging.object(bucket, key))]
        if len(present) < len(sources):
            self.held[(move.row, "their content is missing")] += len(sources) - len(present)
        if sources and not present:
            return None
        if move.action == "shares" and not self._ready(("object", CONSOLIDATION, move.detail["waits"][1])):
            self.held[(move.row, "the shared conversation is missing")] += 1
            return None
        if not place:
            raise Blocked(
                f"{self.context.deployment.fill('amplify-{dep}-lambda-{stage}-user-data-storage')} does not exist and"
                " content must move there: deploy amplify-lambda first (step 4c)."
            )
        # The source's key alone would make two parts of one item the same change.
        source_key = {**move.source_key, "part": {"S": move.part}}
        entry = Entry(
            rank=rank, row=move.row, kind="content", action=move.action, source_place=move.place, source_key=source_key,
            target_place=place, target_key=move.target_key, users=move.users, plan=self.plan,
            detail={**move.detail, "part": move.part, "sources": [[sources[0][0], *one] for one in present]},
        )  # fmt: skip
        before = self.ledger.find("content", entry.source_place, source_key, place, move.target_key)
        done = (
            before is not None
            and before.state in DONE
            and {one.key for one in present} <= set(before.detail.get("done", ()))
            and before.detail.get("seen") == move.detail.get("seen")
        )
        if before is not None and before.state in DONE and before.detail.get("created"):
            # A service changed it under the old id; a row that is still ours follows.
            entry = replace(entry, detail={**entry.detail, "follows": before.target_digest})
        if done:
            self._content_ready(entry)
        return None if done else entry

    def _as_it_stands(self, entry: Entry, existing: Item | None) -> Entry:
        """A content change whose row exists: made by an earlier run, or somebody else's, or a log row to be completed."""
        if existing is None:
            return entry
        sources = [key for _, key, *_ in entry.detail["sources"]]
        if entry.action == "logs":
            standing = existing.get("data", {}).get("M", {}).get("logs", {}).get("M", {})
            missing = [
                source
                for execution, source, _ in entry.detail["logs"]
                if source in sources and execution not in standing and not self._archived(entry, execution)
            ]
            if missing:
                return entry
        elif entry.detail.get("follows") == digest(existing):
            return entry
        elif entry.action == "settings":
            return entry.becomes("verified", "newer settings stand already", target_digest=digest(existing))
        elif sources and existing.get("original_path", {}).get("S") not in sources:
            prepared = prepare_content(self._tools, entry)  # compares the content
            return entry if prepared.pending else prepared.entry
        return entry.becomes(
            "verified", "was there already", target_digest=digest(existing), detail={**entry.detail, "done": sources}
        )

    def _archived(self, entry: Entry, execution: str) -> bool:
        key = archive_key(entry.detail["user"], entry.detail["task"], execution)
        return self.staging.object(self._consolidation, key) is not None

    def _content_ready(self, entry: Entry) -> None:
        self.staging.set_ready(entry.target_place, entry.target_key)
        for _, key, *_ in entry.detail["sources"]:
            self.staging.set_ready(entry.target_place, {**entry.target_key, "log": {"S": key}})

    def _ready(self, target: tuple[str, str, Any]) -> bool:
        kind, config_key, key = target
        place = self._consolidation if kind == "object" else self.found.names.get(config_key, "")
        if self.staging.is_ready(place, key):
            return True
        # A row that stands there by another way, the old table's copy for one, is not the content of this pointer.
        plain_key = {name: value for name, value in key.items() if name != "log"} if kind == "item" else key
        found = self.ledger.at_target(place, plain_key, "object" if kind == "object" else "content")
        return any(entry.state in ("verified", "cleaned") for entry in found)

    def _resolvable(self, edit: Edit) -> Edit | None:
        """The edit of a pointer whose target is there, or will be; one to what stays in S3 leads there."""
        if edit.target is None:
            return edit
        if not self._ready(edit.target):
            return None
        stays = self._stays_in_s3(edit.target)
        return replace(edit, after={"S": stays}) if stays else edit

    def _stays_in_s3(self, target: tuple[str, str, Any]) -> str:
        kind, config_key, key = target
        if kind == "object":
            return ""
        found = self.ledger.at_target(
            self.found.names.get(config_key, ""), {k: v for k, v in key.items() if k != "log"}
        )
        return next((str(entry.detail["pointer"]) for entry in found if entry.detail.get("pointer")), "")

    # --- items ---------------------------------------------------------------------------------------------------------

    def items(self, unread: Sequence[str], owners: Collection[str]) -> None:
        """Record the changes of items; `unread` are tables that were not read whole: nothing leads there.

        `owners` are ids that have data. One outside the map may be spelled in user storage as one of the map is.
        """
        ids = self.scope.ids
        others = (owner for owner in owners if owner not in ids and owner not in ids.new)
        self._ambiguous = {spelled for owner in others if (spelled := sanitise_user(owner)) in ids.spelled}
        clashes: list[_Clash] = []
        for rank, place, candidate in self.staging.candidates():
            if place in unread or candidate.target_place in unread:
                continue
            table = self.found.named(place)
            assert table is not None and table.row is not None
            if not candidate.target_place:
                raise Blocked(
                    f"{place} has rows to copy and there is no user-data-storage table yet: deploy amplify-lambda first"
                    " (step 4c)."
                )
            clash = self._item(rank, place, table.row, candidate)
            if clash is not None:
                clashes.append(clash)
            if len(clashes) >= _AT_ONCE:
                self._settle(clashes)
                clashes = []
        self._settle(clashes)
        for (row, why), count in self.held.items():
            place = self.context.deployment.name(row, BY_KEY[row].pattern).value
            self.findings.append(
                Finding("attention", place, f"{plural(count, 'pointer')} stay as they are: {why}",
                        "They led nowhere before the migration.")
            )  # fmt: skip

    def _item(self, rank: int, place: str, row: Table, candidate: Candidate) -> _Clash | None:
        resolved = [edit for one in candidate.edits if (edit := self._resolvable(one)) is not None]
        if len(resolved) < len(candidate.edits) and self.scope.listed:
            self.held[(row.config_key, "what they lead to is not there")] += len(candidate.edits) - len(resolved)
        edits = tuple(edit for edit in resolved if edit.after != edit.before)
        entry = Entry(
            rank=rank, row=row.config_key, kind="item", action="update", source_place=place,
            source_key=candidate.source_key, target_place=candidate.target_place, target_key=candidate.target_key,
            users=candidate.users, edits=edits, source_digest=candidate.source_digest, plan=self.plan,
        )  # fmt: skip
        before = self.ledger.find("item", place, candidate.source_key, candidate.target_place, candidate.target_key)
        if before is not None and before.state == "resolved" and before.source_digest == candidate.source_digest:
            return None  # the operator has seen to it, and it is still what they saw
        if candidate.source_key.get("PK", {}).get("S", "").partition("#")[0] in self._ambiguous:
            self._put(
                entry.becomes("kept", "two people's ids are spelled alike in user storage; move their rows by hand")
            )
            return None
        if candidate.fault:
            self._put(entry.becomes("failed", candidate.fault, detail={"blocked": True}))
            return None
        if not entry.moves:
            if edits:
                self._put(entry)
            return None
        # What was removed or cleaned and stands there again was written by a service, however equal it is.
        retained = before is not None and before.state in DONE and before.state != "cleaned" and before.action != "add"
        if before is not None and retained and before.source_digest == candidate.source_digest:
            return None
        standing = self.staging.seen(candidate.target_place, candidate.target_key)
        if standing is None:
            self._put(replace(entry, action="add" if row.retire == "remove" else "copy"))
            return None
        retires = row.retire == "remove" or (row.retire == "deactivate" and candidate.active)
        if (
            standing == candidate.target_digest
            and len(edits) == len(candidate.edits)
            and not retires
            and before is None
        ):
            self._put(entry.becomes("verified", "was there already", action="copy", target_digest=standing))
            self._copied_before.add(place)
            return None
        return _Clash(rank, place, row, replace(candidate, edits=edits), before)

    def _settle(self, clashes: Sequence[_Clash]) -> None:
        """Look at both items of each clash and decide."""
        account = self.context.account
        places = [
            ((clash.place, clash.candidate.source_key), (clash.candidate.target_place, clash.candidate.target_key))
            for clash in clashes
        ]
        ahead = ReadAhead(self.context, itertools.chain.from_iterable(places))
        for clash, (old, new) in zip(clashes, places, strict=True):
            source = ahead(account, *old)
            if source is not None:
                self._put(self._judge(clash, unmarked(source), ahead(account, *new)))

    def _judge(self, clash: _Clash, source: Item, existing: Item | None) -> Entry:
        row, candidate = clash.row, clash.candidate
        entry = Entry(
            rank=clash.rank, row=row.config_key, kind="item", action="merge", source_place=clash.place,
            source_key=candidate.source_key, target_place=candidate.target_place, target_key=candidate.target_key,
            users=candidate.users, edits=candidate.edits, source_digest=digest(source), plan=self.plan,
        )  # fmt: skip
        if existing is None:
            return replace(entry, action="add" if row.retire == "remove" else "copy")
        rewritten = rewrite(row, source, self.scope.ids, self._resolvable).item
        pointers = [
            edit for edit in candidate.edits if edit.target is not None
        ]  # apply asks for each whether it may follow
        if row.retire in ("remove", "remove on clash"):
            if row.retire == "remove on clash" and (counted := self._counted(clash, entry, existing, rewritten)):
                return counted
            return replace(entry, action="add", edits=edits_between(row, existing, row.merged(existing, rewritten)))
        if clash.before is not None and clash.before.state in DONE and digest(existing) == clash.before.target_digest:
            # A service wrote under the old id after the copy, and nobody touched the copy: it follows.
            return replace(entry, action="refresh", edits=(*edits_between(row, existing, rewritten), *pointers))
        loses = row.clash is None or (row.clash.keeps_loser and same(row.merged(existing, rewritten), existing))
        deactivates = row.retire == "deactivate" and candidate.active
        if loses and not deactivates and not same(rewritten, existing):
            return entry.becomes("kept", "another item stands under the new id; this one stays beside it")
        edits = edits_between(row, existing, row.merged(existing, rewritten))
        if not edits and not deactivates:
            return entry.becomes("verified", "was there already", target_digest=digest(existing))
        return replace(entry, edits=(*edits, *pointers))

    def _counted(self, clash: _Clash, entry: Entry, existing: Item, rewritten: Item) -> Entry | None:
        """What becomes of a retained row whose amount is in the new one already; None for one to be added up."""
        if same(existing, rewritten):
            return entry.becomes("verified", "was there already", action="copy", target_digest=digest(existing))
        if clash.before is not None and clash.before.state in DONE and clash.before.action != "add":
            if digest(existing) == clash.before.target_digest:
                return replace(entry, action="refresh", edits=edits_between(clash.row, existing, rewritten))
            return entry.becomes("kept", "it was copied once and both have changed since; add the difference by hand")
        if clash.place in self._copied_before:
            return entry.becomes("kept", "an earlier run copied rows of this table; it may be counted already")
        return None

    def _put(self, entry: Entry) -> None:
        self.ledger.put(replace(entry, plan=self.plan))


def users_in(key: str, ids: Ids) -> tuple[str, ...]:
    """The users of the map whose ids are segments of an object's key."""
    return tuple(dict.fromkeys(part for part in key.split("/") if part in ids))


def edits_between(row: Table, before: Item, after: Item) -> tuple[Edit, ...]:
    """What a merge changes, for people: values of secret attributes are left out."""
    return tuple(
        Edit(change.path, _HIDDEN, _HIDDEN)
        if change.path[0] in row.secret
        else Edit(change.path, change.before, change.after)
        for change in changes(before, after)
    )


_HIDDEN = {"S": "(secret)"}
