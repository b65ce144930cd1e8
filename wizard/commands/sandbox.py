"""`amplify-migrate sandbox`: an embedded AWS with a seeded deployment, for trying every command without an account."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from wizard.deployment import Deployment
from wizard.errors import BadInput
from wizard.journey import Outcome


def add_seed_options(parser: argparse.ArgumentParser) -> None:
    """What is seeded; `demo` takes the same options."""
    parser.add_argument("--users", metavar="N", type=int, default=12, help="people in the user map (default 12)")
    parser.add_argument("--scenario", choices=("a", "b"), default="a", help="a: ids change; b: they stay (default a)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="another seed, other data (default 1)")
    parser.add_argument(
        "--release",
        metavar="NAME",
        default="v0.8.1",
        help="what is deployed: v0.8.1 (default); v0.7: older; current: newer, without its new storage; deployed: with it;"
        " half: after a run of the old scripts",
    )


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the `sandbox` command."""
    parser = commands.add_parser(
        "sandbox",
        parents=[common],
        help="run an embedded AWS with a seeded deployment until Ctrl+C",
        description=__doc__,
    )
    parser.add_argument("--port", metavar="P", type=int, default=0, help="loopback port (default: a free one)")
    add_seed_options(parser)
    parser.set_defaults(run=run_sandbox, needs="nothing")


def deployment_of(arguments: argparse.Namespace) -> Deployment:
    """What is seeded under which names: those of the options alone, since the environment may name a real deployment."""
    from wizard.sandbox.demo import DEPLOYMENT

    return Deployment(
        arguments.dep_name or DEPLOYMENT.dep,
        arguments.stage or DEPLOYMENT.stage,
        arguments.region or DEPLOYMENT.region,
    )


def run_sandbox(arguments: argparse.Namespace, context: None = None) -> Outcome:
    """Start, say how to reach it, and stay until Ctrl+C."""
    from wizard.sandbox.demo import start_demo

    if not 0 <= arguments.port <= 65_535:
        raise BadInput(f"--port {arguments.port} is not a port: 0 to 65535.")
    with contextlib.ExitStack() as stack:
        given = getattr(arguments, "workspace", None)
        folder = Path(given) / "sandbox" if given else Path(stack.enter_context(_temporary_folder()))
        demo = stack.enter_context(
            start_demo(
                folder,
                users=arguments.users,
                scenario=arguments.scenario,
                seed=arguments.seed,
                release=arguments.release,
                port=arguments.port,
                deployment=deployment_of(arguments),
            )
        )
        details = describe(demo)
        print(as_text(details), file=sys.stderr if getattr(arguments, "json", False) else sys.stdout, flush=True)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # `main` has taken them for work that can be cut
            signal.signal(number, lambda *_: ended.set())
        ended.wait()
    return Outcome(0, "The sandbox has ended; nothing of it is left.", details)


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="amplify-migrate-sandbox-")


def describe(demo: Any) -> dict[str, Any]:
    """What a sandbox offers, for `--json` and `as_text`."""
    return {
        "endpoint": demo.endpoint,
        "environment": {**demo.server.environment(), "DEP_NAME": demo.deployment.dep, "STAGE": demo.deployment.stage},
        "bin": str(demo.bin),
        "dep": demo.deployment.dep,
        "stage": demo.deployment.stage,
        "region": demo.deployment.region,
        "release": demo.release.name,
        "csv": str(demo.csv),
        "root": str(demo.root),
        "old_root": str(demo.old_root) if demo.old_root else "",
        "user_pool_id": demo.pool_id,
        "rest_api_id": demo.api_id,
        "users": len(demo.seeded.people),
        "unmapped": [person.old for person in demo.seeded.unmapped],
        "rows": sum(demo.seeded.rows.values()),
        "objects": sum(demo.seeded.objects.values()),
    }


def as_text(details: dict[str, Any]) -> str:
    """The same for people: lines to paste into another terminal, then where things are."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in details["environment"].items()]
    return "\n".join(
        [
            f"An embedded AWS with the deployment {details['dep']}/{details['stage']} ({details['release']}) is running at"
            f" {details['endpoint']}: {details['rows']:,} rows, {details['objects']:,} objects, {details['users']} users in"
            " the map.",
            "",
            "In another terminal:",
            "",
            *[f"  {line}" for line in exports],
            f'  export PATH={shlex.quote(details["bin"])}:"$PATH"',
            "",
            f"  user map          {details['csv']}",
            f"  backend checkout  {details['root']}",
            *([f"  the old release   {details['old_root']}"] if details["old_root"] else []),
            f"  user pool         {details['user_pool_id']}",
            "",
            "Ctrl+C ends it and forgets everything.",
        ]
    )
