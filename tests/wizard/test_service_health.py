"""Step V on an embedded AWS: what is wrong is found and grouped by cause, what cannot be seen is said."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard import storage_tables
from tests.wizard.faults import deny
from wizard.context import Context
from wizard.events import Finding
from wizard.log_causes import classify
from wizard.service_health import endpoint_problem, examine, follow, look_at_functions, look_at_roles, search_logs

FUNCTION = "amplify-v6-admin-dev-config"


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
    causes, findings = search_logs(context, ["a", "b", "old", "never-called"], since)
    assert [(cause.kind, cause.count, cause.functions) for cause in causes] == [
        ("missing variable", 31, ("a", "b")),
        ("import error", 1, ("b",)),
    ]
    assert "\x1b" not in causes[1].text + causes[1].example
    assert findings == []


def test_logs_that_may_not_be_read_are_unknown(context: Context) -> None:
    deny(context.account, "logs", "FilterLogEvents")
    causes, findings = search_logs(context, ["a"], 0)
    assert causes == []
    assert [finding.level for finding in findings] == ["unknown"]


def test_following_sees_what_comes_later(aws: Aws, context: Context, caplog: pytest.LogCaptureFixture) -> None:
    write_log(aws, "a", "KeyError: 'BEFORE'", at=time.time() - 60)
    start = int(time.time() * 1_000) - 1_000
    write_log(aws, "a", "KeyError: 'TABLE_NOW'")
    assert follow(context, ["a"], since=start, rounds=1) == 1
    assert "TABLE_NOW" in caplog.text and "BEFORE" not in caplog.text


def test_functions() -> None:
    functions: list[dict[str, Any]] = [
        {"FunctionName": "fine", "State": "Active", "Environment": {"Variables": {"A": "b"}}},
        {"FunctionName": "asleep", "State": "Inactive"},
        {"FunctionName": "dead", "State": "Failed", "StateReason": "no subnet"},
        {"FunctionName": "stale", "State": "Active", "LastUpdateStatus": "Failed"},
        {"FunctionName": "empty", "Environment": {"Variables": {"A": " ", "B": "${ssm:/x}", "C": "c"}}},
    ]
    found = {finding.place: finding for finding in look_at_functions(functions)}
    assert set(found) == {"dead", "stale", "empty"}
    assert found["dead"].level == "blocked" and "no subnet" in found["dead"].text
    assert "A, B" in found["empty"].text


def simulate(context: Context, *denied: str) -> None:
    """IAM's simulator, which the embedded AWS lacks."""

    def reply(params: Any, **_: Any) -> Any:
        names = [value for key, value in params["body"].items() if key.startswith("ActionNames")]
        results = [
            {"EvalActionName": name, "EvalDecision": "implicitDeny" if name in denied else "allowed"} for name in names
        ]
        return Answer(), {"EvaluationResults": results, "IsTruncated": False}

    class Answer:
        status_code = 200

    context.account.client("iam").meta.events.register_last("before-call.iam.SimulatePrincipalPolicy", reply)


def test_roles_that_may_not_read_parameters(context: Context) -> None:
    functions = [{"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/lambda"}]
    assert [finding.level for finding in look_at_roles(context, functions)] == ["unknown"]
    simulate(context, "ssm:GetParametersByPath")
    found = look_at_roles(context, functions)
    assert [(finding.level, finding.place) for finding in found] == [("attention", "lambda")]
    assert found[0].text.startswith("ssm:GetParametersByPath not allowed to f")
    simulate(context)


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_health_addresses(server: str) -> None:
    assert endpoint_problem(f"{server}/200") == ""
    assert endpoint_problem(f"{server}/403") == ""
    assert endpoint_problem(f"{server}/502") == "answered 502"
    assert "does not answer" in endpoint_problem("http://127.0.0.1:1/")
    assert endpoint_problem("file:///etc/passwd") == "not an http(s) address"


def test_everything_at_once(aws: Aws, context: Context) -> None:
    storage_tables.create(aws.client("dynamodb"), storage_tables.NEW)
    role = aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    aws.client("lambda").create_function(
        FunctionName=FUNCTION, Role=role, Code={"ZipFile": b"x"}, Runtime="python3.11", Handler="a.b"
    )
    template = json.dumps({"Resources": {"T": {"Type": "AWS::SNS::Topic"}}})
    aws.client("cloudformation").create_stack(StackName="amplify-v6-admin-dev", TemplateBody=template)
    found: list[object] = []
    context.feed._listener = found.append
    assert examine(context).well
    write_log(aws, FUNCTION, "KeyError: 'TABLE_X'")
    health = examine(context)
    assert not health.well
    assert health.counts == {"stacks": 1, "tables": 1, "endpoints": 0, "functions": 1}
    assert [cause.functions for cause in health.causes] == [(FUNCTION,)]
    assert any(isinstance(event, Finding) and event.place == "execution roles" for event in found)


def test_what_may_not_be_seen_stops_nothing_else(context: Context) -> None:
    for service in ("cloudformation", "lambda", "iam"):
        deny(context.account, service)
    health = examine(context)
    assert not health.well
    assert sorted(finding.place for finding in health.findings) == ["functions", "stacks"]
