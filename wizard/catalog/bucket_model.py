"""The vocabulary of bucket rows: how an old key is laid out, whose ids are in it, and where it goes. Pure.

A layout is a key with named fields, `{recipient}/{sharer}/{rest}`. A field is one whole '/'-segment (or the part of it
between literal text) and never empty; `{rest}` takes everything that is left, slashes included. The fields `user`,
`recipient` and `sharer` are user ids and are mapped, whole; all others are carried over as they are.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Ids = Mapping[str, str]
ContentKind = Literal["artifact", "workflow", "task-log"]

ID_FIELDS = ("user", "recipient", "sharer")
CONSOLIDATION = "S3_CONSOLIDATION_BUCKET_NAME"
_DELIMITED = re.compile(r"[#,;:|=?&\s\"'<>()\[\]{}]+")
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Skip:
    """An object that stays where it is, and why."""

    reason: str


@dataclass(frozen=True)
class Content:
    """An object that becomes an item of user-data-storage. `fields` are those of the layout, ids still the old ones."""

    kind: ContentKind
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Route:
    """One layout of keys and its new layout in the consolidation bucket, or the kind of content that it becomes.

    `stays`: why objects of this layout stay where they are.
    """

    old: str
    new: str = ""
    content: ContentKind | None = None
    stays: str = ""

    @property
    def per_user(self) -> bool:
        return any(field in ID_FIELDS for field in _FIELD.findall(self.old))

    def fields(self, key: str) -> dict[str, str] | None:
        """The fields of a key of this layout; None for a key of another one."""
        found = _compiled(self.old).fullmatch(key)
        return found.groupdict() if found else None


@dataclass(frozen=True)
class Bucket:
    """One bucket of a deployment.

    `skip` are key prefixes that stay, each with its reason. `pointer` names the attribute that refers to the objects.
    `standalone` is the name for `--bucket` of a bucket that is copied whole, once per run and not per user.
    `untouched` says why nothing of the bucket is ever read or written; its `layouts` are there for the reader.
    `pointer_first`: the pointing rows are written before the objects are copied; an object that none of them names and
    whose key ends in `becomes_version` stays, because its copy would make the services write such a row.
    """

    config_key: str
    pattern: str
    routes: tuple[Route, ...] = ()
    skip: tuple[tuple[str, str], ...] = ()
    pointer: str = ""
    pointer_first: bool = False
    becomes_version: str = ""
    standalone: str = ""
    untouched: str = ""
    layouts: tuple[str, ...] = ()
    keep_source: bool = False  # its objects stay even where cleanup takes the sources of copies

    @property
    def per_user(self) -> bool:
        """Whether keys name users: then objects of users outside the map stay untouched."""
        return any(route.per_user and not route.stays for route in self.routes)

    @property
    def holds_content(self) -> bool:
        """Whether its objects become items of user-data-storage."""
        return any(route.content for route in self.routes)


def target_key(row: Bucket, key: str, ids: Ids) -> str | Content | Skip | None:
    """Where an object goes: a key of the consolidation bucket, an item's content, or nowhere for a reason.

    None: the key names users, and none of them is in `ids`. A key that names two is taken when either is mapped.
    """
    if row.untouched:
        return Skip(row.untouched)
    for prefix, reason in row.skip:
        if key.startswith(prefix):
            return Skip(reason)
    for route in row.routes:
        fields = route.fields(key)
        if fields is None:
            continue
        if route.stays:
            return Skip(route.stays)
        named = [field for field in ID_FIELDS if field in fields]
        if named and not any(fields[field] in ids for field in named):
            return None
        if route.content:
            return Content(route.content, fields)
        target = route.new.format_map({**fields, **{field: ids.get(fields[field], fields[field]) for field in named}})
        if row.config_key == CONSOLIDATION and target == key:
            return Skip("it is at its place already")
        return target
    return Skip("its key has no known layout")


def all_mapped(row: Bucket, key: str, ids: Ids) -> bool:
    """Whether every user that the key names is in the map."""
    for route in row.routes:
        if (fields := route.fields(key)) is not None:
            return all(fields[field] in ids for field in ID_FIELDS if field in fields)
    return False


def unknown_segments(row: Bucket, key: str, ids: Ids) -> list[str]:
    """Old ids that stand in the key at a place which the row does not name: a segment, or a delimited part of one.

    An id that stays the same is no reference to report.
    """
    if row.untouched or any(key.startswith(prefix) for prefix, _ in row.skip):
        return []
    rest = key
    for route in row.routes:
        if (fields := route.fields(key)) is not None:
            rest = "/".join(value for field, value in fields.items() if field not in ID_FIELDS)
            break
    parts = [part for segment in rest.split("/") for part in {segment, *_DELIMITED.split(segment)}]
    return sorted({part for part in parts if ids.get(part, part) != part})


@functools.cache
def _compiled(layout: str) -> re.Pattern[str]:
    pattern, position = "", 0
    for field in _FIELD.finditer(layout):
        pattern += re.escape(layout[position : field.start()])
        pattern += f"(?P<{field[1]}>{'.+' if field[1] == 'rest' else '[^/]+'})"
        position = field.end()
    return re.compile(pattern + re.escape(layout[position:]), re.DOTALL)
