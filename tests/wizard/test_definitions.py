"""Step 3 against deployed stacks: what still reads basic-ops, and tables that a deployment would replace."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.checkout_fixture import LAMBDA, section, write_checkout, write_service
from wizard import definitions, storage, table_changes
from wizard.context import Context
from wizard.errors import BadInput

OLD, NEW = "amplify-v6-lambda-dev-chat-usage", "amplify-v6-lambda-dev-chat-usages"
CHAT_USAGE = "AccountingChatUsageDynamoDbTable"


@pytest.fixture
def root(context: Context, tmp_path: Path) -> Path:
    context.root = tmp_path / "backend"
    context.root.mkdir()
    return write_checkout(context.root)


def table(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        },
    }


def deploy(aws: Aws, stack: str = "amplify-v6-lambda-dev", **tables: str) -> None:
    body = {"Resources": {logical_id: table(name) for logical_id, name in tables.items()}}
    aws.client("cloudformation").create_stack(StackName=stack, TemplateBody=json.dumps(body))


def put_row(aws: Aws, name: str) -> None:
    aws.client("dynamodb").put_item(TableName=name, Item={"id": {"S": "1"}})


def rename(root: Path, extra: str = "") -> None:
    """As one release does: another table name under the same logical id."""
    text = LAMBDA.replace("${self:provider.stage}-chat-usage", "${self:provider.stage}-chat-usages")
    policy = f"{CHAT_USAGE}:\n      Type: AWS::DynamoDB::Table\n{extra}"
    write_service(root, "amplify-lambda", text.replace(f"{CHAT_USAGE}:\n      Type: AWS::DynamoDB::Table\n", policy))


def test_nothing_deployed_and_nothing_read_is_fine(context: Context, root: Path) -> None:
    found = definitions.inspect(context)
    assert (found.basic_ops, found.renamed, found.findings) == ((), (), ())
    assert definitions.fact(context).verdict == "ok"


def test_the_same_names_are_fine(context: Context, root: Path, aws: Aws) -> None:
    deploy(aws, **{CHAT_USAGE: OLD, "AccountsTable": "amplify-v6-lambda-dev-accounts"})
    put_row(aws, OLD)
    assert definitions.inspect(context).findings == ()


def test_a_renamed_table_with_rows_blocks_and_the_way_out_is_said(context: Context, root: Path, aws: Aws) -> None:
    rename(root)
    deploy(aws, **{CHAT_USAGE: OLD})
    put_row(aws, OLD)
    found = definitions.inspect(context)
    assert found.blocking == [OLD]
    (finding,) = found.findings
    assert finding.level == "blocked"
    assert finding.place == "amplify-lambda/serverless.yml:49"
    assert OLD in finding.text and NEW in finding.text and CHAT_USAGE in finding.text
    assert (
        "Keep the name" in finding.todo
        and "backup create --on-demand" in finding.todo
        and "Copy its rows" in finding.todo
    )
    fact = definitions.fact(context)
    assert fact.verdict == "blocked"
    assert fact.value == {"root": True, "basic_ops": [], "renamed": [OLD]}


def test_a_renamed_empty_table_is_attention(context: Context, root: Path, aws: Aws) -> None:
    rename(root)
    deploy(aws, **{CHAT_USAGE: OLD})
    found = definitions.inspect(context)
    assert found.blocking == []
    assert [finding.level for finding in found.findings] == ["attention"]


def test_a_fresh_backup_of_the_table_lifts_the_block(
    context: Context, root: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename(root)
    deploy(aws, **{CHAT_USAGE: OLD})
    put_row(aws, OLD)
    arn = aws.client("dynamodb").create_backup(TableName=OLD, BackupName="before-rename")["BackupDetails"]["BackupArn"]
    found = definitions.inspect(context)
    assert found.blocking == []
    assert found.renamed[0].saved == arn
    assert arn in found.findings[0].text
    monkeypatch.setattr(table_changes, "FRESH", timedelta(seconds=-1))  # one of long ago does not: services wrote since
    assert definitions.inspect(context).blocking == [OLD]


def test_a_verified_file_of_the_table_lifts_the_block(context: Context, root: Path, aws: Aws) -> None:
    rename(root)
    deploy(aws, **{CHAT_USAGE: OLD})
    put_row(aws, OLD)
    backup = storage.back_up(context, OLD)
    found = definitions.inspect(context)
    assert (found.blocking, found.renamed[0].saved) == ([], str(backup.path))


def test_a_table_that_is_retained_does_not_block(context: Context, root: Path, aws: Aws) -> None:
    rename(root, "      UpdateReplacePolicy: Retain\n")
    deploy(aws, **{CHAT_USAGE: OLD})
    put_row(aws, OLD)
    found = definitions.inspect(context)
    assert found.blocking == []
    assert "the old one stays" in found.findings[0].text


def test_where_both_names_exist_it_says_so(context: Context, root: Path, aws: Aws) -> None:
    rename(root)
    deploy(aws, **{CHAT_USAGE: OLD})
    deploy(aws, "somebody-elses", Other=NEW)
    put_row(aws, OLD)
    assert f"{NEW} exists already" in definitions.inspect(context).findings[0].text


def test_a_table_name_that_comes_from_parameter_store_is_known_from_the_files(
    context: Context, root: Path, aws: Aws
) -> None:
    text = section(service="other", after="N: ${ssm:/amplify/dev/amplify-v6-lambda/CHAT_USAGE_DYNAMO_TABLE}").replace(
        "provider:",
        "resources: {Resources: {T: {Type: 'AWS::DynamoDB::Table',"
        " Properties: {TableName: '${self:provider.environment.N}'}}}}\nprovider:",
    )
    write_service(root, "other", text)
    deploy(aws, "other-dev", T="kept")
    (one,) = definitions.inspect(context).renamed
    assert (one.deployed, one.table.name) == ("kept", OLD)


def test_a_name_that_cannot_be_told_and_a_table_that_vanishes_are_attention(
    context: Context, root: Path, aws: Aws
) -> None:
    write_service(
        root, "amplify-lambda", LAMBDA.replace("${self:provider.environment.CHAT_USAGE_DYNAMO_TABLE}", "!Sub x")
    )
    legacy, empty = "amplify-v6-lambda-dev-assistants", "amplify-v6-lambda-dev-empty"
    deploy(aws, **{CHAT_USAGE: OLD, "Legacy": legacy, "Empty": empty})
    put_row(aws, legacy)
    found = definitions.inspect(context).findings
    assert {finding.level for finding in found} == {"attention"}
    said = sorted(finding.text for finding in found)
    assert f"The table {legacy} (Legacy) is no longer defined: deploying deletes it with its rows" in said[0]
    assert said[1] == f"The table {empty} (Empty) is no longer defined: deploying deletes it; it is empty."
    assert "cannot be told: its name is computed by CloudFormation" in said[2]


def test_what_cloudformation_would_refuse_is_said_before(context: Context, root: Path, aws: Aws) -> None:
    schema = "[{AttributeName: sort, KeyType: RANGE}, {AttributeName: '${self:custom.depName}', KeyType: HASH}]"
    named = "TableName: ${self:provider.environment.CHAT_USAGE_DYNAMO_TABLE}\n"
    write_service(root, "amplify-lambda", LAMBDA.replace(named, f"{named}        KeySchema: {schema}\n"))
    accounts, moved = "amplify-v6-lambda-dev-accounts", "AccountsBefore"
    deploy(aws, **{CHAT_USAGE: OLD, moved: accounts})
    texts = [finding.text for finding in definitions.inspect(context).findings if "accounts" not in finding.text]
    assert len(texts) == 1 and f"{OLD} has the key id, and v6, sort in the file" in texts[0]
    (taken,) = [one for one in definitions.inspect(context).findings if "exists already" in one.text]
    assert f"{accounts} (AccountsTable) exists already, as {moved} of the same stack" in taken.text
    aws.client("cloudformation").delete_stack(StackName="amplify-v6-lambda-dev")
    deploy(aws, "somebody-elses", Other=accounts)
    (taken,) = definitions.inspect(context).findings
    assert "outside of the stack amplify-v6-lambda-dev" in taken.text


@pytest.mark.parametrize(
    "resources", ["${file(./tables.yml)}", "[{Resources: '${file(./tables.yml)}'}]", "['${file(./tables.yml)}']"]
)
def test_resources_in_other_files_are_not_taken_for_gone(
    context: Context, root: Path, aws: Aws, resources: str
) -> None:
    write_service(root, "split", f"service: split\nresources: {resources}\n")
    deploy(aws, "split-dev", T="table")
    (finding,) = definitions.inspect(context).findings
    assert "not compared" in finding.text


@pytest.mark.parametrize(
    "value",
    [
        "${cf:amplify-${self:service}-basic-ops-dev.UserStorage}",
        "${cf(us-east-1):amplify-v6-lambda-basic-ops-${sls:stage}.X, 'd'}",
        "!ImportValue '${sls:stage}-basic-ops-Table'",
        "{'Fn::ImportValue': basic-ops-Table}",
        "${amplify-lambda-basic-ops.Output}",
    ],
)
def test_what_still_reads_basic_ops_is_named(context: Context, root: Path, value: str) -> None:
    write_service(root, "reader", section(service="reader", after=f"X: {value}"))
    found = definitions.inspect(context)
    assert found.basic_ops == ("reader/serverless.yml:6",)
    assert definitions.fact(context).verdict == "blocked"


def test_a_name_with_basic_ops_in_it_is_no_output_of_it(context: Context, root: Path) -> None:
    write_service(root, "reader", section("OLD_TABLE: amplify-v6-lambda-basic-ops-dev-user-storage", service="reader"))
    write_service(
        root, "amplify-lambda-basic-ops", section(service="amplify-v6-lambda-basic-ops", after="X: ${cf:x-basic-ops.Y}")
    )
    found = definitions.inspect(context)
    assert found.basic_ops == ()
    (finding,) = found.findings  # but the table goes with the stack
    assert (finding.level, finding.place) == ("attention", "reader/serverless.yml:5")
    assert "amplify-v6-lambda-basic-ops-dev-user-storage" in finding.text
    fact = definitions.fact(context)
    assert fact.verdict == "attention" and "1 place is worth a look, which holds nothing up" in fact.found


def test_the_compose_file_is_looked_at_too(context: Context, root: Path) -> None:
    path = root / "serverless-compose.yml"
    path.write_text("services:\n  a:\n    path: ./a\n    params:\n      x: ${amplify-lambda-basic-ops.Table}\n")
    assert definitions.inspect(context).basic_ops == ("serverless-compose.yml:5",)
    path.write_text("services: [")
    assert any("serverless-compose.yml" in finding.text for finding in definitions.inspect(context).findings)


def test_check_never_changes_the_exit_status_and_gives_a_document(context: Context, root: Path, aws: Aws) -> None:
    rename(root)
    deploy(aws, **{CHAT_USAGE: OLD})
    put_row(aws, OLD)
    outcome = definitions.check(context)
    assert outcome.code == 0
    assert "would delete 1 table with rows" in outcome.text
    document = json.loads(json.dumps(outcome.details))
    assert document["renamed"][0]["table"] == OLD and document["renamed"][0]["blocks"] is True


def test_without_a_checkout_the_way_is_said(context: Context) -> None:
    with pytest.raises(BadInput, match="--root"):
        definitions.inspect(context)
