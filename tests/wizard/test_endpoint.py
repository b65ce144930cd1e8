"""The owner of /user-data in every constellation, and the ways to free it behind their locks."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from tests.conftest import Aws
from tests.wizard import faults
from tests.wizard.storage_tables import OLD, put, row
from wizard import endpoint, endpoint_free, storage
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.endpoint import EndpointState
from wizard.errors import BadInput, Blocked, Failed, Interrupted
from wizard.sandbox.fidelity import teach

BASIC, LAMBDA = "amplify-v6-lambda-basic-ops-dev", "amplify-v6-lambda-dev"
BUCKET = "amplify-v6-lambda-basic-ops-dev-dynamic-code"


def path_resources(api: Any, parent: Any) -> dict[str, Any]:
    """`/user-data/{proxy+}` as Serverless defines it."""
    return {
        "ApiGatewayResourceUserDashdata": {
            "Type": "AWS::ApiGateway::Resource",
            "Properties": {"RestApiId": api, "ParentId": parent, "PathPart": "user-data"},
        },
        "ApiGatewayResourceUserDashdataProxyVar": {
            "Type": "AWS::ApiGateway::Resource",
            "Properties": {
                "RestApiId": api,
                "ParentId": {"Ref": "ApiGatewayResourceUserDashdata"},
                "PathPart": "{proxy+}",
            },
        },
    }


def table(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": name,
            "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
            "AttributeDefinitions": [{"AttributeName": part, "AttributeType": "S"} for part in ("PK", "SK")],
            "BillingMode": "PAY_PER_REQUEST",
        },
    }


IMPORTED = ({"Fn::ImportValue": "dev-RestApiId"}, {"Fn::ImportValue": "dev-RestApiRootResourceId"})
OWN = ({"Ref": "ApiGatewayRestApi"}, {"Fn::GetAtt": ["ApiGatewayRestApi", "RootResourceId"]})


class Deployed:
    """Stacks of a deployment on the embedded AWS."""

    def __init__(self, aws: Aws):
        self.formation, self.gateway = aws.client("cloudformation"), aws.client("apigateway")
        self.s3, self.dynamodb = aws.client("s3"), aws.client("dynamodb")

    def stack(self, name: str, resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> None:
        template = {"Resources": resources} | ({"Outputs": outputs} if outputs else {})
        self.formation.create_stack(StackName=name, TemplateBody=json.dumps(template))

    def amplify_lambda(self, *, owns_path: bool = False, name: str = LAMBDA) -> None:
        api = {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "dev-amplify-v6-lambda"}}
        self.stack(
            name,
            {"ApiGatewayRestApi": api} | (path_resources(*OWN) if owns_path else {}),
            {
                "Id": {"Value": OWN[0], "Export": {"Name": "dev-RestApiId"}},
                "Root": {"Value": OWN[1], "Export": {"Name": "dev-RestApiRootResourceId"}},
            },
        )

    def basic_ops(self, name: str = BASIC, **more: Any) -> None:
        self.stack(name, path_resources(*IMPORTED) | {"UserStorage": table(OLD)} | more)

    def delete_path(self) -> None:
        api = self.gateway.get_rest_apis()["items"][0]["id"]
        found = self.gateway.get_resources(restApiId=api)["items"]
        self.gateway.delete_resource(
            restApiId=api, resourceId=next(one["id"] for one in found if one["path"] == "/user-data")
        )

    def orphan(self) -> None:
        api = self.gateway.get_rest_apis()["items"][0]["id"]
        root = self.gateway.get_resources(restApiId=api)["items"][0]["id"]
        self.gateway.create_resource(restApiId=api, parentId=root, pathPart="user-data")


@pytest.fixture
def deployed(aws: Aws) -> Deployed:
    teach()
    return Deployed(aws)


@pytest.fixture
def ready(context: Context, tmp_path: Path, aws: Aws) -> Context:
    """A run whose steps 1 and 2 stand: a checkout with a stored parameter."""
    root = tmp_path / "checkout"
    for service in ("amplify-lambda", "amplify-lambda-basic-ops"):
        (root / service).mkdir(parents=True)
        name = service.removeprefix("amplify-")
        (root / service / "serverless.yml").write_text(
            f"service: amplify-${{self:custom.stageVars.DEP_NAME}}-{name}\n"
            "provider:\n  name: aws\n  stage: ${opt:stage, 'dev'}\n"
            "custom:\n  stageVars: ${file(../var/${sls:stage}-var.yml)}\n"
        )
    (root / "amplify-lambda" / "serverless.yml").write_text(
        "service: amplify-${self:custom.stageVars.DEP_NAME}-lambda\n"
        "provider:\n  name: aws\n  stage: ${opt:stage, 'dev'}\n  environment:\n"
        "    # Locally Defined Variables\n"
        "    ACCOUNTS_DYNAMO_TABLE: amplify-${self:custom.stageVars.DEP_NAME}-lambda-${sls:stage}-accounts\n"
        "custom:\n  stageVars: ${file(../var/${sls:stage}-var.yml)}\n"
    )
    (root / "var").mkdir()
    (root / "var" / "dev-var.yml").write_text("DEP_NAME: v6\n")
    context.root = root
    from wizard import parameters

    parameters.populate(context, root)
    return context


def test_nothing_deployed_is_free(deployed: Deployed, context: Context) -> None:
    state = endpoint.look(context)
    assert (state.owner, state.basic_ops_stack, state.lambda_stack, state.export_owner) == (
        "nobody",
        "absent",
        "absent",
        "",
    )
    assert state.free


def test_basic_ops_owns_it_in_the_api_of_amplify_lambda(deployed: Deployed, context: Context) -> None:
    deployed.amplify_lambda()
    assert endpoint.look(context).owner == "nobody"
    deployed.basic_ops()
    state = endpoint.look(context)
    assert (state.owner, state.free, state.export_ok) == ("basic-ops", False, True)
    assert (state.basic_ops_stack, state.lambda_stack) == ("CREATE_COMPLETE", "CREATE_COMPLETE")
    fact = endpoint.fact(context)
    assert (fact.name, fact.verdict, fact.value) == ("user_data_owner", "attention", "basic-ops")


def test_amplify_lambda_owns_it(deployed: Deployed, context: Context) -> None:
    deployed.amplify_lambda(owns_path=True)
    state = endpoint.look(context)
    assert (state.owner, state.free) == ("amplify-lambda", True)
    outcome = endpoint_free.free(context, "stack")
    assert outcome.code == 0
    assert "nothing to free" in outcome.text


def test_a_resource_of_no_stack_is_an_orphan(deployed: Deployed, context: Context) -> None:
    deployed.amplify_lambda()
    deployed.orphan()
    state = endpoint.look(context)
    assert state.owner == "orphan"
    assert [finding.todo for finding in endpoint.findings(state, context.deployment)] == [
        "Delete it: `amplify-migrate endpoint free --how resource`."
    ]


def test_a_stack_of_nobody_here_is_named(deployed: Deployed, ready: Context) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops(name="a-fork-of-basic-ops")
    state = endpoint.look(ready)
    assert (state.owner, state.basic_ops_stack) == ("a-fork-of-basic-ops", "absent")
    assert endpoint.fact(ready).verdict == "blocked"
    for how in ("stack", "resource", "serverless"):
        with pytest.raises(Blocked, match="a-fork-of-basic-ops"):
            endpoint_free.free(ready, how)


def test_another_deployments_export_is_told(deployed: Deployed, context: Context) -> None:
    deployed.amplify_lambda(name="amplify-v7-lambda-dev")
    state = endpoint.look(context)
    assert (state.export_owner, state.export_ok) == ("amplify-v7-lambda-dev", False)
    assert "Another deployment of the same stage" in next(endpoint.findings(state, context.deployment)).todo


def state_of(**changed: Any) -> EndpointState:
    known: dict[str, Any] = {
        "api_id": "a", "resource_id": "", "owner": "nobody", "basic_ops_stack": "absent",
        "lambda_stack": "CREATE_COMPLETE", "export_owner": LAMBDA, "export_ok": True,
    }  # fmt: skip
    return EndpointState(**known | changed)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"lambda_stack": "ROLLBACK_COMPLETE"}, "delete-stack --stack-name amplify-v6-lambda-dev"),
        ({"lambda_stack": "ROLLBACK_COMPLETE", "lambda_tables": ("t",)}, "do not delete it"),
        ({"lambda_stack": "DELETE_FAILED", "lambda_tables": ("t",)}, "do not delete it"),
        ({"lambda_stack": "CREATE_FAILED", "lambda_tables": ("t", "u"), "lambda_rows": ("u",)}, "tables (u)"),
        ({"lambda_stack": "UPDATE_ROLLBACK_FAILED"}, "continue-update-rollback --stack-name amplify-v6-lambda-dev"),
        ({"lambda_stack": "UPDATE_IN_PROGRESS"}, "wait until it has finished"),
        ({"lambda_stack": "UPDATE_ROLLBACK_COMPLETE"}, "can be deployed again"),
        ({"basic_ops_stack": "DELETE_FAILED"}, "endpoint free --how stack"),
        ({"basic_ops_stack": "ROLLBACK_COMPLETE"}, "endpoint free --how stack"),
        ({"owner": "somebody", "resource_id": "r"}, "ask its owner"),
    ],
)
def test_conflicting_states_are_explained(changed: dict[str, Any], word: str) -> None:
    (finding,) = endpoint.findings(state_of(**changed), Deployment("v6", "dev", "us-east-1"))
    assert word in finding.todo


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED", "DELETE_FAILED"])
def test_deleting_amplify_lambdas_stack_is_never_offered_while_it_holds_tables(status: str) -> None:
    state = state_of(lambda_stack=status, lambda_tables=("t",), lambda_rows=("t",))
    for finding in endpoint.findings(state, Deployment("v6", "dev", "us-east-1")):
        assert "delete-stack" not in finding.todo
        assert "do not delete it before they are saved" in finding.todo


def test_a_settled_deployment_has_no_findings() -> None:
    assert list(endpoint.findings(state_of(), Deployment("v6", "dev", "us-east-1"))) == []


def test_steps_1_and_2_come_first(deployed: Deployed, context: Context) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops()
    for how in ("stack", "serverless", "resource"):
        with pytest.raises(Blocked, match=r"step"):
            endpoint_free.free(context, how)
    assert endpoint.look(context).owner == "basic-ops"


def test_rows_must_be_saved_first_and_as_they_are(deployed: Deployed, ready: Context) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops()
    put(deployed.dynamodb, OLD, [row("doej1", "1")])
    for how in ("stack", "serverless", "resource"):
        with pytest.raises(Blocked, match="step 4a"):
            endpoint_free.free(ready, how)
    storage.back_up(ready, OLD)
    put(deployed.dynamodb, OLD, [row("doej1", "1", data={"S": "changed, same count"})])
    with pytest.raises(Blocked, match="changed since it was backed up"):
        endpoint_free.free(ready, "stack")
    storage.back_up(ready, OLD)
    outcome = endpoint_free.free(ready, "stack", poll=0.01)
    assert outcome.details["state"]["owner"] == "nobody"
    assert OLD not in deployed.dynamodb.list_tables()["TableNames"]


def test_how_to_free_it_by_hand_is_told_for_the_owner_that_it_has() -> None:
    deployment = Deployment("v6", "dev", "us-east-1")
    assert endpoint.by_hand(state_of(owner="basic-ops"), deployment)[-1].strip().startswith("serverless deploy")
    (_, command) = endpoint.by_hand(state_of(owner="orphan", api_id="a1", resource_id="r1"), deployment)
    assert "delete-resource" in command
    assert "--rest-api-id a1 --resource-id r1" in command
    for owner in ("nobody", "amplify-lambda", "somebody"):
        assert endpoint.by_hand(state_of(owner=owner), deployment) == []


def test_a_stack_that_cloudformation_will_not_tell_of_is_not_taken_for_absent(context: Context) -> None:
    faults.answer(context.account, "cloudformation", "ListStackResources", "ValidationError", "the name is not valid")
    with pytest.raises(botocore.exceptions.ClientError):
        endpoint.resources(context, BASIC)


def test_a_dry_run_deletes_nothing(deployed: Deployed, ready: Context) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops()
    ready.account.read_only = True
    for how, word in (("stack", "Would delete the stack"), ("resource", "Would delete the resource")):
        assert word in endpoint_free.free(ready, how, dry_run=True).text
    assert endpoint.look(ready).owner == "basic-ops"


def test_what_stands_in_the_way_is_found_beforehand(deployed: Deployed, ready: Context) -> None:
    deployed.amplify_lambda()
    other = "amplify-v6-lambda-basic-ops-dev-work-records"
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}
    deployed.stack(
        BASIC,
        path_resources(*IMPORTED) | {"UserStorage": table(OLD), "Work": table(other), "Code": bucket},
        {"Out": {"Value": "x", "Export": {"Name": "basic-ops-output"}}},
    )
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Fn::ImportValue": "basic-ops-output"}}}
    deployed.stack("importing-stack", {"Topic": topic})
    deployed.s3.put_object(Bucket=BUCKET, Key="x", Body=b"1")
    put(deployed.dynamodb, other, [row("doej1", "1")])
    with pytest.raises(Blocked) as stopped:
        endpoint_free.free(ready, "stack")
    for word in (BUCKET, "not empty", other, "no verified backup", "importing-stack"):
        assert word in str(stopped.value)
    assert endpoint.look(ready).basic_ops_stack == "CREATE_COMPLETE"


def test_serverless_empties_the_bucket_of_its_packages_itself(deployed: Deployed, ready: Context) -> None:
    deployed.amplify_lambda()
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}
    deployed.basic_ops(ServerlessDeploymentBucket=bucket)
    deployed.s3.put_object(Bucket=BUCKET, Key="serverless/amplify-v6/dev/1/code.zip", Body=b"1")
    with pytest.raises(Blocked, match=f"{BUCKET} holds Serverless's packages: --how serverless empties it"):
        endpoint_free.require_deletable(ready, BASIC)
    endpoint_free.require_deletable(ready, BASIC, empties_packages=True)


def test_a_deletion_that_fails_is_explained_and_goes_on(
    deployed: Deployed, ready: Context, caplog: pytest.LogCaptureFixture
) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops(Code={"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}})

    def fill(**_: Any) -> None:
        deployed.s3.put_object(Bucket=BUCKET, Key="late", Body=b"1")

    ready.account.client("cloudformation").meta.events.register_last("before-call.cloudformation.DeleteStack", fill)
    with caplog.at_level("INFO"), pytest.raises(Failed, match=r"DELETE_FAILED .*not empty"):
        endpoint_free.free(ready, "stack", poll=0.01)
    assert "DELETE_FAILED" in caplog.text
    deployed.s3.delete_object(Bucket=BUCKET, Key="late")
    ready.account.client("cloudformation").meta.events.unregister("before-call.cloudformation.DeleteStack", fill)
    endpoint_free.free(ready, "stack", poll=0.01)
    state = endpoint.look(ready)
    assert (state.owner, state.basic_ops_stack) == ("nobody", "absent")


def test_a_deletion_that_is_refused_says_what_to_do(deployed: Deployed, ready: Context) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops()

    faults.deny(ready.account, "cloudformation", "DeleteStack", "not you")
    with pytest.raises(Failed, match=r"not you.*Nothing was deleted.*preflight --policy.*--how wait"):
        endpoint_free.free(ready, "stack", poll=0.01)
    assert endpoint.look(ready).basic_ops_stack == "CREATE_COMPLETE"


def test_a_deletion_that_is_under_way_is_watched_to_its_end(deployed: Deployed, ready: Context) -> None:
    """As after a kill: CloudFormation goes on by itself, and the same command takes up watching it."""
    deployed.amplify_lambda()
    deployed.basic_ops()
    put(deployed.dynamodb, OLD, [row("doej1", "1")])  # no longer to be saved: the deletion has begun
    answers = []

    def at_work(parsed: dict[str, Any], **_: Any) -> None:
        standing = (BASIC, "CREATE_COMPLETE")
        for stack in parsed.get("Stacks", ()):
            if (stack["StackName"], stack["StackStatus"]) != standing:
                continue
            stack["StackStatus"] = "DELETE_IN_PROGRESS"
            answers.append(stack)
            if len(answers) == 4:
                deployed.formation.delete_stack(StackName=BASIC)

    ready.account.client("cloudformation").meta.events.register("after-call.cloudformation.DescribeStacks", at_work)
    dry = endpoint_free.free(ready, "stack", dry_run=True)
    assert "would watch" in dry.text
    outcome = endpoint_free.free(ready, "stack", poll=0.05)
    assert (outcome.code, outcome.details["state"]["basic_ops_stack"]) == (0, "absent")


def test_what_only_can_be_deleted_is_deleted_though_the_path_is_free(deployed: Deployed, ready: Context) -> None:
    deployed.amplify_lambda()
    deployed.stack(BASIC, {"Topic": {"Type": "AWS::SNS::Topic"}})

    def failed(parsed: dict[str, Any], **_: Any) -> None:
        for stack in parsed.get("Stacks", ()):
            if stack["StackName"] == BASIC and stack["StackStatus"] == "CREATE_COMPLETE":
                stack["StackStatus"] = "ROLLBACK_COMPLETE"

    ready.account.client("cloudformation").meta.events.register("after-call.cloudformation.DescribeStacks", failed)
    assert "1 other resource" in endpoint_free.free(ready, "stack", dry_run=True).text
    assert "is deleted" in endpoint_free.free(ready, "stack", poll=0.05).text


def test_the_resource_alone_leaves_the_stack(deployed: Deployed, ready: Context) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops()
    outcome = endpoint_free.free(ready, "resource")
    assert "left behind" in outcome.text
    state = endpoint.look(ready)
    assert (state.owner, state.basic_ops_stack) == ("nobody", "CREATE_COMPLETE")
    assert OLD in deployed.dynamodb.list_tables()["TableNames"]
    (api,) = deployed.gateway.get_rest_apis()["items"]
    assert [one["path"] for one in deployed.gateway.get_resources(restApiId=api["id"])["items"]] == ["/"]


def test_a_path_that_is_deployed_anew_meanwhile_is_not_deleted(deployed: Deployed, ready: Context) -> None:
    deployed.amplify_lambda()
    deployed.orphan()
    looks = iter(("first", "second"))

    def redeploy(**_: Any) -> None:
        if next(looks, "") == "second":
            deployed.delete_path()
            deployed.orphan()

    ready.account.client("apigateway").meta.events.register("before-call.apigateway.GetResources", redeploy)
    with pytest.raises(Blocked, match="deployed anew"):
        endpoint_free.free(ready, "resource")
    assert endpoint.look(ready).owner == "orphan"


def test_an_orphan_goes_by_resource_only(deployed: Deployed, ready: Context) -> None:
    deployed.amplify_lambda()
    deployed.orphan()
    with pytest.raises(Blocked, match="--how resource"):
        endpoint_free.free(ready, "stack")
    endpoint_free.free(ready, "resource")
    assert endpoint.look(ready).owner == "nobody"


def test_serverless_remove_needs_the_right_checkout(
    deployed: Deployed, ready: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops()
    assert ready.root is not None
    (ready.root / "amplify-lambda-basic-ops" / "serverless.yml").unlink()
    with pytest.raises(BadInput, match="whose stack is amplify-v6-lambda-basic-ops-dev"):
        endpoint_free.free(ready, "serverless")
    before = tmp_path / "before it"  # steps 1 and 2 are those of the new checkout, whatever the old one holds
    shutil.copytree(ready.root, before)
    (before / "var" / "dev-var.yml").unlink()
    (before / "amplify-lambda" / "serverless.yml").unlink()
    (before / "amplify-lambda-basic-ops" / "serverless.yml").write_text("service: amplify-v6-lambda-basic-ops\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "serverless").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "serverless").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    outcome = endpoint_free.free(ready, "serverless", dry_run=True, old_root=before)
    assert f"cd '{before / 'amplify-lambda-basic-ops'}' && serverless remove" in outcome.text


def test_serverless_remove_streams_its_output(
    deployed: Deployed,
    ready: Context,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops()
    command = tmp_path / "bin" / "serverless"
    command.parent.mkdir()
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    command.write_text('#!/bin/sh\necho "in $(basename $PWD): $*"\nexit 3\n')
    command.chmod(0o755)
    with caplog.at_level("INFO"), pytest.raises(Failed, match="status 3"):
        endpoint_free.free(ready, "serverless", poll=0.01)
    assert "in amplify-lambda-basic-ops: remove --stage dev --region us-east-1" in caplog.text
    command.write_text(
        f"#!{sys.executable}\nimport boto3\n"
        f"boto3.client('cloudformation').delete_stack(StackName='{BASIC}')\nprint('removed')\n"
    )
    outcome = endpoint_free.free(ready, "serverless", poll=0.01)
    assert outcome.text.startswith("serverless removed")


def test_waiting_ends_when_the_path_is_free(
    deployed: Deployed, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops()
    told = "serverless deploy --stage dev"

    def free_it_when_told() -> None:
        deadline = time.monotonic() + 30
        while told not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.02)
        deployed.delete_path()

    threading.Thread(target=free_it_when_told, daemon=True).start()
    with caplog.at_level("INFO"):
        outcome = endpoint_free.free(context, "wait", poll=0.05)
    assert outcome.code == 0
    assert told in caplog.text


def test_waiting_can_be_stopped(deployed: Deployed, context: Context) -> None:
    deployed.amplify_lambda()
    deployed.basic_ops()
    context.account.control = context.control
    threading.Timer(0.3, context.control.cancel).start()
    with pytest.raises(Interrupted):
        endpoint_free.free(context, "wait", poll=30)
