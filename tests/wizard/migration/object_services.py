"""Services that write to objects of a drawn deployment while it is migrated, cleaned up or rolled back, and what must stand.

What they put carries a token that stands nowhere else: its ETag tells whether it stands.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from tests.wizard.migration import network
from tests.wizard.migration.drawn import CONSOLIDATION, DRAWINGS, LOGS, Deployment
from tests.wizard.migration.stage import Dump, Place, Stage
from wizard.aws import Account, is_read
from wizard.migration.entry import Entry

Where = tuple[str, str]  # (bucket, key)
Stored = Mapping[Where, tuple[str, int]]  # -> ETag, size


class ObjectServices:
    """What wrote, and where: `wrote` has the ETags that were put at a place, in order, "" for a deletion."""

    def __init__(self, stage: Stage, one: Deployment, buckets: Mapping[str, str], before: Stored, seed: int):
        self.s3, self.before = stage.aws.client("s3"), before
        self.wrote: dict[Where, list[str]] = {}
        self.rows: set[Place] = set()  # that lead to what they wrote to, or are made of it
        self._draw, self._lock, self._count = random.Random(f"objects {seed}"), threading.Lock(), 0
        self._home, self._artifacts = buckets[CONSOLIDATION], buckets[DRAWINGS]
        self._copies: list[tuple[Where, Where]] = [
            ((buckets[bucket], key), (buckets[into], home))
            for (bucket, key), (into, home) in (*one.all_copies, *one.copied_on)
        ]
        self._group: dict[Where, set[Where]] = {}  # sources and targets that become of each other
        archives = [
            ((buckets[LOGS], key), (self._home, home)) for turn in one.turns for key, home in turn.archives.items()
        ]
        for source, target in (*self._copies, *archives):
            self._tie(source, target)
        self._rows: dict[Where, list[Place]] = {}  # that lead to an object
        for (bucket, key), (table, item) in one.pointers:
            if (where := (buckets[bucket], key)) in before:
                self._rows.setdefault(where, []).append(stage.place(table, item))
                self._tie(where, where)

    def _tie(self, one: Where, other: Where) -> None:
        together = self._group.setdefault(one, {one}) | self._group.setdefault(other, {other})
        for where in together:
            self._group[where] = together

    def touched(self, where: Where) -> bool:
        """Whether a service wrote to this object, or to one that is copied there or from there."""
        return any(one in self.wrote for one in self._group.get(where, {where}))

    def made_of_touched(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of user storage was made of objects of which services wrote one: it may fit by now."""
        where = row.get("original_bucket", {}).get("S", ""), row.get("original_path", {}).get("S", "")
        return self.touched(where) or not self.rows.isdisjoint(self._rows.get(where, ()))

    def touched_in(self, bucket: str) -> bool:
        """Whether a service wrote to any object of a bucket, or to one that is copied there or from there."""
        return any(self.touched(where) for where in self._group if where[0] == bucket)

    def of(self, entries: Iterable[Entry]) -> set[Where]:
        """The objects that changes concern."""
        found: set[Where] = set()
        for entry in entries:
            if entry.kind == "object":
                found |= {(entry.source_place, entry.source_key), (entry.target_place, entry.target_key)}
            else:
                archived = (*entry.detail.get("archived", ()), *entry.detail.get("archiving", ()))
                found |= {(bucket, key) for bucket, key, *_ in entry.detail.get("sources", ())}
                found |= {(self._home, key) for key, *_ in archived}
        return found

    # --- writing -------------------------------------------------------------------------------------------------------

    def write(self, among: Iterable[Where] | None = None, most: int = 4) -> None:
        """A few writes to objects `among` these, or that these became of or are made into; to any where it is None."""
        with self._lock:
            pool = sorted(self._group) if among is None else [where for where in among if where in self._group]
            if not pool:
                return
            for where in self._draw.sample(pool, min(len(pool), self._draw.randint(1, most))):
                self._write(self._draw.choice([where, where, *sorted(self._group[where])]))

    def _write(self, where: Where) -> None:
        self._count += 1
        bucket, key = where
        stands, draw = self._etag(where) is not None, self._draw.random()
        if draw < 0.3 and stands:
            self.s3.delete_object(Bucket=bucket, Key=key)
            etag = ""
        elif stands or draw < 0.5:
            body = json.dumps({"token": self._count}).encode()  # which may become a row as well
            self.s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"of": "test"})
            etag = hashlib.md5(body).hexdigest()
        else:
            return
        self.wrote.setdefault(where, []).append(etag)
        for one in self._group[where]:
            self.rows.update(self._rows.get(one, ()))

    def _etag(self, where: Where) -> str | None:
        try:
            return str(self.s3.head_object(Bucket=where[0], Key=where[1])["ETag"]).strip('"')
        except ClientError:
            return None

    # --- what must be true -----------------------------------------------------------------------------------------------

    def migrated(
        self, now: Stored, dump: Dump, entries: Iterable[Entry], together: Callable[[Place], Iterable[Place]]
    ) -> None:
        """What services wrote stands; a copy of anything else is of what its source holds now, or it is listed."""
        listed = self.of(entries)
        for where in self._of_touched():
            last, found, before = self.wrote.get(where, ["-"])[-1], _at(now, where), _at(self.before, where)
            sources = [source for source, target in self._copies if target == where]
            if last not in ("-", ""):
                assert found == last, (where, self._told(where))
            elif before and last == "-":
                assert found == before, (where, self._told(where))
            elif sources and last == "-":
                wanted = {one for source in sources for one in self._copied_from(source, now)}
                if any(source == where for source, _ in self._copies):  # of the pilots' turn, and copied on since
                    stood = {_at(self.before, source) for source in sources}
                    wanted |= stood.union(*(self.wrote.get(source, ()) for source in sources))
                assert found in wanted or listed & self._group[where], (where, self._told(where), found, wanted)
            else:  # deleted by a service: a copy may have been made of it after
                assert not found or sources or self._is_archive(where), (where, self._told(where))
        self._point_somewhere(now, dump, together)

    def _copied_from(self, source: Where, now: Stored) -> Collection[str]:
        """What a copy may hold: what stands at the source, or stood there before a service deleted it."""
        if stands := _at(now, source):
            return {stands, ""} if source[0] == self._artifacts else {stands}  # an artifact may have become a row since
        return {"", _at(self.before, source), *self.wrote.get(source, ())}

    def _point_somewhere(self, now: Stored, dump: Dump, together: Callable[[Place], Iterable[Place]]) -> None:
        """No pointer was changed to lead to what does not stand, unless a service deleted it. `together`: rows of one."""
        for source, target in self._copies:
            if target in now or "" in self.wrote.get(target, ()):
                continue
            for table, text in (place for one in self._rows.get(source, ()) for place in together(one)):
                assert target[1] not in str(dump[table].get(text, "")), (target, dump[table][text])

    def rolled_back(self, now: Stored, entries: Iterable[Entry]) -> None:
        """Each object is as before or as services left it; a copy that stands besides is of `entries`, which were left."""
        left = self.of(entries)
        for where in self._of_touched():
            last, found, before = self.wrote.get(where, ["-"])[-1], _at(now, where), _at(self.before, where)
            if last in ("-", "") and where not in self.before:
                assert not found or left & self._group[where], (where, self._told(where), found)
            else:
                assert found == (before if last == "-" else last), (where, self._told(where), found)

    def cleaned(self, after: Stored, now: Stored, earlier: Mapping[Where, int]) -> None:
        """What cleanup took stands as its copy, but where services went on with that; the rest is as it was left.

        `after`: what stood before the cleanup; `earlier`: how often services had written by then, as `counts` tells.
        """
        for where in self._of_touched():
            new, found = self.wrote.get(where, [])[earlier.get(where, 0) :], _at(now, where)
            held = new[-1] if new else _at(after, where)
            if found != held:
                targets = [target for source, target in self._copies if source == where]
                assert not found and targets, (where, self._told(where), found)
                went_on = any(len(self.wrote.get(one, ())) > earlier.get(one, 0) for one in targets)
                assert went_on or any(_at(now, one) == held for one in targets), (where, self._told(where))

    def counts(self) -> dict[Where, int]:
        """How often services have written to each object."""
        return {where: len(etags) for where, etags in self.wrote.items()}

    def _of_touched(self) -> Iterator[Where]:
        return (where for where in self._group if self.touched(where))

    def _is_archive(self, where: Where) -> bool:
        return where[0] == self._home and where[1].startswith("scheduledTaskLogs/")

    def _told(self, where: Where) -> Any:
        return [(one, _at(self.before, one), self.wrote.get(one)) for one in sorted(self._group[where])]


