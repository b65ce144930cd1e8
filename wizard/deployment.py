"""Names of everything in a deployment, and where each name comes from.

A deployment is DEP_NAME + STAGE + region. Every table is `amplify-{dep}-{service}-{stage}-{suffix}`; a name in the
environment (`S3_CONSOLIDATION_BUCKET_NAME`, `ACCOUNTS_DYNAMO_TABLE`, …) replaces the generated one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wizard.errors import BadInput

Source = Literal["generated", "environment", "discovered"]

_DEP = re.compile(r"^[A-Za-z0-9][A-Za-z0-9-]{0,30}$")
_STAGE = re.compile(r"^[A-Za-z0-9]{1,20}$")
# Tables that every release has, from which a deployment's names can be read back.
_ANCHORS = (
    re.compile(r"^amplify-(?P<dep>.+)-object-access-(?P<stage>[A-Za-z0-9]+)-cognito-users$"),
    re.compile(r"^amplify-(?P<dep>.+)-lambda-(?P<stage>[A-Za-z0-9]+)-accounts$"),
)


@dataclass(frozen=True)
class Name:
    """A resource name and its source."""

    value: str
    source: Source


@dataclass(frozen=True)
class Deployment:
    """One deployment. `overrides` maps config keys (`ACCOUNTS_DYNAMO_TABLE`) to names from the environment."""

    dep: str
    stage: str
    region: str
    overrides: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not _DEP.match(self.dep):
            raise BadInput(f"--dep-name {self.dep!r} is not a deployment name: letters, digits and - only, like v6.")
        if not _STAGE.match(self.stage):
            raise BadInput(f"--stage {self.stage!r} is not a stage: letters and digits only, like dev.")

    def fill(self, pattern: str) -> str:
        """`amplify-{dep}-lambda-{stage}-share` with this deployment's names."""
        return pattern.format(dep=self.dep, stage=self.stage)

    def name(self, config_key: str, pattern: str) -> Name:
        """The name of a table or bucket: the environment's, else the generated one."""
        override = self.overrides.get(config_key)
        return Name(override, "environment") if override else Name(self.fill(pattern), "generated")

    @property
    def label(self) -> str:
        return f"{self.dep}/{self.stage} in {self.region}"

    def stack(self, service: str) -> str:
        """The CloudFormation stack of a service: `amplify-{dep}-{service}-{stage}`."""
        return f"amplify-{self.dep}-{service}-{self.stage}"

    def owns(self, resource: str, others: Iterable[str] = ()) -> bool:
        """Whether a table or bucket name belongs to this deployment. `others` are the DEP_NAMEs that the account shows:
        `amplify-v6-test-…` is not of `v6` where there is a `v6-test`."""
        return _owns(self.dep, self.stage, resource, others)


def _owns(dep: str, stage: str, resource: str, others: Iterable[str]) -> bool:
    longer = [other for other in others if other.startswith(f"{dep}-")]
    return (
        resource.startswith(f"amplify-{dep}-")
        and (f"-{stage}-" in resource or resource.endswith(f"-{stage}"))
        and not any(resource.startswith(f"amplify-{other}-") for other in longer)
    )


def overrides_from(environment: Mapping[str, str], config_keys: Iterable[str]) -> dict[str, str]:
    """The names that the environment gives for known config keys; blank ones do not count."""
    return {key: environment[key].strip() for key in config_keys if environment.get(key, "").strip()}


def read_config(path: Path) -> dict[str, str]:
    """DEP_NAME and STAGE as a backend checkout's `scripts/config.py` assigns them; parsed, never executed.

    Returns what was found, which may be nothing: the file is a convenience, not a requirement.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            return {}
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="DEP_NAME" | "STAGE" as name)], value=ast.Constant(value=str(value))):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id="DEP_NAME" | "STAGE" as name), value=ast.Constant(value=str(value))):
                found[name] = value
    return found


def discover(table_names: Iterable[str], bucket_names: Iterable[str] = ()) -> list[tuple[str, str, int]]:
    """Deployments that an account's names show: (dep, stage, number of tables and buckets), most first."""
    names = set(table_names)
    everything = names | set(bucket_names)
    found = {(match["dep"], match["stage"]) for name in names for anchor in _ANCHORS if (match := anchor.match(name))}
    others = {dep for dep, _ in found}
    counted = [(dep, stage, sum(_owns(dep, stage, name, others) for name in everything)) for dep, stage in found]
    return sorted(counted, key=lambda entry: (-entry[2], entry[0], entry[1]))
