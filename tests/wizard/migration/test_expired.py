"""Credentials that expire in mid-run: the run pauses and goes on with renewed ones, or ends so that it can be taken up."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import boto3
import botocore.compat
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import LoginRefreshRequired

from tests.conftest import CREDENTIALS, REGION, Aws
from tests.wizard.cli_run import reach
from tests.wizard.migration import network
from tests.wizard.migration.few import ACCESS, COSTS, fill
from tests.wizard.migration.stage import ANN, Dump, Ended, Stage, n, run, s
from wizard.aws import Account
from wizard.errors import Blocked, Failed
from wizard.events import Control, Event, Feed, Paused, Question, Resumed


class Operator:
    """A feed with somebody who answers: `answer()` is called when the run asks for renewed credentials."""

    def __init__(self, answer: Any):
        self.feed = Feed(self._hear, answers=True)
        self.told: list[str] = []
        self.asked: list[str] = []
        self._answer = answer

    def _hear(self, event: Event) -> None:
        if isinstance(event, Paused | Resumed):
            self.told.append(type(event).__name__)
        if isinstance(event, Question):
            self.asked.append(event.text)
            self._answer()
            event.answer.set_result(True)


class Credentials:
    """A profile in a file; AWS takes its keys until `expire`, and those that `renew` writes."""

    def __init__(self, path: Path):
        self.path, self.serial = path, 0
        self.valid: set[str] = set()
        self.refused = 0
        self._lock = threading.Lock()
        self.renew()

    def renew(self, *, valid: bool = True) -> None:
        """New keys in the file, as `aws sso login` or a colleague would put them there."""
        self.serial += 1
        key = f"AKIAEXAMPLE{self.serial:05}"
        if valid:
            self.valid.add(key)
        self.path.write_text(
            f"[work]\naws_access_key_id = {key}\naws_secret_access_key = {CREDENTIALS[1]}\naws_session_token = t{self.serial}\n"
        )

    def expire(self) -> None:
        self.valid.clear()

    def check(self, request: Any, **_: Any) -> AWSResponse | None:
        """What AWS answers to keys that are no longer valid."""
        header = request.headers["Authorization"]
        signature = header.decode() if isinstance(header, bytes) else header
        with self._lock:
            if any(f"Credential={key}/" in signature for key in self.valid):
                return None
            self.refused += 1
        code = "ExpiredToken" if "X-Amz-Target" not in request.headers else "ExpiredTokenException"
        return network.reply(request, 400, code)


@pytest.fixture
def credentials(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Credentials:
    """The only way to AWS is a profile; whoever is refused is refused below every client, those of STS included."""
    reach(monkeypatch, aws.endpoint)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    made = Credentials(tmp_path / "credentials")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(made.path))
    real = boto3.session.Session.client

    def client(self: Any, *words: Any, **options: Any) -> Any:
        one = real(self, *words, **options)
        if self.get_credentials().method == "shared-credentials-file":
            one.meta.events.register_first("before-send", made.check)
        return one

    monkeypatch.setattr(boto3.session.Session, "client", client)
    return made


def account(feed: Feed | None = None, **options: Any) -> Account:
    return Account("work", REGION, feed=feed, **options)


def expire_after(of: Account, credentials: Credentials, operation: str, count: int, service: str = "dynamodb") -> None:
    """The credentials end just before request number `count` of an operation is sent."""
    seen = 0

    def look(**_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            credentials.expire()

    of.client(service).meta.events.register_first(f"before-call.{service}.{operation}", look)


def stage_of(aws: Aws, folder: Path) -> Stage:
    return fill(Stage(aws, folder))


def objects(aws: Aws, bucket: str) -> list[str]:
    found = aws.client("s3").list_objects_v2(Bucket=f"amplify-v6-lambda-dev-{bucket}")
    return [entry["Key"] for entry in found.get("Contents", ())]


def command(stage: Stage, of: Account, *words: str) -> Ended:
    context = stage.context(account=of)
    context.control = of.control
    context.account.feed = of.feed
    return run(context, *words)


@pytest.fixture(scope="module")
def expected(moto_server: Aws, tmp_path_factory: pytest.TempPathFactory) -> Dump:
    """Everything after an undisturbed migration."""
    moto_server.reset()
    stage = fill(Stage(moto_server, tmp_path_factory.mktemp("undisturbed")))
    stage.migrate()
    return stage.dump()


@pytest.mark.parametrize(
    ("operation", "count"), [("BatchGetItem", 3), ("PutItem", 6), ("UpdateItem", 3), ("TransactWriteItems", 1)]
)
def test_it_pauses_asks_and_goes_on_with_renewed_ones(
    expected: Dump, aws: Aws, credentials: Credentials, tmp_path: Path, operation: str, count: int
) -> None:
    operator = Operator(credentials.renew)
    stage, of = stage_of(aws, tmp_path), account(operator.feed)
    csv = stage.csv()
    assert command(stage, of, "migrate", "plan", "--csv-file", csv).code == 0
    expire_after(of, credentials, operation, count)
    ended = command(stage, of, "migrate", "apply")
    assert (ended.code, ended.document["failed"], ended.document["conflicts"]) == (0, [], [])
    assert (len(operator.asked), operator.told) == (1, ["Paused", "Resumed"])
    assert "expired" in operator.asked[0]
    assert "--profile work" in operator.asked[0]
    assert credentials.refused >= 1
    assert command(stage, of, "migrate", "verify").code == 0
    assert stage.dump() == expected


def conversations(stage: Stage, count: int) -> None:
    """Objects of a user, to be copied."""
    stage.bucket("lambda/consolidation")
    old = stage.bucket("lambda/user-conversations")
    for number in range(count):
        stage.aws.client("s3").put_object(Bucket=old, Key=f"{ANN}/{number}", Body=b"{}")


@pytest.mark.parametrize("answers", [True, False])
def test_a_head_that_is_refused_without_a_code_is_recognised(
    aws: Aws, credentials: Credentials, tmp_path: Path, answers: bool
) -> None:
    """S3 answers HEAD without a body: expired credentials are status 400, as is many another thing."""
    operator, stage = Operator(credentials.renew), Stage(aws, tmp_path)
    conversations(stage, 6)
    of = account(operator.feed if answers else None)
    assert command(stage, of, "migrate", "plan", "--csv-file", stage.csv()).document["changes"] == 6
    expire_after(of, credentials, "HeadObject", 3, "s3")
    ended = command(stage, of, "migrate", "apply")
    states = {entry.state for entry in stage.entries("workspace")}
    if answers:
        assert (ended.code, len(operator.asked), states) == (0, 1, {"verified"})
        expire_after(of, credentials, "HeadObject", 2, "s3")
        verified = command(stage, of, "migrate", "verify")
        assert (verified.code, len(operator.asked)) == (0, 2), verified.text
    else:
        assert (ended.code, "expired" in ended.text) == (3, True)
        assert "failed" not in states


def test_heads_that_are_denied_ask_sts_once(
    aws: Aws, credentials: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wizard.aws._TAKEN_SECONDS", 600.0)  # however slow the machine is
    stage, of = Stage(aws, tmp_path), account(Operator(credentials.renew).feed)
    conversations(stage, 6)
    assert command(stage, of, "migrate", "plan", "--csv-file", stage.csv()).code == 0
    asked: list[Any] = []
    of.client("sts").meta.events.register_first("before-send", lambda request, **_: asked.append(request))
    of.client("s3").meta.events.register_first(
        "before-send.s3.HeadObject", lambda request, **_: network.reply(request, 403, "AccessDenied")
    )
    ended = command(stage, of, "migrate", "apply")
    assert (ended.code, len(ended.document["failed"]), len(asked)) == (1, 6, 1)


def test_a_process_or_a_login_that_gives_no_credentials_any_more_counts_as_expired(
    aws: Aws, credentials: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = account()

    def refuse(**_: Any) -> None:  # where botocore would sign, and refresh its credentials
        raise LoginRefreshRequired

    of.client("sts").meta.events.register_first("before-sign", refuse)
    with pytest.raises(Blocked, match=r"expired, or could not be had.*Renew them.*`?aws login --profile work"):
        _ = of.id
    (tmp_path / "config").write_text("[profile work]\ncredential_process = /usr/bin/false\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    credentials.path.write_text("")
    with pytest.raises(Blocked, match=r"expired, or could not be had.*Renew them.*credential_process"):
        _ = account().id


@pytest.mark.skipif(botocore.compat.HAS_CRT, reason="what is missing is there")
def test_a_profile_of_aws_login_names_the_package_that_it_needs(
    aws: Aws, credentials: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile work]\nlogin_session = arn:aws:iam::123456789012:user/ann\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    credentials.path.write_text("")
    with pytest.raises(Blocked, match=r"botocore\[crt\].*Install it where amplify-migrate is installed"):
        _ = account().id


def test_it_asks_again_until_aws_takes_them(aws: Aws, credentials: Credentials, tmp_path: Path) -> None:
    tries = iter([False, False, True])
    operator = Operator(lambda: credentials.renew(valid=next(tries)))
    stage, of = stage_of(aws, tmp_path), account(operator.feed)
    assert of.id == "123456789012"
    credentials.expire()
    ended = command(stage, of, "migrate", "plan", "--csv-file", stage.csv())
    assert (ended.code, ended.document["unread"]) == (0, [])
    assert len(operator.asked) == 3
    assert "not take" in operator.asked[1]


def test_with_nobody_to_ask_it_ends_with_3_and_is_taken_up(
    expected: Dump, aws: Aws, credentials: Credentials, tmp_path: Path
) -> None:
    stage, of = stage_of(aws, tmp_path), account()
    assert command(stage, of, "migrate", "plan", "--csv-file", stage.csv()).code == 0
    expire_after(of, credentials, "PutItem", 8)
    ended = command(stage, of, "migrate", "apply")
    assert ended.code == 3
    assert "expired" in ended.text
    left = stage.entries("workspace", "planned", "failed")
    assert left
    assert not [entry for entry in left if entry.state == "failed"]
    credentials.renew()
    again = command(stage, account(), "migrate", "apply")
    assert (again.code, again.document["conflicts"], again.document["failed"]) == (0, [], [])
    assert command(stage, account(), "migrate", "verify").code == 0
    assert stage.dump() == expected


def test_whatever_they_end_in_ends_with_3_and_is_taken_up(aws: Aws, credentials: Credentials, tmp_path: Path) -> None:
    """The second time the same command comes to its end."""
    stage, s3 = Stage(aws, tmp_path), aws.client("s3")
    for number in range(4):
        stage.put(ACCESS, {"object_id": s(f"o{number}"), "principal_id": s(ANN)})
    stage.put(COSTS, {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n(1)})
    stage.bucket("lambda/consolidation")
    talks = stage.bucket("lambda/user-conversations")
    for number in range(4):
        s3.put_object(Bucket=talks, Key=f"{ANN}/{number}", Body=b"talk")
    before = stage.dump()

    def twice(words: str, operation: str, count: int, service: str = "dynamodb") -> None:
        of = account()
        assert of.id
        expire_after(of, credentials, operation, count, service)
        ended = command(stage, of, *words.split())
        assert (ended.code, "expired" in ended.text, "same command" in ended.text) == (3, True, False), words
        assert stage.entries("workspace", "failed") == [], words
        credentials.renew()
        assert stage.run(*words.split()).code == 0, words

    stage.plan()
    twice("backup create", "DescribeContinuousBackups", 2)
    twice("migrate apply", "CopyObject", 3, "s3")
    twice("rollback", "DeleteItem", 3)
    assert (stage.dump(), objects(aws, "consolidation")) == (before, [])
    stage.migrate()
    after = stage.dump()
    twice("cleanup apply", "DeleteItem", 3)
    assert stage.dump() == {t: {key: one for key, one in items.items() if ANN not in key} for t, items in after.items()}
    assert len(objects(aws, "consolidation")) == 4


def test_renewed_credentials_of_another_account_reach_nothing(
    aws: Aws, credentials: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator(credentials.renew)
    stage, of = stage_of(aws, tmp_path), account(operator.feed)
    assert command(stage, of, "migrate", "plan", "--csv-file", stage.csv()).code == 0
    of._identity = {"account": "999999999999", "arn": "arn:aws:iam::999999999999:user/x"}  # what it was begun with
    before = stage.dump()
    credentials.expire()
    with pytest.raises(Failed, match="account 123456789012, not 999999999999"):
        of.call("dynamodb", "put_item", TableName="any", Item={})
    with pytest.raises(Failed, match="not 999999999999"):  # nor does any other thread go on
        of.call("dynamodb", "list_tables")
    assert (len(operator.asked), stage.dump()) == (1, before)


def test_a_key_that_aws_never_knew_is_not_called_expired(aws: Aws, credentials: Credentials) -> None:
    operator = Operator(lambda: None)
    of = account(operator.feed)

    def unknown(request: Any, **_: Any) -> AWSResponse:
        body = b"<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>injected</Message></Error></ErrorResponse>"
        return AWSResponse(request.url, 403, {}, network._Raw(body))

    of.client("sts").meta.events.register_first("before-send", unknown)
    with pytest.raises(Blocked, match="does not know these credentials"):
        _ = of.id
    assert operator.asked == []


def test_what_comes_from_the_environment_is_said_not_to_be_renewable(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    reach(monkeypatch, aws.endpoint)
    of = Account(region=REGION)
    assert of.id == "123456789012"

    def expired(request: Any, **_: Any) -> AWSResponse:
        return network.reply(request, 400, "ExpiredTokenException")

    of.client("dynamodb").meta.events.register_first("before-send", expired)
    with pytest.raises(Blocked, match="environment variables"):
        of.call("dynamodb", "list_tables")


def test_a_cancel_ends_the_waiting(aws: Aws, credentials: Credentials, tmp_path: Path) -> None:
    control = Control()
    feed = Feed(lambda event: control.cancel() if isinstance(event, Question) else None, answers=True)
    stage, of = stage_of(aws, tmp_path), account(feed, control=control)
    assert of.id
    credentials.expire()
    assert command(stage, of, "migrate", "plan", "--csv-file", stage.csv()).code == 130
