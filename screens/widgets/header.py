"""The line that always says where the next action would act."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from screens.shown import text
from wizard.session import Header

WIDE = 110  # columns that have room for the workspace as well


class WhereBar(Static):
    """Badge, account, region, deployment; the workspace where there is room. One line, never a relayout."""

    _header: Header | None = None
    _paused = False

    def show(self, header: Header, paused: bool) -> None:
        """Draw it, if it differs from what is drawn."""
        if (header, paused) != (self._header, self._paused):
            self._header, self._paused = header, paused
            self.refresh()

    def render(self) -> Content:
        header = self._header
        if header is None:
            return Content()
        badge = text(f" {header.badge} · PAUSED " if self._paused else f" {header.badge} ")
        parts = (header.account, header.region, header.deployment, header.endpoint)
        return Content.assemble(
            badge.stylize("bold $text on $error" if header.badge == "LIVE" else "bold $text on $success"),
            text(f" {' · '.join(part for part in parts if part)} ").stylize("bold"),
            text(header.workspace if self.app.size.width >= WIDE else "").stylize("$text-muted"),
        )
