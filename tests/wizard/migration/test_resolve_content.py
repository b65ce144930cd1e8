"""Content that becomes rows, plan after plan: what is missing, cannot be stored, was settled by hand or changed since."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wizard.faults import deny
from tests.wizard.migration.stage import ANN, BOB, MAP, Stage, n, s

ROWS = "lambda/user-data-storage"
TASKS, FLOWS, ARTIFACTS, SHARES = (
    "agent-loop/scheduled-tasks", "agent-loop/workflow-registry", "artifacts/user-artifacts", "lambda/",
)  # fmt: skip


@pytest.fixture
def s3(stage: Stage) -> Any:
    stage.create(ROWS)
    stage.bucket("lambda/consolidation")
    return stage.aws.client("s3")


def row(stage: Stage, partition: str, sort: str) -> Any:
    return stage.get(ROWS, partition, sort)


def test_a_log_that_is_missing_or_fits_in_no_row_keeps_its_pointer_and_is_planned_by_no_later_plan(
    stage: Stage, s3: Any
) -> None:
    bucket = stage.bucket("agent-loop/scheduled-tasks-logs")
    s3.put_object(Bucket=bucket, Key=f"{ANN}/t/logs/e1.json", Body=b'{"out": 1}')
    s3.put_object(Bucket=bucket, Key=f"{ANN}/t/logs/e3.json", Body=b"no json")
    s3.put_object(Bucket=bucket, Key=f"{ANN}/t/logs/e4.json", Body=b'{"n": 1e999}')  # JSON, but no number of DynamoDB's
    runs = ("e1", "e2", "e3", "e4")
    logs = [{"M": {"executionId": s(run), "detailsKey": s(f"{ANN}/t/logs/{run}.json")}} for run in runs]
    stage.put(TASKS, {"user": s(ANN), "taskId": s("t"), "active": n(1), "logs": {"L": logs}})
    told = stage.plan()["findings"]
    assert any(
        "1 pointer stays as it is: the content is missing" in one["text"] and "e2.json" in one["text"] for one in told
    )
    stage.apply()
    stage.verify()
    task = stage.get(TASKS, "a-100", "t")
    assert task and task["logs"] == {"L": [{"M": {"executionId": s("e1")}}, *logs[1:]]}
    after = stage.dump()
    assert stage.plan()["changes"] == 0
    assert stage.plan(workspace="another")["changes"] == 0
    stage.apply(workspace="another")
    assert stage.dump() == after


def test_what_cannot_be_stored_is_open_until_the_operator_settles_it(stage: Stage, s3: Any) -> None:
    bucket = stage.bucket("agent-loop/workflow-templates")
    s3.put_object(Bucket=bucket, Key=f"{ANN}/t.json", Body=b"{no json")
    stage.put(FLOWS, {"user": s(ANN), "templateId": s("t"), "s3Key": s(f"{ANN}/t.json"), "isPublic": n(0)})
    stage.plan()
    (failed,) = stage.apply(code=1)["failed"]
    found = stage.verify(code=1)
    assert found["leftovers"]["count"] == 0 and found["states"]["failed"] == 1  # told once, as not done
    assert stage.run("migrate", "resolve", str(failed["id"]), "--skip", "--reason", "it was never valid").code == 0
    stage.verify()
    assert stage.plan()["changes"] == 0
    flow = stage.get(FLOWS, "a-100", "t")
    assert flow and flow["s3Key"] == s(f"{ANN}/t.json") and stage.scan(ROWS) == []


def test_what_cannot_be_stored_is_tried_once_and_again_when_its_object_has_changed(stage: Stage, s3: Any) -> None:
    flows, artifacts = stage.bucket("agent-loop/workflow-templates"), stage.bucket("artifacts/bucket")
    logs = stage.bucket("agent-loop/scheduled-tasks-logs")
    old = f"{ANN}/20250102/Notes:v1"
    for bucket, key in ((flows, f"{ANN}/t.json"), (artifacts, old), (logs, f"{ANN}/t/logs/e1.json")):
        s3.put_object(Bucket=bucket, Key=key, Body=b"{no json")
    stage.put(FLOWS, {"user": s(ANN), "templateId": s("t"), "s3Key": s(f"{ANN}/t.json"), "isPublic": n(0)})
    stage.put(ARTIFACTS, {"user_id": s(ANN), "artifacts": {"L": [{"M": {"key": s(old)}}]}})
    log = {"M": {"executionId": s("e1"), "detailsKey": s(f"{ANN}/t/logs/e1.json")}}
    stage.put(TASKS, {"user": s(ANN), "taskId": s("t"), "active": n(1), "logs": {"L": [log]}})
    assert stage.plan()["blocked"] == 0
    assert len(stage.apply(code=1)["failed"]) == 3
    after = stage.dump()
    again = stage.plan()
    assert (again["changes"], again["blocked"]) == (0, 3)
    told = stage.apply(code=1)
    assert len(told["failed"]) == 3 and all("JSON" in one["note"] for one in told["failed"])
    assert stage.verify(code=1)["leftovers"]["count"] == 0
    assert stage.dump() == after
    assert stage.plan(workspace="another")["blocked"] == 0  # nothing is known there: it is tried once more
    s3.put_object(Bucket=flows, Key=f"{ANN}/t.json", Body=b'{"steps": []}')
    mended = stage.plan()
    assert (mended["blocked"], mended["changes"] > 0) == (2, True)
    stage.apply(code=1)
    assert len(stage.scan(ROWS)) == 1


def test_a_row_that_was_written_by_hand_takes_its_pointer_along(stage: Stage, s3: Any) -> None:
    bucket = stage.bucket("agent-loop/workflow-templates")
    s3.put_object(Bucket=bucket, Key=f"{ANN}/t.json", Body=b"{no json")
    stage.put(FLOWS, {"user": s(ANN), "templateId": s("t"), "s3Key": s(f"{ANN}/t.json"), "isPublic": n(0)})
    stage.plan()
    (failed,) = stage.apply(code=1)["failed"]
    by_hand = {"PK": s("a-100#amplify-workflows#workflow-templates"), "SK": s("t"), "data": {"M": {"steps": {"L": []}}}}
    stage.put(ROWS, by_hand)
    assert stage.run("migrate", "resolve", str(failed["id"]), "--done", "--reason", "mended").code == 0
    stage.migrate()
    flow = stage.get(FLOWS, "a-100", "t")
    assert flow and "s3Key" not in flow and stage.scan(ROWS) == [by_hand]


def test_a_pointer_stays_while_the_row_that_was_to_be_written_by_hand_is_not_there(stage: Stage, s3: Any) -> None:
    bucket = stage.bucket("agent-loop/workflow-templates")
    s3.put_object(Bucket=bucket, Key=f"{ANN}/t.json", Body=b"{no json")
    stage.put(FLOWS, {"user": s(ANN), "templateId": s("t"), "s3Key": s(f"{ANN}/t.json"), "isPublic": n(0)})
    stage.plan()
    context = stage.context()
    deny(context.account, "dynamodb", "PutItem")
    failed = stage.apply(1, context=context)["failed"]  # the template, and the copy of its row that drops the pointer
    words = ("migrate", "resolve", str(failed[0]["id"]), "--done", "--reason", "soon")
    assert len(failed) == 2 and stage.run(*words).code == 0
    stage.apply()
    flow = stage.get(FLOWS, "a-100", "t")
    assert flow and flow["s3Key"] == s(f"{ANN}/t.json")


def test_an_artifact_too_large_for_a_row_is_proven_where_it_stays(stage: Stage, s3: Any) -> None:
    bucket = stage.bucket("artifacts/bucket")
    s3.put_object(Bucket=bucket, Key=f"{ANN}/20250305/Big:v1", Body=json.dumps({"text": "x" * 500_000}).encode())
    entry = {"M": {"key": s(f"{ANN}/20250305/Big:v1"), "name": s("Big")}}
    stage.put(ARTIFACTS, {"user_id": s(ANN), "artifacts": {"L": [entry]}})
    stage.migrate()
    moved = stage.get(ARTIFACTS, "a-100")
    assert moved and moved["artifacts"]["L"][0]["M"]["key"] == s("a-100/20250305/Big:v1")
    assert stage.scan(ROWS) == [] and stage.plan()["changes"] == 0

    s3.put_object(Bucket=bucket, Key="a-100/20250305/Big:v1", Body=b"something else")
    assert stage.verify(code=1)["verdicts"]["differs"] == 1
    s3.delete_object(Bucket=bucket, Key="a-100/20250305/Big:v1")
    stage.plan()
    stage.apply()
    stage.verify()
    assert s3.head_object(Bucket=bucket, Key="a-100/20250305/Big:v1")["ContentLength"] > 500_000


@pytest.mark.parametrize("sizes", [(10, 500_000), (500_000, 10), (500_000, 600_000)])
def test_an_artifact_that_no_longer_goes_where_it_was_copied_is_kept_where_it_is(
    stage: Stage, s3: Any, sizes: tuple[int, int]
) -> None:
    """Its pointer under the new id would still lead to the older content."""
    bucket, key = stage.bucket("artifacts/bucket"), f"{ANN}/20250305/Game:v1"

    def write(size: int) -> None:
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps({"text": "x" * size}).encode())

    write(sizes[0])
    stage.put(ARTIFACTS, {"user_id": s(ANN), "artifacts": {"L": [{"M": {"key": s(key)}}]}})
    stage.migrate()
    copied = stage.scan(ROWS), len(s3.list_objects_v2(Bucket=bucket)["Contents"])
    write(sizes[1])
    stage.plan()
    stage.apply()
    again = stage.plan()
    assert (again["changes"], again["kept"]) == (0, 1)
    stage.verify()
    assert (stage.scan(ROWS), len(s3.list_objects_v2(Bucket=bucket)["Contents"])) == copied
    (kept,) = stage.entries("workspace", "kept")
    assert "the content stays where it is" in kept.note
    assert f"it alone leads to {key}" in stage.cleanup(1)["kept"][0]["why"] and stage.get(ARTIFACTS, ANN)
    word, gone = ("--skip", 0) if sizes[0] == 10 else ("--done", 1)
    assert stage.run("migrate", "resolve", str(kept.id), word, "--reason", "seen to").code == 0
    assert stage.cleanup()["total"] == gone == (stage.get(ARTIFACTS, ANN) is None)


def test_settings_follow_until_the_user_saves_newer_ones(stage: Stage, s3: Any) -> None:
    place = ("a-100#amplify-user-settings#user-settings", "user-settings")

    def settings(value: str) -> None:
        stage.put(SHARES, {"id": s(f"{ANN}/1"), "user": s(ANN), "settings": {"M": {"theme": s(value)}}})

    def stands() -> Any:
        return row(stage, *place)["data"]["M"]["settings"]["M"]["theme"]["S"]

    settings("dark")
    stage.migrate()
    assert stands() == "dark"
    settings("light")  # an older service, under the old id
    stage.verify(code=1)
    stage.migrate()
    assert stands() == "light"
    stage.set(ROWS, place, data={"M": {"settings": {"M": {"theme": s("blue")}}}})  # the user, under the new id
    stage.migrate()
    assert stage.plan()["kept"] == 0  # newer
    settings("red")
    stage.migrate()
    again = stage.plan()
    assert (stands(), again["changes"], again["kept"]) == ("blue", 0, 1)
    stage.verify()
    assert "changed under the old id" in stage.cleanup(1)["kept"][0]["why"]
    settings("blue")
    stage.migrate()
    stage.cleanup()
    assert stage.scan(SHARES) == []


@pytest.mark.parametrize(
    ("older", "newer", "first"),
    [
        ({"updatedAt": s("2025-09-01T10:00:00Z")}, {"updatedAt": s("2025-09-01T12:00:00+01:00")}, 0),
        ({"updatedAt": s("nonsense"), "createdAt": n(1725000000)}, {"createdAt": n(1725000001000)}, 1),
        ({}, {"createdAt": s("2020-01-01T00:00:00")}, 0),
    ],
)
def test_of_two_rows_with_settings_the_newer_one_counts(
    stage: Stage, s3: Any, older: Any, newer: Any, first: int
) -> None:
    def shares_row(place: int, theme: str, times: Any) -> Any:
        return {"id": s(f"{ANN}/{place}"), "user": s(ANN), "settings": {"M": {"theme": s(theme)}}, **times}

    stage.put(SHARES, shares_row(first, "old", older), shares_row(1 - first, "new", newer))
    assert stage.plan()["kept"] == 1
    stage.apply()
    stage.verify()
    (made,) = stage.scan(ROWS)
    assert made["data"]["M"]["settings"]["M"]["theme"] == s("new")
    again = stage.plan()
    assert (again["changes"], again["kept"]) == (0, 1)
    stage.apply()
    stage.verify()
    stage.cleanup()
    (left,) = stage.scan(SHARES)
    assert left["settings"]["M"]["theme"] == s("old")
    again = stage.plan()  # no longer beside the newer row, and older all the same
    assert (again["changes"], again["kept"]) == (0, 1)
    stage.verify()
    assert stage.scan(ROWS) == [made]
    stage.put(SHARES, {**left, "settings": {"M": {"theme": s("newest")}}, "updatedAt": n(1900000000)})
    stage.migrate()
    (made,) = stage.scan(ROWS)
    assert made["data"]["M"]["settings"]["M"]["theme"] == s("newest")


def test_settings_that_those_of_a_newer_row_replace_stay_where_they_are(stage: Stage, s3: Any) -> None:
    def shares_row(place: int, theme: str) -> Any:
        settings = {"M": {"theme": s(theme)}}
        return {"id": s(f"{ANN}/{place}"), "user": s(ANN), "settings": settings, "updatedAt": n(1725000000 + place)}

    stage.put(SHARES, shares_row(1, "first"))
    stage.migrate()
    stage.put(SHARES, shares_row(2, "second"))
    stage.migrate()
    (made,) = stage.scan(ROWS)
    assert made["data"]["M"]["settings"]["M"]["theme"] == s("second") and stage.plan()["changes"] == 0
    stage.verify()
    assert "a newer row of the same user" in stage.cleanup(1)["kept"][0]["why"]
    assert stage.scan(SHARES) == [shares_row(1, "first")]
    assert stage.plan()["changes"] == 0
    stage.verify()
    (kept,) = (entry for entry in stage.entries() if entry.state == "kept")
    assert stage.run("migrate", "resolve", str(kept.id), "--done", "--reason", "the newer ones are right").code == 0
    stage.verify()
    stage.cleanup()
    assert stage.scan(SHARES) == [] and stage.scan(ROWS) == [made]


def test_a_share_that_is_there_under_another_sort_key_is_not_made_again(stage: Stage, s3: Any) -> None:
    share = stage.bucket("lambda/share")
    for name in ("1", "2"):
        s3.put_object(Bucket=share, Key=f"{ANN}/{BOB}/2024-01-31/{name}.json", Body=b"{}")
    shares = [
        {"M": {"sharedBy": s(BOB), "sharedAt": n(1), "key": s(f"{ANN}/{BOB}/2024-01-31/{name}.json")}} for name in "12"
    ]
    stage.put(SHARES, {"id": s(f"{ANN}/1"), "user": s(ANN), "data": {"L": shares}})
    stage.put(
        ROWS,
        *(
            {"PK": s("a-100#amplify-shares#received"), "SK": s(sort), "entityType": s("received"),
             "appId": s("a-100#amplify-shares"), "data": {"M": {"sharedBy": s("b-200"), "key": s(key), **more}}}
            for sort, key, more in (("b-200#2020-01-01#x", "a-100/b-200/2024-01-31/1.json", {}),
                                    ("b-200#2020-01-01#y", "shares/a-100/b-200/2024-01-31/2.json",
                                     {"sharedAt": n("1.0"), "read": {"BOOL": True}}))
        ),
    )  # fmt: skip
    before = stage.scan(ROWS)
    stage.migrate()
    assert stage.scan(ROWS) == before
    (kept,) = stage.cleanup(1)["kept"]
    assert "another sharedAt or none" in kept["why"]  # an earlier script left it out
    first = ("a-100#amplify-shares#received", "b-200#2020-01-01#x")
    whole = {"sharedBy": s("b-200"), "key": s("a-100/b-200/2024-01-31/1.json"), "sharedAt": n(1)}
    stage.set(ROWS, first, data={"M": whole})
    before = stage.scan(ROWS)
    stage.migrate()
    assert stage.scan(ROWS) == before
    assert stage.cleanup()["kept_total"] == 0 and stage.scan(SHARES) == []


def test_a_share_that_stands_twice_and_is_changed_under_the_old_id_is_a_conflict_and_no_change_of_a_plan(
    stage: Stage, s3: Any
) -> None:
    key = f"{ANN}/{BOB}/2024-01-31/1.json"
    s3.put_object(Bucket=stage.bucket("lambda/share"), Key=key, Body=b"{}")

    def write(note: str) -> None:
        share = {"M": {"sharedBy": s(BOB), "sharedAt": n(1), "key": s(key), "note": s(note)}}
        stage.put(SHARES, {"id": s(f"{ANN}/1"), "user": s(ANN), "data": {"L": [share]}})

    write("first")
    stage.migrate()
    (made,) = stage.scan(ROWS)
    theirs = {"M": {**made["data"]["M"], "note": s("theirs")}}
    stage.put(ROWS, {**made, "SK": s("b-200#2024-01-31#theirs"), "data": theirs})
    write("second")
    before = stage.scan(ROWS)
    for _ in range(2):
        assert stage.plan()["changes"] == 0
        (conflict,) = stage.apply(3)["conflicts"]
    assert stage.run("migrate", "resolve", str(conflict["id"]), "--skip", "--reason", "both stay").code == 0
    assert stage.plan()["changes"] == 0
    stage.verify()
    assert stage.cleanup()["total"] == 0
    assert stage.scan(ROWS) == before and len(stage.scan(SHARES)) == 1


def test_what_another_workspace_moved_counts_only_while_it_holds_what_the_old_ones_hold(stage: Stage, s3: Any) -> None:
    flows, share = stage.bucket("agent-loop/workflow-templates"), stage.bucket("lambda/share")
    s3.put_object(Bucket=share, Key=f"{ANN}/{BOB}/2024-01-31/1.json", Body=b"{}")
    stage.put(FLOWS, {"user": s(ANN), "templateId": s("t"), "s3Key": s(f"{ANN}/t.json"), "isPublic": n(0)})

    def write(value: str) -> None:
        s3.put_object(Bucket=flows, Key=f"{ANN}/t.json", Body=json.dumps({"v": value}).encode())
        note = {"sharedBy": s(BOB), "sharedAt": n(1), "key": s(f"{ANN}/{BOB}/2024-01-31/1.json"), "note": s(value)}
        settings = {"M": {"theme": s(value)}}
        stage.put(
            SHARES, {"id": s(f"{ANN}/1"), "user": s(ANN), "data": {"L": [{"M": note}]}, "settings": settings}
        )  # fmt: skip

    write("first")
    stage.migrate()
    another = {"workspace": "another"}
    stage.plan(**another)
    assert {entry.state for entry in stage.entries(**another) if entry.kind == "content"} == {"verified"}
    write("later")
    before = stage.scan(ROWS)
    stage.plan(**another)
    stage.apply(**another)
    stage.verify(**another)
    kept = [entry for entry in stage.entries(**another) if entry.kind == "content"]
    assert [entry.state for entry in kept] == ["kept"] * 3 and stage.scan(ROWS) == before
    assert len(stage.cleanup(1, **another)["kept"]) == 2  # the row of shares and settings, and that of the template
    assert len(stage.scan(SHARES)) == 1 and stage.get(FLOWS, ANN, "t")
    for entry in kept:
        words = ("migrate", "resolve", str(entry.id), "--done", "--reason", "the new ones are right")
        assert stage.run(*words, **another).code == 0
    stage.verify(**another)
    stage.cleanup(**another)
    assert stage.scan(SHARES) == [] and stage.cleanup(**another)["total"] == 0
    assert stage.run("cleanup", "verify", **another).code == 0


def test_a_share_whose_row_is_still_to_be_rekeyed_is_not_missing_before_apply(stage: Stage, s3: Any) -> None:
    s3.put_object(Bucket=stage.bucket("lambda/share"), Key=f"{ANN}/{BOB}/2024-01-31/1.json", Body=b"{}")
    share = {"sharedBy": s(BOB), "sharedAt": n(1), "key": s(f"{ANN}/{BOB}/2024-01-31/1.json")}
    stage.put(SHARES, {"id": s(f"{ANN}/1"), "user": s(ANN), "data": {"L": [{"M": share}]}})
    stage.put(
        ROWS,
        {"PK": s(f"{ANN}#amplify-shares#received"), "SK": s(f"{BOB}#2024-01-31#1"), "entityType": s("received"),
         "appId": s(f"{ANN}#amplify-shares"), "data": {"M": {**share, "key": s(f"shares/{share['key']['S']}")}}},
    )  # fmt: skip
    stage.migrate(MAP, "--only", "buckets")  # its row has not had its turn
    stage.plan(MAP, "--only", "tables")
    early = stage.verify(1)
    assert early["verdicts"].get("missing", 0) == 0
    assert "apply first" in stage.run("migrate", "verify").text
    stage.apply()
    verified = stage.verify()
    assert set(verified["verdicts"]) == {"match"} and verified["changed_since"] == 0
    stage.cleanup()
    assert stage.scan(SHARES) == []
