"""Light or dark: Textual's dark theme, and a light one in which every word stands out enough to be read (4.5 to 1)."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

DARK = "textual-dark"
LIGHT = Theme(
    name="light",
    primary="#00508F",
    secondary="#00508F",
    accent="#7A3E00",
    warning="#7A4A00",
    error="#A0002C",
    success="#14602B",
    foreground="#101010",
    background="#FAFAFA",
    surface="#F0F0F0",
    panel="#E4E4E4",
    dark=False,
)


def theme_for(environ: Mapping[str, str]) -> str:
    """The theme to begin with: that of TEXTUAL_THEME, else light where the terminal says so (COLORFGBG, `0;15`)."""
    if chosen := environ.get("TEXTUAL_THEME"):
        return LIGHT.name if "light" in chosen else DARK
    return LIGHT.name if environ.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15") else DARK
