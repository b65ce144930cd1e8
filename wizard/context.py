"""What an action or a command runs with: one value that holds the deployment, the account and the workspace."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from wizard.aws import Account
from wizard.deployment import Deployment
from wizard.events import Control, Feed
from wizard.workspace import Workspace


@dataclass
class Context:
    """One run. `root` is the backend checkout (None: not here); `confirm` the typed word given as an option."""

    deployment: Deployment
    account: Account
    workspace: Workspace
    feed: Feed
    control: Control = field(default_factory=Control)
    root: Path | None = None
    workers: int = 16
    yes: bool = False
    confirm: str = ""
    sandbox: bool = False

    @property
    def region(self) -> str:
        return self.deployment.region
