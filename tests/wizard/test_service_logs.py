"""Errors in the functions' logs: recognised, grouped by cause, followed."""

from __future__ import annotations

import time

import pytest

from tests.conftest import Aws
from tests.wizard.faults import deny
from wizard.context import Context
from wizard.errors import Interrupted
from wizard.log_causes import classify
from wizard.service_logs import follow, search


def write_log(aws: Aws, function: str, *messages: str, at: float | None = None) -> None:
    logs, group = aws.client("logs"), f"/aws/lambda/{function}"
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
    moment = int((at or time.time()) * 1_000)
    events = [{"timestamp": moment, "message": message} for message in messages]
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)


@pytest.mark.parametrize(
    ("message", "kind", "what"),
    [
        ("[ERROR] KeyError: 'ACCOUNTS_DYNAMO_TABLE'\nTraceback …", "missing variable", "ACCOUNTS_DYNAMO_TABLE"),
        ("Missing required environment variable: OAUTH_AUDIENCE", "missing variable", "OAUTH_AUDIENCE"),
        ("Environment variable S3_BUCKET is not set", "missing variable", "S3_BUCKET"),
        ("ParameterNotFound: /amplify/dev/shared/ADMINS", "missing parameter", "/amplify/dev/shared/ADMINS"),
        (
            "AccessDeniedException: User: arn is not authorized to perform: ssm:GetParameter on x",
            "access denied",
            "ssm:GetParameter",
        ),
        ("An error occurred (AccessDenied) when calling PutObject", "access denied", "AccessDenied"),
        (
            "Runtime.ImportModuleError: Unable to import module 'x': No module named 'pycommon'",
            "import error",
            "pycommon",
        ),
        ("Error: Cannot find module '@aws-sdk/client-ssm'", "import error", "@aws-sdk/client-ssm"),
        ("Runtime.ImportModuleError: Error: syntax", "import error", "ImportModuleError"),
        (
            "Invalid type for parameter TableName, value: None, type: <class 'NoneType'>",
            "missing variable",
            "TableName",
        ),
        ("ValueError: Required parameter name not set", "missing variable", "names a table"),
        ("Error: No value provided for input HTTP label: Bucket.", "missing variable", "Bucket"),
        ("Value null at 'tableName' failed to satisfy constraint", "missing variable", "tableName"),
        ("ResourceNotFoundException: Requested resource not found", "missing resource", "ResourceNotFoundException"),
    ],
)
def test_causes(message: str, kind: str, what: str) -> None:
    found = classify(message)
    assert found is not None
    assert found[0] == kind
    assert what in found[1]


@pytest.mark.parametrize("message", ["START RequestId: 1", "KeyError: 'name'", "all environment variables are set", ""])
def test_no_cause(message: str) -> None:
    assert classify(message) is None


def test_errors_are_grouped_by_cause_and_older_ones_do_not_count(aws: Aws, context: Context) -> None:
    write_log(aws, "a", *["KeyError: 'TABLE_X'"] * 30, "START")
    write_log(aws, "b", "KeyError: 'TABLE_X'", "Error: Cannot find module 'x\x1b[31m'")
    write_log(aws, "old", "KeyError: 'TABLE_OLD'", at=time.time() - 7_200)
    since = int((time.time() - 3_600) * 1_000)
    causes, unread = search(context, ["a", "b", "old", "never-called"], since)
    assert [(cause.kind, cause.count, cause.functions) for cause in causes] == [
        ("missing variable", 31, ("a", "b")),
        ("import error", 1, ("b",)),
    ]
    assert "\x1b" not in causes[1].text + causes[1].example
    assert unread == {}


def test_secrets_in_a_line_are_not_shown(aws: Aws, context: Context) -> None:
    write_log(aws, "f", "[ERROR] KeyError: 'TABLE_X' password=s3kr1t", "Error: Cannot find module 'token=s3kr1t'")
    write_log(aws, "f", "Error: Cannot find module 'https://u:a/s3kr1t@h/x'")
    found, _ = search(context, ["f"], int(time.time() * 1_000) - 60_000)
    assert len(found) == 3
    assert all("(hidden)" in cause.example and "s3kr1t" not in cause.example + cause.text for cause in found), found


def test_logs_that_may_not_be_read_are_unknown(context: Context) -> None:
    deny(context.account, "logs", "FilterLogEvents")
    causes, unread = search(context, ["a"], 0)
    assert causes == []
    assert list(unread) == ["a"]


def test_following_tells_each_new_error_once_and_by_cause(
    aws: Aws, context: Context, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(aws, "a", "KeyError: 'BEFORE'", at=time.time() - 60)
    start = int(time.time() * 1_000) - 10_000
    write_log(aws, "a", *["KeyError: 'TABLE_NOW'"] * 3)

    def meanwhile(seconds: float) -> None:  # a line that shows up late, with a time before that of the last one seen
        write_log(aws, "b", "KeyError: 'LATE'", at=time.time() - 5)

    monkeypatch.setattr(context.control, "sleep", meanwhile)
    found = follow(context, ["a", "b"], since=start, rounds=2)
    assert {(cause.count, cause.functions) for cause in found} == {(3, ("a",)), (1, ("b",))}
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 2
    assert said[0].startswith("a: the variable TABLE_NOW is missing (3 times)")
    assert "LATE" in said[1] and "BEFORE" not in caplog.text


def test_ending_to_follow_says_how_much_was_seen(
    aws: Aws, context: Context, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "wizard.service_logs")
    assert follow(context, []) == [], "not followed for ever where there is nothing to follow"
    write_log(aws, "a", "KeyError: 'TABLE_NOW'")
    monkeypatch.setattr(context.control, "sleep", lambda seconds: (context.control.cancel(), context.control.check()))
    with pytest.raises(Interrupted):
        follow(context, ["a"], since=int(time.time() * 1_000) - 10_000)
    assert "1 error in all, of 1 cause." in caplog.messages
