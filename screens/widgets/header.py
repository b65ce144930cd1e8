"""The line that always says where the next action would act."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from screens.shown import text
from wizard.session import Header


class WhereBar(Horizontal):
    """Badge, account, region, deployment; the workspace where there is room."""

    def compose(self) -> ComposeResult:
        yield Static("", id="badge")
        yield Static("", id="where")
        yield Static("", id="workspace")

    def show(self, header: Header, paused: bool) -> None:
        badge = f"{header.badge} · PAUSED" if paused else header.badge
        badge_line = self.query_one("#badge", Static)
        badge_line.update(text(f" {badge} "))
        badge_line.set_class(header.badge == "LIVE", "-live")
        parts = (header.account, header.region, header.deployment, header.endpoint)
        self.query_one("#where", Static).update(text(" · ".join(part for part in parts if part)))
        self.query_one("#workspace", Static).update(text(header.workspace))
