"""Facts about the account: what stands there and whose it is. Each check only reads.

A check lets AWS's errors through; `preflight.py` turns them into an unknown fact.
"""

from __future__ import annotations

import botocore.exceptions
import botocore.parsers

from wizard import endpoint, storage
from wizard.aws_errors import ABSENT, code_of
from wizard.catalog.bucket_model import CONSOLIDATION
from wizard.catalog.buckets import BUCKETS
from wizard.catalog.tables import BY_KEY
from wizard.context import Context
from wizard.deployment import discover
from wizard.facts import Fact
from wizard.inventory import bucket_names, legacy_buckets, own_names, table_names
from wizard.migration.scan import LOCK_KEY
from wizard.migration.targets import bucket_name, names_of
from wizard.parallel import each
from wizard.policy import missing_of_policy
from wizard.text import plural

COUNT_BYTES = 256_000_000  # beyond this size the new table's rows are DescribeTable's estimate: counting reads them all
# How servers answer that do not have an operation: emulators and their gateways.
_NOT_OFFERED = {
    "InternalFailure",
    "NotImplemented",
    "NotImplementedException",
    "InvalidAction",
    "UnknownOperationException",
}


def check_identity(context: Context) -> Fact:
    """Who asks, in which account."""
    identity = context.account.identity
    root = identity["arn"].endswith(":root")
    return Fact(
        "identity", "attention" if root else "ok", "Account",
        f"{identity['account']} as {identity['arn']}",
        "This is the account's root user; a role with the policy of `preflight --policy` is safer." if root else "",
        dict(identity),
    )  # fmt: skip


def check_region(context: Context) -> Fact:
    """The region that names and requests go to."""
    same = context.account.region == context.region
    return Fact(
        "region", "ok" if same else "blocked", "Region",
        context.region if same else f"{context.region}, but requests go to {context.account.region}",
        "" if same else "Give --region, or set the same region in the profile.",
        context.region,
    )  # fmt: skip


def check_deployment(context: Context) -> Fact:
    """How many tables the account has under the deployment's names; when none, which deployments it does have."""
    tables = table_names(context.account)
    mine = own_names(context.deployment, tables)
    if mine:
        return Fact(
            "deployment",
            "ok",
            "Deployment",
            f"{plural(len(mine), 'table')} of {context.deployment.label}",
            "",
            len(mine),
        )
    others = ", ".join(f"{dep}/{stage}" for dep, stage, _ in discover(tables))
    return Fact(
        "deployment", "blocked", "Deployment",
        f"No table of {context.deployment.label}; this account has {others or 'no deployment here'}.",
        "Check --dep-name, --stage, --region and the account.", 0,
    )  # fmt: skip


def check_overrides(context: Context) -> Fact:
    """Names that the environment replaces."""
    names = dict(context.deployment.overrides)
    return Fact(
        "overrides", "attention" if names else "ok", "Names from the environment",
        "; ".join(f"{key}={value}" for key, value in sorted(names.items())) or "none",
        "Unset them unless they are meant." if names else "",
        names,
    )  # fmt: skip


def check_old_user_storage(context: Context) -> Fact:
    """The old user storage table and its exact number of rows: while it has any, 4b waits for a verified backup."""
    name = storage.old_table(context.deployment)
    if storage.describe(context.account, name) is None:
        return Fact(
            "old_user_storage", "ok", "Old user storage", f"{name} does not exist", "", {"exists": False, "rows": 0}
        )
    rows = count_rows(context, name) if storage.has_rows(context.account, name) else 0
    return Fact(
        "old_user_storage", "attention" if rows else "ok", "Old user storage",
        f"{name} has {plural(rows, 'row')}",
        "Removing basic-ops deletes it: step 4a saves its rows first." if rows else "",
        {"exists": True, "rows": rows},
    )  # fmt: skip


def check_basic_ops_tables(context: Context) -> Fact:
    """The tables with rows that die with the basic-ops stack, and those of them that are in no verified backup."""
    filled = endpoint.tables_with_rows(context)
    unsaved = [table for table in filled if not storage.backups(context.workspace, table)]
    if unsaved:
        told = f"{plural(len(filled), 'table')} with rows, in no backup {len(unsaved):,}: {', '.join(unsaved)}"
    else:
        told = f"{plural(len(filled), 'table')} with rows, all backed up" if filled else "none with rows"
    return Fact(
        "basic_ops_tables", "attention" if unsaved else "ok", "Tables of basic-ops", told,
        "Back them up (4a): removing the stack deletes them." if unsaved else "",
        {"tables": filled, "unsaved": unsaved},
    )  # fmt: skip


