"""The sandbox as a whole: what `demo` and `sandbox` start."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import boto3
import pytest

from wizard.errors import BadInput
from wizard.sandbox.demo import start_demo
from wizard.sandbox.server import start


@pytest.mark.parametrize("release", ["v0.8.1", "half"])
def test_it_brings_everything_that_a_migration_needs(tmp_path, monkeypatch, release):
    # Whatever the environment says, the sandbox is on loopback with credentials of its own.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1:1")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    with start_demo(tmp_path / "demo", users=3, release=release) as demo:
        account = demo.account()
        assert demo.endpoint.startswith("http://127.0.0.1:")
        assert account.id == "123456789012"
        assert demo.csv.read_text().splitlines()[0] == "old_id,new_id"
        assert len(demo.csv.read_text().splitlines()) == 4
        assert (demo.root / "amplify-lambda" / "serverless.yml").exists()
        assert (demo.old_root is None) == demo.release.deployed
        assert account.call("apigateway", "get_rest_api", restApiId=demo.api_id)["name"] == "dev-amplify-v6-lambda"
        assert account.call("cognito-idp", "describe_user_pool", UserPoolId=demo.pool_id)["UserPool"]
        tables = account.call("dynamodb", "list_tables")["TableNames"]
        assert ("amplify-v6-lambda-dev-user-data-storage" in tables) == demo.release.deployed
        version = subprocess.run(["serverless", "--version"], env=demo.environment(), capture_output=True, text=True)
        assert "stand-in" in version.stdout


def test_a_taken_port_is_one_clear_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BadInput, match=r"Port \d+ of 127\.0\.0\.1 cannot be used"):
            start(taken.getsockname()[1])


def test_the_command_says_how_to_reach_it_and_ends_with_ctrl_c(tmp_path):
    script = (
        "import json, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell hands it down as ignored\n"
        "from wizard.cli import build_parser\n"
        "arguments = build_parser().parse_args(['sandbox', '--users', '2'])\n"
        "print(json.dumps(dict(arguments.run(arguments, None).details)))\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl+C" in line:
                break
        exported = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines if "export AWS" in line)
        sts = boto3.Session("sandbox", "sandbox-secret", region_name="us-east-1").client(
            "sts", endpoint_url=exported["AWS_ENDPOINT_URL"]
        )
        assert sts.get_caller_identity()["Account"] == "123456789012"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
        watchdog.cancel()
        assert process.returncode == 0, errors
    details = json.loads(rest)
    assert details["endpoint"] == exported["AWS_ENDPOINT_URL"]
    assert details["users"] == 2
    assert list(tmp_path.iterdir()) == []
