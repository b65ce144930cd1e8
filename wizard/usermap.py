"""The user map: the CSV `old_id,new_id` (migration guide, "CSV File Setup"), read line by line and written whole."""

from __future__ import annotations

import csv
import datetime
import hashlib
import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Literal

from wizard.errors import BadInput
from wizard.text import plain, plural
from wizard.workspace import write_whole

HEADER = ("old_id", "new_id")
MAX_BYTES = 256 * 2**20
MAX_ROWS = 1_000_000
MAX_LINE = 10_000  # characters; two ids at DynamoDB's limit of 2,048 bytes each are far below
LISTED = 100  # complaints of one kind that are listed one by one

Level = Literal["error", "attention", "note"]


@dataclass(frozen=True)
class MapRow:
    """One user: the id that the data holds now and the id that it shall hold; `line` counts from 1, the header's."""

    line: int
    old: str
    new: str


@dataclass(frozen=True)
class UserMap:
    """The rows of a user map in the order of the file."""

    rows: tuple[MapRow, ...]

    @cached_property
    def ids(self) -> Mapping[str, str]:
        """Old id -> new id, rows that change nothing included."""
        return {row.old: row.new for row in self.rows}

    @cached_property
    def changed(self) -> Mapping[str, str]:
        """Old id -> new id of the rows whose id changes."""
        return {row.old: row.new for row in self.rows if row.old != row.new}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the sorted rows: the same for any order, spacing and line ends of the file."""
        state = hashlib.sha256()
        for pair in sorted((row.old, row.new) for row in self.rows):
            state.update(json.dumps(pair).encode("ascii") + b"\n")
        return state.hexdigest()

    @cached_property
    def scenario(self) -> Literal["a", "b"]:
        """`a`: ids change; `b`: no row changes an id and only storage is consolidated."""
        return "a" if self.changed else "b"


@dataclass(frozen=True)
class Complaint:
    """Something about a user map. `line` 0 means the whole file; `text` says what, why, and how to mend it."""

    level: Level
    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


def shown(text: str) -> str:
    """An id or a line as part of a complaint."""
    return f"'{plain(text, 80)}'"


def listed(complaints: Iterable[Complaint], limit: int = LISTED) -> Iterator[Complaint]:
    """The first `limit` complaints of one kind, then one that counts the others: memory stays flat for any file."""
    more: Complaint | None = None
    count = 0
    for count, complaint in enumerate(complaints, 1):
        if count <= limit:
            yield complaint
        else:
            more = more or complaint
    if more:
        yield Complaint(more.level, more.line, f"{more.text} (and {plural(count - limit - 1, 'more line')} like this)")


# --- reading ----------------------------------------------------------------------------------------------------------

_SEPARATOR = re.compile(r"[,;\t|]")
_AROUND = " \t\xa0\ufeff\u200b"  # what spreadsheets and copying leave around an id
_CELL = re.compile(r'[ \t\xa0]*+(?:"((?:[^"]|"")*+)"[ \t\xa0]*+|([^",]*+))(,|$)')


class _Reading:
    """One pass over a file: rows on one side, what was noticed on the other."""

    def __init__(self) -> None:
        self.complaints: list[Complaint] = []
        self._errors: Counter[str] = Counter()
        self._cleaned: dict[str, tuple[int, int]] = {}  # what was cleaned -> first line, number of lines

    def wrong(self, line: int, text: str, kind: str = "") -> None:
        self._errors[kind] += 1
        if self._errors[kind] <= LISTED:
            self.complaints.append(Complaint("error", line, text))

    def cleaned(self, what: str, line: int) -> None:
        first, count = self._cleaned.get(what, (line, 0))
        self._cleaned[what] = first, count + 1

    def end(self) -> list[Complaint]:
        """All complaints, the uncounted ones summed up."""
        for kind, count in self._errors.items():
            if count > LISTED:
                self.complaints.append(
                    Complaint("error", 0, f"{plural(count - LISTED, 'more line')} with this mistake: {kind}.")
                )
        for what, (line, count) in self._cleaned.items():
            others = f" ({plural(count, 'line')} in all)" if count > 1 else ""
            self.complaints.append(Complaint("note", line, f"{what}{others}."))
        return self.complaints


def read_map(path: Path) -> tuple[UserMap, list[Complaint]]:
    """Read a CSV as a stream, forgiving what spreadsheets do to it: BOM, CRLF, blank lines, spaces and quotes.

    Rows that cannot be understood are errors among the complaints and not among the rows.
    Raises BadInput when the file cannot be read at all or is larger than any user map.
    """
    reading = _Reading()
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
            raise BadInput(f"The user map {path} is no file; save it as one.")
        with path.open("rb") as raw:
            if (size := path.stat().st_size) > MAX_BYTES:
                raise BadInput(f"{path} has {size:,} bytes, the limit is {MAX_BYTES:,}: this is not a user map.")
            start = raw.peek(4)[:4]
            if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0\0" in (start[::2], start[1::2]):
                raise BadInput(f"{path} is UTF-16 text; save it as UTF-8 (in Excel: CSV UTF-8) and check it again.")
            if start.startswith(b"\xef\xbb\xbf"):
                raw.read(3)
                reading.cleaned("The byte order mark before the header was skipped", 1)
            # Bytes that are not UTF-8 become surrogates, so that the line they stand on can be named.
            text = TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline=None)
            rows = tuple(_rows(text, path, reading))
            ends = text.newlines
            if ends is not None and ends != "\n":
                reading.cleaned("Lines end in CRLF or CR, not in a line feed (LF); read all the same", 1)
    except OSError as error:
        raise BadInput(f"The user map {path} cannot be read: {error.strerror}.") from error
    if not rows and not any(complaint.level == "error" for complaint in reading.complaints):
        reading.wrong(0, "The file has no row with two ids below the header; add one row per user.")
    return UserMap(rows), reading.end()


def _rows(text: IO[str], path: Path, reading: _Reading) -> Iterator[MapRow]:
    header_seen = False
    count = number = 0
    while line := text.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            reading.wrong(number, f"The line is longer than {MAX_LINE:,} characters; reading stopped here.")
            return
        if not line.strip(_AROUND + ",\n"):  # spreadsheets write a blank row as commas
            reading.cleaned("A blank line was skipped", number)
            continue
        cells = _cells(line.rstrip("\n"), number, reading)
        if len(cells) > 2 and not any(cells[2:]):
            cells = cells[:2]
            reading.cleaned("Empty columns behind the second were left away", number)
        if not header_seen:
            header_seen = True
            if fault := _header_fault(cells, line):
                reading.wrong(number, fault)
            if len(cells) == 1:  # another separator: every line below would be wrong for the same reason
                return
        elif row_fault := _row_fault(cells, line):
            reason, fix = row_fault
            # What stands behind the two columns is nobody's id, and may be a secret.
            found = shown(",".join([*cells[:2], "…"])) if len(cells) > 2 else _quoted(line)
            reading.wrong(number, f"{reason} in {found}. {fix}", reason)
        elif (count := count + 1) > MAX_ROWS:
            raise BadInput(f"{path} has more than {MAX_ROWS:,} rows: this is not a user map.")
        else:
            yield MapRow(number, cells[0], cells[1])
    if not header_seen:
        reading.wrong(0, "The file is empty; its first line must be old_id,new_id, followed by one row per user.")


def _cells(line: str, number: int, reading: _Reading) -> list[str]:
    """The cells of one line without surrounding spaces and quotes; [] where quotes do not pair up."""
    if '"' not in line:
        raw = line.split(",")
    else:
        raw, at = [], 0
        while True:
            match = _CELL.match(line, at)
            if match is None:
                return []
            quoted, bare, separator = match.groups()
            raw.append(bare if quoted is None else quoted.replace('""', '"'))
            at = match.end()
            if not separator:
                break
        reading.cleaned("Quotes around ids were removed", number)
    cells = [cell.strip(_AROUND) for cell in raw]
    if cells != raw:
        reading.cleaned("Spaces around ids were removed", number)
    return cells


def _header_fault(cells: list[str], line: str) -> str:
    """Why the first line that is not blank is no header; "" when it is."""
    if tuple(cells) == HEADER:
        return ""
    found = f"The first line must be the header old_id,new_id; found {_quoted(line)}"
    if tuple(cells) == HEADER[::-1]:
        return f"{found}: the columns are swapped. Put the old id first, in the header and in every row."
    if len(cells) == 1 and any(mark in cells[0] for mark in ";\t|"):
        return f"{found}: the columns are not separated by commas. Save the file with commas."
    if len(cells) > 2 and set(HEADER) <= set(cells):
        return f"{found}: it has {len(cells)} columns. Keep only these two."
    return f"{found}. Write the header as the first line, in lower case."


def _quoted(line: str) -> str:
    """A line as part of a complaint, up to its second separator: further columns are none of ours."""
    line = line.strip()
    ends = [match.end() for match in itertools.islice(_SEPARATOR.finditer(line), 2)]
    return shown(f"{line[: ends[1]]}…" if len(ends) > 1 else line)


def _row_fault(cells: list[str], line: str) -> tuple[str, str] | None:
    """Why a line is no row, and how to mend it; None when it is one."""
    if any("\udc80" <= char <= "\udcff" for char in line):
        return "The line is not UTF-8", "Save the file as UTF-8 (in Excel: CSV UTF-8)."
    if not cells:
        return "Quotes do not pair up", "Write each id without quotes, or in one pair around all of it."
    if len(cells) != 2:
        return f"{plural(len(cells), 'column')} instead of 2", "Write old_id,new_id and nothing else."
    if not any(cells):
        return "Both cells are empty", "Fill them in or remove the line."
    if not all(cells):
        name = "new_id" if cells[0] else "old_id"
        return f"{name} is empty", "Fill it in, or remove the line if the user is not to be migrated."
    return None


# --- writing ----------------------------------------------------------------------------------------------------------


def write_map(path: Path, pairs: Iterable[tuple[str, str]], now: datetime.datetime) -> Path | None:
    """Write a map (mode 0600) that appears whole or not at all; an existing file is kept under the name returned.

    The name is `{path}.backup.{YYYYmmdd_HHMMSS}`, as the guide's scripts have it, with a number where that is taken.
    Raises BadInput when the folder cannot be written.
    """
    kept: Path | None = None
    try:
        if path.exists():
            stem = f"{path.name}.backup.{now:%Y%m%d_%H%M%S}"
            names = (path.with_name(f"{stem}.{number}" if number > 1 else stem) for number in itertools.count(1))
            kept = next(name for name in names if not name.exists())
            shutil.copy2(path, kept)
            kept.chmod(0o600)
        with write_whole(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            writer.writerows(pairs)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}. Mend that, or write elsewhere.") from error
    return kept
