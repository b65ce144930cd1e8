"""Steps 4c and 5 with a real `serverless`: osls and its compose package, from the npm registry, against the embedded AWS.

Run with `-m network`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.test_services import arguments
from wizard import parameters
from wizard.commands import services as commands
from wizard.context import Context
from wizard.errors import Blocked
from wizard.service_health import list_functions
from wizard.service_order import read_order
from wizard.services import deploy

pytestmark = pytest.mark.network

OSLS, COMPOSE = "osls@4.3.1", "@osls/compose@1.9.2"
EVENT = """\
    events:
      - http: {path: "/user-data/{proxy+}", method: POST, cors: true}
"""
LAMBDA = """\
service: amplify-${self:custom.stageVars.DEP_NAME}-lambda
custom:
  stageVars: ${file(../var/${sls:stage}-var.yml)}
provider:
  name: aws
  runtime: python3.11
  stage: ${opt:stage, 'dev'}
  environment:
    # Locally Defined Variables
    USER_STORAGE_TABLE: ${self:service}-${sls:stage}-user-data-storage
    S3_CONSOLIDATION_BUCKET_NAME: ${self:service}-${sls:stage}-consolidation
    # Imported Variables
    ADMINS: ${ssm:/amplify/${sls:stage}/shared/ADMINS}
    GUARDRAIL: ${ssm:/amplify/${sls:stage}/shared/BEDROCK_GUARDRAIL_ID, 'none'}
functions:
  health:
    handler: service.route
    events:
      - http: {path: "/health", method: GET}
  user_data_router:
    handler: service.route
EVENTS
resources:
  Resources:
    UserDataStorage:
      Type: AWS::DynamoDB::Table
      Properties:
        TableName: ${self:provider.environment.USER_STORAGE_TABLE}
        BillingMode: PAY_PER_REQUEST
        AttributeDefinitions: [{AttributeName: PK, AttributeType: S}, {AttributeName: SK, AttributeType: S}]
        KeySchema: [{AttributeName: PK, KeyType: HASH}, {AttributeName: SK, KeyType: RANGE}]
    Consolidation:
      Type: AWS::S3::Bucket
      Properties: {BucketName: "${self:provider.environment.S3_CONSOLIDATION_BUCKET_NAME}"}
  Outputs:
    RestApiId: {Value: !Ref ApiGatewayRestApi, Export: {Name: "${sls:stage}-RestApiId"}}
    RestApiRootResourceId:
      Value: !GetAtt ApiGatewayRestApi.RootResourceId
      Export: {Name: "${sls:stage}-RestApiRootResourceId"}
"""
OPS = """\
service: amplify-${self:custom.stageVars.DEP_NAME}-lambda-ops
custom:
  stageVars: ${file(../var/${sls:stage}-var.yml)}
provider:
  name: aws
  runtime: python3.11
  stage: ${opt:stage, 'dev'}
  apiGateway:
    restApiId: !ImportValue ${sls:stage}-RestApiId
    restApiRootResourceId: !ImportValue ${sls:stage}-RestApiRootResourceId
  environment:
    # Locally Defined Variables
    OPS_DYNAMODB_TABLE: ${self:service}-${sls:stage}-ops   # read by others
    # Imported Variables
    STORE: ${ssm:/amplify/${sls:stage}/amplify-${self:custom.stageVars.DEP_NAME}-lambda/USER_STORAGE_TABLE}
functions:
  ops:
    handler: service.route
