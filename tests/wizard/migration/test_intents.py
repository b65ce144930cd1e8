"""What was written and not recorded: a killed run, an answer that said no after the write, a table that cannot be seen."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from botocore.httpsession import URLLib3Session

from tests.wizard.migration import network
from tests.wizard.migration.few import WORKFLOWS
from tests.wizard.migration.few import fill as full
from tests.wizard.migration.stage import (
    ANN,
    MAP,
    Killed,
    Stage,
    before,
    die_once_answered,
    kill_apply,
    n,
    run,
    s,
)
from wizard.aws import is_read
from wizard.cli import build_parser
from wizard.migration import apply as applying

ACCOUNTS, STORAGE, VERSIONS = "lambda/accounts", "lambda/user-data-storage", "data-disclosure/versions"
ARTIFACTS, KEYS, TASKS = "artifacts/user-artifacts", "object-access/api-keys", "agent-loop/scheduled-tasks"
COSTS = "lambda/cost-calculations"


def objects_of(stage: Stage) -> dict[str, bytes]:
    client = stage.aws.client("s3")
    return {
        f"{bucket['Name']}/{one['Key']}": client.get_object(Bucket=bucket["Name"], Key=one["Key"])["Body"].read()
        for bucket in client.list_buckets()["Buckets"]
        for one in client.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ())
    }


def told_before_rollback(stage: Stage) -> list[str]:
    """What the question of a rollback says."""
    arguments = build_parser().parse_args(["rollback"])
    return list(arguments.announce(arguments, stage.context()))


@pytest.fixture
def disclosed(stage: Stage) -> Stage:
    """A data disclosure: a row of versions and its PDF, which is copied after the row is changed."""
    stage.create(STORAGE, VERSIONS)
    stage.bucket("lambda/consolidation")
    key = {
        "key": s("data_disclosure.pdf"),
        "version": n(1),
        "pdf_id": s("one.pdf"),
        "s3_reference": s("s3://old/one.pdf"),
    }
    stage.put(VERSIONS, key)
    stage.aws.client("s3").put_object(Bucket=stage.bucket("data-disclosure/storage"), Key="one.pdf", Body=b"%PDF")
    stage.put(ACCOUNTS, {"user": s(ANN)})
    return stage


@pytest.mark.parametrize("command", [("migrate", "apply"), ("migrate", "plan"), ("rollback",)])
def test_killed_between_a_row_of_versions_and_its_pdf(disclosed: Stage, command: tuple[str, ...]) -> None:
    seeded, files = disclosed.dump(), objects_of(disclosed)
    disclosed.plan()
    kill_apply(disclosed, "CopyObject", "s3", unsent=True)
    assert disclosed.dump() != seeded, "the row was written"
    if command == ("rollback",):
        assert disclosed.run("rollback").code == 0
        assert (disclosed.dump(), objects_of(disclosed)) == (seeded, files)
        return
    if command == ("migrate", "plan"):
        disclosed.plan()
    disclosed.apply()
    disclosed.verify()
    (row,) = disclosed.scan(VERSIONS)
    assert row["pdf_id"] == s("dataDisclosure/one.pdf")
    assert any(name.endswith("consolidation/dataDisclosure/one.pdf") for name in objects_of(disclosed))
    assert disclosed.run("rollback").code == 0
    assert (disclosed.dump(), objects_of(disclosed)) == (seeded, files)


def test_what_a_service_writes_again_of_a_row_of_versions_of_a_killed_run_leaves_the_rest_on_record(
    disclosed: Stage,
) -> None:
    (seeded,) = disclosed.scan(VERSIONS)
    disclosed.plan()
    kill_apply(disclosed, "CopyObject", "s3", unsent=True)
    (row,) = disclosed.scan(VERSIONS)
    disclosed.put(VERSIONS, {**row, "s3_reference": seeded["s3_reference"]})
    disclosed.apply()
    assert disclosed.run("rollback").code == 0
    assert disclosed.scan(VERSIONS) == [seeded]


def lose(context: Any, *, blind: bool) -> None:
    """Copies are made and their answers lost; `blind`: from then on no object can be looked at."""
    made = []

    def lost(request: Any, **_: Any) -> Any:
        made.append(1)
        return network.lost(request)

    def look(request: Any, **_: Any) -> Any:
        return network.reply(request, 403, "AccessDenied") if blind and made else None

    context.account.client("s3").meta.events.register_first("before-send.s3.CopyObject", lost)
    context.account.client("s3").meta.events.register_first("before-send.s3.HeadObject", look)


@pytest.mark.parametrize(
    ("command", "blind"),
    [(("migrate", "apply"), True), (("migrate", "plan"), True), (("rollback",), True), (("rollback",), False)],
)
def test_a_pdf_whose_answer_was_lost_is_not_forgotten(
    disclosed: Stage, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], blind: bool
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    seeded, files = disclosed.dump(), objects_of(disclosed)
    disclosed.plan()
    context = disclosed.context()
    lose(context, blind=blind)
    assert run(context, "migrate", "apply").code == int(blind)
    assert len(objects_of(disclosed)) == len(files) + 1
    if command != ("rollback",):
        if command == ("migrate", "plan"):
            disclosed.plan()
        disclosed.apply()
        disclosed.verify()
    assert disclosed.run("rollback").code == 0
    assert (disclosed.dump(), objects_of(disclosed)) == (seeded, files)


@pytest.mark.parametrize("command", [("migrate", "apply"), ("rollback",)])
def test_a_large_artifact_whose_answer_was_lost_is_not_forgotten(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    stage.create(STORAGE)
    stage.bucket("lambda/consolidation")
    key, draw = "20250305/Game:v1", random.Random(1)
    text = "".join(chr(draw.randrange(0x4E00, 0x9FFF)) for _ in range(200_000))
    body = json.dumps({"contents": text}).encode()
    stage.aws.client("s3").put_object(Bucket=stage.bucket("artifacts/bucket"), Key=f"{ANN}/{key}", Body=body)
    stage.put(ARTIFACTS, {"user_id": s(ANN), "artifacts": {"L": [{"M": {"key": s(f"{ANN}/{key}")}}]}})
    seeded, files = stage.dump(), objects_of(stage)
    stage.plan()
    context = stage.context()
    lose(context, blind=True)
    assert run(context, "migrate", "apply").code == 1
    assert len(objects_of(stage)) == len(files) + 1
    if command != ("rollback",):
        if command == ("migrate", "plan"):
            stage.plan()
        stage.apply()
        stage.plan()  # the pointer that was held follows
        stage.apply()
        stage.verify()
    assert stage.run("rollback").code == 0
    assert (stage.dump(), objects_of(stage)) == (seeded, files)


def test_an_update_of_a_killed_run_is_known_although_a_service_wrote_since(stage: Stage) -> None:
    stage.put(KEYS, {"api_owner_id": s("k"), "owner": s(ANN)})
    stage.plan()
    kill_apply(stage, "UpdateItem")
    stage.set(KEYS, ("k",), lastAccessed=s("today"))
    assert stage.plan()["changes"] == 0
    stage.verify()
    assert stage.run("rollback").code == 0
    assert stage.get(KEYS, "k") == {"api_owner_id": s("k"), "owner": s(ANN), "lastAccessed": s("today")}


def test_an_update_of_a_killed_run_is_known_although_other_pointers_of_its_list_stay(stage: Stage) -> None:
    stage.create(STORAGE)
    stage.bucket("lambda/consolidation")
    bucket, logs = stage.bucket("agent-loop/scheduled-tasks-logs"), []
    for number, body in enumerate((b'{"out": 1}', b"{no json")):
        key = f"{ANN}/t/logs/e{number}.json"
        stage.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        logs.append({"M": {"executionId": s(f"e{number}"), "detailsKey": s(key)}})
    stage.put(TASKS, {"user": s(ANN), "taskId": s("t"), "active": n(1), "logs": {"L": logs}})
    seeded = stage.dump()
    stage.plan({ANN: ANN})
    kill_apply(stage, "UpdateItem")
    assert stage.dump() != seeded
    stage.apply()
    assert [entry.state for entry in stage.entries() if entry.action == "update"] == ["applied"]
    assert stage.run("rollback").code == 0
    assert stage.dump() == seeded


def test_a_plan_that_cannot_see_what_a_killed_run_wrote_keeps_its_record(stage: Stage) -> None:
    stage.put(ACCOUNTS, {"user": s(ANN)})
    seeded = stage.dump()
    stage.plan()
    context = stage.context()

    def die(parsed: Any, **_: Any) -> None:
        if stage.get(ACCOUNTS, MAP[ANN]) is not None:
            raise Killed

    context.account.client("dynamodb").meta.events.register_first("after-call.dynamodb.PutItem", die)
    with pytest.raises(Killed):
        run(context, "migrate", "apply")
    context = stage.context()
    refuse(context, "dynamodb", "GetItem")
    assert run(context, "migrate", "plan", "--csv-file", stage.csv()).code == 0
    stage.apply()
    stage.verify()
    assert stage.run("rollback").code == 0
    assert stage.dump() == seeded


def test_large_items_are_begun_a_few_at_a_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "PORTION", 1)
    stage.put(KEYS, *({"api_owner_id": s(f"k{number}"), "owner": s(ANN)} for number in range(9)))
    stage.plan()
    kill_apply(stage, "UpdateItem", "dynamodb", unsent=True)
    assert [entry.intent for entry in stage.entries()].count(True) == 1


def refuse(context: Any, service: str, operation: str, when: Any = lambda request: True) -> None:
    def answer(request: Any, **_: Any) -> Any:
        return network.reply(request, 403, "AccessDeniedException") if when(request) else None

    context.account.client(service).meta.events.register_first(f"before-send.{service}.{operation}", answer)


def test_content_that_could_not_be_read_now_is_a_failure_and_the_next_apply_reads_it(workflow: Stage) -> None:
    workflow.plan()
    context = workflow.context()
    refuse(context, "s3", "GetObject")
    ended = run(context, "migrate", "apply")
    assert (ended.code, ended.document["conflicts"]) == (1, [])
    workflow.apply()
    workflow.plan()  # the pointer that was held follows
    workflow.apply()
    workflow.verify()


def test_a_row_whose_answer_was_lost_is_undone(workflow: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the request was made into two on the way, and the second was refused."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    seeded = workflow.dump()

    def twice(request: Any, **_: Any) -> None:
        if workflow.name(STORAGE).encode() in request.body:
            URLLib3Session().send(request)

    for fault in (network.lost, twice):
        workflow.plan()
        context = workflow.context()
        if fault is twice:
            context.account.client("dynamodb").meta.events.register("before-send.dynamodb.PutItem", twice)
        else:
            network.Weather(context.account, network.lost, share=1)
        assert run(context, "migrate", "apply").code == 0
        assert len(workflow.scan(STORAGE)) == 1
        assert workflow.run("rollback").code == 0
        assert workflow.dump() == seeded


def test_what_was_written_and_could_not_be_read_back_is_still_undone(workflow: Stage) -> None:
    seeded = workflow.dump()
    workflow.plan()
    context = workflow.context()
    written = False

    def note(**_: Any) -> None:
        nonlocal written
        written = True

    context.account.client("dynamodb").meta.events.register("after-call.dynamodb.PutItem", note)
    refuse(context, "dynamodb", "GetItem", lambda request: written and b"user-data-storage" in request.body)
    assert run(context, "migrate", "apply").code == 1
    assert len(workflow.scan(STORAGE)) == 1
    workflow.apply()
    assert workflow.run("rollback").code == 0
    assert workflow.dump() == seeded


@pytest.mark.parametrize("again", [False, True])
def test_a_row_that_a_service_changes_before_it_is_read_back_is_not_forgotten(workflow: Stage, again: bool) -> None:
    seeded = workflow.dump()
    workflow.plan()
    context = workflow.context()

    def change(parsed: Any, **_: Any) -> None:
        for row in workflow.scan(STORAGE):
            workflow.put(STORAGE, {**row, "added": s("by a service")})

    context.account.client("dynamodb").meta.events.register("after-call.dynamodb.PutItem", change)
    assert run(context, "migrate", "apply").code == 1
    if again:
        workflow.plan()
        workflow.apply()
        workflow.plan()  # the pointer that was held follows
        workflow.apply()
        workflow.verify()
    ended = workflow.run("rollback")
    assert (ended.code, ended.document["left_total"], len(workflow.scan(STORAGE))) == (1, 1, 1)
    assert workflow.dump()[workflow.name(WORKFLOWS)] == seeded[workflow.name(WORKFLOWS)]


@pytest.mark.parametrize("killed", [True, False])
def test_a_row_that_an_earlier_apply_made_is_the_earlier_ones(workflow: Stage, killed: bool) -> None:
    """The template was changed under the old id; its row, made by the first apply, follows with the second."""
    seeded = workflow.dump()
    workflow.migrate()
    bucket = next(
        one["Name"] for one in workflow.aws.client("s3").list_buckets()["Buckets"] if "templates" in one["Name"]
    )
    workflow.aws.client("s3").put_object(Bucket=bucket, Key=f"{ANN}/w.json", Body=b'{"templateId": "w", "v": 2}')
    workflow.put(WORKFLOWS, {"user": s(ANN), "templateId": s("w"), "s3Key": s(f"{ANN}/w.json"), "v": n(2)})
    workflow.plan()
    context = workflow.context()
    if killed:
        die_once_answered(context, "UpdateItem")
        with pytest.raises(Killed):
            run(context, "migrate", "apply")
    workflow.apply()
    (row,) = workflow.scan(STORAGE)
    assert row["data"]["M"]["v"] == n(2)
    made = {entry.turn: bool(entry.detail["created"]) for entry in workflow.entries() if entry.kind == "content"}
    assert made == {1: True, 2: False}
    if not killed:  # both sides go on: neither is taken for the newer one
        workflow.aws.client("s3").put_object(Bucket=bucket, Key=f"{ANN}/w.json", Body=b'{"templateId": "w", "v": 3}')
        theirs = {**row, "data": {"M": {"v": n(4)}}}
        workflow.put(STORAGE, theirs)
        workflow.plan()
        (conflict,) = workflow.apply(3)["conflicts"]
        assert "under the old id" in conflict["note"] and workflow.scan(STORAGE) == [theirs]
        workflow.put(STORAGE, row)
    assert workflow.run("rollback").code == 0
    assert workflow.scan(STORAGE) == [] and seeded[workflow.name(STORAGE)] == {}


@pytest.mark.parametrize("then", ["rollback", "follow"])
def test_what_a_service_added_to_a_row_of_a_killed_run_is_kept(workflow: Stage, then: str) -> None:
    workflow.plan()
    kill_apply(workflow, "PutItem")
    (row,) = workflow.scan(STORAGE)
    theirs = {**row, "added": s("by a service")}
    workflow.put(STORAGE, theirs)
    workflow.apply()
    workflow.verify()
    if then == "follow":
        buckets = workflow.aws.client("s3").list_buckets()["Buckets"]
        bucket = next(one["Name"] for one in buckets if "templates" in one["Name"])
        workflow.aws.client("s3").put_object(Bucket=bucket, Key=f"{ANN}/w.json", Body=b'{"templateId": "w", "v": 2}')
        workflow.put(WORKFLOWS, {"user": s(ANN), "templateId": s("w"), "s3Key": s(f"{ANN}/w.json"), "v": n(2)})
        workflow.plan()
        assert len(workflow.apply(3)["conflicts"]) == 1
    else:
        ended = workflow.run("rollback")
        assert (ended.code, ended.document["left_total"]) == (1, 1)
    assert workflow.scan(STORAGE) == [theirs]


@pytest.fixture
def few(stage: Stage) -> Stage:
    stage.put(ACCOUNTS, *({"user": s(user)} for user in MAP))
    stage.put("lambda/user-tags", {"user": s(ANN), "tags": {"SS": ["x"]}})
    return stage


def test_a_rollback_that_cannot_see_a_table_undoes_the_others_and_lists_what_may_stand(few: Stage) -> None:
    seeded = few.dump()
    few.plan()
    few.apply()
    blind = few.context()
    for operation in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"):
        refuse(blind, "dynamodb", operation, lambda request: f'"{few.name(ACCOUNTS)}"'.encode() in request.body)
    ended = run(blind, "rollback")
    assert (ended.code, ended.document["left_total"]) == (1, len(MAP))
    number = str(ended.document["left"][0]["id"])  # its record is still needed
    assert few.run("migrate", "resolve", number, "--skip", "--reason", "tired of it").code == 2
    assert few.dump()[few.name("lambda/user-tags")] == seeded[few.name("lambda/user-tags")]
    assert few.run("rollback").code == 0
    assert few.dump() == seeded


def twice(context: Any, services: tuple[str, ...] = ("dynamodb", "s3")) -> None:
    """Every write but the lock's arrives twice, and only the second answer comes back: no client repeats anything."""

    def send(request: Any, event_name: str, **_: Any) -> None:
        if not is_read(event_name.rsplit(".", 1)[-1]) and b"amplify-migrate#lock" not in (request.body or b""):
            URLLib3Session().send(request)

    for service in services:
        context.account.client(service).meta.events.register_first(f"before-send.{service}", send)


