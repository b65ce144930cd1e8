"""Files of items: gzip JSON lines `{"Item": …}`, as DynamoDB exports them and ImportTable takes them, and our manifest.

A backup is `NAME.json.gz` and, written last, `NAME.manifest.json`: without its manifest a data file counts for nothing.
No client in here.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from wizard import wire
from wizard.errors import BadInput
from wizard.wire import Item
from wizard.workspace import write_whole

FORMAT = 1  # of the manifest; raised when an older program could not read what a newer one wrote
DATA, MANIFEST = ".json.gz", ".manifest.json"
MOST_BLANK = 10_000  # blank lines of a file; exports have none
LONGEST_LINE = 8_000_000  # an item has 400 KB; escapes and base64 make at most six times that of it


@dataclass
class Tally:
    """Count and combined digest of items in any order: the sum of their SHA-256 digests, modulo 2**256."""

    rows: int = 0
    total: int = 0

    def add(self, item: Item) -> None:
        self.rows += 1
        self.total = (self.total + int(wire.digest(item), 16)) % 2**256

    @property
    def digest(self) -> str:
        return f"{self.total:064x}"


@dataclass(frozen=True)
class Manifest:
    """What a backup holds. `definition` is what `create_table` takes; times are ISO 8601, `verified` "" until it is."""

    account: str
    region: str
    table: str
    table_id: str
    key: list[str]
    definition: dict[str, Any]
    rows: int
    digest: str
    sha256: str
    file: str
    time: str
    program: str
    verified: str = ""
    format: int = FORMAT


class _Hashing:
    """Passes bytes on and hashes them on the way."""

    def __init__(self, file: IO[bytes]):
        self.file = file
        self.sha256 = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()


class Writer:
    """Takes items one by one; `tally` and `sha256` (of the compressed file, once it is closed) say what went in."""

    def __init__(self, file: IO[bytes]):
        self.tally = Tally()
        self._hashing = _Hashing(file)
        self._gzip = gzip.GzipFile(filename="", mode="wb", fileobj=self._hashing, mtime=0, compresslevel=6)

    def write(self, item: Item) -> None:
        self._gzip.write(wire.to_json_line(item).encode() + b"\n")
        self.tally.add(item)

    def close(self) -> None:
        self._gzip.close()

    @property
    def sha256(self) -> str:
        return self._hashing.sha256.hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A data file that appears complete or not at all, readable by its owner only."""
    with write_whole(path, "wb") as file:
        writer = Writer(file)
        yield writer
        writer.close()


def manifest_path(data: Path) -> Path:
    """Where the manifest of a data file stands."""
    return data.with_name(data.name.removesuffix(DATA) + MANIFEST)


def write_manifest(data: Path, manifest: Manifest) -> None:
    with write_whole(manifest_path(data)) as file:
        json.dump(asdict(manifest), file, indent=2)


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`. BadInput when it is no manifest of ours, or damaged, or of a newer program."""
    if path.exists() and not path.is_file():
        raise BadInput(f"{path} is no file; use another backup.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] > FORMAT:
            raise BadInput(f"{path} was written by {found['program']}; use that version or a newer one.")
        manifest = Manifest(**found)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadInput(f"{path} is not a manifest of amplify-migrate, or it is damaged; use another backup.") from error
    kept = (
        manifest.table, manifest.digest, manifest.sha256, manifest.file, manifest.account, manifest.time, manifest.verified,
    )  # fmt: skip
    if not all(isinstance(value, str) for value in kept) or not isinstance(manifest.rows, int):
        raise BadInput(f"{path} is not a manifest of amplify-migrate, or it is damaged; use another backup.")
    return manifest


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_items(path: Path) -> Iterator[Item]:
    """The items of a `.json.gz` or plain JSON-lines file. BadInput, naming the line, for what is damaged or foreign."""
    number = blank = 0
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if not line.endswith(b"\n") and len(line) == LONGEST_LINE:
                    raise BadInput(f"{path} line {number} is longer than any item; this is not a table export.")
                if line.strip():
                    yield wire.from_json_line(line)
                elif (blank := blank + 1) > MOST_BLANK:  # gzip packs a billion of them into a megabyte
                    raise BadInput(
                        f"{path} line {number}: more than {MOST_BLANK:,} lines are blank; this is no backup."
                    )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path} is damaged or cut off after line {number} ({error}); use another copy.") from error
    except ValueError as error:
        raise BadInput(f"{path} line {number} holds no DynamoDB item: {error}.") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


def check(data: Path, manifest: Manifest) -> Tally:
    """Read a backup as a whole against its manifest: bytes, number of rows, digests. BadInput for any difference."""
    try:
        unchanged = sha256_of(data) == manifest.sha256
    except OSError as error:
        raise BadInput(f"{data} cannot be read: {error.strerror}.") from error
    if not unchanged:
        raise BadInput(f"{data} was changed or damaged since it was written: its SHA-256 differs. Use another backup.")
    tally = Tally()
    for item in read_items(data):
        tally.add(item)
    if (tally.rows, tally.digest) != (manifest.rows, manifest.digest):
        raise BadInput(
            f"{data} is not what its manifest says ({tally.rows:,} rows read, {manifest.rows:,} recorded):"
            " the manifest was changed or damaged since; use another backup."
        )
    return tally
