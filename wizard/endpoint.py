"""Who owns the path `/user-data` of the deployment's REST API, and what follows from it. Only looks.

Both basic-ops and amplify-lambda define the path in the *same* REST API, which amplify-lambda's stack owns. While one
stack has it, CloudFormation refuses it to the other ("Another resource with the same parent already has this name").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import botocore.exceptions

from wizard.aws_errors import ABSENT, code_of
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.events import Finding
from wizard.facts import Fact
from wizard.stacks import describe_stack
from wizard.storage import has_rows

PATH = "/user-data"
BASIC_OPS, LAMBDA, ORPHAN, NOBODY = "basic-ops", "amplify-lambda", "orphan", "nobody"
# What a stack's status asks for; {stack} is its name. Statuses that are not here need nothing.
ADVICE = {
    "ROLLBACK_COMPLETE": "Its first deployment failed and was undone. It can only be deleted, not updated",
    "ROLLBACK_FAILED": "Its first deployment failed and could not be undone. It can only be deleted, not updated",
    "CREATE_FAILED": "Its first deployment failed. It can only be deleted, not updated",
    "DELETE_FAILED": "A resource of it could not be deleted; its events say which, and what holds it (a bucket that is"
    " not empty, most often)",
    "UPDATE_FAILED": "An update failed and was not undone: roll it back in the CloudFormation console first",
    "UPDATE_ROLLBACK_FAILED": "An update could not be undone: `aws cloudformation continue-update-rollback --stack-name"
    " {stack}` goes on with it",
    "UPDATE_ROLLBACK_COMPLETE": "Its last update failed and was undone; it can be deployed again",
    "REVIEW_IN_PROGRESS": "It was never deployed, only a change set was made",
}
NEVER_CAME_UP = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")
ONLY_DELETED = (*NEVER_CAME_UP, "DELETE_FAILED")  # all that CloudFormation does with such a stack is to delete it


@dataclass(frozen=True)
class EndpointState:
    """What was found. Stacks are CloudFormation statuses or "absent".

    `owner` is "basic-ops", "amplify-lambda", "orphan" (no stack has it), "nobody" (the path is free), or the name of
    another stack. `export_owner` is the stack that exports `{stage}-RestApiId`, "" while none does; `export_ok` whether
    that is this deployment's. `lambda_tables` are the tables that would die with amplify-lambda's stack.
    """

    api_id: str
    resource_id: str
    owner: str
    basic_ops_stack: str
    lambda_stack: str
    export_owner: str
    export_ok: bool
    lambda_tables: tuple[str, ...] = ()
    lambda_rows: tuple[str, ...] = ()

    @property
    def free(self) -> bool:
        """Whether amplify-lambda can be deployed as far as the path goes."""
        return self.owner in (NOBODY, LAMBDA)

    def record(self) -> dict[str, Any]:
        """As a JSON document."""
        return asdict(self) | {"path": PATH, "free": self.free}


def resources(context: Context, stack: str) -> list[dict[str, Any]]:
    """The resources that a stack has now; [] when it does not exist."""
    try:
        return [
            resource
            for page in context.account.pages("cloudformation", "list_stack_resources", StackName=stack)
            for resource in page["StackResourceSummaries"]
            if resource["ResourceStatus"] != "DELETE_COMPLETE" and resource.get("PhysicalResourceId")
        ]
    except botocore.exceptions.ClientError as error:
        if code_of(error) == "ValidationError" and "does not exist" in str(error):
            return []
        raise


def physical(found: list[dict[str, Any]], kind: str) -> list[str]:
    """Physical ids of the resources of one CloudFormation type."""
    return [resource["PhysicalResourceId"] for resource in found if resource["ResourceType"] == kind]


def tables_with_rows(context: Context) -> list[str]:
    """The tables with rows that go with the basic-ops stack: its own as the stack has them now."""
    found = resources(context, context.deployment.stack("lambda-basic-ops"))
    return [table for table in physical(found, "AWS::DynamoDB::Table") if has_rows(context.account, table)]


def look(context: Context) -> EndpointState:
    """Find the REST API, the path in it, and the stack that owns it by physical resource id."""
    basic_ops, amplify_lambda = (context.deployment.stack(name) for name in ("lambda-basic-ops", "lambda"))
    theirs, ours = resources(context, basic_ops), resources(context, amplify_lambda)
    export_owner, exported = rest_api_export(context)
    export_ok = export_owner in ("", amplify_lambda)
    apis = physical(ours, "AWS::ApiGateway::RestApi") or (
        [exported] if exported and export_ok else _apis_by_name(context)
    )
    owned = ((api, found[-1]) for api in apis if (found := path_resources(context, api)))
    api_id, resource_id = next(owned, (apis[0] if apis else "", ""))
    if not resource_id:
        owner = NOBODY
    elif resource_id in physical(theirs, "AWS::ApiGateway::Resource"):
        owner = BASIC_OPS
    elif resource_id in physical(ours, "AWS::ApiGateway::Resource"):
        owner = LAMBDA
    else:
        owner = _other_owner(context, resource_id, {basic_ops: BASIC_OPS, amplify_lambda: LAMBDA})
    status = status_of(context, amplify_lambda)
    tables = tuple(physical(ours, "AWS::DynamoDB::Table"))
    # Rows are looked for only where deleting that stack could come to mind: each table costs a request.
    filled = tuple(table for table in tables if status in ONLY_DELETED and has_rows(context.account, table))
    return EndpointState(
        api_id, resource_id, owner, status_of(context, basic_ops), status, export_owner, export_ok, tables, filled
    )


def status_of(context: Context, stack: str) -> str:
    """The status of a stack, or "absent"."""
    found = describe_stack(context, stack)
    return "absent" if found is None else str(found["StackStatus"])


def rest_api_export(context: Context) -> tuple[str, str]:
    """Who exports `{stage}-RestApiId` (its stack's name), and the value. The name carries no deployment name."""
    name = f"{context.deployment.stage}-RestApiId"
    for page in context.account.pages("cloudformation", "list_exports"):
        for export in page.get("Exports", []):
            if export["Name"] == name:
                return _stack_name(export["ExportingStackId"]), export["Value"]
    return "", ""


def _stack_name(arn: str) -> str:
    return arn.split("/")[1]


def _apis_by_name(context: Context) -> list[str]:
    """REST APIs named as Serverless names amplify-lambda's; also those that outlived their stack."""
    name = context.deployment.fill("{stage}-amplify-{dep}-lambda")
    pages = context.account.pages("apigateway", "get_rest_apis", limit=500)
    return [api["id"] for page in pages for api in page.get("items", []) if api["name"] == name]


def path_resources(context: Context, api_id: str) -> list[str]:
    """The ids of the resources below `/user-data` of an API, and last its own; [] when it has no such path."""
    found: dict[str, str] = {}
    try:
        for page in context.account.pages("apigateway", "get_resources", restApiId=api_id, limit=500):
            for resource in page.get("items", []):
                if resource["path"] == PATH or resource["path"].startswith(f"{PATH}/"):
                    found[resource["path"]] = str(resource["id"])
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ABSENT:
            raise
    return [found[path] for path in sorted(found, reverse=True)] if PATH in found else []


def _other_owner(context: Context, resource_id: str, known: dict[str, str]) -> str:
    """The stack that has a resource, under its label when it is nested in a known one; "orphan" when none has.

    Every stack of the account is asked: an orphan is offered for deletion, so nobody may turn out to own it.
    """
    for page in context.account.pages("cloudformation", "list_stacks"):
        for stack in page["StackSummaries"]:
            if stack["StackStatus"] == "DELETE_COMPLETE" or stack["StackName"] in known:
                continue
            if resource_id in physical(resources(context, stack["StackId"]), "AWS::ApiGateway::Resource"):
                name = _stack_name(stack.get("RootId") or stack["StackId"])
                return known.get(name, name)
    return ORPHAN


def findings(state: EndpointState, deployment: Deployment) -> Iterator[Finding]:
    """What stands in the way and what to do, for people. Never tells to delete a stack that holds rows."""
    if state.owner == BASIC_OPS:
        yield Finding("attention", PATH, "basic-ops owns the path", "Free it: `amplify-migrate endpoint free --how …`.")
    elif state.owner == ORPHAN:
        yield Finding(
            "attention", PATH, f"The resource {state.resource_id} of API {state.api_id} belongs to no stack",
            "Delete it: `amplify-migrate endpoint free --how resource`.",
        )  # fmt: skip
    elif not state.free:
        yield Finding(
            "blocked", PATH, f"The stack {state.owner} owns the path",
            "It is of neither service of this migration: ask its owner to give the path up.",
        )  # fmt: skip
    if not state.export_ok:
        yield Finding(
            "blocked", f"{deployment.stage}-RestApiId", f"The stack {state.export_owner} exports it already",
            "Another deployment of the same stage stands here; one of them must use another stage, region or account.",
        )  # fmt: skip
    for name, status in (("lambda-basic-ops", state.basic_ops_stack), ("lambda", state.lambda_stack)):
        stack = deployment.stack(name)
        if status.endswith("_IN_PROGRESS") and status not in ADVICE:
            yield Finding("attention", stack, status, "CloudFormation is at work on it; wait until it has finished.")
        elif status in ADVICE:
            level = "attention" if status == "UPDATE_ROLLBACK_COMPLETE" else "blocked"
            yield Finding(level, stack, status, _advice(state, name, stack, status))  # type: ignore[arg-type]


def _advice(state: EndpointState, name: str, stack: str, status: str) -> str:
    text = ADVICE[status].format(stack=stack)
    if status not in ONLY_DELETED:
        return text + "."
    if name == "lambda-basic-ops":
        return f"{text}. When that is out of the way: `amplify-migrate endpoint free --how stack`."
    if state.lambda_tables:
        held = ", ".join(state.lambda_rows or state.lambda_tables)
        return (
            f"{text}. But it holds tables ({held}): do not delete it before they are saved"
            " (`amplify-migrate storage backup --table …`)."
        )
    return f"{text}. It holds no table: `aws cloudformation delete-stack --stack-name {stack}`."


def fact(context: Context) -> Fact:
    """The fact `user_data_owner`."""
    state = look(context)
    texts = {
        BASIC_OPS: ("attention", "basic-ops owns it", "Step 4b frees it before amplify-lambda is deployed."),
        LAMBDA: ("ok", "amplify-lambda owns it", ""),
        NOBODY: ("ok", "nobody owns it: the path is free", ""),
        ORPHAN: ("attention", f"no stack owns it: an orphan ({state.resource_id})", "Step 4b deletes the resource."),
    }
    verdict, found, todo = texts.get(
        state.owner, ("blocked", f"the stack {state.owner} owns it", "Ask its owner to give the path up.")
    )
    return Fact("user_data_owner", verdict, "Owner of /user-data", found, todo, state.owner)  # type: ignore[arg-type]


def by_hand(state: EndpointState, deployment: Deployment) -> list[str]:
    """How the path is given up without this program; lines to follow and to copy, [] where only its owner can.

    For basic-ops it is the gentlest way: the stack and its tables stay.
    """
    if state.owner == ORPHAN:
        return [
            "Delete the resource and all below it:",
            f"  aws apigateway delete-resource --region {deployment.region} --rest-api-id {state.api_id}"
            f" --resource-id {state.resource_id}",
        ]
    if state.owner != BASIC_OPS:
        return []
    stage = deployment.stage
    return [
        "Redeploy basic-ops without its http event (its tables and functions stay), in the checkout it came from:",
        "  cd amplify-lambda-basic-ops",
        "  # serverless.yml, functions: of user_data_router remove these lines, nothing else:",
        "  #     events:",
        "  #       - http:",
        "  #           path: /user-data/{proxy+}",
        "  #           method: POST",
        "  #           cors: true",
        f"  serverless deploy --stage {stage} --region {deployment.region}",
    ]