def test_writes_that_the_network_makes_two_of_are_ours_and_undone(stage: Stage) -> None:
    full(stage)
    consolidation = stage.bucket("lambda/consolidation")
    body = {"Bucket": stage.bucket("lambda/user-conversations"), "Key": f"{ANN}/c1", "Body": b"{}"}
    stage.aws.client("s3").put_object(**body)
    seeded, files = stage.dump(), objects_of(stage)
    stage.plan()
    context = stage.context()
    twice(context)
    assert run(context, "migrate", "apply").code == 0
    assert any(name.startswith(consolidation) for name in objects_of(stage))
    stage.verify()
    twice(context := stage.context())
    ended = run(context, "rollback")
    assert (ended.code, ended.document["left"]) == (0, [])
    assert (stage.dump(), objects_of(stage)) == (seeded, files)


def test_before_a_rollback_of_a_killed_run_one_is_told_what_it_undoes(stage: Stage) -> None:
    full(stage)
    seeded = stage.dump()
    stage.plan()
    kill_apply(stage, "PutItem")
    (asked,) = told_before_rollback(stage)
    looked = stage.run("rollback", "--dry-run").document
    done = stage.run("rollback").document
    assert (looked["total"], looked["left"], done["left"]) == (done["total"], [], [])
    assert asked.startswith(f"{done['total']} change")
    assert 0 < done["total"] < len(stage.entries()) and stage.dump() == seeded


