"""Parameter Store itself: read in batches, written one by one at its pace, and put back from what it remembers.

What a write replaces is labelled `pre-migration-{version}`, and every value of ours says so in its description: with
both, Parameter Store alone tells what `restore` has to put back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import botocore.exceptions

from wizard.aws_errors import ABSENT, DENIED, code_of, explain
from wizard.context import Context
from wizard.errors import Blocked
from wizard.events import Progress
from wizard.parameter_plan import Row, Stored, shown

log = logging.getLogger(__name__)

Task = TypeVar("Task")

LABEL = "pre-migration-"
_BATCH = 10  # GetParameters takes no more names
_DESCRIBED = 50  # values of one DescribeParameters filter
_PACE_SECONDS = 1 / 3  # PutParameter's default limit is 3 a second, for the whole account
_EXISTS = "ParameterAlreadyExists"
_SLOW_SECONDS = 1.0  # a write that takes longer was throttled and tried again


@dataclass(frozen=True)
class Failure:
    """A parameter that could not be written, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Original:
    """What stood under a path before this deployment's populate replaced it."""

    path: str
    value: str
    type: str
    description: str
    version: int
    labels: tuple[tuple[int, str], ...]  # (version, label) of ours, to be taken off again
    settings: dict[str, Any]


def description(context: Context, origin: str = "") -> str:
    """How our values are recognised: `amplify-migrate v6/dev: amplify-lambda/serverless.yml:12`."""
    return f"amplify-migrate {context.deployment.dep}/{context.deployment.stage}: {origin}"


def read(context: Context, paths: Iterable[str]) -> dict[str, Stored]:
    """The parameters of these paths that exist. A SecureString that may not be decrypted has the value None.

    Raises Blocked when Parameter Store may not be read: not knowing is not the same as absent.
    """
    found: dict[str, Stored] = {}
    for names in _batches(sorted(set(paths)), _BATCH):
        try:
            found.update(_get(context, names))
        except botocore.exceptions.ClientError as error:
            if code_of(error) not in DENIED:
                raise
            for name in names:  # one key that may not be used hides all ten
                found.update(_get_alone(context, name))
    return found


def _get(context: Context, names: list[str]) -> dict[str, Stored]:
    answer = context.account.call("ssm", "get_parameters", Names=names, WithDecryption=True)
    return {
        entry["Name"] + entry.get("Selector", ""): Stored(entry["Value"], entry["Type"], entry["Version"])
        for entry in answer["Parameters"]
    }


def _get_alone(context: Context, name: str) -> dict[str, Stored]:
    try:
        entry = context.account.call("ssm", "get_parameter", Name=name, WithDecryption=False)["Parameter"]
    except botocore.exceptions.ClientError as error:
        if code_of(error) in ABSENT:
            return {}
        if code_of(error) in DENIED:
            raise Blocked(f"{name} cannot be read ({explain(error)}): ssm:GetParameter(s) is needed on it.") from error
        raise
    if entry["Type"] != "SecureString":
        return {name: Stored(entry["Value"], entry["Type"], entry["Version"])}
    try:
        return _get(context, [name])
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in DENIED:
            raise
        return {name: Stored(None, entry["Type"], entry["Version"])}


def write(context: Context, rows: list[Row]) -> list[Failure]:
    """Create and update, one after the other: fast until Parameter Store throttles, at its pace from then on.

    What is overwritten is labelled first. A failure stops nothing else. Killed or cancelled at any instant, the same
    call goes on with what still differs.
    """
    described = _described(context, [row.wanted.path for row in rows if row.action == "update"])

    def put(row: Row) -> dict[str, Any]:
        answer = _create(context, row) if row.action == "create" else _update(context, row, described)
        log.info("%s %s = %s", row.action, row.wanted.path, shown(row.wanted.value, row.secret))
        return answer

    return _serially(context, [(row.wanted.path, row.secret, row) for row in rows], put)


def _serially(
    context: Context, tasks: list[tuple[str, bool, Task]], put: Callable[[Task], dict[str, Any]]
) -> list[Failure]:
    failures, pause = [], 0.0
    for done, (path, secret, task) in enumerate(tasks):
        context.feed.emit(Progress("parameters", done, len(tasks), "parameters"))
        context.control.sleep(pause)
        started = time.monotonic()
        try:
            answer = put(task)
        except botocore.exceptions.ClientError as error:
            failures.append(Failure(path, _why(error, secret)))
            log.error("✗ %s: %s", path, failures[-1].reason)
            continue
        if answer["ResponseMetadata"].get("RetryAttempts") or time.monotonic() - started > _SLOW_SECONDS:
            pause = _PACE_SECONDS
    context.feed.emit(Progress("parameters", len(tasks), len(tasks), "parameters"))
    return failures


def _create(context: Context, row: Row) -> dict[str, Any]:
    try:
        return context.account.call(
            "ssm", "put_parameter", Name=row.wanted.path, Value=row.wanted.value, Type=row.type, Overwrite=False,
            Description=_description(context, row),
        )  # fmt: skip
    except botocore.exceptions.ClientError as error:
        stored = read(context, [row.wanted.path]).get(row.wanted.path) if code_of(error) == _EXISTS else None
        if stored is None or (stored.value, stored.type) != (row.wanted.value, row.type):
            raise
        return dict(error.response)  # the request was made twice, by the client or on the way: this is what it stored


