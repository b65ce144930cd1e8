"""The policy holds what the program calls, nothing that destroys where it reads, and what an identity lacks of it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import wizard
from tests.wizard import faults
from wizard import policy
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.iam_actions import actions
from wizard.preflight import CHECKS, run_check

# What reaches AWS by another way than `Account.call` and `pages`: transfers of boto3, and writes by their kind.
BESIDE = {
    ("dynamodb", "PutItem"), ("dynamodb", "UpdateItem"), ("dynamodb", "DeleteItem"),
    ("s3", "CopyObject"), ("s3", "UploadPart"), ("s3", "UploadPartCopy"), ("s3", "PutObject"), ("s3", "GetObject"),
}  # fmt: skip
# Needed by requests that name a version; the operations are those without one.
WITH_VERSION = {"s3:GetObjectVersion", "s3:DeleteObjectVersion"}
# Needed by what AWS does on the caller's behalf.
ON_BEHALF = {
    "kms:Decrypt", "kms:GenerateDataKey", "s3:PutObjectTagging",
    "dynamodb:DeleteTable", "s3:DeleteBucket", "lambda:DeleteFunction", "iam:DeleteRole", "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy", "logs:DeleteLogGroup",
}  # fmt: skip


def called() -> set[tuple[str, str]]:
    """Every (service, operation) that the program's source calls, the sandbox's apart."""
    found = set(BESIDE)
    for path in Path(wizard.__file__).parent.rglob("*.py"):
        if "sandbox" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="call" | "pages") | ast.Name(id="call" | "pages"),
                    args=[ast.Constant(value=str(service)), ast.Constant(value=str(operation)), *_],
                ):
                    words = (word.upper() if word == "v2" else word.title() for word in operation.split("_"))
                    found.add((service, "".join(words)))
    return found


def statements(context: Context) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(json.dumps(policy.document(context)))["Statement"]
    return found


def test_everything_that_is_called_is_allowed_and_nothing_else(context: Context) -> None:
    allowed = {action for statement in statements(context) for action in statement["Action"]}
    needed = {action for service, operation in called() for action in actions(service, operation)} | WITH_VERSION
    assert len(called()) > 50
    assert needed - allowed == set()
    assert allowed - needed - ON_BEHALF == set()


def test_what_reads_only_reads_and_covers_every_check(context: Context) -> None:
    reading = [one for one in statements(context) if one["Sid"].startswith("ReadForPlan")]
    verbs = ("List", "Describe", "Get", "Scan", "Query", "BatchGet", "Filter", "Simulate", "GET", "Decrypt")
    acts = {action for statement in reading for action in statement["Action"]}
    assert all(action.split(":")[1].startswith(verbs) for action in acts)
    assert {permission for check in CHECKS for permission in check.permissions} <= acts


def test_it_is_narrowed_to_the_deployment_and_to_names_from_the_environment(context: Context) -> None:
    overrides = {"S3_CONSOLIDATION_BUCKET_NAME": "one-bucket", "ACCOUNTS_DYNAMO_TABLE": "our-accounts"}
    context.deployment = Deployment("v6", "dev", "us-east-1", overrides)
    found = {one["Sid"]: one for one in statements(context)}
    assert len(found) == len(statements(context))
    # IAM counts a managed policy's characters without its blanks
    assert len(json.dumps(policy.document(context), separators=(",", ":"))) < 6_144
    at = "us-east-1:123456789012"
    assert found["DeleteForCleanupTables"]["Action"] == ["dynamodb:DeleteItem", "dynamodb:PutItem"]
    assert {f"arn:aws:dynamodb:{at}:table/amplify-v6-*", f"arn:aws:dynamodb:{at}:table/our-accounts/*"} <= set(
        found["WriteForApplyTables"]["Resource"]
    )
    assert "arn:aws:s3:::one-bucket/*" in found["WriteForApplyObjects"]["Resource"]
    assert found["DeleteOfBasicOpsTablesOfBasicOps"]["Resource"] == [
        f"arn:aws:dynamodb:{at}:table/amplify-v6-lambda-basic-*"
    ]
    assert found["WriteForApplyKeys"]["Condition"]["StringEquals"]["kms:ViaService"][0] == "s3.us-east-1.amazonaws.com"
    for sid, statement in found.items():
        if any(
            action.split(":")[1].startswith(("Delete", "Put", "Update", "Create")) for action in statement["Action"]
        ):
            assert "*" not in statement["Resource"], sid


@pytest.mark.parametrize(
    ("check", "service", "operation", "action"),
    [
        ("user_data_owner", "apigateway", "GetRestApis", "apigateway:GET"),
        ("consolidation", "s3", "HeadBucket", "s3:ListBucket"),
        ("buckets", "s3", "ListBuckets", "s3:ListAllMyBuckets"),
    ],
)
def test_a_denied_operation_is_named_by_its_action(
    context: Context, check: str, service: str, operation: str, action: str
) -> None:
    faults.deny(context.account, service, operation)
    (one,) = [each for each in CHECKS if each.name == check]
    fact = run_check(one, context)
    assert (fact.verdict, fact.found) == ("unknown", f"Not permitted: {action} is missing.")


def test_what_an_identity_lacks_is_asked_about_the_deployments_own_resources(context: Context) -> None:
    """An identity with this very policy must not be told that it lacks anything."""
    asked: list[dict[str, Any]] = []

    def simulate(params: dict[str, Any], **_: Any) -> Any:
        body = params["body"]
        names = [value for key, value in sorted(body.items()) if key.startswith("ActionNames.member")]
        asked.append({"names": names, "resource": body["ResourceArns.member.1"]})
        results = [
            {"EvalActionName": name, "EvalDecision": "implicitDeny" if name == "s3:DeleteObject" else "allowed"}
            for name in names
        ]
        return faults.SimpleNamespace(status_code=200, headers={}), {"EvaluationResults": results, "IsTruncated": False}

    client = context.account.client("iam")
    client.meta.events.register_last("before-call.iam.SimulatePrincipalPolicy", simulate)
    (check,) = [each for each in CHECKS if each.name == "permissions"]
    fact = run_check(check, context)
    assert (fact.verdict, fact.value) == ("attention", ["s3:DeleteObject"])
    assert "WriteForApply: s3:DeleteObject; DeleteForCleanup: s3:DeleteObject" in fact.found
    by_name = {name: one["resource"] for one in asked for name in one["names"]}
    assert by_name["dynamodb:Scan"] == "arn:aws:dynamodb:us-east-1:123456789012:table/amplify-v6-any"
    assert by_name["dynamodb:ListTables"] == "*"
    assert not any(name.startswith("kms:") for name in by_name)
