"""Facts about the deployment's stacks: in which state they are, and what a deployment would run into. Only reads."""

from __future__ import annotations

import botocore.exceptions

from wizard import endpoint
from wizard.aws_errors import code_of
from wizard.context import Context
from wizard.facts import Fact, Verdict
from wizard.stacks import stack_states
from wizard.text import plural

STABLE = {
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
}


def check_basic_ops_stack(context: Context) -> Fact:
    """The stack that has to go, and whether it can be changed now."""
    name = context.deployment.stack("lambda-basic-ops")
    status = endpoint.status_of(context, name)
    if status == "absent":
        return Fact("basic_ops_stack", "ok", "Stack of basic-ops", f"{name} does not exist", "", status)
    verdict, todo = _stack_advice(status)
    if verdict == "ok":
        verdict, todo = "attention", "It is removed, or loses its /user-data path, in step 4b. Its tables go with it."
    elif status in ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED"):
        todo = "It never came up; step 4b removes it after looking at what its tables hold."
    return Fact("basic_ops_stack", verdict, "Stack of basic-ops", f"{name} is {status}", todo, status)


def check_lambda_stack(context: Context) -> Fact:
    """The stack that owns the REST API and, from step 4c on, /user-data."""
    name = context.deployment.stack("lambda")
    status = endpoint.status_of(context, name)
    if status == "absent":
        return Fact(
            "lambda_stack",
            "attention",
            "Stack of amplify-lambda",
            f"{name} does not exist",
            "Step 4c deploys it.",
            status,
        )
    verdict, todo = _stack_advice(status)
    if verdict == "blocked":
        todo = "Do not delete it: its tables would go with it. `amplify-migrate endpoint show` says what to do."
    return Fact("lambda_stack", verdict, "Stack of amplify-lambda", f"{name} is {status}", todo, status)


def _stack_advice(status: str) -> tuple[Verdict, str]:
    if status == "UPDATE_ROLLBACK_COMPLETE":
        return "attention", "Its last update failed and was undone; look at the stack's events before deploying again."
    if status in STABLE:
        return "ok", ""
    if status.endswith("_IN_PROGRESS"):
        return "attention", "CloudFormation is at work on it; wait until it has finished, then check again."
    if status == "DELETE_FAILED":
        return "blocked", "A resource could not be deleted (most often a bucket that is not empty); step 4b names it."
    return "blocked", "The stack is in a failed state; look at its events, and repair it before deploying again."


def check_lambda_deployment(context: Context) -> Fact:
    """How long the last deployment of amplify-lambda took, from the newest events of its stack."""
    stack = context.deployment.stack("lambda")
    try:
        events = context.account.call("cloudformation", "describe_stack_events", StackName=stack)["StackEvents"]
    except botocore.exceptions.ClientError as error:
        if code_of(error) != "ValidationError":
            raise
        events = []
    own = [event for event in events if event["ResourceType"] == "AWS::CloudFormation::Stack" and event[
        "LogicalResourceId"] == stack]  # newest first  # fmt: skip
    ended = next((number for number, event in enumerate(own) if event["ResourceStatus"].endswith("_COMPLETE")), None)
    begun = next(
        (
            event
            for event in own[ended or 0 :]
            if event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
        ),
        None,
    )
    seconds = (own[ended]["Timestamp"] - begun["Timestamp"]).total_seconds() if ended is not None and begun else None
    found = "not known" if seconds is None else f"took {seconds:,.0f} s"
    return Fact("lambda_deployment", "ok", "Last deployment of amplify-lambda", found, "", seconds)


def check_services(context: Context) -> Fact:
    """The stacks of the services other than amplify-lambda; `outdated` for those deployed before the new release."""
    states = stack_states(context)
    late = {name: status for name, status in states.items() if status not in STABLE}
    if not states:
        found, todo = "no stack of another service was found", "Step 5 deploys them."
    elif late:
        found, todo = ", ".join(f"{name}: {status}" for name, status in sorted(late.items())), "Step 5 deploys them."
    else:
        found, todo = f"{plural(len(states), 'stack')} complete", ""
    return Fact("services", "ok" if states and not late else "attention", "Other services", found, todo, states)


def check_export_owner(context: Context) -> Fact:
    """Whether the export `{stage}-RestApiId`, which carries no deployment name, is this deployment's."""
    export = f"{context.deployment.stage}-RestApiId"
    owner, _ = endpoint.rest_api_export(context)
    if owner and owner != context.deployment.stack("lambda"):
        return Fact(
            "export_owner", "blocked", "REST API export", f"{export} belongs to the stack {owner}",
            "Another deployment of the same stage is in this account and region; two of one stage cannot stand side by"
            " side: use another stage, region or account.", owner,
        )  # fmt: skip
    return Fact(
        "export_owner",
        "ok",
        "REST API export",
        f"{export} of {owner}" if owner else f"{export} does not exist yet",
        "",
        owner,
    )
