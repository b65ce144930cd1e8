"""The user map and the account: load it checked, compare it with who exists, make one where ids do not change.

What a map is stands in `usermap.py`, what it must not hold in `usermap_checks.py`, the Cognito pool in `user_pool.py`.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import botocore.exceptions

from wizard.aws_errors import ABSENT, AWS_ERRORS, DENIED, code_of, explain
from wizard.batch_get import MOST, batch_get
from wizard.catalog.model import Table
from wizard.catalog.tables import BY_KEY, TABLES
from wizard.context import Context
from wizard.errors import BadInput, Blocked
from wizard.events import Progress
from wizard.migration.ledger import Ledger
from wizard.migration.scan import LOCK_KEY
from wizard.migration.states import DONE
from wizard.parallel import each
from wizard.storage_key import sanitise_user
from wizard.text import plain, plural
from wizard.user_pool import compare_with_pool, idp_prefix, read_pool, sub_pairs
from wizard.usermap import Complaint, MapRow, UserMap, listed, read_map, shown, write_map
from wizard.usermap_checks import HASH_KEY_BYTES, NO_PERSON, check_rows, in_order, looks_like_group
from wizard.workspace import Workspace

__all__ = [
    "USER_MAP",
    "Complaint",
    "MapRow",
    "Missing",
    "UserMap",
    "check_against_account",
    "check_file",
    "check_rows",
    "find_missing",
    "identity_map",
    "kind_of",
    "load_map",
    "look_up",
    "map_file",
    "planned_ids",
    "read_map",
    "sub_map",
    "write_map",
]

log = logging.getLogger(__name__)

USER_MAP = "csv_file"  # setting of the workspace: the user map that was checked last without errors
_USERS = BY_KEY["COGNITO_USERS_DYNAMODB_TABLE"]
_SYSTEM = re.compile(r".+-[0-9]{6}")  # `AppName-123456`, the owner of a system API key
_ASSISTANT = re.compile(r"ast[a-z]*/.+")  # assistants are principals of object access


# --- from a file ------------------------------------------------------------------------------------------------------


def check_file(path: Path) -> tuple[UserMap, list[Complaint]]:
    """Read a map and check its rows; all complaints in order. Raises BadInput only when the file cannot be read."""
    user_map, complaints = read_map(path)
    return user_map, in_order([*complaints, *check_rows(user_map)])


def load_map(path: Path) -> UserMap:
    """A map that may be applied. Raises BadInput naming the first errors when there are any."""
    user_map, complaints = check_file(path)
    errors = [complaint for complaint in complaints if complaint.level == "error"]
    if errors:
        first = " ".join(str(error) for error in errors[:3])
        rest = f" And {len(errors) - 3:,} more." if len(errors) > 3 else ""
        raise BadInput(
            f"The user map {path} has {plural(len(errors), 'error')}: {first}{rest}"
            f" `amplify-migrate users check {path}` lists everything."
        )
    return user_map


# --- cognito-users ----------------------------------------------------------------------------------------------------


def cognito_users_table(context: Context) -> str:
    """The name of the table with one row per user."""
    return context.deployment.name(_USERS.config_key, _USERS.pattern).value


def look_up(context: Context, ids: Iterable[str]) -> dict[str, str]:
    """The given ids that have a row in cognito-users, each with its e-mail address ("" where the row has none)."""
    table = cognito_users_table(context)
    known: dict[str, str] = {}
    wanted = sorted({user for user in ids if user and len(user.encode("utf-8", "replace")) <= HASH_KEY_BYTES})
    batches = (tuple(wanted[start : start + MOST]) for start in range(0, len(wanted), MOST))

    def fetch(batch: tuple[str, ...]) -> dict[str, str]:
        keys = [{"user_id": {"S": user}} for user in batch]
        rows = batch_get(context.account, table, keys, ("user_id", "email"))
        return {row["user_id"]["S"]: row.get("email", {}).get("S", "") for row in rows}

    for _, rows in each(fetch, batches, workers=context.workers, control=context.control):
        known.update(rows)
    return known


def identity_map(context: Context) -> UserMap:
    """The map of scenario B: every id of cognito-users onto itself, sorted. Raises Blocked when there is none."""
    table = cognito_users_table(context)
    try:
        ids = sorted(_every_id(context))
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ABSENT | DENIED:
            raise
        raise Blocked(f"The users cannot be read from {table}: {explain(error)}.") from error
    if not ids:
        raise Blocked(f"{table} has no row, so there are no users to write; give a CSV with --csv-file instead.")
    return UserMap(tuple(MapRow(line, user, user) for line, user in enumerate(ids, 2)))


def _every_id(context: Context) -> Iterator[str]:
    """Every id of cognito-users, in no order."""
    table = cognito_users_table(context)
    for page in context.account.pages("dynamodb", "scan", TableName=table, ProjectionExpression="user_id"):
        yield from (item["user_id"]["S"] for item in page["Items"] if item["user_id"]["S"] != LOCK_KEY)


def sub_map(context: Context, user_pool_id: str) -> tuple[UserMap, list[Complaint]]:
    """The map of e-mail addresses onto the subs of a user pool, sorted, and who had to be left out.

    Raises Blocked when nobody is left.
    """
    users = list(read_pool(context.account, user_pool_id))
    complaints: list[Complaint] = []
    known: list[str] = []
    try:
        known = list(_every_id(context))
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ABSENT | DENIED:
            raise
        complaints.append(_not_looked_up(context, error))
    pairs, left_out = sub_pairs(users, known)
    if not pairs:
        raise Blocked(f"No user of the pool {user_pool_id} has an e-mail address and a sub of their own.")
    rows = tuple(MapRow(line, old, new) for line, (old, new) in enumerate(pairs, 2))
    return UserMap(rows), [*complaints, *left_out]


def check_against_account(context: Context, user_map: UserMap, user_pool_id: str | None = None) -> list[Complaint]:
    """What only the account can tell: new ids that are somebody's already, users without a row, ids of the pool."""
    try:
        ids = [identity for row in user_map.rows for identity in (row.old, row.new)]
        known = look_up(context, itertools.chain(ids, map(sanitise_user, ids)))
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ABSENT | DENIED:
            raise
        known, complaints = {}, [_not_looked_up(context, error)]
    else:
        complaints = compare_with_users(user_map, known, _made_here(context.workspace))
    if user_pool_id:
        users = read_pool(context.account, user_pool_id)
        complaints += compare_with_pool(user_map, users, idp_prefix(context), known)
    return in_order(complaints)


