"""The sandbox as a command, on a terminal of its own and without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.screens.terminal import Terminal
from wizard.cli import build_parser, main
from wizard.commands.demo import _again

NAMES = ("--dep-name", "zz9", "--stage", "prod", "--region", "eu-west-3")


def test_one_ctrl_c_ends_the_sandbox_and_leaves_nothing(tmp_path: Path) -> None:
    """It has the names that were asked for, whatever the environment says."""
    real = {"DEP_NAME": "v6", "STAGE": "dev", "AWS_REGION": "us-west-2"}
    with Terminal("wizard", "sandbox", "--users", "2", *NAMES, lines=40, TMPDIR=str(tmp_path), **real) as terminal:
        terminal.until("Ctrl+C ends it and forgets everything.", 120)
        for told in ("the deployment zz9/prod", "export DEP_NAME=zz9", "export STAGE=prod", "AWS_REGION=eu-west-3"):
            assert told in terminal.text
        terminal.type("\x03")
        assert terminal.ends(60) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "name", "why"),
    [
        ("--dep-name", "no_such", "letters, digits and -"),
        ("--stage", "a-b", "letters and digits only"),
        ("--region", "nowhere-1", "is no region of AWS"),
        ("--dep-name", "a" * 31, "63 characters"),
    ],
)
def test_names_that_no_account_could_hold_are_refused(
    option: str, name: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sandbox", option, name]) == 2
    assert why in capsys.readouterr().err


def test_another_demo_like_this_one_has_its_names() -> None:
    arguments = build_parser().parse_args(["demo", "--users", "3", *NAMES])
    assert _again(arguments) == "amplify-migrate demo --users=3 --dep-name=zz9 --stage=prod --region=eu-west-3"
