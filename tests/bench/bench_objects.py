"""Objects copied per second by number of workers, against a plain loop of copy_object, on an embedded S3.

    python -m tests.bench.bench_objects [--objects 5000] [--large 3] [--workers 1 4 16]

Each run is a whole job: plan, apply and verify into an empty bucket. The server is a process of its own, so that memory
is ours alone; moto answers one request at a time, which bounds every figure: compare them with the plain loop, not with
S3. `--server ministack` takes another one, which is installed first.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import emulators
from tests.conftest import CREDENTIALS, REGION, Aws
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.events import Feed
from wizard.migration import objects
from wizard.migration.apply import apply_plan
from wizard.migration.multipart import Limits
from wizard.migration.plan import Request, make_plan
from wizard.migration.verify import verify_plan
from wizard.parallel import each
from wizard.usermap import MapRow, UserMap
from wizard.workspace import Workspace

USERS = 50
MIB = 1024**2
LIMITS = Limits(single=8 * MIB, part=5 * MIB)
SOURCE, TARGET = "amplify-v6-lambda-dev-user-conversations", "amplify-v6-lambda-dev-consolidation"
IDS = {f"user{number}@example.edu": f"u{number}" for number in range(USERS)}


def seed(aws: Aws, small: int, large: int) -> None:
    account = aws.account(workers=8)
    for bucket in (SOURCE, TARGET):
        account.call("s3", "create_bucket", Bucket=bucket)

    def put(number: int) -> None:
        body = b"x" * (12 * MIB if number < large else 200 + number % 4_000)
        account.call("s3", "put_object", Bucket=SOURCE, Key=f"user{number % USERS}@example.edu/c{number}", Body=body)

    for _ in each(put, range(small + large), workers=8, control=account.control):
        pass


def emptied(aws: Aws) -> None:
    client = aws.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=TARGET):
        if found := [{"Key": entry["Key"]} for entry in page.get("Contents", ())]:
            client.delete_objects(Bucket=TARGET, Delete={"Objects": found})


def engine(aws: Aws, workers: int, total: int) -> tuple[dict[str, float], Counter[str]]:
    """Plan, apply and verify with `workers` threads: objects per second of each, and the requests of apply."""
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        context = Context(
            Deployment("v6", "dev", REGION),
            aws.account(workers=workers),
            Workspace(Path(folder)),
            Feed(lambda event: None),
            workers=workers,
        )
        users = UserMap(tuple(MapRow(line, *ids) for line, ids in enumerate(IDS.items(), 2)))
        jobs: dict[str, Callable[[], Any]] = {
            "plan": lambda: make_plan(context, Request(users)),
            "apply": lambda: apply_plan(context),
            "verify": lambda: verify_plan(context),
        }
        for name, job in jobs.items():
            before, started = Counter(context.account.costs.requests), time.perf_counter()
            summary = job()
            rates[name] = total / (time.perf_counter() - started)
            if name == "apply":
                assert summary["done"] == total, summary
                requests = Counter(context.account.costs.requests) - before
        assert summary["verdicts"] == {"match": total}, summary
        return rates, requests


def plain_loop(aws: Aws) -> float:
    """What a script would do: list, copy, without any check."""
    client, started = aws.client("s3"), time.perf_counter()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=SOURCE):
        for entry in page["Contents"]:
            user, _, rest = entry["Key"].partition("/")
            client.copy_object(
                Bucket=TARGET,
                Key=f"conversations/{IDS[user]}/{rest}",
                CopySource={"Bucket": SOURCE, "Key": entry["Key"]},
            )
    return time.perf_counter() - started


def peak_memory() -> float:
    """The most memory that this process has held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=5_000)
    parser.add_argument("--large", type=int, default=3, help="objects of 12 MiB, copied in parts of 5 MiB")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--server", choices=("moto", "ministack"), default="moto")
    options: Any = parser.parse_args()
    os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = CREDENTIALS
    total = options.objects + options.large
    objects.LIMITS = LIMITS
    server = {"moto": emulators.moto, "ministack": emulators.ministack}[options.server]
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as aws:
        seed(aws, options.objects, options.large)
        print(f"{options.objects:,} small and {options.large} large objects of {USERS} users")
        print(f"before: {peak_memory():.0f} MiB")
        seconds = plain_loop(aws)
        print(f"plain loop of copy_object: {total / seconds:,.0f} objects/s")
        for workers in options.workers:
            emptied(aws)
            rates, requests = engine(aws, workers, total)
            each_one = {name.removeprefix("s3."): f"{count / total:.3f}" for name, count in sorted(requests.items())}
            told = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
            print(
                f"{workers:3} workers: objects/s: {told}; peak {peak_memory():.0f} MiB; requests per object of apply"
                f" {each_one}"
            )


if __name__ == "__main__":
    main()
