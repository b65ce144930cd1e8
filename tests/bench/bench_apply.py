"""Changes applied per second by number of workers, requests and units per change, and memory as the plan grows.

    python -m tests.bench.bench_apply [--items 2000 10000 40000] [--workers 1 4 16] [--server moto|ministack]

The worker counts are compared on the first number of items; the others run with the last number of workers.
"""

from __future__ import annotations

import tempfile

from tests.bench.measure import PEOPLE, Run, in_its_own_process, measured, opened, options, seed, server, user_map
from wizard.deployment import Deployment
from wizard.migration.apply import apply_plan
from wizard.migration.plan import Request, make_plan


def plan(endpoint: str, deployment: Deployment, folder: str, workers: int) -> Run:
    with opened(endpoint, deployment, folder, workers) as context:
        request = Request(user_map(folder, PEOPLE), only="tables")
        return measured(context, lambda: int(make_plan(context, request)["changes"]))


def apply(endpoint: str, deployment: Deployment, folder: str, workers: int) -> Run:
    with opened(endpoint, deployment, folder, workers) as context:
        return measured(context, lambda: int(apply_plan(context)["states"]["applied"]))


def main() -> None:
    chosen = options(__doc__, items=[2_000, 10_000, 40_000], workers=[1, 4, 16])
    runs = [(chosen.items[0], workers) for workers in chosen.workers]
    runs += [(items, chosen.workers[-1]) for items in chosen.items[1:]]
    with server(chosen.server) as aws:
        for items, workers in runs:
            deployment = seed(aws, f"apply{items}with{workers}", items)
            with tempfile.TemporaryDirectory() as folder:
                in_its_own_process(plan, aws.endpoint, deployment, folder, workers)
                run = in_its_own_process(apply, aws.endpoint, deployment, folder, workers)
            print(f"{items:7,} items, {workers:2} workers: {run.line()}", flush=True)


if __name__ == "__main__":
    main()
