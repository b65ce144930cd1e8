"""One page of a table: read it, rewrite its items, and say what would change. A partition task, idempotent, read-only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wizard.aws import Account, unending
from wizard.catalog.model import Ids, Item, Table, starts, storage_key
from wizard.catalog.pointers import share
from wizard.migration.content import share_data, share_key
from wizard.migration.content_plan import ALL, Move, moves
from wizard.migration.rewrite import Edit, Watch, rewrite, unknown_references
from wizard.wire import LARGEST_ITEM, digest, item_size, key_of, key_text

LOCK_KEY = "amplify-migrate#lock"  # partition key of our own lease item, which no scan looks at
MARK = "migration_retained"  # attribute that `cleanup mark` sets on retained items
MAX_PARTITION_KEY, MAX_SORT_KEY = 2048, 1024  # bytes
SEGMENT_BYTES = 10 * 2**20  # a table below this is read in one segment


@dataclass(frozen=True)
class Scope:
    """What a plan is to find. Everything that the tasks need besides the account; picklable."""

    ids: Ids
    watch: Watch
    tables: bool = True  # ids in items
    content: bool = True  # pointers to content
    listed: bool = True  # whether the buckets were listed, so that what is missing can be told
    builders: tuple[str, ...] = ALL  # of content that becomes rows
    audit: bool = False
    names: Mapping[str, str] = field(default_factory=dict)  # config key -> table name
    homes: tuple[str, ...] = ()  # where in the consolidation bucket copies arrive; everywhere when empty
    consistent: bool = False  # read what stands now: apply looks at each item again, a verdict is the last word

    def takes(self, edit: Edit) -> Edit | None:
        """The edit if a plan of this scope makes it."""
        if edit.target is None:
            return edit if self.tables else None
        kind, _, key = edit.target
        led = not self.homes or (kind == "object" and key.startswith(self.homes))
        return edit if self.content and led else None


@dataclass(frozen=True)
class ScanTask:
    """One page of one segment."""

    place: str
    row: Table | None
    key_names: tuple[str, ...]
    segment: int
    segments: int
    start: Any = None


@dataclass(frozen=True)
class Candidate:
    """An item that would change, before it is known what stands at its target and which pointers can follow."""

    source_key: Item
    target_place: str
    target_key: Item
    users: tuple[str, ...]
    edits: tuple[Edit, ...]
    source_digest: str
    target_digest: str  # "" for an item that stays where it is
    active: bool  # a scheduled task that runs
    fault: str = ""  # why the rewritten item cannot be written


@dataclass(frozen=True)
class Received:
    """A share of user storage as it will be under new ids. `key` is its conversation's, without `shares/`.

    `holds` is the digest of its data, "" for what is no share; `stands`: it has the partition and sort key already.
    """

    partition: str
    key: str
    sort: str
    holds: str
    stands: bool


@dataclass
class Page:
    """What one page showed."""

    items: int = 0
    candidates: list[Candidate] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    seen: list[tuple[Item, str]] = field(default_factory=list)  # (key, digest) of items that may be somebody's target
    received: list[Received] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)  # keys of objects that rows of user storage were made of
    references: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (path, kind, old id)
    owners: Counter[str] = field(default_factory=Counter)  # ids at whole-id paths
    people: set[str] = field(default_factory=set)  # those with a row that says who is a user
    leftovers: list[str] = field(default_factory=list)  # keys of rows that a defective script wrote
    following: ScanTask | None = None


def unmarked(item: Item) -> Item:
    """The item as it was before `cleanup mark`: the mark is never compared and never copied."""
    return {name: value for name, value in item.items() if name != MARK}


def switched_on(item: Item, by_us: bool) -> Item:
    """The item with the `active` that a task had before it was switched off, where that was done `by_us`."""
    return {**item, "active": {"N": "1"}} if by_us and item.get("active") == {"N": "0"} else item


def segments_for(size: int, workers: int) -> int:
    """How many segments a table of `size` bytes is read in."""
    return 1 if size < SEGMENT_BYTES else min(4096, max(4 * workers, size // 2**30))


def is_lock(item: Item) -> bool:
    """Whether an item is our own lease, in whatever table."""
    return {"S": LOCK_KEY} in item.values() and {"owner", "workspace", "beat"} <= item.keys()


def scan_page(task: ScanTask, account: Account, scope: Scope) -> Page:
    """Read one page and judge each of its items."""
    parameters: dict[str, Any] = {"TableName": task.place}
    if scope.consistent:
        parameters["ConsistentRead"] = True
    if task.segments > 1:
        parameters.update(Segment=task.segment, TotalSegments=task.segments)
    if task.start is not None:
        parameters["ExclusiveStartKey"] = task.start
    answer = account.call("dynamodb", "scan", **parameters)
    page = Page()
    for item in answer.get("Items", []):
        if item.get(task.key_names[0], {}).get("S") != LOCK_KEY:
            page.items += 1
            judge(task, unmarked(item), scope, page)
    if answer.get("LastEvaluatedKey"):
        if answer["LastEvaluatedKey"] == task.start:
            raise unending(f"Scan of {task.place} leads to the same page again")
        page.following = replace(task, start=answer["LastEvaluatedKey"])
    return page


def judge(task: ScanTask, item: Item, scope: Scope, page: Page) -> None:
    """Add to the page what one item means."""
    row, ids = task.row, scope.ids
    for reference in unknown_references(row, item, scope.watch):
        page.references[(reference.path, reference.kind, reference.old)] += 1
    if row is None or row.skip:
        return
    for attribute in row.whole_ids:
        if item.get(attribute, {}).get("S"):  # a key without a delegate holds an empty one
            page.owners[item[attribute]["S"]] += 1
            if row.identities:
                page.people.add(item[attribute]["S"])
    known = digest(item) if row.copy_to or row.rekeyed else ""
    if known:
        page.seen.append((key_of(item, task.key_names), known))
    if "entityType" in item and item["entityType"].get("S") == "received":
        page.received.extend(_received(item, ids))
    if origin := item.get("original_path", {}).get("S"):
        page.origins.append(origin)
    if scope.content and row.content:
        page.moves.extend(moves(row, task.place, item, task.key_names, ids, scope.builders))
    if row.audit and not scope.audit:
        return
    if set(item) <= {"id", "user"} and item.get("id", {}).get("S") in ids and not row.rekeyed:
        page.leftovers.append(key_text(key_of(item, task.key_names)))
    candidate = consider(task, item, scope, known)
    if candidate is not None:
        page.candidates.append(candidate)


def _received(item: Item, ids: Ids) -> Iterator[Received]:
    """A received share of user storage under the keys that it will have, to know it again in the shares table."""
    data = item.get("data", {})
    key = data.get("M", {}).get("key", {}).get("S", "")
    if not key:
        return
    followed = share(key, item, ids)
    moved = str(followed[0]) if followed else key
    try:
        holds = digest({"": share_data(data, ids)})
    except ValueError:
        holds = ""
    before = item.get("PK", {}).get("S", ""), item.get("SK", {}).get("S", "")
    after = storage_key(before[0], ids) or before[0], starts("#")(before[1], ids) or before[1]
    yield Received(after[0], share_key(moved), after[1], holds, before == after)


def consider(task: ScanTask, item: Item, scope: Scope, known: str = "") -> Candidate | None:
    """The change that one item needs, or None. `known` is its digest, where that was computed already."""
    row = task.row
    assert row is not None
    full = rewrite(row, item, scope.ids)
    # With buckets alone, an item that still waits for its new key is left to the tables' turn.
    if not scope.tables and key_of(full.item, task.key_names) != key_of(item, task.key_names):
        return None
    new = full if scope.tables and scope.content else rewrite(row, item, scope.ids, scope.takes)
    if not new.edits and not (row.copy_to and scope.tables):
        return None
    key, target = key_of(item, task.key_names), key_of(new.item, task.key_names)
    place = scope.names.get(row.copy_to, "") if row.copy_to else task.place
    return Candidate(
        source_key=key,
        target_place=place,
        target_key=target,
        users=tuple(sorted(affected(new.edits, scope.ids))),
        edits=new.edits,
        source_digest=known or digest(item),
        target_digest=digest(new.item) if known else "",
        active=item.get("active") == {"N": "1"},
        fault=fault_of(new.item, target, task.key_names),
    )


def affected(edits: tuple[Edit, ...], ids: Ids) -> set[str]:
    """Old ids that the edits concern."""
    found: set[str] = set()
    for edit in edits:
        text = edit.before.get("S", "") if edit.before else (edit.after or {}).get("S", "")
        for part in {text, *text.replace("#", "/").split("/")}:
            if part in ids:
                found.add(part)
            elif part in ids.spelled and part not in ids.new:
                found.add(ids.spelled[part])
            elif part.removeprefix("shared-with-") in ids:
                found.add(part.removeprefix("shared-with-"))
    return found


def fault_of(item: Item, key: Item, key_names: tuple[str, ...]) -> str:
    """Why DynamoDB would refuse the item; "" when it would not."""
    for name, limit in zip(key_names, (MAX_PARTITION_KEY, MAX_SORT_KEY), strict=False):
        value = next(iter(key[name].values()))
        size = len(value.encode()) if isinstance(value, str) else len(value)
        if size > limit:
            return f"its key {name} would have {size:,} bytes, DynamoDB takes {limit:,}"
    size = item_size(item)
    return f"it would have {size:,} bytes, DynamoDB takes {LARGEST_ITEM:,}" if size > LARGEST_ITEM else ""
