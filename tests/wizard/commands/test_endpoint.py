"""`endpoint show | free` as a person or a script calls them."""

from __future__ import annotations

import argparse
import json

import pytest

from tests.conftest import Aws
from tests.wizard.cli_run import Cli, reach
from tests.wizard.test_endpoint import BASIC, Deployed, ready
from wizard.commands import endpoint
from wizard.context import Context
from wizard.errors import Blocked
from wizard.journey import Outcome
from wizard.sandbox.fidelity import teach

__all__ = ["ready"]  # the fixture


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    endpoint.add(parser.add_subparsers(), argparse.ArgumentParser(add_help=False))
    return parser.parse_args(words)


def call(context: Context, *words: str) -> Outcome:
    """Parse and run, as the command line does; what --json would print must be JSON."""
    arguments = parse(*words)
    outcome: Outcome = arguments.run(arguments, context)
    json.dumps(outcome.details)
    return outcome


def test_show_names_the_owner_and_the_ways_out(aws: Aws, context: Context) -> None:
    teach()
    deployed = Deployed(aws)
    deployed.amplify_lambda()
    deployed.basic_ops()
    outcome = call(context, "endpoint", "show")
    assert outcome.code == 0
    assert outcome.details["endpoint"]["owner"] == "basic-ops"
    assert "/user-data: basic-ops (resource " in outcome.text
    assert "Redeploy basic-ops without its http event" in outcome.text


def test_show_of_a_free_path_is_short(context: Context) -> None:
    outcome = call(context, "endpoint", "show")
    assert outcome.text.splitlines()[0] == "/user-data: nobody"
    assert outcome.details["by_hand"] == []


@pytest.mark.parametrize("words", [("stack",), ("stack", "--dry-run"), ("wait", "--dry-run"), ("wait",)], ids=" ".join)
def test_with_nothing_to_free_the_document_has_the_same_fields(context: Context, words: tuple[str, ...]) -> None:
    details = call(context, "endpoint", "free", "--how", *words).details
    assert set(details) == {"state", "how", "dry_run"} and details["dry_run"] == ("--dry-run" in words)


def test_free_is_locked_before_steps_1_and_2(aws: Aws, context: Context) -> None:
    teach()
    deployed = Deployed(aws)
    deployed.amplify_lambda()
    deployed.basic_ops()
    with pytest.raises(Blocked) as stopped:
        call(context, "endpoint", "free", "--how", "stack", "--dry-run")
    assert stopped.value.exit_code == 3


def test_only_what_destroys_asks_for_the_word(aws: Aws, context: Context) -> None:
    ways = {how: parse("endpoint", "free", "--how", how) for how in ("stack", "serverless", "resource", "wait")}
    assert {endpoint.word(arguments, context) for arguments in ways.values()} == {""}, "nothing is there to free"
    teach()
    deployed = Deployed(aws)
    deployed.amplify_lambda()
    deployed.basic_ops()
    assert {how: endpoint.word(arguments, context) for how, arguments in ways.items()} == {
        "stack": "amplify-v6-lambda-basic-ops-dev",
        "serverless": "amplify-v6-lambda-basic-ops-dev",
        "resource": "amplify-v6-lambda-basic-ops-dev",
        "wait": "",
    }


def test_watching_asks_nothing_and_what_is_done_is_shown_as_it_happens(
    aws: Aws, ready: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    teach()
    reach(monkeypatch, aws.endpoint)
    cli = Cli(ready.deployment, ready.workspace.folder, capsys)
    assert cli("endpoint", "free", "--how", "wait") == 0
    deployed = Deployed(aws)
    deployed.amplify_lambda()
    deployed.basic_ops()
    where = ("--root", str(ready.root))
    assert cli("endpoint", "free", "--how", "stack", *where) == 4
    assert cli("endpoint", "free", "--how", "stack", "--confirm", "amplify-v6", *where) == 4
    assert BASIC in [stack["StackName"] for stack in deployed.formation.describe_stacks()["Stacks"]]
    assert cli("endpoint", "free", "--how", "stack", "--confirm", BASIC, *where) == 0
    assert f"Deleting the stack {BASIC}" in cli.printed[-1]
    assert BASIC not in [stack["StackName"] for stack in deployed.formation.describe_stacks()["Stacks"]]
