"""What the benchmarks of tables share: an emulator, a deployment of any size, and runs in processes of their own.

A run is a process of its own, so that its peak memory is its own. The emulator answers about one request at a time,
which bounds every figure: compare them with one another, not with DynamoDB.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import CREDENTIALS, REGION, Aws
from tests.emulators import ministack, moto
from tests.wizard.cli_run import write_map
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.events import Feed
from wizard.parallel import each
from wizard.sandbox.schemas import TABLES
from wizard.usermap import UserMap, read_map
from wizard.workspace import Workspace

PEOPLE = 100  # who own the items in turn, whoever of them is in a map
SEEDED = ("lambda/chat-usages", "lambda/conversation-metadata", "object-access/object-access")
_FILLER = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt. " * 4


@dataclass(frozen=True)
class Run:
    """What one run took. `requests` by operation, `peak` in MiB."""

    seconds: float
    items: int
    requests: dict[str, int]
    read_units: float
    write_units: float
    peak: float

    def line(self) -> str:
        each_one = {
            name.removeprefix("dynamodb."): round(count / self.items, 3) for name, count in self.requests.items()
        }
        shown = ", ".join(f"{name} {count}" for name, count in sorted(each_one.items(), key=lambda one: -one[1])[:5])
        return (
            f"{self.items / self.seconds:7,.0f} items/s, peak {self.peak:4.0f} MiB, {sum(self.requests.values()):7,} requests,"
            f" {self.read_units:10,.1f} RU, {self.write_units:10,.1f} WU; per item: {shown}"
        )


def options(description: str | None, **more: Any) -> argparse.Namespace:
    """The command line of a benchmark; `more` are lists of numbers with their defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=("moto", "ministack"), default="moto", help="ministack is installed by pip")
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=int, nargs="+", default=default)
    os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = CREDENTIALS
    return parser.parse_args()


@contextmanager
def server(name: str) -> Iterator[Aws]:
    with tempfile.TemporaryDirectory() as folder, (moto if name == "moto" else ministack)(Path(folder)) as aws:
        yield aws


def ids(users: int) -> dict[str, str]:
    """A map of the first `users` people."""
    return {f"person{number:03}@example.edu": f"id{number:05}" for number in range(users)}


def seed(aws: Aws, dep: str, items: int) -> Deployment:
    """A deployment with `items` items in three tables: one changed in place, two re-keyed. About 600 bytes each."""
    deployment, account = Deployment(dep, "dev", REGION), aws.account(workers=4)
    everyone = list(ids(PEOPLE))
    names = []
    for schema in TABLES:
        if schema.id in SEEDED:
            names.append(schema.name(deployment))
            definition = schema.properties(names[-1])
            for ours in ("TimeToLiveSpecification", "PointInTimeRecoverySpecification", "StreamSpecification"):
                definition.pop(ours, None)
            account.call("dynamodb", "create_table", **definition)

    def put(start: int) -> None:
        requests: dict[str, list[Any]] = {}
        for number in range(start, min(start + 25, items)):
            item = _item(number, everyone[number % PEOPLE])
            requests.setdefault(names[number // 25 % len(names)], []).append({"PutRequest": {"Item": item}})
        account.call("dynamodb", "batch_write_item", RequestItems=requests)

    for _ in each(put, range(0, items, 25), workers=4, control=account.control):
        pass
    return deployment


def _item(number: int, owner: str) -> dict[str, Any]:
    """Has the keys of all three tables, so that one shape does for all."""
    return {
        "id": {"S": f"use-{number}"}, "user": {"S": owner}, "user_id": {"S": owner}, "conversation_id": {"S": f"c-{number}"},
        "object_id": {"S": f"f-{number}"}, "principal_id": {"S": owner}, "time": {"S": "2025-09-01T10:00:00"},
        "last_modified": {"N": "1756720800001"}, "inputTokens": {"N": str(number)}, "text": {"S": _FILLER},
        "details": {"M": {"model": {"S": "m"}, "cost": {"N": "0.125"}, "tags": {"L": [{"S": "a"}, {"S": "b/c"}]}}},
    }  # fmt: skip


@contextmanager
def opened(endpoint: str, deployment: Deployment, folder: str, workers: int) -> Iterator[Context]:
    feed = Feed(lambda event: None)
    account = Aws(endpoint).account(workers=workers, feed=feed)
    yield Context(deployment, account, Workspace(Path(folder)), feed, account.control, workers=workers, yes=True)


def user_map(folder: str, users: int) -> UserMap:
    path = Path(folder) / "benchmark.csv"
    write_map(path, ids(users))
    return read_map(path)[0]


def measured(context: Context, work: Callable[[], int]) -> Run:
    """Time, requests and peak memory of `work`, which returns the number of items."""
    before, started = context.account.costs.copy(), time.perf_counter()
    items = work()
    seconds, spent = time.perf_counter() - started, context.account.costs.since(before)
    return Run(seconds, items, spent["requests"], spent["read_units"], spent["write_units"], _peak())


def _peak() -> float:
    """The most memory that this process has held so far, in MiB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def in_its_own_process(function: Callable[..., Run], *arguments: Any) -> Run:
    """Call a function in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
