"""What an action or a command runs with: one value that holds the deployment, the account and the workspace."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from wizard.aws import Account
from wizard.deployment import Deployment
from wizard.events import Control, Feed
from wizard.sandbox import CREDENTIALS
from wizard.text import without_credentials
from wizard.workspace import Workspace


@dataclass
class Context:
    """One run.

    Attributes:
        root: the backend checkout; None: not here.
        confirm: the typed word given as an option.
        sandbox: the embedded AWS of this process, where nothing need be asked.
        other_sandbox: the embedded AWS of another process; everything is asked as on a real account.
        endpoint: where requests go, when it is not AWS itself.
    """

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
    other_sandbox: bool = False
    endpoint: str = ""

    def __post_init__(self) -> None:
        self.account.audit = self.workspace.write_audit

    @property
    def region(self) -> str:
        return self.deployment.region

    @property
    def badge(self) -> str:
        """SANDBOX for the embedded AWS of this process or another; else LIVE: an endpoint elsewhere may lead to AWS."""
        return "SANDBOX" if self.sandbox or self.other_sandbox else "LIVE"


def endpoint_of(account: Account) -> str:
    """Where requests go, when it is not AWS itself, for people; "" for AWS. No request is made."""
    endpoint = str(account.client("dynamodb").meta.endpoint_url)
    host = urlsplit(endpoint).hostname or ""
    return "" if host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")) else without_credentials(endpoint)


def is_sandbox(account: Account, endpoint: str) -> bool:
    """Whether an endpoint is the sandbox of another process: on loopback, entered with the sandbox's key."""
    return urlsplit(endpoint).hostname in ("127.0.0.1", "localhost") and account.access_key == CREDENTIALS[0]