@pytest.mark.parametrize("how", ["--skip", "--done"])
def test_what_a_killed_run_wrote_is_on_record_also_where_it_was_resolved_and_planned_anew(
    stage: Stage, how: str
) -> None:
    stage.put(ACCOUNTS, {"user": s(ANN), "x": n(1)})
    stage.plan()
    kill_apply(stage, "PutItem")
    (entry,) = stage.entries()
    assert stage.run("migrate", "resolve", str(entry.id), how, "--reason", "by hand").code == 0
    stage.set(ACCOUNTS, (ANN,), x=n(2))
    stage.plan()
    stage.apply()
    assert stage.run("rollback").code == 0
    assert stage.scan(ACCOUNTS) == [{"user": s(ANN), "x": n(2)}]


@pytest.mark.parametrize("changed", ["old", "new"])
def test_a_copy_whose_answer_was_lost_is_on_record_whatever_services_do_to_it_or_to_the_old_item(
    stage: Stage, changed: str
) -> None:
    stage.put(ACCOUNTS, {"user": s(ANN)})
    stage.plan()
    kill_apply(stage, "PutItem")
    stage.set(ACCOUNTS, (ANN if changed == "old" else MAP[ANN],), added=s("by a service"))
    stage.apply(3 if changed == "new" else 0)
    ended = stage.run("rollback")
    assert (ended.code, ended.document["left_total"]) == ((1, 1) if changed == "new" else (0, 0))
    assert (stage.get(ACCOUNTS, MAP[ANN]) is not None) == (changed == "new")


