"""Deploying the services of a checkout one after another, by `serverless` or by hand while CloudFormation is watched."""

from __future__ import annotations

import hashlib
import logging
import os
import shlex
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wizard import parameter_store, parameters, serverless_command
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.events import Finding, Progress
from wizard.journey import Outcome
from wizard.service_order import Order, Service
from wizard.stacks import COMPLETE, SETTLED, changed, describe_stack, failure_reason
from wizard.subprocesses import run_lines
from wizard.text import at_minute, plural, without

log = logging.getLogger(__name__)

WATCH_SECONDS = 2 * 3_600.0  # how long stacks are watched while the operator deploys by hand
_REMEMBERED_LINES = 500  # of the command's output, to find the error in
_NOT_SOURCE = {"node_modules", ".serverless", ".git", "__pycache__", ".pytest_cache", ".venv", "venv"}


def deploy(context: Context, services: Sequence[Service], order: Order) -> Outcome:
    """Deploy services one after another; stop at the first failure, with CloudFormation's reason.

    What is complete and unchanged since it was deployed from here is skipped, so that the same call goes on from where
    it stopped. Without a `serverless` command the commands are shown, and CloudFormation is watched instead.
    """
    command = serverless_command.find(context)
    results: dict[str, str] = {}
    if command is None:
        return watch(context, services, order)
    secrets = parameters.secret_values(context, order.root)
    for number, service in enumerate(services):
        context.control.check()
        context.feed.emit(Progress("services", number, len(services), "services", service.name))
        if reason := unchanged(context, service, order.root):
            log.info("%s: skipped, %s", service.name, reason)
            results[service.name] = f"skipped: {reason}"
            continue
        place = order.root if service.composed else service.directory
        arguments = service.command(context.deployment)
        log.info("%s: serverless %s", service.name, " ".join(arguments))
        started, said = time.time(), deque[str](maxlen=_REMEMBERED_LINES)

        def show(line: str, said: deque[str] = said) -> None:
            line = without(secrets, line)
            log.info("%s", line)
            said.append(line)

        environment = serverless_command.environment(context, command)
        code = run_lines([*command, *arguments], place, environment, context.control, show)
        stack = describe_stack(context, service.stack)
        if code != 0 or stack is None or stack["StackStatus"] not in COMPLETE:
            reason = without(secrets, failure_reason(context, service.stack, started)) or _ended(code, said, stack)
            results[service.name] = f"failed: {reason}"
            context.feed.emit(Finding("blocked", service.name, reason, advice(reason)))
            left = [later.name for later in services[number + 1 :]]
            text = " ".join(
                part for part in (f"{service.name} was not deployed: {reason.rstrip('.')}.", advice(reason)) if part
            )
            return Outcome(1, f"{text} Run it again then: it goes on here.", {"services": results, "left": left})
        results[service.name] = "deployed"
        _remember(context, service, order.root, stack)
    context.feed.emit(Progress("services", len(services), len(services), "services"))
    deployed = sum(1 for result in results.values() if result == "deployed")
    return Outcome(
        0,
        f"{plural(deployed, 'service')} deployed, {len(results) - deployed} skipped.",
        {"services": results, "left": []},
    )


def _ended(code: int, said: Iterable[str], stack: Mapping[str, Any] | None) -> str:
    """Why a deployment failed that CloudFormation knows nothing of."""
    if code:
        return serverless_command.error_in(said) or f"serverless ended with status {code} and without a word."
    return f"serverless ended well, but the stack is {stack['StackStatus'] if stack else 'absent'}."


def advice(reason: str) -> str:
    """What to do about a CloudFormation reason, for those that the guide knows."""
    if "same parent already has this name" in reason:
        return "Another stack owns the path /user-data: free it first (step 4b)."
    if "ssm" in reason.lower() and ("resolve" in reason.lower() or "not found" in reason.lower()):
        return "Store the missing parameter first (steps 1 and 2)."
    if "frameworkVersion" in reason:
        return "Install the version that serverless.yml asks for (such as npm install -g serverless@3, or osls@3)."
    if "/compose" in reason:
        return "Install the compose package that package.json names (npm install in the root of the checkout)."
    if "No export named" in reason:
        return "Deploy amplify-lambda first (step 4c)."
    if "AccessDenied" in reason or "not authorized" in reason:
        return "The identity that deploys lacks this permission."
    return ""


