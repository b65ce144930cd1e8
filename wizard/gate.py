"""The question before a command that writes or destroys: where, what in numbers, and the yes or the word that it takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from wizard.console import ask, say, somebody_is_there
from wizard.context import Context
from wizard.errors import Declined
from wizard.events import Control
from wizard.journey import Outcome
from wizard.text import plain

Announcement = Callable[[argparse.Namespace, Context], Sequence[str] | None]
Run = Callable[[argparse.Namespace, Context], Outcome]


def word_of(arguments: argparse.Namespace, context: Context | None) -> str:
    """The word that a destroying command asks for; "" where this way of it destroys nothing (`endpoint free --how wait`)."""
    word: str = arguments.word(arguments, context) if callable(arguments.word) else arguments.word
    return word


def writes(arguments: argparse.Namespace, context: Context | None) -> bool:
    """Whether this run of a command changes something in AWS."""
    if arguments.effect == "read" or arguments.dry_run:
        return False
    return arguments.effect == "write" or bool(word_of(arguments, context))


def previewed(run: Run) -> Announcement:
    """Announce what the dry run of the same command says; nothing where the answer was given as an option."""

    def announce(arguments: argparse.Namespace, context: Context) -> Sequence[str]:
        if arguments.yes or arguments.confirm:
            return ()
        with context.account.only_looking():
            return run(argparse.Namespace(**{**vars(arguments), "dry_run": True}), context).text.splitlines()

    return announce


def gate(arguments: argparse.Namespace, context: Context | None, control: Control) -> None:
    """Ask before a command that writes or destroys.

    First a command's `announce` says what will happen, or that nothing will (None, and nothing is asked); it raises what
    the command itself would raise, so that nobody is asked for what is locked. Raises Declined without a yes or the word,
    or without anybody to ask, Interrupted when a signal comes instead of an answer.
    """
    if not writes(arguments, context):
        return
    where = ""
    if context is not None:
        where = f" in {context.deployment.label} of account {context.account.id}"
        lines = arguments.announce(arguments, context) if arguments.announce else ()
        if lines is None:
            return
        for line in lines:
            say(plain(line), sys.stderr)
    if arguments.effect == "destroy":
        _word(arguments, word_of(arguments, context), where, control)
    else:
        _yes(arguments, where, control)


def _word(arguments: argparse.Namespace, word: str, where: str, control: Control) -> None:
    forced = arguments.force and arguments.command == "cleanup"  # the guide's spelling, for cleanup alone
    if forced or arguments.confirm == word:
        return
    if arguments.confirm:
        raise Declined(f"--confirm must be {word}; nothing was touched.")
    if not somebody_is_there():
        raise Declined(f"This destroys: give --confirm {word}. Nothing was touched.")
    if ask(f"This cannot be undone{where}. Type {word} to go on: ", control) != word:
        raise Declined("The word was not typed; nothing was touched.")


def _yes(arguments: argparse.Namespace, where: str, control: Control) -> None:
    if arguments.yes:
        return
    if not somebody_is_there():
        raise Declined("This writes, and nobody is there to ask: give --yes. Nothing was touched.")
    if (ask(f"This writes{where}. Go on? [y/N] ", control) or "").strip().lower() not in ("y", "yes"):
        raise Declined("Declined; nothing was touched.")
