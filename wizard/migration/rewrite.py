"""The rewrite: an item and the user map in, the item as it should be out. Pure, on the wire form.

One function feeds plan, dry run, apply, verify and rollback. What no path of the row names is left alone, to the digit;
`unknown_references` tells what was left alone although it looks like an old id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wizard.catalog.model import ANY, KEYS, MEMBERS, REMOVE, IdPath, Ids, Item, Table, Target, is_whole
from wizard.wire import digest, same

Path = tuple[str | int, ...]

_RANKS = ("owner", "admin", "write", "read")  # permissions in maps of members, strongest first


@dataclass(frozen=True)
class Edit:
    """One changed value. `before` None: it is added; `after` None: it is removed. `target`: what it waits for.

    `bucket`: the one that a pointer names itself, "" where it names none.
    """

    path: Path
    before: Any
    after: Any
    target: Target | None = None
    bucket: str = ""

    @property
    def slot(self) -> tuple[str, ...]:
        """The path without positions in lists, which a service may shift."""
        return tuple(MEMBERS if isinstance(part, int) else part for part in self.path)


@dataclass(frozen=True)
class Rewritten:
    """The new item and what was changed in it. The input is never modified."""

    item: Item
    edits: tuple[Edit, ...]


Accept = Callable[[Edit], Edit | None]  # the edit to make, or None to leave the value alone


def everything(edit: Edit) -> Edit | None:
    """Accept every edit."""
    return edit


def rewrite(row: Table, item: Item, ids: Ids, accept: Accept = everything) -> Rewritten:
    """Map every id that the row names; edits that `accept` refuses are left out.

    Unmapped values, kept paths and types other than strings pass through unchanged. Rewriting twice equals once.
    """
    edits: list[Edit] = []
    result = dict(item)
    for path in row.ids:
        head = path.parts[0]
        if head in item and path.concerns(item):
            value = _Walk(path, item, ids, accept, edits).visit(result[head], path.parts[1:], (head,))
            if value is None:
                del result[head]
            else:
                result[head] = value
    for fix in row.fixes:
        for name, value in fix(item, result, ids).items():
            edit = accept(Edit((name,), item.get(name), value)) if value != item.get(name) else None
            if edit is not None:
                edits.append(edit)
                result[name] = value
    return Rewritten(result, tuple(edits))


@dataclass(frozen=True)
class _Walk:
    """One path of one item."""

    path: IdPath
    item: Item
    ids: Ids
    accept: Accept
    edits: list[Edit]

    def visit(self, value: Any, parts: Sequence[str], at: Path) -> Any:
        """The value with its ids mapped; None where a pointer was taken away."""
        if not parts:
            return self.leaf(value, at)
        head, rest = parts[0], parts[1:]
        if head == MEMBERS and isinstance(value.get("L"), list):
            return self.members(value, rest, at)
        if head == MEMBERS and "SS" in value and not rest:
            return self.string_set(value, at)
        if head == KEYS and isinstance(value.get("M"), dict):
            return self.keys(value, at)
        if isinstance(value.get("M"), dict):
            names = list(value["M"]) if head == ANY else [head]
            changed = {}
            for name in names:
                if name in value["M"]:
                    changed[name] = self.visit(value["M"][name], rest, (*at, name))
            if any(changed[name] is not value["M"][name] for name in changed):
                merged = {**value["M"], **changed}
                return {"M": {name: member for name, member in merged.items() if member is not None}}
        return value

    def typed(self, value: Any, at: Path) -> Any:
        assert self.path.follow is not None
        new, target = self.path.follow(value, self.item, self.ids) or (value, None)
        edit = self.accept(Edit(at, value, new, target, self.named(value))) if new != value else None
        if edit is None:
            return value
        self.edits.append(edit)
        return edit.after

    def named(self, value: Any) -> str:
        return self.path.bucket(value, self.item) if self.path.bucket is not None else ""

    def leaf(self, value: Any, at: Path) -> Any:
        if self.path.typed:
            return self.typed(value, at)
        text = value.get("S")
        if not isinstance(text, str):
            return value
        target: Target | None = None
        new: str | object | None
        if self.path.follow is not None:
            followed = self.path.follow(text, self.item, self.ids)
            new, target = followed if followed else (None, None)
        else:
            new = self.path.form(text, self.ids)
        if new is None or new == text:
            return value
        edit = self.accept(Edit(at, value, None if new is REMOVE else {"S": new}, target, self.named(text)))
        if edit is None or edit.after == value:
            return value
        self.edits.append(edit)
        return edit.after

    def members(self, value: Any, rest: Sequence[str], at: Path) -> Any:
        before = value["L"]
        after = [self.visit(member, rest, (*at, index)) for index, member in enumerate(before)]
        if all(new is old for new, old in zip(after, before, strict=True)):
            return value
        if not rest:
            # Both ids of one person in the list become one; what was there twice before stays as it is.
            present = [old for new, old in zip(after, before, strict=True) if new is old]
            kept: list[Any] = []
            for new, old in zip(after, before, strict=True):
                if new is old or (new not in present and new not in kept):
                    kept.append(new)
            after = kept
        return {"L": [member for member in after if member is not None]}

    def string_set(self, value: Any, at: Path) -> Any:
        mapped = []
        for text in value["SS"]:
            new = self.path.form(text, self.ids)
            edit = self._take((*at, 0), text, new)
            if edit is not None and new is not None:
                mapped.append(new)
            else:
                mapped.append(text)
        return value if mapped == value["SS"] else {"SS": sorted(set(mapped))}

    def keys(self, value: Any, at: Path) -> Any:
        """A map whose keys are ids; where both ids of one person are keys, the stronger permission stays."""
        result: dict[str, Any] = dict(value["M"])
        for name, member in value["M"].items():
            new = self.path.form(name, self.ids)
            if new is not None and self._take((*at, name), name, new) is not None:
                del result[name]
                result[new] = _stronger(result[new], member) if new in result else member
        return value if result.keys() == value["M"].keys() else {"M": result}

    def _take(self, at: Path, old: str, new: str | None) -> Edit | None:
        """Note the edit of one id, unless it changes nothing or is refused."""
        edit = self.accept(Edit(at, {"S": old}, {"S": new})) if new is not None and new != old else None
        if edit is not None:
            self.edits.append(edit)
        return edit


def _stronger(one: Any, other: Any) -> Any:
    def rank(value: Any) -> int:
        text = value.get("S", "")
        return _RANKS.index(text) if text in _RANKS else len(_RANKS)

    return one if rank(one) <= rank(other) else other


# --- what is written --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """A difference between two items at the deepest map that holds it; lists and sets count as one value."""

    path: tuple[str, ...]
    before: Any
    after: Any


def changes(before: Item, after: Item, depth: int = 32) -> list[Change]:
    """What turns `before` into `after`: values to set (or to remove: after None), at most `depth` names deep."""
    return list(_differences(before, after, (), depth))


def traces(before: Item, after: Item) -> tuple[Change, ...]:
    """The same as rollback needs it: what stood there, and of what was written a digest alone, as `{"S": digest}`."""
    return tuple(
        change if change.after is None else replace(change, after={"S": digest({"": change.after})})
        for change in changes(before, after)
    )


def _differences(before: Item, after: Item, at: tuple[str, ...], depth: int) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None:
            if same({"": old}, {"": new}):
                continue
            if "M" in old and "M" in new and len(at) + 1 < depth:
                yield from _differences(old["M"], new["M"], (*at, name), depth)
                continue
        yield Change((*at, name), old, new)


def put_back(item: Item, written: Sequence[Change]) -> Item:
    """The item with each changed place as it was before."""
    for change in written:
        item = _put(item, change.path, change.before)
    return item


def holds(item: Item, change: Change) -> bool:
    """Whether the place of a recorded change has the value that was written, or one with its digest (`traces`)."""
    value: Any = {"M": item}
    for name in change.path:
        value = value.get("M", {}).get(name) if value is not None else None
    if value is None or change.after is None:
        return value is None and change.after is None
    return same({"": value}, {"": change.after}) or change.after == {"S": digest({"": value})}


def _put(item: Item, path: tuple[str, ...], value: Any) -> Item:
    head, *rest = path
    if rest:
        return {**item, head: {"M": _put(item.get(head, {}).get("M", {}), tuple(rest), value)}}
    if value is None:
        return {name: member for name, member in item.items() if name != head}
    return {**item, head: value}


# --- what was left alone although it looks like an old id ---------------------------------------------------------------

_DELIMITED = re.compile(r"[/#,;:|=?&\s\x00-\x1f\"'<>()\[\]{}\\]+")


@dataclass(frozen=True)
class Reference:
    """A value at a path that the row does not name. `kind`: "id" (an old id, or a delimited part of the value),
    "case" (equal to one only in other case)."""

    path: str
    kind: str
    old: str


class Watch:
    """Finds old ids in strings. Built once per plan."""

    def __init__(self, ids: Ids):
        self.exact = frozenset(ids.changed)
        self.folded = {old.lower(): old for old in ids.changed}
        # Ids that hold a delimiter themselves cannot be found by splitting.
        odd = sorted((old for old in self.exact if _DELIMITED.search(old)), key=len, reverse=True)
        self.odd = re.compile(r"(?<![\w.@-])(?:" + "|".join(map(re.escape, odd)) + r")(?![\w.@-])") if odd else None

    def find(self, text: str) -> tuple[str, str] | None:
        """(kind, old id), or None."""
        if not self._suspect(text):
            return None
        if text in self.exact:
            return "id", text
        parts = _DELIMITED.split(text)
        for part in parts:
            if part in self.exact:
                return "id", part
        if self.odd and (match := self.odd.search(text)):
            return "id", match.group()
        for part in (text, *parts):
            if part.lower() in self.folded:
                return "case", self.folded[part.lower()]
        return None

    def _suspect(self, text: str) -> bool:
        """Whether a closer look is worth it: nearly no string of an item holds an id, and each of them is looked at."""
        folded = text.lower()
        return bool(
            folded in self.folded
            or not self.folded.keys().isdisjoint(_DELIMITED.split(folded))
            or (self.odd and self.odd.search(text))
        )


def unknown_references(row: Table | None, item: Item, watch: Watch) -> Iterator[Reference]:
    """Old ids at paths that neither `ids` nor `keep` of the row name; every path when there is no row.

    And at paths where an id is expected as a whole, values that only contain one: they are not mapped.
    """
    patterns: list[tuple[str, ...]] = []
    named: dict[tuple[str, ...], bool] = {}  # whether an id is the whole value there
    if row is not None:
        for path in row.ids:
            if path.concerns(item):
                named[path.parts] = named.get(path.parts, True) and path.form is is_whole
        patterns = [*named, *row.kept]
    for name, value in item.items():
        rest = [pattern[1:] for pattern in patterns if pattern[0] in (name, ANY)]
        deeper = {path[1:]: whole for path, whole in named.items() if path[0] in (name, ANY)}
        yield from _search(value, rest, name, watch, deeper)


def _search(
    value: Any, patterns: list[tuple[str, ...]], at: str, watch: Watch, mapped: Mapping[tuple[str, ...], bool]
) -> Iterator[Reference]:
    kind, content = next(iter(value.items()))
    if kind in ("S", "SS"):
        here = () if kind == "S" else (MEMBERS,)
        for text in [content] if kind == "S" else content:
            if here in patterns:
                # At a mapped path an exact id was mapped; one that differs by case, or by a blank, is worth a line.
                found = watch.find(text) if here in mapped else None
                if found and (found[0] == "case" or (mapped[here] and found[1] != text)):
                    yield Reference(at, *found)
            elif found := watch.find(text):
                yield Reference(at if kind == "S" else f"{at}[]", *found)
    elif kind == "L":
        inner = [pattern[1:] for pattern in patterns if pattern[:1] == (MEMBERS,)]
        deeper = {path[1:]: whole for path, whole in mapped.items() if path[:1] == (MEMBERS,)}
        for member in content:
            yield from _search(member, inner, f"{at}[]", watch, deeper)
    elif kind == "M":
        for name, member in content.items():
            if (KEYS,) not in patterns and (found := watch.find(name)):
                yield Reference(f"{at}{{}}", *found)
            inner = [pattern[1:] for pattern in patterns if pattern[:1] in ((name,), (ANY,))]
            deeper = {path[1:]: whole for path, whole in mapped.items() if path[:1] in ((name,), (ANY,))}
            yield from _search(member, inner, f"{at}.{name}" if watch.find(name) is None else f"{at}.*", watch, deeper)
