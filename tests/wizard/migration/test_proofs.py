"""What a row of shares and settings must prove before cleanup takes it, and how what it cannot prove comes to an end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wizard.migration.stage import ANN, BOB, Stage, n, s

ROWS, SHARES = "lambda/user-data-storage", "lambda/"
SETTINGS = ("a-100#amplify-user-settings#user-settings", "user-settings")


def share(name: str) -> dict[str, Any]:
    return {
        "M": {"sharedBy": s(BOB), "sharedAt": n(1), "note": s("x"), "key": s(f"{ANN}/{BOB}/2024-01-31/{name}.json")}
    }


@pytest.fixture
def shared(stage: Stage) -> Stage:
    """A share and settings of ann's, and a share whose conversation is gone."""
    stage.create(ROWS)
    stage.bucket("lambda/consolidation")
    bucket, s3 = stage.bucket("lambda/share"), stage.aws.client("s3")
    s3.put_object(Bucket=bucket, Key=f"{ANN}/{BOB}/2024-01-31/there.json", Body=b"{}")
    stage.put(
        SHARES, {"id": s(f"{ANN}/1"), "user": s(ANN), "data": {"L": [share("there")]}, "settings": {"M": {"a": n(1)}}}
    )
    return stage


def test_it_stays_while_its_new_rows_lack_or_have_emptied_what_it_holds(shared: Stage) -> None:
    shared.migrate()
    received, settings = sorted(shared.scan(ROWS), key=lambda row: row["SK"] == s("user-settings"))
    data = received["data"]["M"]
    for row, left, named in (
        (received, {**data, "key": s("shares/a-100/b-200/2024-01-31/other.json")}, "key of this share"),
        (received, {**data, "note": s("")}, "note"),
        (received, {}, "key of this share"),
        (settings, {"settings": {"M": {}}}, "settings"),
        (settings, {}, "settings"),
    ):
        shared.put(ROWS, {**row, "data": {"M": left}})
        shared.verify()
        (kept,) = shared.cleanup(1)["kept"]
        assert f"has no {named} any more" in kept["why"]
        shared.put(ROWS, row)
    report = shared.run("report").document["report"]
    assert sum(one["kept_at_cleanup"] for one in report["tables"]) == 2  # the share and the settings of that row
    # What a user does under the new id takes nothing away.
    shared.put(ROWS, {**received, "data": {"M": {**data, "note": s("mine"), "read": {"BOOL": True}}}})
    shared.put(ROWS, {**settings, "data": {"M": {"settings": {"M": {"b": n(2)}}}}})
    assert shared.cleanup()["total"] == 1 and shared.scan(SHARES) == []


def test_a_share_whose_conversation_is_gone_is_settled_by_the_operator(shared: Stage) -> None:
    row = shared.get(SHARES, f"{ANN}/1")
    assert row is not None
    shared.put(SHARES, {**row, "data": {"L": [share("there"), share("gone")]}})
    shared.migrate()
    (change,) = shared.run("migrate", "show", "--state", "kept").document["changes"]
    assert (
        "conversation is missing" in change["note"] and "conversation is missing" in shared.cleanup(1)["kept"][0]["why"]
    )

    def settle(how: str) -> None:
        words = ("migrate", "resolve", str(change["id"]), how, "--reason", "nobody has it")
        assert shared.run(*words).code == 0

    settle("--done")
    assert "--skip" in shared.cleanup(1)["kept"][0]["why"]  # it is not in the new place all the same
    settle("--skip")
    assert shared.plan()["changes"] == 0
    shared.verify()
    assert shared.cleanup()["kept"] == [] and len(shared.scan(SHARES)) == 1
    settle("--done")
    shared.put(SHARES, row)  # and out of the row
    shared.migrate()
    assert shared.cleanup()["total"] == 1


def test_a_share_that_stands_under_another_sort_key_with_another_note_goes_by_the_operators_word(shared: Stage) -> None:
    shared.put(
        ROWS,
        {"PK": s(f"{ANN}#amplify-shares#received"), "SK": s(f"{BOB}#2020-01-01#1"), "appId": s(f"{ANN}#amplify-shares"),
         "entityType": s("received"), "data": {"M": {**share("there")["M"], "note": s("newer")}}},
    )  # fmt: skip
    for _ in range(2):  # it is told by the plan that finds it under the old id, and by that which finds the copy
        shared.migrate()
        (kept,) = (entry for entry in shared.entries() if entry.state == "kept")
        assert kept.detail["at"] == "b-200#2020-01-01#1"
    assert "another note" in shared.cleanup(1)["kept"][0]["why"]
    words = ("migrate", "resolve", str(kept.id), "--done", "--reason", "the newer one is right")
    assert shared.run(*words).code == 0
    shared.verify()
    shared.cleanup()
    (left,) = (row for row in shared.scan(ROWS) if row["entityType"] == s("received"))
    assert left["data"]["M"]["note"] == s("newer") and shared.scan(SHARES) == []
