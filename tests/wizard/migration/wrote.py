"""Writes of services, as what each does to an item, and whether an item is one of those that writes may have left. Pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from typing import Any

from tests.wizard.migration.stage import Item, n
from wizard.wire import canonical

_DIGITS = Context(prec=100)  # DynamoDB's are 38


@dataclass(frozen=True)
class Wrote:
    """One write of a service, as what it does to whatever item stands."""

    kind: str  # "create", "save", "delete", "set", "add" (a member to a list, a set or a map), "spend", "revert"
    path: tuple[str, ...] = ()
    value: Any = None  # the item, the value at the path, the member, or the amount

    def on(self, item: Item | None, sums: Collection[str]) -> Item | None:
        """The item after it; what begins a sum anew is added to one that stands."""
        if self.kind == "delete":
            return None
        if self.kind == "save":
            return self.value  # type: ignore[no-any-return]
        if self.kind == "create":
            return (
                {**item, **self.value, **{name: sum_of(item[name], self.value[name]) for name in sums}}
                if item
                else self.value
            )
        return None if item is None else {**item, self.path[0]: self._into(item.get(self.path[0]), self.path[1:])}

    def _into(self, value: Any, path: tuple[str, ...]) -> Any:
        if path:
            inner = value["M"] if value and "M" in value else {}
            return {"M": {**inner, path[0]: self._into(inner.get(path[0]), path[1:])}}
        if self.kind == "spend":
            return sum_of(value, self.value)
        if self.kind != "add":
            return self.value
        if "L" in (value or {}):
            return {"L": [*value["L"], self.value]}
        return {"SS": sorted({*(value or {}).get("SS", ()), self.value["S"]})}


def sum_of(one: Any, other: Any) -> Any:
    """Of two numbers in wire form, or of two lists of them member by member."""
    if "L" in one:
        return {"L": [sum_of(*pair) for pair in zip(one["L"], other["L"], strict=True)]}
    return form({"": n(_DIGITS.add(Decimal(one["N"]), Decimal(other["N"])))})[""]


def form(item: Item) -> Item:
    """An item as a dump has it."""
    return json.loads(canonical(item))  # type: ignore[no-any-return]


def total(amounts: Iterable[Any]) -> Any:
    """The sum of numbers in wire form."""
    return functools.reduce(sum_of, amounts, n(0))


def again(one: Wrote, base: Item) -> list[Wrote]:
    """An old value that is written again, as what becomes of it in `base`, the item as planned; others as they are."""
    if one.kind != "revert":
        return [one]
    return [replace(one, value=base[one.path[0]])] if one.path[0] in base else []  # else it was a pointer that goes


def since_deleted(writes: Sequence[Wrote]) -> Sequence[Wrote]:
    """What was written after the last deletion: what is missing is made again."""
    last = max((number for number, one in enumerate(writes) if one.kind == "delete"), default=-1)
    return writes[last + 1 :]


def fits(found: Item | None, candidates: Iterable[Item | None]) -> bool:
    """Whether an item is one of these, or made of their attributes."""
    wholes = list(candidates)
    if found is None:
        return None in wholes
    there = [one for one in wholes if one is not None]
    names = {name for one in (found, *there) for name in one}
    return bool(there) and all(any(one.get(name) == found.get(name) for one in there) for name in names)
