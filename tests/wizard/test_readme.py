"""The README names what there is: every command with its options, every exit status, every picture that it shows."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from wizard.cli import build_parser
from wizard.errors import MigrateError
from wizard.guidance import LIMITATIONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLES = [line for line in README.splitlines() if line.startswith("|")]


def commands(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Each command that can be run, with the options that it alone has."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if words and not inner:
        own = [group for group in parser._action_groups if group.title != "options of every command"]
        actions = [action for group in own for action in group._group_actions]
        yield " ".join(words), {option for action in actions for option in action.option_strings if option[:2] == "--"}
    for action in inner:
        for name, child in action.choices.items():
            yield from commands(child, (*words, name))


@pytest.mark.parametrize(("command", "options"), [pytest.param(*one, id=one[0]) for one in commands(build_parser())])
def test_every_command_is_in_the_reference_with_its_options(command: str, options: set[str]) -> None:
    rows = [row for row in TABLES if f"`{command}`" in row.split("|")[1]]
    assert rows, "no row of the reference begins with it"
    if command != "sandbox":  # its row refers to that of `demo`
        assert not {option for option in options - {"--help"} if option not in "".join(rows)}


def test_every_exit_status_is_explained() -> None:
    statuses = {0, 1, *(kind.exit_code for kind in MigrateError.__subclasses__())}
    assert not [status for status in statuses if not any(row.startswith(f"| {status} |") for row in TABLES)]


def test_every_limitation_is_told() -> None:
    assert not [text for text in LIMITATIONS if text.removesuffix(".") not in README]


def test_every_picture_and_file_that_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links and not [link for link in links if not (ROOT / link).is_file()]
