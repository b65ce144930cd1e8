"""Whether an error came out of a damaged ledger rather than out of the work."""

from __future__ import annotations

import sqlite3
import traceback
from pathlib import Path

_READERS = {Path(__file__).with_name(name) for name in ("ledger.py", "entry.py")}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# What sqlite3 says of a sound file that lacks something, or whose values are no text, or no JSON.
_UNREADABLE = ("no such table", "no such column", "Could not decode", "malformed JSON")


def is_damage(error: BaseException | None) -> bool:
    """Whether the file is corrupt, or what is recorded in it cannot be what was written."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
        return True
    if isinstance(error, sqlite3.OperationalError):
        return str(error).startswith(_UNREADABLE)
    if isinstance(error, UnicodeEncodeError):  # what was to be recorded or looked for, not what is
        return False
    if not isinstance(error, ValueError | TypeError | LookupError | AttributeError):
        return False
    frames = (Path(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(error.__traceback__))
    engine = [path for path in frames if path.parent == Path(__file__).parent]
    return bool(engine) and engine[-1] in _READERS  # below it are only parsers
