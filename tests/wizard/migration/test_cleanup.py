"""Cleanup deletes proven copies only, keeps everything else with its reason, and reads back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wizard.faults import deny
from tests.wizard.migration import network
from tests.wizard.migration.stage import (
    ANN,
    BOB,
    EVE,
    MAP,
    Item,
    Killed,
    Stage,
    before,
    die_once_answered,
    n,
    requests_of,
    run,
    s,
)
from tests.wizard.migration.test_intents import refuse
from wizard.events import Event, Feed, Progress
from wizard.migration.ledger import Ledger
from wizard.migration.scan import MARK
from wizard.progress_facts import ledger_facts

USERS, ACCESS, TASKS = "object-access/cognito-users", "object-access/object-access", "agent-loop/scheduled-tasks"
ACCOUNTS = "lambda/accounts"


def access(user: str, level: str = "read") -> Item:
    return {"object_id": s("o"), "principal_id": s(user), "permission_level": s(level)}


@pytest.fixture
def done(stage: Stage) -> Stage:
    """Two users, migrated and verified."""
    stage.put(ACCESS, access(ANN), access(BOB), access(EVE))
    stage.put(USERS, {"user_id": s(ANN)}, {"user_id": s(BOB)})
    stage.put(TASKS, {"user": s(ANN), "taskId": s("t"), "active": n(1)})
    stage.migrate()
    return stage


def kept(document: dict[str, Any]) -> dict[str, str]:
    return {one["place"]: one["why"] for one in document["kept"]}


def facts_of(stage: Stage) -> dict[str, Any]:
    return {fact.name: fact.value for fact in ledger_facts(stage.context())}


def principals(stage: Stage) -> set[str]:
    return {item["principal_id"]["S"] for item in stage.scan(ACCESS)}


def test_proven_copies_go_and_nothing_else(done: Stage) -> None:
    assert "has a row" not in done.run("users", "check", done.csv()).text, "what this migration copied is no news"
    document = done.cleanup()
    assert document["tables"] == {done.name(USERS): 2, done.name(ACCESS): 2, done.name(TASKS): 1}
    assert principals(done) == {"a-100", "b-200", EVE}
    assert done.scan(TASKS) == [{"user": s("a-100"), "taskId": s("t"), "active": n(1)}]
    assert {entry.state for entry in done.entries()} == {"cleaned"}
    ended = done.run("cleanup", "verify")
    right = {"checked": 5, "right": 5, "records": 5, "wrong": [], "still_to_put_back": []}
    assert (ended.code, ended.document) == (0, right)
    assert done.cleanup()["total"] == 0


def test_progress_is_told_per_table_with_its_total(done: Stage) -> None:
    counts = {done.name(USERS): 2, done.name(ACCESS): 2, done.name(TASKS): 1}

    def told(*words: str, phase: str) -> dict[str, tuple[int, int | None]]:
        events: list[Event] = []
        context, last = done.context(), {}
        context.feed = Feed(events.append)
        assert run(context, *words).code == 0
        for event in events:
            if isinstance(event, Progress) and event.phase == phase:
                last[event.task] = (event.done, event.total)
        return last

    expected = {name: (count, count) for name, count in counts.items()}
    assert told("migrate", "verify", phase="verify") == expected
    assert told("cleanup", "plan", phase="look") == expected
    assert told("cleanup", "mark", phase="mark") == expected
    assert told("rollback", "--dry-run", phase="rollback") == expected
    assert told("cleanup", "apply", phase="cleanup") == expected


def test_identities_go_first(done: Stage) -> None:
    context = done.context()
    order: list[str] = []
    before(context, "DeleteItem", lambda params: order.append(params["TableName"]), times=99)
    assert run(context, "cleanup", "apply").code == 0
    assert order[:2] == [done.name(USERS)] * 2
    assert order.count(done.name(ACCESS)) == 2


def test_nothing_is_deleted_before_it_is_verified(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN))
    stage.plan()
    for words in (("cleanup", "plan"), ("cleanup", "apply"), ("cleanup", "mark")):
        assert stage.run(*words).code == 3
    stage.apply()
    ended = stage.run("cleanup", "apply")
    assert (ended.code, "migrate verify" in ended.text) == (3, True)
    assert stage.run("cleanup", "plan", "--objects").code == 3
    assert "cleanup_objects" not in stage.context().workspace.settings(), "a plan that was refused asks for nothing"
    stage.verify()
    stage.set(ACCESS, ("o", ANN), permission_level=s("write"))
    stage.plan()
    stage.apply()
    assert stage.run("cleanup", "apply").code == 3, "what was applied since is not verified yet"
    assert principals(stage) == {ANN, "a-100"}


@pytest.mark.parametrize("killed", [False, True])
def test_a_verification_from_before_a_rollback_proves_nothing(done: Stage, killed: bool) -> None:
    if killed:
        context = done.context()
        die_once_answered(context, "DeleteItem")
        with pytest.raises(Killed):
            done.run("rollback", context=context)
    done.set(ACCESS, ("o", "a-100"), permission_level=s("owner"))
    assert killed or done.run("rollback").code == 1
    for words in (("cleanup", "plan"), ("cleanup", "apply"), ("cleanup", "mark")):
        ended = done.run(*words)
        assert (ended.code, "migrate verify" in ended.text) == (3, True)
    assert {ANN, BOB, EVE, "a-100"} <= principals(done)
    assert facts_of(done)["verification"]["clean"] is False, "the wizard's lock says the same"


def test_a_twin_that_holds_the_old_id_again_is_no_proof(done: Stage) -> None:
    edited = done.get(USERS, "a-100")
    assert edited is not None
    done.put(USERS, {name: value for name, value in edited.items() if name != "email"})
    document = done.cleanup(1)
    assert kept(document) == {done.name(USERS): "its twin is not proven: email does not hold what was written"}
    assert {item["user_id"]["S"] for item in done.scan(USERS)} == {ANN, "a-100", "b-200"}


def test_what_a_rollback_left_does_not_hold_up_a_later_turn_for_good(done: Stage) -> None:
    edited = done.get(USERS, "a-100")
    assert edited is not None
    done.put(USERS, {name: value for name, value in edited.items() if name != "email"})
    assert done.run("migrate", "verify").code == 1
    assert done.run("rollback").code == 1
    done.plan()
    done.apply()
    done.verify()
    assert done.run("cleanup", "plan").code == 0
    assert facts_of(done)["verification"]["clean"] is True, "the wizard's lock says the same"


def test_a_twin_that_is_gone_keeps_the_old_one(done: Stage) -> None:
    context = done.context()
    before(context, "DeleteItem", lambda _: None)
    done.run("cleanup", "plan")
    done.delete(ACCESS, "o", "b-200")
    ended = done.run("cleanup", "apply")
    assert ended.code in (1, 3)
    assert {BOB, "a-100"} <= principals(done)


def test_an_old_item_that_was_changed_stays(done: Stage) -> None:
    done.set(TASKS, (ANN, "t"), taskName=s("renamed"))
    ended = done.run("cleanup", "apply")
    assert (ended.code, "appeared since" in ended.text) == (3, True)
    assert len(done.scan(TASKS)) == 2
    assert principals(done) == {ANN, BOB, EVE, "a-100", "b-200"}, "nothing at all is deleted"


def test_an_old_item_that_changes_during_cleanup_stays(done: Stage) -> None:
    context = done.context()

    def meddle(params: dict[str, Any]) -> None:
        if params["TableName"] == done.name(ACCESS) and params["Key"]["principal_id"] == s(BOB):
            done.set(ACCESS, ("o", BOB), permission_level=s("owner"))

    before(context, "DeleteItem", meddle, times=99)
    ended = run(context, "cleanup", "apply")
    assert ended.code == 1
    assert kept(ended.document) == {done.name(ACCESS): "it was changed since it was copied; plan and apply again"}
    assert principals(done) == {BOB, EVE, "a-100", "b-200"}


def test_deletions_whose_answer_is_lost_or_that_meet_a_transaction_are_done(done: Stage) -> None:
    context, hit = done.context(), set[bytes]()

    def meet(request: Any, **_: Any) -> Any:
        if "DeleteItem" not in request.headers["X-Amz-Target"].decode() or request.body in hit:
            return None
        hit.add(request.body)
        if done.name(TASKS).encode() in request.body:
            return network.reply(request, 400, "TransactionConflictException")
        return network.lost(request) if done.name(ACCESS).encode() in request.body else None

    context.account.client("dynamodb").meta.events.register_first("before-send.dynamodb", meet)
    ended = run(context, "cleanup", "apply")
    assert (ended.code, ended.document["total"], ended.document["kept"]) == (0, 5, [])
    assert {entry.state for entry in done.entries()} == {"cleaned"}
    assert principals(done) == {"a-100", "b-200", EVE}


def test_what_cannot_be_read_is_kept(done: Stage) -> None:
    context = done.context()

    def afterwards(**_: Any) -> None:
        deny(context.account, "dynamodb", "GetItem")

    context.account.client("dynamodb").meta.events.register("after-call.dynamodb.Scan", afterwards)
    stored = done.dump()
    ended = run(context, "cleanup", "apply")
    assert ended.code in (1, 3)
    lock_free = {table: {k: v for k, v in items.items() if "#lock" not in k} for table, items in done.dump().items()}
    assert lock_free == stored


def test_a_plan_of_cleanup_says_the_same_and_deletes_nothing(done: Stage) -> None:
    stored, context = done.dump(), done.context()
    seen = requests_of(context)
    ended = run(context, "cleanup", "plan")
    assert ended.document["tables"] == {done.name(USERS): 2, done.name(ACCESS): 2, done.name(TASKS): 1}
    assert (done.dump(), seen["DeleteItem"]) == (stored, 0)


def test_an_old_item_that_comes_back_is_told(done: Stage) -> None:
    done.cleanup()
    done.put(ACCESS, access(ANN))
    ended = done.run("cleanup", "verify")
    assert (ended.code, ended.document["wrong"]) == (1, [f"{done.name(ACCESS)}: the old item is there again"])
    done.migrate()
    done.cleanup()
    assert principals(done) == {"a-100", "b-200", EVE}


def test_a_copy_that_is_gone_after_cleanup_is_told(done: Stage) -> None:
    done.cleanup()
    done.delete(ACCESS, "o", "a-100")
    ended = done.run("cleanup", "verify")
    assert (ended.code, len(ended.document["wrong"])) == (1, 1)


def test_marked_items_stay_and_can_go_later(done: Stage) -> None:
    before = done.dump()
    looked = done.run("cleanup", "mark", "--dry-run")
    assert (looked.code, looked.document["total"], looked.document["action"]) == (0, 5, "to be marked")
    assert done.dump() == before and not done.context().workspace.settings()["kept"]
    ended = done.run("cleanup", "mark")
    assert (ended.code, ended.document["total"]) == (0, 5)
    marked = {item["principal_id"]["S"] for item in done.scan(ACCESS) if MARK in item}
    assert marked == {ANN, BOB}
    assert done.plan()["changes"] == 0, "the mark is no change"
    assert done.context().workspace.settings()["kept"] is True
    done.apply()
    done.verify()
    assert done.run("cleanup", "mark").code == 0
    done.cleanup()
    assert principals(done) == {"a-100", "b-200", EVE}
    assert not any(MARK in item for item in done.scan(ACCESS))
    done.put(ACCESS, {"object_id": s("new"), "principal_id": s(ANN), "permission_level": s("read")})
    done.plan()
    assert done.context().workspace.settings()["kept"] is False, "what this plan retains is another question"


def test_a_clash_that_was_merged_is_cleaned(stage: Stage) -> None:
    stage.put(ACCESS, access(ANN, "owner"), access("a-100"), access(BOB), access("b-200", "owner"))
    stage.migrate()
    stage.cleanup()
    assert sorted(stage.scan(ACCESS), key=str) == sorted([access("a-100", "owner"), access("b-200", "owner")], key=str)


def test_an_item_that_lost_against_another_is_never_deleted(stage: Stage) -> None:
    def row(user: str, created: int) -> Item:
        return {"PK": s(f"{user}#x#t"), "SK": s("1"), "createdAt": n(created), "data": s(f"of {created}")}

    stage.put("lambda/user-data-storage", row(ANN, 1), row("a-100", 2))
    stage.migrate()
    stage.cleanup()
    assert len(stage.scan("lambda/user-data-storage")) == 2


def test_a_row_of_shares_goes_only_when_all_its_content_stands(stage: Stage) -> None:
    stage.create("lambda/user-data-storage")
    stage.bucket("lambda/consolidation")
    share = stage.bucket("lambda/share")
    for name in ("1", "2"):
        stage.aws.client("s3").put_object(Bucket=share, Key=f"{ANN}/{BOB}/2024-01-31/{name}.json", Body=b"{}")
    there = {"M": {"sharedBy": s(BOB), "sharedAt": n(1), "key": s(f"{ANN}/{BOB}/2024-01-31/1.json"), "note": s("")}}
    lost = {"M": {"sharedBy": s(BOB), "sharedAt": n(1), "key": s(f"{ANN}/{BOB}/2024-01-31/lost.json"), "note": s("")}}
    second = {"M": {**there["M"], "key": s(f"{ANN}/{BOB}/2024-01-31/2.json")}}
    stage.put("lambda/", {"id": s(f"{ANN}/1"), "user": s(ANN), "data": {"L": [there]}, "settings": {"M": {"a": n(1)}}})
    stage.put("lambda/", {"id": s(f"{ANN}/2"), "user": s(ANN), "data": {"L": [second, lost]}})
    precious = {"M": {"a": n(1)}}
    stage.put("lambda/", {"id": s(f"{BOB}/3"), "user": s(BOB), "settings": precious, "data": precious})
    same: Item = {"user": s(ANN), "data": {"L": [there]}}  # in several rows, as services that raced left it
    stage.put("lambda/", {**same, "id": s(f"{ANN}/4"), "settings": s("{}")}, {**same, "id": s(f"{ANN}/5")})
    stage.put("lambda/", {**same, "id": s(f"{ANN}/6"), "\x1bdrafts": {"L": []}})
    twice = {"M": {**there["M"], "note": s("again")}}
    stage.put("lambda/", {**same, "id": s(f"{ANN}/7"), "data": {"L": [there, there, twice]}})
    stage.put("lambda/", {"id": s(f"{EVE}/1"), "user": s(EVE), "data": {"L": []}})
    stage.migrate()
    assert stage.plan()["changes"] == 0
    stage.verify()
    assert facts_of(stage)["retained"] == 7  # rows, of which one is the source of two changes
    document = stage.cleanup(1)
    assert stage.run("cleanup", "verify").document["records"] == 2 and facts_of(stage)["retained"] == 5
    assert {one["why"].partition("; `")[0] for one in document["kept"]} == {
        "its shares are not all verified in the new place: the shared conversation is missing",
        "it holds \\x1bdrafts besides, which is copied nowhere",
        "its data are of a type that services do not write, and copied nowhere",
        "its settings are of a type that services do not write, and copied nowhere",
        f"it holds the share {there['M']['key']['S']} twice and differently; remove one of them",
    }
    left = {f"{ANN}/2", f"{ANN}/4", f"{ANN}/6", f"{ANN}/7", f"{BOB}/3", f"{EVE}/1"}
    assert {item["id"]["S"] for item in stage.scan("lambda/")} == left


@pytest.mark.parametrize("denied", [False, True])
def test_an_item_whose_twin_vanishes_at_that_moment_is_put_back(done: Stage, denied: bool) -> None:
    context = done.context()

    def vanish(params: dict[str, Any]) -> None:
        if params["TableName"] == done.name(ACCESS) and params["Key"]["principal_id"] == s(ANN):
            done.delete(ACCESS, "o", "a-100")

    before(context, "DeleteItem", vanish, times=9)
    if denied:
        refuse(context, "dynamodb", "PutItem", lambda request: f'"{done.name(ACCESS)}"'.encode() in request.body)
    ended = run(context, "cleanup", "apply")
    assert (ended.code, ended.document["kept_total"], len(ended.document["failed"])) == (
        1,
        int(not denied),
        int(denied),
    )
    if denied:
        assert "the twin of object_id=o, principal_id=ann@example.edu vanished" in ended.document["failed"][0]
        assert ANN not in principals(done)
        done.run("cleanup", "apply")  # whatever it ends in, it puts back first
    else:
        assert "it was put back" in kept(ended.document)[done.name(ACCESS)]
    assert done.get(ACCESS, "o", ANN) == access(ANN)


def test_objects_are_looked_at_on_both_sides_afterwards(stage: Stage) -> None:
    s3, new, old = (
        stage.aws.client("s3"),
        stage.bucket("lambda/consolidation"),
        stage.bucket("lambda/user-conversations"),
    )
    for name in ("right", "again", "missing", "denied", "written", "foreign"):
        s3.put_object(Bucket=old, Key=f"{ANN}/{name}", Body=name.encode())
    stage.migrate()
    assert "\nDry run: 6 source objects would be deleted." in stage.run("cleanup", "plan", "--objects").text
    s3.put_object(Bucket=old, Key=f"{ANN}/again", Body=b"changed")
    looked = stage.run("cleanup", "plan", "--objects").document
    assert (looked["total"], kept(looked)) == (5, {old: "the source was changed since it was planned"})
    s3.put_object(Bucket=old, Key=f"{ANN}/again", Body=b"again")
    document = stage.cleanup()
    assert (document["total"], document["objects"]) == (6, 6)
    assert stage.run("cleanup", "verify").document["right"] == 6
    targets = {entry.source_key.rpartition("/")[2]: entry.target_key for entry in stage.entries()}
    s3.put_object(Bucket=old, Key=f"{ANN}/again", Body=b"again")
    s3.delete_object(Bucket=new, Key=targets["missing"])
    for name in ("written", "foreign"):  # one by a service since, the other before the old object went
        s3.put_object(Bucket=new, Key=targets[name], Body=b"something else")
    with Ledger(stage.context().workspace.ledger) as ledger, ledger.transaction():
        ledger._db.execute("UPDATE changes SET updated = updated + 60 - 120 * (source_key LIKE '%/written')")
    context = stage.context()
    context.account.client("s3").meta.events.register_first(
        "before-send.s3.HeadObject",
        lambda request, **_: network.reply(request, 403, "AccessDenied") if targets["denied"] in request.url else None,
    )
    ended = run(context, "cleanup", "verify")
    assert (ended.code, ended.document["checked"], ended.document["right"]) == (1, 6, 2)
    assert sorted(ended.document["wrong"]) == [
        f"{old}: could not be read: 403: Forbidden (HeadObject)",
        f"{old}: the copy is missing",
        f"{old}: the copy is not as written",
        f"{old}: the old object is there again",
    ]


def test_a_table_that_may_not_be_deleted_from_does_not_stop_the_others(done: Stage) -> None:
    context = done.context()

    def refuse(params: dict[str, Any], **_: Any) -> None:
        if params["TableName"] == done.name(ACCESS):
            params["TableName"] = "amplify-v6-not-there"

    context.account.client("dynamodb").meta.events.register("provide-client-params.dynamodb.DeleteItem", refuse)
    ended = run(context, "cleanup", "apply")
    assert (ended.code, ended.document["total"], ended.document["kept_total"]) == (1, 3, 2)
    assert done.cleanup()["total"] == 2, "the same command takes up what is left"


def test_a_cleanup_that_is_stopped_records_what_it_deleted(done: Stage) -> None:
    stored, context = done.dump(), done.context()
    before(context, "DeleteItem", lambda _: context.control.cancel())
    assert run(context, "cleanup", "apply").code == 130
    gone = sum(len(items) - len(done.dump()[table]) for table, items in stored.items())
    cleaned = [entry for entry in done.entries() if entry.state == "cleaned"]
    assert len(cleaned) == gone > 0
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        (stopped,) = [one for one in ledger.runs() if one["step"] == "7"]
    assert (stopped["code"], stopped["detail"]["total"]) == (130, gone)
    assert done.run("rollback").code == 3, "what is deleted cannot be put back"
    assert done.cleanup()["total"] == 5 - gone


def test_an_old_item_with_an_attribute_that_its_twin_has_lost_stays(stage: Stage) -> None:
    """Verification judges the ids; the accounts of a user are in no edit."""
    same = {"accounts": {"L": [{"M": {"id": s("1")}}]}, "note": s("x")}
    stage.put(ACCOUNTS, *({"user": s(user), **same} for user in (ANN, BOB, EVE, "dan")))
    stage.put(ACCOUNTS, {"user": s("e-300"), "accounts": {"L": []}})
    stage.migrate({**MAP, EVE: "e-300", "dan": "d-400"})
    stage.put(ACCOUNTS, {"user": s("a-100"), "note": s("x")})  # a copy that lost an attribute
    stage.set(ACCOUNTS, ("b-200",), accounts={"L": []})  # one that lost all members of a list
    stage.set(ACCOUNTS, ("d-400",), note=s("newer"), accounts={"L": [{"M": {"id": s("2")}}]})  # one of other values
    stage.set(ACCOUNTS, ("e-300",), added=s("y"))  # one that was merged
    assert stage.verify()["changed_since"] == 4
    document = stage.cleanup(1)
    assert kept(document) == {stage.name(ACCOUNTS): "its twin was changed since and has no accounts any more"}
    assert {item["user"]["S"] for item in stage.scan(ACCOUNTS)} == {ANN, BOB, "a-100", "b-200", "d-400", "e-300"}
