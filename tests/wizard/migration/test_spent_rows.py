"""Old rows of sums: at zero between the transaction that adds them up and their deletion, whatever happens there."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from tests.wizard.migration.stage import (
    ANN,
    MAP,
    Killed,
    Stage,
    before,
    die_at,
    die_once_answered,
    kill_apply,
    n,
    run,
    s,
)
from tests.wizard.migration.test_intents import refuse, twice
from wizard.cli import build_parser

COSTS, HISTORY = "lambda/cost-calculations", "lambda/history-cost-calculations"


def cost(user: str, daily: str, **more: Any) -> dict[str, Any]:
    return {"id": s(user), "accountInfo": s("c"), "dailyCost": n(daily), **more}


def deny_deletion(stage: Stage) -> Any:
    context = stage.context()
    refuse(context, "dynamodb", "DeleteItem", lambda request: b"cost-calculations" in request.body)
    return context


def kill(stage: Stage, operation: str, *words: str, unsent: bool = False) -> None:
    """A command that is killed at an operation on the table of costs, if it comes to one."""
    context = stage.context()
    if unsent:
        die_at(context, "dynamodb", operation)
    else:
        die_once_answered(context, operation)
    with suppress(Killed):
        run(context, *words)


@pytest.mark.parametrize("row", [cost(ANN, "0"), {"id": s(ANN), "accountInfo": s("c")}])
@pytest.mark.parametrize("then", ["apply", "plan", "rollback"])
def test_a_killed_move_of_a_row_without_costs_is_undone(stage: Stage, row: dict[str, Any], then: str) -> None:
    stage.put(COSTS, row)
    seeded = stage.dump()
    stage.plan()
    kill_apply(stage, "PutItem")
    if then != "rollback":
        if then == "plan":
            stage.plan()
        stage.apply()
        stage.verify()
        assert [item["id"] for item in stage.scan(COSTS)] == [s(MAP[ANN])]
    assert stage.run("rollback").code == 0
    assert stage.dump() == seeded


@pytest.mark.parametrize("unsent", [True, False])
@pytest.mark.parametrize("then", ["apply", "plan", "rollback"])
def test_a_row_without_costs_is_not_removed_for_one_that_a_service_wrote(stage: Stage, then: str, unsent: bool) -> None:
    stage.put(COSTS, cost(ANN, "0", note=s("mine")))
    stage.plan()
    kill_apply(stage, "PutItem", unsent=unsent)
    stage.put(COSTS, cost(MAP[ANN], "0.07"))
    if then == "apply":
        stage.apply()
    if then != "rollback":
        stage.plan()
        stage.apply()
        stage.verify()
        assert stage.scan(COSTS) == [cost(MAP[ANN], "0.07", note=s("mine"))]
    assert stage.run("rollback").code == 1, "whether the new row was ours at first cannot be told"
    assert stage.get(COSTS, ANN, "c") == cost(ANN, "0", note=s("mine"))


def test_a_row_without_costs_of_which_the_network_makes_two_requests_is_undone(stage: Stage) -> None:
    stage.put(COSTS, cost(ANN, "0"))
    seeded, context = stage.dump(), stage.context()
    stage.plan()
    twice(context)
    assert run(context, "migrate", "apply").code == 0
    assert [item["id"] for item in stage.scan(COSTS)] == [s(MAP[ANN])]
    assert stage.run("rollback").code == 0
    assert stage.dump() == seeded


@pytest.mark.parametrize("there", ["", "0.2"])
def test_what_a_service_spends_under_the_old_id_counts_also_where_it_is_as_much_as_before(
    stage: Stage, there: str
) -> None:
    stage.put(COSTS, cost(ANN, "0.5"), *([cost(MAP[ANN], there)] if there else []))
    stage.plan()
    stage.apply()
    stage.put(COSTS, cost(ANN, "0.5"))
    kill(stage, "TransactWriteItems", "rollback")
    assert stage.run("rollback").code == 0
    assert stage.get(COSTS, ANN, "c") == cost(ANN, "1.0")
    assert stage.get(COSTS, MAP[ANN], "c") == (cost(MAP[ANN], there) if there else None)


@pytest.mark.parametrize("there", ["", "0.2"])
@pytest.mark.parametrize("then", ["apply", "plan", "rollback"])
def test_a_row_that_holds_as_much_as_before_after_a_kill_does_not_tell_whether_it_was_summed(
    stage: Stage, there: str, then: str
) -> None:
    stage.put(COSTS, cost(ANN, "0.5"), *([cost(MAP[ANN], there)] if there else []))
    stage.plan()
    kill_apply(stage, "TransactWriteItems")
    stage.set(COSTS, (ANN, "c"), dailyCost=n("0.5"))
    standing = stage.dump()
    if then == "plan":
        stage.plan()
    if then != "rollback":
        stage.apply(3)
        stage.plan()
        stage.apply(3)
    ended = stage.run("rollback")
    assert ended.code == 1 and "compare both rows" in ended.document["left"][0]["why"]
    assert stage.dump() == standing
    (entry,) = stage.entries()
    words = ("migrate", "resolve", str(entry.id), "--skip", "--reason", "compared")
    assert stage.run(*words).code == 0 and stage.run("rollback").code == 0


@pytest.mark.parametrize("then", ["denied", "taken"])
def test_what_a_service_adds_to_a_standing_row_as_it_goes_is_never_lost(stage: Stage, then: str) -> None:
    stage.put(COSTS, cost(ANN, "0.5"))
    stage.plan()
    run(deny_deletion(stage), "migrate", "apply")
    context, hourly = stage.context(), {"L": [n("0.3")]}
    before(context, "DeleteItem", lambda _: stage.set(COSTS, (ANN, "c"), hourlyCost=hourly))
    if then == "denied":
        refuse(context, "dynamodb", "PutItem", lambda request: b"cost-calculations" in request.body)
    else:
        before(context, "PutItem", lambda _: stage.put(COSTS, cost(ANN, "0.1")))
    ended = run(context, "migrate", "apply")
    assert (ended.code, len(ended.document["still_to_put_back"]), ended.document["still_to_remove"]) == (1, 1, 0)
    stage.apply()
    if then == "taken":
        found = stage.run("report").document["report"]["findings"]
        assert any("another item stands at" in one["text"] for one in found)
        return
    assert (stage.get(COSTS, ANN, "c") or {})["hourlyCost"] == hourly
    stage.plan()
    stage.apply()
    stage.verify()
    assert stage.scan(COSTS) == [cost(MAP[ANN], "0.5", hourlyCost=hourly)]


def test_a_standing_row_is_told_and_asked_for_before_it_goes(stage: Stage) -> None:
    def asked() -> list[str] | None:
        arguments = build_parser().parse_args(["migrate", "apply"])
        told = arguments.announce(arguments, stage.context())
        return None if told is None else list(told)

    stage.put(COSTS, cost(ANN, "0.5"))
    stage.plan()
    run(deny_deletion(stage), "migrate", "apply")
    assert "1 old row of a sum, at zero, will be removed." in (asked() or [])
    dry, status = stage.run("migrate", "apply", "--dry-run"), stage.run("migrate", "status")
    assert "1 old row of sums, at zero, removed" in dry.text and dry.document["would"] == {"item remove": 1}
    assert status.document["still_to_remove"] == 1 and "Still to be removed: 1 old row of a sum" in status.text
    stage.verify(1)
    assert stage.run("cleanup", "apply").code == 3
    stage.apply()
    assert asked() is None
    stage.verify()


def test_the_amount_of_a_sum_is_on_record_also_where_its_new_row_is_gone(stage: Stage) -> None:
    stage.put(COSTS, cost(ANN, "0.5"))
    seeded = stage.dump()
    stage.plan()
    run(deny_deletion(stage), "migrate", "apply")
    stage.delete(COSTS, MAP[ANN], "c")
    stage.verify(1)
    stage.apply(3)
    stage.plan()
    stage.apply()
    stage.verify()
    assert stage.run("rollback").code == 0
    assert stage.dump() == seeded


@pytest.mark.parametrize("moment", ["before the transaction", "before the deletion", "after it"])
@pytest.mark.parametrize("spent", ["old", "both"])
@pytest.mark.parametrize("then", [["apply"], ["plan", "apply", "rollback"]])
def test_nothing_is_counted_twice_or_lost_in_any_window(stage: Stage, then: list[str], spent: str, moment: str) -> None:
    """Of two rows of one person, 0.5 and 0.25, with what services spend on either at the moment of a kill."""
    table, name, day = (HISTORY, "userDate", "#2025-01-01") if spent == "both" else (COSTS, "id", "")
    stage.put(table, *({name: s(f"{user}{day}"), "accountInfo": s("c"), "dailyCost": n(amount)}
                       for user, amount in ((ANN, "0.5"), (MAP[ANN], "0.25"))))  # fmt: skip
    stage.plan()
    operation = "TransactWriteItems" if "transaction" in moment else "DeleteItem"
    kill(stage, operation, "migrate", "apply", unsent=moment.startswith("before"))
    total = Decimal("0.75")
    for user, amount, which in ((ANN, "0.0625", "old"), (MAP[ANN], "0.03125", "new")):
        if spent in (which, "both"):
            standing = stage.get(table, f"{user}{day}", "c") or {name: s(f"{user}{day}"), "accountInfo": s("c")}
            before_it = Decimal(standing.get("dailyCost", n(0))["N"])
            stage.put(table, {**standing, "dailyCost": n(before_it + Decimal(amount))})
            total += Decimal(amount)
    ends = []
    for command in then:
        words = {"apply": ("migrate", "apply"), "plan": ("migrate", "plan", "--csv-file", stage.csv())}
        ends.append(stage.run(*words.get(command, (command,))))
    found = sum(Decimal(item["dailyCost"]["N"]) for item in stage.scan(table))
    told = any(end.code for end in ends)
    assert found == total or told, (found, total, ends)
    if "rollback" in then and not told:
        old = Decimal((stage.get(table, f"{ANN}{day}", "c") or {})["dailyCost"]["N"])
        assert old == Decimal("0.5") + (Decimal("0.0625") if spent in ("old", "both") else 0)
    if then[-1] == "apply" and not told:
        stage.plan()
        stage.apply()
        stage.verify()
        assert [Decimal(item["dailyCost"]["N"]) for item in stage.scan(table)] == [total]