def test_a_copy_that_arrives_after_it_was_undone_is_told_and_taken_back_by_the_next_rollback(stage: Stage) -> None:
    stage.put(ACCOUNTS, {"user": s(ANN)})
    stage.plan()
    stage.apply()
    (late,) = (item for item in stage.scan(ACCOUNTS) if item["user"] == s(MAP[ANN]))
    context = stage.context()
    hook = "after-call.dynamodb.DeleteItem"
    context.account.client("dynamodb").meta.events.register(hook, lambda **_: stage.put(ACCOUNTS, late))
    ended = run(context, "rollback")
    assert ended.document["under_new_ids"]["items"] == [f"{stage.name(ACCOUNTS)}: user={MAP[ANN]}"]
    assert ended.code == 1 and "1 copy arrived after it was undone: run `rollback` once more" in ended.text
    assert stage.run("rollback").code == 0
    assert [item["user"] for item in stage.scan(ACCOUNTS)] == [s(ANN)]
    stage.put(ACCOUNTS, late)  # by whomever: no rollback of ours had just undone it
    assert stage.run("rollback").code == 0
    assert stage.get(ACCOUNTS, MAP[ANN]) == late


def test_an_object_that_stood_before_a_killed_run_began_is_not_taken_back(stage: Stage) -> None:
    client, consolidation = stage.aws.client("s3"), stage.bucket("lambda/consolidation")
    client.put_object(Bucket=stage.bucket("lambda/user-conversations"), Key=f"{ANN}/c1", Body=b"{}")
    stage.put(ACCOUNTS, {"user": s(ANN)})
    stage.plan()
    theirs = next(entry.target_key for entry in stage.entries() if entry.kind == "object")
    client.put_object(Bucket=consolidation, Key=theirs, Body=b"{}")
    kill_apply(stage, "HeadObject", "s3", unsent=True)
    assert stage.run("rollback").code == 0
    assert [one["Key"] for one in client.list_objects_v2(Bucket=consolidation)["Contents"]] == [theirs]


