"""Which face starts: the screens, plain prompts, or none that asks (README, "Screens, plain prompts, no questions")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

Face = Literal["textual", "plain", "none"]


class Stream(Protocol):
    """A standard stream."""

    def isatty(self) -> bool: ...


def face(
    plain: bool, auto: bool, stdin: Stream | None, stdout: Stream | None, stderr: Stream | None,
    environ: Mapping[str, str],
) -> Face:  # fmt: skip
    """The face for these streams and this environment; "none" means that a missing value is an error."""
    if auto or not _terminal(stdin) or not _terminal(stdout):
        return "none"
    wants_plain = plain or environ.get("ACCESSIBLE", "") not in ("", "0")
    capable = _terminal(stderr) and environ.get("TERM", "") not in ("", "dumb", "unknown") and not environ.get("CI")
    return "textual" if capable and not wants_plain else "plain"


def _terminal(stream: Stream | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def fragile_line(environ: Mapping[str, str]) -> bool:
    """Whether this runs over ssh outside tmux and screen, where a dropped line ends the work."""
    return bool(environ.get("SSH_CONNECTION")) and not environ.get("TMUX") and not environ.get("STY")


FRAGILE = (
    "You are on ssh outside tmux or screen: when the line drops, work stops (and goes on from there"
    " when you start again). Better: quit, start tmux, and come back."
)
