"""Ordinary lines and questions. Foreign text is made harmless, Ctrl-C is never swallowed, and the default is no."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import questionary

from wizard.forms import is_tick, unticked
from wizard.journey import Field
from wizard.text import plain


def say(words: str = "") -> None:
    """One or more lines on stdout; foreign text is made harmless."""
    for line in words.split("\n"):
        print(plain(line), flush=True)


def told(words: str) -> None:
    """A paragraph, wrapped."""
    for paragraph in words.strip().split("\n"):
        say(textwrap.fill(plain(paragraph), 78, break_on_hyphens=False, break_long_words=False))


def confirm(question: str) -> bool:
    """Yes or no; no is the default."""
    return bool(questionary.confirm(plain(question), default=False).unsafe_ask())


def ask_text(question: str, default: str = "") -> str:
    return str(questionary.text(plain(question), default=default).unsafe_ask()).strip()


def choose(question: str, options: Sequence[str], now: int | None = None) -> int:
    """The index of the option whose number is typed; Enter alone leaves it at `now`, where there is one."""
    for number, option in enumerate(options, 1):
        say(f"  {number}. {option}")

    def valid(typed: str) -> bool | str:
        if not typed.strip() and now is not None:
            return True
        return (typed.strip().isdecimal() and 1 <= int(typed) <= len(options)) or f"A number from 1 to {len(options)}."

    wanted = "number" if now is None else f"number; Enter: {now + 1}"
    typed = questionary.text(f"{question} ({wanted})", validate=valid).unsafe_ask().strip()
    return int(typed) - 1 if typed or now is None else now


def entered(field: Field, value: str) -> str:
    """One value, asked for as its kind needs."""
    if field.help:
        say(f"  {field.help}")
    label = f"{field.label}{f' ({field.option})' if field.option else ''}"
    if is_tick(field):
        return "yes" if confirm(f"{label}?") else unticked(field)
    if field.choices:
        now = field.choices.index(value) if value in field.choices else None
        return field.choices[choose(label, [choice or "(not set)" for choice in field.choices], now)]
    return ask_text(f"{label}:", value)
