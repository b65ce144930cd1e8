"""The services of a backend checkout: their order, their stacks, and deploying them one after another.

amplify-lambda comes first whatever the compose file says: it creates the REST API, the consolidation bucket and the
user-data-storage table that the others stand on. Then the guide's order, then what the compose file leaves open.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.exceptions
import yaml

from wizard import parameter_store, serverless_command, storage
from wizard.aws_errors import code_of
from wizard.checkout import read_checkout, read_text
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.errors import BadInput
from wizard.events import Finding, Progress
from wizard.journey import Outcome
from wizard.parameters import readable
from wizard.subprocesses import run_lines
from wizard.text import plain, plural
from wizard.yaml_nodes import at, compose, pairs, text_of

log = logging.getLogger(__name__)

COMPOSE = "serverless-compose.yml"
FIRST = ("amplify-lambda", "amplify-assistants", "amplify-lambda-js")  # guide, steps 4c and 5
# Stacks are `amplify-{dep}-{service}-{stage}`; these services exist in at least one release.
KNOWN = (
    "assistants", "amplify-js", "object-access", "admin", "api", "artifacts", "lambda-ops", "chat-billing",
    "data-disclosure", "embedding", "agent-loop", "assistants-api", "google", "office365",
)  # fmt: skip
COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
SETTLED = (
    *COMPLETE, "UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_COMPLETE", "CREATE_FAILED", "UPDATE_FAILED",
    "ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED",
)  # fmt: skip
WATCH_SECONDS = 2 * 3_600.0  # how long stacks are watched while the operator deploys by hand
_REMEMBERED_LINES = 500  # of the command's output, to find the error in
_NOT_SOURCE = {"node_modules", ".serverless", ".git", "__pycache__", ".pytest_cache", ".venv", "venv"}


@dataclass(frozen=True)
class Service:
    """One deployable directory. `name` is its compose name (`composed`), else that of the directory."""

    name: str
    directory: Path
    stack: str
    composed: bool
    region: str  # where serverless would deploy it without `--region`
    reads: frozenset[str]  # the paths of Parameter Store that a deployment of it reads

    def command(self, deployment: Deployment) -> list[str]:
        """The arguments after `serverless`, to be run in the root, or in its directory when compose does not know it."""
        verb = f"{self.name}:deploy" if self.composed else "deploy"
        elsewhere = ["--region", deployment.region] if self.region != deployment.region else []
        return [verb, "--stage", deployment.stage, *elsewhere]


@dataclass(frozen=True)
class Order:
    """The services in the order of deployment, and compose entries whose directory does not exist."""

    services: tuple[Service, ...]
    missing: tuple[str, ...]
    root: Path

    def named(self, names: Sequence[str]) -> list[Service]:
        """The services of these names (compose name, directory, or stack's service), in order; raises BadInput."""
        wanted, found = set(names), []
        for service in self.services:
            keys = {service.name, service.directory.name, service.stack}
            if keys & wanted:
                found.append(service)
                wanted -= keys
        if wanted:
            known = ", ".join(service.name for service in self.services)
            raise BadInput(f"No service {', '.join(sorted(wanted))} in {self.root}; there are {known}.")
        return found


@dataclass(frozen=True)
class _Component:
    path: str
    depends: list[str]


def read_order(root: Path, deployment: Deployment) -> Order:
    """The order of a checkout, from serverless-compose.yml and the directories outside it.

    Raises BadInput where the compose file cannot be read.
    """
    checkout = read_checkout(root, deployment)
    components = _read_compose(checkout.root)
    by_directory = {(checkout.root / one.path).resolve(): name for name, one in components.items()}
    missing = tuple(f"{name} ({components[name].path})" for path, name in by_directory.items() if not path.is_dir())
    services = {}
    for found in checkout.services:
        directory = found.directory.resolve()
        name = by_directory.get(directory, directory.name)
        reads = frozenset(one.address for one in found.references if one.type == "ssm" and readable(one.address))
        services[name] = Service(
            name, directory, found.stack, directory in by_directory, found.definition.region, reads
        )
    depends = {name: components[name].depends if name in components else [] for name in services}
    return Order(tuple(services[name] for name in sort_names(list(services), depends)), missing, checkout.root)


def _read_compose(root: Path) -> dict[str, _Component]:
    """What the compose file says of each component, by name; {} where there is none. Raises BadInput."""
    text = read_text(root, COMPOSE)
    found = {}
    for name, (_, entry) in pairs(at(compose(text, COMPOSE), "services") if text is not None else None).items():
        if path := text_of(at(entry, "path")):
            depends = at(entry, "dependsOn")
            nodes = depends.value if isinstance(depends, yaml.SequenceNode) else [depends]
            found[name] = _Component(path, [other for node in nodes if (other := text_of(node))])
    return found


def sort_names(names: Sequence[str], depends: Mapping[str, Sequence[str]]) -> list[str]:
    """`FIRST` first, then every name after what it depends on; compose entries before directories outside the file.

    A cycle is cut where it is met: parameters have replaced stack outputs, so that any order within it deploys.
    """
    ordered: list[str] = []

    def visit(name: str, waiting: frozenset[str]) -> None:
        if name in ordered or name in waiting or name not in names:
            return
        for other in depends.get(name, ()):
            visit(other, waiting | {name})
        ordered.append(name)

    ordered.extend(name for name in FIRST if name in names)
    for name in names:
        if depends.get(name):
            visit(name, frozenset())
    for name in sorted(names):
        visit(name, frozenset())
    return ordered


def stack_states(context: Context) -> dict[str, str]:
    """`{service: status}` of the deployment's service stacks other than amplify-lambda.

    "outdated" is a stack last deployed before the user-data-storage table was created: it is of the release before.
    With a checkout the services are those of the checkout, "absent" where no stack exists; without one, those found.
    """
    dep, stage = context.deployment.dep, context.deployment.stage
    prefix, suffix = f"amplify-{dep}-", f"-{stage}"
    expected = {service: context.deployment.stack(service) for service in KNOWN}
    if context.root is not None:
        stacks = [service.stack for service in read_order(context.root, context.deployment).services]
        expected = {stack.removeprefix(prefix).removesuffix(suffix): stack for stack in stacks}
    cut = release_time(context)
    found = {
        stack["StackName"]: stack
        for page in context.account.pages("cloudformation", "describe_stacks")
        for stack in page["Stacks"]
        if stack["StackStatus"] != "DELETE_COMPLETE"
    }
    states: dict[str, str] = {}
    for service, name in expected.items():
        stack = found.get(name)
        if service == "lambda" or (stack is None and context.root is None):
            continue
        states[service] = "absent" if stack is None else _state(stack, cut)
    return states


def _state(stack: Mapping[str, Any], cut: datetime | None) -> str:
    changed = stack.get("LastUpdatedTime") or stack["CreationTime"]
    if stack["StackStatus"] in COMPLETE and (cut is None or changed < cut):
        return "outdated"
    return str(stack["StackStatus"])


def release_time(context: Context) -> datetime | None:
    """When the new release's amplify-lambda arrived: the creation of user-data-storage; None while it has not."""
    table = storage.describe(context.account, storage.new_table(context.deployment))
    return None if table is None else table["CreationDateTime"]


def deploy(context: Context, services: Sequence[Service], order: Order) -> Outcome:
    """Deploy services one after another; stop at the first failure, with CloudFormation's reason.

    What is complete and unchanged since it was deployed from here is skipped, so that the same call goes on from where
    it stopped. Without a `serverless` command the commands are shown, and CloudFormation is watched instead.
    """
    command = serverless_command.find(context)
    results: dict[str, str] = {}
    if command is None:
        return watch(context, services, order)
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
            log.info("%s", line)
            said.append(line)

        environment = serverless_command.environment(context, command)
        code = run_lines([*command, *arguments], place, environment, context.control, show)
        stack = describe_stack(context, service.stack)
        if code != 0 or stack is None or stack["StackStatus"] not in COMPLETE:
            reason = failure_reason(context, service.stack, started) or _ended(code, said, stack)
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


def describe_stack(context: Context, stack: str) -> dict[str, Any] | None:
    """DescribeStacks' entry, or None where the stack does not exist."""
    try:
        found: dict[str, Any] = context.account.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"][0]
    except botocore.exceptions.ClientError as error:
        if code_of(error) == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return None if found["StackStatus"] == "DELETE_COMPLETE" else found


def failure_reason(context: Context, stack: str, since: float) -> str:
    """The first failure that CloudFormation reports for a stack since a time: `logical id - reason`; "" for none."""
    start = datetime.fromtimestamp(since - 5, UTC)  # clocks differ a little
    failures: list[str] = []
    try:
        for page in context.account.pages("cloudformation", "describe_stack_events", StackName=stack):
            for event in page["StackEvents"]:  # newest first
                if event["Timestamp"] < start:
                    return failures[-1] if failures else ""
                reason = event.get("ResourceStatusReason", "")
                if event["ResourceStatus"].endswith("_FAILED") and reason and "cancelled" not in reason.lower():
                    failures.append(plain(f"{event['ResourceStatus']}: {event['LogicalResourceId']} - {reason}", 1_000))
    except botocore.exceptions.ClientError as error:
        if code_of(error) != "ValidationError":
            raise
    return failures[-1] if failures else ""


def watch(context: Context, services: Sequence[Service], order: Order, patience: float = WATCH_SECONDS) -> Outcome:
    """Show the exact commands and wait until each stack was deployed by hand and is complete."""
    results = {
        service.name: f"skipped: {reason}"
        for service in services
        if (reason := unchanged(context, service, order.root))
    }
    waiting = [service for service in services if service.name not in results]
    begun = {service.name: _changed(describe_stack(context, service.stack)) for service in waiting}
    commands = commands_by_hand(waiting, order, context.deployment)
    started, deadline = time.time(), time.monotonic() + patience
    for name, result in results.items():
        log.info("%s: %s", name, result)
    if commands:
        log.info("No serverless command here. Run these, in this order; this watches CloudFormation:")
    for line in commands:
        log.info("    %s", line)
    while waiting:
        service = waiting[0]
        context.feed.emit(Progress("services", len(results), len(services), "services", f"waiting for {service.name}"))
        stack = describe_stack(context, service.stack)
        if stack is not None and _changed(stack) != begun[service.name] and stack["StackStatus"] in SETTLED:
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
        f"serverless {' '.join(service.command(deployment))}" if service.composed
        else f"(cd {service.directory.relative_to(order.root)} && serverless {' '.join(service.command(deployment))})"
        for service in services
    ]  # fmt: skip


def _changed(stack: Mapping[str, Any] | None) -> str:
    if stack is None:
        return ""
    return str(stack.get("LastUpdatedTime") or stack["CreationTime"])


def unchanged(context: Context, service: Service, root: Path) -> str:
    """Why a service need not be deployed again; "" when it must be."""
    known = context.workspace.settings().get("deployed", {}).get(service.name)
    if not known or known.get("digest") != source_digest(context, service, root):
        return ""
    stack = describe_stack(context, service.stack)
    if stack is None or stack["StackStatus"] not in COMPLETE or _changed(stack) != known.get("changed"):
        return ""
    return f"deployed {known['changed'][:16]} and unchanged since"


def _remember(context: Context, service: Service, root: Path, stack: Mapping[str, Any]) -> None:
    entry = {"digest": source_digest(context, service, root), "changed": _changed(stack)}
    deployed = {**context.workspace.settings().get("deployed", {}), service.name: entry}
    context.workspace.remember({"deployed": deployed, "services_verified": {}})


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
