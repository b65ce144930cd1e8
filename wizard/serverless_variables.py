"""The `${…}` of the Serverless Framework: its syntax, and its expansion as far as given answers reach. Pure.

`${type(parameter):address, fallback, …}`: alternatives are tried from left to right, each may hold variables itself.
https://www.serverless.com/framework/docs/guides/variables (osls reads the same).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LONGEST = 64 * 1024  # characters of one expanded value; a real one is far below Parameter Store's 4 KB
_DEEPEST = 40  # variables in variables, or variables that lead to variables
_MOST = 500  # expansions for one value, so that doubling definitions end
_WIDEST = 8 * 1024  # characters of one `${…}`

_SOURCE = re.compile(r"(?P<type>[A-Za-z][A-Za-z0-9_-]*)(?:\((?P<parameter>[^()]*)\))?(?::(?P<address>.*))?", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """`${type(parameter):address}`, expanded: `ssm` `""` `/amplify/dev/x`; `file` `../var/dev-var.yml` `DEP_NAME`."""

    type: str
    parameter: str
    address: str


class Unanswered(Exception):
    """No alternative of a variable has an answer; the text is the variable as written."""


Answer = Callable[[Source, "Expansion"], str | None]


def expressions(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of every outermost `${…}`; one that is not closed is no variable."""
    start = text.find("${")
    while start >= 0:
        depth, at = 1, start + 2
        while at < len(text) and depth:
            if text.startswith("${", at):
                depth, at = depth + 1, at + 2
            else:
                depth, at = depth - (text[at] == "}"), at + 1
        if depth:  # not closed; one inside of it may be
            start = text.find("${", start + 2) if depth < _DEEPEST else -1
            continue
        yield start, at
        start = text.find("${", at)


def alternatives(expression: str) -> list[str]:
    """The comma-separated alternatives of one `${…}`; commas in quotes, parentheses and nested variables are theirs."""
    parts, depth, quote, begun = [], 0, "", 2
    inner_end = len(expression) - 1
    for at in range(2, inner_end):
        char = expression[at]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "({":
            depth += 1
        elif char in ")}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(expression[begun:at].strip())
            begun = at + 1
    parts.append(expression[begun:inner_end].strip())
    return parts


def literal(alternative: str) -> str | None:
    """The text of a quoted, numeric or boolean fallback; None when the alternative is a variable's address."""
    if len(alternative) >= 2 and alternative[0] == alternative[-1] and alternative[0] in "'\"":
        return alternative[1:-1]
    if alternative.lower() in ("true", "false"):
        return alternative.lower()
    if alternative == "null":
        return ""
    return alternative if re.fullmatch(r"[-+]?\d+(\.\d+)?", alternative) else None


class Expansion:
    """One value being expanded. It ends on cycles and on definitions that multiply, whatever they are."""

    def __init__(self, answer: Answer):
        self._answer = answer
        self._depth = 0
        self._count = 0

    def text(self, text: str) -> str:
        """`text` with every variable replaced; raises Unanswered with the first that has no answer."""
        parts, at = [], 0
        for start, end in expressions(text):
            parts += [text[at:start], self._expression(text[start:end])]
            at = end
        expanded = "".join([*parts, text[at:]])
        if len(expanded) > LONGEST:
            raise Unanswered(f"{text[:80]} grows beyond {LONGEST:,} characters")
        return expanded

    def source(self, alternative: str) -> Source | None:
        """What an alternative that is no literal reads; None when it is not an address (`${AWS::Region}`)."""
        match = _SOURCE.fullmatch(self.text(alternative))
        if match is None or (match["address"] is None and match["parameter"] is None):
            return None
        address = match["address"] or ""
        if address.startswith(":"):  # a pseudo parameter of CloudFormation, which no variable can answer
            return None
        return Source(match["type"], (match["parameter"] or "").strip(), address.strip())

    def ask(self, source: Source) -> str | None:
        """The answer for one source, counted, so that answers which lead back to themselves end."""
        with self._deeper(f"{source.type}:{source.address}"):
            return self._answer(source, self)

    def _expression(self, expression: str) -> str:
        if len(expression) > _WIDEST:
            raise Unanswered(f"{expression[:80]}… is too long")
        with self._deeper(expression):
            for alternative in alternatives(expression):
                try:
                    found = self._alternative(alternative)
                except Unanswered:
                    continue
                if found is not None:
                    return found
        raise Unanswered(expression)

    def _alternative(self, alternative: str) -> str | None:
        known = literal(alternative)
        if known is not None:
            return self.text(known)
        if alternative.startswith("${") and list(expressions(alternative)) == [(0, len(alternative))]:
            return self.text(alternative)
        source = self.source(alternative)
        return None if source is None else self.ask(source)

    @contextlib.contextmanager
    def _deeper(self, what: str) -> Iterator[None]:
        self._count += 1
        if self._depth >= _DEEPEST or self._count > _MOST:
            raise Unanswered(f"{what[:80]} leads back to itself")
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
