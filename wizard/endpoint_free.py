"""Frees `/user-data`: by deleting basic-ops' stack, by `serverless remove`, by deleting the resource, or by waiting.

What destroys comes after its locks: steps 1 and 2 stand, and every table with rows that would go is backed up as it is.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions

from wizard import endpoint, locks, serverless_command, storage
from wizard.aws_errors import ABSENT, code_of, explain, in_transit
from wizard.checkout import read_checkout
from wizard.context import Context
from wizard.endpoint import EndpointState, physical
from wizard.errors import BadInput, Blocked, Failed, Interrupted
from wizard.events import Finding, Progress
from wizard.journey import Outcome
from wizard.stacks import describe_stack
from wizard.subprocesses import run_lines
from wizard.text import plain, plural

log = logging.getLogger(__name__)

PACKAGES = "ServerlessDeploymentBucket"  # the logical id that Serverless gives to the bucket of its packages
HOWS = ("stack", "serverless", "resource", "wait")
DOWN = (
    "The API's stage answers as before until its next deployment; from then on /user-data (settings, shares, workflows)"
    " is down until amplify-lambda is deployed (step 4c): go on at once."
)


def word(context: Context, how: str) -> str:
    """What must be typed before the path is freed: the name of basic-ops' stack; "" where nothing is destroyed."""
    if how == "wait":
        return ""
    state = endpoint.look(context)
    if _is_going(state, how) or _is_done(state, how):
        return ""
    return context.deployment.stack("lambda-basic-ops")


def _is_going(state: EndpointState, how: str) -> bool:
    """Whether the stack's deletion is under way and only wants watching."""
    return how in ("stack", "serverless") and state.basic_ops_stack == "DELETE_IN_PROGRESS"


def _is_done(state: EndpointState, how: str) -> bool:
    return state.free and not (how == "stack" and state.basic_ops_stack in endpoint.ONLY_DELETED)


def free(
    context: Context, how: str, *, dry_run: bool = False, poll: float = 5.0, old_root: Path | None = None
) -> Outcome:
    """Free the path in one of the four ways of `HOWS`; a dry run makes every check and says what would be done.

    `old_root` is the checkout that basic-ops was deployed from, for `serverless`; the run's own by default.

    Blocked names the step that must come first, or what stands in the way; Failed says what AWS could not do.
    """
    state = endpoint.look(context)
    stack = context.deployment.stack("lambda-basic-ops")
    if _is_going(state, how):
        return _go_on(context, stack, how, dry_run, poll)
    if _is_done(state, how):
        return Outcome(0, _already(state), {"state": state.record(), "how": how, "dry_run": dry_run})
    if how == "wait":
        details = {"state": state.record(), "how": how, "dry_run": True}
        return Outcome(0, "Would watch until the path is free.", details) if dry_run else wait(context, poll)
    if not state.free and state.owner not in (endpoint.BASIC_OPS, endpoint.ORPHAN):
        raise Blocked(
            f"{endpoint.PATH} belongs to the stack {state.owner}, which is not of this migration: ask its owner."
        )
    require_unlocked(context)
    if how == "resource":
        return _free_resource(context, state, dry_run)
    if state.owner == endpoint.ORPHAN:
        raise Blocked(f"No stack owns {endpoint.PATH}, so deleting {stack} would not free it: use --how resource.")
    require_deletable(context, stack, empties_packages=how == "serverless")
    if how == "stack":
        done = _delete_stack(context, stack, dry_run, poll)
    else:
        done = _remove(context, stack, old_root or context.root, dry_run, poll)
    return _ended(stack, how, done, state if dry_run else endpoint.look(context), dry_run)


def _go_on(context: Context, stack: str, how: str, dry_run: bool, poll: float) -> Outcome:
    """A deletion that is under way, begun by an earlier run or by somebody else, is watched to its end."""
    description = describe_stack(context, stack)
    if dry_run:
        details = {"state": endpoint.look(context).record(), "how": how, "dry_run": True}
        return Outcome(0, f"{stack} is being deleted: would watch until it is gone.", details)
    if description is not None:
        log.info("%s is being deleted already", stack)
        follow_deletion(context, stack, description["StackId"], set(), poll)
    return _ended(stack, how, f"The stack {stack} is deleted.", endpoint.look(context), dry_run)


