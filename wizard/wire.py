"""DynamoDB items in wire form, as a boto3 client takes and gives them: `{"id": {"S": "doej1"}, "n": {"N": "1"}}`.

Binary values (`B`, members of `BS`) are `bytes`. Nothing is parsed into Python numbers: digits stay as they are. Pure.
"""

from __future__ import annotations

import base64
import binascii
import decimal
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from wizard.text import plain

Item = dict[str, Any]

LARGEST_ITEM = 400 * 1024  # bytes; DynamoDB's limit, names included
CONDITION_ATTRIBUTES = 80  # an expression may be 4 KB and hold 300 operators; what we compare stays well below both
_DIGITS = decimal.Context(prec=200, Emax=999_999, Emin=-999_999)
_MAGNITUDE = 130  # DynamoDB: 38 digits, 1E-130 to 9.99E+125


def number(text: str) -> str:
    """A number as DynamoDB gives it back: `1.10` is `1.1`, `1E+2` is `100`, `-0` is `0`. ValueError when it is none."""
    if isinstance(text, str) and len(text) <= 38 and text.isascii() and text.isdigit() and text[0] != "0":
        return text  # as nearly all are; Decimal takes its time
    try:
        value = _DIGITS.create_decimal(text)
    except (decimal.InvalidOperation, TypeError) as error:
        raise ValueError(f"{plain(text, 40)!r} is not a number") from error
    if not value.is_finite() or (value and abs(value.adjusted()) > _MAGNITUDE):
        raise ValueError(f"{plain(text, 40)!r} is not a number that DynamoDB holds")
    return format(_DIGITS.normalize(value), "f") if value else "0"


def canonical(item: Item) -> bytes:
    """One spelling for all items that DynamoDB holds to be equal: attributes and sets in order, numbers normalised."""
    ordered = {name: _canonical(value) for name, value in item.items()}
    return json.dumps(ordered, sort_keys=True, separators=(",", ":")).encode("ascii")


def _canonical(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "S" | "BOOL" | "NULL":
            return value
        case "N":
            return {"N": number(content)}
        case "M":
            return {"M": {name: _canonical(member) for name, member in content.items()}}
        case "L":
            return {"L": [_canonical(member) for member in content]}
        case "B":
            return {"B": base64_text(content)}
        case "SS":
            return {"SS": sorted(content)}
        case "NS":
            return {"NS": sorted(number(member) for member in content)}
        case "BS":
            return {"BS": sorted(base64_text(member) for member in content)}
    raise ValueError(f"{plain(kind, 40)!r} is not a DynamoDB type")


def digest(item: Item) -> str:
    """SHA-256 over the canonical form, in hex."""
    return hashlib.sha256(canonical(item)).hexdigest()


def same(one: Item, other: Item) -> bool:
    """Whether DynamoDB would hold both items to be equal."""
    return one == other or canonical(one) == canonical(other)


def item_size(item: Item) -> int:
    """Bytes by the rules that AWS publishes ("DynamoDB item sizes and formats"), at most `LARGEST_ITEM`."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _number_size(content)
        case "B":
            return len(content)
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return sum(len(member.encode()) for member in content)
        case "NS":
            return sum(_number_size(member) for member in content)
        case "BS":
            return sum(len(member) for member in content)
        case "L":
            return 3 + sum(1 + _size(member) for member in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _size(member) for name, member in content.items())
    raise ValueError(f"{plain(kind, 40)!r} is not a DynamoDB type")


def _number_size(text: str) -> int:
    # One byte per two significant digits and one more; the sign takes a byte too.
    digits = number(text).lstrip("-").replace(".", "").strip("0")
    return 1 + (len(digits) + 1) // 2 + text.startswith("-")


def to_json_line(item: Item) -> str:
    """`{"Item":{…}}` as DynamoDB exports it (DYNAMODB_JSON), binary in base64, without the line break."""
    return json.dumps({"Item": item}, default=base64_text, separators=(",", ":"), ensure_ascii=False)


def from_json_line(line: str | bytes) -> Item:
    """The item of a DYNAMODB_JSON line. ValueError, saying what is wrong, when it holds none."""
    try:
        document = json.loads(line)
        item = document["Item"]
        return {name: value_from_json(value) for name, value in item.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError('it is not of the form {"Item": {…}}') from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def value_from_json(value: Any) -> dict[str, Any]:
    """A value as JSON has it, checked, with its binary content decoded. ValueError when it is none."""
    match value:
        case {"S": str()} | {"BOOL": bool()} | {"NULL": True} if len(value) == 1:
            return dict(value)
        case {"N": str(digits)} if len(value) == 1:
            number(digits)
            return {"N": digits}
        case {"B": str(content)} if len(value) == 1:
            return {"B": _bytes(content)}
        case {"M": dict(members)} if len(value) == 1:
            return {"M": {name: value_from_json(member) for name, member in members.items()}}
        case {"L": list(members)} if len(value) == 1:
            return {"L": [value_from_json(member) for member in members]}
        case {"SS": list(members)} if len(value) == 1 and all(isinstance(member, str) for member in members):
            return {"SS": members}
        case {"NS": list(members)} if len(value) == 1:
            for member in members:
                number(member)
            return {"NS": members}
        case {"BS": list(members)} if len(value) == 1:
            return {"BS": [_bytes(member) for member in members]}
    raise ValueError("a value has no DynamoDB type")


def base64_text(content: bytes) -> str:
    """What JSON holds for binary content; for `json.dumps(…, default=base64_text)`."""
    return base64.b64encode(content).decode("ascii")


def _bytes(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError("a binary value is not base64") from error


def key_of(item: Item, key_names: Iterable[str]) -> Item:
    """The primary key of an item. KeyError when an attribute of it is missing."""
    return {name: item[name] for name in key_names}


def outline(value: Mapping[str, Any]) -> str:
    """A value without its content: kind and length, `(S of 12)`."""
    kind, content = next(iter(value.items()))
    return f"({kind} of {len(content)})" if hasattr(content, "__len__") else f"({kind})"


def key_text(key: Item) -> str:
    """A key for people: `PK=doej1#notes, SK=1`, cut to a readable length."""
    shown = (
        base64_text(part) if isinstance(part, bytes) else part for value in key.values() for part in value.values()
    )
    return ", ".join(f"{name}={plain(part, 60)}" for name, part in zip(key, shown, strict=True))


def unchanged_condition(item: Item, names: Iterable[str]) -> dict[str, Any]:
    """Parameters of a write that goes through only while the stored attributes `names` are those of `item`.

    A name that `item` lacks must be absent there too. Of more than `CONDITION_ATTRIBUTES` names the first ones are
    compared: give the key first. Placeholders are `#u0`, `:u0`, so that other expressions can stand beside them;
    `ExpressionAttributeValues` is left out when it would be empty, which DynamoDB refuses.
    """
    tests, placeholders, values = [], {}, {}
    for index, name in enumerate(list(names)[:CONDITION_ATTRIBUTES]):
        placeholders[f"#u{index}"] = name
        if name in item:
            tests.append(f"#u{index} = :u{index}")
            values[f":u{index}"] = item[name]
        else:
            tests.append(f"attribute_not_exists(#u{index})")
    condition: dict[str, Any] = {"ConditionExpression": " AND ".join(tests), "ExpressionAttributeNames": placeholders}
    return condition | ({"ExpressionAttributeValues": values} if values else {})
