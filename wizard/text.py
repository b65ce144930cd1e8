"""Foreign text made harmless: what comes from AWS, a CSV or a file is shown, never interpreted by a terminal."""

from __future__ import annotations

import html
import json
import os
import re
import textwrap
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# Temporary credentials and signatures as requests carry them: a presigned URL in an item, or the canonical request that
# AWS quotes when it refuses a signature.
_CREDENTIAL = re.compile(
    r"((?:x-amz-security-token|x-amz-signature|x-amz-credential)(?:[:=]|%3d)\s*|aws4-hmac-sha256 credential=|signature=)"
    r"[^\s&\"'<>\\,]+",
    re.IGNORECASE,
)


# Before the host of an address: a user and a password, or a token. A password may hold @ and /, where what follows the colon
# is no port; not more is looked at than is needed, as hostile text is long.
_USER_OF_URL = re.compile(r"(://)(?:[^/\s:@\"<>\[]{0,200}:(?!\d{1,5}(?:/|$))[^\s\"<>]{1,500}|[^/\s?#\"<>]{1,500})@")


def without_credentials(text: str) -> str:
    """`text` less session tokens, signatures, and what addresses have before their host."""
    folded = text.lower()  # faster than letting the pattern look for its beginnings
    if "x-amz-" in folded or "signature=" in folded or "aws4-hmac" in folded:
        text = _CREDENTIAL.sub(r"\1(hidden)", text)
    return _USER_OF_URL.sub(r"\1(hidden)@", text) if "://" in text else text


# What shows by itself that it is a secret: private keys, JWTs, and keys of OpenAI, Stripe, GitHub, Google and Slack.
_TOKEN = re.compile(
    r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|$)|\beyJ[\w-]{6,}\.[\w.-]+|\b[rs]k[-_](?=[\w-]{0,60}\d)[\w-]{8,}"
    r"|\bgh[a-z]_\w{30,}|\bgithub_pat_\w+|\bAIza[\w-]{30,}|\bxox[a-z]-[\w-]+|(?<=hooks\.slack\.com/)[^\s\"']+",
    re.DOTALL,
)
# `password=…`, `"apiKey": "…"` (also in JSON within JSON), `Authorization: Bearer …`; not the `:secret:` of an ARN, and
# not a second name (`password= token=…`).
_NAMED = re.compile(
    r"((?<!\d:)(?:password|passwd|passphrase|pwd|secret(?:_?access_?key)?|(?<!expired)(?<!invalid)token|api[_-]?key"
    r"|private[_-]?key|authorization|cookie)(?:\\*[\"'])?\s*[=:]\s*(?![\w-]+[=:]\s)|\bbearer\s+)"
    r"(?:\"(?:\\.|[^\"\\])*(?:\"|$)|'(?:\\.|[^'\\])*(?:'|$)|(\\+[\"']).*?(?:\2|$)"
    r"|(?:(?:bearer|basic|token)\s+)?[^\s\"']+)",
    re.IGNORECASE | re.DOTALL,
)


def without_secrets(text: str) -> str:
    """What another program said, less all in it that looks like a secret: rather a word too many."""
    return _NAMED.sub(r"\1(hidden)", _TOKEN.sub("(hidden)", without_credentials(text)))


def without(secrets: Iterable[str], text: str) -> str:
    """`text` less these, however JSON or HTML spell them. What is shorter than four characters tells nothing, and stays."""
    for secret in sorted({one for one in secrets if len(one) >= 4}, key=len, reverse=True):
        for spelt in (secret, json.dumps(secret)[1:-1], html.escape(secret)):
            text = text.replace(spelt, "(hidden)")
    return text


def plain(text: object, limit: int = 0) -> str:
    """`text` with control, format (bidirectional marks) and surrogate characters as visible `\\x1b` escapes, and without
    the credentials of a signed request.

    `limit` > 0 cuts to that many characters and ends the cut text in `…`.
    """
    shown = without_credentials(str(text))
    if not shown.isprintable():  # true of nearly every log line, and much faster than looking at each character
        shown = "".join(
            char.encode("unicode_escape").decode("ascii") if unicodedata.category(char)[0] == "C" else char
            for char in shown
        )
    return shown if limit <= 0 or len(shown) <= limit else shown[: limit - 1] + "…"


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 row`, `2 rows`, `1,200 rows`; `many` for nouns that do not simply take an s."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


_COMMAND = re.compile(r"\s*(\d\d:\d\d:\d\d )?(\$ |\(cd |amplify-migrate |aws |serverless )")
_QUOTED = re.compile(r"`[^`]*`")


def wrapped(text: str, width: int, hang: int = 0) -> str:
    """`text` wrapped between words, line by line, for a terminal of `width` columns. Names, paths and what stands in
    `backquotes` are never broken.

    What goes on below is indented as its line is, and `hang` more. A command stays on one line, however long: it is
    there to be copied.
    """
    return "\n".join(
        line if len(line) <= width or _COMMAND.match(line) else _filled(line, width, hang) for line in text.split("\n")
    )


def _filled(line: str, width: int, hang: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + hang)
    whole = _QUOTED.sub(lambda quoted: quoted[0].replace(" ", "\0"), line)
    filled = textwrap.fill(whole, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    return filled.replace("\0", " ")


def at_minute(moment: str) -> str:
    """`2026-01-31 12:00 UTC` of an ISO 8601 time in UTC."""
    return f"{moment[:16].replace('T', ' ')} UTC"


def total(text: str) -> str:
    """What a text of several lines comes to: its last line, where the commands put the sum; "" where it is no sentence."""
    before, _, last = text.rstrip().rpartition("\n")
    return last if before and last[:1].isalnum() and last.endswith(".") else ""


def sentences(text: str, todo: str) -> str:
    """What was found and what to do about it, as sentences of one line."""
    stop = "" if text.endswith((".", "!", "?", ":")) else "."
    return f"{text}{stop} {todo}" if todo else text


def under_home(path: Path) -> str:
    """A path as a person writes it: `~/…` below the home directory."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - without a home this stays as it is, Path.home() raises
    return f"~/{path.relative_to(home)}" if path != home and path.is_relative_to(home) else str(path)
