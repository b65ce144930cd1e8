"""What to do when an item under the new id exists already. Each rule but `add_numbers` is idempotent; `new` is
the existing item."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal

from wizard.catalog.model import Clash, Item
from wizard.wire import LARGEST_ITEM, item_size, same

_DIGITS = Context(prec=38)  # DynamoDB's numbers


def filled(new: Item, old: Item) -> Item:
    """Existing values win; attributes that are missing are filled from the old item."""
    return {**old, **new}


fill_gaps = Clash(filled)
fill_gaps_keeping = Clash(filled, keeps_loser=True)  # where an attribute that both have is somebody's work


def union(attribute: str, *identity: str, keeps_loser: bool = False) -> Clash:
    """Fill gaps, and add the members of a list whose `identity` (the first of these attributes it has) is not there yet."""

    def name(member: Item) -> object:
        fields = member.get("M", {})
        return next((str(fields[key]) for key in identity if key in fields), str(member))

    def rule(new: Item, old: Item) -> Item:
        merged = filled(new, old)
        mine, theirs = new.get(attribute, {}).get("L"), old.get(attribute, {}).get("L")
        if mine is not None and theirs is not None:
            known = {name(member) for member in mine}
            merged[attribute] = {"L": [*mine, *(member for member in theirs if name(member) not in known)]}
        return merged

    return Clash(rule, keeps_loser)


def one_default(union: Clash, attribute: str, flag: str) -> Clash:
    """After `union`, at most one member of the list has the flag: the first one."""

    def tidy(new: Item, old: Item) -> Item:
        merged = union.merge(new, old)
        members, seen = [], False
        for member in merged.get(attribute, {}).get("L", []):
            fields = member.get("M", {})
            if fields.get(flag) == {"BOOL": True}:
                if seen:
                    member = {"M": {**fields, flag: {"BOOL": False}}}
                seen = True
            members.append(member)
        return {**merged, attribute: {"L": members}} if members else merged

    return Clash(tidy)


def set_union(attribute: str) -> Clash:
    """Fill gaps, and unite a String Set."""

    def rule(new: Item, old: Item) -> Item:
        merged = filled(new, old)
        mine, theirs = new.get(attribute, {}).get("SS"), old.get(attribute, {}).get("SS")
        if mine is not None and theirs is not None:
            merged[attribute] = {"SS": sorted({*mine, *theirs})}
        return merged

    return Clash(rule)


def strongest(attribute: str, *ranks: str) -> Clash:
    """Fill gaps, and keep the stronger of two permissions; `ranks` from strongest to weakest."""

    def rank(item: Item) -> int:
        value = item.get(attribute, {}).get("S", "")
        return ranks.index(value) if value in ranks else len(ranks)

    def rule(new: Item, old: Item) -> Item:
        merged = filled(new, old)
        if attribute in old and rank(old) < rank(new):
            merged[attribute] = old[attribute]
        return merged

    return Clash(rule)


def highest(attribute: str) -> Clash:
    """The item with the higher number wins, the existing one on a tie; gaps are filled from the other."""

    def number(item: Item) -> Decimal:
        return Decimal(item.get(attribute, {}).get("N", "-Infinity"))

    return Clash(lambda new, old: {**new, **old} if number(old) > number(new) else filled(new, old))


def newest(*attributes: str, keeps_loser: bool = True) -> Clash:
    """The item that was written later by these attributes wins; else the existing one.

    A loser that is kept stays as a whole where it is; of one that is not, what the winner lacks is filled in. The time
    stays the winner's, whichever attribute has it: by an earlier one of the loser's it would lose to the next.
    """

    def rule(new: Item, old: Item) -> Item:
        if later(new, old, attributes):
            dates = next(index for index, name in enumerate(attributes) if name in old)
            return {**{name: value for name, value in new.items() if name not in attributes[:dates]}, **old}
        return dict(new) if keeps_loser else filled(new, old)

    return Clash(rule, keeps_loser)


def uniting_logs(rule: Clash) -> Clash:
    """`rule`, but of two rows of task logs the executions of both stay, and what else only one of them holds.

    Where they differ in one, or one row has no room for all, the existing row stays as it is and the old one beside it.
    """

    def unite(new: Item, old: Item) -> Item:
        merged = rule.merge(new, old)
        mine, theirs = _logs(new), _logs(old)
        if mine is None or theirs is None:
            return merged
        data = [item["data"]["M"] for item in (old, new, merged)]
        both = {**merged, "data": {"M": {**data[0], **data[1], **data[2], "logs": {"M": {**theirs, **mine}}}}}
        united = all(same({"": theirs[name]}, {"": mine[name]}) for name in theirs.keys() & mine.keys())
        return both if united and item_size(both) <= LARGEST_ITEM else dict(new)

    return Clash(unite, rule.keeps_loser)


def _logs(item: Item) -> Item | None:
    """The executions in a row of task logs of user storage; None for any other row."""
    if item.get("entityType") != {"S": "scheduled-task-logs"}:
        return None
    logs: Item | None = item.get("data", {}).get("M", {}).get("logs", {}).get("M")
    return logs


def newest_members(attribute: str, clock: str) -> Clash:
    """Members of a map: missing ones are added; where both have one, the item with the later `clock` gives it."""

    def rule(new: Item, old: Item) -> Item:
        merged = filled(new, old)
        mine, theirs = new.get(attribute, {"M": {}}).get("M"), old.get(attribute, {}).get("M")
        if mine is not None and theirs is not None:
            if later(new, old, (clock,)):
                merged = {**merged, attribute: {"M": {**mine, **theirs}}, clock: old[clock]}
            else:
                merged[attribute] = {"M": {**theirs, **mine}}
        return merged

    return Clash(rule)


def add_numbers(*attributes: str) -> Clash:
    """Fill gaps, and add numbers and lists of numbers member by member. Not idempotent: for `retire="remove"` only."""

    def added(mine: Item, theirs: Item) -> Item:
        if "N" in mine and "N" in theirs:
            return {"N": str(_DIGITS.add(Decimal(mine["N"]), Decimal(theirs["N"])))}
        if "L" in mine and "L" in theirs:
            short, long = sorted((mine["L"], theirs["L"]), key=len)
            pairs = [added(*pair) for pair in zip(short, long, strict=False)]
            return {"L": [*pairs, *long[len(short) :]]}
        return mine

    def rule(new: Item, old: Item) -> Item:
        merged = filled(new, old)
        for attribute in attributes:
            if attribute in new and attribute in old:
                merged[attribute] = added(new[attribute], old[attribute])
        return merged

    return Clash(rule, sums=attributes)


def later(new: Item, old: Item, attributes: Sequence[str]) -> bool:
    """Whether the old item was written later: by the first of `attributes` that each has, or else that both have.

    Times of two types (S and N) tell nothing.
    """
    last: list[Item] = [next((item[name] for name in attributes if name in item), {}) for item in (new, old)]
    common = ([new[name], old[name]] for name in attributes if name in new and name in old)
    for mine, theirs in (last, *common):
        if "N" in mine and "N" in theirs:
            return Decimal(theirs["N"]) > Decimal(mine["N"])
        if "S" in mine and "S" in theirs:
            return bool(theirs["S"] > mine["S"])
    return False
