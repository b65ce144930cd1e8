"""`parameters populate | verify | restore` as a person or a script calls them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from tests.conftest import Aws
from tests.wizard.checkout_fixture import write_checkout
from wizard.commands import parameters
from wizard.context import Context
from wizard.journey import Outcome


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parameters.add(parser.add_subparsers(), argparse.ArgumentParser(add_help=False))
    return parser.parse_args(["parameters", *words])


def call(context: Context, *words: str) -> Outcome:
    arguments = parse(*words)
    outcome: Outcome = arguments.run(arguments, context)
    json.dumps(outcome.details)
    return outcome


def test_only_populate_and_restore_write() -> None:
    assert [getattr(parse(word), "effect", "read") for word in ("populate", "verify", "restore")] == [
        "write",
        "read",
        "write",
    ]


def test_from_the_dry_run_to_restored(context: Context, aws: Aws, tmp_path: Path) -> None:
    root = tmp_path / "backend"
    root.mkdir()
    write_checkout(root)
    name = "/amplify/dev/shared/MIN_ACU"
    client = aws.client("ssm")
    client.put_parameter(Name=name, Value="2", Type="String")
    context.account.read_only = True
    dry = call(context, "populate", "--dry-run", "--root", str(root))
    assert (dry.code, dry.details["counts"]["update"], dry.details["written"]) == (0, 1, 0)
    assert "2 → 0.5" in dry.text
    context.account.read_only = False
    assert call(context, "verify", "--root", str(root)).code == 1
    done = call(context, "populate", "--root", str(root))
    assert (done.code, done.details["written"]) == (0, 24)
    assert done.text.endswith("24 parameters written.")
    context.root = root
    assert call(context, "verify").code == 0
    assert call(context, "restore", "--dry-run").details["restored"] == [name]
    assert client.get_parameter(Name=name)["Parameter"]["Value"] == "0.5"
    assert call(context, "restore").code == 0
    assert client.get_parameter(Name=name)["Parameter"]["Value"] == "2"


@pytest.mark.parametrize("word", ["populate", "verify", "restore"])
def test_a_run_that_only_looks_sends_nothing_that_writes(context: Context, tmp_path: Path, word: str) -> None:
    root = tmp_path / "backend"
    root.mkdir()
    write_checkout(root)
    sent: list[str] = []
    client = context.account.client("ssm")
    client.meta.events.register("before-call.ssm", lambda model, **_: sent.append(model.name))
    dry = ["--dry-run"] if word != "verify" else []
    call(context, word, *dry, *(["--root", str(root)] if word != "restore" else []))
    assert sent and all(name.startswith(("Get", "Describe")) for name in sent)
