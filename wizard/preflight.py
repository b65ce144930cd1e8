"""Facts: read-only checks of the account, the workspace and this machine, run side by side.

Each check is a function `check_…(context) -> Fact`. What one check may not see, or cannot reach, makes that fact
`unknown` and names the permission or the cause; it stops nothing else, and `unknown` is never taken for `absent`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import botocore.exceptions
import botocore.parsers

from wizard import account_facts, checkout_facts, endpoint, machine, progress_facts, stack_facts
from wizard.aws_errors import DENIED, code_of, explain
from wizard.context import Context
from wizard.cut_off import check_cut_off
from wizard.errors import Interrupted, MigrateError
from wizard.facts import Fact, Facts
from wizard.iam_actions import actions
from wizard.parallel import each
from wizard.text import plain

log = logging.getLogger(__name__)

_NOT_AUTHORIZED = re.compile(r"not authorized to perform:? (?P<action>[a-z0-9-]+:[A-Za-z]+)")


@dataclass(frozen=True)
class Check:
    """One check: the fact's name and title, the IAM actions it calls, and the function that finds it out."""

    name: str
    title: str
    permissions: tuple[str, ...]
    look: Callable[[Context], Fact]


def gather(context: Context, names: Iterable[str] | None = None) -> Facts:
    """Run all checks, or those named, side by side in threads of our own; facts come in the order of `CHECKS`."""
    wanted = None if names is None else set(names)
    checks = [check for check in CHECKS if wanted is None or check.name in wanted]
    found = {
        check.name: fact
        for check, fact in each(
            lambda check: run_check(check, context), checks, workers=min(8, context.workers), control=context.control
        )
    }
    facts = {check.name: found[check.name] for check in checks}
    recovery = facts.get("recovery")
    without = recovery.value if recovery is not None and recovery.verdict != "unknown" else None
    for fact in read_ledger(context, without):
        if wanted is None or fact.name in wanted:
            facts[fact.name] = fact
    return Facts(facts)


def read_ledger(context: Context, without_recovery: Sequence[str] | None) -> list[Fact]:
    """The ledger's facts; unknown, with the cause, where it cannot be read."""
    try:
        return progress_facts.ledger_facts(context, without_recovery)
    except MigrateError as error:
        titles = {
            "plan": "Plan",
            "safeguard": "Safeguard",
            "verification": "Verification",
            "retained": "Retained records",
        }
        return [
            Fact(name, "unknown", title, str(error), "Remove the cause, then check again.")
            for name, title in titles.items()
        ]


def run_check(check: Check, context: Context) -> Fact:
    """One check; any failure makes it unknown, with the missing permission or the cause."""
    try:
        return check.look(context)
    except Interrupted:
        raise
    except Exception as error:
        log.debug("check %s: %s", check.name, explain(error))
        return unknown(check, error)


def unknown(check: Check, error: Exception) -> Fact:
    """The fact of a check that failed."""
    if isinstance(error, MigrateError):
        return Fact(check.name, "unknown", check.title, str(error), "Remove the cause, then check again.")
    if code_of(error) in DENIED:
        action = denied_action(check, error)
        return Fact(
            check.name, "unknown", check.title, f"Not permitted: {action} is missing.",
            f"Have {action} granted (`amplify-migrate preflight --policy` prints the policy), then check again.",
        )  # fmt: skip
    return Fact(
        check.name,
        "unknown",
        check.title,
        f"Could not be read: {_why(error)}",
        "Check again.",
    )


def _why(error: Exception) -> str:
    if isinstance(error, botocore.parsers.ResponseParserError):
        return "what answered is not AWS, or not this service of it (an emulator that lacks it, a proxy)."
    return plain(explain(error).splitlines()[0], 300)


def denied_action(check: Check, error: Exception) -> str:
    """The IAM action that was denied, as AWS names it; else that of the operation, else all of the check's."""
    if match := _NOT_AUTHORIZED.search(str(error)):
        return match["action"]
    if isinstance(error, botocore.exceptions.ClientError):
        for service in dict.fromkeys(permission.split(":")[0] for permission in check.permissions):
            if needed := [one for one in actions(service, error.operation_name) if one in check.permissions]:
                return " and ".join(needed)
    return " or ".join(check.permissions) or "a permission"


