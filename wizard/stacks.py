"""The deployment's CloudFormation stacks: their states, when they were deployed, and why a deployment failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import botocore.exceptions

from wizard import storage
from wizard.aws_errors import code_of
from wizard.context import Context
from wizard.service_order import read_order
from wizard.text import plain, without_secrets

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


def lambda_state(context: Context) -> str:
    """The status of amplify-lambda's stack, told as the others' are: "absent", and "outdated" while it lacks the new storage."""
    stack = describe_stack(context, context.deployment.stack("lambda"))
    if stack is None:
        return "absent"
    outdated = stack["StackStatus"] in COMPLETE and release_time(context) is None
    return "outdated" if outdated else str(stack["StackStatus"])


def release_time(context: Context) -> datetime | None:
    """When the new release's amplify-lambda arrived: the creation of user-data-storage; None while it has not."""
    table = storage.describe(context.account, storage.new_table(context.deployment))
    return None if table is None else table["CreationDateTime"]


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
                    told = f"{event['ResourceStatus']}: {event['LogicalResourceId']} - {without_secrets(reason)}"
                    failures.append(plain(told, 1_000))
    except botocore.exceptions.ClientError as error:
        if code_of(error) != "ValidationError":
            raise
    return failures[-1] if failures else ""


def changed(stack: Mapping[str, Any] | None) -> str:
    """When a stack was last deployed, as text; "" where there is none."""
    if stack is None:
        return ""
    return str(stack.get("LastUpdatedTime") or stack["CreationTime"])
