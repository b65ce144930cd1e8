"""Services that write while a cleanup or a rollback runs: what they wrote stays, and is listed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wizard.faults import deny
from tests.wizard.migration import few
from tests.wizard.migration.few import ACCESS, ACCOUNTS, CHATS, COSTS
from tests.wizard.migration.stage import ANN, BOB, MAP, Item, Stage, before, n, run, s
from wizard.errors import Blocked
from wizard.migration.ledger import Ledger
from wizard.progress_facts import ledger_facts
from wizard.wire import from_json_line

LEFT = "a service has changed it since; it is left as it is"


def access(user: str, number: int, level: str = "read") -> Item:
    return {"object_id": s(f"o{number}"), "principal_id": s(user), "permission_level": s(level)}


@pytest.fixture
def done(stage: Stage) -> Stage:
    few.fill(stage).migrate()
    return stage


def test_what_services_write_during_a_cleanup_stays(done: Stage) -> None:
    context = done.context()

    def meddle(_: dict[str, Any]) -> None:
        done.set(ACCESS, ("o0", ANN), permission_level=s("owner"))  # the old row is changed
        done.delete(ACCESS, "o2", "a-100")  # the new row is deleted
        done.set(ACCESS, ("o3", "a-100"), permission_level=s("write"))  # the new row is changed
        done.put(ACCESS, access(ANN, 9), access("a-100", 8))  # new rows under both ids
        done.delete(ACCESS, "o3", BOB)  # the old row is deleted
        done.set(ACCOUNTS, (BOB,), accounts={"L": []})

    before(context, "DeleteItem", meddle)
    ended = run(context, "cleanup", "apply")
    assert ended.code == 1
    assert {(one["place"], one["why"], one["count"]) for one in ended.document["kept"]} == {
        (done.name(ACCESS), "it was changed since it was copied; plan and apply again", 1),
        (done.name(ACCESS), "its twin is not proven: nothing is at the target", 1),
        (done.name(ACCOUNTS), "it was changed since it was copied; plan and apply again", 1),
    }
    stands = {(item["object_id"]["S"], item["principal_id"]["S"]): item for item in done.scan(ACCESS)}
    old = {where: item for where, item in stands.items() if where[1] in (ANN, BOB)}
    assert old == {("o0", ANN): access(ANN, 0, "owner"), ("o2", ANN): access(ANN, 2), ("o9", ANN): access(ANN, 9)}
    assert stands["o3", "a-100"] == access("a-100", 3, "write")
    assert ("o8", "a-100") in stands
    assert ("o3", "b-200") in stands
    assert done.get(ACCOUNTS, BOB) == {"user": s(BOB), "accounts": {"L": []}}
    judged = done.verify(1)
    assert judged["leftovers"]["tables"] == {done.name(ACCESS): 2, done.name(ACCOUNTS): 1}
    assert [one["verdict"] for one in judged["wrong"]] == ["missing"]
    done.migrate()
    done.cleanup()
    rows = {(item["object_id"]["S"], item["principal_id"]["S"]): item for item in done.scan(ACCESS)}
    assert {where for where in rows if where[1] in (ANN, BOB)} == set()
    assert rows["o0", "a-100"] == access("a-100", 0, "owner")
    assert {("o2", "a-100"), ("o9", "a-100")} <= rows.keys()


@pytest.mark.parametrize("words", [("cleanup", "apply"), ("rollback",)])
def test_what_a_service_adds_to_an_item_at_the_moment_of_its_deletion_is_put_back(
    done: Stage, words: tuple[str, ...]
) -> None:
    """No condition can name an attribute that was not there when the item was read."""
    context, added = done.context(), []

    def add(params: dict[str, Any]) -> None:
        if "lock" not in str(params):
            done.db.update_item(
                TableName=params["TableName"], Key=params["Key"], UpdateExpression="SET added = :a",
                ExpressionAttributeValues={":a": s("by a service")},
            )  # fmt: skip
            added.append((params["TableName"], params["Key"]))

    before(context, "DeleteItem", add, times=10_000)
    ended = run(context, *words)
    assert ended.code == 1
    assert len(added) > 10
    for table, key in added:
        assert done.db.get_item(TableName=table, Key=key)["Item"]["added"] == s("by a service"), (table, key)


@pytest.mark.parametrize("words", [("cleanup", "apply"), ("rollback",)])
def test_what_cannot_be_put_back_at_the_moment_of_its_deletion_is_told(stage: Stage, words: tuple[str, ...]) -> None:
    """Refused, it is named, never counts as deleted, and comes back with the next run; after a cancel it does at once."""
    stage.put(ACCOUNTS, {"user": s(ANN), "x": s("1")}, {"user": s(BOB), "x": s("1")})
    stage.migrate()
    cancelled = stage.context()

    def add(params: dict[str, Any]) -> None:
        stage.set(ACCOUNTS, (params["Key"]["user"]["S"],), added=s("secret-content"))

    before(cancelled, "DeleteItem", add, times=9)
    hook = "after-call.dynamodb.DeleteItem"
    cancelled.account.client("dynamodb").meta.events.register(hook, lambda **_: cancelled.control.cancel())
    assert run(cancelled, *words).code == 130
    assert len(stage.scan(ACCOUNTS)) == 4
    added = [item["user"]["S"] for item in stage.scan(ACCOUNTS) if "added" in item]
    for user in added:
        stage.put(ACCOUNTS, {"user": s(user), "x": s("1")})
    stage.verify()
    refused = stage.context()
    before(refused, "DeleteItem", add)
    deny(refused.account, "dynamodb", "PutItem")
    ended = run(refused, *words)
    assert ended.code == 1
    told = str(ended.document["failed"] if words[0] == "cleanup" else ended.document["left"])
    assert stage.name(ACCOUNTS) in told
    assert "could not be put back: " in told
    assert "secret-content" not in str(ended)
    assert ended.document["total"] == 1
    assert len(stage.scan(ACCOUNTS)) == 2
    taken = ended.document["still_to_put_back"]
    assert [one.partition(": user=")[0] for one in taken] == [stage.name(ACCOUNTS)]
    commands = [("migrate", "status"), ("cleanup", "verify")]
    for command in [*commands, ("migrate", "verify")]:
        told_again = stage.run(*command)
        assert (told_again.document["still_to_put_back"], told_again.code) == (taken, int(command[1] == "verify"))
    (plan,) = (fact for fact in ledger_facts(stage.context()) if fact.name == "plan")
    assert plan.value["still_to_put_back"] == 1
    stage.apply()  # nothing else is to be done
    assert [item["x"] for item in stage.scan(ACCOUNTS) if item.get("added") == s("secret-content")] == [s("1")]
    assert run(stage.context(), *words).code == (3 if words[0] == "cleanup" else 1)  # to the migration it is new by now
    stage.migrate()
    assert s("secret-content") in [
        item.get("added") for item in stage.scan(ACCOUNTS) if item["user"]["S"] in MAP.values()
    ]


def test_a_rollback_puts_back_an_item_whose_original_a_cleanup_elsewhere_takes_at_that_moment(stage: Stage) -> None:
    """The lock was broken by hand while a request was on its way."""
    stage.put(ACCOUNTS, {"user": s(ANN), "x": s("1")})
    stage.migrate()
    context = stage.context()

    def taken() -> None:
        raise Blocked("The lock was taken.")

    before(context, "DeleteItem", lambda _: stage.delete(ACCOUNTS, ANN))
    hook = "after-call.dynamodb.DeleteItem"
    context.account.client("dynamodb").meta.events.register(
        hook, lambda **_: setattr(context.account, "lock_held", taken)
    )
    ended = run(context, "rollback")
    assert (ended.code, ended.document["still_to_put_back"]) == (1, [])
    assert [item["user"] for item in stage.scan(ACCOUNTS)] == [s("a-100")]
    again = stage.run("rollback")
    assert (again.code, [one["why"] for one in again.document["left"]]) == (
        1, ["the old one is gone; the new one is left"],
    )  # fmt: skip


def test_a_rollback_after_a_cleanup_that_could_not_put_an_item_back_says_how_it_is(stage: Stage) -> None:
    stage.put(ACCOUNTS, {"user": s(ANN), "x": s("1")})
    stage.migrate()
    seeded, context = stage.dump(), stage.context()
    before(context, "DeleteItem", lambda _: stage.delete(ACCOUNTS, "a-100"))
    deny(context.account, "dynamodb", "PutItem")
    assert run(context, "cleanup", "apply").code == 1
    refused = stage.run("rollback")
    assert refused.code == 3 and "1 item that a cleanup took is still to be put back" in refused.text
    stage.apply()
    assert stage.run("rollback").code == 0
    assert stage.dump()[stage.name(ACCOUNTS)].items() < seeded[stage.name(ACCOUNTS)].items()
    assert stage.get(ACCOUNTS, ANN) == {"user": s(ANN), "x": s("1")}


def test_what_services_write_during_a_rollback_stays_and_is_listed(done: Stage) -> None:
    context = done.context()

    def meddle(_: dict[str, Any]) -> None:
        done.set(ACCESS, ("o0", "b-200"), permission_level=s("owner"))  # the new row is changed
        done.delete(ACCESS, "o2", BOB)  # the old row is deleted
        done.delete(ACCESS, "o3", "b-200")  # the new row is deleted
        done.set(ACCESS, ("o3", BOB), permission_level=s("write"))  # the old row is changed
        done.put(ACCESS, access(ANN, 9), access("a-100", 8))  # new rows under both ids
        done.set(CHATS, (f"{ANN}-0",), user=s("third"))  # what was changed in place is changed again
        done.set(CHATS, (f"{ANN}-1",), cost=n(7))  # another attribute of such a row
        done.delete(CHATS, f"{ANN}-2")
        done.set(COSTS, ("a-100", "c"), dailyCost=n(99))  # a sum grows

    meddled: list[bool] = []

    def once(params: dict[str, Any]) -> None:
        if not meddled and "lock" not in str(params):
            meddled.append(True)
            meddle(params)

    for operation in ("DeleteItem", "UpdateItem", "TransactWriteItems"):
        before(context, operation, once, times=10_000)
    ended = run(context, "rollback")
    assert ended.code == 1
    assert {(one["source"].rpartition("-dev-")[2], one["why"]) for one in ended.document["left"]} == {
        (f"chat-usage: id={ANN}-0", LEFT),
        (f"chat-usage: id={ANN}-2", "the item is gone"),
        (f"cost-calculations: accountInfo=c, id={ANN}", LEFT),
        (f"object-access: object_id=o0, principal_id={BOB}", LEFT),
        (f"object-access: object_id=o2, principal_id={BOB}", "the old one is gone; the new one is left"),
    }
    rows = {(item["object_id"]["S"], item["principal_id"]["S"]): item for item in done.scan(ACCESS)}
    assert rows["o0", "b-200"] == access("b-200", 0, "owner")
    assert rows["o0", BOB] == access(BOB, 0)
    assert rows["o2", "b-200"] == access("b-200", 2)
    assert rows["o3", BOB] == access(BOB, 3, "write")
    assert (rows["o9", ANN], rows["o8", "a-100"]) == (access(ANN, 9), access("a-100", 8))
    changed = {item["id"]["S"]: (item["user"]["S"], item["cost"]["N"]) for item in done.scan(CHATS)}
    assert (changed[f"{ANN}-0"], changed[f"{ANN}-1"], changed[f"{ANN}-3"]) == (
        ("third", "1.50"),
        (ANN, "7"),
        (ANN, "1.50"),
    )
    assert done.get(COSTS, "a-100", "c")["dailyCost"] == n(99)
    assert done.run("rollback").document["left_total"] == 5, "what is left is listed again"


def test_what_cannot_stand_again_beside_a_newer_item_is_merged_or_set_aside(stage: Stage) -> None:
    stage.put(ACCOUNTS, {"user": s(ANN), "x": s("1")}, {"user": s(BOB), "x": s("1")})
    stage.migrate()
    with Ledger(stage.folder / "workspace" / "ledger.sqlite") as ledger:
        for user in (ANN, BOB):
            ledger.add_taken([], stage.name(ACCOUNTS), ("user",), {"user": s(user), "x": s("1"), "added": s("y")})
    stage.put(ACCOUNTS, {"user": s(ANN), "x": s("1"), "newer": s("z")}, {"user": s(BOB), "x": s("2")})
    stage.apply()
    assert stage.get(ACCOUNTS, ANN) == {"user": s(ANN), "x": s("1"), "newer": s("z"), "added": s("y")}
    assert stage.get(ACCOUNTS, BOB) == {"user": s(BOB), "x": s("2")}
    (file,) = (stage.folder / "workspace" / "backups").glob("not-put-back-*")
    assert from_json_line(file.read_text()) == {"user": s(BOB), "x": s("1"), "added": s("y")}
    assert file.stat().st_mode & 0o777 == 0o600
    with Ledger(stage.folder / "workspace" / "ledger.sqlite") as ledger:
        assert ledger.taken() == []
        assert str(file) in ledger.findings()[-1]["text"]
