"""What a role's own policies allow, read and judged here for where IAM's simulator cannot be asked.

The rules are IAM's for one identity: an explicit Deny wins, then an Allow counts, within the permissions boundary when
there is one. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
Service control policies are not seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote

from wizard.context import Context

Decision = Literal["allowed", "denied", "conditional"]
Policy = Mapping[str, Any]


def missing_actions(
    context: Context, role_arn: str, actions: Sequence[str], resource: str
) -> tuple[list[str], list[str]]:
    """The actions that a role may not call on a resource, and those that depend on a condition; raises ClientError."""
    policies, boundary = read(context, role_arn.rpartition("/")[2])
    decisions = {action: decide(policies, action, resource) for action in actions}
    if boundary is not None:
        limits = {action: decide([boundary], action, resource) for action in actions}
        decisions = {action: stricter(decision, limits[action]) for action, decision in decisions.items()}
    return (
        [action for action, decision in decisions.items() if decision == "denied"],
        [action for action, decision in decisions.items() if decision == "conditional"],
    )


def read(context: Context, role: str) -> tuple[list[Policy], Policy | None]:
    """The inline and the attached policies of a role, and its permissions boundary."""
    call, pages = context.account.call, context.account.pages
    policies = [
        document(call("iam", "get_role_policy", RoleName=role, PolicyName=name)["PolicyDocument"])
        for page in pages("iam", "list_role_policies", RoleName=role)
        for name in page["PolicyNames"]
    ]
    policies += [
        _managed(context, attached["PolicyArn"])
        for page in pages("iam", "list_attached_role_policies", RoleName=role)
        for attached in page["AttachedPolicies"]
    ]
    boundary = call("iam", "get_role", RoleName=role)["Role"].get("PermissionsBoundary")
    return policies, _managed(context, boundary["PermissionsBoundaryArn"]) if boundary else None


def _managed(context: Context, arn: str) -> Policy:
    version = context.account.call("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
    found = context.account.call("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
    return document(found["PolicyVersion"]["Document"])


def document(given: Any) -> Policy:
    """A policy document as a mapping; IAM gives it URL-encoded, botocore decodes it where it can."""
    found = json.loads(unquote(given)) if isinstance(given, str) else given
    return found if isinstance(found, Mapping) else {}


def decide(policies: Iterable[Policy], action: str, resource: str) -> Decision:
    """Whether these policies together allow an action on a resource. Pure."""
    allowed: set[bool] = set()  # whether it takes a condition
    doubtful = False
    for statement in (one for policy in policies for one in _list(policy.get("Statement"))):
        if not _covers(statement, action, resource):
            continue
        conditional = bool(statement.get("Condition"))
        if statement.get("Effect") == "Deny" and not conditional:
            return "denied"
        if statement.get("Effect") == "Deny":
            doubtful = True
        elif statement.get("Effect") == "Allow":
            allowed.add(conditional)
    if not allowed:
        return "denied"
    return "allowed" if False in allowed and not doubtful else "conditional"


def stricter(one: Decision, other: Decision) -> Decision:
    """What both together come to."""
    order: tuple[Decision, ...] = ("denied", "conditional", "allowed")
    return min(one, other, key=order.index)


def _covers(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    if "NotAction" in statement:
        acts = not any(_matches(pattern.lower(), action.lower()) for pattern in _list(statement["NotAction"]))
    else:
        acts = any(_matches(pattern.lower(), action.lower()) for pattern in _list(statement.get("Action")))
    if "NotResource" in statement:
        return acts and not any(_matches(pattern, resource) for pattern in _list(statement["NotResource"]))
    return acts and any(_matches(pattern, resource) for pattern in _list(statement.get("Resource")))


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [] if given is None else [given]


def _matches(pattern: Any, text: str) -> bool:
    """IAM's wildcards: `*` any characters, `?` one, nothing else."""
    expression = re.escape(str(pattern)).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None
