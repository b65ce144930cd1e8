"""A deployment of seven small tables that has a change of every kind: copied, merged, in place, summed, deactivated."""

from __future__ import annotations

import json

import pytest

from tests.wizard.migration.stage import ANN, BOB, EVE, Stage, n, s

ACCOUNTS, ACCESS, CHATS = "lambda/accounts", "object-access/object-access", "lambda/chat-usage"
COSTS, TASKS, GROUPS = "lambda/cost-calculations", "agent-loop/scheduled-tasks", "object-access/amplify-groups"
USERS = "object-access/cognito-users"
WORKFLOWS = "agent-loop/workflow-registry"


def fill(stage: Stage) -> Stage:
    for user in (ANN, BOB, EVE):
        stage.put(ACCOUNTS, {"user": s(user), "accounts": {"L": [{"M": {"id": s("c"), "rate": n("1.10")}}]}})
        stage.put(
            ACCESS,
            *({"object_id": s(f"o{i}"), "principal_id": s(user), "permission_level": s("read")} for i in range(4)),
        )
        stage.put(CHATS, *({"id": s(f"{user}-{i}"), "user": s(user), "cost": n("1.50")} for i in range(4)))
        stage.put(COSTS, {"id": s(user), "accountInfo": s("c"), "dailyCost": n("0.1"), "note": s("x")})
        stage.put(TASKS, {"user": s(user), "taskId": s("t"), "active": n(1)})
        stage.put(USERS, {"user_id": s(user), "given_name": s("x")})
    stage.put(COSTS, {"id": s("a-100"), "accountInfo": s("c"), "dailyCost": n("0.2")})
    stage.put(ACCESS, {"object_id": s("o1"), "principal_id": s("a-100"), "permission_level": s("owner")})
    stage.put(GROUPS, {"group_id": s("g"), "createdBy": s(ANN), "members": {"M": {ANN: s("admin"), EVE: s("read")}}})
    return stage


@pytest.fixture
def workflow(stage: Stage) -> Stage:
    """One workflow of ann's, whose template becomes a row."""
    stage.create("lambda/user-data-storage")
    stage.bucket("lambda/consolidation")
    stage.put(WORKFLOWS, {"user": s(ANN), "templateId": s("w"), "s3Key": s(f"{ANN}/w.json")})
    body = json.dumps({"templateId": "w"}).encode()
    bucket = stage.bucket("agent-loop/workflow-templates")
    stage.aws.client("s3").put_object(Bucket=bucket, Key=f"{ANN}/w.json", Body=body)
    return stage
