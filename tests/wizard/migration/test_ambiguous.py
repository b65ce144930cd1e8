"""Two people whose ids are spelled alike in user storage: nobody's rows are taken for the other's."""

from __future__ import annotations

from tests.wizard.migration.stage import Stage, s

STORAGE = "lambda/user-data-storage"
ACCOUNTS = "lambda/accounts"


def test_rows_under_a_spelling_that_two_people_share_stay(stage: Stage) -> None:
    row = {
        "PK": s("o-neil@example.edu#notes#note"),
        "SK": s("1"),
        "appId": s("o-neil@example.edu#notes"),
        "data": {"M": {}},
    }
    stage.put(STORAGE, row)
    stage.put(ACCOUNTS, {"user": s("o'neil@example.edu")}, {"user": s("o-neil@example.edu")})
    document = stage.plan({"o'neil@example.edu": "oneil1"})
    assert document["kept"] == 1
    stage.apply()
    assert stage.get(STORAGE, "o-neil@example.edu#notes#note", "1") == row
    assert stage.get(ACCOUNTS, "oneil1") is not None
