"""Facts about this machine: the backend checkout, its var file, the `serverless` command, system and terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from wizard import serverless_command
from wizard.context import Context
from wizard.deployment import read_config
from wizard.face import Face, face, fragile_line
from wizard.facts import Fact

BASIC_OPS = "amplify-lambda-basic-ops"  # its folder in a checkout that still has the service
SYSTEMS = ("linux", "darwin")  # pseudo-terminals, file locks and modes as this program uses them


def check_checkout(context: Context) -> Fact:
    """The backend checkout that steps 1 to 3 and 5 read; without one they are not done from here."""
    if context.root is None:
        return Fact(
            "checkout", "attention", "Backend checkout", "none: steps 1 to 3, 4c and 5 cannot be done from here",
            "Start inside the checkout of the new release, or give --root.", {"root": "", "services": 0},
        )  # fmt: skip
    count = sum(1 for _ in Path(context.root).glob("*/serverless.yml"))
    config = read_config(Path(context.root) / "scripts" / "config.py")
    here = {"DEP_NAME": context.deployment.dep, "STAGE": context.deployment.stage}
    value = {"root": str(context.root), "services": count, **_older_beside(Path(context.root))}
    if other := ", ".join(f"{name} {value}" for name, value in config.items() if value != here[name]):
        return Fact(
            "checkout", "attention", "Backend checkout", f"{context.root}: its scripts/config.py says {other}",
            f"This run is for {context.deployment.label}; make sure that both mean the same deployment.", value,
        )  # fmt: skip
    return Fact(
        "checkout", "ok" if count else "attention", "Backend checkout", f"{context.root}: {count} services",
        "" if count else "No directory below it has a serverless.yml; give --root.", value,
    )  # fmt: skip


def _older_beside(root: Path) -> dict[str, str]:
    """`old`: the one checkout in the same folder that still has basic-ops, for `endpoint free --how serverless`."""
    if (root / BASIC_OPS).is_dir():
        return {}
    found = [path.parent.parent for path in root.absolute().parent.glob(f"*/{BASIC_OPS}/serverless.yml")]
    return {"old": str(found[0])} if len(found) == 1 else {}


def check_var_file(context: Context) -> Fact:
    """The stage's var file: the source of the shared parameters, and still read by serverless.yml."""
    if context.root is None:
        return Fact("var_file", "ok", "Var file", "not looked for: no checkout", "", "")
    path = Path(context.root) / "var" / f"{context.deployment.stage}-var.yml"
    if path.is_file():
        return Fact("var_file", "ok", "Var file", str(path), "Keep it: serverless.yml still reads it.", str(path))
    return Fact(
        "var_file", "attention", "Var file", f"{path} does not exist",
        "Bring it from the checkout that deployed this stage; without it no service deploys.", "",
    )  # fmt: skip


def check_serverless(context: Context) -> Fact:
    """The command that deploys; without it the wizard shows the commands and watches CloudFormation."""
    command = serverless_command.find(context)
    if command:
        return Fact("serverless", "ok", "serverless command", " ".join(command), "", command)
    return Fact(
        "serverless", "attention", "serverless command", "neither in the checkout (node_modules) nor on PATH",
        "Install it (`npm install -g serverless@3`), or run the commands that the wizard shows elsewhere.", [],
    )  # fmt: skip


def check_system(context: Context) -> Fact:
    """Whether this system, terminal and connection carry a long run."""
    return system_fact(sys.platform, os.environ, face(False, False, sys.stdin, sys.stdout, sys.stderr, os.environ))


def system_fact(platform: str, environment: Mapping[str, str], which: Face) -> Fact:
    """The verdict on system and terminal, of which `which` face starts there. Pure."""
    shown = {"textual": "screens", "plain": "plain prompts", "none": "no questions"}[which]
    found = f"{platform}, TERM={environment.get('TERM') or 'unset'}: {shown}"
    value = {"platform": platform, "screens": which == "textual"}
    if not platform.startswith(SYSTEMS):
        return Fact("system", "blocked", "System and terminal", f"{found}; this system is not supported",
                    "Use Linux or macOS; on Windows, WSL.", value)  # fmt: skip
    if fragile_line(environment):
        return Fact("system", "attention", "System and terminal", f"{found}, over ssh",
                    "Start it inside tmux or screen: a dropped line then interrupts nothing.", value)  # fmt: skip
    return Fact("system", "ok", "System and terminal", found, "", value)


def free_bytes(folder: Path) -> int:
    """Free space where the workspace is."""
    return shutil.disk_usage(folder).free


def check_disk(context: Context) -> Fact:
    """Room for backups, ledger and logs."""
    free = free_bytes(context.workspace.folder)
    small = free < 1_000_000_000
    return Fact(
        "disk", "attention" if small else "ok", "Disk space", f"{free / 1e9:.1f} GB free at {context.workspace.folder}",
        "Backups and the ledger take about as much as the tables that change." if small else "", free,
    )  # fmt: skip
