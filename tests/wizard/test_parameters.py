"""Steps 1 and 2 against an embedded Parameter Store: plan, closure, populate, verify and restore."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Aws
from tests.wizard.checkout_fixture import LAMBDA, section, write_checkout, write_service
from wizard import parameters
from wizard.checkout import read_checkout
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.errors import BadInput, Blocked, Interrupted
from wizard.events import Feed, Finding, Progress
from wizard.parameter_plan import Row, Wanted, compare, looks_secret, readers, refusal, wanted

SHARED = {
    "LLM_ENDPOINTS_SECRETS_NAME": "dev-openai-endpoints",
    "SECRETS_ARN_NAME": "dev-amplify-app-secrets",
    "APP_ARN_NAME": "dev-amplify-app-vars",
    "DEP_NAME": "v6",
    "ADMINS": "ann@example.edu,bob@example.edu",
    "CHANGE_SET_BOOLEAN": "false",
    "DEP_REGION": "us-east-1",
    "MIN_ACU": "0.5",
    "AGENT_ENDPOINT": "none",
}
LAMBDA_PATH = "/amplify/dev/amplify-v6-lambda"


@pytest.fixture
def ready(context: Context, tmp_path: Path) -> Context:
    """A run beside the miniature checkout; its findings are kept in `context.found`."""
    context.root = tmp_path / "backend"
    context.root.mkdir()
    write_checkout(context.root)
    return context


def listening(context: Context) -> list[Any]:
    events: list[Any] = []
    context.feed = Feed(events.append)
    return events


def stored(aws: Aws) -> dict[str, str]:
    client = aws.client("ssm")
    pages = client.get_paginator("get_parameters_by_path").paginate(
        Path="/amplify", Recursive=True, WithDecryption=True
    )
    return {entry["Name"]: entry["Value"] for page in pages for entry in page["Parameters"]}


def put(aws: Aws, name: str, value: str, kind: str = "String", **more: Any) -> None:
    aws.client("ssm").put_parameter(Name=name, Value=value, Type=kind, **more)


def actions(outcome: Any) -> dict[str, str]:
    return {entry["name"]: entry["action"] for entry in outcome.details["parameters"]}


def calls(context: Context) -> dict[str, int]:
    return {name: count for name, count in context.account.costs.requests.items() if name.startswith("ssm.")}


def inject(context: Context, operation: str, answer: Callable[[Any], AWSResponse | None]) -> None:
    """Answer requests below the client, so that its own retries run."""
    context.account.client("ssm").meta.events.register(
        f"before-send.ssm.{operation}", lambda request, **_: answer(request)
    )


def refused(code: str, message: str = "injected") -> AWSResponse:
    body = json.dumps({"__type": code, "message": message}).encode()

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Any:
            yield body

    return AWSResponse("https://example.edu", 400, {"x-amzn-errortype": code}, Raw())


def test_populate_stores_exactly_what_the_files_define(ready: Context, aws: Aws) -> None:
    outcome = parameters.populate(ready)
    assert outcome.code == 0
    found = stored(aws)
    assert {path.rpartition("/")[2]: value for path, value in found.items() if "/shared/" in path} == SHARED
    assert found[f"{LAMBDA_PATH}/QUOTED"] == "it's # quoted"
    assert found["/amplify/dev/amplify-v6-embedding/RAG_POSTGRES_DB_CLUSTER"] == "dev-amplify-v6-embedding-rag-cluster"
    assert len(found) == 9 + 9 + 2 + 1 + 1 + 1 + 1  # shared, lambda, js, admin, agent-loop, embedding, the alias
    assert "✓ amplify-v6-lambda: 9/9 parameters" in outcome.text
    assert "NOT_SHARED_BY_ANYBODY" not in str(found)


def test_a_parameter_whose_request_the_network_makes_two_of_is_stored_and_no_failure(ready: Context, aws: Aws) -> None:
    def twice(request: Any) -> None:
        URLLib3Session().send(request)

    inject(ready, "PutParameter", twice)
    outcome = parameters.populate(ready)
    assert (outcome.code, outcome.details["failed"]) == (0, [])
    assert f"{LAMBDA_PATH}/QUOTED" in stored(aws)


def test_the_template_defines_and_needs_nothing(ready: Context, aws: Aws) -> None:
    parameters.populate(ready)
    assert not any("example-service" in path for path in stored(aws))


def test_a_reference_under_another_service_gets_an_alias(ready: Context, aws: Aws) -> None:
    parameters.populate(ready)
    assert stored(aws)[f"{LAMBDA_PATH}/COST_CALCULATIONS_DYNAMO_TABLE"] == "amplify-v6-lambda-dev-cost-calculations"


def test_an_alias_is_not_guessed_between_two_values_nor_made_for_a_default(ready: Context, aws: Aws) -> None:
    root = parameters.checkout_root(ready)
    write_service(root, "one", section("SAME: 1", service="one", after="X: ${ssm:/amplify/dev/amplify-v6-admin/SAME}"))
    write_service(root, "two", section("SAME: 2", "LONE: x", service="two"))
    write_service(root, "three", section(service="three", after="Y: ${ssm:/amplify/dev/one/LONE, 'd'}"))
    outcome = parameters.populate(ready)
    assert outcome.code == 3
    (missing,) = outcome.details["unresolved"]
    assert missing["place"] == "one/serverless.yml:7"
    assert "one, two define it with different values" in missing["reason"]
    assert "/amplify/dev/one/LONE" not in actions(outcome)
    assert stored(aws) == {}


def test_an_alias_that_somebody_stored_otherwise_is_left(ready: Context, aws: Aws) -> None:
    put(aws, f"{LAMBDA_PATH}/COST_CALCULATIONS_DYNAMO_TABLE", "my-own-table")
    outcome = parameters.populate(ready)
    assert outcome.code == 0
    assert actions(outcome)[f"{LAMBDA_PATH}/COST_CALCULATIONS_DYNAMO_TABLE"] == "kept"
    assert stored(aws)[f"{LAMBDA_PATH}/COST_CALCULATIONS_DYNAMO_TABLE"] == "my-own-table"


def test_the_next_release_gets_its_shared_parameters_where_it_reads_them(ready: Context, aws: Aws) -> None:
    root = parameters.checkout_root(ready) / "next"
    root.mkdir()
    write_checkout(root, next_release=True)
    assert parameters.populate(ready, root).code == 0
    found = {path: value for path, value in stored(aws).items() if path.count("/") == 3 or "/shared/" in path}
    assert found["/amplify/dev/LOG_LEVEL"] == "INFO"
    assert (
        found["/amplify/dev/OAUTH_ENCRYPTION_PARAMETER"]
        == "/amplify-v6-assistants-api/dev/oauth/integrations/encryption"
    )
    assert not any("/shared/" in path for path in found)


def test_a_name_that_only_the_references_know_is_taken_from_the_var_file(ready: Context, aws: Aws) -> None:
    write_service(
        parameters.checkout_root(ready),
        "extra",
        section(service="extra", after="X: ${ssm:/amplify/dev/NOT_SHARED_BY_ANYBODY}"),
    )
    assert parameters.populate(ready).code == 0
    assert stored(aws)["/amplify/dev/NOT_SHARED_BY_ANYBODY"] == "x"


def test_a_name_that_is_read_at_both_places_is_stored_at_both(ready: Context, aws: Aws) -> None:
    write_service(
        parameters.checkout_root(ready), "newer", section(service="newer", after="X: ${ssm:/amplify/dev/ADMINS}")
    )
    assert parameters.populate(ready).code == 0
    found = stored(aws)
    assert found["/amplify/dev/ADMINS"] == found["/amplify/dev/shared/ADMINS"] == SHARED["ADMINS"]
    assert "/amplify/dev/DEP_NAME" not in found


def test_dry_run_shows_old_and_new_and_writes_nothing(ready: Context, aws: Aws) -> None:
    put(aws, f"{LAMBDA_PATH}/PORT", "1")
    put(aws, f"{LAMBDA_PATH}/HASH_IN_VALUE", "a#b")
    ready.account.read_only = True
    outcome = parameters.populate(ready, dry_run=True)
    assert outcome.code == 0
    assert actions(outcome)[f"{LAMBDA_PATH}/PORT"] == "update"
    assert actions(outcome)[f"{LAMBDA_PATH}/HASH_IN_VALUE"] == "unchanged"
    assert actions(outcome)[f"{LAMBDA_PATH}/FLAG"] == "create"
    assert actions(outcome)["/amplify/dev/shared/VPC_ID"] == "cannot"
    assert actions(outcome)["/amplify/dev/amplify-v6-admin/CRITICAL_ERRORS_SNS_TOPIC_ARN"] == "skipped"
    assert "1 → 5432" in outcome.text
    assert len(stored(aws)) == 2


def test_a_second_run_writes_nothing_and_reads_ten_at_a_time(ready: Context) -> None:
    parameters.populate(ready)
    before = calls(ready)
    outcome = parameters.populate(ready)
    after = calls(ready)
    assert outcome.code == 0 and outcome.details["written"] == 0
    assert after["ssm.put_parameter"] == before["ssm.put_parameter"] == 24
    assert after["ssm.get_parameters"] - before["ssm.get_parameters"] == 3  # 27 paths


def test_only_what_differs_is_written_and_what_is_overwritten_is_labelled(ready: Context, aws: Aws) -> None:
    put(aws, f"{LAMBDA_PATH}/PORT", "1", Description="by hand")
    parameters.populate(ready)
    history = aws.client("ssm").get_parameter_history(Name=f"{LAMBDA_PATH}/PORT")["Parameters"]
    assert [(one["Value"], one["Labels"]) for one in history] == [("1", ["pre-migration-1"]), ("5432", [])]
    untouched = aws.client("ssm").get_parameter_history(Name=f"{LAMBDA_PATH}/FLAG")["Parameters"]
    assert [one["Version"] for one in untouched] == [1]


def test_restore_puts_back_what_was_there_and_lists_what_was_created(ready: Context, aws: Aws) -> None:
    put(aws, f"{LAMBDA_PATH}/PORT", "1", Description="by hand")
    put(aws, "/amplify/dev/other/NOT_OURS", "x")
    parameters.populate(ready)
    var = parameters.checkout_root(ready) / "amplify-lambda" / "serverless.yml"
    var.write_text(LAMBDA.replace("PORT: 5432", "PORT: 5433"))
    parameters.populate(ready)  # our own value is replaced without another label
    dry = parameters.restore(ready, dry_run=True)
    assert dry.details["restored"] == [f"{LAMBDA_PATH}/PORT"]
    assert stored(aws)[f"{LAMBDA_PATH}/PORT"] == "5433"
    outcome = parameters.restore(ready)
    assert outcome.code == 0
    assert outcome.details["restored"] == [f"{LAMBDA_PATH}/PORT"]
    assert f"{LAMBDA_PATH}/FLAG" in outcome.details["created"]
    assert stored(aws)[f"{LAMBDA_PATH}/PORT"] == "1"
    history = aws.client("ssm").get_parameter_history(Name=f"{LAMBDA_PATH}/PORT")["Parameters"]
    assert [one["Labels"] for one in history] == [[], [], [], []]
    assert history[-1]["Description"] == "by hand"
    assert parameters.restore(ready).details["restored"] == []


def test_restore_after_a_hand_changed_it_in_between_gives_that_change_back(ready: Context, aws: Aws) -> None:
    put(aws, f"{LAMBDA_PATH}/PORT", "1")
    parameters.populate(ready)
    put(aws, f"{LAMBDA_PATH}/PORT", "by hand", Overwrite=True, Description="mine")
    parameters.populate(ready)
    parameters.restore(ready)
    assert stored(aws)[f"{LAMBDA_PATH}/PORT"] == "by hand"


def test_ten_labels_on_a_version_fail_that_parameter_alone(ready: Context, aws: Aws) -> None:
    put(aws, f"{LAMBDA_PATH}/PORT", "1")
    labels = [f"label-{n}" for n in range(10)]
    aws.client("ssm").label_parameter_version(Name=f"{LAMBDA_PATH}/PORT", ParameterVersion=1, Labels=labels)
    outcome = parameters.populate(ready)
    assert outcome.code == 1
    (failed,) = outcome.details["failed"]
    assert "10 labels" in failed["reason"]
    assert stored(aws)[f"{LAMBDA_PATH}/PORT"] == "1"
    assert stored(aws)[f"{LAMBDA_PATH}/FLAG"] == "true"


def test_a_hundred_versions_with_a_labelled_first_are_explained(ready: Context, aws: Aws) -> None:
    name = f"{LAMBDA_PATH}/PORT"
    client = aws.client("ssm")
    for number in range(100):
        client.put_parameter(Name=name, Value=str(number), Type="String", Overwrite=True)
    client.label_parameter_version(Name=name, ParameterVersion=1, Labels=["keep"])
    (failed,) = parameters.populate(ready).details["failed"]
    assert "100 versions" in failed["reason"]


def test_throttling_slows_down_and_never_fails(ready: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(ready.control, "sleep", pauses.append)
    answered = iter([None] * 5 + [refused("ThrottlingException")] * 2)
    inject(ready, "PutParameter", lambda request: next(answered, None))
    outcome = parameters.populate(ready)
    assert outcome.code == 0 and outcome.details["written"] == 24
    assert pauses[:6] == [0.0] * 6
    assert pauses[6:24] == [pytest.approx(1 / 3)] * 18


def test_killed_in_between_the_next_run_goes_on(ready: Context, aws: Aws) -> None:
    def cancel_after_some(event: Any) -> None:
        if isinstance(event, Progress) and event.done == 7:
            ready.control.cancel()

    ready.feed = Feed(cancel_after_some)
    with pytest.raises(Interrupted):
        parameters.populate(ready)
    assert len(stored(aws)) == 7
    again = Context(ready.deployment, aws.account(), ready.workspace, Feed(lambda event: None), root=ready.root)
    assert parameters.populate(again).details["written"] == 17
    assert parameters.verify(again).code == 0


def test_one_refused_write_stops_nothing_else(ready: Context, aws: Aws) -> None:
    inject(
        ready, "PutParameter",
        lambda request: refused("AccessDeniedException") if b"/shared/ADMINS" in request.body else None,
    )  # fmt: skip
    outcome = parameters.populate(ready)
    assert outcome.code == 1
    assert [one["name"] for one in outcome.details["failed"]] == ["/amplify/dev/shared/ADMINS"]
    assert len(stored(aws)) == 23
    assert "23 parameters written, 1 not" in outcome.text
    assert "0 parameters written, 1 not" in parameters.populate(ready).text


def test_a_parameter_that_appears_meanwhile_is_not_overwritten(ready: Context, aws: Aws) -> None:
    plan = parameters.plan(ready)
    put(aws, f"{LAMBDA_PATH}/PORT", "somebody's")
    (failure,) = parameters.parameter_store.write(ready, plan.changes)
    assert "meanwhile" in failure.reason
    assert stored(aws)[f"{LAMBDA_PATH}/PORT"] == "somebody's"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("''", "empty"),
        ("x" * 4097, "4,096"),
        ("é" * 2049, "4,096"),
        ("'{{x}}'", "{{"),
        ("a-${self:custom.no}", "leads to nothing"),
    ],
)
def test_a_needed_value_that_cannot_be_stored_blocks_everything(
    ready: Context, aws: Aws, value: str, reason: str
) -> None:
    reader = f"X: ${{ssm:{LAMBDA_PATH}2/NEEDED}}"
    write_service(
        parameters.checkout_root(ready), "bad", section(f"NEEDED: {value}", service="amplify-v6-lambda2", after=reader)
    )
    outcome = parameters.populate(ready)
    assert outcome.code == 3
    (missing,) = outcome.details["unresolved"]
    assert (missing["place"], missing["name"]) == ("bad/serverless.yml:7", f"{LAMBDA_PATH}2/NEEDED")
    assert reason in missing["reason"]
    assert "bad/serverless.yml:7" in outcome.text
    assert stored(aws) == {}


def test_a_value_at_the_limit_is_stored_and_one_that_nobody_needs_is_left_out(ready: Context, aws: Aws) -> None:
    write_service(
        parameters.checkout_root(ready), "big", section(f"FULL: {'x' * 4096}", f"MORE: {'x' * 4097}", service="big")
    )
    shown = parameters.populate(ready, dry_run=True).text
    assert "- left out  /amplify/dev/big/MORE" in shown and "left out, 2 skipped. Nothing was written." in shown
    assert "cannot  " not in shown  # which stops the run
    outcome = parameters.populate(ready)
    assert outcome.code == 0
    assert len(stored(aws)["/amplify/dev/big/FULL"]) == 4096
    assert "✓ big: 1/2 parameters (left out: MORE)" in outcome.text


def test_a_needed_value_too_large_blocks_even_over_an_older_one(ready: Context, aws: Aws) -> None:
    put(aws, "/amplify/dev/big/MORE", "old")
    text = section(f"MORE: {'x' * 4097}", service="big", after="X: ${ssm:/amplify/dev/big/MORE}")
    write_service(parameters.checkout_root(ready), "big", text)
    assert parameters.populate(ready).code == 3


def test_an_empty_shared_value_that_is_stored_already_stays(ready: Context, aws: Aws) -> None:
    put(aws, "/amplify/dev/shared/AGENT_ENDPOINT", "https://agent.example.edu")
    put(aws, "/amplify/dev/shared/VPC_ID", "vpc-1")
    outcome = parameters.populate(ready)
    assert outcome.code == 0
    assert actions(outcome)["/amplify/dev/shared/AGENT_ENDPOINT"] == "kept"
    assert stored(aws)["/amplify/dev/shared/AGENT_ENDPOINT"] == "https://agent.example.edu"
    assert stored(aws)["/amplify/dev/shared/VPC_ID"] == "vpc-1"


def test_the_placeholder_is_said(ready: Context) -> None:
    events = listening(ready)
    parameters.populate(ready)
    texts = [f"{event.place}: {event.text}" for event in events if isinstance(event, Finding)]
    assert any("AGENT_ENDPOINT has no value" in text and "`none`" in text for text in texts)
    assert any("must stay" in text for text in texts)
    assert any("ADMINS: It holds user ids" in text for text in texts)


def test_another_dep_name_blocks(ready: Context, aws: Aws) -> None:
    path = parameters.checkout_root(ready) / "var" / "dev-var.yml"
    path.write_text(path.read_text().replace("DEP_NAME: v6", "DEP_NAME: v7"))
    outcome = parameters.populate(ready)
    assert outcome.code == 3 and "--dep-name v7" in outcome.text
    assert stored(aws) == {}


def test_a_shared_name_of_another_deployment_is_said_before_it_is_overwritten(ready: Context, aws: Aws) -> None:
    put(aws, "/amplify/dev/shared/DEP_NAME", "v5")
    findings = parameters.populate(ready, dry_run=True).details["findings"]
    assert any("holds v5: another deployment" in one["text"] for one in findings)


def test_outputs_of_stacks_that_exist_are_resolved(ready: Context, aws: Aws) -> None:
    output = {"AgentRouterFnUrlContainerFatLambdaFunctionUrl": {"Value": "https://fat.example.edu"}}
    body = {"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}, "Outputs": output}
    aws.client("cloudformation").create_stack(StackName="amplify-v6-agent-loop-dev", TemplateBody=json.dumps(body))
    outcome = parameters.populate(ready)
    assert (outcome.code, "does not exist yet" in outcome.text) == (0, False)
    assert stored(aws)["/amplify/dev/amplify-v6-agent-loop/AGENT_FAT_CONTAINER_URL"] == "https://fat.example.edu"


def test_an_output_that_does_not_exist_yet_is_said(ready: Context) -> None:
    more = "X: ${cf:other-dev.Out} ${cf:third-dev.Out, 'fine'}"
    write_service(parameters.checkout_root(ready), "one", section(service="one", after=more))
    findings = {
        one["place"]: one for one in parameters.populate(ready).details["findings"] if "yet: ser" in one["text"]
    }
    assert list(findings) == ["amplify-agent-loop-lambda/serverless.yml:6", "one/serverless.yml:6"]
    own, other = findings.values()
    assert "first deployment of amplify-v6-agent-loop-dev needs a default" in own["todo"]
    assert (other["level"], other["todo"]) == ("attention", "Deploy other-dev before this service.")


def test_secret_looking_names_are_secure_only_if_nothing_reads_them_plainly(ready: Context, aws: Aws) -> None:
    events = listening(ready)
    text = section(
        "DB_PASSWORD: hunter2",
        "CLIENT_SECRET: s3cr3t",
        service="safe",
        after="X: ${ssm:/amplify/dev/safe/CLIENT_SECRET}",
    )
    write_service(parameters.checkout_root(ready), "safe", text)
    dry = parameters.populate(ready, dry_run=True)
    done = parameters.populate(ready)
    types = {
        one["Name"]: one["Type"]
        for one in aws.client("ssm").get_parameters_by_path(Path="/amplify/dev/safe")["Parameters"]
    }
    assert types == {"/amplify/dev/safe/DB_PASSWORD": "SecureString", "/amplify/dev/safe/CLIENT_SECRET": "String"}
    everything = dry.text + done.text + json.dumps([dry.details, done.details]) + repr(events)
    assert "hunter2" not in everything and "s3cr3t" not in everything
    assert any("CLIENT_SECRET looks secret but is a String: safe/serverless.yml:8" in str(event) for event in events)
    assert stored(aws)["/amplify/dev/safe/DB_PASSWORD"] == "hunter2"
    assert parameters.verify(ready).code == 0


def test_a_stored_type_is_never_changed_but_said(ready: Context, aws: Aws) -> None:
    put(aws, "/amplify/dev/safe/DB_PASSWORD", "old")
    write_service(parameters.checkout_root(ready), "safe", section("DB_PASSWORD: new", service="safe"))
    outcome = parameters.populate(ready)
    (entry,) = aws.client("ssm").get_parameters_by_path(Path="/amplify/dev/safe")["Parameters"]
    assert (entry["Type"], entry["Value"]) == ("String", "new")
    assert any("cannot change its type" in one["text"] for one in outcome.details["findings"])


def test_an_overwritten_secure_value_keeps_its_key(ready: Context, aws: Aws) -> None:
    key = aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    put(aws, f"{LAMBDA_PATH}/PORT", "1", "SecureString", KeyId=key)
    assert parameters.populate(ready).code == 0
    (entry,) = aws.client("ssm").describe_parameters(
        ParameterFilters=[{"Key": "Name", "Values": [f"{LAMBDA_PATH}/PORT"]}]
    )["Parameters"]
    assert (entry["Type"], entry["KeyId"]) == ("SecureString", key)
    parameters.restore(ready)
    assert stored(aws)[f"{LAMBDA_PATH}/PORT"] == "1"


def test_a_refusal_that_quotes_a_secret_is_cut_to_its_code(
    ready: Context, aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    write_service(parameters.checkout_root(ready), "safe", section("DB_PASSWORD: hunter2", service="safe"))
    inject(
        ready, "PutParameter",
        lambda request: refused("ValidationException", message="Value 'hunter2'") if b"hunter2" in request.body else None,
    )  # fmt: skip
    outcome = parameters.populate(ready)
    assert outcome.details["failed"] == [{"name": "/amplify/dev/safe/DB_PASSWORD", "reason": "ValidationException"}]
    assert "hunter2" not in outcome.text + caplog.text


@pytest.mark.parametrize(
    ("name", "secret"),
    [("DB_PASSWORD", True), ("OAUTH_CLIENT_SECRET", True), ("OPENAI_API_KEY", True), ("ACCESS_TOKEN", True),
     ("SECRETS_ARN_NAME", False), ("LLM_ENDPOINTS_SECRETS_NAME_ARN", False), ("API_KEYS_DYNAMODB_TABLE", False),
     ("MAX_TOKENS", False), ("OAUTH_ENCRYPTION_PARAMETER", False), ("ADMINS", False)],
)  # fmt: skip
def test_which_names_look_secret(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret


def test_names_that_parameter_store_does_not_take() -> None:
    assert refusal("/amplify/dev/a b/X", "v")
    assert refusal("/" + "/".join("a" * 16), "v")
    assert not refusal("/amplify/dev/a.b-c_d/X", "v")


def test_verify_before_and_after(ready: Context, aws: Aws) -> None:
    before = parameters.verify(ready)
    assert before.code == 1
    assert "amplify-lambda/serverless.yml:31" in {one["place"] for one in before.details["unresolved"]}
    parameters.populate(ready)
    after = parameters.verify(ready)
    assert after.code == 0 and after.details["unresolved"] == []
    guardrail = {"name": "/amplify/dev/shared/BEDROCK_GUARDRAIL_ID", "place": "amplify-lambda/serverless.yml:32"}
    assert {**guardrail, "default": "''"} in after.details["references"]
    assert "7 references to 6 parameters, 1 with a default" in after.text
    aws.client("ssm").delete_parameter(Name="/amplify/dev/shared/ADMINS")
    put(aws, f"{LAMBDA_PATH}/PORT", "1", Overwrite=True)
    broken = parameters.verify(ready)
    assert broken.code == 1
    assert [one["name"] for one in broken.details["unresolved"]] == ["/amplify/dev/shared/ADMINS"]
    assert actions(broken)[f"{LAMBDA_PATH}/PORT"] == "update"


def test_every_unresolved_reference_is_named_with_file_and_line(ready: Context) -> None:
    text = section(
        service="broken",
        after="A: ${ssm:/amplify/dev/shared/UNKNOWN} ${ssm:/amplify/dev/nobody/X} ${ssm:/elsewhere/Y}"
        " ${ssm:/${self:custom.no}/Z} ${ssm:/with, 'default'} ${ssm:/no, ${ssm:/nor}}",
    )
    write_service(parameters.checkout_root(ready), "broken", text)
    outcome = parameters.populate(ready)
    reasons = {one["name"]: one["reason"] for one in outcome.details["unresolved"]}
    assert {one["place"] for one in outcome.details["unresolved"]} == {"broken/serverless.yml:6"}
    assert set(reasons) == {
        "/amplify/dev/shared/UNKNOWN", "/amplify/dev/nobody/X", "/elsewhere/Y", "ssm:/${self:custom.no}/Z", "/nor",
    }  # fmt: skip
    assert "var/dev-var.yml" in reasons["/amplify/dev/shared/UNKNOWN"]
    assert "no service of this checkout is called nobody" in reasons["/amplify/dev/nobody/X"]
    assert "none of this deployment's paths" in reasons["/elsewhere/Y"]


def test_the_account_is_an_answer(ready: Context, aws: Aws) -> None:
    write_service(parameters.checkout_root(ready), "a", section("TOPIC: x-${aws:accountId}", service="a"))
    parameters.populate(ready)
    assert stored(aws)["/amplify/dev/a/TOPIC"] == "x-123456789012"


def test_the_first_alternative_that_exists_is_enough(ready: Context, aws: Aws) -> None:
    put(aws, "/first", "x")
    write_service(parameters.checkout_root(ready), "a", section(service="a", after="A: ${ssm:/first, ${ssm:/second}}"))
    assert parameters.populate(ready).code == 0


def test_state_for_preflight(ready: Context, aws: Aws) -> None:
    put(aws, f"{LAMBDA_PATH}/PORT", "1")
    found = parameters.state(ready)
    assert (found.total, len(found.missing), found.different) == (24, 23, (f"{LAMBDA_PATH}/PORT",))
    assert "amplify-lambda-js/serverless.yml:10: /amplify/dev/shared/AGENT_ENDPOINT" in found.unresolved
    parameters.populate(ready)
    found = parameters.state(ready)
    assert (found.total, found.missing, found.different, found.unresolved) == (24, (), (), ())


def test_not_being_allowed_to_read_is_not_taken_for_absent(ready: Context) -> None:
    for operation in ("GetParameters", "GetParameter"):
        inject(ready, operation, lambda request: refused("AccessDeniedException"))
    with pytest.raises(Blocked, match="ssm:GetParameter"):
        parameters.state(ready)


def test_a_secure_value_that_may_not_be_decrypted_is_left_and_hides_no_other(ready: Context, aws: Aws) -> None:
    put(aws, f"{LAMBDA_PATH}/PORT", "1", "SecureString")
    put(aws, f"{LAMBDA_PATH}/FLAG", "true")
    inject(
        ready, "GetParameters",
        lambda request: refused("AccessDeniedException") if f"{LAMBDA_PATH}/PORT".encode() in request.body else None,
    )  # fmt: skip
    outcome = parameters.populate(ready)
    assert outcome.code == 0
    assert actions(outcome)[f"{LAMBDA_PATH}/PORT"] == "kept"
    assert actions(outcome)[f"{LAMBDA_PATH}/FLAG"] == "unchanged"


def test_without_a_checkout_the_way_is_said(context: Context) -> None:
    with pytest.raises(BadInput, match="--root"):
        parameters.state(context)


values = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["${ssm:/a}", "${ssm:/a, ${ssm:/b}}", "${self:service}", "${cf:x.Y}", "!Ref x", "{{x}}", "", "~", "[a]", "x"]
    ),
)


@given(st.dictionaries(st.text("ABC_/ \x1b", min_size=1, max_size=8), values, max_size=6), values)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_section_gives_a_plan_in_which_every_reference_is_answered_or_named(
    tmp_path: Path, variables: dict[str, str], after: str
) -> None:
    lines = [
        f"{json.dumps(name)}: {value if value.startswith('!') else json.dumps(value)}"
        for name, value in variables.items()
    ]
    write_service(tmp_path, "a", section(*lines, service="a", after=f"X: {json.dumps(after)}"))
    checkout = read_checkout(tmp_path, Deployment("v6", "dev", "us-east-1"))
    read = readers(checkout)
    found = compare(checkout, wanted(checkout, Deployment("v6", "dev", "us-east-1"), read), {}, read)
    named = {missing.path for missing in found.unresolved}
    planned = {row.wanted.path for row in found.changes}
    for path, uses in read.items():
        for _, reference in uses:
            assert reference.default is not None or planned.intersection(reference.unless) or path in named | planned
    assert "\x1b" not in "".join(finding.text for finding in found.findings)


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("PGPASSWORD", "x", True), ("OPENAI_KEY", "x", True), ("clientSecret", "x", True), ("dbPassword", "x", True),
        ("COOKIE_KEY", "x", True), ("SECRETKEY", "x", True), ("SMTP_PASS", "x", True),
        ("API_KEYS_DYNAMODB_TABLE", "amplify-v6-object-access-dev-api-keys", False),
        ("SECRETS_ARN_NAME", "dev-amplify-app-secrets", False), ("PRIMARY_KEY_ID", "x", False),
        ("COGNITO_CLIENT_ID", "4h57qi1cmdvq5o0ugs83m2nbr9", False), ("DEP_REGION", "us-east-1", False),
        ("OAUTH_ISSUER_BASE_URL", "https://sso.example.edu/realms/amplify", False),
        ("VPC_ID", "vpc-0a1b2c3d4e5f67890", False), ("ADMINS", "ada@example.edu,ben@example.edu", False),
        ("UPSTREAM", "postgres://u:p/w@db.example.edu/x", True), ("UPSTREAM", "Server=db;Password=x", True),
        ("UPSTREAM", '{"password": "x"}', True), ("UPSTREAM", "sk_live_0123456789abcdef", True),
        ("UPSTREAM", "0123456789abcdef0123456789abcdef", True), ("UPSTREAM", "github_pat_11ABCDE", True),
        ("UPSTREAM", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", True),
        ("UPSTREAM", "amplify-v6-lambda-dev-consolidation-0123456789ab", False), ("MAX_TOKENS", "4096", False),
    ],
)  # fmt: skip
def test_which_values_are_shown(name: str, value: str, hidden: bool) -> None:
    row = Row("create", Wanted(f"/amplify/dev/{name}", value, "shared", "x:1"), None, "String")
    assert row.secret is hidden
