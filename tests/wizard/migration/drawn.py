"""A deployment that was drawn at random: what is seeded, and what each row and object must become.

A row is made twice by one function, with the ids as they were and as they are to be, so that what is expected is known
without the engine's catalog and rewrite. `drawing.py` draws them.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from tests.wizard.migration.stage import Item, n, s

POOL = (
    "ann@example.edu", "ann@example.edu.org", "47", "471", "20240131", "o\"neil+x'y@example.edu", "dr who@example.edu",
    "Zoë", "Ann@example.edu", "l" * 90 + "@example.edu",
)  # fmt: skip
STRANGER = "<b>[red]\u202eeve"  # never mapped: no map takes such an id
BINARY = "amplify-v6-custom-dev-blobs"  # a table that no catalog knows, with a binary key
FOREIGN = "amplify-v9-agent-loop-dev-agent-state"  # a bucket of nobody here

ACCOUNTS, ACCESS, CHATS = "lambda/accounts", "object-access/object-access", "lambda/chat-usage"
COSTS, HISTORY, TASKS = "lambda/cost-calculations", "lambda/history-cost-calculations", "agent-loop/scheduled-tasks"
GROUPS, USERS, TAGS = "object-access/amplify-groups", "object-access/cognito-users", "lambda/user-tags"
META, SHARES, STORAGE = "lambda/conversation-metadata", "lambda/", "lambda/user-data-storage"
OLD_STORAGE, ARTIFACTS, WORKFLOWS = (
    "lambda-basic-ops/user-storage",
    "artifacts/user-artifacts",
    "agent-loop/workflow-registry",
)
STATES, VERSIONS, ADMIN = "agent-loop/agent-state", "data-disclosure/versions", "admin/admin-configs"
LOOKUP, KEYS, HASHES = "assistants/assistant-lookup", "object-access/api-keys", "lambda/hash-files"
TALKS, ALIASES = "assistants/group-assistant-conversations", "assistants/assistant-aliases"

CONSOLIDATION, CONVERSATIONS, SHARED = "lambda/consolidation", "lambda/user-conversations", "lambda/share"
DRAWINGS, TEMPLATES, LOGS = "artifacts/bucket", "agent-loop/workflow-templates", "agent-loop/scheduled-tasks-logs"
SESSIONS, GROUP_TALKS, PDFS = (
    "agent-loop/agent-state",
    "assistants/group-conversations-content",
    "data-disclosure/storage",
)
OUTPUTS, FILES, MANUALS = "assistants/code-interpreter-files", "lambda/rag-input", "api/documentation-bucket"
BUCKETS = (
    CONSOLIDATION, CONVERSATIONS, SHARED, DRAWINGS, TEMPLATES, LOGS, SESSIONS, GROUP_TALKS, PDFS, OUTPUTS, FILES, MANUALS,
)  # fmt: skip

Of = Callable[[str], str]  # an id as it was, or as it is to be
Make = Callable[[Of, bool], Item]  # (ids, whether what moves has moved) -> the item
SUMMED = {COSTS: ("dailyCost", "monthlyCost", "hourlyCost"), HISTORY: ("dailyCost",)}
ANYTHING: Item = {"": {"NULL": True}}  # stands for an item whose value is not foretold


@dataclass
class Deployment:
    """What is seeded, and what is to be.

    `rows` and `objects` as they are seeded, `made` rows of user storage by (PK, SK) with their data (None: not
    foretold), `copies` by source -> target, each (bucket, key). `unfit`: keys of objects that can become no row,
    `blocked`: how many rows would grow beyond what DynamoDB takes. `pilots`: the same with those people alone in its map
    who are migrated first; what became of their data then stays until cleanup.
    """

    ids: dict[str, str]
    rows: list[tuple[str, Item]] = field(default_factory=list)
    expected: list[tuple[str, Item, Item | None, Item]] = field(default_factory=list)  # (table, before, left, after)
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)  # keys of the consolidation bucket that somebody deleted
    copies: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    made: dict[tuple[str, str], Any] = field(default_factory=dict)
    origins: list[tuple[tuple[str, str], tuple[str, Item]]] = field(default_factory=list)  # of these: (table, row)
    pointers: list[tuple[tuple[str, str], tuple[str, Item]]] = field(default_factory=list)  # to objects: (table, row)
    archives: dict[str, str] = field(default_factory=dict)  # of logs that find no room: key -> consolidation key
    logs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # (new id, task) -> by execution id
    later: list[tuple[Item, Item]] = field(default_factory=list)  # of user storage that services may make: (old, new)
    unfit: set[str] = field(default_factory=set)
    staying: list[tuple[str, Item]] = field(default_factory=list)  # (table, row) that cannot be moved
    blocked: int = 0
    gone: int = 0  # shares of mapped people whose conversation is missing
    foreign: int = 0  # pointers into buckets of nobody here
    blobs: list[Item] = field(default_factory=list)
    pilots: Deployment | None = None

    def of(self, user: str) -> str:
        return self.ids.get(user, user)

    def row(
        self, table: str, make: Make, left: Make | None = None, *,
        gone: bool = False, stays: bool = False, made: Mapping[tuple[str, str], Any] | None = None,
        objects: Iterable[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        """A row as it is and as it is to be; `left` is the old one afterwards, as it was unless given or `gone`.

        `stays`: it cannot be moved. `made`: the rows of user storage that its content becomes. `objects`: (bucket, key)
        of what it leads to.
        """
        before = make(_same, False)
        self.staying.extend([(table, before)] if stays else [])
        self.pointers.extend((where, (table, before)) for where in objects)
        self.made.update(made or {})
        self.origins.extend((place, (table, before)) for place in made or {})
        self.rows.append((table, before))
        after = before if stays else make(self.of, True)
        self.expected.append((table, before, None if gone else (left or make)(_same, False), after))

    def saved(self, make: Make, *, before: bool) -> None:
        """A row of user storage that services made `before` the migration, or may make while it runs."""
        if before:
            self.row(STORAGE, make)
        else:
            self.later.append((make(_same, False), make(self.of, True)))

    def settle(self) -> None:
        """Of what stands in user storage already nothing is made: what people saved there is newer."""
        for table, _, _, after in self.expected:
            if table in (STORAGE, OLD_STORAGE):
                self.made.pop((after["PK"]["S"], after["SK"]["S"]), None)

    @property
    def turns(self) -> list[Deployment]:
        """The migrations one after the other: that of the pilots, if there is one, and that of all."""
        return [self.pilots, self] if self.pilots else [self]

    @property
    def all_made(self) -> dict[tuple[str, str], Any]:
        """`made`, of all turns."""
        return {place: data for turn in self.turns for place, data in turn.made.items()}

    @property
    def all_copies(self) -> list[tuple[tuple[str, str], tuple[str, str]]]:
        """`copies`, of all turns."""
        return [pair for turn in self.turns for pair in turn.copies.items()]

    @property
    def copied_on(self) -> list[tuple[tuple[str, str], tuple[str, str]]]:
        """What was copied in the pilots' turn and is copied again in that of all, since its key names one of the others."""
        copies = self.pilots.copies if self.pilots else {}
        pairs = [(between, self.copies.get(source, between)) for source, between in copies.items()]
        return [(between, final) for between, final in pairs if final != between]

    def object(self, bucket: str, key: str, body: bytes, home: str = "", into: str = CONSOLIDATION) -> None:
        """An object, and the key of its copy in the bucket `into` unless it stays."""
        self.objects[bucket, key] = body
        if home and len(home.encode()) <= 1024:
            self.copies[bucket, key] = into, home


