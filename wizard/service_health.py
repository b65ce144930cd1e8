"""Whether the deployed services are well: stacks, functions, tables, roles, endpoints and what their logs say."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from wizard import role_policies
from wizard.aws_errors import AWS_ERRORS, DENIED, code_of, explain
from wizard.checkout import read_checkout
from wizard.context import Context
from wizard.events import Finding, Progress
from wizard.inventory import own_names, table_names
from wizard.parallel import each
from wizard.parameters import checkout_root
from wizard.policy import missing_actions
from wizard.service_logs import Cause, search
from wizard.stacks import COMPLETE, lambda_state, release_time, stack_states
from wizard.text import plain

SSM_ACTIONS = ("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath")  # guide, "IAM Permissions"
ROLES = "execution roles"
HEALTH_TIMEOUT = 10.0


@dataclass
class Health:
    """What verification found. Each finding names its place; `causes` are those of the logs."""

    findings: list[Finding] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Nothing is wrong, and all was seen; only the roles, which few may look at, may stay unknown."""
        wrong = [
            one for one in self.findings if one.level == "blocked" or (one.level == "unknown" and one.place != ROLES)
        ]
        return not self.causes and not wrong


def examine(context: Context, endpoints: Sequence[str] = ()) -> Health:
    """Look at everything once. What may not be looked at becomes an `unknown` finding and stops nothing else."""
    health = Health()
    parts = (
        ("stacks", lambda: look_at_stacks(context)),
        ("tables", lambda: look_at_tables(context)),
        ("endpoints", lambda: look_at_endpoints(endpoints)),
    )
    for number, (name, look) in enumerate(parts):
        context.feed.emit(Progress("verify services", number, len(parts) + 2, "checks", name))
        count, findings = _guarded(name, look)
        health.counts[name] = count
        health.findings += findings
    functions: list[dict[str, Any]] = []
    count, findings = _guarded("functions", lambda: _functions_into(context, functions))
    if context.root is not None:
        findings += look_at_environments(context, functions)
    health.counts["functions"] = count
    health.findings += findings
    health.findings += look_at_roles(context, functions)
    context.feed.emit(Progress("verify services", len(parts) + 1, len(parts) + 2, "checks", "logs"))
    since = release_time(context)
    names = [one["FunctionName"] for one in functions]
    health.causes, unread = search(context, names, _milliseconds(since))
    health.findings += [_unknown(f"logs of {name}", error) for name, error in unread.items()]
    context.feed.emit(Progress("verify services", len(parts) + 2, len(parts) + 2, "checks"))
    for finding in health.findings:
        context.feed.emit(finding)
    return health


def _guarded(name: str, look: Any) -> tuple[int, list[Finding]]:
    try:
        found: tuple[int, list[Finding]] = look()
    except AWS_ERRORS as error:
        return 0, [_unknown(name, error)]
    return found


def _unknown(place: str, error: Exception) -> Finding:
    todo = (
        "Have the permission granted (`amplify-migrate preflight --policy`)."
        if code_of(error) in DENIED
        else "Try again."
    )
    return Finding("unknown", place, f"could not be looked at: {plain(explain(error).splitlines()[0], 300)}", todo)


def look_at_stacks(context: Context) -> tuple[int, list[Finding]]:
    """Every service's stack, amplify-lambda's included, is complete and of the new release."""
    states = stack_states(context)
    if states or context.root is not None:
        states = {"lambda": lambda_state(context), **states}
    findings = [
        Finding(
            "blocked", context.deployment.stack(service), f"the stack is {status}",
            f"Deploy this service (step {'4c' if service == 'lambda' else '5'}).",
        )
        for service, status in states.items()
        if status not in COMPLETE
    ]  # fmt: skip
    return len(states), findings


def look_at_tables(context: Context) -> tuple[int, list[Finding]]:
    """Every table of the deployment is active."""
    names = own_names(context.deployment, table_names(context.account))

    def status(name: str) -> str:
        return str(context.account.call("dynamodb", "describe_table", TableName=name)["Table"]["TableStatus"])

    found = list(each(status, names, workers=4, control=context.control))
    return len(names), [
        Finding("blocked", name, f"the table is {state}", "Wait until it is ACTIVE, then verify again.")
        for name, state in found
        if state not in ("ACTIVE", "UPDATING")
    ]


def _functions_into(context: Context, functions: list[dict[str, Any]]) -> tuple[int, list[Finding]]:
    functions += list_functions(context)
    return len(functions), look_at_functions(functions)


def list_functions(context: Context) -> list[dict[str, Any]]:
    """Configurations of the deployment's functions, by the names that Serverless gives: `{service}-{stage}-{function}`."""
    found = {
        function["FunctionName"]: function
        for page in context.account.pages("lambda", "list_functions")
        for function in page["Functions"]
    }
    return [found[name] for name in own_names(context.deployment, found, table_names(context.account))]


