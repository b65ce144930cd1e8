"""`amplify-migrate services`: check the definitions, list the order, deploy, and verify what is deployed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from wizard import definitions, locks
from wizard.context import Context
from wizard.errors import BadInput
from wizard.events import Finding
from wizard.guidance import TRY_BY_HAND, rollback_plan
from wizard.journey import Outcome
from wizard.parameters import checkout_root
from wizard.service_health import Health, examine, list_functions
from wizard.service_logs import follow
from wizard.service_order import Order, Service, read_order
from wizard.services import commands_by_hand, deploy, unchanged
from wizard.stacks import lambda_state, stack_states
from wizard.text import plain, plural, sentences

Commands = argparse._SubParsersAction  # argparse has no public name for what add_subparsers returns


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the `services` commands."""
    group = commands.add_parser("services", help="the services: order, deployment, verification", description=__doc__)
    actions = group.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, run, text in (
        ("check", run_check, "nothing reads basic-ops any more, and no table would be replaced"),
        ("list", run_list, "the order of deployment and the state of each stack"),
    ):
        parser = actions.add_parser(name, parents=[common], help=text)
        if name == "list":
            parser.add_argument("names", nargs="*", metavar="NAME", help="only these services")
        parser.add_argument("--root", metavar="DIR", type=Path, help="the backend's checkout (default: this folder)")
        parser.set_defaults(run=run)

    parser = actions.add_parser("verify", parents=[common], help="stacks, functions, tables, roles, logs")
    parser.add_argument("--follow", action="store_true", help="go on watching the logs until stopped")
    parser.add_argument("--endpoint", action="append", default=[], metavar="URL", help="a health address to call")
    parser.add_argument(
        "--tried", action="append", default=[], choices=TRY_BY_HAND, help="what was tried by hand and works"
    )
    parser.add_argument("--root", metavar="DIR", type=Path, help="the backend's checkout (default: this folder)")
    parser.set_defaults(run=run_verify, live=True)

    parser = actions.add_parser("deploy", parents=[common], help="deploy services in order")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a service, as `services list` names it")
    parser.add_argument("--all", action="store_true", help="every service that is not deployed and unchanged")
    parser.add_argument("--root", metavar="DIR", type=Path, help="the backend's checkout (default: this folder)")
    parser.set_defaults(run=run_deploy, effect="write", announce=_before_deploy, live=True)


def _order(arguments: argparse.Namespace, context: Context) -> Order:
    context.root = checkout_root(context, arguments.root)
    return read_order(context.root, context.deployment)