def _same(user: str) -> str:
    return user


def spelled(user: str) -> str:
    return re.sub(r"[^A-Za-z0-9@._-]", "-", user)


def saved(user: str, app: str, entity: str, sort: str, data: Item, at: int = 5) -> Item:
    """A row of user storage as services write it."""
    home = f"{spelled(user)}#{app}"
    return {"PK": s(f"{home}#{entity}"), "SK": s(sort), "appId": s(home), "entityType": s(entity),
            "UUID": s(f"of {entity}"), "createdAt": n(at), "data": data}  # fmt: skip


def logs_key(user: str, task: str) -> Item:
    """The key of the row of a task's logs in user storage."""
    return {"PK": s(f"{spelled(user)}#amplify-agent-logs#scheduled-task-logs"), "SK": s(task)}


def wire(body: bytes) -> Any:
    return TypeSerializer().serialize(json.loads(body, parse_float=Decimal))


def digits(draw: random.Random) -> Item:
    """A number as services write costs, sometimes with all of DynamoDB's 38 digits."""
    return n(
        f"{draw.randrange(10**19)}.{draw.randrange(1, 10**18):018d}" if draw.random() < 0.3 else draw.randrange(99)
    )


# --- two rows of one key ----------------------------------------------------------------------------------------------------


def joined(table: str, existing: Item, old: Item) -> Item:
    """What an item under the new id and the old one become together, where that is said in a word."""
    if table == ACCOUNTS:
        names = {one["M"]["id"]["S"] for one in existing["accounts"]["L"]}
        more = [one for one in old["accounts"]["L"] if one["M"]["id"]["S"] not in names]
        return {**existing, "accounts": {"L": [*existing["accounts"]["L"], *more]}}
    if table == ACCESS:
        ranks = ["owner", "write", "read"]
        return min(existing, old, key=lambda item: ranks.index(item["permission_level"]["S"]))
    if table == TAGS:
        return {**existing, "tags": {"SS": sorted({*existing["tags"]["SS"], *old["tags"]["SS"]})}}
    if table == ALIASES:
        return max(existing, old, key=lambda item: int(item["currentVersion"]["N"]))
    if table == USERS:
        return {**old, **existing}
    if table == STORAGE:
        return max(existing, old, key=lambda item: int(item["createdAt"]["N"]))
    if table in SUMMED:
        return {**existing, **{name: added(existing[name], old[name]) for name in SUMMED[table]}}
    return ANYTHING


