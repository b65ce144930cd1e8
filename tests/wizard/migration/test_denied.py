"""One table that may not be touched, or is gone in the middle of a run, stops no other, whatever the command."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wizard.migration import network
from tests.wizard.migration.stage import ANN, BOB, Ended, Stage, run, s
from wizard.migration.scan import LOCK_KEY

ACCOUNTS, ACCESS = "lambda/accounts", "object-access/object-access"


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_the_other_tables_go_on_and_it_is_named(stage: Stage, code: str) -> None:
    stage.put(ACCOUNTS, {"user": s(ANN), "accounts": {"L": []}}, {"user": s("x@example.edu"), "accounts": {"L": []}})
    stage.put(ACCESS, *({"object_id": s("o"), "principal_id": s(user)} for user in (ANN, BOB, "y@example.edu")))
    table, other, csv = stage.name(ACCOUNTS), stage.name(ACCESS), stage.csv()

    def without(*words: str) -> Ended:
        """A command in a run that reaches everything but one table."""
        context = stage.context()

        def refuse(request: Any, event_name: str, **_: Any) -> Any:
            # The lock item may be read: in a table where it may not, a lock could stand unseen, and nothing is written at all.
            touched = f'"{table}"'.encode() in request.body and LOCK_KEY.encode() not in request.body
            return network.reply(request, 400, code) if touched else None

        context.account.client("dynamodb").meta.events.register_first("before-send.dynamodb", refuse)
        ended = run(context, *words)
        assert ended.code in (0, 1), (words, ended.text)
        return ended

    missing = without("users", "missing", "--csv-file", csv)
    assert (missing.code, [one["id"] for one in missing.document["missing"]]) == (1, ["y@example.edu"])
    assert (missing.document["unread"], f"Not read: {table}" in missing.text) == ([table], True)
    assert without("migrate", "plan", "--csv-file", csv).document["changes"] == 2

    stage.plan()
    shown = {one["place"]: one["kind"] for one in without("backup", "create").document["tables"]}
    assert shown == {table: "failed", other: "pitr"}
    if code == "AccessDeniedException":  # a table that is gone is wrong usage
        saved = without("storage", "backup", "--table", table, other)
        assert (saved.code, [one["table"] for one in saved.document["backups"]]) == (1, [other])
        assert f"{table}: NOT saved: {code}" in saved.text
    assert without("migrate", "apply", "--dry-run").document["would"]["item copy"] == 2
    applied = without("migrate", "apply")
    assert (applied.code, applied.document["done"], len(applied.document["failed"])) == (1, 2, 1)
    # What cannot be looked at is never said to be free of old ids.
    assert table in without("migrate", "verify").document["leftovers"]["unread"] or code[0] == "R"
    stage.apply()
    stage.verify()
    verified = without("migrate", "verify")
    assert (verified.code, verified.document["verdicts"]) == (1, {"match": 2, "unknown": 1})
    undone = without("rollback", "--dry-run")
    assert (undone.code, undone.document["total"], undone.document["left_total"]) == (0, 2, 1)
    undone = without("rollback")
    assert (undone.code, undone.document["total"], undone.document["left_total"]) == (1, 2, 1)
    assert stage.run("rollback").document["total"] == 1

    stage.migrate()
    assert without("cleanup", "plan").document["kept_total"] == 1
    assert without("cleanup", "mark").document["total"] == 2
    if code == "AccessDeniedException":  # what cannot be searched may hold new items under old ids: nothing is deleted
        before = stage.dump()
        with pytest.raises(AssertionError, match="could not be read, so that new items under old ids may stand there"):
            without("cleanup", "apply")
        assert stage.dump() == before
        assert stage.cleanup()["total"] == 3
    else:
        cleaned = without("cleanup", "apply")
        assert (cleaned.code, cleaned.document["total"], cleaned.document["kept_total"]) == (1, 2, 1)
        assert stage.cleanup()["total"] == 1
    read_back = without("cleanup", "verify")
    assert (read_back.code, read_back.document["right"]) == (1, 2)
    assert "could not be read" in read_back.document["wrong"][0]
    assert stage.run("cleanup", "verify").code == 0
    assert {item["user"]["S"] for item in stage.scan(ACCOUNTS)} == {"a-100", "x@example.edu"}
