"""What a change is made of comes back from its columns as it went in."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wizard.migration.entry import decode_edits, decode_key, encode_edits, encode_key
from wizard.migration.rewrite import Edit


def s(value: str) -> dict[str, str]:
    return {"S": value}


TEXT = st.text(max_size=8)
VALUES = st.recursive(
    st.one_of(
        TEXT.map(s), st.integers().map(lambda number: {"N": str(number)}), st.booleans().map(lambda value: {"BOOL": value}),
        st.binary(max_size=5).map(lambda value: {"B": value}), st.just({"NULL": True}),
        st.lists(st.binary(max_size=3), min_size=1, max_size=2).map(lambda value: {"BS": value}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda value: {"L": value}),
        st.dictionaries(TEXT, inner, max_size=2).map(lambda value: {"M": value}),
    ),
    max_leaves=4,
)  # fmt: skip
PATHS = st.lists(st.one_of(TEXT, st.integers(0, 5)), min_size=1, max_size=3).map(tuple)
TARGETS = st.one_of(
    st.none(), TEXT.map(lambda key: ("object", "B", f"k{key}")), TEXT.map(lambda key: ("item", "T", {"PK": s(key)}))
)


@given(
    st.lists(st.builds(Edit, PATHS, st.one_of(st.none(), VALUES), st.one_of(st.none(), VALUES), TARGETS), max_size=3)
)
def test_edits_come_back_as_they_were(edits: list[Edit]) -> None:
    assert decode_edits(encode_edits(edits)) == tuple(edits)


@given(st.one_of(TEXT, st.dictionaries(TEXT, VALUES, min_size=1, max_size=2)))
def test_keys_come_back_as_they_were(key: Any) -> None:
    assert decode_key(encode_key(key)) == key


def test_a_key_is_the_same_text_in_any_order() -> None:
    assert encode_key({"a": s("1"), "b": s("2")}) == encode_key({"b": s("2"), "a": s("1")})
