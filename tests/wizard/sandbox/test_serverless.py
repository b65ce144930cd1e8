"""The stand-in deploys what a checkout says, and fails where and as the real command and CloudFormation do."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from wizard.deployment import Deployment
from wizard.errors import BadInput, Failed
from wizard.sandbox.checkout import serverless_yml, shared_values, write_checkout
from wizard.sandbox.create import api_id, create_stacks, put_parameters
from wizard.sandbox.definitions import definition
from wizard.sandbox.releases import TARGET, release
from wizard.sandbox.schemas import SERVICES
from wizard.sandbox.serverless import folders, resolve, status_of

V6 = Deployment("v6", "dev", "us-east-1")
SHARED = shared_values(V6, admins="jane.doe@example.edu")


@pytest.fixture
def checkout(tmp_path):
    return write_checkout(tmp_path / "backend", V6, replace(TARGET, usage="chat-usage"), SHARED)


@pytest.fixture
def run(aws, checkout):
    """Runs the stand-in as a program, in the checkout or one of its directories."""

    def run(*words, cwd=None):
        environment = {
            "PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": aws.endpoint, "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox-secret",
        }  # fmt: skip
        command = [sys.executable, "-m", "wizard.sandbox.serverless", *words]
        done = subprocess.run(
            command, cwd=cwd or checkout, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


def old_deployment(aws, *, parameters=True):
    account = aws.account()
    create_stacks(account, V6, release("v0.8.1"))
    if parameters:
        put_parameters(account, V6, TARGET, SHARED)
    return account


def paths(account):
    found = account.call("apigateway", "get_resources", restApiId=api_id(account, V6))["items"]
    return {one["path"]: one["id"] for one in found}


def owned(account, service):
    found = account.call("cloudformation", "list_stack_resources", StackName=V6.stack(service))
    return {one["PhysicalResourceId"] for one in found["StackResourceSummaries"]}


def test_user_data_is_owned_by_basic_ops_before_and_refused_to_amplify_lambda(aws, run):
    account = old_deployment(aws)
    assert paths(account)["/user-data"] in owned(account, "lambda-basic-ops")
    code, text = run("amplify-lambda:deploy", "--stage", "dev")
    assert code == 1
    reason = "Another resource with the same parent already has this name: user-data"
    assert f"CREATE_FAILED: ApiGatewayResourceUserDashdata - {reason}" in text
    assert status_of(account, V6.stack("lambda")) == "UPDATE_ROLLBACK_COMPLETE"
    tables = account.call("dynamodb", "list_tables")["TableNames"]
    assert "amplify-v6-lambda-dev-user-data-storage" not in tables
    assert "amplify-v6-lambda-dev-assistants" in tables  # what the new template lacks went only if it had succeeded


def test_once_freed_the_path_is_amplify_lambdas_with_table_and_bucket(aws, run):
    account = old_deployment(aws)
    account.call("cloudformation", "delete_stack", StackName=V6.stack("lambda-basic-ops"))
    assert "/user-data" not in paths(account)
    assert run("amplify-lambda:deploy", "--stage", "dev")[0] == 0
    assert paths(account)["/user-data"] in owned(account, "lambda")
    tables = account.call("dynamodb", "list_tables")["TableNames"]
    assert {"amplify-v6-lambda-dev-user-data-storage", "amplify-v6-lambda-dev-env-vars-tracking"} <= set(tables)
    assert "amplify-v6-lambda-basic-ops-dev-user-storage" not in tables
    versioning = account.call("s3", "get_bucket_versioning", Bucket="amplify-v6-lambda-dev-consolidation")
    assert versioning["Status"] == "Enabled"
    recovery = account.call(
        "dynamodb", "describe_continuous_backups", TableName="amplify-v6-lambda-dev-user-data-storage"
    )
    description = recovery["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert description["PointInTimeRecoveryStatus"] == "ENABLED"
    code, text = run("amplify-lambda:deploy", "--stage", "dev")
    assert (code, "No changes to deploy" in text) == (0, True)


def test_a_parameter_that_is_missing_is_named_before_anything_is_deployed(aws, run):
    account = old_deployment(aws, parameters=False)
    code, text = run("amplify-object-access:deploy", "--stage", "dev")
    assert code == 1
    assert "Cannot resolve variable at" in text
    assert "Parameter not found" in text
    assert status_of(account, V6.stack("object-access")) == "CREATE_COMPLETE"


def test_deploying_object_access_drops_the_sync_rule_and_gives_its_role_parameter_store(aws, run):
    account = old_deployment(aws)
    assert [rule["State"] for rule in account.call("events", "list_rules")["Rules"]] == ["ENABLED"]
    assert run("amplify-object-access:deploy", "--stage", "dev")[0] == 0
    assert account.call("events", "list_rules")["Rules"] == []
    role = "amplify-v6-object-access-dev-us-east-1-lambdaRole"
    policy = account.call("iam", "get_role_policy", RoleName=role, PolicyName="lambda")["PolicyDocument"]
    assert "ssm:GetParametersByPath" in str(policy)


def test_every_service_of_the_checkout_deploys(aws, run, checkout):
    account = old_deployment(aws)
    account.call("cloudformation", "delete_stack", StackName=V6.stack("lambda-basic-ops"))
    for directory, _ in SERVICES.values():
        code, text = run("deploy", "--stage", "dev", cwd=checkout / directory)
        assert code == 0, text
    assert {status_of(account, V6.stack(service)) for service in SERVICES} == {"UPDATE_COMPLETE"}


def test_remove_takes_the_stack_and_sticks_at_a_bucket_with_objects(aws, run, tmp_path):
    account = old_deployment(aws)
    old = write_checkout(tmp_path / "old", V6, release("v0.8.1"), SHARED)
    place = old / "amplify-lambda-basic-ops"
    bucket = {"Bucket": "amplify-v6-lambda-basic-ops-dev-dynamic-code"}
    account.call("s3", "put_object", **bucket, Key="x.py", Body=b"1")
    code, text = run("remove", "--stage", "dev", cwd=place)
    assert (code, "DELETE_FAILED" in text and "not empty" in text) == (1, True)
    account.call("s3", "delete_object", **bucket, Key="x.py")
    assert run("remove", "--stage", "dev", cwd=place)[0] == 0
    assert status_of(account, V6.stack("lambda-basic-ops")) is None


def test_a_renamed_table_is_replaced_and_its_rows_are_gone(aws, run, tmp_path):
    account = old_deployment(aws)
    account.call("cloudformation", "delete_stack", StackName=V6.stack("lambda-basic-ops"))
    renaming = write_checkout(tmp_path / "renaming", V6, replace(TARGET, usage="chat-usages"), SHARED)
    assert run("amplify-lambda:deploy", "--stage", "dev", cwd=renaming)[0] == 0
    tables = account.call("dynamodb", "list_tables")["TableNames"]
    assert "amplify-v6-lambda-dev-chat-usages" in tables
    assert "amplify-v6-lambda-dev-chat-usage" not in tables


def test_importers_of_the_api_are_listed(aws):
    account = old_deployment(aws)
    imports = account.call("cloudformation", "list_imports", ExportName="dev-RestApiId")["Imports"]
    assert V6.stack("lambda-basic-ops") in imports


def test_the_compose_file_names_a_directory_that_is_gone(checkout):
    with pytest.raises(BadInput, match="amplify-lambda-optimizer"):
        folders("deploy", checkout)


@pytest.mark.parametrize("command", ["amplify-lambda-basic-ops:remove", "amplify-lambda:destroy", "", "plugin"])
def test_unknown_commands_and_names_are_refused(checkout, command):
    with pytest.raises(BadInput):
        folders(command, checkout)


def test_it_refuses_any_endpoint_but_loopback(checkout):
    command = [sys.executable, "-m", "wizard.sandbox.serverless", "amplify-lambda:deploy"]
    environment = {"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": "https://dynamodb.us-east-1.amazonaws.com"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "sandbox only" in done.stderr


def test_version_needs_no_endpoint():
    done = subprocess.run(
        [sys.executable, "-m", "wizard.sandbox.serverless", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("Framework Core")


def test_variables_resolve_inside_each_other_and_fall_back_to_defaults():
    document = {
        "service": "a-${self:custom.x}",
        "custom": {"x": "${sls:stage}", "y": "${ssm:/p/${self:service}, 'none'}"},
    }
    assert resolve(document, "dev", lambda source, address: None)["custom"]["y"] == "none"
    assert resolve(document, "dev", lambda source, address: address)["custom"]["y"] == "/p/a-dev"
    with pytest.raises(Failed, match="Parameter not found"):
        resolve({"x": "${ssm:/nothing}"}, "dev", lambda source, address: None)


def test_the_checkout_has_the_backends_numbers(checkout):
    files = sorted(checkout.glob("*/serverless.yml"))
    local, references, costs = 0, set(), 0
    for file in files:
        text = file.read_text()
        section = text.split("# Locally Defined Variables")[1].split("# Imported Variables")[0]
        local += len(re.findall(r"^ {4}[A-Z][A-Z0-9_]*:", section, re.MULTILINE))
        found = set(re.findall(r"\$\{ssm:(/amplify/.*?)(?:, '[^']*')?\}$", text, re.MULTILINE))
        references |= found
        costs += any(one.endswith("-lambda/COST_CALCULATIONS_DYNAMO_TABLE") for one in found)
    assert (len(files), local, len(references), costs) == (15, 83, 60, 14)
    shared = yaml.safe_load((checkout / "var" / "dev-var.yml").read_text())
    assert len(shared) == 25 - 3  # three names are made from the stage
    assert all(str(value) for value in shared.values())
    compose = yaml.safe_load((checkout / "serverless-compose.yml").read_text())["services"]
    assert not (checkout / compose["amplify-lambda-optimizer"]["path"]).exists()


def test_the_files_have_the_oddities_of_the_real_ones():
    assert "\n  # Locally Defined Variables\n" in serverless_yml(definition("admin", TARGET))
    assert "-queue   # name, not URL" in serverless_yml(definition("lambda", TARGET))
    assert "!ImportValue ${sls:stage}-RestApiId" in serverless_yml(definition("embedding", TARGET))
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(serverless_yml(definition("embedding", TARGET)))
