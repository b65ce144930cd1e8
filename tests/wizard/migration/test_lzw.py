"""The codes are those of the services, in both directions."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.migration.lzw import compress, is_compressed, safe_compress, safe_uncompress, uncompress

# Worked out by hand from the description of the format.
VECTORS = [
    ("", []),
    ("a", [97]),
    ("aaaa", [97, 256, 97]),
    ("aaaaaa", [97, 256, 257]),
    ("ababab", [97, 98, 256, 256]),
    ("abababa", [97, 98, 256, 258]),
    ("TOBEORNOTTOBEORTOBEORNOT", [84, 79, 66, 69, 79, 82, 78, 79, 84, 256, 258, 260, 265, 259, 261, 263]),
    ("é\xff\x00", [233, 255, 0]),
    ("Ā", [85, 43, 48, 49, 48, 48]),
    ("€", [85, 43, 50, 48, 97, 99]),
    ("😀", [85, 43, 100, 56, 51, 100, 256, 100, 101, 48, 48]),
]


@pytest.mark.parametrize(("text", "codes"), VECTORS)
def test_vectors(text: str, codes: list[int]) -> None:
    assert compress(text) == codes
    assert uncompress(codes) == text


def test_escapes_are_read_in_either_case_and_literal_ones_are_altered() -> None:
    assert uncompress([ord(character) for character in "U+20AC u+20ac U+20a"]) == "€ u+20ac U+20a"
    assert uncompress(compress("U+20ac")) == "€"
    # What Python services write for an astral character: four digits are read, one is left over.
    assert uncompress([ord(character) for character in "U+1f600"]) == "\u1f600"


@given(st.text().filter(lambda text: "U+" not in text))
def test_any_text_comes_back(text: str) -> None:
    assert uncompress(compress(text)) == text


def by_the_book(text: str) -> list[int]:
    """The same, written as the description reads: a dictionary of strings, the longest known one each time."""
    units = text.encode("utf-16-be", "surrogatepass")
    pairs = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    plain = "".join(chr(code) if code <= 255 else f"U+{code:04x}" for code in pairs)
    known = {chr(code): code for code in range(256)}
    codes, at = [], 0
    while at < len(plain):
        end = at + 1
        while end < len(plain) and plain[at : end + 1] in known:
            end += 1
        codes.append(known[plain[at:end]])
        known[plain[at : end + 1]] = len(known)
        at = end
    return codes


@given(st.text() | st.text(alphabet="abé€😀U+12", max_size=300))
def test_codes_are_those_of_the_description(text: str) -> None:
    assert compress(text) == by_the_book(text)


@given(st.text(alphabet="ab", max_size=400))
def test_repetitive_text_comes_back_and_every_code_is_known_when_it_is_used(text: str) -> None:
    codes = compress(text)
    assert all(code < 256 + place for place, code in enumerate(codes, 1))
    assert uncompress(codes) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values.filter(lambda value: not isinstance(value, str) and "U+" not in json.dumps(value)))
def test_a_value_comes_back_whether_it_was_worth_compressing_or_not(value: Any) -> None:
    stored = safe_compress(value)
    if stored is not value:
        assert is_compressed(stored)
        assert len(stored) < 0.8 * len(json.dumps(value))
        assert safe_uncompress(stored) == value


def test_short_values_stay_as_they_are() -> None:
    assert safe_compress("abc") == "abc"
    assert safe_compress({"a": 1}) == {"a": 1}
    assert safe_compress("") == ""


def test_numbers_that_json_cannot_hold_to_the_digit_are_not_compressed() -> None:
    exact = {"n": [Decimal("0.5")] * 20}
    assert safe_uncompress(safe_compress(exact)) == exact
    value = {"n": [Decimal("0.12345678901234567890123")] * 20}
    assert safe_compress(value) is value
    assert safe_compress({"x": {1, 2}}) == {"x": {1, 2}}


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ([97], True),
        ((97, 256), True),
        ([], False),
        ("abc", False),
        ([True], False),
        ([97.0], False),
        ([Decimal(97)], False),
        ([256], False),
        ([-1], False),
        ([97, 356], True),
        ([97, 357], False),
        ({"0": 97}, False),
    ],
)
def test_recogniser(value: Any, verdict: bool) -> None:
    assert is_compressed(value) is verdict


@pytest.mark.parametrize("codes", [[256], [97, 300], [97, -1]])
def test_impossible_codes_are_refused(codes: list[int]) -> None:
    with pytest.raises(ValueError, match="code"):
        uncompress(codes)
    assert safe_uncompress(codes) == codes
