"""Ordinary lines and questions. Foreign text is made harmless, Ctrl-C is never swallowed, and the default is no."""

from __future__ import annotations

import contextlib
import shutil
import sys
import termios
from collections.abc import Mapping, Sequence

import questionary
from prompt_toolkit.application import get_app_session
from prompt_toolkit.input.typeahead import clear_typeahead

from wizard.forms import is_tick, unticked
from wizard.journey import Field
from wizard.text import plain, wrapped

TEXT_COLUMNS = 78  # no wider: prose is read, not looked up


def say(words: str = "", widest: int = 1_000, hang: int = 0) -> None:
    """One or more lines on stdout, wrapped between words; foreign text is made harmless."""
    width = min(max(shutil.get_terminal_size().columns, 20), widest)
    for line in words.split("\n"):
        print(wrapped(plain(line), width, hang), flush=True)


def told(words: str, hang: int = 0) -> None:
    """Prose."""
    say(words.strip(), TEXT_COLUMNS, hang)


def forget_what_was_typed() -> None:
    """What was typed before a question stood there is no answer to it."""
    with contextlib.suppress(OSError, ValueError, termios.error):
        clear_typeahead(get_app_session().input)
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def confirm(question: str) -> bool:
    """Yes or no; no is the default."""
    return bool(questionary.confirm(plain(question), default=False).unsafe_ask())


def ask_text(question: str, default: str = "") -> str:
    return str(questionary.text(plain(question), default=default).unsafe_ask()).strip()


def choose(question: str, options: Sequence[str], now: int | None = None) -> int:
    """The index of the option whose number is typed; Enter alone leaves it at `now`, where there is one."""
    for number, option in enumerate(options, 1):
        first, *more = option.split("\n")
        say("\n".join([f"  {number}. {first}", *(f"     {line}" for line in more)]), hang=3)

    def valid(typed: str) -> bool | str:
        if not typed.strip() and now is not None:
            return True
        return (typed.strip().isdecimal() and 1 <= int(typed) <= len(options)) or f"A number from 1 to {len(options)}."

    wanted = "number" if now is None else f"number; Enter: {now + 1}"
    typed = questionary.text(f"{question} ({wanted})", validate=valid).unsafe_ask().strip()
    return int(typed) - 1 if typed or now is None else now


def choose_named(question: str, options: Mapping[str, str]) -> str:
    """The name of the option whose name is typed, in any case."""
    for name, option in options.items():
        say(f"  {name:<4}{option}", hang=6)
    spelled = {name.casefold(): name for name in options}

    def valid(typed: str) -> bool | str:
        return typed.strip().casefold() in spelled or f"One of: {', '.join(options)}."

    return spelled[questionary.text(question, validate=valid).unsafe_ask().strip().casefold()]


def entered(field: Field, value: str) -> str:
    """One value, asked for as its kind needs."""
    label = f"{field.label}{f' ({field.option})' if field.option else ''}"
    if is_tick(field) and field.required and value == "yes":  # the facts say so, or you did
        say(f"{label}: yes")
        return value
    if field.help:
        say(f"  {field.help}")
    if is_tick(field):
        return "yes" if confirm(f"{field.label}?") else unticked(field)
    if field.choices:
        now = field.choices.index(value) if value in field.choices else None
        return field.choices[choose(label, [choice or "(not set)" for choice in field.choices], now)]
    return ask_text(f"{label}:", value)