def run_check(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Step 3."""
    context.root = checkout_root(context, arguments.root)
    return definitions.check(context)


def run_list(arguments: argparse.Namespace, context: Context) -> Outcome:
    """The services in the order of deployment, each with its stack, its state, and why it would be skipped."""
    order = _order(arguments, context)
    services = order.named(arguments.names) if arguments.names else list(order.services)
    states = {"lambda": lambda_state(context), **stack_states(context)}
    prefix, suffix = f"amplify-{context.deployment.dep}-", f"-{context.deployment.stage}"
    rows = []
    for service in services:
        state = states.get(service.stack.removeprefix(prefix).removesuffix(suffix), "")
        rows.append({"name": service.name, "stack": service.stack, "state": state,
                     "skipped": unchanged(context, service, order.root)})  # fmt: skip
    commands = commands_by_hand(services, order, context.deployment)
    width = max(len(service.name) for service in services)
    lines = [
        f"{number:>2}. {row['name']:<{width}}  {row['state']:<20} {row['skipped']}".rstrip()
        for number, row in enumerate(rows, 1)
    ]
    missing = () if arguments.names else order.missing
    lines += [f"    missing: {name}, named in serverless-compose.yml, has no directory" for name in missing]
    lines += ["", "By hand, from the root of the checkout:", *(f"    {command}" for command in commands)]
    lines += ["", *(f"✗ {one}" for one in order.unread)] if order.unread else []
    same = sum(bool(row["skipped"]) for row in rows)
    lines += ["", f"{plural(len(rows) - same, 'service')} to deploy, {same} deployed and unchanged."]
    return Outcome(
        0,
        "\n".join(map(plain, lines)),
        {"services": rows, "missing": list(order.missing), "unread": list(order.unread), "commands": commands},
    )


def _chosen(arguments: argparse.Namespace, context: Context) -> tuple[Order, list[Service]]:
    """What `deploy` would deploy. Raises Blocked while its step is locked, BadInput without a checkout or names."""
    order = _order(arguments, context)
    if bool(arguments.names) == arguments.all:
        raise BadInput("Name the services to deploy, or give --all.")
    if arguments.all and order.unread:
        raise BadInput(f"Not every service can be read: {' '.join(order.unread)}")
    chosen = list(order.services) if arguments.all else order.named(arguments.names)
    first = any(service.name == "amplify-lambda" for service in chosen)
    locks.require(context, "4c" if first else "5")
    return order, chosen


def _before_deploy(arguments: argparse.Namespace, context: Context) -> Sequence[str]:
    _, chosen = _chosen(arguments, context)
    same = " Those deployed and unchanged are skipped." if arguments.all else ""
    return (f"Will be deployed, in this order: {', '.join(service.name for service in chosen)}.{same}",)


def run_deploy(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Steps 4c and 5. Raises Blocked while the step is locked, BadInput without a checkout or names."""
    order, chosen = _chosen(arguments, context)
    for name in order.missing:
        text = "serverless-compose.yml names it, but its directory does not exist"
        todo = "Remove the entry: deploying all at once by hand (`serverless deploy`) fails on it."
        context.feed.emit(Finding("attention", name, text, todo))
    return deploy(context, chosen, order)


def run_verify(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Step V: look once, or go on watching the logs. 1 when something is wrong."""
    if arguments.root:
        context.root = arguments.root
    if arguments.follow:
        functions = [function["FunctionName"] for function in list_functions(context)]
        causes = follow(context, functions)
        seen = sum(cause.count for cause in causes)
        details = {"errors": seen, "causes": [asdict(cause) for cause in causes]}
        return Outcome(1 if seen else 0, f"{plural(seen, 'error')} seen.", details)
    health = examine(context, arguments.endpoint)
    verified = {"ok": health.well, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    tried = context.workspace.remember(
        lambda known: {
            "services_verified": verified, "tried": sorted({*known.get("tried", []), *arguments.tried}),
        }
    )["tried"]  # fmt: skip
    details = {
        "ok": health.well,
        "counts": health.counts,
        "findings": [asdict(finding) for finding in health.findings],
        "causes": [asdict(cause) for cause in health.causes],
        "tried": tried,
        "rollback": rollback_plan(context.deployment.label),
    }
    return Outcome(0 if health.well else 1, describe(health, tried, context.deployment.label), details)


def describe(health: Health, tried: list[str], label: str) -> str:
    """What was found, what is left to try by hand, and, where something is wrong, the way back."""
    counts = ", ".join(plural(count, noun.removesuffix("s")) for noun, count in health.counts.items())
    lines = [f"Looked at {counts}, and the logs since the deployment."]
    lines += [f"{one.level}: {one.place}: {sentences(one.text, one.todo)}" for one in health.findings]
    for cause in health.causes:
        where = plain(", ".join(cause.functions), 200)
        lines.append(f"blocked: {cause.text}: {plural(cause.count, 'time')} in {where}")
        lines.append(f"    {cause.example}")
    if TRY_BY_HAND.keys() - set(tried):
        lines += ["", "Not yet told to be tried by hand and to work (a tick at step V, or `--tried NAME`):"]
        lines += [f"    {name:<13}{text}" for name, text in TRY_BY_HAND.items() if name not in tried]
    if not health.well:
        lines += ["", "If this cannot be mended quickly:", *(f"    {line}" for line in rollback_plan(label))]
    return "\n".join(lines)
