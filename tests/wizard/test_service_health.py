"""Step V on an embedded AWS: what is wrong is found and grouped by cause, what cannot be seen is said."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard import storage_tables
from tests.wizard.checkout_fixture import write_checkout
from tests.wizard.faults import deny
from tests.wizard.test_service_logs import write_log
from wizard.context import Context
from wizard.events import Finding
from wizard.service_health import endpoint_problem, examine, look_at_environments, look_at_functions, look_at_roles

FUNCTION = "amplify-v6-admin-dev-config"


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


def test_functions_that_lack_what_the_checkout_gives_them(context: Context, tmp_path: Path) -> None:
    context.root = write_checkout(tmp_path)
    lambda_js = tmp_path / "amplify-lambda-js" / "serverless.yml"
    lambda_js.write_text(
        f"{lambda_js.read_text()}functions:\n  chat:\n    environment: {{ONLY_CHAT: x, AGENT: null}}\n"
    )
    some = {"COST_CALCULATIONS_DYNAMO_TABLE": "x", "REQUEST_STATE_DYNAMO_TABLE": "x", "AFTER_A_BARE_COMMENT": "x"}
    every = {**some, "AGENT": "x", "COSTS": "x", "ONLY_CHAT": "x"}
    functions = [
        {"FunctionName": "amplify-v6-amplify-js-dev-chat", "Environment": {"Variables": some}},
        {"FunctionName": "amplify-v6-amplify-js-dev-other", "Environment": {"Variables": every}},
        {"FunctionName": "amplify-v6-nobody-dev-other"},
    ]
    (finding,) = look_at_environments(context, functions)
    assert (finding.level, finding.place) == ("blocked", "amplify-v6-amplify-js-dev-chat")
    assert finding.text.endswith("amplify-lambda-js/serverless.yml: AGENT, COSTS, ONLY_CHAT")


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
    functions = [
        {"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/lambda"},
        {
            "FunctionName": "amplify-v6-lambda-basic-ops-dev-f",
            "Role": "arn:aws:iam::123456789012:role/goes-with-its-stack",
        },
    ]
    assert [finding.level for finding in look_at_roles(context, functions)] == ["unknown"]  # there is no such role
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
    assert endpoint_problem("http://u:s3kr1t/x@h/") == "no address, or not of an HTTP server"


def test_everything_at_once(aws: Aws, context: Context) -> None:
    storage_tables.create(aws.client("dynamodb"), storage_tables.NEW)
    role = aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    aws.client("lambda").create_function(
        FunctionName=FUNCTION, Role=role, Code={"ZipFile": b"x"}, Runtime="python3.11", Handler="a.b"
    )
    template = json.dumps({"Resources": {"T": {"Type": "AWS::SNS::Topic"}}})
    aws.client("cloudformation").create_stack(StackName="amplify-v6-admin-dev", TemplateBody=template)
    (absent,) = [one for one in examine(context).findings if one.level == "blocked"]
    assert (absent.place, absent.text) == ("amplify-v6-lambda-dev", "the stack is absent")
    aws.client("cloudformation").create_stack(StackName="amplify-v6-lambda-dev", TemplateBody=template)
    found: list[object] = []
    context.feed._listener = found.append
    assert examine(context).well
    write_log(aws, FUNCTION, "KeyError: 'TABLE_X'")
    health = examine(context)
    assert not health.well
    assert health.counts == {"stacks": 2, "tables": 1, "endpoints": 0, "functions": 1}
    assert [cause.functions for cause in health.causes] == [(FUNCTION,)]
    assert any(isinstance(event, Finding) and event.place == "r" for event in found)


def test_what_may_not_be_seen_stops_nothing_else(context: Context) -> None:
    for service in ("cloudformation", "lambda", "iam"):
        deny(context.account, service)
    health = examine(context)
    assert not health.well
    assert sorted(finding.place for finding in health.findings) == ["functions", "stacks"]
