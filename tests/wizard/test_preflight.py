"""Preflight on an embedded AWS: every verdict of every check, and what a missing permission does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard import storage_tables
from tests.wizard.faults import answer, deny
from wizard import machine, preflight, storage
from wizard.cli import build_parser
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.face import Face
from wizard.facts import Fact
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.preflight import CHECKS, gather, run_check
from wizard.users import USER_MAP

BASIC_OPS, LAMBDA = "amplify-v6-lambda-basic-ops-dev", "amplify-v6-lambda-dev"


def look(context: Context, name: str) -> Fact:
    return run_check(next(check for check in CHECKS if check.name == name), context)


def stack(aws: Aws, name: str, export: str = "") -> None:
    resources = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{name}-topic"}}}
    outputs = {"Id": {"Value": "1", "Export": {"Name": export}}} if export else {}
    template = json.dumps({"Resources": resources} | ({"Outputs": outputs} if outputs else {}))
    aws.client("cloudformation").create_stack(StackName=name, TemplateBody=template)


def table(aws: Aws, name: str) -> None:
    storage_tables.create(aws.client("dynamodb"), name)


def rows(aws: Aws, name: str, count: int) -> None:
    table(aws, name)
    for number in range(count):
        aws.client("dynamodb").put_item(TableName=name, Item=storage_tables.row("jane", f"{number:03}"))


def sync_rule(aws: Aws, state: str) -> None:
    events = aws.client("events")
    events.put_rule(Name="sync", ScheduleExpression="rate(5 minutes)", State=state)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:amplify-v6-object-access-dev-sync_cognito_users"
    events.put_targets(Rule="sync", Targets=[{"Id": "1", "Arn": arn}])


def nothing(aws: Aws) -> None:
    pass


def recovery_on(aws: Aws) -> None:
    table(aws, "amplify-v6-lambda-dev-accounts")
    aws.client("dynamodb").update_continuous_backups(
        TableName="amplify-v6-lambda-dev-accounts",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )


@pytest.mark.parametrize(
    ("name", "arrange", "verdict", "value"),
    [
        ("identity", nothing, "ok", {"account": "123456789012", "arn": "arn:aws:sts::123456789012:user/moto"}),
        ("region", nothing, "ok", "us-east-1"),
        ("deployment", nothing, "blocked", 0),
        ("deployment", lambda aws: table(aws, "amplify-v6-lambda-dev-accounts"), "ok", 1),
        # the tables of v6-test are not those of v6
        ("deployment", lambda aws: table(aws, "amplify-v6-test-lambda-dev-accounts"), "blocked", 0),
        ("recovery", lambda aws: table(aws, "amplify-v6-test-lambda-dev-accounts"), "ok", []),
        ("basic_ops_stack", nothing, "ok", "absent"),
        ("basic_ops_stack", lambda aws: stack(aws, BASIC_OPS), "attention", "CREATE_COMPLETE"),
        ("lambda_stack", nothing, "attention", "absent"),
        ("lambda_stack", lambda aws: stack(aws, LAMBDA), "ok", "CREATE_COMPLETE"),
        ("old_user_storage", nothing, "ok", {"exists": False, "rows": 0}),
        ("old_user_storage", lambda aws: rows(aws, storage_tables.OLD, 0), "ok", {"exists": True, "rows": 0}),
        ("old_user_storage", lambda aws: rows(aws, storage_tables.OLD, 3), "attention", {"exists": True, "rows": 3}),
        ("new_user_storage", nothing, "attention", {"exists": False, "rows": 0}),
        ("new_user_storage", lambda aws: rows(aws, storage_tables.NEW, 2), "ok", {"exists": True, "rows": 2}),
        ("basic_ops_tables", nothing, "ok", {"tables": [], "unsaved": []}),
        ("consolidation", nothing, "attention", False),
        (
            "consolidation",
            lambda aws: aws.client("s3").create_bucket(Bucket="amplify-v6-lambda-dev-consolidation"),
            "ok",
            True,
        ),
        ("user_data_owner", nothing, "ok", "nobody"),
        ("sync_job", nothing, "ok", False),
        ("sync_job", lambda aws: sync_rule(aws, "ENABLED"), "attention", True),
        ("sync_job", lambda aws: sync_rule(aws, "DISABLED"), "ok", False),
        ("services", nothing, "attention", {}),
        ("services", lambda aws: stack(aws, "amplify-v6-admin-dev"), "attention", {"admin": "outdated"}),
        (
            "services",
            lambda aws: (table(aws, storage_tables.NEW), stack(aws, "amplify-v6-admin-dev")),
            "ok",
            {"admin": "CREATE_COMPLETE"},
        ),
        ("export_owner", nothing, "ok", ""),
        ("export_owner", lambda aws: stack(aws, LAMBDA, "dev-RestApiId"), "ok", LAMBDA),
        (
            "export_owner",
            lambda aws: stack(aws, "amplify-v7-lambda-dev", "dev-RestApiId"),
            "blocked",
            "amplify-v7-lambda-dev",
        ),
        ("generation", nothing, "ok", ""),
        ("generation", lambda aws: table(aws, "amplify-v6-lambda-dev-accounts"), "ok", "0.8"),
        ("generation", lambda aws: table(aws, storage_tables.NEW), "attention", "2025-10"),
        ("generation", lambda aws: table(aws, "amplify-v6-lambda-dev-poll-status"), "ok", "2026-06"),
        ("recovery", recovery_on, "ok", []),
        (
            "recovery",
            lambda aws: table(aws, "amplify-v6-lambda-dev-accounts"),
            "attention",
            ["amplify-v6-lambda-dev-accounts"],
        ),
        ("overrides", nothing, "ok", {}),
        ("checkout", nothing, "attention", {"root": "", "services": 0}),
        ("parameters", nothing, "ok", {"root": False, "missing": [], "different": [], "total": 0}),
        ("references", nothing, "ok", {"root": False, "unresolved": []}),
        ("definitions", nothing, "ok", {"root": False, "basic_ops": [], "renamed": []}),
        ("backup", nothing, "ok", {}),
        ("import", nothing, "ok", {}),
        ("user_map", nothing, "attention", {}),
        ("verified_services", nothing, "attention", False),
        ("quiet_logs", nothing, "ok", False),
        ("kept", nothing, "ok", False),
        ("waivers", nothing, "ok", []),
        ("sandbox", nothing, "ok", False),
    ],
)
def test_what_a_check_finds(
    aws: Aws, context: Context, name: str, arrange: Callable[[Aws], object], verdict: str, value: Any
) -> None:
    arrange(aws)
    fact = look(context, name)
    assert (fact.verdict, fact.value) == (verdict, value)
    assert fact.found
    assert fact.todo or verdict == "ok"


@pytest.mark.parametrize("check", [check for check in CHECKS if check.permissions], ids=lambda check: check.name)
def test_a_missing_permission_makes_one_check_unknown_and_is_named(
    aws: Aws, context: Context, tmp_path: Path, check: preflight.Check
) -> None:
    rows(aws, storage_tables.OLD, 1)
    storage.back_up(context, storage_tables.OLD)
    table(aws, storage_tables.NEW)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "serverless.yml").write_text(
        "service: amplify-v6-a\nprovider:\n  environment:\n    # Locally Defined Variables\n    X: y\n    # Imported Variables\n"
    )
    context.root = tmp_path
    context.account.identity  # noqa: B018 - known from the start, as on the command line
    if check.name == "identity":
        context.account._identity = None
    for service in {permission.split(":")[0] for permission in check.permissions}:
        deny(context.account, service)
    fact = run_check(check, context)
    assert (fact.verdict, fact.value) == ("unknown", None)
    assert any(permission.split(":")[0] + ":" in fact.found for permission in check.permissions)
    facts = gather(context, [check.name, "names", "checkout"])
    assert not facts.known(check.name)
    assert facts.known("names") and facts.known("checkout")


def test_the_action_is_named_as_aws_names_it(context: Context) -> None:
    deny(context.account, "dynamodb", "ListTables", "User: x is not authorized to perform: dynamodb:ListTables on *")
    assert look(context, "deployment").found == "Not permitted: dynamodb:ListTables is missing."


def test_a_failure_of_the_service_is_unknown_with_its_cause(context: Context) -> None:
    answer(context.account, "cloudformation", "DescribeStacks", "InternalFailure", "try again later", 500)
    fact = look(context, "lambda_stack")
    assert fact.verdict == "unknown"
    assert "try again later" in fact.found


def test_the_simulator_that_cannot_be_asked_is_unknown(context: Context) -> None:
    """The sandbox's IAM answers with a page of HTML; other emulators with an error of their own."""
    fact = look(context, "permissions")
    assert (fact.verdict, fact.value) == ("unknown", None)
    assert fact.found.startswith("This server cannot simulate permissions")
    answer(context.account, "iam", "SimulatePrincipalPolicy", "NotImplemented", "not here", 501)
    assert look(context, "permissions").found == fact.found


