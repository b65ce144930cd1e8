"""How things are shown everywhere: foreign text as plain content, and a sign beside each word of state."""

from __future__ import annotations

from textual.content import Content

from wizard.text import plain, total

# Sign, word and theme colour; the sign and the word carry the meaning, the colour only helps.
STATES = {
    "done": ("✓", "done", "$text-success"),
    "skipped": ("–", "skipped", "$text-muted"),
    "open": ("○", "open", "$text-primary"),
    "locked": ("×", "locked", "$text-warning"),
    "unknown": ("?", "unknown", "$text-warning"),
}
LEVELS = {
    "ok": ("✓", "ok", "$text-success"),
    "attention": ("!", "attention", "$text-warning"),
    "blocked": ("×", "blocked", "$text-error"),
    "unknown": ("?", "unknown", "$text-warning"),
    "note": ("·", "note", "$text-muted"),
}
CODES = {
    0: ("✓", "done", "$text-success"),
    1: ("×", "not all was done", "$text-error"),
    2: ("×", "wrong input, nothing was touched", "$text-error"),
    3: ("!", "blocked", "$text-warning"),
    4: ("–", "declined, nothing was touched", "$text-muted"),
    130: ("!", "stopped", "$text-warning"),
}


def text(foreign: object) -> Content:
    """Foreign text, line by line, without markup or control characters."""
    return Content("\n".join(plain(line) for line in str(foreign).split("\n")))


def excerpt(words: str, more: str, head: int = 2, tail: int = 4) -> str:
    """A long text cut to its sum, then its first and its last lines; `more` says where the rest is."""
    words = words.rstrip()
    lines = words.split("\n")
    if len(lines) <= head + tail + 2:
        return words
    shown = head
    if sum_line := total(words):
        lines, shown = [sum_line, *words[: -len(sum_line)].rstrip().split("\n")], head + 1
    left = len(lines) - shown - tail
    return "\n".join([*lines[:shown], f"… {left:,} lines more: {more}", *lines[-tail:]])


def button(label: str) -> Content:
    """A button's label, in brackets, so that it is seen as a button without colours."""
    return text(f"[ {label} ]")


def sign(entry: tuple[str, str, str], words: object = "") -> Content:
    """`✓ done` in its colour, then foreign words."""
    mark, word, colour = entry
    head = Content.styled(f"{mark} {word}", colour)
    return Content.assemble(head, ": ", text(words)) if words else head