def _not_looked_up(context: Context, error: Exception) -> Complaint:
    return Complaint(
        "attention", 0, f"Ids could not be looked up in {cognito_users_table(context)}: {plain(explain(error))}."
    )


def _made_here(workspace: Workspace) -> frozenset[tuple[str, str]]:
    """(old id, new id) of the rows of cognito-users that were applied from this workspace: nobody need be told of them."""
    if not workspace.ledger.exists():
        return frozenset()
    with Ledger(workspace.ledger, writable=False) as ledger:
        done = ledger.select((*DONE, "cleaned"), rows=(_USERS.config_key,))
    return frozenset((entry.source_key["user_id"]["S"], entry.target_key["user_id"]["S"]) for entry in done)


def compare_with_users(
    user_map: UserMap, known: Mapping[str, str], ours: Collection[tuple[str, str]] = ()
) -> list[Complaint]:
    """`known` is id -> e-mail address of those that have a row in cognito-users, of the ids of the map and of the users that
    have the spelling of these ids in storage keys; `ours` see `_made_here`. Pure."""
    mine = UserMap(tuple(row for row in user_map.rows if (row.old, row.new) not in ours))
    return [
        *listed(_taken(mine, known)),
        *listed(_others_storage(user_map, known)),
        *listed(_without_row(mine, known)),
    ]


def _taken(user_map: UserMap, known: Mapping[str, str]) -> Iterator[Complaint]:
    for row in user_map.rows:
        if row.old == row.new or row.new not in known:
            continue
        # Rows of the old sync job are keyed by the address and have no `email`.
        theirs = (known[row.new] or (row.new if "@" in row.new else "")).lower()
        mine = {address.lower() for address in (row.old, known.get(row.old, "")) if "@" in address}
        taken = f"new_id {shown(row.new)} has a row in cognito-users already"
        if theirs in mine:
            yield Complaint("attention", row.line, f"{taken}, of the same person. The two rows will be merged.")
        elif not theirs or not mine:
            yield Complaint(
                "attention",
                row.line,
                f"{taken}, and no e-mail address tells whose it is. Make sure that it is the person of"
                f" {shown(row.old)}; the data will be merged.",
            )
        else:
            yield Complaint(
                "error",
                row.line,
                f"{taken}, of another person ({shown(known[row.new] or row.new)}, not {shown(min(mine))})."
                " Give the id that belongs to this user."
                + ("" if known[row.new] else " If it is another address of the same person, remove that row first."),
            )


