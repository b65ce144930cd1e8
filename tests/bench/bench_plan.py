"""What a plan costs, and on what that depends: on the data, not on the number of users in the map.

python -m tests.bench.bench_plan [--items 2000 10000 40000] [--users 6 80] [--server moto|ministack]
"""

from __future__ import annotations

import tempfile

from tests.bench.measure import Run, in_its_own_process, measured, opened, options, seed, server, user_map
from wizard.deployment import Deployment
from wizard.migration.plan import Request, make_plan


def plan(endpoint: str, deployment: Deployment, users: int) -> Run:
    with tempfile.TemporaryDirectory() as folder, opened(endpoint, deployment, folder, 16) as context:
        request = Request(user_map(folder, users), only="tables")
        return measured(context, lambda: sum(make_plan(context, request)["scanned"].values()))


def main() -> None:
    chosen = options(__doc__, items=[2_000, 10_000, 40_000], users=[6, 80])
    with server(chosen.server) as aws:
        for count in chosen.items:
            deployment = seed(aws, f"plan{count}", count)
            for users in chosen.users:
                run = in_its_own_process(plan, aws.endpoint, deployment, users)
                print(f"{count:7,} items, {users:3} users in the map: {run.line()}", flush=True)


if __name__ == "__main__":
    main()
