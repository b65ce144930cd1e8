"""What an import can read: a backup of ours, DynamoDB's export, and the CSV of the old backup script. No client here.

`open_source` finds out which of them a path is. Each gives its rows as often as they are asked for, from the file.
"""

from __future__ import annotations

import ast
import base64
import csv
import functools
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wizard import backup_files, wire
from wizard.backup_files import MANIFEST
from wizard.errors import BadInput
from wizard.text import plain, plural
from wizard.wire import Item

# Attributes of user storage rows whose type the old script's CSV did not keep.
TEXT = {"PK", "SK", "UUID", "appId", "entityType", "itemId", "rangeKey"}
NUMBERS = {"createdAt", "updatedAt", "sharedAt"}
LISTING, SUMMARY = "manifest-files.json", "manifest-summary.json"  # of DynamoDB's export to S3
FORMAT, FULL = "DYNAMODB_JSON", "FULL_EXPORT"
STAMP = "_backup_timestamp"  # a column that the old script added


@dataclass(frozen=True)
class Source:
    """Saved items. `table` and `account` are where they come from, "" when the file does not say; `count` -1 likewise.

    `lost` says, after the rows were read, what this kind of file does not give back.
    """

    path: Path
    kind: str
    rows: Callable[[], Iterator[Item]]
    table: str = ""
    count: int = -1
    lost: Callable[[], list[str]] = field(default=list)
    account: str = ""

    def check_count(self, rows: int) -> None:
        """BadInput when the file's manifest says another number of rows."""
        if self.count not in (-1, rows):
            raise BadInput(
                f"{self.path} holds {plural(rows, 'row')} of {self.count:,} in its manifest; use another copy."
            )


def open_source(path: Path) -> Source:
    """What stands at `path`. BadInput when it is nothing that can be imported, or does not fit its manifest."""
    try:
        return _opened(path)
    except OSError as error:
        raise BadInput(f"{error.filename or path} cannot be read: {error.strerror}.") from error


def _opened(path: Path) -> Source:
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise BadInput(f"{path} {what}; give the backup's .json.gz file, an export's folder, or a CSV.")
    if path.stat().st_size == 0:
        raise BadInput(f"{path} is empty: no backup has no bytes. Use another copy of it.")
    if path.suffix.lower() == ".csv":
        return _csv(path)
    if path.name in (LISTING, SUMMARY):
        return _export(path.parent, path.with_name(LISTING))
    if path.name.endswith(MANIFEST):
        path = path.with_name(path.name.removesuffix(MANIFEST) + backup_files.DATA)
    if os.path.lexists(backup_files.manifest_path(path)):  # what stands there and cannot be read proves nothing
        manifest = backup_files.read_manifest(backup_files.manifest_path(path))
        backup_files.check(path, manifest)
        rows = functools.partial(backup_files.read_items, path)
        return Source(path, "backup", rows, manifest.table, manifest.rows, account=manifest.account)
    if (listing := path.parent.with_name(LISTING)).is_file():
        return _export(path, listing, only=path.name)
    return Source(path, "export", lambda: backup_files.read_items(path))


def _folder(folder: Path) -> Source:
    """A folder with one backup of ours, or one that DynamoDB's export wrote, or one above it."""
    any(folder.iterdir())  # a closed folder is said to be one: rglob passes over it
    if manifests := sorted(folder.rglob(f"*{MANIFEST}")):
        if len(manifests) > 1:
            raise BadInput(f"{folder} holds {len(manifests)} backups; give the .json.gz file of one.")
        return open_source(manifests[0])
    listings = sorted(folder.rglob(LISTING))
    if len(listings) > 1:
        raise BadInput(f"{folder} holds {len(listings)} exports; give the folder of one (below AWSDynamoDB).")
    if listings:
        return _export(folder, listings[0])
    files = sorted(path for path in folder.rglob(f"*{backup_files.DATA}") if path.is_file())
    if not files:
        raise BadInput(f"{folder} holds no *.json.gz file: it is no export in DynamoDB JSON.")
    return Source(folder, "export", lambda: _all_items(files))