def test_what_answers_in_the_place_of_aws_is_never_called_a_real_account(context: Context) -> None:
    assert look(context, "sandbox").found == "no: a real account"
    context.endpoint = "http://127.0.0.1:4566"
    assert look(context, "sandbox").found == "no: http://127.0.0.1:4566 answers in the place of AWS"
    context.other_sandbox = True
    assert "embedded AWS of another process, at http://127.0.0.1:4566" in look(context, "sandbox").found
    assert look(context, "sandbox").value is False


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("UPDATE_IN_PROGRESS", "attention"),
        ("DELETE_FAILED", "blocked"),
        ("ROLLBACK_COMPLETE", "blocked"),
        ("UPDATE_ROLLBACK_COMPLETE", "attention"),
        ("UPDATE_ROLLBACK_FAILED", "blocked"),
    ],
)
def test_stack_states(aws: Aws, context: Context, status: str, verdict: str) -> None:
    stack(aws, LAMBDA)

    def pretend(parsed: dict[str, Any], **_: Any) -> None:
        for found in parsed.get("Stacks", []):
            found["StackStatus"] = status

    context.account.client("cloudformation").meta.events.register("after-call.cloudformation.DescribeStacks", pretend)
    fact = look(context, "lambda_stack")
    assert (fact.verdict, fact.value) == (verdict, status)


