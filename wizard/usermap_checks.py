"""What a user map must not hold, found in the map alone. Each check yields complaints of one kind; all are pure.

Errors would mix up or lose data (migration guide, "CSV File Validation Errors"); attention is for what
works but is rarely meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from wizard.storage_key import sanitise_user
from wizard.text import plain, plural
from wizard.usermap import Complaint, MapRow, UserMap, listed, shown

HASH_KEY_BYTES, RANGE_KEY_BYTES = 2_048, 1_024  # DynamoDB's limits of a partition key and of a sort key
SHORT = 4  # ids of fewer characters are more likely a slip than an id
# Principals in user-shaped attributes that are nobody's id.
NO_PERSON = frozenset({"system", "Cognito_Sync", "JIT_PROVISIONER", "__MANY_USERS__"})

_SAFE = re.compile(r"[A-Za-z0-9@._-]+")
_GROUP = re.compile(r".+_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_EIGHT_DIGITS = re.compile(r"[0-9]{8}")


def check_rows(user_map: UserMap) -> list[Complaint]:
    """Every complaint that the rows themselves give, errors first, then by line."""
    found = [complaint for check in _CHECKS for complaint in listed(check(user_map))]
    return in_order([*found, *_in_sum(user_map)])


def in_order(complaints: list[Complaint]) -> list[Complaint]:
    """Errors, then attention, then notes; each by line."""
    ranks = {"error": 0, "attention": 1, "note": 2}
    return sorted(complaints, key=lambda complaint: (ranks[complaint.level], complaint.line))


def looks_like_group(identity: str) -> bool:
    """Whether an id has the form of a group's (`GroupName_uuid`), which stands in user-shaped attributes too."""
    return _GROUP.fullmatch(identity) is not None


def _cells(user_map: UserMap) -> Iterator[tuple[MapRow, str, str]]:
    """(row, column name, id) of each distinct id of each row."""
    for row in user_map.rows:
        yield row, "old_id", row.old
        if row.new != row.old:
            yield row, "new_id", row.new


_OTHER_ID = {
    "old_id": "Such an id cannot be mapped; remove the line.",
    "new_id": "Use an id without it.",
}


def _delimiters(user_map: UserMap) -> Iterator[Complaint]:
    for row, column, identity in _cells(user_map):
        marks = [mark for mark in "#/" if mark in identity]
        if marks:
            yield Complaint(
                "error",
                row.line,
                f"{column} {shown(identity)} contains {' and '.join(marks)}, which separates ids from what follows"
                f" them in stored keys. {_OTHER_ID[column]}",
            )


