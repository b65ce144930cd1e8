"""Objects copied per second by number of workers, against a plain loop of copy_object, on an embedded S3.

    python -m tests.bench.bench_objects [--objects 5000] [--large 3] [--workers 1 4 16]

Each run plans from one listing, copies into an empty bucket and verifies by one listing. The server is a process of
its own, so that memory is ours alone; it answers one request at a time, which bounds every figure: compare them with
the plain loop, not with S3.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import CREDENTIALS, REGION, Aws
from wizard.catalog.buckets import BUCKETS
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.events import Feed
from wizard.migration import listing, objects
from wizard.migration.multipart import Limits
from wizard.parallel import each
from wizard.workspace import Workspace

BATCH = 100
USERS = 50
MIB = 1024**2
LIMITS = Limits(single=8 * MIB, part=5 * MIB)
SOURCE, TARGET = "amplify-v6-lambda-dev-user-conversations", "amplify-v6-lambda-dev-consolidation"
ROW = next(row for row in BUCKETS if row.config_key == "S3_CONVERSATIONS_BUCKET_NAME")
IDS = {f"user{number}@example.edu": f"u{number}" for number in range(USERS)}


@contextmanager
def server() -> Iterator[Aws]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/data.json").close()
                break
            except OSError:
                time.sleep(0.2)
        yield Aws(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


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


def engine(aws: Aws, workers: int, total: int) -> tuple[float, dict[str, int], int]:
    """Plan, copy and verify with `workers` threads: seconds of copying, requests, verified objects."""
    with tempfile.TemporaryDirectory() as folder:
        context = Context(
            Deployment("v6", "dev", REGION),
            aws.account(workers=workers),
            Workspace(Path(folder)),
            Feed(lambda event: None),
        )
        account = context.account
        planned = (copy for page in listing.list_objects(context, ROW, IDS) for copy in page.copies)
        batches = iter(lambda: list(itertools.islice(planned, BATCH)), [])
        started, states = time.perf_counter(), dict[str, int]()
        copied = each(
            lambda batch: objects.copy_objects(account, batch, LIMITS),
            batches,
            workers=workers,
            control=account.control,
        )
        for _, results in copied:
            for result in results:
                states[result.state] = states.get(result.state, 0) + 1
        seconds = time.perf_counter() - started
        assert states == {"copied": total}, states
        sizes = {
            copy.target_key: (copy.size, copy.etag)
            for page in listing.list_objects(context, ROW, IDS)
            for copy in page.copies
        }
        found = (one for page in listing.list_objects(context, listing.consolidation_row(), {}) for one in page.listed)
        verified = sum(objects.same_object(*sizes[one.key], one.size, one.etag) for one in found)
        return seconds, dict(account.costs.requests), verified


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
    options: Any = parser.parse_args()
    os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = CREDENTIALS
    total = options.objects + options.large
    with server() as aws:
        seed(aws, options.objects, options.large)
        print(f"{options.objects:,} small and {options.large} large objects of {USERS} users")
        print(f"before: {peak_memory():.0f} MiB")
        seconds = plain_loop(aws)
        print(f"plain loop of copy_object: {total / seconds:,.0f} objects/s")
        for workers in options.workers:
            emptied(aws)
            seconds, requests, verified = engine(aws, workers, total)
            each_one = {name.removeprefix("s3."): f"{count / total:.3f}" for name, count in sorted(requests.items())}
            print(
                f"{workers:3} workers: {total / seconds:,.0f} objects/s, {verified:,} verified,"
                f" peak {peak_memory():.0f} MiB, requests per object {each_one}"
            )


if __name__ == "__main__":
    main()