def test_another_region_blocks(context: Context) -> None:
    context.deployment = Deployment("v6", "dev", "eu-west-1")
    assert look(context, "region").verdict == "blocked"


def test_names_from_the_environment_are_shown(context: Context) -> None:
    context.deployment = Deployment("v6", "dev", "us-east-1", {"S3_CONSOLIDATION_BUCKET_NAME": "mine"})
    assert look(context, "overrides").verdict == "attention"
    assert look(context, "names").value["consolidation"] == "mine"


def test_a_bucket_of_somebody_else_is_unknown(context: Context) -> None:
    answer(context.account, "s3", "HeadBucket", "403", "Forbidden", 403)
    assert look(context, "consolidation").verdict == "unknown"


def test_buckets_that_may_not_be_listed_are_unknown(aws: Aws, context: Context) -> None:
    aws.client("s3").create_bucket(Bucket="amplify-v6-lambda-dev-share")
    assert look(context, "buckets").value["present"] == ["amplify-v6-lambda-dev-share"]
    deny(context.account, "s3", "ListObjectsV2")
    fact = look(context, "buckets")
    assert (fact.verdict, "s3:" in fact.found) == ("unknown", True)


def test_gather_only_what_is_named(context: Context) -> None:
    facts = gather(context, ["identity", "plan"])
    assert [fact.name for fact in facts] == ["identity", "plan"]