def watch(context: Context, services: Sequence[Service], order: Order, patience: float = WATCH_SECONDS) -> Outcome:
    """Show the exact commands and wait until each stack was deployed by hand and is complete."""
    results = {
        service.name: f"skipped: {reason}"
        for service in services
        if (reason := unchanged(context, service, order.root))
    }
    waiting = [service for service in services if service.name not in results]
    begun = {service.name: changed(describe_stack(context, service.stack)) for service in waiting}
    commands = commands_by_hand(waiting, order, context.deployment)
    started, deadline = time.time(), time.monotonic() + patience
    for name, result in results.items():
        log.info("%s: %s", name, result)
    if commands:
        log.info(
            "No serverless command here. Run these in another terminal, in this order, at the root of the checkout, while"
            " this watches CloudFormation; `amplify-migrate services list` prints them there, to copy:"
        )
    for line in commands:
        log.info("    %s", line)
    while waiting:
        service = waiting[0]
        context.feed.emit(Progress("services", len(results), len(services), "services", f"waiting for {service.name}"))
        stack = describe_stack(context, service.stack)
        if stack is not None and changed(stack) != begun[service.name] and stack["StackStatus"] in SETTLED:
            if stack["StackStatus"] not in COMPLETE:
                reason = failure_reason(context, service.stack, started) or stack["StackStatus"]
                results[service.name] = f"failed: {reason}"
                left = [one.name for one in waiting[1:]]
                text = f"{service.name} was not deployed: {reason} {advice(reason)}".strip()
                return Outcome(1, text, {"services": results, "left": left, "commands": commands})
            log.info("%s: %s", service.name, stack["StackStatus"])
            results[service.name] = "deployed"
            _remember(context, service, order.root, stack)
            waiting.pop(0)
            continue
        if time.monotonic() > deadline:
            left = [one.name for one in waiting]
            text = f"{service.name} was not deployed within {patience / 60:.0f} minutes; run: {'; '.join(commands)}"
            return Outcome(3, text, {"services": results, "left": left, "commands": commands})
        context.control.sleep(min(5.0, max(0.1, patience / 20)))
    deployed = sum(1 for result in results.values() if result == "deployed")
    text = f"{plural(deployed, 'service')} deployed, {len(results) - deployed} skipped."
    return Outcome(0, text, {"services": results, "left": [], "commands": commands})


def commands_by_hand(services: Sequence[Service], order: Order, deployment: Deployment) -> list[str]:
    """The shell lines that deploy these services, for an operator to copy; run at the root of the checkout."""
    return [
        f"serverless {shlex.join(service.command(deployment))}" if service.composed
        else f"(cd {shlex.quote(_place(service, order))} && serverless {shlex.join(service.command(deployment))})"
        for service in services
    ]  # fmt: skip


def _place(service: Service, order: Order) -> str:
    """The directory below the checkout; one whose name begins with - is no option."""
    name = str(service.directory.relative_to(order.root))
    return f"./{name}" if name.startswith("-") else name


def unchanged(context: Context, service: Service, root: Path) -> str:
    """Why a service need not be deployed again; "" when it must be."""
    known = context.workspace.settings().get("deployed", {}).get(service.name)
    if not known or known.get("digest") != source_digest(context, service, root):
        return ""
    stack = describe_stack(context, service.stack)
    if stack is None or stack["StackStatus"] not in COMPLETE or changed(stack) != known.get("changed"):
        return ""
    return f"deployed {at_minute(known['changed'])} and unchanged since"


def _remember(context: Context, service: Service, root: Path, stack: Mapping[str, Any]) -> None:
    entry = {"digest": source_digest(context, service, root), "changed": changed(stack)}
    context.workspace.remember(
        lambda known: {
            "deployed": {**known.get("deployed", {}), service.name: entry},
            "services_verified": {},
            "tried": [],
        }
    )


def source_digest(context: Context, service: Service, root: Path) -> str:
    """One digest over what a deployment reads: the service's files, the stage's var file, the parameters' values.

    What is installed or built does not count.
    """
    digest = hashlib.sha256()
    paths = [root / "var" / f"{context.deployment.stage}-var.yml"]
    for folder, folders, files in os.walk(service.directory):
        folders[:] = sorted(name for name in folders if name not in _NOT_SOURCE)
        paths += [Path(folder) / name for name in sorted(files)]
    for path in paths:
        if path.is_file():
            digest.update(os.path.relpath(path, root).encode(errors="surrogateescape"))
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    for name, stored in sorted(parameter_store.read(context, service.reads).items()):
        digest.update(f"{name}={stored.value if stored.value is not None else stored.version}".encode())
    return digest.hexdigest()
