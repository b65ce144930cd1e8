"""The report as one page: no script, no other file, nothing loaded. Every text is escaped. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from wizard.evidence import Evidence
from wizard.report import IN_CELLS, PARTS, Bar, Cell, Grid, Section, sections, title, when
from wizard.text import plain

# One colour per part of a bar, told apart by their order and by the legend as well.
_COLOURS = {
    "cleaned": "#14532d", "verified": "#15803d", "applied": "#65a30d", "open": "#94a3b8", "kept": "#a16207",
    "resolved": "#0e7490", "rolled back": "#6d28d9", "conflicts": "#c2410c", "failed": "#b91c1c",
}  # fmt: skip
_OTHERS = ("#1d4ed8", "#0e7490", "#a16207", "#6d28d9", "#475569")
_WIDTH, _LABEL, _STEP = 900, 360, 24

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #8888; }
table { border-collapse: collapse; display: block; overflow-x: auto; max-width: 100%; }
th, td { border: 1px solid #8886; padding: .25rem .6rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { overflow-wrap: normal; }
td:not(.number) { min-width: 5.5rem; } td:first-child:not(.number) { min-width: 16rem; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font-family: ui-monospace, monospace; } svg { max-width: 100%; height: auto; } svg text { fill: currentColor; }
.legend span { display: inline-block; margin-right: 1rem; } .legend i { display: inline-block; width: .8em; height: .8em; }
"""


def page(evidence: Evidence) -> str:
    """The whole page."""
    name = escape(plain(title(evidence)))
    body = "\n".join(part for section in sections(evidence) for part in _section(section))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
        f"<p>Made {escape(when(evidence.made))} by amplify-migrate.</p>\n{body}\n</body>\n</html>\n"
    )


def _section(section: Section) -> Iterator[str]:
    yield f"<section>\n<h2>{escape(section.title)}</h2>"
    yield from (f"<p>{_with_code(sentence)}</p>" for sentence in section.sentences)
    if section.bars:
        yield chart(section.bars)
    if section.grid is not None:
        yield from _table(section.grid)
    if section.points:
        yield "<ul>"
        yield from (f"<li>{_with_code(point)}</li>" for point in section.points)
        yield "</ul>"
    yield "</section>"


def _table(grid: Grid) -> Iterator[str]:
    yield "<table>"
    if any(grid.columns):
        heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in grid.columns)
        yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    yield from (f"<tr>{''.join(map(_cell, row))}</tr>" for row in grid.rows)
    yield "</tbody>\n</table>"


def _cell(cell: Cell) -> str:
    if isinstance(cell, int):
        return f'<td class="number">{cell:,}</td>'
    return f"<td>{_marked(IN_CELLS.split(escape(plain(cell))))}</td>"


def _with_code(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    return _marked(escape(plain(text)).split("`"))


def _marked(parts: list[str]) -> str:
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def chart(bars: tuple[Bar, ...]) -> str:
    """Horizontal bars, stacked, all on one scale, with a legend and the numbers as text for those who cannot see them."""
    largest = max((sum(size for _, size in bar.parts) for bar in bars), default=0) or 1
    names = dict.fromkeys(name for bar in bars for name, _ in bar.parts)
    ordered = sorted(names, key=lambda name: PARTS.index(name) if name in PARTS else len(PARTS))
    colours = {name: _COLOURS.get(name) or _OTHERS[at % len(_OTHERS)] for at, name in enumerate(ordered)}
    height = _STEP * len(bars)
    drawn = [f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img">']
    for row, bar in enumerate(bars):
        top, left = row * _STEP, float(_LABEL)
        total = sum(size for _, size in bar.parts)
        label = escape(plain(bar.label, 58))
        drawn.append(f'<text x="{_LABEL - 8}" y="{top + 16}" text-anchor="end" font-size="12">{label}</text>')
        for name, size in bar.parts:
            width = size / largest * (_WIDTH - _LABEL - 80)
            drawn.append(
                f'<rect x="{left:.1f}" y="{top + 4}" width="{width:.1f}" height="16" fill="{colours[name]}">'
                f"<title>{escape(plain(name))}: {size:,}</title></rect>"
            )
            left += width
        drawn.append(f'<text x="{left + 6:.1f}" y="{top + 16}" font-size="12">{total:,}</text>')
    drawn.append("</svg>")
    legend = "".join(
        f'<span><i style="background:{colour}"></i> {escape(plain(name))}</span>' for name, colour in colours.items()
    )
    return f'<figure>{"".join(drawn)}<figcaption class="legend">{legend}</figcaption></figure>'
