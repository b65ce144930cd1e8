"""The one way to AWS: the gate for writes, patience, pages, renewal, budget and the audit log; faults below the client."""

from __future__ import annotations

import json
import logging
import os
import threading
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
import pytest
from botocore.exceptions import PaginationError

from tests.conftest import CREDENTIALS, REGION, Aws
from tests.wizard.faults import answer, deny
from wizard import patience
from wizard.aws import Account, WriteRefused, is_read
from wizard.aws_errors import code_of, explain
from wizard.catalog.model import Ids
from wizard.console import Console
from wizard.errors import BadInput, Blocked, Failed, Interrupted, MigrateError
from wizard.events import Control, Event, Feed, Paused, Question, Resumed
from wizard.migration.rewrite import Watch
from wizard.migration.scan import ScanTask, Scope, scan_page
from wizard.spending import Budget, Costs
from wizard.text import plain
from wizard.workspace import PlainFormatter

TABLE = "amplify-v6-lambda-dev-accounts"


@pytest.fixture
def table(aws: Aws) -> str:
    aws.client("dynamodb").create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "user", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "user", "AttributeType": "S"}],
    )  # fmt: skip
    return TABLE


def put(account: Account, user: str = "ann", **more: Any) -> None:
    account.call(
        "dynamodb", "put_item", TableName=TABLE, Item={"user": {"S": user}, "password": {"S": "hidden"}}, **more
    )


def stored(aws: Aws) -> list[str]:
    return sorted(item["user"]["S"] for item in aws.client("dynamodb").scan(TableName=TABLE)["Items"])


def fail(
    account: Account, operation: str, code: str, times: int, status: int = 400, service: str = "dynamodb"
) -> list[int]:
    """The first `times` calls of an operation are answered with an error; returns a list that grows with each call."""
    calls: list[int] = []

    def refuse(**_: Any) -> Any:
        calls.append(len(calls) + 1)
        if len(calls) > times:
            return None
        body = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return SimpleNamespace(status_code=status, headers={}), body

    name = account.client(service).meta.service_model.service_id.hyphenize()
    account.client(service).meta.events.register_last(f"before-call.{name}.{operation}", refuse)
    return calls


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(Control, "sleep", lambda self, seconds: (slept.append(seconds), self.check())[1])
    return slept


# --- the gate ---------------------------------------------------------------------------------------------------------


READS = (
    "GetItem", "Scan", "Query", "ListTables", "DescribeTable", "HeadObject", "BatchGetItem", "TransactGetItems",
    "LookupEvents", "FilterLogEvents", "SimulatePrincipalPolicy",
)  # fmt: skip
WRITES = (
    "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem", "CopyObject", "CreateMultipartUpload",
    "RestoreTableFromBackup", "InvokeFunction", "SomethingNew",
)  # fmt: skip
THROTTLING = (
    "ThrottlingException",
    "TransactionConflictException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
)


@pytest.mark.parametrize("operation", READS)
def test_reads(operation: str) -> None:
    assert is_read(operation)


@pytest.mark.parametrize("operation", WRITES)
def test_everything_else_counts_as_a_write(operation: str) -> None:
    assert not is_read(operation)


def test_a_dry_run_refuses_writes_by_any_way(aws: Aws, table: str) -> None:
    account = aws.account()
    account.read_only = True
    with pytest.raises(WriteRefused, match="PutItem"):
        put(account)
    with pytest.raises(WriteRefused):
        account.client("dynamodb").put_item(TableName=TABLE, Item={"user": {"S": "x"}})
    with pytest.raises(WriteRefused):
        account.client("s3").create_bucket(Bucket="b")
    assert account.call("dynamodb", "scan", TableName=TABLE)["Items"] == []
    account.read_only = False
    put(account)
    assert stored(aws) == ["ann"]


def test_a_lost_lock_stops_writes_and_no_reads(aws: Aws, table: str) -> None:
    account = aws.account()

    def lost() -> None:
        raise Blocked("lost")

    account.lock_held = lost
    with pytest.raises(Blocked, match="lost"):
        put(account)
    assert account.call("dynamodb", "scan", TableName=TABLE)["Items"] == []


def test_a_lock_that_is_lost_between_two_attempts_stops_the_second(aws: Aws, table: str) -> None:
    account = aws.account()
    attempts: list[str] = []

    def lost() -> None:
        if attempts:
            raise Blocked("the lock was lost")

    def broken_line(event_name: str, **_: Any) -> None:
        attempts.append(event_name)
        raise botocore.exceptions.ConnectionClosedError(endpoint_url=aws.endpoint)

    account.lock_held = lost
    account.client("dynamodb").meta.events.register_last("before-send", broken_line)
    with pytest.raises(Blocked, match="lost"):
        put(account)
    assert attempts == ["before-send.dynamodb.PutItem"]


