"""The backend's checkout: its services with what their serverless.yml say, and the var file. Only reads files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wizard.deployment import Deployment
from wizard.errors import BadInput
from wizard.events import Finding
from wizard.serverless_yaml import Answers, Reference, ServerlessFile, TableName, Variable, read_variables
from wizard.text import plain
from wizard.yaml_nodes import LARGEST, repeated

TEMPLATE = "example-service"  # the service of amplify-lambda-python-base, from which new services are copied


@dataclass(frozen=True)
class Service:
    """One direct child directory with a serverless.yml. `excluded` says why it takes no part, or is empty."""

    directory: Path
    name: str
    stack: str
    definition: ServerlessFile = field(compare=False, repr=False)
    excluded: str = ""

    @property
    def file(self) -> str:
        """For people and findings: `amplify-lambda/serverless.yml`."""
        return plain(f"{self.directory.name}/serverless.yml")

    @property
    def variables(self) -> list[Variable]:
        return self.definition.variables

    @property
    def references(self) -> list[Reference]:
        return self.definition.references()

    @property
    def tables(self) -> list[TableName]:
        return self.definition.tables()


@dataclass(frozen=True)
class Checkout:
    """A checkout as one stage sees it. `variables` are those of the var file; {} when it cannot be read."""

    root: Path
    services: tuple[Service, ...]
    excluded: tuple[Service, ...]
    variables: Mapping[str, str]
    var_file: str
    findings: tuple[Finding, ...]


def read_checkout(root: Path, deployment: Deployment, known: Mapping[str, str] | None = None) -> Checkout:
    """The services under `root`, by directory name. What cannot be read is a `blocked` finding that names the file.

    Args:
        known: answers from elsewhere by `type:address`, such as `cf:stack.Output`.
    Raises BadInput when `root` is no directory or holds no serverless.yml at all.
    """
    try:
        folder = root.resolve(strict=True)
        children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError as error:
        raise BadInput(f"--root {root} cannot be read ({error.strerror}); give the backend's checkout.") from error
    findings: list[Finding] = []
    var_file = f"var/{deployment.stage}-var.yml"
    variables = _variables(folder, var_file, findings)
    if (theirs := plain(variables.get("DEP_NAME", deployment.dep), 40)) != deployment.dep:
        problem = f"DEP_NAME is {theirs} there, not {deployment.dep}: services would read names that nobody wrote."
        todo = f"Use --dep-name {theirs}, or correct DEP_NAME in {var_file}."
        findings.append(Finding("blocked", var_file, problem, todo))
    answers = Answers(deployment.dep, deployment.stage, deployment.region, variables, known or {})
    services = []
    for child in children:
        place = plain(f"{child.name}/serverless.yml")
        try:
            text = read_text(folder, f"{child.name}/serverless.yml")
            if text is None:
                continue
            definition = ServerlessFile(text, place, answers)
        except BadInput as error:
            findings.append(Finding("blocked", place, str(error), "Correct the file, or move its directory away."))
            continue
        services.append(_service(child, definition))
    if not services and not any(finding.level == "blocked" for finding in findings):
        raise BadInput(
            f"No directory in {root} has a serverless.yml; run this in the backend's checkout or give --root."
        )
    findings += _doubtful(services)
    return Checkout(
        folder,
        tuple(service for service in services if not service.excluded),
        tuple(service for service in services if service.excluded),
        variables,
        var_file,
        tuple(findings),
    )


def _service(folder: Path, definition: ServerlessFile) -> Service:
    name, excluded = definition.service, ""
    if name == TEMPLATE:
        excluded = "it is the template for new services and is never deployed"
    elif name.endswith("-basic-ops"):
        excluded = "this migration removes it"
    elif not name:
        excluded = "its service name cannot be told"
    return Service(folder, name, definition.stack if name else "", definition, excluded)


def _doubtful(services: list[Service]) -> list[Finding]:
    findings = [
        Finding("blocked", service.file, "The name of the service cannot be told.", "Give it a `service:` name.")
        for service in services
        if not service.name
    ]
    findings += [
        Finding(
            "attention", f"{service.file}:{line}",
            f"It takes values from {plain(path, 120)}, which is not searched for references.",
            "Look there by hand for ${ssm:…} and for table names.",
        )
        for service in services
        if not service.excluded
        for line, path in service.definition.included()
    ]  # fmt: skip
    findings += [
        Finding(
            "attention", f"{service.file}:{key.start_mark.line + 1}",
            f"{plain(key.value, 80)} stands twice in one mapping; the last counts here.",
            "Remove one of them: serverless refuses such a file.",
        )
        for service in services
        if not service.excluded
        for key in repeated(service.definition.root)
    ]  # fmt: skip
    owners: dict[str, Service] = {}
    for service in services:
        first = owners.setdefault(service.name, service)
        if first is not service and service.name:
            text = f"{plain(service.name, 80)} is also defined by {first.file}; both write the same parameters."
            findings.append(Finding("blocked", service.file, text, "Move one of the directories away."))
    return findings


def _variables(folder: Path, var_file: str, findings: list[Finding]) -> dict[str, str]:
    try:
        content = read_text(folder, var_file)
        if content is not None:
            values, others = read_variables(content, var_file)
            for name in others:
                text = f"{plain(name, 80)} is a list or a mapping there; only a text can be stored."
                findings.append(Finding("attention", var_file, text, "Write it as one text, such as a,b."))
            return values
    except BadInput as error:
        findings.append(Finding("blocked", var_file, str(error), "Correct the file."))
        return {}
    text = "There is no such file, so only the names that follow from the deployment can be stored."
    findings.append(Finding("attention", var_file, text, f"Copy {var_file}-example and fill it in."))
    return {}


def read_text(folder: Path, name: str) -> str | None:
    """The text of the file `name` below `folder`, None when there is no such file.

    Raises BadInput that names it when it leads out of the checkout, or is no readable text of a sensible size.
    """
    path, place = folder / name, plain(name)
    try:
        if not path.is_symlink() and not path.exists():
            return None
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder):
            raise BadInput(f"{place} leads out of the checkout, to {plain(real)}; it is not read.")
        if not real.is_file():
            raise BadInput(f"{place} is not a file.")
        if real.stat().st_size > LARGEST:
            raise BadInput(f"{place} is larger than {LARGEST:,} bytes; it is not read.")
        return real.read_text(encoding="utf-8-sig")
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links
        raise BadInput(f"{place} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{place} is not UTF-8 text (byte {error.start}).") from error