"""


@pytest.fixture
def ready(context: Context, tmp_path: Path) -> Context:
    """A small checkout with osls and compose installed into it; one of its services is outside the compose file."""
    root = tmp_path / "checkout"
    for directory, text in (("amplify-lambda", LAMBDA.replace("EVENTS\n", "")), ("amplify-lambda-ops", OPS)):
        (root / directory).mkdir(parents=True)
        (root / directory / "serverless.yml").write_text(text)
        (root / directory / "service.py").write_text("def route(event, context):\n    return {}\n")
    (root / "var").mkdir()
    (root / "var" / "dev-var.yml").write_text("DEP_NAME: v6\nADMINS: ann\n")
    (root / "serverless-compose.yml").write_text("services:\n  amplify-lambda: {path: amplify-lambda}\n")
    (root / "package.json").write_text(json.dumps({"name": "checkout", "private": True}))
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--save-dev", OSLS, COMPOSE]
    subprocess.run(npm, cwd=root, check=True)
    context.root = root
    return context


def run(context: Context, *words: str) -> Any:
    parsed: argparse.Namespace = arguments("deploy", *words)
    return commands.run_deploy(parsed, context)


def basic_ops(aws: Aws) -> None:
    """The old owner of /user-data in the API that amplify-lambda has made."""
    formation = aws.client("cloudformation")
    resource = {
        "Type": "AWS::ApiGateway::Resource",
        "Properties": {
            "RestApiId": {"Fn::ImportValue": "dev-RestApiId"},
            "ParentId": {"Fn::ImportValue": "dev-RestApiRootResourceId"},
            "PathPart": "user-data",
        },
    }
    template = json.dumps({"Resources": {"ApiGatewayResourceUserDashdata": resource}})
    formation.create_stack(StackName="amplify-v6-lambda-basic-ops-dev", TemplateBody=template)


def test_osls_deploys_through_the_command(aws: Aws, ready: Context, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "wizard.services")
    assert parameters.populate(ready).code == 0
    outcome = run(ready, "amplify-lambda")
    assert outcome.code == 0, outcome.text
    assert outcome.details["services"] == {"amplify-lambda": "deployed"}
    lines = [record.getMessage() for record in caplog.records if record.name == "wizard.services"]
    assert any("Service deployed to stack amplify-v6-lambda-dev" in line for line in lines)
    assert not any("\x1b" in line for line in lines)
    stack = aws.client("cloudformation").describe_stacks(StackName="amplify-v6-lambda-dev")["Stacks"][0]
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    function = next(one for one in list_functions(ready) if one["FunctionName"].endswith("user_data_router"))
    variables = function["Environment"]["Variables"]
    assert variables["ADMINS"] == "ann" and variables["GUARDRAIL"] == "none"
    assert variables["USER_STORAGE_TABLE"] == "amplify-v6-lambda-dev-user-data-storage"

    assert run(ready, "amplify-lambda").details["services"]["amplify-lambda"].startswith("skipped: deployed")

    basic_ops(aws)
    assert ready.root is not None
    path = ready.root / "amplify-lambda" / "serverless.yml"
    path.write_text(LAMBDA.replace("EVENTS\n", EVENT))
    with pytest.raises(Blocked, match="basic-ops"):
        run(ready, "amplify-lambda")
    order = read_order(ready.root, ready.deployment)
    refused = deploy(ready, order.services, order)
    assert refused.code == 1
    assert "Another resource with the same parent already has this name: user-data" in refused.text
    assert "step 4b" in refused.text
    assert refused.details["left"] == ["amplify-lambda-ops"]

    aws.client("cloudformation").delete_stack(StackName="amplify-v6-lambda-basic-ops-dev")
    outcome = run(ready, "--all")  # goes on there, then the one that is deployed in its own directory
    assert outcome.code == 0, outcome.text
    assert outcome.details["services"] == {"amplify-lambda": "deployed", "amplify-lambda-ops": "deployed"}
    paths = [
        resource.get("path")
        for api in aws.client("apigateway").get_rest_apis()["items"]
        for resource in aws.client("apigateway").get_resources(restApiId=api["id"])["items"]
    ]
    assert "/user-data/{proxy+}" in paths
    again = run(ready, "--all").details["services"]
    assert all(result.startswith("skipped: deployed") for result in again.values())