def test_a_cancel_stops_before_the_next_request(aws: Aws, table: str) -> None:
    account = aws.account()
    account.control.cancel()
    with pytest.raises(Interrupted):
        put(account)
    assert stored(aws) == []


# --- patience ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", THROTTLING)
def test_throttling_slows_down_and_never_fails(aws: Aws, table: str, sleeps: list[float], code: str) -> None:
    account = aws.account()
    calls = fail(account, "PutItem", code, times=12)
    put(account)
    assert (len(calls), len(sleeps), stored(aws)) == (13, 12, ["ann"])
    assert max(sleeps) <= 20.0 and sum(sleeps[6:]) > sum(sleeps[:6])


def test_throttling_without_end_fails_after_half_an_hour(
    aws: Aws, table: str, sleeps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    account = aws.account()
    fail(account, "PutItem", "ThrottlingException", times=10**6)
    monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: sum(sleeps), time=lambda: 0.0))
    with pytest.raises(botocore.exceptions.ClientError, match="Throttling"):
        put(account)
    assert patience.PATIENCE_SECONDS <= sum(sleeps) < patience.PATIENCE_SECONDS + 21


def test_a_throttled_run_can_be_cancelled(aws: Aws, table: str) -> None:
    account = aws.account()
    fail(account, "PutItem", "ThrottlingException", times=10**6)
    account.feed = Feed(lambda event: None)
    account.control.cancel()
    with pytest.raises(Interrupted):
        put(account)


def test_other_errors_are_raised_at_once(aws: Aws, table: str, sleeps: list[float]) -> None:
    account = aws.account()
    deny(account, "dynamodb", "PutItem", "not\n\x1b[31myou")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        put(account)
    assert (code_of(caught.value), sleeps) == ("AccessDeniedException", [])
    assert explain(caught.value) == "AccessDeniedException: not \\x1b[31myou (PutItem)"
    assert code_of(ValueError()) == "ValueError"


