"""Text that may be longer than its place, and the words that say so."""

from __future__ import annotations

from textual import on
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.message import Message
from textual.widget import Widget

from screens.widgets.prose import Prose


class LongText(VerticalScroll):
    """Scrolls; says, whenever that changes, whether more follows."""

    class Moved(Message):
        """`hint` says how to see what does not fit, and on which side it is; "" where all is seen."""

        def __init__(self, hint: str):
            super().__init__()
            self.hint = hint

    _hint = ""

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._tell()

    @on(Resize)
    def _resized(self) -> None:
        self._fit()
        self.call_after_refresh(self._tell)

    def watch_virtual_size(self) -> None:
        self._fit()
        self._tell()

    def _fit(self) -> None:
        """Show a scrollbar only where the words need one without it: beside it they are longer, and it would stay."""
        place = self.outer_size
        rows = sum(words.get_content_height(place, place, place.width) for words in self.query_children(Prose))
        self.styles.overflow_y = "auto" if rows > place.height else "hidden"

    def _tell(self) -> None:
        hint = hint_of(self)
        if hint != self._hint:
            self._hint = hint
            self.post_message(self.Moved(hint))


def hint_of(scroll: Widget) -> str:
    """See `LongText.Moved`."""
    if not scroll.max_scroll_y:
        return ""
    return "↓ scroll: there is more" if round(scroll.scroll_y) < scroll.max_scroll_y else "↑ scroll: this is the end"
