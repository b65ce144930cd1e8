"""The `serverless` command: where it is found, what it needs in its environment, and what it says when it fails."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from wizard.context import Context
from wizard.text import plain

NAMES = ("serverless", "sls", "osls")
_INSTALLED = Path("node_modules") / ".bin"  # where `npm install` in the checkout puts it
_COMPONENT = re.compile(r"^[\w.-]+ › ?")  # compose puts the service's name before each line of its output
_MARK = re.compile(r"^(?:Error|✖)(?:[: ]+|$)")
# What follows an error that is no part of it: the environment, links, compose repeating itself.
_AFTER = re.compile(
    r"^(?:Environment:|Credentials:|Docs:|Support:|Bugs:|Learn more|Verbose logs|error$|\d+ deprecation)"
)
_MOST_LINES = 6
_LAST_LINES = 3


def find(context: Context) -> list[str] | None:
    """The command as an argument list: the checkout's own, else the one on PATH; None where there is none.

    The sandbox brings a stand-in.
    """
    if context.sandbox:
        return [sys.executable, "-m", "wizard.sandbox.serverless"]
    own = str(Path(context.root, _INSTALLED).resolve()) if context.root else None
    for place in (own, None):
        for name in NAMES:
            if (own or place is None) and (path := shutil.which(name, path=place)):
                return [path]
    return None


def environment(context: Context, command: list[str]) -> dict[str, str]:
    """The environment to run it in: this run's account and region, and the command's folder on PATH.

    Compose starts the command again for each service, by its name.
    """
    given = context.account.environment()
    folder = str(Path(command[0]).parent)
    return {**given, "PATH": ":".join(part for part in (folder, given.get("PATH", "")) if part)}


def error_in(lines: Iterable[str]) -> str:
    """What the output gives as the error, in one line; its last words where it marks none."""
    texts = [_COMPONENT.sub("", line).strip() for line in lines]
    found: list[str] = []
    within = False
    for text in texts:
        if mark := _MARK.match(text):
            found, within = [text[mark.end() :]], True
        elif within and (_AFTER.match(text) or (not text and any(found))):
            within = False
        elif within:
            found.append(text)
    told = [part for part in found if part][:_MOST_LINES]
    last = [text for text in texts if text and not _AFTER.match(text)][-_LAST_LINES:]
    return plain(" ".join(told or last), 1_000)