def _ended(stack: str, how: str, done: str, after: EndpointState, dry_run: bool) -> Outcome:
    """The outcome once the stack is gone; Failed while the path is there all the same."""
    if not dry_run and not after.free:
        raise Failed(f"{stack} is gone, but {endpoint.PATH} is still there ({after.owner}): use --how resource.")
    return Outcome(0, f"{done} {DOWN}", {"state": after.record(), "how": how, "dry_run": dry_run})


def _already(state: EndpointState) -> str:
    if state.owner == endpoint.LAMBDA:
        return f"amplify-lambda owns {endpoint.PATH} already: nothing to free."
    return f"Nobody owns {endpoint.PATH}: it is free, amplify-lambda can be deployed (step 4c)."


def require_unlocked(context: Context) -> None:
    """Blocked, naming the step, before steps 1 and 2 stand and before a verified backup of the old table's rows."""
    locks.require(context, "4b")
    storage.require_backup(context, storage.old_table(context.deployment))


def require_deletable(context: Context, stack: str, *, empties_packages: bool = False) -> None:
    """Blocked with everything that stands in the way of deleting a stack, or would be lost with it."""
    reasons = list(obstacles(context, stack, empties_packages=empties_packages))
    for reason in reasons:
        context.feed.emit(Finding("blocked", stack, reason))
    if reasons:
        raise Blocked(f"{stack} cannot be deleted yet: {' '.join(reasons)}")


def obstacles(context: Context, stack: str, *, empties_packages: bool = False) -> Iterator[str]:
    """Sentences: running operations, protection, importing stacks, buckets with objects, tables without a backup.

    `empties_packages`: whoever deletes the stack empties the bucket of its packages first, as `serverless remove` does.
    """
    description = describe_stack(context, stack)
    if description is None:
        return
    if description["StackStatus"].endswith("_IN_PROGRESS"):
        yield f"It is {description['StackStatus']}: wait until CloudFormation has finished."
    if description.get("EnableTerminationProtection"):
        yield (
            "Termination protection is on: `aws cloudformation update-termination-protection"
            f" --no-enable-termination-protection --stack-name {stack}`."
        )
    for export, importers in importing(context, description["StackId"]).items():
        yield f"{', '.join(importers)} import its output {export}: deploy them with the new release first (step 3)."
    found = endpoint.resources(context, stack)
    packages = [one["PhysicalResourceId"] for one in found if one["LogicalResourceId"] == PACKAGES]
    for bucket in physical(found, "AWS::S3::Bucket"):
        if is_empty(context, bucket) or (empties_packages and bucket in packages):
            continue
        if bucket in packages:
            yield (
                f"The bucket {bucket} holds Serverless's packages: --how serverless empties it, or `aws s3 rm"
                f" s3://{bucket} --recursive`."
            )
        else:
            yield f"The bucket {bucket} is not empty: copy what is needed and empty it, old versions too."
    for table in physical(found, "AWS::DynamoDB::Table"):
        table_description = storage.describe(context.account, table)
        if table_description and table_description.get("DeletionProtectionEnabled"):
            yield f"The table {table} is protected from deletion: switch that off when its rows are saved."
        try:
            storage.require_backup(context, table)
        except Blocked as missing:
            yield str(missing)


def importing(context: Context, stack_id: str) -> dict[str, list[str]]:
    """`{export: [stacks]}` of the exports of a stack that other stacks import."""
    exports = [
        export["Name"]
        for page in context.account.pages("cloudformation", "list_exports")
        for export in page.get("Exports", [])
        if export["ExportingStackId"] == stack_id
    ]
    found: dict[str, list[str]] = {}
    for export in exports:
        try:
            pages = list(context.account.pages("cloudformation", "list_imports", ExportName=export))
        except botocore.exceptions.ClientError as error:
            if code_of(error) == "ValidationError" and "not imported" in str(error):
                continue
            raise
        if importers := [stack for page in pages for stack in page.get("Imports", [])]:
            found[export] = importers
    return found


