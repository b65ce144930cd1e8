"""A whole sandbox at once: embedded AWS, deployment, data, user map, backend checkouts and a `serverless` command."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from botocore.loaders import create_loader
from botocore.regions import EndpointResolver

from wizard.aws import Account
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.errors import BadInput
from wizard.events import Feed
from wizard.sandbox.checkout import shared_values, write_checkout
from wizard.sandbox.create import api_id, create_pool, create_stacks, put_parameters
from wizard.sandbox.releases import DEFAULT, TARGET, Release
from wizard.sandbox.releases import release as release_of
from wizard.sandbox.schemas import BASIC_OPS, BUCKETS
from wizard.sandbox.seed import Seeded, sow, world, write_csv
from wizard.sandbox.seed.model import World
from wizard.sandbox.server import REGION, Server, start
from wizard.users import USER_MAP
from wizard.workspace import Workspace

DEPLOYMENT = Deployment("v6", "dev", REGION)
BUCKET_NAME = 63  # characters at most: Amazon S3, bucket naming rules


@dataclass(frozen=True)
class Demo:
    """A running sandbox. `root` is the checkout to deploy from, `old_root` that of the release it runs (None: the same)."""

    server: Server
    deployment: Deployment
    release: Release
    folder: Path
    csv: Path
    root: Path
    old_root: Path | None
    bin: Path
    pool_id: str
    api_id: str
    world: World
    seeded: Seeded

    @property
    def endpoint(self) -> str:
        return self.server.endpoint

    def account(self, **options: Any) -> Account:
        return self.server.account(**options)

    def environment(self) -> dict[str, str]:
        """For programs run beside it: they reach this AWS only, and find this `serverless` first."""
        path = os.pathsep.join([str(self.bin), os.environ.get("PATH", os.defpath)])
        return {**self.server.environment(), "PATH": path}

    def context(self, workspace: Path) -> Context:
        """A run over it, with the checkout and the user map at hand."""
        opened = Workspace(workspace)
        opened.remember({USER_MAP: str(self.csv)})
        feed = Feed(lambda event: None)
        account = self.account(feed=feed)
        return Context(self.deployment, account, opened, feed, account.control, root=self.root, yes=True, sandbox=True)

    def confirmations(self) -> dict[str, str]:
        """The words that a person would type on the way, by step."""
        return {"4b": self.deployment.stack(BASIC_OPS), "7": "DELETE"}

    def stop(self) -> None:
        """End the embedded AWS and everything in it; the folder stays."""
        self.server.stop()

    def __enter__(self) -> Demo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_demo(
    folder: Path,
    *,
    users: int = 12,
    scenario: str = "a",
    seed: int = 1,
    release: str = DEFAULT,
    port: int = 0,
    deployment: Deployment = DEPLOYMENT,
) -> Demo:
    """Start a sandbox whose files are in `folder`; it runs until `stop`. Takes some seconds.

    Raises BadInput for an unknown release, impossible wishes, a taken port or without moto, before anything is started.
    """
    shown = release_of(release)
    _check_names(deployment)
    population = world(deployment, shown, users=users, scenario=scenario, seed=seed)
    server = start(port, deployment.region)
    try:
        account = server.account()
        prefix = "example"
        pool = create_pool(account, deployment, population.everyone, prefix)
        admins = ",".join(person.old for person in population.people[:2])
        shared = shared_values(deployment, admins=admins, pool_id=pool)
        if shown.deployed:
            put_parameters(account, deployment, shown, shared)
        create_stacks(account, deployment, shown)
        seeded = sow(account, population)
        folder.mkdir(parents=True, exist_ok=True)
        # The release to come keeps the spelling of the usage table: another one would make CloudFormation replace it.
        target = replace(TARGET, usage=shown.usage)
        return Demo(
            server=server,
            deployment=deployment,
            release=shown,
            folder=folder,
            csv=write_csv(folder / "migration_users.csv", population.people),
            root=write_checkout(folder / "backend", deployment, target, shared),
            old_root=None
            if shown.deployed
            else write_checkout(folder / f"backend-{release}", deployment, shown, shared),
            bin=_write_command(folder / "bin"),
            pool_id=pool,
            api_id=api_id(account, deployment),
            world=population,
            seeded=seeded,
        )
    except BaseException:
        server.stop()
        raise


def _check_names(deployment: Deployment) -> None:
    """Raises BadInput where an account could not hold the deployment."""
    if deployment.region not in _regions():
        raise BadInput(f"--region {deployment.region!r} is no region of AWS, like us-east-1.")
    longest = max((bucket.name(deployment) for bucket in BUCKETS), key=len)
    if len(longest) > BUCKET_NAME:
        raise BadInput(
            f"--dep-name and --stage are too long together: a bucket would be {longest}, and {BUCKET_NAME} characters are"
            " allowed."
        )


def _regions() -> set[str]:
    """The regions of AWS by botocore's data; a session would look for the profile of the environment."""
    known = EndpointResolver(create_loader().load_data("endpoints"))
    return {
        region
        for partition in known.get_available_partitions()
        for region in known.get_available_endpoints("dynamodb", partition)
    }


def _write_command(folder: Path) -> Path:
    """A `serverless` command in a folder of its own, for PATH."""
    folder.mkdir(exist_ok=True)
    script = folder / "serverless"
    script.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m wizard.sandbox.serverless "$@"\n', encoding="utf-8"
    )
    script.chmod(0o755)
    return folder
