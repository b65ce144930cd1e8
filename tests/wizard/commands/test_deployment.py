"""`deployment`: names, their sources and what exists."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.test_users import table
from wizard.commands import deployment
from wizard.context import Context
from wizard.deployment import Deployment, discover
from wizard.inventory import known_resources, own_names, table_names, unknown_names
from wizard.journey import Outcome


def call(context: Context) -> Outcome:
    parser = argparse.ArgumentParser()
    deployment.add(parser.add_subparsers(), argparse.ArgumentParser(add_help=False))
    arguments = parser.parse_args(["deployment"])
    outcome: Outcome = arguments.run(arguments, context)
    json.dumps(outcome.details)
    return outcome


def named(outcome: Outcome, name: str) -> dict[str, Any]:
    return next(resource for resource in outcome.details["resources"] if resource["name"] == name)


def test_each_name_has_its_source_and_whether_it_exists(aws: Aws, context: Context) -> None:
    table(aws, "amplify-v6-object-access-dev-cognito-users", "user_id")
    table(aws, "amplify-v6-lambda-dev-chat-usage", "id")
    table(aws, "accounts-of-our-own", "user")
    aws.client("s3").create_bucket(Bucket="amplify-v6-lambda-dev-share")
    context.deployment = dataclasses.replace(
        context.deployment, overrides={"ACCOUNTS_DYNAMO_TABLE": "accounts-of-our-own"}
    )
    outcome = call(context)
    users = named(outcome, "amplify-v6-object-access-dev-cognito-users")
    assert (users["kind"], users["source"], users["exists"]) == ("table", "generated", True)
    assert users["config_key"] == "COGNITO_USERS_DYNAMODB_TABLE"
    assert named(outcome, "accounts-of-our-own")["source"] == "environment"
    usage = named(outcome, "amplify-v6-lambda-dev-chat-usage")
    assert (usage["source"], usage["exists"]) == ("discovered", True)
    assert named(outcome, "amplify-v6-lambda-dev-chat-usages")["exists"] is False
    assert named(outcome, "amplify-v6-lambda-dev-share")["exists"] is True
    assert named(outcome, "amplify-v6-lambda-dev-consolidation")["exists"] is False
    assert "exists     discovered   amplify-v6-lambda-dev-chat-usage" in outcome.text
    assert outcome.code == 0


def test_what_the_catalog_does_not_know_and_other_deployments_are_named(aws: Aws, context: Context) -> None:
    table(aws, "amplify-v6-lambda-dev-something-new", "id")
    table(aws, "amplify-v6-lambda-prod-something-new", "id")
    table(aws, "amplify-v7-object-access-prod-cognito-users", "user_id")
    aws.client("s3").create_bucket(Bucket="amplify-v6-lambda-dev-odd-bucket")
    outcome = call(context)
    assert outcome.details["unknown_tables"] == ["amplify-v6-lambda-dev-something-new"]
    assert outcome.details["unknown_buckets"] == ["amplify-v6-lambda-dev-odd-bucket"]
    assert outcome.details["deployments"] == [{"dep_name": "v7", "stage": "prod", "resources": 1, "this": False}]
    assert "Nothing of v6/dev" in outcome.text
    assert "v7/prod" in outcome.text


def test_every_page_of_tables_is_read(aws: Aws, context: Context) -> None:
    client = aws.client("dynamodb")
    for number in range(105):
        client.create_table(
            TableName=f"other-{number:03}",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    assert len(table_names(context.account)) == 105
    assert context.account.costs.requests["dynamodb.list_tables"] == 2


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_no_name_is_listed_twice(stage: str) -> None:
    here = Deployment("v6", stage, "us-east-1")
    resources = known_resources(here, [], [])
    assert len({(resource.kind, resource.name) for resource in resources}) == len(resources)
    assert unknown_names(here, resources, [resource.name for resource in resources]) == []


def test_deployments_whose_names_begin_alike_are_counted_apart() -> None:
    names = [
        *(f"amplify-v6-{rest}" for rest in ("object-access-dev-cognito-users", "lambda-dev-accounts", "lambda-dev")),
        *(f"amplify-v6-test-{rest}" for rest in ("object-access-dev-cognito-users", "lambda-dev-accounts")),
        "amplify-v6-lambda-prod-accounts",
    ]
    assert discover(names, ["amplify-v6-test-lambda-dev-share"]) == [
        ("v6", "dev", 3), ("v6-test", "dev", 3), ("v6", "prod", 1),
    ]  # fmt: skip
    assert own_names(Deployment("v6", "dev", "us-east-1"), names) == names[:3]