def _update(context: Context, row: Row, described: dict[str, dict[str, Any]]) -> dict[str, Any]:
    path, present = row.wanted.path, described.get(row.wanted.path, {})
    if row.stored is not None and not _ours(context, present):
        _label(context, path, row.stored.version)
    return context.account.call(
        "ssm", "put_parameter", Name=path, Value=row.wanted.value, Type=row.type, Overwrite=True,
        Description=_description(context, row), **_settings(present),
    )  # fmt: skip


def _description(context: Context, row: Row) -> str:
    return description(context, row.wanted.origin)[:1024]


def _label(context: Context, path: str, version: int) -> None:
    context.account.call(
        "ssm", "label_parameter_version", Name=path, ParameterVersion=version, Labels=[f"{LABEL}{version}"]
    )


def _settings(described: dict[str, Any]) -> dict[str, Any]:
    """What an overwrite must repeat: an advanced tier cannot go back, and a key left out becomes the default key."""
    kept = {"KeyId": described.get("KeyId")} if described.get("Type") == "SecureString" else {}
    if described.get("Tier") == "Advanced":
        kept["Tier"] = "Advanced"
    return {name: value for name, value in kept.items() if value}


def _ours(context: Context, entry: dict[str, Any]) -> bool:
    return str(entry.get("Description", "")).startswith(description(context))


def _described(context: Context, paths: list[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for names in _batches(paths, _DESCRIBED):
        wanted = [{"Key": "Name", "Option": "Equals", "Values": names}]
        for page in context.account.pages("ssm", "describe_parameters", ParameterFilters=wanted):
            found.update({entry["Name"]: entry for entry in page["Parameters"]})
    return found


def _why(error: botocore.exceptions.ClientError, secret: bool) -> str:
    """The refusals that need a hand, in words; anything else as AWS says it, unless that may quote a secret."""
    match code_of(error):
        case "ParameterAlreadyExists":
            return "somebody stored it meanwhile; run populate again"
        case "ParameterMaxVersionLimitExceeded":
            return (
                "it has 100 versions and the oldest carries a label; move that label (aws ssm label-parameter-version)"
            )
        case "ParameterVersionLabelLimitExceeded":
            return "its present version has 10 labels already; take one off, then run populate again"
        case "HierarchyTypeMismatch" | "UnsupportedParameterType":
            return "its type cannot be changed; delete it and run populate again"
    return code_of(error) if secret else explain(error)


def originals(context: Context) -> tuple[list[Original], list[str]]:
    """What populate replaced, and the paths that it created. Only this deployment's own writes count."""
    replaced, created = [], []
    under = [{"Key": "Path", "Option": "Recursive", "Values": [f"/amplify/{context.deployment.stage}"]}]
    for page in context.account.pages("ssm", "describe_parameters", ParameterFilters=under, MaxResults=_DESCRIBED):
        for entry in page["Parameters"]:
            if not _ours(context, entry):
                continue
            original = _original(context, entry) if entry["Version"] > 1 else None
            if original is None:
                created.append(entry["Name"])
            else:
                replaced.append(original)
    return sorted(replaced, key=lambda one: one.path), sorted(created)


def _original(context: Context, entry: dict[str, Any]) -> Original | None:
    """The newest version that was labelled before it was replaced and is not one of ours."""
    history = [
        version
        for page in context.account.pages("ssm", "get_parameter_history", Name=entry["Name"], WithDecryption=True)
        for version in page["Parameters"]
    ]
    labels = [
        (version["Version"], label)
        for version in history
        for label in version.get("Labels", ())
        if label.startswith(LABEL)
    ]
    labelled = {version for version, _ in labels}
    candidates = [one for one in history if one["Version"] in labelled and not _ours(context, one)]
    if not candidates:
        return None
    last = max(candidates, key=lambda one: int(one["Version"]))
    return Original(
        entry["Name"], last["Value"], last["Type"], last.get("Description", ""), last["Version"], tuple(labels),
        _settings(entry),
    )  # fmt: skip


def put_back(context: Context, replaced: list[Original]) -> list[Failure]:
    """Write each original again, with its description, and take our labels off; a failure stops nothing else."""

    def put(original: Original) -> dict[str, Any]:
        answer = context.account.call(
            "ssm", "put_parameter", Name=original.path, Value=original.value, Type=original.type, Overwrite=True,
            Description=original.description, **original.settings,
        )  # fmt: skip
        for version, label in original.labels:
            context.account.call(
                "ssm", "unlabel_parameter_version", Name=original.path, ParameterVersion=version, Labels=[label]
            )
        log.info("✓ %s has the value of version %d again", original.path, original.version)
        return answer

    return _serially(context, [(one.path, one.type == "SecureString", one) for one in replaced], put)


def outputs(context: Context, addresses: Iterable[str]) -> dict[str, str]:
    """Answers for `${cf:stack.Output}` of stacks that exist, as `cf:stack.Output` -> value."""
    found = {}
    for stack in sorted({address.partition(".")[0] for address in addresses}):
        try:
            stacks = context.account.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"]
        except botocore.exceptions.ClientError as error:
            if code_of(error) != "ValidationError":  # which is how CloudFormation says that it does not exist
                log.warning("The outputs of %s are unknown: %s", stack, explain(error))
            continue
        for output in stacks[0].get("Outputs", ()) if stacks else ():
            found[f"cf:{stack}.{output['OutputKey']}"] = output["OutputValue"]
    return found


def _batches(names: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
