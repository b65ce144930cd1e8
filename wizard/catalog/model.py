"""The vocabulary of the table rows: keys, paths, the forms an id takes in a string, clash rules, and retirement.

A path is written like `data.*.members[]`: names joined by dots, `*` for every key of a map, `[]` for every member of
a list, and `{}` at the end where the keys of a map are the ids themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from wizard.storage_key import dashed, sanitise_user

Item = dict[str, Any]  # a DynamoDB item in wire form: {"user": {"S": "doej1"}}


class Ids(dict[str, str]):
    """The user map as the rewrite sees it: old id -> new id, identity rows included."""

    @cached_property
    def changed(self) -> dict[str, str]:
        """Only the ids that change."""
        return {old: new for old, new in self.items() if old != new}

    @cached_property
    def new(self) -> frozenset[str]:
        return frozenset(self.values())

    @cached_property
    def spelled(self) -> dict[str, str]:
        """Sanitised spelling -> id, of the old ids and of the new ones (which stand for themselves)."""
        return {sanitise_user(known): known for known in (*self.new, *self)}

    def successor(self, known: str) -> str:
        """The new id of an old one; a new id is its own."""
        return self.get(known, known)


Form = Callable[[str, Ids], str | None]  # the text with its id mapped, or None where it holds no id of the map


@dataclass(frozen=True)
class Key:
    """The primary key of a table; the partition key is always S."""

    partition: str
    sort: str = ""
    sort_type: Literal["S", "N"] = "S"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.partition, self.sort) if self.sort else (self.partition,)

    @property
    def schema(self) -> tuple[tuple[str, str], ...]:
        """((name, type), …), partition key first."""
        return tuple(zip(self.names, ("S", self.sort_type), strict=False))


# --- the forms of an id -------------------------------------------------------------------------------------------


def is_whole(text: str, ids: Ids) -> str | None:
    """The value is an id."""
    return ids.get(text)


def starts(after: str, before: str = "") -> Form:
    """`before`, then an id, then the delimiter `after`, then anything."""

    def form(text: str, ids: Ids) -> str | None:
        if not text.startswith(before):
            return None
        identity, found, rest = text[len(before) :].partition(after)
        new = ids.get(identity) if found else None
        return None if new is None else f"{before}{new}{after}{rest}"

    return form


_DOUBLED_APPS = ("amplify-workflows", "amplify-agent-logs", "amplify-user-settings")


def storage_key(text: str, ids: Ids) -> str | None:
    """A user storage key `{user}#{app}[#{entity}]` in any of its spellings; the result is the plain one.

    The doubled spelling repeats the user, dashed, before the app: `ann@x#ann-x-amplify-workflows`.
    """
    first, found, rest = text.partition("#")
    known = ids.spelled.get(first) or (first if first in ids else None)
    if not found or known is None:
        return None
    undoubled = rest.removeprefix(f"{dashed(known)}-")
    if undoubled.startswith(_DOUBLED_APPS):
        rest = undoubled
    return f"{sanitise_user(ids.successor(known))}#{rest}"


# --- paths ----------------------------------------------------------------------------------------------------------

ANY, MEMBERS, KEYS = "*", "[]", "{}"


def parse(path: str) -> tuple[str, ...]:
    """`data.*.members[]` -> ("data", "*", "members", "[]")."""
    parts: list[str] = []
    for name in path.split("."):
        plain = name.removesuffix(MEMBERS).removesuffix(KEYS)
        parts.append(plain)
        if name != plain:
            parts.append(name[len(plain) :])
    return tuple(parts)


# Where the new value of a pointer must exist first: ("object", bucket config key, key) or ("item", config key, key).
Target = tuple[str, str, Any]
REMOVE = object()  # a pointer that is taken away once its content has moved
# (text, the item, the map) -> (new text or REMOVE, what it waits for); None where there is nothing to follow.
# With `typed` both values are in wire form.
Follow = Callable[[Any, Item, Ids], "tuple[Any, Target] | None"]
Named = Callable[[Any, Item], str]  # (as for `Follow`) -> the bucket that a pointer names itself, "" for none


@dataclass(frozen=True)
class IdPath:
    """Where an id lives. With `follow` it is a pointer to content, changed only when its target is verified.

    `when` restricts the path to items whose top-level attributes have these values. `typed`: `follow` takes a value of
    any type. `unread`: no service reads the pointer, and all keep writing its older form; one more is no work left.
    `bucket`: it names its bucket itself; one that is not the deployment's holds other content than what moves.
    """

    path: str
    form: Form = is_whole
    when: Mapping[str, str] = field(default_factory=dict, hash=False)
    follow: Follow | None = None
    typed: bool = False
    unread: bool = False
    bucket: Named | None = None

    @cached_property
    def parts(self) -> tuple[str, ...]:
        return parse(self.path)

    def concerns(self, item: Item) -> bool:
        return all(item.get(name, {}).get("S") == value for name, value in self.when.items())


def whole(path: str, **when: str) -> IdPath:
    """The value at `path` is an id."""
    return IdPath(path, is_whole, when)


def prefix(path: str, after: str, before: str = "", **when: str) -> IdPath:
    """The value at `path` starts with an id and the delimiter `after`."""
    return IdPath(path, starts(after, before), when)


def pointer(
    path: str,
    follow: Follow,
    *,
    typed: bool = False,
    unread: bool = False,
    bucket: Named | None = None,
    **when: str,
) -> IdPath:
    """The value at `path` refers to content that moves."""
    return IdPath(path, lambda text, ids: None, when, follow, typed, unread, bucket)


# --- what else a row says ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clash:
    """What to do when an item under the new id exists.

    `merge(existing, rewritten old)` gives what the item under the new id becomes; merging again changes nothing.
    With `keeps_loser`, an old item that loses as a whole is somebody's content and no copy: cleanup leaves it.
    `sums` are the attributes that are added up.
    """

    merge: Callable[[Item, Item], Item]
    keeps_loser: bool = False
    sums: tuple[str, ...] = ()


def _zero(value: dict[str, Any]) -> dict[str, Any]:
    if "N" in value:
        return {"N": "0"}
    return {"L": [_zero(member) for member in value["L"]]} if "L" in value else value


# (old item, rewritten item, map) -> the attributes to set in addition, in wire form.
Fix = Callable[[Item, Item, Ids], Item]

Retire = Literal[
    "keep",  # the old item stays until cleanup
    "remove",  # summed into the new one and set to zero in the same transaction, and removed right after
    "remove on clash",  # kept where it was simply copied; as "remove" where an item under the new id existed
    "deactivate",  # stays until cleanup with `active` 0, in the same transaction
]


@dataclass(frozen=True)
class Table:
    """One table: its names, its key, where ids live in it, and what is special about it.

    Args:
        config_key: the name in the backend's config and environment.
        pattern: the deployed name; `also` lists other names that releases gave it. Each that exists is migrated.
        ids: paths that are mapped. Whether items are re-keyed follows from a path being part of the key.
        keep: paths that hold an id, a derived string or an address, and must stay: known and kept.
        clash: what to do when an item under the new id exists; None: it stays, the old one is kept and listed.
        retire: what becomes of the old item.
        fixes: attributes set in addition.
        content: names of the content builders that this row's items feed (`migration/content_plan.py`).
        copy_to: config key of the table that takes every item (the old user storage table only).
        consists_of: attributes of a row that is nothing but content: cleanup takes it once all of that is verified
            elsewhere, and leaves it where it holds anything besides.
        identities: its rows say who is a user, and an address resolves to the old id as long as the old row stands:
            cleanup begins with it.
        secret: attributes whose values are never shown or kept.
        skip: why this table is left alone.
        audit: an audit log: mapped only with --include-audit-logs.
    """

    config_key: str
    pattern: str
    key: Key
    ids: tuple[IdPath, ...] = ()
    keep: tuple[str, ...] = ()
    clash: Clash | None = None
    retire: Retire = "keep"
    fixes: tuple[Fix, ...] = ()
    content: tuple[str, ...] = ()
    copy_to: str = ""
    consists_of: tuple[str, ...] = ()
    identities: bool = False
    secret: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    skip: str = ""
    audit: bool = False

    @cached_property
    def kept(self) -> tuple[tuple[str, ...], ...]:
        return tuple(parse(path) for path in self.keep)

    @property
    def rekeyed(self) -> bool:
        """Whether an id is part of the primary key."""
        return any(path.parts[0] in self.key.names for path in self.ids)

    def merged(self, existing: Item, rewritten: Item) -> Item:
        """What the item under the new id becomes when an old one is to take its place."""
        return self.clash.merge(existing, rewritten) if self.clash is not None else existing

    def spent(self, item: Item) -> Item:
        """The item once its sums are added to another one: they are zero, so that it counts for nothing."""
        sums = self.clash.sums if self.clash is not None else ()
        return {name: _zero(value) if name in sums else value for name, value in item.items()}

    @property
    def whole_ids(self) -> tuple[str, ...]:
        """Top-level attributes that are an id as a whole: who has data in this table."""
        return tuple(path.path for path in self.ids if path.form is is_whole and len(path.parts) == 1 and not path.when)
