"""Emulated AWS in processes of their own: moto, and two emulators that know nothing of it or of each other.

MiniStack pins a botocore of its own and is installed into an environment of its own; dynalite comes from npm. Both
installations need a package index: tests that use them are marked `network`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import CREDENTIALS, REGION, Aws

MINISTACK = "ministack==1.5.33"
DYNALITE = "dynalite@4.0.0"
# Ends with the process that started it, however that ended: its standard input closes.
_MOTO = "import sys; from wizard.sandbox.server import start; start(int(sys.argv[1])); sys.stdin.read()"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def _running(command: Sequence[str | Path], port: int, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run a server until the end of the block; gives its endpoint once it listens."""
    with (folder / f"{port}.log").open("w") as log:
        server = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment}, cwd=folder,
            stdin=subprocess.PIPE, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if server.poll() is not None:
                    raise RuntimeError(f"{command[0]} did not start: {(folder / f'{port}.log').read_text()[-2_000:]}")
                time.sleep(0.1)
            else:
                raise RuntimeError(f"{command[0]} does not listen on port {port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.communicate(timeout=10)


@contextmanager
def moto(folder: Path) -> Iterator[Aws]:
    """The sandbox's moto. It answers about one request at a time, and its memory is not that of the test."""
    port = free_port()
    here = str(Path(__file__).parent.parent)
    with _running([sys.executable, "-c", _MOTO, str(port)], port, folder, {"PYTHONPATH": here}) as endpoint:
        yield Aws(endpoint)


@contextmanager
def ministack(folder: Path) -> Iterator[Aws]:
    """MiniStack, installed into `folder`."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    programs = folder / "venv" / "bin"
    subprocess.run([programs / "pip", "install", "--quiet", MINISTACK, "hypercorn"], check=True)
    port = free_port()
    key, secret = CREDENTIALS
    environment = {
        "DOCKER_HOST": "",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": REGION,
    }
    command = [programs / "hypercorn", "ministack.app:app", "--bind", f"127.0.0.1:{port}"]
    with _running(command, port, folder, environment) as endpoint:
        yield Aws(endpoint)


@contextmanager
def dynalite(folder: Path) -> Iterator[str]:
    """dynalite, installed into `folder`: an endpoint of DynamoDB alone."""
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, DYNALITE], check=True)
    port = free_port()
    quick = [part for state in ("create", "update", "delete") for part in (f"--{state}TableMs", "0")]
    command = [folder / "node_modules" / ".bin" / "dynalite", "--port", str(port), *quick]
    with _running(command, port, folder, {}) as endpoint:
        yield endpoint
