"""Questions over the current screen. The focus is never on the button that changes something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Footer, Input, Static

from screens.shown import button, text
from screens.steady import Steady
from screens.widgets.long_text import LongText
from screens.widgets.prose import Prose


def fit(asking: Screen[Any], beside: int) -> None:
    """Give the lines all rows but those `beside` them: a share of the height would be cut to rows that nobody uses."""
    for scroll in asking.query("#lines"):
        scroll.styles.max_height = max(3, asking.size.height - beside)


def tell_of_more(asking: Screen[Any], moved: LongText.Moved) -> None:
    """Say on the frame whether its lines go on; a dialog that was closed meanwhile has nothing left to say it on."""
    for dialog in asking.query("#dialog"):
        dialog.border_subtitle = moved.hint


class Asking(ModalScreen[bool], Steady[bool]):
    """A question whose lines may be longer than the terminal; arrow keys scroll them."""

    BESIDE = 7  # rows: frame, heading, buttons, footer and the blank ones between
    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("pageup", "scroll(-8)", show=False),
        Binding("pagedown", "scroll(8)", show=False),
        Binding("ctrl+q", "app.quit", "Quit"),
    ]

    def compose_lines(self, lines: Sequence[str]) -> ComposeResult:
        with LongText(id="lines", can_focus=False):
            yield Prose("\n".join(lines))

    def on_resize(self) -> None:
        fit(self, self.BESIDE)

    @on(LongText.Moved)
    def _moved(self, event: LongText.Moved) -> None:
        tell_of_more(self, event)

    def action_scroll(self, lines: int) -> None:
        self.query_one("#lines").scroll_relative(y=lines, animate=False)


class Ask(Asking):
    """Yes or no, by button or by `y` and `n`. `over` says that the question has become moot."""

    AUTO_FOCUS = "#no"
    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left,right", "other", "Other button", show=False),
        Binding("ctrl+c", "answer(False)", show=False, priority=True),
    ]

    def __init__(
        self,
        title: str,
        lines: Sequence[str],
        yes: str,
        no: str = "Cancel",
        *,
        over: Callable[[], bool] = lambda: False,
    ):
        super().__init__()
        self._heading, self._lines, self._yes, self._no = title, lines, yes, no
        self._over = over

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(text(self._heading), id="heading")
            yield from self.compose_lines(self._lines)
            with Horizontal(id="buttons"):
                yield Button(button(f"{self._no} (n)"), id="no", variant="primary", compact=True)
                yield Button(button(f"{self._yes} (y)"), id="yes", variant="error", compact=True)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.set_interval(0.2, self._close_when_over)

    def _close_when_over(self) -> None:
        if self._over():
            self.dismiss(False)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)

    def action_other(self) -> None:
        self.focus_next("Button")


class AskToStop(Ask):
    """Stop running work? A second Ctrl+C is a yes."""

    BINDINGS = [Binding("ctrl+c", "answer(True)", show=False, priority=True)]  # noqa: RUF012


class AskForWord(Asking):
    """Destroying asks for a word, typed exactly; anything else is refused and said so."""

    AUTO_FOCUS = "#word"
    BESIDE = 11  # the field, what is above it, and a refusal of two rows
    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("escape", "cancel", "Cancel", priority=True),
        Binding("ctrl+c", "cancel", show=False, priority=True),
    ]

    def __init__(self, title: str, lines: Sequence[str], word: str, yes: str):
        super().__init__()
        self._heading, self._lines, self._word, self._yes = title, lines, word, yes

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(text(self._heading), id="heading")
            yield from self.compose_lines(self._lines)
            yield Static(text(f"Type {self._word} to go on, exactly so:"), classes="label")
            yield Input(id="word", compact=True)
            yield Static("", id="refusal")
            with Horizontal(id="buttons"):
                yield Button(button("Cancel (Esc)"), id="no", variant="primary", compact=True)
                yield Button(button(self._yes), id="yes", variant="error", compact=True, disabled=True)
        yield Footer(compact=True)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.query_one("#yes", Button).disabled = event.value.strip() != self._word
        if event.value:
            self.query_one("#refusal", Static).update("")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self._word:
            self.dismiss(True)
            return
        typed = f"“{event.value.strip()}” is not {self._word}." if event.value.strip() else "Nothing was typed."
        self.query_one("#refusal", Static).update(text(f"× {typed} Nothing was done; type it again, or Esc."))
        event.input.value = ""

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_cancel(self) -> None:
        self.dismiss(False)


class Tell(ModalScreen[None], Steady[None]):
    """Something to read: help, or a failure with its cause, what to do, and where the log is."""

    AUTO_FOCUS = "#lines"
    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("escape,enter", "close", "Close", key_display="Esc or Enter", priority=True),
        Binding("question_mark,f1,ctrl+c", "close", show=False, priority=True),
        Binding("ctrl+q", "app.quit", "Quit"),
    ]

    def __init__(self, title: str, lines: Sequence[str]):
        super().__init__()
        self._heading, self._lines = title, lines

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(text(self._heading), id="heading")
            with LongText(id="lines"):
                yield Prose("\n".join(self._lines))
        yield Footer(compact=True)

    def on_resize(self) -> None:
        fit(self, 5)  # frame, heading with its blank row, footer

    @on(LongText.Moved)
    def _moved(self, event: LongText.Moved) -> None:
        tell_of_more(self, event)

    def action_close(self) -> None:
        self.dismiss(None)


class Arrival(Tell):
    """What is shown before anything else; its own type, so that it is not taken for another text."""


MINIMUM = (60, 15)  # columns, lines: below this the parts of a screen cover each other


def too_small(size: Size) -> bool:
    return size.width < MINIMUM[0] or size.height < MINIMUM[1]


class TooSmall(ModalScreen[None], Steady[None]):
    """One line while the terminal is too small; goes by itself."""

    def compose(self) -> ComposeResult:
        yield Static(id="too-small")

    def on_mount(self) -> None:
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def on_screen_resume(self) -> None:
        self._fit()

    def _fit(self) -> None:
        size = self.app.size
        self.query_one("#too-small", Static).update(
            text(f"The terminal is too small: 80x24 is needed, this is {size.width}x{size.height}. Ctrl+Q quits.")
        )
        if not too_small(size):
            self.dismiss()
