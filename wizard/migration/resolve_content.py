"""Rows that are to be made of objects and of shares rows, held against the rows that stand in user-data-storage."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from wizard.aws_errors import AWS_ERRORS, explain
from wizard.catalog.model import Item
from wizard.catalog.tables import BY_KEY
from wizard.errors import Blocked
from wizard.migration.apply_content import ContentTools, prepare_content
from wizard.migration.content import (
    LARGE,
    Origin,
    artifact_item,
    oversize_artifact_key,
    parse_body,
    share_key,
)
from wizard.migration.content_plan import Move
from wizard.migration.entry import Entry, encode_key
from wizard.migration.listing import Listed
from wizard.migration.object_heads import same_object
from wizard.migration.objects import read_object
from wizard.migration.read_ahead import ReadAhead
from wizard.migration.resolution import DONE, Resolution
from wizard.migration.targets import CONSOLIDATION, USER_DATA, bucket_name
from wizard.parallel import each
from wizard.wire import digest

log = logging.getLogger(__name__)

ARTIFACTS = "S3_ARTIFACTS_BUCKET"
_OF_MANY = ("shares", "logs")  # content of which one row, or several, may hold what another one brought
_NO_CONVERSATION = "the shared conversation is missing"
_AT_ONCE = 25  # rows that are looked at together; each may have 400 KB


class ContentResolver:
    """Records the content changes of one plan.

    A move becomes a change (`_move`), unless an earlier one saw to it (`_is_seen_to`). What the scan saw may decide it
    (`_without_a_look`, `_share`). Else the row that stands is read: it may say what it was made of (`_as_it_stands`), or is
    compared with the content as apply will (`_compared`).
    """

    def __init__(self, work: Resolution):
        self.work, self.staging = work, work.staging
        self._ahead = ReadAhead(work.context)
        self._tools = ContentTools(
            work.context.account,
            work.scope.ids,
            int(time.time()),
            work.consolidation,
            bucket_name(work.context.deployment, ARTIFACTS),
        )

    def resolve(self) -> None:
        """Record the rows that are to be made, each target once, where their sources exist."""
        standing: list[Entry] = []
        for rank, move in self.staging.moves():
            # The latest comes first and claims the target, whether or not anything of it is left to do.
            rival = move.recency is not None and not self.staging.claim(move.target_key, move.part)
            # A share that a row holds twice is moved once. Each row that holds it has a change of its own, for cleanup.
            row = encode_key({**move.source_key, "part": {"S": move.part}})
            if move.action == "shares" and not self.staging.claim(move.target_key, row):
                continue
            entry = self._move(rank, move, rival)
            if entry is None:
                continue
            if entry.state == "kept":
                self._put(entry)
                continue
            if rival or entry.detail.get("older"):
                why = f"a newer row of the same user has {move.part} too; these stay here"
                self._put(entry.becomes("kept", why, detail={**entry.detail, "older": True}))
                continue
            part = move.part if move.action == "disclosures" else ""
            if move.recency is None and move.action != "shares" and not self.staging.claim(entry.target_key, part):
                continue
            if (decided := self._without_a_look(entry)) is not None:
                self._put(decided)
            else:
                standing.append(entry)
            if len(standing) >= _AT_ONCE:
                self._settle(standing)
                standing = []
        self._settle(standing)

    def _without_a_look(self, entry: Entry) -> Entry | None:
        """What a change comes to by what the scan saw; None where a row stands that is to be looked at."""
        if entry.action == "shares":
            return self._share(entry)
        if entry.action == "artifacts" and (done := self._in_s3(entry)) is not None:
            return done
        stands = self.staging.seen(entry.target_place, entry.target_key) is not None
        return None if stands and entry.action != "disclosures" else self._still_unfit(entry)

    def _settle(self, standing: Sequence[Entry]) -> None:
        """Look at the rows that stand already where content is to go, and decide."""
        account = self.work.context.account
        doubtful = [entry for entry in standing if entry.action in _OF_MANY]
        single = [entry for entry in standing if entry.action not in _OF_MANY]
        self._ahead.take((entry.target_place, entry.target_key) for entry in single)
        for entry in single:
            decided = self._as_it_stands(entry, self._ahead(account, entry.target_place, entry.target_key))
            if decided is None:
                doubtful.append(entry)
            else:
                self._put(decided)
        context = self.work.context
        for _, compared in each(self._compared, doubtful, workers=context.workers, control=context.control):
            self._put(compared)

    def _put(self, entry: Entry) -> None:
        """Record a content change; what is kept where it is makes nothing ready for its pointers."""
        self.work.put(entry)
        if entry.state == "planned":
            self._ready(entry, (key for _, key, *_ in entry.detail["sources"]))
        elif entry.state in DONE:
            self._ready(entry, entry.detail.get("done", ()))

    def _ready(self, entry: Entry, sources: Iterable[str]) -> None:
        self.staging.set_ready(entry.target_place, entry.target_key)
        for key in sources:
            self.staging.set_ready(entry.target_place, {**entry.target_key, "log": {"S": key}})

    def _move(self, rank: int, move: Move, rival: bool) -> Entry | None:
        """The change of one move; None when there is nothing (left) to do, which is never so of a newer one's `rival`."""
        work = self.work
        place = move.place if move.action == "disclosures" else work.found.names.get(USER_DATA, "")
        sources = [(bucket_name(work.context.deployment, bucket), key) for bucket, key in move.objects]
        listings = [one for bucket, key in sources if (one := self.staging.object(bucket, key))]
        present = [[sources[0][0], *one] for one in listings]
        missing = [key for _, key in sources if key not in {one.key for one in listings}]
        if missing:
            work.hold(move.row, "the content is missing", missing[0], len(missing))
        if sources and not present:
            return None
        if not place:
            raise Blocked(
                f"{work.context.deployment.fill('amplify-{dep}-lambda-{stage}-user-data-storage')} does not exist and"
                " content must move there: deploy amplify-lambda first (step 4c)."
            )
        # The source's key alone would make two parts of one item the same change.
        source_key = {**move.source_key, "part": {"S": move.part}}
        entry = Entry(
            rank=rank, row=move.row, kind="content", action=move.action, source_place=move.place, source_key=source_key,
            target_place=place, target_key=move.target_key, users=move.users, plan=work.plan,
            detail={**move.detail, "part": move.part, "sources": present},
        )  # fmt: skip
        exact = work.ledger.find("content", entry.source_place, source_key, place, move.target_key)
        if self._is_seen_to(entry, exact, listings, rival):
            return None
        if move.action == "shares" and not work.ready(("object", CONSOLIDATION, move.detail["waits"][1])):
            work.hold(move.row, _NO_CONVERSATION, move.part)
            return entry.becomes("kept", _NO_CONVERSATION)  # on record, for `migrate resolve`
        was_older = exact is not None and exact.detail.get("older") and exact.detail["seen"] == move.detail["seen"]
        if was_older and self.staging.seen(place, move.target_key) is not None:
            # They stay older than what stands, also where the newer row is gone.
            return replace(entry, detail={**entry.detail, "older": True})
        # A service changed it under the old id; a row that is still ours follows.
        if follows := self._followed(entry, exact):
            return replace(entry, detail={**entry.detail, "follows": follows})
        return entry

    def _is_seen_to(self, entry: Entry, exact: Entry | None, listings: Sequence[Listed], rival: bool) -> bool:
        """Whether an earlier change of the same leaves nothing to do; pointers may follow to what it made.

        Of a newer one's `rival` only the operator's word does: what was made of it is replaced.
        """
        work, present = self.work, entry.detail["sources"]
        known = [exact] if exact else []
        if not BY_KEY[entry.row].consists_of:
            # A row that was copied asks for the same as the old one, whose change may be open, made or settled by hand.
            known += work.ledger.at_target(entry.target_place, entry.target_key)
        for before in known:
            unchanged = before.detail.get("seen") == entry.detail.get("seen")
            if work.passes_over(before, unchanged and before.detail["sources"] == present):
                if before.detail.get("by_hand") and self.staging.seen(entry.target_place, entry.target_key) is not None:
                    self._ready(entry, (listed.key for listed in listings))
                return True
            done, unfit = before.detail.get("done", ()), before.detail.get("unfit", ())
            covered = all(one.key in done or [one.key, one.etag] in unfit for one in listings)
            # Services overwrite objects: of what was moved nothing but the same object is seen to.
            changed = any(one not in before.detail["sources"] and one[1] in done for one in present)
            if before.state in DONE and unchanged and covered and not (changed or rival):
                self._ready(entry, done)
                return True
        return False

    def _followed(self, entry: Entry, before: Entry | None) -> str:
        """The digest of the row as this program made it, for a change that is to go on from it; "" for a first one."""
        makers = [before] if before else []
        if entry.action == "settings":
            # The latest settings of a user may replace what was copied of an older row of his.
            standing = self.staging.seen(entry.target_place, entry.target_key)
            others = self.work.ledger.at_target(entry.target_place, entry.target_key)
            makers += [other for other in others if other.target_digest == standing]
        for maker in makers:
            if maker.state in DONE and (maker.detail.get("created") or maker.written):
                return maker.target_digest
            if maker.state == "kept" and maker.detail.get("follows"):
                return str(maker.detail["follows"])
        return ""

    def _still_unfit(self, entry: Entry) -> Entry:
        """Failed at once, when each of its objects is what an earlier apply could not store; anything else unchanged."""
        whys = [
            self.work.unfit.get((bucket, key, etag)) for bucket, key, _, etag, *_ in entry.detail.get("sources", ())
        ]
        if not whys or None in whys:
            return entry
        unfit = [[key, etag] for _, key, _, etag, *_ in entry.detail["sources"]]
        return entry.becomes("failed", str(whys[0]), detail={**entry.detail, "unfit": unfit, "blocked": True})

    def _in_s3(self, entry: Entry) -> Entry | None:
        """An artifact that is too large for a row and stays in S3 under its new key, or was when it was copied; else None."""
        (bucket, source, size, etag, *_) = entry.detail["sources"][0]
        key = oversize_artifact_key(entry.detail["user"], entry.detail["key"])
        copy = self.staging.object(bucket, key)
        if self.staging.seen(entry.target_place, entry.target_key) is not None or copy is None:
            return None
        if key == source and (size < LARGE // 4 or self._fits(entry, bucket, source, etag)):
            return None
        if not same_object(size, etag, copy.size, copy.etag):
            why = f"another object stands as {key}, where a pointer may lead; the content stays where it is"
            return entry.becomes("kept", why, detail={**entry.detail, "beside": True})
        if size < LARGE // 4:
            return None
        detail = {**entry.detail, "done": [source], "pointer": key}
        return entry.becomes("verified", f"too large for a row; it stays in S3 as {key}", detail=detail)

    def _fits(self, entry: Entry, bucket: str, key: str, etag: str) -> bool:
        body = read_object(self.work.context.account, bucket, key, etag)
        if not isinstance(body, bytes):
            return True
        try:
            return artifact_item(
                entry.detail["user"], entry.detail["key"], parse_body(body), Origin(bucket, key, 0, 0)
            ).fits
        except ValueError:
            return True

    def _share(self, entry: Entry) -> Entry | None:
        """A share by the rows of user storage that hold its conversation, under whatever sort key.

        None where only a look at what they hold tells.
        """
        place, partition = entry.target_place, entry.target_key["PK"]
        rows = self.staging.received(partition["S"], share_key(entry.detail["waits"][1]))
        for row in rows:
            if row.holds == entry.detail["holds"]:
                stood = self.staging.seen(place, {"PK": partition, "SK": {"S": row.sort}}) or ""
                detail = {**entry.detail, "at": row.sort}
                return entry.becomes("verified", "was there already", target_digest=stood, detail=detail)
        standing = self.staging.seen(place, entry.target_key)
        if rows and not any(row.stands for row in rows):
            detail = {**entry.detail, "at": rows[0].sort, "beside": True}
            return entry.becomes(
                "kept", "it stands in user storage under an old id with another content, and both stay", detail=detail
            )
        elsewhere = any(row.sort != entry.target_key["SK"]["S"] for row in rows)
        if (standing == entry.detail.get("follows", "") and not elsewhere) or (standing is None and not rows):
            return entry
        return None

    def _compared(self, entry: Entry) -> Entry:
        """What a change comes to by what its source and the row that stands hold: as planned, or ended without a write."""
        try:
            prepared = prepare_content(self._tools, entry)
        except AWS_ERRORS as error:  # apply looks again
            log.warning("%s: what stands there could not be compared: %s", entry.target_place, explain(error))
            return entry
        if prepared.pending:
            return entry
        unfit = prepared.entry.detail.get("unfit", ())
        all_stay = bool(unfit) and len(unfit) == len(entry.detail["sources"])  # beside the row that stands
        detail = {**prepared.entry.detail, "beside": True}
        return prepared.entry.becomes("kept", prepared.entry.note, detail=detail) if all_stay else prepared.entry

    def _as_it_stands(self, entry: Entry, existing: Item | None) -> Entry | None:
        """A content change whose row exists: made by an earlier run, or somebody else's.

        None where only what the row and its source hold tells.
        """
        if existing is None or entry.detail.get("follows") == digest(existing):
            return entry
        if "follows" in entry.detail or not (_is_made_of(existing, entry) or _holds_settings(existing, entry)):
            return None
        sources = [key for _, key, *_ in entry.detail["sources"]]
        return entry.becomes(
            "verified", "was there already", target_digest=digest(existing), detail={**entry.detail, "done": sources}
        )


def _is_made_of(existing: Item, entry: Entry) -> bool:
    """Whether a row says that it was made of its one object as the listing shows it; what a user saved since is newer.

    Rows carry the time of their object, to the second: one that was written in the second of the plan may be another.
    """
    if len(entry.detail["sources"]) != 1:
        return False
    _, key, _, _, modified = entry.detail["sources"][0]
    second = int(datetime.datetime.fromisoformat(modified).timestamp())
    planned = existing.get("migration_timestamp", {}).get("S", "")
    return (
        existing.get("original_path") == {"S": key}
        and existing.get("createdAt") == {"N": str(second)}
        and planned.isdecimal()
        and second < int(planned)
    )


def _holds_settings(existing: Item, entry: Entry) -> bool:
    settings = existing.get("data", {}).get("M", {}).get("settings")
    return entry.action == "settings" and settings is not None and digest({"": settings}) == entry.detail["seen"]
