"""Fixtures shared by all tests: an embedded AWS of its own per test session, emptied between tests."""

from __future__ import annotations

import functools
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
from hypothesis import HealthCheck, settings
from moto.server import ThreadedMotoServer

from wizard.aws import Account
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.events import Feed
from wizard.sandbox.fidelity import teach
from wizard.workspace import Workspace

# How fast an example is drawn or runs is the machine's, not the program's.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# The descriptions of the AWS services are read once, not for each of the sessions that a test opens: a third of its time.
_descriptions = botocore.loaders.create_loader()
botocore.session.create_loader = lambda data_path=None: _descriptions

REGION = "us-east-1"
CREDENTIALS = ("testing", "testing-secret")


@dataclass(frozen=True)
class Aws:
    """A moto server on loopback."""

    endpoint: str

    def account(self, **options: Any) -> Account:
        return Account(region=REGION, endpoint_url=self.endpoint, credentials=CREDENTIALS, **options)

    @functools.cache  # noqa: B019 -- there is one server for the whole run
    def client(self, service: str) -> Any:
        """A plain boto3 client, to look at results without the engine; shared by all tests."""
        key, secret = CREDENTIALS
        return boto3.Session(key, secret, region_name=REGION).client(service, endpoint_url=self.endpoint)

    def reset(self) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST")).read()


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Aws]:
    teach()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Aws(f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def aws(moto_server: Aws) -> Iterator[Aws]:
    moto_server.reset()
    yield moto_server


@pytest.fixture
def context(aws: Aws, tmp_path: Path) -> Context:
    """A run over the empty embedded AWS, deployment v6/dev, with a workspace of its own."""
    return Context(
        deployment=Deployment("v6", "dev", REGION),
        account=aws.account(),
        workspace=Workspace(tmp_path / "workspace"),
        feed=Feed(lambda event: None),
        yes=True,
    )