def _at(stored: Stored, where: Where) -> str:
    return stored[where][0].strip('"') if where in stored else ""


def written_by(params: Mapping[str, Any]) -> list[Where]:
    """The objects that a request of S3 is about to write, and what it copies from."""
    paths = [params["auth_path"], params["headers"].get("x-amz-copy-source", "")]
    parts = [unquote(path).removeprefix("/").partition("/") for path in paths]
    return [(bucket, key) for bucket, _, key in parts if key]


class ObjectsMeanwhile:
    """Lets services write to objects at the moment that a run of the engine writes to them."""

    def __init__(self, account: Account, objects: ObjectServices, share: float, seed: int):
        self._objects, self._share, self._draw = objects, share, random.Random(seed)
        account.client("s3").meta.events.register_first("before-call.s3", self._before)

    def _before(self, model: Any, params: Any, **_: Any) -> None:
        if not is_read(model.name) and self._draw.random() < self._share:
            self._objects.write(written_by(params), most=1)


def honour_conditions(account: Account, s3: Any) -> None:
    """Refuses a copy whose conditions fail, as S3 does and the emulator does not. Goes before every fault.

    Every hook of a request is called, and the first answer is taken.
    """

    def etag(path: str) -> str:
        bucket, _, key = unquote(path).removeprefix("/").partition("/")
        try:
            return str(s3.head_object(Bucket=bucket, Key=key)["ETag"])
        except ClientError:
            return ""

    def check(request: Any, **_: Any) -> Any:
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        source, wanted = etag(headers["x-amz-copy-source"]), headers["x-amz-copy-source-if-match"]
        path = request.url.partition("://")[2].partition("/")[2]
        if (source and source != wanted) or (headers.get("if-none-match") == "*" and etag(path)):
            refusal = network.reply(request, 412, "PreconditionFailed")
            request.method = "HEAD"  # a fault that loses the answer must not carry out what was refused
            return refusal
        return None

    account.client("s3").meta.events.register_first("before-send.s3.CopyObject", check)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
