"""The report as Markdown. Cells hold what comes from outside and are escaped; our own sentences keep their `code`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from wizard.evidence import Evidence
from wizard.report import IN_CELLS, Cell, Grid, sections, title, when
from wizard.text import plain

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def markdown(evidence: Evidence) -> str:
    """The whole text."""
    lines = [f"# {_escape(title(evidence))}", "", f"Made {when(evidence.made)} by amplify-migrate."]
    for section in sections(evidence):
        lines += ["", f"## {section.title}"]
        for sentence in section.sentences:
            lines += ["", _with_code(sentence)]
        if section.grid is not None:
            lines += ["", *_rows(section.grid)]
        if section.points:
            lines += ["", *(f"- {_with_code(point)}" for point in section.points)]
    return "\n".join(lines) + "\n"


def _rows(grid: Grid) -> Iterable[str]:
    numbers = [all(isinstance(row[at], int) for row in grid.rows) for at in range(len(grid.columns))]
    yield _row(grid.columns)
    yield "|" + "|".join("---:" if number else "---" for number in numbers) + "|"
    yield from (_row(row) for row in grid.rows)


def _row(cells: Sequence[Cell]) -> str:
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else _cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return _marked(IN_CELLS.split(plain(text)))


def _escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", plain(text))


def _with_code(text: str) -> str:
    return _marked(plain(text).split("`"))


def _marked(parts: list[str]) -> str:
    return "".join(f"`{part}`" if at % 2 else _escape(part) for at, part in enumerate(parts))
