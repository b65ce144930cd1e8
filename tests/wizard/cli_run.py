"""The command line as a person or a script calls it, against an embedded AWS: `main([...])`, its status and what it prints."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CREDENTIALS, REGION
from wizard.cli import main
from wizard.deployment import Deployment

SETTINGS = {
    "AWS_ACCESS_KEY_ID": CREDENTIALS[0], "AWS_SECRET_ACCESS_KEY": CREDENTIALS[1], "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}  # fmt: skip


def options(deployment: Deployment, workspace: Path) -> list[str]:
    """The options that choose a deployment and a workspace."""
    return ["--dep-name", deployment.dep, "--stage", deployment.stage, "--workspace", str(workspace)]


def write_map(path: Path, ids: Mapping[str, str]) -> str:
    """A user map in the guide's format."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("old_id", "new_id"), *ids.items()])
    return str(path)


@dataclass
class Cli:
    """Runs commands in one workspace; `printed` has everything that came out so far."""

    deployment: Deployment
    workspace: Path
    capture: pytest.CaptureFixture[str]
    always: tuple[str, ...] = ()
    printed: list[str] = field(default_factory=list)

    def __call__(self, *words: str) -> int:
        code = main([*words, *options(self.deployment, self.workspace), *self.always])
        out, err = self.capture.readouterr()
        self.printed += [out, err]
        return code

    def json(self, *words: str) -> dict[str, Any]:
        """The document of `--json`."""
        self(*words, "--json")
        document: dict[str, Any] = json.loads(self.printed[-2])
        return document


def reach(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Lead boto3 to an embedded AWS by the environment, as an operator would."""
    for name, value in {**SETTINGS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
