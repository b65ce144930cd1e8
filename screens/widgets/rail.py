"""The steps from Step 0 to cleanup, each with the sign and the word of its state."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from screens.shown import STATES, text
from wizard.journey import Status, Step


class Rail(OptionList):
    """Enter goes to a step. Rows are `✓ 1   Populate Param…    done`."""

    def show(self, steps: tuple[Step, ...], statuses: dict[str, Status], current: str) -> None:
        """Draw all steps, the current one highlighted."""
        width = max(20, self.size.width - 4)  # without padding and scrollbar
        options = [Option(self._row(step, statuses[step.id], step.id == current, width), id=step.id) for step in steps]
        highlighted = next(index for index, step in enumerate(steps) if step.id == current)
        if self.option_count == len(options):
            for option in options:
                self.replace_option_prompt(option.id or "", option.prompt)
        else:
            self.clear_options()
            self.add_options(options)
        self.highlighted = highlighted

    def _row(self, step: Step, status: Status, current: bool, width: int) -> Content:
        mark, word, colour = STATES[status.state]
        room = width - len(word) - 8
        title = step.title if len(step.title) <= room else step.title[: room - 1] + "…"
        name = Content.styled(f"{step.id:<4}{title:<{room}}", "bold" if current else "")
        return Content.assemble(
            Content.styled("▸" if current else " ", "bold"),
            Content.styled(mark, colour),
            " ",
            text(name.plain) if not current else name,
            " ",
            Content.styled(word, colour),
        )
