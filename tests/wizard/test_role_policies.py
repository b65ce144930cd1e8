"""What a role's own policies allow, judged as IAM does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Aws
from wizard.context import Context
from wizard.role_policies import decide, missing_actions
from wizard.service_health import SSM_ACTIONS, look_at_roles

X = "arn:aws:ssm:us-east-1:123456789012:parameter/amplify/dev/x"
AMPLIFY = "arn:aws:ssm:*:*:parameter/amplify/*"


def allow(action: Any, resource: Any = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


@pytest.mark.parametrize(
    ("statements", "decision"),
    [
        ([], "denied"),
        ([allow("ssm:GetParameter", AMPLIFY)], "allowed"),
        ([allow(["SSM:getparameter", "s3:*"], [AMPLIFY])], "allowed"),
        ([allow("ssm:Get*")], "allowed"),
        ([allow("*")], "allowed"),
        ([allow("ssm:GetParameter?")], "denied"),
        ([allow("ssm:GetParameters")], "denied"),
        ([allow("ssm:GetParameter", "arn:aws:ssm:*:*:parameter/amplify/prod/*")], "denied"),
        ([allow("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/amplify/dev/?")], "allowed"),
        ([allow("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/amplify.dev/x")], "denied"),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], "allowed"),
        ([{"Effect": "Allow", "NotAction": "ssm:*", "Resource": "*"}], "denied"),
        ([{"Effect": "Allow", "Action": "ssm:*", "NotResource": AMPLIFY}], "denied"),
        ([{"Effect": "Allow", "Action": "ssm:*", "NotResource": "arn:aws:s3:::*"}], "allowed"),
        ([allow("ssm:*"), allow("ssm:GetParameter", effect="Deny")], "denied"),
        ([allow("ssm:*"), allow("ssm:PutParameter", effect="Deny")], "allowed"),
        ([allow("ssm:*"), allow("ssm:*", "arn:aws:ssm:*:*:parameter/secret/*", "Deny")], "allowed"),
        ([allow("ssm:*", Condition={"Bool": {"a": "b"}})], "conditional"),
        ([allow("ssm:*", Condition={"Bool": {"a": "b"}}), allow("ssm:GetParameter")], "allowed"),
        ([allow("ssm:*"), allow("*", effect="Deny", Condition={"Bool": {"a": "b"}})], "conditional"),
    ],
)
def test_decisions(statements: list[dict[str, Any]], decision: str) -> None:
    assert decide([{"Statement": statements}], "ssm:GetParameter", X) == decision
    assert decide([{"Statement": [one]} for one in statements], "ssm:GetParameter", X) == decision
    if len(statements) == 1:
        assert decide([{"Statement": statements[0]}], "ssm:GetParameter", X) == decision


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def test_inline_and_attached_policies_and_the_boundary_count(aws: Aws, context: Context) -> None:
    iam = aws.client("iam")
    arn = iam.create_role(RoleName="r", Path="/service/", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    assert missing_actions(context, arn, SSM_ACTIONS, X) == (list(SSM_ACTIONS), [])
    iam.put_role_policy(RoleName="r", PolicyName="i", PolicyDocument=policy(allow("ssm:GetParameter", AMPLIFY)))
    attached = iam.create_policy(
        PolicyName="m", PolicyDocument=policy(allow(["ssm:GetParameters", "ssm:GetParametersByPath"], AMPLIFY))
    )["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=attached)
    functions = [{"FunctionName": "f", "Role": arn}]
    assert missing_actions(context, arn, SSM_ACTIONS, X) == ([], [])
    assert look_at_roles(context, functions) == []  # though the simulator cannot be asked here
    only = iam.create_policy(PolicyName="b", PolicyDocument=policy(allow("ssm:GetParameter*"), allow(
        "ssm:GetParametersByPath", effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})))  # fmt: skip
    iam.put_role_permissions_boundary(RoleName="r", PermissionsBoundary=only["Policy"]["Arn"])
    assert missing_actions(context, arn, SSM_ACTIONS, X) == ([], ["ssm:GetParametersByPath"])
    (finding,) = look_at_roles(context, functions)
    assert "ssm:GetParametersByPath allowed to f under a condition only" in finding.text
    iam.put_role_policy(RoleName="r", PolicyName="d", PolicyDocument=policy(allow("ssm:*", effect="Deny")))
    (finding,) = look_at_roles(context, functions)
    assert finding.text == "ssm:GetParameter, ssm:GetParameters, ssm:GetParametersByPath not allowed to f"