def test_a_killed_write_in_a_table_that_cannot_be_seen_is_never_called_undone(few: Stage) -> None:
    seeded = few.dump()
    few.plan()
    kill_apply(few, "PutItem")
    assert few.dump() != seeded
    blind = few.context()
    refuse(blind, "dynamodb", "GetItem", lambda request: f'"{few.name(ACCOUNTS)}"'.encode() in request.body)
    assert run(blind, "rollback").code != 0
    assert few.run("rollback").code == 0
    assert few.dump() == seeded


def test_what_another_workspace_copied_is_not_taken_back(few: Stage) -> None:
    few.plan()
    few.plan(workspace="second")
    few.apply()
    applied = few.dump()
    few.apply(workspace="second")
    ended = few.run("rollback", workspace="second")
    assert ended.code == 0
    assert ended.document["under_new_ids"]["count"] == len(MAP) + 1, "what is left is told"
    assert few.dump() == applied
    few.verify()


@pytest.mark.parametrize("fault", ["denied", "cancelled", "killed"])
def test_a_sum_whose_old_row_could_not_go_is_never_forgotten(stage: Stage, fault: str) -> None:
    old, new = (
        {"id": s(user), "accountInfo": s("c"), "dailyCost": n(cost)} for user, cost in ((ANN, "0.5"), (MAP[ANN], "0.2"))
    )
    stage.put(COSTS, old, new)
    stage.plan()
    context = stage.context()
    if fault == "denied":
        refuse(context, "dynamodb", "DeleteItem", lambda request: b"cost-calculations" in request.body)
        run(context, "migrate", "apply")
    elif fault == "cancelled":
        before(context, "TransactWriteItems", lambda _: context.control.cancel())
        assert run(context, "migrate", "apply").code == 130
    else:
        die_once_answered(context, "TransactWriteItems")
        with pytest.raises(Killed):
            run(context, "migrate", "apply")
    assert (stage.get(COSTS, ANN, "c") or {})["dailyCost"] == n(0)
    stage.set(COSTS, (ANN, "c"), dailyCost=n("0.07"))  # a service goes on
    if fault != "denied":
        stage.plan()
        stage.apply()
        assert stage.scan(COSTS) == [{**new, "dailyCost": n("0.77")}]
    context = stage.context()
    die_once_answered(context, "TransactWriteItems")
    with pytest.raises(Killed):  # what the first transaction undid is not undone twice
        run(context, "rollback")
    assert stage.run("rollback").code == 0
    assert [stage.get(COSTS, user, "c") for user in (ANN, MAP[ANN])] == [{**old, "dailyCost": n("0.57")}, new]
    assert stage.run("rollback").document["total"] == 0


