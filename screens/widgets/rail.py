"""The steps from Step 0 to cleanup, each with the sign of its state, and the word where there is room."""

from __future__ import annotations

from textual.content import Content
from textual.widgets.option_list import Option

from screens.shown import STATES, text
from screens.widgets.options import Options
from wizard.journey import Status, Step

TITLE = 24  # columns of the longest title
WORD = 7  # columns of the longest state
HEAD = 7  # mark, sign, step id and the blanks between them


class Rail(Options):
    """Enter goes to a step. Rows are `▸✓ 1   Populate Parameter Store done`; narrow, a legend stands for the words."""

    _shown: tuple[tuple[Step, ...], dict[str, Status], str] | None = None

    def on_resize(self) -> None:
        """Words need room; the terminal may have changed while another screen lay over this one."""
        if self._shown is not None:
            self.show(*self._shown)

    def show(self, steps: tuple[Step, ...], statuses: dict[str, Status], current: str) -> None:
        """Draw all steps, the current one highlighted."""
        self._shown = steps, statuses, current
        words = self.size.width >= HEAD + TITLE + 1 + WORD
        options = [Option(self._row(step, statuses[step.id], step.id == current, words), id=step.id) for step in steps]
        if not words:
            options += [Option("", disabled=True), *(Option(line, disabled=True) for line in _legend())]
        highlighted = next(index for index, step in enumerate(steps) if step.id == current)
        if self.option_count == len(options):
            for index, option in enumerate(options):
                self.replace_option_prompt_at_index(index, option.prompt)
        else:
            self.clear_options()
            self.add_options(options)
        if not self.has_focus or self.highlighted is None:  # else a step is being chosen
            self.highlighted = highlighted

    def _row(self, step: Step, status: Status, current: bool, words: bool) -> Content:
        mark, word, colour = STATES[status.state]
        style = "bold" if current else ""
        return Content.assemble(
            Content.styled("▸" if current else " ", "bold"),
            Content.styled(mark, colour),
            Content.styled(text(f" {step.id:<4}{step.title:<{TITLE}}").plain, style),
            Content.styled(f" {word:<{WORD}}" if words else "", colour),
        )


def _legend() -> list[Content]:
    """What the signs mean, in two rows."""
    told = [f"{mark} {word}" for mark, word, _ in STATES.values()]
    return [text("  ".join(told[:3])), text("  ".join(told[3:]))]