def _invisible(user_map: UserMap) -> Iterator[Complaint]:
    for row, column, identity in _cells(user_map):
        if _SAFE.fullmatch(identity):
            continue
        char = next((char for char in identity if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")), "")
        if char:
            yield Complaint(
                "error",
                row.line,
                f"{column} {shown(identity)} contains the control or invisible character U+{ord(char):04X}. Remove it.",
            )


def _too_long(user_map: UserMap) -> Iterator[Complaint]:
    for row, column, identity in _cells(user_map):
        if len(identity) * 4 <= RANGE_KEY_BYTES:
            continue
        size = len(identity.encode("utf-8", "surrogatepass"))
        # A new id must fit the sort key of object access; an old one may stand in partition keys only.
        limit = HASH_KEY_BYTES if column == "old_id" and row.old != row.new else RANGE_KEY_BYTES
        if size > limit:
            yield Complaint(
                "error",
                row.line,
                f"{column} {shown(identity)} has {size:,} bytes; a DynamoDB key holds {limit:,}. Use a shorter id.",
            )


def _no_person(user_map: UserMap) -> Iterator[Complaint]:
    for row, column, identity in _cells(user_map):
        if identity in NO_PERSON:
            yield Complaint(
                "error",
                row.line,
                f"{column} {shown(identity)} is a name that the services use for themselves. Remove the line.",
            )
        elif looks_like_group(identity):
            yield Complaint(
                "attention",
                row.line,
                f"{column} {shown(identity)} has the form of a group id. Only users belong here; check the line.",
            )


def _relative(user_map: UserMap) -> Iterator[Complaint]:
    for row in user_map.rows:
        if row.new in (".", ".."):
            yield Complaint(
                "error",
                row.line,
                f"new_id {shown(row.new)} is a step in a path, which clients leave out of keys of objects. Use another id.",
            )


def _twice(column: str, value: Callable[[MapRow], str]) -> Callable[[UserMap], Iterator[Complaint]]:
    def check(user_map: UserMap) -> Iterator[Complaint]:
        first: dict[str, MapRow] = {}
        for row in user_map.rows:
            before = first.setdefault(value(row), row)
            same = before.old == row.old and before.new == row.new
            if before is row or (same and column == "new_id"):
                continue
            reason = "the whole row" if same else f"{column} {shown(value(row))}"
            advice = {
                "old_id": "One user has one new id; keep one of the lines.",
                "new_id": "Two users would become one; give each an id of their own.",
            }[column]
            yield Complaint("error", row.line, f"{reason} is on line {before.line} already. {advice}")

    return check


def _chains(user_map: UserMap) -> Iterator[Complaint]:
    rows = {row.old: row for row in reversed(user_map.rows)}
    for row in user_map.rows:
        other = rows.get(row.new)
        if row.old == row.new or other is None:
            continue
        if other.new == row.old:
            reason = f"and the old id of line {other.line} are swapped"
        else:
            reason = f"is also the old id on line {other.line} (a chain)"
        yield Complaint(
            "error",
            row.line,
            f"new_id {shown(row.new)} {reason}: data of two people would meet under one id."
            " Choose new ids that nobody has now.",
        )


def _folded(identity: str) -> str:
    return identity.lower() if identity.isascii() else unicodedata.normalize("NFKC", identity).casefold()


def _only_by_case(user_map: UserMap) -> Iterator[Complaint]:
    first: dict[str, tuple[MapRow, str]] = {}
    for row, column, identity in _cells(user_map):
        before, spelling = first.setdefault(_folded(identity), (row, identity))
        if before is not row and spelling != identity:
            yield Complaint(
                "attention",
                row.line,
                f"{column} {shown(identity)} differs only by case from {shown(spelling)} on line {before.line}."
                " They are taken as two users; make sure that they are.",
            )


def _same_storage_key(user_map: UserMap) -> Iterator[Complaint]:
    first: dict[str, tuple[MapRow, str]] = {}
    for row, column, identity in _cells(user_map):
        key = sanitise_user(identity)
        before, spelling = first.setdefault(key, (row, identity))
        if before is not row and spelling != identity:
            yield Complaint(
                "error",
                row.line,
                f"{column} {shown(identity)} and {shown(spelling)} on line {before.line} both become the storage key"
                f" {shown(key)}. Use ids that differ in letters, digits, @ . _ or -.",
            )


def _alphabet(user_map: UserMap) -> Iterator[Complaint]:
    for row, column, identity in _cells(user_map):
        if not _SAFE.fullmatch(identity):
            yield Complaint(
                "attention",
                row.line,
                f"{column} {shown(identity)} has characters other than letters, digits, @ . _ and -;"
                f" storage keys spell it {shown(sanitise_user(identity))}.",
            )


def _short(user_map: UserMap) -> Iterator[Complaint]:
    for row in user_map.rows:
        if len(row.new) < SHORT:
            yield Complaint(
                "attention",
                row.line,
                f"new_id {shown(row.new)} has fewer than {SHORT} characters. Make sure that it is the whole id.",
            )


def _prefixes(user_map: UserMap) -> Iterator[Complaint]:
    lines: dict[str, MapRow] = {}
    for row, _, identity in _cells(user_map):
        lines.setdefault(identity, row)
    open_prefixes: list[str] = []  # of the sorted ids so far, those that the present one may still start with
    for identity in sorted(lines):
        while open_prefixes and not identity.startswith(open_prefixes[-1]):
            open_prefixes.pop()
        if open_prefixes and lines[open_prefixes[-1]] is not lines[identity]:
            prefix = open_prefixes[-1]
            yield Complaint(
                "attention",
                lines[identity].line,
                f"{shown(identity)} begins with the id {shown(prefix)} of line {lines[prefix].line}."
                " Ids are compared whole, so this works.",
            )
        open_prefixes.append(identity)


def _in_sum(user_map: UserMap) -> Iterator[Complaint]:
    """What is said once about the whole map."""
    rows = user_map.rows
    same = sum(row.old == row.new for row in rows)
    if rows and same == len(rows):
        yield Complaint("note", 0, "Every row keeps its id: scenario B, only storage is consolidated.")
    elif same:
        yield Complaint("note", 0, f"{plural(same, 'row keeps its', 'rows keep their')} id; the others change.")
    numeric = [row.line for row in rows if _EIGHT_DIGITS.fullmatch(row.old) or _EIGHT_DIGITS.fullmatch(row.new)]
    if numeric:
        where = ", ".join(map(str, numeric[:10])) + (f" and {len(numeric) - 10:,} more" if len(numeric) > 10 else "")
        yield Complaint(
            "note",
            numeric[0],
            "An id of 8 digits looks like the date in an artifact key; the two are told apart, and such ids work"
            f" (line {where}).",
        )
    changing = [row for row in rows if row.old != row.new]
    backwards = [row for row in changing if "@" in row.new and "@" not in row.old]
    if changing and len(backwards) == len(changing):
        yield Complaint(
            "attention",
            backwards[0].line,
            f"Every new id is an e-mail address and no old one is ({plain(backwards[0].old, 40)} →"
            f" {plain(backwards[0].new, 40)}). Make sure that the columns are not swapped.",
        )


_CHECKS = (
    _twice("old_id", lambda row: row.old),
    _twice("new_id", lambda row: row.new),
    _chains,
    _delimiters,
    _invisible,
    _too_long,
    _no_person,
    _relative,
    _same_storage_key,
    _only_by_case,
    _prefixes,
    _alphabet,
    _short,
)
