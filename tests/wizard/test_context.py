"""What the badge says: SANDBOX only for the sandbox, whoever started it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wizard.aws import Account
from wizard.context import Context, endpoint_of, is_sandbox
from wizard.deployment import Deployment
from wizard.events import Feed
from wizard.sandbox import CREDENTIALS
from wizard.workspace import Workspace


def context(tmp_path: Path, endpoint: str | None, key: str) -> Context:
    account = Account(region="us-east-1", endpoint_url=endpoint, credentials=(key, "secret"))
    where = endpoint_of(account)
    return Context(
        Deployment("v6", "dev", "us-east-1"), account, Workspace(tmp_path), Feed(lambda event: None),
        other_sandbox=is_sandbox(account, where), endpoint=where,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("endpoint", "key", "badge"),
    [
        ("http://127.0.0.1:9", CREDENTIALS[0], "SANDBOX"),
        ("http://127.0.0.1:9", "AKIAEXAMPLE", "LIVE"),  # a tunnel may lead to AWS
        ("https://vpce-1.example.edu", CREDENTIALS[0], "LIVE"),
        (None, CREDENTIALS[0], "LIVE"),
    ],
)
def test_only_the_sandbox_is_called_so(tmp_path: Path, endpoint: str | None, key: str, badge: str) -> None:
    found = context(tmp_path, endpoint, key)
    assert (found.badge, found.endpoint) == (badge, endpoint or "")


def test_a_password_of_the_endpoint_is_not_shown(tmp_path: Path) -> None:
    found = context(tmp_path, f"http://{CREDENTIALS[0]}:s3kr1t@127.0.0.1:9", CREDENTIALS[0])
    assert (found.badge, found.endpoint) == ("SANDBOX", "http://(hidden)@127.0.0.1:9")
