"""What the embedded AWS keeps as AWS does, although many ask it at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import Aws

TABLE = "amplify-v6-lambda-dev-accounts"
FREE = "attribute_not_exists(#k)"


def test_a_cancelled_transaction_takes_nothing_with_it_that_others_wrote(aws: Aws) -> None:
    db = aws.client("dynamodb")
    db.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "user", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "user", "AttributeType": "S"}],
    )

    def put(user: str) -> dict[str, Any]:
        item = {"user": {"S": user}}
        names = {"#k": "user"}
        put = {"TableName": TABLE, "Item": item, "ConditionExpression": FREE, "ExpressionAttributeNames": names}
        return {"Put": put}

    db.put_item(TableName=TABLE, Item={"user": {"S": "standing"}})
    refused = [put(f"never-{number}") for number in range(50)] + [put("standing")]
    written = [f"new-{number}" for number in range(30)]

    def write(user: str) -> None:
        db.put_item(**put(user)["Put"])

    cancelled_by = (
        db.exceptions.TransactionCanceledException
    )  # made at first use, once for each thread that is there then

    def be_refused(_: int) -> None:
        with pytest.raises(cancelled_by):
            db.transact_write_items(TransactItems=refused)

    with ThreadPoolExecutor(4) as many:
        cancelled = [many.submit(be_refused, number) for number in range(3)]
        list(many.map(write, written))
        for one in cancelled:
            one.result()
    found = {item["user"]["S"] for page in db.get_paginator("scan").paginate(TableName=TABLE) for item in page["Items"]}
    assert found == {"standing", *written}
