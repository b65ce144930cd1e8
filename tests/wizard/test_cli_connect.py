"""From options to a context: the checkout, and what is said when AWS cannot be reached at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulators import free_port
from tests.wizard.cli_run import Cli, reach
from wizard.cli import build_parser
from wizard.deployment import Deployment


def test_a_closed_port_is_one_sentence_with_what_to_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reach(monkeypatch, f"http://127.0.0.1:{free_port()}")
    cli = Cli(Deployment("v6", "dev", "us-east-1"), tmp_path / "workspace", capsys)
    assert cli("preflight") == 3
    assert cli.printed[-1].splitlines()[-1].endswith("Check the network, the region and AWS_ENDPOINT_URL.")


def test_the_checkout_may_stand_before_the_command_or_after_it_or_without_one() -> None:
    root, verify = ["--root", "/new"], ["parameters", "verify"]
    for words in (root, [*root, *verify], [*verify, *root]):
        assert build_parser().parse_args(words).root == Path("/new")
    assert build_parser().parse_args(verify).root is None and build_parser().parse_args([]).root is None
