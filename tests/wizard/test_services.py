"""The order of services, and deploying them with the stand-in for `serverless` on an embedded AWS."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Aws
from tests.wizard.checkout_fixture import write_service
from tests.wizard.cli_run import options, reach
from tests.wizard.migration import network
from wizard import endpoint_free, locks, parameters
from wizard.cli import main, run_words
from wizard.commands import services as commands
from wizard.context import Context
from wizard.errors import BadInput, Blocked, Failed, Interrupted
from wizard.events import Control
from wizard.preflight import gather
from wizard.sandbox.checkout import shared_values, write_checkout
from wizard.sandbox.create import create_stacks
from wizard.sandbox.fidelity import teach
from wizard.sandbox.releases import TARGET, release
from wizard.service_health import look_at_stacks
from wizard.service_order import read_order, sort_names
from wizard.services import advice, commands_by_hand, deploy, unchanged, watch
from wizard.stacks import stack_states
from wizard.subprocesses import run_lines, split_lines, strip_control


@pytest.fixture
def ready(aws: Aws, context: Context, tmp_path: Path) -> Context:
    """A run of the sandbox in the checkout of the target release."""
    teach()
    folder = tmp_path / "checkout"
    context.root = write_checkout(folder, context.deployment, TARGET, shared_values(context.deployment, admins="doej1"))
    context.sandbox = True
    return context


def arguments(*words: str) -> Any:
    """The command line of `services …`."""
    import argparse

    parser = argparse.ArgumentParser()
    commands.add(parser.add_subparsers(), argparse.ArgumentParser(add_help=False))
    return parser.parse_args(["services", *words])


def test_a_line_to_be_copied_runs_nothing_that_a_directory_is_named(ready: Context) -> None:
    assert ready.root is not None
    for name in ("$(touch x)\u202e", "-P"):
        (ready.root / name).mkdir()
        (ready.root / name / "serverless.yml").write_text("service: odd\nprovider: {name: aws}\n")
    listed = run_words(["services", "list"], ready)
    assert "(cd '$(touch x)\\u202e' && serverless deploy" in listed.text and listed.text.replace("\n", "").isprintable()
    assert "(cd ./-P && serverless deploy" in listed.text


def test_a_service_that_cannot_be_read_is_told_and_all_are_not_deployed_without_it(ready: Context) -> None:
    assert ready.root is not None
    (ready.root / "amplify-lambda-ops" / "serverless.yml").write_text("service: [a\n")
    listed = run_words(["services", "list"], ready)
    assert "✗ amplify-lambda-ops/serverless.yml:2 is not YAML" in listed.text and len(listed.details["unread"]) == 1
    with pytest.raises(
        BadInput, match=r"Not every service can be read: amplify-lambda-ops/serverless\.yml:2 .* Correct"
    ):
        run_words(["services", "deploy", "--all"], ready)


def test_the_order_of_the_checkout(ready: Context) -> None:
    assert ready.root is not None
    order = read_order(ready.root, ready.deployment)
    names = [service.name for service in order.services]
    assert names[:3] == ["amplify-lambda", "amplify-assistants", "amplify-lambda-js"]
    assert len(names) == len(set(names)) == 15
    assert not any("basic-ops" in name for name in names)
    assert order.missing == ("amplify-lambda-optimizer (amplify-lambda-optimizer)",)
    outside = [service for service in order.services if not service.composed]
    assert {service.name for service in outside} == {
        "amplify-agent-loop-lambda",
        "amplify-lambda-assistants-api",
        "amplify-lambda-assistants-api-google",
        "amplify-lambda-assistants-api-office365",
    }
    assert names.index("amplify-lambda-admin") < names.index("amplify-agent-loop-lambda")
    lines = commands_by_hand(order.services, order, ready.deployment)
    assert lines[0] == "serverless amplify-lambda:deploy --stage dev"
    assert "(cd amplify-agent-loop-lambda && serverless deploy --stage dev)" in lines
    with pytest.raises(BadInput, match="nobody"):
        order.named(["nobody"])
    assert [service.name for service in order.named(["object-access", "amplify-lambda"])] == [
        "amplify-lambda",
        "amplify-object-access",
    ]


BOMB = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*{f'b{n - 1}' if n else 'a'}, *a]\n" for n in range(60))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"services: [a]", ""),
        (b"services: {amplify-lambda: 1, x: {path: [y]}, z: {path: object-access, dependsOn: {a: b}}}", ""),
        (b"services: {a: &a {path: a, dependsOn: [*a]}, b: !Odd {path: !Tag b}, <<: {c: {path: object-access}}}", ""),
        (f"{BOMB}services: {{a: {{path: object-access, dependsOn: *b59}}}}".encode(), ""),
        (b"", "not a mapping"),
        (b"- services", "not a mapping"),
        (b"services: \xff", "not UTF-8"),
        (b"services: " + b"[" * 20_000, "nest"),
        (b"x: " + b"a" * 1_000_001, "larger"),
    ],
    ids=["list", "odd entries", "cycles and tags", "bomb", "empty", "root list", "bytes", "deep", "large"],
)
def test_a_compose_file_of_any_kind_gives_an_order_or_one_complaint(ready: Context, text: bytes, says: str) -> None:
    assert ready.root is not None
    (ready.root / "serverless-compose.yml").write_bytes(text)
    if says:
        with pytest.raises(BadInput, match=rf"serverless-compose.yml.*{says}"):
            read_order(ready.root, ready.deployment)
    else:
        assert len(read_order(ready.root, ready.deployment).services) == 15


@given(st.dictionaries(st.sampled_from("abcdefg"), st.lists(st.sampled_from("abcdefgh"), max_size=4)))
def test_every_name_is_sorted_once_and_after_what_it_depends_on(depends: dict[str, list[str]]) -> None:
    names = sorted(depends)
    ordered = sort_names(names, depends)
    assert sorted(ordered) == names

    def reaches(start: str, goal: str, seen: frozenset[str] = frozenset()) -> bool:
        return any(
            other == goal or (other not in seen and reaches(other, goal, seen | {other}))
            for other in depends.get(start, ())
        )

    for name in names:
        for other in depends[name]:
            if other in depends and other != name and not reaches(other, name):
                assert ordered.index(other) < ordered.index(name)


def test_the_whole_way_from_the_old_release_to_verified_services(ready: Context) -> None:
    create_stacks(ready.account, ready.deployment, release("v0.8.1"))
    assert set(stack_states(ready).values()) == {"outdated"}
    listed = commands.run_list(arguments("list"), ready).details["services"]
    assert {row["state"] for row in listed} == {"outdated"}  # amplify-lambda's as well
    assert {finding.text for finding in look_at_stacks(ready)[1]} == {"the stack is outdated"}
    deploy_lambda, deploy_all = arguments("deploy", "amplify-lambda"), arguments("deploy", "--all")
    with pytest.raises(Blocked, match="step 2"):
        commands.run_deploy(deploy_lambda, ready)
    assert parameters.populate(ready).code == 0
    with pytest.raises(Blocked, match="basic-ops"):
        commands.run_deploy(deploy_lambda, ready)
    with pytest.raises(Blocked, match="4c"):
        commands.run_deploy(arguments("deploy", "amplify-object-access"), ready)
    assert endpoint_free.free(ready, "stack", poll=0.05).code == 0

    outcome = commands.run_deploy(deploy_lambda, ready)
    assert outcome.code == 0, outcome.text
    assert gather(ready, ["new_user_storage"]).value("new_user_storage")["exists"]

    outcome = commands.run_deploy(deploy_all, ready)
    assert outcome.code == 0, outcome.text
    assert outcome.details["services"]["amplify-lambda"].startswith("skipped: deployed")
    assert sum(result == "deployed" for result in outcome.details["services"].values()) == 14
    assert set(stack_states(ready).values()) <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    outcome = commands.run_list(arguments("list"), ready)
    assert all(row["skipped"] for row in outcome.details["services"])
    assert look_at_stacks(ready)[1] == []

    outcome = commands.run_verify(arguments("verify", "--tried", "login"), ready)
    assert outcome.code == 0, outcome.text
    assert outcome.details["findings"] == []  # roles included, which are read where no simulator is
    assert (outcome.details["counts"]["stacks"], outcome.details["counts"]["functions"]) == (15, 16)
    facts = gather(ready, ["verified_services", "tried", "services"])
    assert (facts.value("verified_services"), facts.value("tried")) == (True, ["login"])
    assert "not ticked: Open an old conversation" in facts.by_name["tried"].found and "login" not in outcome.text

    assert ready.root is not None
    (ready.root / "object-access" / "new.py").write_text("changed = True\n")
    order = read_order(ready.root, ready.deployment)
    assert not unchanged(ready, order.named(["object-access"])[0], order.root)
    (composed,) = order.named(["amplify-lambda"])
    assert unchanged(ready, composed, order.root)
    name = "/amplify/dev/shared/ADMINS"  # a deployment writes it into the functions' environment
    ready.account.call("ssm", "put_parameter", Name=name, Value="other", Overwrite=True)
    assert not unchanged(ready, composed, order.root)


def test_a_refused_deployment_stops_with_the_reason_and_goes_on_after_it(ready: Context) -> None:
    create_stacks(ready.account, ready.deployment, release("v0.8.1"))
    parameters.populate(ready)
    assert ready.root is not None
    order = read_order(ready.root, ready.deployment)
    outcome = deploy(ready, order.named(["amplify-lambda", "amplify-object-access"]), order)
    assert outcome.code == 1
    assert "Another resource with the same parent already has this name: user-data" in outcome.text
    assert "step 4b" in outcome.text
    assert outcome.details["left"] == ["amplify-object-access"]


def test_without_the_command_the_stacks_are_watched(aws: Aws, ready: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    ready.sandbox = False
    monkeypatch.setenv("PATH", "/nowhere")
    assert ready.root is not None
    order = read_order(ready.root, ready.deployment)
    chosen = order.named(["object-access"])
    outcome = watch(ready, chosen, order, patience=0.3)
    assert outcome.code == 3
    assert "serverless amplify-object-access:deploy --stage dev" in outcome.text

    template = '{"Resources": {"T": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "t"}}}}'

    def by_hand() -> None:
        time.sleep(0.5)
        aws.client("cloudformation").create_stack(StackName="amplify-v6-object-access-dev", TemplateBody=template)

    operator = threading.Thread(target=by_hand)
    operator.start()
    outcome = watch(ready, chosen, order, patience=20)
    operator.join()
    assert (outcome.code, outcome.details["services"]) == (0, {"amplify-object-access": "deployed"})
    outcome = watch(ready, chosen, order, patience=20)  # and goes on from there
    assert (outcome.code, outcome.details["commands"]) == (0, [])
    assert outcome.details["services"]["amplify-object-access"].startswith("skipped: deployed")


def test_a_command_that_fails_before_cloudformation_is_quoted_and_its_output_is_shown(
    aws: Aws, ready: Context, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ready.root is not None
    program = ready.root / "node_modules" / ".bin" / "serverless"  # the checkout's own comes before any on PATH
    program.parent.mkdir(parents=True)
    program.write_text(
        '#!/bin/sh\n[ "$(command -v serverless)" = "$0" ] || exit 9\n'
        "echo working with s3kr1t\nprintf 'Error:\\nNothing of the kind, token: abc\\n\\nDocs: x\\n'; exit 1\n"
    )
    program.chmod(0o755)
    definition = ready.root / "amplify-lambda" / "serverless.yml"
    mark = "# Locally Defined Variables\n"
    definition.write_text(definition.read_text().replace(mark, f"{mark}    DB_PASSWORD: s3kr1t\n", 1))
    reach(monkeypatch, aws.endpoint)
    monkeypatch.setattr("wizard.locks.require", lambda *_: None)
    common = ["--root", str(ready.root), *options(ready.deployment, ready.workspace.folder), "--yes"]
    assert main(["services", "deploy", "amplify-lambda", *common]) == 1
    out, err = capfd.readouterr()
    reason = "Nothing of the kind, token: (hidden)"
    assert out == f"amplify-lambda was not deployed: {reason}. Run it again then: it goes on here.\n"
    said = ["amplify-lambda: serverless amplify-lambda:deploy --stage dev", "working with (hidden)"]
    assert err.splitlines()[1:3] == said


def test_a_service_of_another_name_is_found_by_its_stack(ready: Context, aws: Aws) -> None:
    assert ready.root is not None
    write_service(ready.root, "private", "service: somebody-elses\nprovider: {stackName: called-otherwise}\n")
    assert stack_states(ready)["called-otherwise"] == "absent"
    template = '{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    aws.client("cloudformation").create_stack(StackName="called-otherwise", TemplateBody=template)
    assert stack_states(ready)["called-otherwise"] == "outdated"  # as long as amplify-lambda is of the release before


def test_a_service_that_would_go_elsewhere_gets_the_region(ready: Context) -> None:
    assert ready.root is not None
    path = ready.root / "object-access" / "serverless.yml"
    for written, arguments_ in (
        ("us-east-1", []),
        ("${opt:region, 'us-east-1'}", []),
        ("${opt:region, 'eu-west-1'}", ["--region", "us-east-1"]),
        ("${env:NOBODY_KNOWS}", ["--region", "us-east-1"]),
    ):
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("  region:"))
        path.write_text(text.replace("provider:\n", f"provider:\n  region: {written}\n"))
        (service,) = read_order(ready.root, ready.deployment).named(["object-access"])
        assert service.command(ready.deployment) == ["amplify-object-access:deploy", "--stage", "dev", *arguments_]


def test_the_checkout_of_one_command_is_not_that_of_the_next(ready: Context, tmp_path: Path) -> None:
    other = write_checkout(tmp_path / "other", ready.deployment, release("v0.8.1"), {})
    listed = run_words(["services", "check", "--root", str(other)], ready)
    assert "basic-ops" in listed.text and ready.root == tmp_path / "checkout"


def test_locks_name_the_step(ready: Context) -> None:
    with pytest.raises(Blocked, match=r"Step 4c is locked: not every reference .* \(step 2\)"):
        locks.require(ready, "4c")
    ready.account.client("ssm").meta.events.register_first(
        "before-send.ssm", lambda request, **_: network.reply(request, 400, "ExpiredTokenException", "no longer")
    )
    with pytest.raises(Blocked, match=r"\(step 2\)\. .* could not be seen: .*ExpiredTokenException: no longer"):
        locks.require(ready, "4c")
    ready.root = None
    with pytest.raises(Blocked, match="checkout"):
        locks.require(ready, "4b")


@pytest.mark.parametrize("words", [("deploy",), ("deploy", "--all", "amplify-lambda")])
def test_names_or_all(ready: Context, words: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="--all"):
        commands.run_deploy(arguments(*words), ready)


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        ("Another resource with the same parent already has this name: user-data", "4b"),
        ("Cannot resolve variable: ssm parameter /a not found", "steps 1 and 2"),
        ("No export named dev-RestApiId found", "4c"),
        ("User is not authorized to perform: iam:CreateRole", "permission"),
        ('The osls version (4.3.1) does not satisfy the "frameworkVersion" (3) in serverless.yml', "serverless@3"),
        ('Make sure the "@serverless/compose" package is required', "npm install"),
        ("something else", ""),
    ],
)
def test_advice(reason: str, step: str) -> None:
    assert step in advice(reason)


# --- running a command ------------------------------------------------------------------------------------------------


def run(script: str, control: Control | None = None) -> tuple[int, list[str]]:
    lines: list[str] = []
    environment = {"PATH": os.environ["PATH"]}
    code = run_lines(["sh", "-c", script], Path("/"), environment, control or Control(), lines.append)
    return code, lines


def test_output_comes_as_plain_lines() -> None:
    code, lines = run(r"printf '\033[31mred\033[0m\r\nspin\rspin\rdone\n'; printf '\033]0;title\007x' >&2; exit 3")
    assert code == 3
    assert lines == ["red", "spin", "done", "x"]


def test_a_command_sees_a_terminal_and_no_input() -> None:
    assert run("test -t 1 && echo terminal; read x || echo nothing")[1] == ["terminal", "nothing"]


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(Failed, match="could not be started"):
        run_lines(["/nowhere/serverless"], Path("/"), {}, Control(), print)


def test_cancel_interrupts_the_command_and_its_children() -> None:
    control = Control()
    threading.Timer(0.5, control.cancel).start()
    with pytest.raises(Interrupted):
        run("sleep 600 | cat", control)


@given(st.text(), st.integers(0, 20))
def test_lines_do_not_depend_on_where_the_output_is_cut(text: str, at: int) -> None:
    whole, rest = split_lines(text)
    first, pending = split_lines(text[:at])
    second, last = split_lines(pending + text[at:])
    assert [line for line in first + second if line] + [last] == [line for line in whole if line] + [rest]


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    assert not any(ord(char) < 32 or ord(char) == 127 for char in strip_control(text))