CHECKS = (
    Check("system", "System and terminal", (), machine.check_system),
    Check("sandbox", "Sandbox", (), progress_facts.check_sandbox),
    Check("identity", "Account", ("sts:GetCallerIdentity",), account_facts.check_identity),
    Check("region", "Region", (), account_facts.check_region),
    Check(
        "permissions",
        "Permissions",
        ("iam:SimulatePrincipalPolicy", "iam:GetRole"),
        account_facts.check_permissions,
    ),
    Check("names", "Names", (), account_facts.check_names),
    Check("deployment", "Deployment", ("dynamodb:ListTables",), account_facts.check_deployment),
    Check("overrides", "Names from the environment", (), account_facts.check_overrides),
    Check("generation", "Deployed release", ("dynamodb:ListTables",), account_facts.check_generation),
    Check("export_owner", "REST API export", ("cloudformation:ListExports",), stack_facts.check_export_owner),
    Check(
        "basic_ops_stack", "Stack of basic-ops", ("cloudformation:DescribeStacks",), stack_facts.check_basic_ops_stack
    ),
    Check(
        "lambda_stack", "Stack of amplify-lambda", ("cloudformation:DescribeStacks",), stack_facts.check_lambda_stack
    ),
    Check("user_ids", "User ids", ("dynamodb:ListTables", "dynamodb:Scan"), account_facts.check_user_ids),
    Check(
        "lambda_deployment",
        "Last deployment of amplify-lambda",
        ("cloudformation:DescribeStackEvents",),
        stack_facts.check_lambda_deployment,
    ),
    Check(
        "user_data_owner",
        "Owner of /user-data",
        (
            "cloudformation:ListExports",
            "cloudformation:DescribeStacks",
            "cloudformation:ListStackResources",
            "apigateway:GET",
        ),
        endpoint.fact,
    ),
    Check(
        "old_user_storage",
        "Old user storage",
        ("dynamodb:DescribeTable", "dynamodb:Scan"),
        account_facts.check_old_user_storage,
    ),
    Check(
        "new_user_storage",
        "New user storage",
        ("dynamodb:DescribeTable", "dynamodb:Scan"),
        account_facts.check_new_user_storage,
    ),
    Check("buckets", "Buckets", ("s3:ListAllMyBuckets", "s3:ListBucket"), account_facts.check_buckets),
    Check("consolidation", "Consolidation bucket", ("s3:ListBucket",), account_facts.check_consolidation),
    Check(
        "sync_job",
        "E-mail sync job",
        ("events:ListRuleNamesByTarget", "events:DescribeRule"),
        account_facts.check_sync_job,
    ),
    Check(
        "services",
        "Other services",
        ("cloudformation:DescribeStacks", "dynamodb:DescribeTable"),
        stack_facts.check_services,
    ),
    Check(
        "recovery",
        "Point-in-time recovery",
        ("dynamodb:ListTables", "dynamodb:DescribeContinuousBackups"),
        account_facts.check_recovery,
    ),
    Check("checkout", "Backend checkout", (), machine.check_checkout),
    Check("var_file", "Var file", (), machine.check_var_file),
    Check("serverless", "serverless command", (), machine.check_serverless),
    Check("disk", "Disk space", (), machine.check_disk),
    Check(
        "parameters",
        "Parameter Store",
        ("ssm:GetParameters", "ssm:GetParameter"),
        checkout_facts.check_parameters,
    ),
    Check(
        "references",
        "References to parameters",
        ("ssm:GetParameters", "ssm:GetParameter"),
        checkout_facts.check_references,
    ),
    Check(
        "definitions",
        "Service definitions",
        ("cloudformation:ListStackResources",),
        checkout_facts.check_definitions,
    ),
    Check(
        "basic_ops_tables",
        "Tables of basic-ops",
        ("cloudformation:ListStackResources", "dynamodb:Scan"),
        account_facts.check_basic_ops_tables,
    ),
    Check("backup", "Backup of user storage", (), progress_facts.check_backup),
    Check(
        "import",
        "Import of user storage",
        ("dynamodb:BatchGetItem", "dynamodb:DescribeTable"),
        progress_facts.check_import,
    ),
    Check("verified_services", "Services verified", (), progress_facts.check_verified_services),
    Check("tried", "Tried by hand", (), progress_facts.check_tried),
    Check("quiet_logs", "Logs of the services", (), progress_facts.check_quiet_logs),
    Check("user_map", "User map", (), progress_facts.check_user_map),
    Check("waivers", "Waived by the operator", (), progress_facts.check_waivers),
    Check("kept", "Old records", (), progress_facts.check_kept),
    Check("cut_off", "Unfinished work", (), check_cut_off),
)