def _export(path: Path, listing: Path, only: str = "") -> Source:
    """The data files of DynamoDB's export as its manifest lists them, or `only` one of them, each with its checksum."""
    files, count = [], 0
    try:
        arn = _exported_table(listing.with_name(SUMMARY))
        for line in listing.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            name = Path(entry["dataFileS3Key"]).name
            if only not in ("", name):
                continue
            places = (listing.parent / "data" / name, listing.with_name(name))
            file = next((place for place in places if place.is_file()), None)
            if file is None:
                raise BadInput(f"{places[0]} is missing; {listing} lists it. Download the export again.")
            if entry.get("md5Checksum") and _md5(file) != entry["md5Checksum"]:
                raise BadInput(f"{file} is damaged: its checksum is not that of the manifest. Download it again.")
            files.append(file)
            count += int(entry["itemCount"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise BadInput(f"{listing} is not the manifest of a DynamoDB export; download the export again.") from error
    if only and not files:
        raise BadInput(f"{path} is not among the files that {listing} lists; download the export again.")
    account, table = (arn.split(":")[4], arn.rpartition("/")[2]) if arn.count(":") >= 5 else ("", arn)
    return Source(path, "export", lambda: _all_items(files), table, count, account=account)


def _exported_table(summary: Path) -> str:
    """The table's ARN from `manifest-summary.json`, "" without that file. BadInput for what is no full DynamoDB JSON."""
    if not summary.is_file():
        return ""
    said = json.loads(summary.read_text(encoding="utf-8"))
    if said.get("outputFormat", FORMAT) != FORMAT or said.get("exportType", FULL) != FULL:
        kind = plain(f"{said.get('exportType', FULL)} in {said.get('outputFormat', FORMAT)}", 80)
        raise BadInput(f"{summary.parent} is {kind}; export the table as a whole ({FULL}) in {FORMAT}.")
    return str(said["tableArn"])


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return base64.b64encode(digest.digest()).decode("ascii")


def _all_items(files: list[Path]) -> Iterator[Item]:
    for file in files:
        yield from backup_files.read_items(file)


def _csv(path: Path) -> Source:
    """The CSV of the old backup script. What it lost is found while its rows are read."""
    guessed: Counter[str] = Counter()
    empty: Counter[str] = Counter()

    def rows() -> Iterator[Item]:
        guessed.clear()
        empty.clear()
        yield from _csv_rows(path, guessed, empty)

    def lost() -> list[str]:
        lines = [
            "The old script saved only those attributes that one of the first 10 rows had: others are not in the CSV."
        ]
        lines += [f"{name}: {plural(count, 'empty cell')}, attribute left out" for name, count in sorted(empty.items())]
        lines += [f"{name}: type guessed in {plural(count, 'row')}" for name, count in sorted(guessed.items())]
        return lines

    return Source(path, "csv", rows, lost=lost)


def _csv_rows(path: Path, guessed: Counter[str], empty: Counter[str]) -> Iterator[Item]:
    csv.field_size_limit(backup_files.LONGEST_LINE)
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if not {"PK", "SK"} <= set(header):
                raise BadInput(f"{path} has no columns PK and SK: it is no backup of user storage by the old script.")
            if len(set(header)) != len(header):
                raise BadInput(f"{path} has a column twice: it is no backup of user storage by the old script.")
            for cells in reader:
                number = reader.line_num
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise BadInput(
                        f"{path} line {number} has {len(cells)} cells of {len(header)}: the file is cut off."
                    )
                yield _csv_item(dict(zip(header, cells, strict=True)), guessed, empty)
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is damaged after line {number} ({error}); use another copy of it.") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


def _csv_item(cells: dict[str, str], guessed: Counter[str], empty: Counter[str]) -> Item:
    item: Item = {}
    for name, cell in cells.items():
        if name == STAMP:
            continue
        if cell == "":
            # NULL, an empty string and an absent attribute look alike in the CSV.
            empty[name] += 1
        elif name in TEXT:
            item[name] = {"S": cell}
        else:
            item[name], sure = typed_cell(cell)
            if not (sure or (name in NUMBERS and "N" in item[name])):
                guessed[name] += 1
    return item


def typed_cell(cell: str) -> tuple[dict[str, Any], bool]:
    """The value that a cell of the old CSV stood for, and whether that is certain.

    Maps and lists were written as JSON of their *typed* members, sets and binary as Python text of the typed value;
    strings, numbers and booleans look alike: what reads as a number or boolean is taken for one.
    """
    if cell[0] in "{[":
        try:
            content = json.loads(cell)
            kind = "M" if isinstance(content, dict) else "L"
            # Through the reader of JSON lines, which knows the types and refuses whatever has none.
            return wire.from_json_line(json.dumps({"Item": {"value": {kind: content}}}))["value"], True
        except (ValueError, RecursionError):
            return _python_cell(cell)
    if cell in ("True", "False"):
        return {"BOOL": cell == "True"}, False
    try:
        wire.number(cell)
    except ValueError:
        return {"S": cell}, False
    return {"N": cell}, False


def _python_cell(cell: str) -> tuple[dict[str, Any], bool]:
    try:
        value = wire.from_json_line(wire.to_json_line({"value": ast.literal_eval(cell)}))["value"]
    except (ValueError, SyntaxError, TypeError, AttributeError, RecursionError, MemoryError):
        return {"S": cell}, False
    return value, True
