"""The guide's chapter "Troubleshooting": each of its symptoms is found and explained by preflight or by a step."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Aws
from tests.wizard import storage_tables
from tests.wizard.checkout_fixture import section, write_checkout, write_service
from tests.wizard.faults import deny
from tests.wizard.test_endpoint import Deployed
from tests.wizard.test_preflight import look
from tests.wizard.test_service_logs import write_log
from wizard import parameters
from wizard.commands import services as service_commands
from wizard.context import Context
from wizard.service_health import examine, look_at_roles
from wizard.services import advice
from wizard.users import check_file

Case = Callable[[Aws, Context], tuple[str, str]]


def fact(context: Context, name: str) -> tuple[str, str]:
    found = look(context, name)
    return found.verdict, f"{found.found} {found.todo}"


def other_names_in_the_config(aws: Aws, context: Context) -> tuple[str, str]:
    assert context.root is not None
    (context.root / "scripts" / "config.py").write_text('DEP_NAME = "v7"\nSTAGE = "dev"\n')
    return fact(context, "checkout")


def names_without_resources(aws: Aws, context: Context) -> tuple[str, str]:
    storage_tables.create(aws.client("dynamodb"), "amplify-v9-lambda-prod-accounts")
    return fact(context, "deployment")


def no_permission_for_tables(aws: Aws, context: Context) -> tuple[str, str]:
    deny(context.account, "dynamodb", "ListTables")
    return fact(context, "deployment")


def no_permission_for_buckets(aws: Aws, context: Context) -> tuple[str, str]:
    deny(context.account, "s3")
    return fact(context, "consolidation")


def no_consolidation_bucket(aws: Aws, context: Context) -> tuple[str, str]:
    return fact(context, "consolidation")


def old_table_with_rows_and_no_backup(aws: Aws, context: Context) -> tuple[str, str]:
    Deployed(aws).amplify_lambda()
    Deployed(aws).basic_ops()
    storage_tables.put(aws.client("dynamodb"), storage_tables.OLD, [storage_tables.row("ann", "1")])
    return fact(context, "old_user_storage")


def no_new_table(aws: Aws, context: Context) -> tuple[str, str]:
    return fact(context, "new_user_storage")


def endpoint_of_basic_ops(aws: Aws, context: Context) -> tuple[str, str]:
    Deployed(aws).amplify_lambda()
    Deployed(aws).basic_ops()
    return fact(context, "user_data_owner")


def a_conflict_that_happened(aws: Aws, context: Context) -> tuple[str, str]:
    return "", advice("CREATE_FAILED: Another resource with the same parent already has this name: user-data")


def a_stack_that_never_came_up(aws: Aws, context: Context) -> tuple[str, str]:
    Deployed(aws).amplify_lambda()
    Deployed(aws).orphan()
    resources = {"A": {"Type": "AWS::ApiGateway::Resource", "Properties": {
        "RestApiId": {"Fn::ImportValue": "dev-RestApiId"},
        "ParentId": {"Fn::ImportValue": "dev-RestApiRootResourceId"}, "PathPart": "user-data"}}}  # fmt: skip
    name = context.deployment.stack("lambda-basic-ops")
    aws.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))
    return fact(context, "basic_ops_stack")


def a_parameter_that_is_missing(aws: Aws, context: Context) -> tuple[str, str]:
    parameters.populate(context)
    aws.client("ssm").delete_parameter(Name="/amplify/dev/shared/ADMINS")
    return fact(context, "references")


def a_variable_that_a_function_lacks(aws: Aws, context: Context) -> tuple[str, str]:
    write_log(aws, function(aws), "[ERROR] KeyError: 'ACCOUNTS_DYNAMO_TABLE'")
    health = examine(context)
    text = " ".join(finding.text for finding in health.findings if finding.level == "blocked")
    return str(health.well), f"{health.causes[0].text}; {text}"


def function(aws: Aws) -> str:
    name = "amplify-v6-lambda-dev-router"
    role = aws.client("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    aws.client("lambda").create_function(
        FunctionName=name, Role=role, Code={"ZipFile": b"x"}, Runtime="python3.11", Handler="a.b"
    )
    return name


def a_role_that_may_not_read_parameters(aws: Aws, context: Context) -> tuple[str, str]:
    function(aws)
    functions = aws.client("lambda").list_functions()["Functions"]
    (finding,) = look_at_roles(context, functions)
    return finding.level, finding.text


def an_order_that_cannot_work(aws: Aws, context: Context) -> tuple[str, str]:
    return "", advice("No export named dev-RestApiId found. Rollback requested by user.")


def a_compose_entry_without_directory(aws: Aws, context: Context) -> tuple[str, str]:
    assert context.root is not None
    compose = "services:\n  amplify-lambda: {path: amplify-lambda}\n  gone: {path: ./gone, dependsOn: amplify-lambda}\n"
    (context.root / "serverless-compose.yml").write_text(compose)
    parsed = argparse.Namespace(root=None, names=[])
    return "", service_commands.run_list(parsed, context).text


def a_definition_that_reads_basic_ops(aws: Aws, context: Context) -> tuple[str, str]:
    assert context.root is not None
    write_service(context.root, "x", section(service="x", after="A: ${cf:amplify-v6-lambda-basic-ops-dev.T}"))
    return fact(context, "definitions")


@pytest.mark.parametrize(
    ("case", "verdict", "words"),
    [
        (other_names_in_the_config, "attention", ["DEP_NAME v7"]),
        (names_without_resources, "blocked", ["v9/prod", "--dep-name"]),
        (no_permission_for_tables, "unknown", ["dynamodb:ListTables", "preflight --policy"]),
        (no_permission_for_buckets, "unknown", ["s3:"]),
        (no_consolidation_bucket, "attention", ["amplify-v6-lambda-dev-consolidation", "4c"]),
        (old_table_with_rows_and_no_backup, "attention", ["1 row", "4a"]),
        (no_new_table, "attention", ["amplify-v6-lambda-dev-user-data-storage", "4c"]),
        (endpoint_of_basic_ops, "attention", ["basic-ops", "4b"]),
        (a_conflict_that_happened, "", ["/user-data", "step 4b"]),
        (a_stack_that_never_came_up, "blocked", ["ROLLBACK_COMPLETE", "4b"]),
        (a_parameter_that_is_missing, "blocked", ["/amplify/dev/shared/ADMINS", "amplify-lambda/serverless.yml:", "Step 1"]),
        (a_variable_that_a_function_lacks, "False", ["ACCOUNTS_DYNAMO_TABLE is missing", "lacks variables of amplify-lambda"]),
        (a_role_that_may_not_read_parameters, "attention", ["ssm:GetParameter, ssm:GetParameters, ssm:GetParametersByPath"]),
        (an_order_that_cannot_work, "", ["amplify-lambda first"]),
        (a_compose_entry_without_directory, "", ["missing: gone (./gone)", "1. amplify-lambda"]),
        (a_definition_that_reads_basic_ops, "blocked", ["1 place still read"]),
    ],
)  # fmt: skip
def test_symptoms(aws: Aws, context: Context, tmp_path: Path, case: Case, verdict: str, words: list[str]) -> None:
    context.root = write_checkout(tmp_path / "checkout")
    found, text = case(aws, context)
    assert (found, [word for word in words if word not in text]) == (verdict, []), text


def test_csv_problems_name_line_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "migration_users.csv"
    path.write_text("old_id,new_id\nann@example.edu,ann1\nbob@example.edu,ann1\n")
    _, complaints = check_file(path)
    assert any(one.level == "error" and one.line == 3 and "ann1" in one.text for one in complaints)
