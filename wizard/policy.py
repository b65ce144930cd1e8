"""The IAM policy that the next steps need, and what of it an identity lacks.

One statement per purpose and kind of resource: read for the plan, write for apply, delete for cleanup, and what steps
1 to 5 and the verification of services need. `serverless` itself needs what it always needed to deploy. Which keys
encrypt buckets and parameters the account alone knows: those statements take every key, through S3 and SSM only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wizard.context import Context

PLAN, APPLY, CLEANUP, DEPLOY = "ReadForPlan", "WriteForApply", "DeleteForCleanup", "DeploySteps"
FREE = "DeleteOfBasicOps"  # CloudFormation deletes a stack's resources with the rights of whoever asks it to

# (purpose, kind of resource) -> actions
_ACTIONS: Mapping[tuple[str, str], tuple[str, ...]] = {
    (PLAN, "tables"): (
        "dynamodb:DescribeTable", "dynamodb:DescribeContinuousBackups", "dynamodb:Scan", "dynamodb:Query",
        "dynamodb:GetItem", "dynamodb:BatchGetItem",
    ),
    (PLAN, "buckets"): (
        "s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:GetBucketNotification",
        "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration",
    ),
    # in a bucket with versions the very version is read, and taken back, that was written
    (PLAN, "objects"): ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging"),
    (PLAN, "keys"): ("kms:Decrypt",),
    (PLAN, "account"): (
        "sts:GetCallerIdentity", "dynamodb:ListTables", "dynamodb:ListBackups", "s3:ListAllMyBuckets",
        "cloudformation:DescribeStacks", "cloudformation:ListStacks", "cloudformation:ListExports",
        "cloudformation:ListImports", "events:ListRuleNamesByTarget", "events:DescribeRule",
        "iam:SimulatePrincipalPolicy", "iam:GetRole", "cognito-idp:ListUsers", "ssm:DescribeParameters",
    ),
    (PLAN, "stacks"): (
        "cloudformation:DescribeStackEvents", "cloudformation:ListStackResources",
    ),
    (PLAN, "apis"): ("apigateway:GET",),
    (PLAN, "parameters"): (
        "ssm:GetParameter", "ssm:GetParameters", "ssm:GetParameterHistory",
    ),
    (PLAN, "functions"): ("lambda:ListFunctions",),
    # what the services' roles may do, where IAM's simulator may not be asked
    (DEPLOY, "roles"): (
        "iam:ListRolePolicies", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:GetPolicy",
        "iam:GetPolicyVersion",
    ),
    (PLAN, "logs"): ("logs:FilterLogEvents",),
    (APPLY, "tables"): (
        "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:CreateBackup", "dynamodb:DescribeBackup",
        "dynamodb:UpdateContinuousBackups", "dynamodb:ConditionCheckItem",
    ),
    # cost rows are summed, and the old row is removed right after; rollback removes what apply wrote
    (APPLY, "tables with sums"): ("dynamodb:DeleteItem",),
    (APPLY, "objects"): (
        "s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectVersion",
    ),
    (APPLY, "keys"): ("kms:GenerateDataKey",),
    # what a service writes to an item at the moment of its deletion is put back
    (CLEANUP, "tables"): ("dynamodb:DeleteItem", "dynamodb:PutItem"),
    (CLEANUP, "objects"): ("s3:DeleteObject",),
    (DEPLOY, "parameters"): ("ssm:PutParameter", "ssm:LabelParameterVersion", "ssm:UnlabelParameterVersion"),
    (DEPLOY, "stacks"): ("cloudformation:DeleteStack",),
    (DEPLOY, "apis"): ("apigateway:DELETE",),
    (FREE, "tables of basic-ops"): ("dynamodb:DeleteTable",),
    (FREE, "buckets of basic-ops"): ("s3:DeleteBucket",),
    (FREE, "functions of basic-ops"): ("lambda:DeleteFunction",),
    (FREE, "roles of basic-ops"): ("iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy"),
    (FREE, "logs of basic-ops"): ("logs:DeleteLogGroup",),
}  # fmt: skip


def document(context: Context) -> dict[str, Any]:
    """The policy for this deployment, as IAM takes it; resources are narrowed to the deployment's names."""
    resources = _resources(context)
    statements = [
        {
            "Sid": f"{purpose}{kind.title().replace(' ', '').replace('-', '')}",
            "Effect": "Allow",
            "Action": sorted(actions),
            "Resource": resources[kind],
            **_conditions(context, kind),
        }
        for (purpose, kind), actions in _ACTIONS.items()
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _conditions(context: Context, kind: str) -> dict[str, Any]:
    if kind != "keys":
        return {}
    through = [f"{service}.{context.region}.amazonaws.com" for service in ("s3", "ssm")]
    return {"Condition": {"StringEquals": {"kms:ViaService": through}}}


def _resources(context: Context) -> dict[str, list[str]]:
    dep, stage, region = context.deployment.dep, context.deployment.stage, context.region
    identity = context.account.identity
    partition, account = identity["arn"].split(":")[1], identity["account"]
    at = f"{region}:{account}"
    names = [f"amplify-{dep}-*"]
    # A name from the environment need not follow the pattern; whether it is a table or a bucket its key tells.
    tables = names + sorted(name for key, name in context.deployment.overrides.items() if "BUCKET" not in key)
    buckets = names + sorted(name for key, name in context.deployment.overrides.items() if "BUCKET" in key)
    basic_ops = f"amplify-{dep}-lambda-basic-*"  # the name of the bucket of its packages is cut off after that
    table_arns = [f"arn:{partition}:dynamodb:{at}:table/{name}" for name in tables]
    return {
        "tables": table_arns + [f"{arn}/*" for arn in table_arns],
        "tables with sums": [f"arn:{partition}:dynamodb:{at}:table/{name}" for name in tables],
        "buckets": [f"arn:{partition}:s3:::{name}" for name in buckets],
        "objects": [f"arn:{partition}:s3:::{name}/*" for name in buckets],
        "account": ["*"],
        "stacks": [f"arn:{partition}:cloudformation:{at}:stack/amplify-{dep}-*/*"],
        "apis": [
            f"arn:{partition}:apigateway:{region}::/restapis",
            f"arn:{partition}:apigateway:{region}::/restapis/*",
        ],
        "parameters": [
            f"arn:{partition}:ssm:{at}:parameter/amplify/{stage}",
            f"arn:{partition}:ssm:{at}:parameter/amplify/{stage}/*",
        ],
        "functions": ["*"],
        "roles": [f"arn:{partition}:iam::{account}:role/*", f"arn:{partition}:iam::*:policy/*"],
        "keys": [f"arn:{partition}:kms:{at}:key/*"],
        "logs": [f"arn:{partition}:logs:{at}:log-group:*"],
        "tables of basic-ops": [f"arn:{partition}:dynamodb:{at}:table/{basic_ops}"],
        "buckets of basic-ops": [f"arn:{partition}:s3:::{basic_ops}"],
        "functions of basic-ops": [f"arn:{partition}:lambda:{at}:function:{basic_ops}"],
        "roles of basic-ops": [f"arn:{partition}:iam::{account}:role/{basic_ops}"],
        "logs of basic-ops": [f"arn:{partition}:logs:{at}:log-group:/aws/lambda/{basic_ops}"],
    }


def principal_of(context: Context, arn: str) -> str:
    """The ARN that IAM's simulator takes for a caller: the role of an assumed role, anything else unchanged."""
    if ":assumed-role/" not in arn:
        return arn
    role = arn.split(":assumed-role/")[1].split("/")[0]
    return str(context.account.call("iam", "get_role", RoleName=role)["Role"]["Arn"])


def missing_actions(context: Context, arn: str, actions: Sequence[str], resources: Sequence[str] = ("*",)) -> list[str]:
    """The actions on `resources` that IAM's simulator does not allow to `arn`. The account's root user lacks nothing.

    The simulator does not see every policy (of resources, of organisations): the answer is a hint and never a lock.
    """
    if arn.endswith(":root"):
        return []
    pages = context.account.pages(
        "iam", "simulate_principal_policy", PolicySourceArn=principal_of(context, arn),
        ActionNames=list(actions), ResourceArns=list(resources),
    )  # fmt: skip
    results = [result for page in pages for result in page["EvaluationResults"]]
    return sorted({result["EvalActionName"] for result in results if result["EvalDecision"] != "allowed"})


def missing_of_policy(context: Context) -> dict[str, list[str]]:
    """`{purpose: actions of the policy that this identity lacks}`, each asked about a resource of the deployment.

    Keys are left out: whether any is needed, and what its own policy says, the simulator does not know.
    """
    arn, found = context.account.identity["arn"], dict[str, list[str]]()
    for (purpose, kind), actions in _ACTIONS.items():
        if kind == "keys":
            continue
        one = _resources(context)[kind][0].replace("*", "any") if kind not in ("account", "functions") else "*"
        found.setdefault(purpose, []).extend(missing_actions(context, arn, actions, [one]))
    return {purpose: sorted(set(missing)) for purpose, missing in found.items() if missing}
