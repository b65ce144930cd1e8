"""Wire form: one canonical spelling, lossless lines, AWS's size rules, conditions that a server accepts."""

from __future__ import annotations

import decimal
import json
from typing import Any

import botocore.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.conftest import Aws
from wizard import wire

EVERY_TYPE: wire.Item = {
    "id": {"S": "doej1"},
    "empty": {"S": ""},
    "n": {"N": "12345678901234567890123456789012345678"},
    "b": {"B": b"\x00\xff\n"},
    "eb": {"B": b""},
    "ss": {"SS": ["b", "a", "é"]},
    "ns": {"NS": ["1", "2.5", "-3"]},
    "bs": {"BS": [b"\x01", b"\x00\x02"]},
    "l": {"L": [{"S": ""}, {"N": "1"}, {"L": []}, {"M": {}}, {"NULL": True}]},
    "m": {"M": {"off": {"BOOL": False}, "k": {"B": b"x"}}},
    "null": {"NULL": True},
    "bool": {"BOOL": True},
}

digits = some.decimals(allow_nan=False, allow_infinity=False, places=6).map(str)
scalars = some.one_of(
    some.text().map(lambda text: {"S": text}),
    digits.map(lambda text: {"N": text}),
    some.binary().map(lambda content: {"B": content}),
    some.booleans().map(lambda value: {"BOOL": value}),
    some.just({"NULL": True}),
    some.lists(some.text(), min_size=1, unique=True).map(lambda members: {"SS": members}),
    some.lists(some.integers().map(str), min_size=1, unique=True).map(lambda members: {"NS": members}),
    some.lists(some.binary(), min_size=1, unique=True).map(lambda members: {"BS": members}),
)
values = some.recursive(
    scalars,
    lambda inner: some.one_of(
        some.lists(inner, max_size=4).map(lambda members: {"L": members}),
        some.dictionaries(some.text(max_size=5), inner, max_size=4).map(lambda members: {"M": members}),
    ),
    max_leaves=10,
)
items = some.dictionaries(some.text(min_size=1, max_size=8), values, max_size=6)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [("1.10", "1.1"), ("1E+2", "100"), ("100", "100"), ("-0", "0"), ("0.00", "0"), ("-1.50", "-1.5"), ("007", "7"),
     ("1e-3", "0.001"), ("12345678901234567890123456789012345678.0", "12345678901234567890123456789012345678")],
)  # fmt: skip
def test_numbers_have_one_spelling(given_text: str, expected: str) -> None:
    assert wire.number(given_text) == expected


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "1E+999999", "one", "1_0x"])
def test_what_dynamodb_does_not_hold_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        wire.number(text)


@given(digits)
def test_a_normalised_number_keeps_its_value(text: str) -> None:
    assert decimal.Decimal(wire.number(text)) == decimal.Decimal(text)
    assert wire.number(wire.number(text)) == wire.number(text)


@given(items)
def test_a_line_gives_the_item_back(item: wire.Item) -> None:
    line = wire.to_json_line(item)
    assert "\n" not in line
    assert wire.from_json_line(line) == item
    assert wire.from_json_line(line.encode("utf-8", "surrogatepass")) == item


def test_equal_items_have_equal_digests() -> None:
    one = {"n": {"N": "1.10"}, "s": {"SS": ["b", "a"]}, "m": {"M": {"x": {"NS": ["1E+2", "2"]}, "y": {"S": ""}}}}
    other = {"m": {"M": {"y": {"S": ""}, "x": {"NS": ["2.0", "100"]}}}, "s": {"SS": ["a", "b"]}, "n": {"N": "1.1"}}
    assert wire.digest(one) == wire.digest(other)
    assert wire.same(one, other)


@pytest.mark.parametrize("changed", [{"S": "1"}, {"N": "2"}, {"B": b"1"}, {"L": [{"N": "1"}]}, {"NS": ["1"]}])
def test_another_type_or_value_is_another_digest(changed: dict[str, Any]) -> None:
    assert not wire.same({"a": {"N": "1"}}, {"a": changed})