@pytest.mark.parametrize("fault", ["denied", "cancelled"])
def test_the_old_row_of_a_sum_that_could_not_go_goes_with_the_next_apply(stage: Stage, fault: str) -> None:
    stage.put(COSTS, {"id": s(ANN), "accountInfo": s("c"), "dailyCost": n("0.5")})
    seeded = stage.dump()
    stage.plan()
    context = stage.context()
    if fault == "denied":
        refuse(context, "dynamodb", "DeleteItem", lambda request: b"cost-calculations" in request.body)
    else:
        before(context, "TransactWriteItems", lambda _: context.control.cancel())
    ended = run(context, "migrate", "apply")
    assert ended.code == (1 if fault == "denied" else 130)
    assert fault == "cancelled" or "1 old row of a sum, at zero, still to be removed" in ended.text
    stage.apply()
    assert [item["id"] for item in stage.scan(COSTS)] == [s(MAP[ANN])]
    stage.verify()
    assert stage.run("rollback").code == 0
    assert stage.dump() == seeded


def test_a_sum_of_which_nothing_tells_whether_it_was_made_is_a_conflict_and_keeps_its_record(stage: Stage) -> None:
    rows = ({"id": s(user), "accountInfo": s("c"), "dailyCost": n("0.5")} for user in (ANN, MAP[ANN]))
    stage.put(COSTS, *rows)
    stage.plan()
    kill_apply(stage, "TransactWriteItems")
    for user in (ANN, MAP[ANN]):
        stage.set(COSTS, (user, "c"), dailyCost=n("0.07"))
    stage.apply(3)
    assert stage.run("rollback").code == 1
    stage.plan()
    stage.apply(3)
    assert [row["dailyCost"] for row in stage.scan(COSTS)] == [n("0.07")] * 2, (
        "nothing is summed before they are compared"
    )
    assert [(entry.removed or {}).get("dailyCost") for entry in stage.entries()] == [n("0.5")]


def test_what_cannot_be_looked_at_after_a_lost_condition_stops_nothing_else(stage: Stage) -> None:
    stage.put(ACCOUNTS, {"user": s(ANN)})
    stage.put(KEYS, {"api_owner_id": s("k"), "owner": s(ANN)})
    stage.plan()
    context, met = stage.context(), list[bool]()

    def meet(params: dict[str, Any]) -> None:
        if params["TableName"] == stage.name(ACCOUNTS):
            met.append(True)
            stage.put(ACCOUNTS, {"user": s(MAP[ANN]), "x": s("newer")})

    before(context, "PutItem", meet, times=9)
    refuse(context, "dynamodb", "GetItem", lambda request: bool(met) and b"lambda-dev-accounts" in request.body)
    ended = run(context, "migrate", "apply")
    assert (ended.code, len(ended.document["failed"]), ended.document["done"]) == (1, 1, 1)
    assert (stage.get(KEYS, "k") or {})["owner"] == s(MAP[ANN])
    assert stage.get(ACCOUNTS, MAP[ANN]) == {"user": s(MAP[ANN]), "x": s("newer")}
