"""Which theme a terminal begins with, and whether the light one can be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from textual.color import Color

from screens.app import WizardApp
from screens.themes import DARK, LIGHT, theme_for
from tests.screens.test_wizard import at_step, press_action, until


@pytest.mark.parametrize(
    ("environ", "theme"),
    [
        ({}, DARK),
        ({"COLORFGBG": "15;0"}, DARK),
        ({"COLORFGBG": "0;15"}, LIGHT.name),
        ({"COLORFGBG": "0;default;7"}, LIGHT.name),
        ({"COLORFGBG": "0;15", "TEXTUAL_THEME": "textual-dark"}, DARK),
        ({"TEXTUAL_THEME": "textual-light"}, LIGHT.name),
    ],
)
def test_the_terminal_or_the_operator_says_whether_it_is_light(environ: dict[str, str], theme: str) -> None:
    assert theme_for(environ) == theme


def faint(app: WizardApp) -> Iterator[tuple[float, str]]:
    """Words on screen whose contrast is under what WCAG 2 asks for."""
    for line in app.screen._compositor.render_strips():
        for text, style, _ in line:
            if any(map(str.isalnum, text)) and style is not None and style.color and style.bgcolor:
                pair = [Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor)]
                if (contrast := ratio(*pair)) < 4.5:
                    yield contrast, text


def ratio(one: Color, other: Color) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: Color) -> float:
    """Relative luminance (WCAG 2)."""
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


@pytest.mark.parametrize("theme", [DARK, LIGHT.name])
async def test_every_word_can_be_read(app: WizardApp, theme: str) -> None:
    app.theme = theme
    async with app.run_test(size=(100, 40)) as pilot:
        await at_step(pilot, "1")
        await press_action(pilot, "populate-dry-run")
        await until(pilot, lambda: bool(getattr(app.screen, "outcome", None)))
        await pilot.pause(0.1)
        assert list(faint(app)) == []
        await pilot.press("enter")
        await at_step(pilot, "1")
        await pilot.press("l")
        await pilot.pause(0.1)
        assert list(faint(app)) == []