def check_new_user_storage(context: Context) -> Fact:
    """The table that amplify-lambda brings."""
    name = storage.new_table(context.deployment)
    table = storage.describe(context.account, name)
    if table is None:
        return Fact(
            "new_user_storage", "attention", "New user storage", f"{name} does not exist yet",
            "Step 4c creates it.", {"exists": False, "rows": 0},
        )  # fmt: skip
    exact = table.get("TableSizeBytes", 0) <= COUNT_BYTES
    rows = (
        (count_rows(context, name) if storage.has_rows(context.account, name) else 0)
        if exact
        else table.get("ItemCount", 0)
    )
    about = "" if exact else "about "
    return Fact(
        "new_user_storage", "ok", "New user storage", f"{name} has {about}{plural(rows, 'row')}", "",
        {"exists": True, "rows": rows},
    )  # fmt: skip


def check_consolidation(context: Context) -> Fact:
    """The bucket that S3 content is gathered in; it must be this account's."""
    name = bucket_name(context.deployment, CONSOLIDATION)
    try:
        context.account.call("s3", "head_bucket", Bucket=name, ExpectedBucketOwner=context.account.id)
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ABSENT:
            raise
        return Fact(
            "consolidation",
            "attention",
            "Consolidation bucket",
            f"{name} does not exist yet",
            "Step 4c creates it.",
            False,
        )
    return Fact("consolidation", "ok", "Consolidation bucket", name, "", True)


def check_names(context: Context) -> Fact:
    """The names that the steps speak of."""
    names = {
        "basic_ops_stack": context.deployment.stack("lambda-basic-ops"),
        "lambda_stack": context.deployment.stack("lambda"),
        "old_user_storage": storage.old_table(context.deployment),
        "new_user_storage": storage.new_table(context.deployment),
        "consolidation": bucket_name(context.deployment, CONSOLIDATION),
    }
    return Fact("names", "ok", "Names", ", ".join(names.values()), "", names)


def check_buckets(context: Context) -> Fact:
    """The deployment's buckets that the catalog knows: which exist, and that each can be listed."""
    names = {row.config_key: context.deployment.name(row.config_key, row.pattern).value for row in BUCKETS}
    existing = set(bucket_names(context.account)) & set(names.values())
    for name in sorted(existing):
        context.account.call("s3", "list_objects_v2", Bucket=name, MaxKeys=1)
    absent = sorted(set(names.values()) - existing)
    return Fact(
        "buckets", "ok", "Buckets", f"{plural(len(existing), 'bucket')} can be listed, {len(absent)} of the catalog absent",
        "", {"present": sorted(existing), "absent": absent,
             "legacy": [name for name in legacy_buckets(context.deployment) if name in existing]},
    )  # fmt: skip


def check_user_ids(context: Context) -> Fact:
    """Whether the ids of cognito-users look like e-mail addresses, from its first page: which scenario to expect."""
    table = names_of(context.deployment, BY_KEY["COGNITO_USERS_DYNAMODB_TABLE"])[0]
    if table not in table_names(context.account):
        return Fact("user_ids", "ok", "User ids", f"{table} does not exist", "", {"ids": 0, "emails": 0})
    page = context.account.call("dynamodb", "scan", TableName=table, ProjectionExpression="user_id", Limit=1_000)
    ids = [str(item.get("user_id", {}).get("S", "")) for item in page["Items"]]
    ids = [one for one in ids if one != LOCK_KEY]
    emails = sum("@" in one for one in ids)
    if 2 * emails > len(ids):
        meaning = "most likely scenario A, ids change and the map needs the new ones"
    else:
        meaning = "most likely scenario B, ids stay and only storage is consolidated" if ids else ""
    found = f"{emails:,} of {plural(len(ids), 'id')} in {table} look like e-mail addresses"
    return Fact("user_ids", "ok", "User ids", f"{found}{f': {meaning}' if meaning else ''}", "",
                {"ids": len(ids), "emails": emails})  # fmt: skip


