"""The compression of conversations, artifacts and task logs: text to a list of integers and back. Pure.

Classic LZW: codes 0..255 are the single characters, the dictionary grows without limit and is never reset. A character
above 255 becomes the text `U+` and four lower-case hex digits of each of its UTF-16 units, as the browser writes it;
so text that holds `U+12ab` literally does not come back, and a value is compressed as ASCII JSON wherever it can be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

_WIDE = re.compile(r"[^\x00-\xff]+")
_ESCAPED = re.compile(r"U\+([0-9a-fA-F]{4})")
_WORTH = 0.8  # codes per character; above it the services keep the value as it is


def compress(text: str) -> list[int]:
    """The codes of a text; [] for an empty one."""
    data = _WIDE.sub(_escape, text).encode("latin-1")
    if not data:
        return []
    # A known string is the code of its prefix and its last character: one integer, so that no string is ever built.
    known: dict[int, int] = {}
    codes: list[int] = []
    prefix = data[0]
    for character in data[1:]:
        pair = prefix << 8 | character
        code = known.get(pair)
        if code is None:
            codes.append(prefix)
            known[pair] = 256 + len(known)
            prefix = character
        else:
            prefix = code
    codes.append(prefix)
    return codes


def uncompress(codes: Sequence[int]) -> str:
    """The text of a list of codes. ValueError for a code that cannot occur where it stands."""
    if not codes:
        return ""
    strings = [bytes([code]) for code in range(256)]
    if not 0 <= codes[0] < 256:
        raise ValueError(f"{codes[0]} is no first code")
    previous = strings[codes[0]]
    parts = [previous]
    for code in codes[1:]:
        if 0 <= code < len(strings):
            entry = strings[code]
        elif code == len(strings):
            entry = previous + previous[:1]
        else:
            raise ValueError(f"code {code} is not in the dictionary yet")
        parts.append(entry)
        strings.append(previous + entry[:1])
        previous = entry
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), b"".join(parts).decode("latin-1"))
    # Two units of one character become that character.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def is_compressed(value: Any) -> bool:
    """Whether a value is a list of codes, as the services recognise one; Decimals must have been made int before."""
    if not isinstance(value, list | tuple) or not value:
        return False
    limit = 256 + 50 * len(value)
    return all(type(code) is int and 0 <= code <= limit for code in value) and value[0] <= 255


def safe_compress(value: Any) -> Any:
    """The codes of a text, or of the JSON of anything else; `value` itself where that is not clearly shorter."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=_number)
        codes = compress(text)
    except (TypeError, ValueError, RecursionError):
        return value
    return codes if len(codes) < _WORTH * len(text) else value


def safe_uncompress(value: Any) -> Any:
    """What a list of codes stands for: a JSON value, else its text; anything else comes back as it is."""
    if not is_compressed(value):
        return value
    try:
        text = uncompress(value)
    except ValueError:
        return value
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return text


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"U+{units[at : at + 4]}" for at in range(0, len(units), 4))


def _number(value: Any) -> Any:
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        return float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form that keeps every digit")
