"""A workspace on a disk that is full or read-only: one sentence, and the same command goes on with room."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.cli_run import SETTINGS, options
from tests.wizard.migration.few import fill
from tests.wizard.migration.stage import Dump, Stage, run
from wizard.aws import is_read
from wizard.workspace import Workspace


class Disk:
    """A small file system of its own; `fill` leaves `free` bytes of it."""

    def __init__(self, folder: Path):
        self.folder, self.ballast = folder, folder / "ballast"

    def mount(self, size: str) -> None:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.folder], check=True, capture_output=True
        )

    def unmount(self) -> None:
        subprocess.run(["umount", self.folder], check=True)

    def read_only(self, on: bool) -> None:
        subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", self.folder], check=True)

    def fill(self, free: int) -> None:
        room = os.statvfs(self.folder)
        with self.ballast.open("wb") as file:
            file.write(b"x" * max(0, room.f_bavail * room.f_frsize - free))

    def free(self) -> None:
        self.ballast.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    made.folder.mkdir()
    try:
        made.mount("2m")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small file system")
    yield made
    made.unmount()


def command(stage: Stage, workspace: Path, *words: str) -> tuple[int, str, str]:
    environment = {**os.environ, **SETTINGS, "AWS_ENDPOINT_URL": stage.aws.endpoint}
    line = [sys.executable, "-m", "wizard", *words, "--yes", *options(stage.deployment, workspace)]
    ended = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    return ended.returncode, ended.stdout, ended.stderr


def undisturbed(aws: Aws, folder: Path) -> Dump:
    stage = fill(Stage(aws, folder))
    stage.migrate()
    found = stage.dump()
    aws.reset()
    return found


@pytest.mark.parametrize("free", [0, 120_000])
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(
    aws: Aws, disk: Disk, tmp_path: Path, free: int
) -> None:
    expected = undisturbed(aws, tmp_path)
    stage = fill(Stage(aws, tmp_path))
    workspace = disk.folder / "w"
    before = stage.dump()
    disk.fill(free)
    code, out, err = command(stage, workspace, "migrate", "plan", "--csv-file", stage.csv())
    assert stage.dump() == before
    assert (code, out, len(err.strip().splitlines())) == (1, "", 1), err
    assert str(disk.folder) in err
    disk.free()
    assert command(stage, workspace, "migrate", "plan", "--csv-file", stage.csv())[0] == 0
    disk.fill(free // 4)
    code, out, err = command(stage, workspace, "migrate", "apply")
    assert (code, out, len(err.strip().splitlines())) == (1, "", 1), err
    disk.free()
    code, _, err = command(stage, workspace, "migrate", "apply")
    assert code == 0, err
    code, out, err = command(stage, workspace, "migrate", "verify")
    assert code == 0, out + err
    assert stage.dump() == expected
    for line in (workspace / "audit.jsonl").read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize(
    "steps", [("apply",), ("apply", "cleanup"), ("apply", "rollback")], ids=lambda steps: steps[-1]
)
def test_a_disk_that_fills_up_in_the_middle_loses_nothing(
    aws: Aws, disk: Disk, tmp_path: Path, steps: tuple[str, ...]
) -> None:
    words = {"apply": ("migrate", "apply"), "cleanup": ("cleanup", "apply"), "rollback": ("rollback",)}
    even = fill(Stage(aws, tmp_path))
    even.plan()
    for step in steps:
        assert even.run(*words[step]).code == 0
        even.verify() if step == "apply" else None
    expected = even.dump()
    aws.reset()
    stage = fill(Stage(aws, disk.folder))
    stage.plan()
    for step in steps:
        context, writes = stage.context(), itertools.count(1)

        def look(
            model: Any, workspace: Workspace = context.workspace, writes: Iterator[int] = writes, **_: Any
        ) -> None:
            if not is_read(model.name) and next(writes) == 4:  # of several threads exactly one sees it
                size = workspace.audit_log.stat().st_size
                workspace.write_audit({"pad": " " * (7_000 - size % 4_096)})
                disk.fill(0)  # but for a thousand bytes of a page that exists

        context.account.client("dynamodb").meta.events.register("before-call", look)
        ended = run(context, *words[step])
        assert ended.code == 1, ended
        assert "cannot be written" in ended.text
        disk.free()
        assert stage.run(*words[step]).code == 0
        stage.verify() if step == "apply" else None
    assert stage.dump() == expected
    for line in (disk.folder / "workspace" / "audit.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_read_only_workspace_is_one_sentence(aws: Aws, disk: Disk, tmp_path: Path) -> None:
    stage = fill(Stage(aws, tmp_path))
    workspace = disk.folder / "w"
    assert command(stage, workspace, "migrate", "plan", "--csv-file", stage.csv())[0] == 0
    before = stage.dump()
    disk.read_only(True)
    for words in (["migrate", "apply"], ["migrate", "plan", "--csv-file", stage.csv()], ["migrate", "verify"]):
        code, _, err = command(stage, workspace, *words)
        assert code in (1, 2), err
        assert "ead-only" in err, err
        assert len(err.strip().splitlines()) == 1, err
    assert stage.dump() == before
    disk.read_only(False)
    assert command(stage, workspace, "migrate", "apply")[0] == 0
