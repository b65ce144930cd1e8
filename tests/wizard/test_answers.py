"""Answers that are cut short: asked for again, and an error in the end, never "there is nothing"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from tests.conftest import Aws
from tests.wizard.migration import network
from wizard.aws import Account
from wizard.aws_errors import code_of

TABLE, BUCKET, KEY = "amplify-v6-lambda-dev-accounts", "amplify-v6-lambda-dev-share", {"user": {"S": "a"}}
ASKED: dict[str, tuple[str, Callable[[Account], Any], Any]] = {
    "item": ("dynamodb", lambda a: a.call("dynamodb", "get_item", TableName=TABLE, Key=KEY).get("Item"), KEY),
    "table": ("dynamodb", lambda a: a.call("dynamodb", "scan", TableName=TABLE).get("Items"), [KEY]),
    "description": ("dynamodb", lambda a: a.call("dynamodb", "describe_table", TableName=TABLE)["Table"]["ItemCount"], 1),
    "bucket": ("s3", lambda a: a.call("s3", "list_objects_v2", Bucket=BUCKET).get("KeyCount"), 1),
    "identity": ("sts", lambda a: a.call("sts", "get_caller_identity").get("Account"), "123456789012"),
}  # fmt: skip


@pytest.fixture
def account(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    aws.client("dynamodb").create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "user", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "user", "AttributeType": "S"}],
    )  # fmt: skip
    aws.client("dynamodb").put_item(TableName=TABLE, Item=KEY)
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.client("s3").put_object(Bucket=BUCKET, Key="k", Body=b"1")
    return aws.account()


def cut(share: float) -> Callable[[Any], AWSResponse]:
    """Answers of which only a part of the body comes, as from a proxy that also tells the shorter length."""

    def send(request: Any) -> AWSResponse:
        answer = URLLib3Session(timeout=20).send(request)
        body = answer.content[: int(len(answer.content) * share)]
        headers = {**answer.headers, "Content-Length": str(len(body))}
        headers.pop("x-amz-crc32", None)
        return AWSResponse(request.url, answer.status_code, headers, network._Raw(body))

    return send


@pytest.mark.parametrize("share", [0, 0.4, 0.9])
@pytest.mark.parametrize("what", ASKED)
def test_what_is_cut_short_is_asked_for_again_and_is_never_nothing(account: Account, what: str, share: float) -> None:
    service, ask, expected = ASKED[what]
    sent = 0

    def weather(request: Any, **_: Any) -> AWSResponse | None:
        nonlocal sent
        sent += 1
        return cut(share)(request) if sent <= bad else None

    account.client(service).meta.events.register_first("before-send", weather)
    bad = 2
    assert ask(account) == expected
    assert sent == 3
    sent, bad = 0, 1_000
    with pytest.raises(ClientError) as caught:
        ask(account)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500, "a write may have been made"


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_half_an_error_is_asked_for_again(account: Account, share: float) -> None:
    sent = 0

    def weather(request: Any, **_: Any) -> AWSResponse | None:
        nonlocal sent
        sent += 1
        return cut(share)(request) if sent == 1 else None

    account.client("dynamodb").meta.events.register_first("before-send.dynamodb.PutItem", weather)
    with pytest.raises(ClientError) as caught:
        account.call("dynamodb", "put_item", TableName=TABLE, Item=KEY, ConditionExpression="attribute_not_exists(#u)",
                     ExpressionAttributeNames={"#u": "user"})  # fmt: skip
    assert (code_of(caught.value), sent) == ("ConditionalCheckFailedException", 2)


def test_answers_without_a_body_are_whole(account: Account) -> None:
    for number in range(2):
        account.call("s3", "put_object", Bucket=BUCKET, Key=f"{number}", Body=b"")
        account.call("s3", "head_object", Bucket=BUCKET, Key=f"{number}")
        assert account.call("s3", "get_object", Bucket=BUCKET, Key=f"{number}")["Body"].read() == b""
        account.call("s3", "delete_object", Bucket=BUCKET, Key=f"{number}")
    account.call("dynamodb", "delete_item", TableName=TABLE, Key=KEY)
