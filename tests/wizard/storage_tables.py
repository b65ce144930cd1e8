"""Tables and rows of user storage for the tests of backup, import and endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wizard.wire import Item

OLD = "amplify-v6-lambda-basic-ops-dev-user-storage"
NEW = "amplify-v6-lambda-dev-user-data-storage"


def create(client: Any, name: str) -> None:
    """A table like those of user storage."""
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in ("PK", "SK", "UUID")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "UUID-index",
                "KeySchema": [{"AttributeName": "UUID", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def row(user: str, sort: str, **attributes: Any) -> Item:
    """A row as the services write it."""
    return {
        "PK": {"S": f"{user}#notes#note"},
        "SK": {"S": sort},
        "UUID": {"S": f"uuid-{user}-{sort}"},
        "appId": {"S": f"{user}#notes"},
        "entityType": {"S": "note"},
        "createdAt": {"N": "1725000000"},
        "data": {"M": {"text": {"S": "hello"}, "empty": {"S": ""}, "n": {"N": "1.5"}}},
        **attributes,
    }


def every_type(user: str, sort: str) -> Item:
    """A row that has an attribute of every DynamoDB type."""
    return row(
        user,
        sort,
        empty={"S": ""},
        blob={"B": b"\x00\xff\n\r\x1f\x8b"},
        words={"SS": ["b", "a", "é"]},
        numbers={"NS": ["1", "-2.5", "12345678901234567890123456789012345678"]},
        blobs={"BS": [b"\x01", b"\x00\x02"]},
        members={"L": [{"S": ""}, {"L": []}, {"M": {}}, {"NULL": True}, {"BOOL": False}, {"B": b"x"}]},
        nothing={"NULL": True},
        truth={"BOOL": True},
    )


def put(client: Any, table: str, items: Iterable[Item]) -> None:
    """Write items in batches."""
    pending = [{"PutRequest": {"Item": item}} for item in items]
    for start in range(0, len(pending), 25):
        client.batch_write_item(RequestItems={table: pending[start : start + 25]})


def scan(client: Any, table: str) -> list[Item]:
    """Everything a table holds, by key."""
    found = [item for page in client.get_paginator("scan").paginate(TableName=table) for item in page["Items"]]
    return sorted(found, key=lambda item: (item["PK"]["S"], item["SK"]["S"]))