def test_an_error_that_quotes_the_request_is_told_without_its_credentials(
    aws: Aws, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """AWS quotes the canonical request when it refuses a signature; botocore quotes the values that it refuses."""
    account = aws.account()
    quoted = (
        "The Canonical String should have been 'GET\n/\nx-amz-date:20260131T100000Z\nx-amz-security-token:FwoG/s3kr1t+x==\n'"
        " for https://b.s3.amazonaws.com/k?X-Amz-Credential=AKIAs3kr1t%2F2026&X-Amz-Signature=s3kr1t&x=1, Authorization:"
        " AWS4-HMAC-SHA256 Credential=AKIAs3kr1t/2026/s3/aws4_request, SignedHeaders=host, Signature=s3kr1t"
    )
    deny(account, "dynamodb", "PutItem", quoted)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        put(account)
    wrong = Account(region=REGION, endpoint_url=aws.endpoint, credentials=CREDENTIALS)
    with pytest.raises(botocore.exceptions.ParamValidationError) as refused:
        wrong.call("dynamodb", "put_item", TableName=TABLE, Item={"user": {"S": {"s3kr1t"}}})
    record = logging.LogRecord("x", logging.ERROR, "", 0, "failed: %s", (caught.value,), (None, caught.value, None))
    for told in (explain(caught.value), plain(caught.value), PlainFormatter().format(record), explain(refused.value)):
        assert "s3kr1t" not in told
    assert "x-amz-date:20260131T100000Z" in explain(caught.value)
    assert plain("Signature expired: see x-amz-date") == "Signature expired: see x-amz-date"


def test_an_error_that_quotes_what_was_to_be_written_is_told_without_it(aws: Aws, table: str) -> None:
    account = aws.account()
    item = {"user": {"S": "ann"}, "x": {"M": {"y": {"L": [{"S": 'a"s3kr1t'}, {"B": b"s3kr1t"}]}}}}
    deny(account, "dynamodb", "PutItem", f"refused: {json.dumps('a' + chr(34) + 's3kr1t')}, czNrcjF0; token: s3kr1t")
    deny(account, "ssm", "PutParameter", "Value 'it is s3kr1t' at 'value' failed to satisfy constraint")
    for service, operation, parameters in (
        ("dynamodb", "put_item", {"TableName": TABLE, "Item": item}),
        ("ssm", "put_parameter", {"Name": "/a", "Value": "it is s3kr1t", "Type": "String"}),
    ):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            account.call(service, operation, **parameters)
        told = "".join(traceback.format_exception(caught.value)) + explain(caught.value)
        assert "(hidden)" in told and "s3kr1t" not in told and "czNrcjF0" not in told


# --- credentials ------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_credentials(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Account]:
    """An account with the credentials of the environment, as an operator's run has."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", CREDENTIALS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CREDENTIALS[1])
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return lambda **options: Account(region=REGION, endpoint_url=aws.endpoint, **options)


def test_expired_credentials_pause_until_they_are_renewed(
    aws: Aws, table: str, own_credentials: Callable[..., Account]
) -> None:
    events: list[Event] = []

    def operator(event: Event) -> None:
        events.append(event)
        if isinstance(event, Question):
            event.answer.set_result(True)

    account = own_credentials(feed=Feed(operator, answers=True))
    assert account.id == "123456789012"
    fail(account, "PutItem", "ExpiredTokenException", times=99)  # of the client before the renewal only
    put(account)
    assert stored(aws) == ["ann"]
    assert [type(event) for event in events] == [Paused, Question, Resumed]
    assert "have expired" in str(events[0])


@pytest.mark.parametrize("typed", ["n\n", "No\n", "", None])  # the end of the input; a signal while nothing is typed
def test_who_does_not_renew_them_ends_the_run_and_is_not_asked_again(
    aws: Aws, table: str, own_credentials: Callable[..., Account], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], typed: str | None,
) -> None:  # fmt: skip
    reader, writer = os.pipe()
    monkeypatch.setattr("sys.stdin", os.fdopen(reader))
    control = Control()
    if typed is None:
        threading.Timer(0.5, control.cancel).start()
    else:
        os.write(writer, typed.encode())
        os.close(writer)
    account = own_credentials(feed=Feed(Console(control), answers=True), control=control)
    fail(account, "PutItem", "ExpiredToken", times=99)
    with pytest.raises(Interrupted):
        put(account)
    assert capsys.readouterr().err.count("or n to stop") == 1 and stored(aws) == []


def test_without_anybody_to_renew_them_the_run_ends_resumable(
    aws: Aws, table: str, own_credentials: Callable[..., Account]
) -> None:
    account = own_credentials()
    fail(account, "PutItem", "ExpiredToken", times=99)
    with pytest.raises(Blocked, match="have expired"):
        put(account)


def test_renewed_credentials_of_another_account_are_refused(
    aws: Aws, table: str, own_credentials: Callable[..., Account]
) -> None:
    account = own_credentials(
        feed=Feed(lambda e: e.answer.set_result(True) if isinstance(e, Question) else None, answers=True)
    )
    account._identity = {"account": "210987654321", "arn": "arn"}
    fail(account, "PutItem", "ExpiredToken", times=99)
    with pytest.raises(MigrateError, match="not 210987654321"):
        put(account)
    assert stored(aws) == []


def test_the_sandbox_never_asks_for_renewal(aws: Aws, table: str) -> None:
    account = aws.account()
    fail(account, "PutItem", "ExpiredToken", times=99)
    with pytest.raises(botocore.exceptions.ClientError, match="ExpiredToken"):
        put(account)


def test_no_region_and_no_profile_are_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(BadInput, match="--region"):
        Account()
    with pytest.raises(BadInput, match="--profile"):
        Account(profile="nobody's", region=REGION)


@pytest.mark.parametrize(
    "address", ["http://u:s3kr1t/x@h:1", "s3kr1t", "http://[::s3kr1t", "http://h:99999", "http://"]
)
def test_an_endpoint_that_is_no_address_is_bad_input_and_not_repeated(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(BadInput, match="AWS_ENDPOINT_URL") as caught:
        Account(region=REGION).client("sts")
    assert "s3kr1t" not in "".join(traceback.format_exception(caught.value))


# --- pages ------------------------------------------------------------------------------------------------------------


def test_all_pages_are_read(aws: Aws, table: str) -> None:
    account = aws.account()
    for number in range(5):
        put(account, f"u{number}")
    pages = list(account.pages("dynamodb", "scan", TableName=TABLE, Limit=2))
    assert sorted(item["user"]["S"] for page in pages for item in page["Items"]) == [
        f"u{number}" for number in range(5)
    ]
    assert len(pages) >= 3
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="pages")
    for number in range(5):
        s3.put_object(Bucket="pages", Key=f"k{number}")
    found = [
        one["Key"]
        for page in account.pages("s3", "list_objects_v2", Bucket="pages", MaxKeys=2)
        for one in page["Contents"]
    ]
    assert found == [f"k{number}" for number in range(5)]


@pytest.mark.parametrize(("token", "why"), [("again", "the same page again"), ("", "there is more, and not where")])
def test_a_list_that_does_not_go_on_is_neither_read_for_ever_nor_taken_for_whole(
    aws: Aws, table: str, token: str, why: str
) -> None:
    account = aws.account()
    aws.client("s3").create_bucket(Bucket="pages")

    def more(parsed: dict[str, Any], **_: Any) -> None:
        parsed.update(IsTruncated=True, **({"NextContinuationToken": token} if token else {}))

    account.client("s3").meta.events.register("after-call.s3.ListObjectsV2", more)
    with pytest.raises(PaginationError, match=why):
        list(account.pages("s3", "list_objects_v2", Bucket="pages"))
    put(account, "u1")
    task = ScanTask(TABLE, None, ("user",), 0, 1, start={"user": {"S": "u1"}})

    def same(parsed: dict[str, Any], **_: Any) -> None:
        parsed["LastEvaluatedKey"] = {"user": {"S": "u1"}}

    account.client("dynamodb").meta.events.register("after-call.dynamodb.Scan", same)
    with pytest.raises(PaginationError, match="the same page again"):
        scan_page(task, account, Scope(Ids({}), Watch(Ids({}))))


# --- budget and costs -------------------------------------------------------------------------------------------------


def test_a_budget_is_paid_after_the_fact() -> None:
    now = [0.0]
    budget = Budget(10, clock=lambda: now[0])
    assert budget.wait_seconds() == 0.0
    budget.spend(60)
    assert budget.wait_seconds() == pytest.approx(5.0, abs=0.01)
    now[0] += 5.1
    assert budget.wait_seconds() == 0.0
    now[0] += 1_000
    budget.wait_seconds()
    budget.spend(10.5)
    assert budget.wait_seconds() > 0, "what was not used does not add up"
    assert Budget(0).wait_seconds() == 0.0


def test_requests_wait_for_their_own_budget(
    aws: Aws, table: str, sleeps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    account = aws.account(max_write_units=5)
    clock = lambda: sum(sleeps)  # noqa: E731
    account.writes = Budget(5, clock=clock)
    for number in range(30):
        put(account, f"u{number}")
        account.writes.spend(1)  # as on AWS, whatever the emulator reports
    assert sum(sleeps) > 4
    before = list(sleeps)
    account.call("dynamodb", "scan", TableName=TABLE)
    assert sleeps == before, "reads have a budget of their own"


def test_requests_and_units_are_counted(aws: Aws, table: str) -> None:
    account = aws.account()
    put(account)
    before = account.costs.copy()
    account.call("dynamodb", "scan", TableName=TABLE)
    account.call("dynamodb", "scan", TableName=TABLE)
    spent = account.costs.since(before)
    assert spent["requests"] == {"dynamodb.scan": 2}
    assert spent["read_units"] > 0 and spent["write_units"] == 0
    costs = Costs()
    costs.add("x", 0.5, 1.5)
    assert costs.since(Costs()) == {"requests": {"x": 1}, "read_units": 0.5, "write_units": 1.5}


# --- audit ------------------------------------------------------------------------------------------------------------


def test_every_write_leaves_a_line_without_what_was_written(aws: Aws, table: str) -> None:
    account, lines = aws.account(), list[dict[str, Any]]()
    account.audit = lines.append
    put(account)
    with pytest.raises(botocore.exceptions.ClientError):
        put(account, ConditionExpression="attribute_not_exists(#k)", ExpressionAttributeNames={"#k": "user"})
    account.call("dynamodb", "transact_write_items", TransactItems=[
        {"Put": {"TableName": TABLE, "Item": {"user": {"S": "bob"}, "password": {"S": "hidden"}}}},
        {"Delete": {"TableName": TABLE, "Key": {"user": {"S": "ann"}}}},
    ])  # fmt: skip
    account.call("dynamodb", "scan", TableName=TABLE)
    assert [(line["operation"], line["result"]) for line in lines] == [
        ("PutItem", "ok"), ("PutItem", "ConditionalCheckFailedException"), ("TransactWriteItems", "ok"),
    ]  # fmt: skip
    assert lines[0]["Key"] == {"user": {"S": "ann"}}
    assert lines[2]["items"] == [
        {"kind": "Put", "TableName": TABLE, "Key": {"user": {"S": "bob"}}},
        {"kind": "Delete", "TableName": TABLE, "Key": {"user": {"S": "ann"}}},
    ]
    assert "hidden" not in str(lines)
    assert all(line["request_id"] for line in lines)


def test_a_line_that_cannot_be_written_stops_the_run(aws: Aws, table: str) -> None:
    account = aws.account()

    def full(_: dict[str, Any]) -> None:
        raise Failed("disk full")

    account.audit = full
    with pytest.raises(Failed, match="disk full"):
        put(account)


def test_nothing_secret_is_logged(aws: Aws, table: str, caplog: pytest.LogCaptureFixture, sleeps: list[float]) -> None:
    caplog.set_level(logging.DEBUG, "wizard")
    account = aws.account()
    fail(account, "PutItem", "ThrottlingException", times=2)
    put(account)
    answer(account, "dynamodb", "Scan", "InternalServerError", "m", 500)
    assert "hidden" not in caplog.text and CREDENTIALS[1] not in caplog.text
    assert "throttled" in caplog.text