def added(one: Item, other: Item) -> Item:
    if "L" in one:
        return {"L": [added(*pair) for pair in zip(one["L"], other["L"], strict=True)]}
    return n(Context(prec=60).add(Decimal(one["N"]), Decimal(other["N"])))


def stands(one: Deployment, key_of: Callable[[str, Item], str]) -> Mapping[tuple[str, str], Item]:
    """Every item after the migration but those of content, by (table, key as text); `ANYTHING` where not foretold."""
    earlier = dict(stands(one.pilots, key_of)) if one.pilots else {}
    found: dict[tuple[str, str], Item] = {}
    seeded = {(table, key_of(table, item)) for table, item in one.rows}
    for table, before, left, after in one.expected:
        home = STORAGE if table == OLD_STORAGE else table
        old, new = (table, key_of(table, before)), (home, key_of(home, after))
        clash = old != new and new in seeded
        if old == new:
            found.setdefault(new, after)
        elif left is None or (clash and table in SUMMED):
            earlier.pop(old, None)
        else:  # what the pilots' turn changed in it besides stays
            found[old] = earlier.get(old, left) if left == before else left
    for table, before, _, after in one.expected:
        home = STORAGE if table == OLD_STORAGE else table
        old, new = (table, key_of(table, before)), (home, key_of(home, after))
        if old != new:
            found[new] = joined(table, found[new], after) if new in found else after
    for user, task in one.logs:
        place = STORAGE, key_of(STORAGE, logs_key(user, task))
        if place in found:
            found[place] = ANYTHING  # `logs` say what is in it
    return {**earlier, **found}