def test_the_order_of_a_list_counts() -> None:
    assert not wire.same({"a": {"L": [{"S": "1"}, {"S": "2"}]}}, {"a": {"L": [{"S": "2"}, {"S": "1"}]}})


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"id": {"S": "abc"}}, 5),
        ({"é": {"S": "é"}}, 4),
        ({"n": {"N": "0"}}, 2),
        ({"n": {"N": "27"}}, 3),
        ({"n": {"N": "-27"}}, 4),
        ({"n": {"N": "1000"}}, 3),
        ({"b": {"B": b"1234"}}, 5),
        ({"x": {"NULL": True}}, 2),
        ({"l": {"L": []}}, 4),
        ({"l": {"L": [{"S": "ab"}]}}, 7),
        ({"m": {"M": {"k": {"BOOL": True}}}}, 7),
        ({"s": {"SS": ["ab", "c"]}}, 4),
    ],
)
def test_sizes_follow_the_published_rules(item: wire.Item, size: int) -> None:
    assert wire.item_size(item) == size


@pytest.mark.parametrize(
    "line",
    ['{"Item": 1}', "[]", '{"item": {}}', '{"Item": {"a": "x"}}', '{"Item": {"a": {"S": "x", "N": "1"}}}',
     '{"Item": {"a": {"S": 1}}}', '{"Item": {"a": {"N": "x"}}}', '{"Item": {"a": {"B": "?"}}}', "{", "",
     '{"Item": {"a": {"NULL": false}}}', '{"Item": {"a": {"SS": [1]}}}', '{"Item": {"a": {"NS": [1.5, null]}}}',
     '{"Item": {"a": ' + '{"L": [' * 100_000],
)  # fmt: skip
def test_a_line_without_an_item_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        wire.from_json_line(line)


def test_keys_are_read_out_and_shown() -> None:
    item = {"PK": {"S": "doej1#x\x1b[31m"}, "SK": {"N": "1"}, "data": {"S": "…"}}
    key = wire.key_of(item, ["PK", "SK"])
    assert key == {"PK": {"S": "doej1#x\x1b[31m"}, "SK": {"N": "1"}}
    assert wire.key_text(key) == "PK=doej1#x\\x1b[31m, SK=1"
    assert wire.key_text({"k": {"B": b"ab"}}) == "k=YWI="
    with pytest.raises(KeyError):
        wire.key_of({}, ["PK"])


@pytest.fixture
def table(aws: Aws) -> Any:
    client = aws.client("dynamodb")
    client.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def test_the_condition_holds_while_nothing_changed_and_fails_after(table: Any) -> None:
    table.put_item(TableName="t", Item=EVERY_TYPE)
    stored = table.get_item(TableName="t", Key={"id": {"S": "doej1"}})["Item"]
    assert wire.same(stored, EVERY_TYPE)
    # Comparing whole sets is what AWS does and moto cannot (it compares their members in order of arrival).
    names = ["id", "empty", "n", "null", "bool", "m", "absent"]
    table.put_item(TableName="t", Item=stored, **wire.unchanged_condition(stored, names))
    table.put_item(TableName="t", Item={**stored, "absent": {"S": "now here"}})
    with pytest.raises(botocore.exceptions.ClientError, match="ConditionalCheckFailed"):
        table.put_item(TableName="t", Item=stored, **wire.unchanged_condition(stored, names))


def test_a_condition_over_absence_only_has_no_values(table: Any) -> None:
    table.put_item(TableName="t", Item={"id": {"S": "new"}}, **wire.unchanged_condition({}, ["id"]))


def test_a_condition_stays_within_the_limits_of_an_expression() -> None:
    item = {f"attribute-{index}": {"S": "x"} for index in range(500)}
    condition = wire.unchanged_condition(item, item)
    assert len(condition["ExpressionAttributeNames"]) == wire.CONDITION_ATTRIBUTES
    assert len(json.dumps(condition["ConditionExpression"])) < 4_096