def look_at_functions(functions: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Every function is active, and no variable of its environment is empty or was left unresolved."""
    findings = []
    for function in functions:
        name = function["FunctionName"]
        if function.get("State", "Active") not in ("Active", "Inactive"):  # Inactive: idle for long, wakes by itself
            reason = plain(function.get("StateReason", ""), 200)
            findings.append(
                Finding("blocked", name, f"the function is {function['State']}: {reason}", "Deploy its service again.")
            )
        if function.get("LastUpdateStatus") == "Failed":
            reason = plain(function.get("LastUpdateStatusReason", ""), 200)
            findings.append(Finding("blocked", name, f"its last update failed: {reason}", "Deploy its service again."))
        environment = function.get("Environment", {}).get("Variables", {})
        wrong = sorted(key for key, value in environment.items() if not str(value).strip() or "${" in str(value))
        if wrong:
            findings.append(
                Finding("attention", name, f"variables without a value: {plain(', '.join(wrong), 300)}",
                        "If the service needs them, store the parameter (step 1) and deploy the service again.")
            )  # fmt: skip
    return findings


def look_at_environments(context: Context, functions: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Every function has the variables that the checkout's serverless.yml gives it; raises BadInput."""
    services = read_checkout(checkout_root(context), context.deployment).services
    findings = []
    for function in functions:
        name, given = function["FunctionName"], function.get("Environment", {}).get("Variables", {})
        for service in services:
            if not name.startswith(f"{service.stack}-"):
                continue
            wanted = service.definition.environment(name.removeprefix(f"{service.stack}-"))
            if lacking := sorted(wanted - set(given)):
                text = f"lacks variables of {service.file}: {plain(', '.join(lacking), 300)}"
                findings.append(Finding("blocked", name, text, "Deploy its service again from this checkout."))
    return findings


def look_at_roles(context: Context, functions: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Every execution role may read parameters: by IAM's simulator, else by the role's own policies.

    basic-ops' roles need not: it is of the old release, and goes with it.
    """
    basic_ops = f"{context.deployment.stack('lambda-basic-ops')}-"
    users: dict[str, list[str]] = {}
    for function in functions:
        if not function["FunctionName"].startswith(basic_ops):
            users.setdefault(function["Role"], []).append(function["FunctionName"])
    resource = f"arn:aws:ssm:{context.region}:{context.account.id}:parameter/amplify/{context.deployment.stage}/x"
    findings: list[Finding] = []
    for role, names in sorted(users.items()):
        doubtful: list[str] = []
        try:
            missing = missing_actions(context, role, SSM_ACTIONS, [resource])
        except Exception:  # not permitted, or moto, whose 500 botocore cannot parse
            try:
                missing, doubtful = role_policies.missing_actions(context, role, SSM_ACTIONS, resource)
            except Exception as error:
                return [*findings, _unknown(ROLES, error)]
        users_of = plain(", ".join(names), 200)
        if missing:
            todo = "Allow it in the service's role where the function reads parameters while it runs."
            text = f"{', '.join(missing)} not allowed to {users_of}"
            findings.append(Finding("attention", role.split("/")[-1], text, todo))
        if doubtful:
            text = f"{', '.join(doubtful)} allowed to {users_of} under a condition only"
            findings.append(Finding("attention", role.split("/")[-1], text, "See whether the condition holds."))
    return findings


def look_at_endpoints(endpoints: Sequence[str]) -> tuple[int, list[Finding]]:
    """Every given address answers with less than 500; a 401 or 403 is an answer, too. Only http(s)."""
    findings = []
    for address in endpoints:
        problem = endpoint_problem(address)
        if problem:
            findings.append(Finding("blocked", plain(address, 200), problem, "Look at the logs of its function."))
    return len(endpoints), findings


def endpoint_problem(address: str) -> str:
    """What is wrong with an address, or ""."""
    if not address.startswith(("https://", "http://")):
        return "not an http(s) address"
    try:
        with urllib.request.urlopen(address, timeout=HEALTH_TIMEOUT) as answer:  # noqa: S310 - checked above
            return "" if answer.status < 500 else f"answered {answer.status}"
    except urllib.error.HTTPError as error:
        return "" if error.code < 500 else f"answered {error.code}"
    except OSError as error:
        return f"does not answer: {plain(getattr(error, 'reason', error), 200)}"
    except (ValueError, http.client.HTTPException):  # whose texts may quote half a password
        return "no address, or not of an HTTP server"


def _milliseconds(moment: datetime | None) -> int:
    """Since when to search: the deployment, else the last hour."""
    if moment is None:
        return int((time.time() - 3_600) * 1_000)
    return int(moment.astimezone(UTC).timestamp() * 1_000)