def test_the_user_map_is_read_and_checked(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("old_id,new_id\njane.doe@example.edu,doej1\nbob@example.edu,smithb\n")
    context.workspace.remember({USER_MAP: str(path)})
    fact = look(context, "user_map")
    assert fact.verdict == "ok"
    assert (fact.value["rows"], fact.value["scenario"], fact.value["errors"]) == (2, "a", 0)
    path.write_text("old_id,new_id\njane.doe@example.edu,doej1\nbob@example.edu,doej1\n")
    assert look(context, "user_map").verdict == "blocked"
    path.unlink()
    assert look(context, "user_map").verdict == "unknown"


def test_the_import_counts_rows_under_neither_their_own_nor_their_mapped_key(
    aws: Aws, context: Context, tmp_path: Path
) -> None:
    client = aws.client("dynamodb")
    rows(aws, storage_tables.OLD, 3)
    storage.back_up(context, storage_tables.OLD)
    assert look(context, "backup").value["rows"] == 3
    assert look(context, "import").value == {"missing": 3}
    table(aws, storage_tables.NEW)
    assert look(context, "import").value == {"missing": 3}
    client.put_item(TableName=storage_tables.NEW, Item=storage_tables.row("jane", "000"))
    client.put_item(TableName=storage_tables.NEW, Item=storage_tables.row("doej1", "001"))
    assert look(context, "import").value == {"missing": 2}
    path = tmp_path / "map.csv"
    path.write_text("old_id,new_id\njane,doej1\n")
    context.workspace.remember({USER_MAP: str(path)})
    assert look(context, "import").value == {"missing": 1}
    client.put_item(TableName=storage_tables.NEW, Item=storage_tables.row("jane", "002"))
    assert look(context, "import").verdict == "ok"


def change(place: str, state: str, number: int) -> Entry:
    return Entry(
        1, "ACCOUNTS_DYNAMO_TABLE", "item", "copy", place, {"user": {"S": f"old{number}"}}, place,
        {"user": {"S": f"new{number}"}}, state=state, plan=1,
    )  # fmt: skip


def test_the_ledger_tells_plan_safeguard_verification_and_what_is_retained(aws: Aws, context: Context) -> None:
    accounts = "amplify-v6-lambda-dev-accounts"
    table(aws, accounts)
    with Ledger(context.workspace.ledger) as ledger:
        ledger.add_plan({"created": 1.0, "map_digest": "m"})
        ledger.put(change(accounts, "planned", 1))
        ledger.put(change(accounts, "verified", 2))
    names = ["recovery", "plan", "safeguard", "verification", "retained"]
    facts = gather(context, names)
    plan = facts.value("plan")
    assert plan["estimate"]["seconds"] is None  # nothing was measured yet
    assert {**plan, "estimate": 0} == {
        "id": 1, "changes": 1, "fresh": True, "counts": {"planned": 1, "verified": 1}, "undone": False,
        "made": 0, "estimate": 0, "still_to_put_back": 0, "still_to_remove": 0, "not_in_map": 0, "unknown_references": 0,
    }  # fmt: skip
    assert facts.value("safeguard") == {"waived": False, "missing": [accounts]}
    assert facts.value("verification") == {"clean": False}
    assert facts.value("retained") == 1
    arguments = build_parser().parse_args(["backup", "waive", accounts])
    assert arguments.run(arguments, context).code == 0
    with Ledger(context.workspace.ledger) as ledger:
        ledger.add_run("6d", 1.0, 0, "", {})
    facts = gather(context, names)
    assert facts.value("safeguard") == {"waived": True, "missing": [accounts]}
    assert facts.value("verification") == {"clean": True}
    with Ledger(context.workspace.ledger) as ledger:
        for step, started, fresh in (("rollback", 9.0, False), ("6b", 5.0, True)):  # the clock was set back meanwhile
            ledger.begin_run(step, started)  # as after a kill
            facts = gather(context, ["plan", "verification"])
            assert (facts.value("plan")["fresh"], facts.value("plan")["undone"]) == (fresh, not fresh)
            assert facts.value("verification") == {"clean": False}
        ledger.add_plan({"created": 9.0, "map_digest": "m", "catalog_digest": "of an older version"})
        assert gather(context, ["plan"]).by_name["plan"].todo.startswith("This version of the program knows the tables")
        for made, todo in (("rolled back", "It was rolled back"), ("applied", "A rollback of it began: undo the rest")):
            ledger.put(replace(change(accounts, made, 3), intent=True))
            ledger.begin_run("rollback", 9.0)
            assert gather(context, ["plan"]).by_name["plan"].todo.startswith(todo)
    deny(context.account, "dynamodb", "DescribeContinuousBackups")
    assert not gather(context, names).known("safeguard")


def test_a_ledger_that_cannot_be_read_is_unknown(context: Context) -> None:
    context.workspace.ledger.write_text("not a database, but a file of some length")
    facts = gather(context, ["plan", "retained"])
    assert not facts.known("plan") and not facts.known("retained")


@pytest.mark.parametrize(
    ("platform", "environment", "which", "verdict", "shown"),
    [
        ("linux", {"TERM": "xterm-256color"}, "textual", "ok", "screens"),
        ("darwin", {"TERM": "xterm"}, "plain", "ok", "plain prompts"),
        ("linux", {}, "none", "ok", "no questions"),
        ("linux", {"TERM": "xterm", "SSH_CONNECTION": "a"}, "textual", "attention", "over ssh"),
        ("linux", {"TERM": "screen", "SSH_CONNECTION": "a", "TMUX": "b"}, "textual", "ok", "screens"),
        ("win32", {"TERM": "xterm"}, "textual", "blocked", "screens"),
    ],
)
def test_systems_and_terminals(
    platform: str, environment: dict[str, str], which: Face, verdict: str, shown: str
) -> None:
    fact = machine.system_fact(platform, environment, which)
    assert fact.verdict == verdict
    assert shown in fact.found


@pytest.mark.parametrize(
    ("verified", "ok", "applied", "quiet"),
    [
        ("2026-03-03T12:00:00+00:00", True, "2026-03-02T11:00:00+00:00", True),
        ("2026-03-03T12:00:00+00:00", False, "2026-03-02T11:00:00+00:00", False),
        ("2026-03-03T12:00:00+00:00", True, "2026-03-03T11:00:00+00:00", False),
        ("2026-03-01T18:00:00+00:00", True, "", False),
    ],
)
def test_logs_are_quiet_a_day_after_the_last_deployment_and_apply(
    context: Context, verified: str, ok: bool, applied: str, quiet: bool
) -> None:
    changed = {"a": {"digest": "", "changed": "2026-03-01 12:00:00+00:00"}}
    context.workspace.remember({"deployed": changed, "services_verified": {"ok": ok, "time": verified}})
    if applied:
        with Ledger(context.workspace.ledger) as ledger:
            ledger.add_run("6c", 0.0, 0, "", {})
            ledger._db.execute("UPDATE runs SET ended = ?", (datetime.fromisoformat(applied).timestamp(),))
    assert look(context, "quiet_logs").value is quiet


def test_checkout_var_file_and_command(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context.root, before = tmp_path / "new", tmp_path / "before" / "amplify-lambda-basic-ops"
    context.root.mkdir()
    before.mkdir(parents=True)
    (before / "serverless.yml").write_text("service: amplify-v6-lambda-basic-ops\n")
    assert look(context, "checkout").value["old"] == str(tmp_path / "before")  # for `endpoint free --how serverless`
    context.root = tmp_path
    assert look(context, "checkout").verdict == "attention"
    assert look(context, "var_file").verdict == "attention"
    (tmp_path / "amplify-lambda").mkdir()
    (tmp_path / "amplify-lambda" / "serverless.yml").write_text("service: amplify-v6-lambda\n")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "dev-var.yml").write_text("DEP_NAME: v6\n")
    assert look(context, "checkout").value == {"root": str(tmp_path), "services": 1}
    assert look(context, "checkout").verdict == "ok"
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "config.py").write_text('DEP_NAME = "v7"\nSTAGE = "dev"\n')
    fact = look(context, "checkout")
    assert (fact.verdict, "DEP_NAME v7" in fact.found, "STAGE" in fact.found) == ("attention", True, False)
    assert look(context, "var_file").value == str(tmp_path / "var" / "dev-var.yml")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert look(context, "serverless").verdict == "attention"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "serverless").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "serverless").chmod(0o755)
    assert look(context, "serverless").value == [str(tmp_path / "bin" / "serverless")]


