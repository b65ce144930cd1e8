"""What a sitting leaves on the terminal when its face has gone: what was done, where the log is, how to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wizard.text import plain, total, wrapped

if TYPE_CHECKING:
    from wizard.session import Session

MARKS = {0: "done", 130: "stopped", 4: "declined", 3: "blocked"}  # of an outcome's code; all others are "not done"


def farewell(session: Session, width: int = 80) -> str:
    """For a terminal of `width` columns. Paths and the command stand on lines of their own, whole, to be copied."""
    lines = [
        wrapped(
            f"{MARKS.get(done.outcome.code, 'not done'):<9}step {done.step.id}, {done.action.label}:"
            f" {_gist(done.outcome.text)}",
            width,
            hang=9,
        )
        for done in session.history[-20:]
    ]
    ending = session.ending()
    if lines and ending:
        lines.append("")
    lines += [wrapped(f"- {line}" if number > 1 else line, width, hang=2) for number, line in enumerate(ending)]
    lines.append("")
    if (session.keeps or session.log_to) and session.log_file is not None:
        lines.append(f"Log: {session.log_file}")
    if session.keeps and session.context is not None:
        lines.append(f"Workspace: {session.context.workspace.folder}")
    if session.lasting:
        lines.append(f"{'Come back' if ending else 'Go on'} any time, from where this ended:")
    else:
        left = "of its AWS" if session.keeps else "of this"
        lines.append(f"Nothing {left} is kept. Another one, from the start:")
    return "\n".join([*lines, f"    {session.resume}"]).lstrip("\n")


def _gist(text: str) -> str:
    """What an outcome comes to: its sum, where it ends in one, else how it begins."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return plain(total(text) or "".join(lines[:1]), 300)
