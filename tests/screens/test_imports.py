"""What loading a face brings along, seen by a fresh interpreter: a static graph does not see deferred imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOADED = "import sys, {module}; print(' '.join(sorted(sys.modules)))"


def loaded_by(module: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return {name.partition(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("module", ["screens.app", "screens.plain", "wizard.face", "wizard.session", "wizard.auto"])
def test_a_face_loads_no_boto3(module: str) -> None:
    assert not loaded_by(module) & {"boto3", "botocore", "moto"}


@pytest.mark.parametrize("module", ["wizard.cli", "wizard.session", "wizard.auto", "wizard.steps", "wizard.face"])
def test_the_engine_loads_no_screens(module: str) -> None:
    assert not loaded_by(module) & {"textual", "questionary", "rich"}


def test_plain_prompts_load_no_textual() -> None:
    assert "textual" not in loaded_by("screens.plain")
