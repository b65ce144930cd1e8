"""The question before a command that writes or destroys: where, what in numbers, and the yes or the word that it takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wizard.console import ask, say, somebody_is_there
from wizard.context import Context
from wizard.errors import Blocked, Declined
from wizard.events import Control
from wizard.journey import Outcome
from wizard.text import plain

Announcement = Callable[[argparse.Namespace, Context], Sequence[str] | None]
Run = Callable[[argparse.Namespace, Context], Outcome]


@dataclass(frozen=True)
class Preview:
    """The dry run that a command shows before it asks; `idle` tells from its details that nothing would be done."""

    run: Run
    idle: Callable[[Mapping[str, Any]], bool] = lambda details: False


def word_of(arguments: argparse.Namespace, context: Context | None) -> str:
    """The word that a destroying command asks for; "" where this way of it destroys nothing (`endpoint free --how wait`)."""
    word: str = arguments.word(arguments, context) if callable(arguments.word) else arguments.word
    return word


def writes(arguments: argparse.Namespace, context: Context | None) -> bool:
    """Whether this run of a command changes something in AWS."""
    if arguments.effect == "read" or arguments.dry_run:
        return False
    return arguments.effect == "write" or bool(word_of(arguments, context))


def gate(arguments: argparse.Namespace, context: Context | None, control: Control) -> None:
    """Ask before a command that `writes`.

    First the command's `announce` says what will happen, or that nothing will (None, and nothing is asked); it raises what
    the command itself would raise, so that nobody is asked for what is locked. Where an answer is wanted, the command's
    `preview` is shown as well. Raises Declined without a yes or the word, or without anybody to ask, Blocked where the
    preview is, and Interrupted when a signal comes instead of an answer.
    """
    where, lines, blocked = "", list[str](), False
    if context is not None:
        where = f" in {context.deployment.label} of account {context.account.id}"
        announced = arguments.announce(arguments, context) if arguments.announce else ()
        if announced is None:
            return
        lines += announced
    word = word_of(arguments, context) if arguments.effect == "destroy" else ""
    answered = arguments.yes if arguments.effect == "write" else _given(arguments, word)
    # A word is asked for what may be locked; a yes that nobody can give needs no look.
    if context is not None and arguments.preview and not answered and (word or somebody_is_there()):
        with context.account.only_looking():
            seen = arguments.preview.run(argparse.Namespace(**{**vars(arguments), "dry_run": True}), context)
        if arguments.preview.idle(seen.details):
            return
        lines += seen.text.splitlines()
        blocked = seen.code == Blocked.exit_code
    for line in lines:
        say(plain(line), sys.stderr)
    if blocked:
        raise Blocked("It cannot be done as long as that stands.")
    if answered:
        return
    if word:
        _ask_for_word(arguments, word, where, control)
    else:
        _ask_for_yes(where, control)


def _given(arguments: argparse.Namespace, word: str) -> bool:
    """Whether the word was given as an option; --force is the guide's spelling, for cleanup alone."""
    forced = bool(arguments.force) and arguments.command == "cleanup"
    return forced or str(arguments.confirm) == word


def _ask_for_word(arguments: argparse.Namespace, word: str, where: str, control: Control) -> None:
    if arguments.confirm:
        raise Declined(f"--confirm must be {word}; nothing was touched.")
    if not somebody_is_there():
        raise Declined(f"This destroys: give --confirm {word}. Nothing was touched.")
    if ask(f"This cannot be undone{where}. Type {word} to go on: ", control) != word:
        raise Declined("The word was not typed; nothing was touched.")


def _ask_for_yes(where: str, control: Control) -> None:
    if not somebody_is_there():
        raise Declined("This writes, and nobody is there to ask: give --yes. Nothing was touched.")
    if (ask(f"This writes{where}. Go on? [y/N] ", control) or "").strip().lower() not in ("y", "yes"):
        raise Declined("Declined; nothing was touched.")