def _others_storage(user_map: UserMap, known: Mapping[str, str]) -> Iterator[Complaint]:
    # Of two users of the map `check_rows` tells; here the other one is not in it, and what is under the key may be theirs.
    for row in user_map.rows:
        for column, identity in (("old_id", row.old), ("new_id", row.new)):
            key = sanitise_user(identity)
            if row.old == row.new or key not in known or key in (row.old, row.new):
                continue
            same = (
                f"{column} {shown(identity)} has the storage key {shown(key)}, as has the user of that id, who has a row in"
                " cognito-users."
            )
            if column == "old_id":
                yield Complaint("attention", row.line, f"{same} Whose rows are under it cannot be told: they stay.")
            else:
                advice = "Data of two people would meet: use an id that differs in letters, digits, @ . _ or -."
                yield Complaint("error", row.line, f"{same} {advice}")


def _without_row(user_map: UserMap, known: Mapping[str, str]) -> Iterator[Complaint]:
    for row in user_map.rows:
        if row.old not in known and (row.old == row.new or row.new not in known):
            yield Complaint(
                "attention",
                row.line,
                f"old_id {shown(row.old)} has no row in cognito-users. What it owns elsewhere is migrated all the same;"
                " check the spelling, case included.",
            )


# --- the map of a workspace --------------------------------------------------------------------------------------------


def map_file(workspace: Workspace) -> Path | None:
    """The user map that was checked last, else the one that was planned."""
    if path := workspace.settings().get(USER_MAP):
        return Path(path)
    return workspace.user_map if workspace.user_map.is_file() else None


def planned_ids(workspace: Workspace) -> Mapping[str, str]:
    """The map that all plans of the workspace were made from, `{old: new}`; empty before the first."""
    return read_map(workspace.user_map)[0].ids if workspace.user_map.exists() else {}


# --- who is not in the map --------------------------------------------------------------------------------------------


Kind = Literal["user", "unknown", "group", "assistant", "system"]


@dataclass(frozen=True)
class Missing:
    """An id that owns items and that the map does not name. `items` counts them by table, most first."""

    id: str
    kind: Kind
    items: Mapping[str, int]


def find_missing(
    context: Context, user_map: UserMap, tables: Iterable[Table] = TABLES
) -> tuple[list[Missing], dict[str, str]]:
    """Who has data but no row in the map: one projected scan of each table with attributes that are ids as a whole.
    And the tables that could not be read, with the reason: what stands in them alone is not among the missing.

    New ids of the map count as named: their data was migrated. Ids of groups, assistants and systems stand in the same
    attributes and are told apart by their form; a row in cognito-users makes an id a user's whatever its form.
    """
    existing = {name for page in context.account.pages("dynamodb", "list_tables") for name in page["TableNames"]}
    tasks = [
        (name, table.whole_ids)
        for table in tables
        if table.whole_ids and not table.skip and not table.audit
        for name in _names(context, table)
        if name in existing
    ]
    named = {*user_map.ids, *user_map.ids.values()}
    items: dict[str, dict[str, int]] = {}
    unread: dict[str, str] = {}

    def count(task: tuple[str, tuple[str, ...]]) -> Counter[str] | str:
        try:
            return _count_ids(context, *task)
        except AWS_ERRORS as error:
            return explain(error)

    for (name, _), counts in each(count, tasks, workers=context.workers, control=context.control):
        if isinstance(counts, str):
            unread[name] = counts
            continue
        for user, number in counts.items():
            if user not in named:
                items.setdefault(user, {})[name] = number
    users_table = cognito_users_table(context)
    missing = [
        Missing(
            user,
            kind_of(user, users_table in counts),
            dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))),
        )
        for user, counts in sorted(items.items())
    ]
    return missing, unread


def _names(context: Context, table: Table) -> list[str]:
    return [
        context.deployment.name(table.config_key, table.pattern).value,
        *(context.deployment.fill(pattern) for pattern in table.also),
    ]


def kind_of(user: str, has_row: bool) -> Kind:
    """Whose id it is, by its form; `has_row`: whether it has one in cognito-users, as only people have."""
    if has_row:
        return "user"
    if looks_like_group(user):
        return "group"
    if _ASSISTANT.match(user):
        return "assistant"
    return "system" if user in NO_PERSON or _SYSTEM.fullmatch(user) else "unknown"


def _count_ids(context: Context, table: str, attributes: Sequence[str]) -> Counter[str]:
    """How many items of a table each id stands in, at any of the given attributes."""
    names = {f"#a{number}": attribute for number, attribute in enumerate(attributes)}
    counts: Counter[str] = Counter()
    seen = 0
    for page in context.account.pages(
        "dynamodb",
        "scan",
        TableName=table,
        ProjectionExpression=", ".join(names),
        ExpressionAttributeNames=names,
    ):
        for item in page["Items"]:
            counts.update({value["S"] for value in item.values() if value.get("S") not in (None, "", LOCK_KEY)})
        seen += page["ScannedCount"]
        context.feed.emit(Progress(table, seen, phase="looking for users"))
    return counts