def is_empty(context: Context, bucket: str) -> bool:
    """Whether a bucket has neither objects nor old versions; a bucket that is gone is empty."""
    try:
        versions = context.account.call("s3", "list_object_versions", Bucket=bucket, MaxKeys=1)
    except botocore.exceptions.ClientError as error:
        if code_of(error) in ABSENT:
            return True
        raise
    return not versions.get("Versions") and not versions.get("DeleteMarkers")


def _delete_stack(context: Context, stack: str, dry_run: bool, poll: float) -> str:
    if dry_run:
        return f"Would delete the stack {stack} with all it holds: {contents(context, stack)}."
    description = describe_stack(context, stack)
    if description is None:
        raise Failed(f"{stack} is gone already; look again with `amplify-migrate endpoint show`.")
    stack_id = description["StackId"]  # a deleted stack is found by its id only
    seen: set[str] = set()
    new_events(context, stack_id, seen)
    try:
        context.account.call("cloudformation", "delete_stack", StackName=stack_id)
    except botocore.exceptions.ClientError as error:
        if in_transit(error):
            raise
        raise Failed(
            f"CloudFormation refuses to delete {stack}: {explain(error)}. Nothing was deleted: mend that and run it again"
            " (`amplify-migrate preflight --policy` prints the permissions that it takes), or let somebody delete the"
            " stack who may, and watch with `amplify-migrate endpoint free --how wait`."
        ) from error
    log.info("Deleting the stack %s", stack)
    follow_deletion(context, stack, stack_id, seen, poll)
    return f"The stack {stack} is deleted."


def contents(context: Context, stack: str) -> str:
    """What goes with a stack, for people: its tables and buckets by name, the rest in number."""
    found = endpoint.resources(context, stack)
    # A table and a bucket may have the same name.
    named = [f"table {name}" for name in physical(found, "AWS::DynamoDB::Table")]
    named += [f"bucket {name}" for name in physical(found, "AWS::S3::Bucket")]
    functions = len(physical(found, "AWS::Lambda::Function"))
    others = len(found) - len(named) - functions
    return ", ".join([*named, plural(functions, "function"), plural(others, "other resource")])


def follow_deletion(context: Context, stack: str, stack_id: str, seen: set[str], poll: float) -> None:
    """Log the stack's events until it is gone. Failed, with CloudFormation's reasons, when it stays."""
    failures: list[str] = []
    summary = "no reason given"  # of the stack itself; AWS names there only which resources it was
    while True:
        for event in new_events(context, stack_id, seen):
            reason = plain(event.get("ResourceStatusReason", ""), 500)
            log.info("%s %s %s", event["ResourceStatus"], event["LogicalResourceId"], reason)
            context.feed.emit(Progress(stack, len(seen), unit="events", phase=event["ResourceStatus"]))
            if event["ResourceStatus"] == "DELETE_FAILED" and event["ResourceType"] == "AWS::CloudFormation::Stack":
                summary = reason or summary
            elif event["ResourceStatus"] == "DELETE_FAILED":
                failures.append(f"{event['LogicalResourceId']}: {reason}")
        found = describe_stack(context, stack_id)
        if found is None:
            return
        if found["StackStatus"] == "DELETE_FAILED":
            raise Failed(
                f"{stack} is DELETE_FAILED ({'; '.join(failures) or summary}). Remove what holds it (empty the bucket,"
                " remove the import) and run `amplify-migrate endpoint free --how stack` again: it goes on from there."
            )
        try:
            context.control.sleep(poll)
        except Interrupted as stop:
            raise Interrupted(f"Stopped watching; CloudFormation goes on deleting {stack}.") from stop


def new_events(context: Context, stack_id: str, seen: set[str]) -> list[dict[str, Any]]:
    """The events of a stack that are not in `seen`, oldest first; they are added to it."""
    found: list[dict[str, Any]] = []
    try:
        for page in context.account.pages("cloudformation", "describe_stack_events", StackName=stack_id):
            fresh = [event for event in page["StackEvents"] if event["EventId"] not in seen]
            found.extend(fresh)
            if len(fresh) < len(page["StackEvents"]):
                break
    except botocore.exceptions.ClientError as error:
        if code_of(error) != "ValidationError":
            raise
        log.info("The events of %s cannot be read any more: %s", stack_id, explain(error))
    seen.update(event["EventId"] for event in found)
    return found[::-1]


