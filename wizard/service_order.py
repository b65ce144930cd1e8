"""The services of a backend checkout and the order in which they are deployed.

amplify-lambda comes first whatever the compose file says: it creates the REST API, the consolidation bucket and the
user-data-storage table that the others stand on. Then the guide's order, then what the compose file leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from wizard.checkout import read_checkout, read_text
from wizard.deployment import Deployment
from wizard.errors import BadInput
from wizard.parameters import readable
from wizard.text import sentences
from wizard.yaml_nodes import at, compose, pairs, text_of

COMPOSE = "serverless-compose.yml"
FIRST = ("amplify-lambda", "amplify-assistants", "amplify-lambda-js")  # guide, steps 4c and 5


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
    """The services in the order of deployment, compose entries whose directory does not exist, and what is no service
    for want of a serverless.yml that can be read."""

    services: tuple[Service, ...]
    missing: tuple[str, ...]
    root: Path
    unread: tuple[str, ...] = ()

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
    unread = tuple(
        sentences(one.text, one.todo)
        for one in checkout.findings
        if one.level == "blocked" and one.place.endswith("/serverless.yml")
    )
    return Order(tuple(services[name] for name in sort_names(list(services), depends)), missing, checkout.root, unread)


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