def test_user_ids_tell_which_scenario_to_expect(aws: Aws, context: Context) -> None:
    users = "amplify-v6-object-access-dev-cognito-users"
    assert gather(context, ["user_ids"]).value("user_ids") == {"ids": 0, "emails": 0}
    aws.client("dynamodb").create_table(
        TableName=users, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "user_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "user_id", "AttributeType": "S"}],
    )  # fmt: skip
    for name in ("ada@example.edu", "ben@example.edu", "okorobe"):
        aws.client("dynamodb").put_item(TableName=users, Item={"user_id": {"S": name}})
    found = gather(context, ["user_ids"]).by_name["user_ids"]
    assert found.value == {"ids": 3, "emails": 2} and "scenario A" in found.found


def test_the_time_of_the_last_deployment_is_read_from_the_stack(aws: Aws, context: Context) -> None:
    assert gather(context, ["lambda_deployment"]).value("lambda_deployment") is None
    stack(aws, LAMBDA)
    took = gather(context, ["lambda_deployment"]).value("lambda_deployment")
    assert took is not None and 0 <= took < 60


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({}, "not since the last deployment"),
        ({"ok": True, "time": "2026-11-27T19:30:00+00:00"}, "nothing wrong on 2026-11-27 19:30 UTC"),
        ({"ok": False, "time": "2026-11-27T19:30:00+00:00"}, "something wrong on 2026-11-27 19:30 UTC"),
    ],
)
def test_a_verification_of_the_services_that_found_something_is_told_as_one(
    context: Context, known: dict[str, Any], told: str
) -> None:
    context.workspace.remember({"services_verified": known})
    fact = look(context, "verified_services")
    assert (fact.found, fact.value) == (told, bool(known.get("ok")))
