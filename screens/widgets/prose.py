"""Foreign text that may be long: wrapped to the width it has, each line hanging under its own beginning."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

from wizard.text import plain

LIST_SIGNS = (
    "+",
    "-",
    "!",
    "·",
    "✓",
    "✗",
    "×",
    "~",
    "=",
    "?",
    "–",
    "#",
    "$",
)  # lines that begin so are entries of a list


def hanging(line: str, width: int) -> list[Content]:
    """One line as rows of at most `width` columns; those of an indented line or a list entry hang under its text."""
    line = plain(line).rstrip()
    words = line.lstrip()
    indent = line[: len(line) - len(words)]
    hang = indent + ("  " if indent or words.startswith(LIST_SIGNS) else "")
    first, *rest = Content(words).wrap(max(12, width - len(hang)))
    return [Content(indent) + first, *(Content(hang) + row for row in rest)]


class Prose(Static):
    """Words of any length; `entry` puts its sign before them, `✓ done: `, on a row of its own where they are several."""

    def __init__(
        self,
        words: object = "",
        entry: tuple[str, str, str] | None = None,
        *,
        joint: str = ":",
        classes: str | None = None,
        id: str | None = None,
    ):
        super().__init__(classes=classes, id=id)
        self._words, self._entry, self._joint = str(words), entry, joint

    def tell(self, words: object, entry: tuple[str, str, str] | None = None) -> None:
        """Show other words."""
        self._words, self._entry = str(words), entry
        self.refresh(layout=True)

    def rows(self, width: int) -> list[Content]:
        """What is drawn in that many columns."""
        lines = self._words.split("\n") if self._words else []
        if self._entry is None:
            return [row for line in lines for row in hanging(line, width)]
        mark, word, colour = self._entry
        head = f"{mark} {word}"
        if len(lines) == 1:
            lines = [f"{head}{self._joint} {lines[0]}"]
        else:
            lines.insert(0, head)
        rows = [row for line in lines for row in hanging(line, width)]
        return [rows[0].stylize(colour, 0, len(head)), *rows[1:]]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self.rows(width)))

    def render(self) -> Content:
        return Content("\n").join(self.rows(self.content_size.width or self.size.width))
