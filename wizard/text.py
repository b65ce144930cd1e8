"""Foreign text made harmless: what comes from AWS, a CSV or a file is shown, never interpreted by a terminal."""

from __future__ import annotations

import unicodedata


def plain(text: object, limit: int = 0) -> str:
    """`text` with control, format (bidirectional marks) and surrogate characters as visible `\\x1b` escapes.

    `limit` > 0 cuts to that many characters and ends the cut text in `…`.
    """
    shown = str(text)
    if not shown.isprintable():  # true of nearly every log line, and much faster than looking at each character
        shown = "".join(
            char.encode("unicode_escape").decode("ascii") if unicodedata.category(char)[0] == "C" else char
            for char in shown
        )
    return shown if limit <= 0 or len(shown) <= limit else shown[: limit - 1] + "…"


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 row`, `2 rows`, `1,200 rows`; `many` for nouns that do not simply take an s."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def sentences(text: str, todo: str) -> str:
    """What was found and what to do about it, as sentences of one line."""
    stop = "" if text.endswith((".", "!", "?", ":")) else "."
    return f"{text}{stop} {todo}" if todo else text