def _remove(context: Context, stack: str, root: Path | None, dry_run: bool, poll: float) -> str:
    if root is None:
        raise BadInput("--how serverless needs the checkout that basic-ops was deployed from: give it with --old-root.")
    checkout = read_checkout(root, context.deployment)
    service = next((each for each in (*checkout.services, *checkout.excluded) if each.stack == stack), None)
    if service is None:
        raise BadInput(
            f"{root} has no service whose stack is {stack}: give the checkout of the release that basic-ops was"
            " deployed from with --old-root, or use --how stack."
        )
    command = serverless_command.find(context)
    if command is None:
        raise BadInput(
            "There is no `serverless` command here: install it (npm install -g serverless@3), or use --how stack."
        )
    arguments = ["remove", "--stage", context.deployment.stage, "--region", context.region]
    line = plain(f"(cd {shlex.quote(str(service.directory))} && serverless {shlex.join(arguments)})")
    if dry_run:
        return f"Would run {line}."
    log.info("%s", line)
    environment = serverless_command.environment(context, command)
    status = run_lines(
        [*command, *arguments], service.directory, environment, context.control, lambda text: log.info("%s", text)
    )
    left = describe_stack(context, stack)
    if left is not None and left["StackStatus"] == "DELETE_IN_PROGRESS":
        follow_deletion(context, stack, left["StackId"], set(), poll)
    elif status or left is not None:
        raise Failed(f"serverless remove ended with status {status} and {stack} still stands; its output says why.")
    return f"serverless removed {stack}."


def _free_resource(context: Context, state: EndpointState, dry_run: bool) -> Outcome:
    left = (
        "What is left behind: basic-ops' stack still counts the path as its own (drift). It keeps its functions and"
        " tables, and can be deleted later: CloudFormation passes over what is gone already."
        if state.owner == endpoint.BASIC_OPS
        else "Nothing else is touched."
    )
    details = {"state": state.record(), "how": "resource", "dry_run": dry_run, "left": left}
    what = f"the resource {state.resource_id} ({endpoint.PATH} and all below it) of API {state.api_id}"
    if dry_run:
        return Outcome(0, f"Would delete {what}. {left}", details)
    found = endpoint.path_resources(context, state.api_id)
    if found and found[-1] != state.resource_id:  # the steps before this one were looked at meanwhile
        raise Blocked(f"{endpoint.PATH} has just been deployed anew: look again with `amplify-migrate endpoint show`.")
    for resource in found:
        try:
            context.account.call("apigateway", "delete_resource", restApiId=state.api_id, resourceId=resource)
        except botocore.exceptions.ClientError as error:
            if code_of(error) not in ABSENT:
                raise Failed(f"API Gateway did not delete {what}: {explain(error)}.") from error
    after = endpoint.look(context)
    if not after.free:
        raise Failed(f"{endpoint.PATH} is still there after deleting {what}: {after.owner} owns it.")
    return Outcome(0, f"Deleted {what}. {left} {DOWN}", {**details, "state": after.record()})


def wait(context: Context, poll: float) -> Outcome:
    """Watch until the path is free, while the operator frees it by hand; a cancel ends it."""
    log.info("Waiting until %s is free. It can be stopped at any time; nothing is written.", endpoint.PATH)
    before = told = ""
    while not (state := endpoint.look(context)).free:
        if state.owner != told and (lines := endpoint.by_hand(state, context.deployment)):
            log.info("For another terminal; `amplify-migrate endpoint show` prints it there, to copy:")
            for line in lines:
                log.info("%s", line)
        told = state.owner
        now = f"{endpoint.PATH}: {state.owner}; basic-ops' stack: {state.basic_ops_stack}"
        if now != before:
            log.info("%s", now)
        before = now
        context.feed.emit(Progress(endpoint.PATH, 0, unit="", phase=f"waiting; {state.owner} owns it"))
        context.control.sleep(poll)
    return Outcome(0, _already(state), {"state": state.record(), "how": "wait", "dry_run": False})
