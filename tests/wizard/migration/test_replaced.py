"""Rows of one person under several spellings of one key: the newest stands under the new id, the others stay as they are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wizard.migration.stage import ANN, MAP, Stage, kill_apply, n, s

STORAGE, APP = "lambda/user-data-storage", "amplify-workflows"
PLAIN, DOUBLED = f"{ANN}#{APP}", f"{ANN}#ann-example-edu-{APP}"  # found in this order


def row(owner_and_app: str, when: int, text: str) -> dict[str, Any]:
    return {
        "PK": s(f"{owner_and_app}#workflow-templates"), "SK": s("t1"), "appId": s(owner_and_app),
        "entityType": s("workflow-templates"), "createdAt": n(when), "data": {"M": {"x": s(text)}},
    }  # fmt: skip


def texts(stage: Stage) -> dict[str, str]:
    return {item["appId"]["S"]: item["data"]["M"]["x"]["S"] for item in stage.scan(STORAGE)}


@pytest.mark.parametrize("then", ["", "apply", "plan"])
def test_a_row_that_a_newer_one_replaced_is_no_copy_also_after_a_kill(stage: Stage, then: str) -> None:
    stage.put(STORAGE, row(PLAIN, 1, "older"), row(DOUBLED, 2, "newer"))
    stage.plan()
    if then:
        kill_apply(stage, "UpdateItem")
    if then == "plan":
        stage.plan()
    stage.apply()
    stage.verify()
    again = stage.run("rollback", "--dry-run").document
    assert (again["total"], again["left"]) == (2, [])
    stage.cleanup()
    assert texts(stage) == {f"{MAP[ANN]}#{APP}": "newer", PLAIN: "older"}


def test_rows_that_replace_one_that_was_saved_again_come_to_an_end(stage: Stage) -> None:
    saved = {**row(f"{MAP[ANN]}#{APP}", 0, "oldest"), "updatedAt": n(1)}
    stage.put(STORAGE, saved, row(PLAIN, 2, "older"), row(DOUBLED, 3, "newer"))
    stage.migrate()
    assert stage.plan()["changes"] == 0
    stage.cleanup()
    assert texts(stage) == {f"{MAP[ANN]}#{APP}": "newer", PLAIN: "older"}


def test_a_row_of_task_logs_to_which_an_older_one_was_added_is_a_copy(stage: Stage) -> None:
    def logs(spelling: str, when: int, execution: str) -> dict[str, Any]:
        app = row(spelling.replace(APP, "amplify-agent-logs"), when, "")
        data = {"M": {"logs": {"M": {execution: s("done")}}}}
        return {**app, "PK": s(f"{app['appId']['S']}#scheduled-task-logs"), "entityType": s("scheduled-task-logs"),
                "data": data}  # fmt: skip

    stage.put(STORAGE, logs(PLAIN, 2, "newer"), logs(DOUBLED, 1, "older"))
    seeded = stage.dump()
    stage.migrate()
    assert stage.run("rollback").code == 0 and stage.dump() == seeded
    stage.migrate()
    stage.cleanup()
    (united, *others) = stage.scan(STORAGE)
    assert sorted(united["data"]["M"]["logs"]["M"]) == ["newer", "older"]
    assert [item["appId"] for item in others] == []


def test_of_three_rows_the_two_older_ones_are_no_copies(stage: Stage) -> None:
    stage.put(STORAGE, row(f"{MAP[ANN]}#{APP}", 0, "oldest"), row(PLAIN, 1, "older"), row(DOUBLED, 2, "newer"))
    seeded = stage.dump()
    stage.plan()
    stage.apply()
    assert stage.run("rollback").code == 0 and stage.dump() == seeded
    stage.plan()
    stage.apply()
    stage.verify()
    stage.cleanup()
    assert texts(stage) == {f"{MAP[ANN]}#{APP}": "newer", PLAIN: "older"}