def check_sync_job(context: Context) -> Fact:
    """Whether the rule that re-creates e-mail rows in cognito-users is enabled (live in v0.8.1)."""
    function = f"{context.deployment.stack('object-access')}-sync_cognito_users"
    partition = context.account.identity["arn"].split(":")[1]
    arn = f"arn:{partition}:lambda:{context.region}:{context.account.id}:function:{function}"
    rules = [
        name
        for page in context.account.pages("events", "list_rule_names_by_target", TargetArn=arn)
        for name in page["RuleNames"]
    ]
    enabled = [
        name for name in rules if context.account.call("events", "describe_rule", Name=name).get("State") == "ENABLED"
    ]
    return Fact(
        "sync_job", "attention" if enabled else "ok", "E-mail sync job",
        f"{', '.join(enabled)} runs {function}" if enabled else "not scheduled",
        "It re-creates rows under e-mail addresses: deploy the new object-access (step 5), or disable the rule,"
        " before user ids are migrated." if enabled else "",
        bool(enabled),
    )  # fmt: skip


def check_generation(context: Context) -> Fact:
    """Which release's services are deployed, told by the tables that it brought."""
    fill, tables = context.deployment.fill, set(table_names(context.account))
    if not own_names(context.deployment, tables):
        return Fact("generation", "ok", "Deployed release", "nothing is deployed", "", "")
    if fill("amplify-{dep}-lambda-{stage}-poll-status") in tables:
        return Fact("generation", "ok", "Deployed release", "June 2026 or newer", "", "2026-06")
    if fill("amplify-{dep}-lambda-{stage}-user-data-storage") in tables:
        return Fact(
            "generation", "attention", "Deployed release", "v0.9 (October 2025 to early 2026)",
            "These services look for workflow templates, agent logs and user settings under a doubled key"
            " (id#id-amplify-workflows); the migration writes the plain spelling, which only the next release finds.",
            "2025-10",
        )  # fmt: skip
    return Fact(
        "generation", "ok", "Deployed release", "v0.8.1 or older: no user-data-storage table",
        "The new release arrives with steps 4c and 5.", "0.8",
    )  # fmt: skip


def check_recovery(context: Context) -> Fact:
    """Tables of the deployment without point-in-time recovery."""
    mine = own_names(context.deployment, table_names(context.account))
    answers = each(lambda table: has_recovery(context, table), mine, workers=4, control=context.control)
    without = sorted(table for table, recovery in answers if not recovery)
    return Fact(
        "recovery", "attention" if without else "ok", "Point-in-time recovery",
        f"off for {', '.join(without)}" if without else f"on for all {plural(len(mine), 'table')}",
        "`amplify-migrate backup create` switches it on for the tables that the plan changes." if without else "",
        without,
    )  # fmt: skip


def check_permissions(context: Context) -> Fact:
    """Actions of the policy that this identity lacks, as far as IAM's simulator tells."""
    try:
        lacking = missing_of_policy(context)
    except (botocore.parsers.ResponseParserError, botocore.exceptions.ClientError) as error:
        if isinstance(error, botocore.exceptions.ClientError) and code_of(error) not in _NOT_OFFERED:
            raise
        return Fact(
            "permissions", "unknown", "Permissions",
            "This server cannot simulate permissions (an emulator, or a proxy that lacks it): not checked.",
            "On AWS, `amplify-migrate preflight --policy` prints what the steps need.",
        )  # fmt: skip
    told = "; ".join(f"{purpose}: {', '.join(actions)}" for purpose, actions in lacking.items())
    return Fact(
        "permissions", "attention" if lacking else "ok", "Permissions",
        f"missing, {told}" if lacking else "all that the steps need",
        "`amplify-migrate preflight --policy` prints the policy to ask for." if lacking else "",
        sorted({action for actions in lacking.values() for action in actions}),
    )  # fmt: skip


def count_rows(context: Context, table: str) -> int:
    """The exact number of rows without our own lock, by a scan that returns only counts."""
    lock = {"#o": "owner", "#w": "workspace", "#b": "beat"}
    pages = context.account.pages(
        "dynamodb", "scan", TableName=table, Select="COUNT", ConsistentRead=True, ExpressionAttributeNames=lock,
        FilterExpression="NOT (attribute_exists(#o) AND attribute_exists(#w) AND attribute_exists(#b))",
    )  # fmt: skip
    return sum(int(page["Count"]) for page in pages)


def has_recovery(context: Context, table: str) -> bool:
    answer = context.account.call("dynamodb", "describe_continuous_backups", TableName=table)
    recovery = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")
