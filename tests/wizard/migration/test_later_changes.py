"""What users and services do between and after the runs: nothing of theirs is lost, and the work comes to an end."""

from __future__ import annotations

import pytest

from tests.wizard.faults import deny
from tests.wizard.migration.stage import ANN, BOB, Item, Stage, kill_apply, n, run, s

ASSISTANTS, KEYS, ACCOUNTS = "assistants/assistants", "object-access/api-keys", "lambda/accounts"
HISTORY, STORAGE = "lambda/history-cost-calculations", "lambda/user-data-storage"
STATES, SHARES, PROMPTS = "agent-loop/agent-state", "lambda/", "agent-loop/agent-event-templates"


def accounts(user: str, *ids: str, **more: Item) -> Item:
    return {"user": s(user), "accounts": {"L": [{"M": {"id": s(one)}} for one in ids]}, **more}


def states(stage: Stage) -> list[str]:
    return sorted(entry.state for entry in stage.entries())


def test_what_users_deleted_since_is_told_once_and_then_no_work_left(stage: Stage) -> None:
    stage.put(ASSISTANTS, {"id": s("ast/1"), "user": s(ANN)}, {"id": s("ast/2"), "user": s(ANN)})
    stage.put(KEYS, {"api_owner_id": s("x/ownerKey/1"), "owner": s(ANN), "delegate": s(BOB)})
    stage.put(ACCOUNTS, accounts(ANN, "1"))
    stage.migrate()
    stage.delete(ASSISTANTS, "ast/1")
    stage.put(KEYS, {"api_owner_id": s("x/ownerKey/1"), "owner": s("a-100")})
    stage.delete(ACCOUNTS, ANN)
    stage.delete(ACCOUNTS, "a-100")
    assert stage.verify(1)["verdicts"] == {"match": 1, "missing": 2, "differs": 1}
    told = [one["text"] for one in stage.plan()["findings"] if "could not be made or verified" in one["text"]]
    assert len(told) == 3
    assert stage.apply()["done"] == 0
    stage.verify()
    stage.cleanup()
    assert states(stage) == ["kept"] * 3 + ["verified"]


def test_a_table_that_is_not_read_keeps_its_changes_open(stage: Stage) -> None:
    stage.put(ASSISTANTS, {"id": s("ast/1"), "user": s(ANN)})
    stage.migrate()
    stage.delete(ASSISTANTS, "ast/1")
    stage.verify(1)
    stage.db.delete_table(TableName=stage.name(ASSISTANTS))
    stage.plan()
    assert states(stage) == ["failed"]


def test_a_copy_that_changed_since_the_plan_is_not_replaced_by_the_newer_old_item(stage: Stage) -> None:
    stage.put(ACCOUNTS, accounts(ANN, "1"))
    stage.migrate()
    stage.put(ACCOUNTS, accounts(ANN, "2"))
    assert stage.plan()["changes"] == 1
    stage.put(ACCOUNTS, accounts("a-100", "3", mine=s("x")))
    (conflict,) = stage.apply(3)["conflicts"]
    assert conflict["note"] == "the item under the new id was changed since the plan"
    stage.migrate()
    assert stage.get(ACCOUNTS, "a-100") == accounts("a-100", "3", "2", mine=s("x"))
    stage.put(ACCOUNTS, accounts(ANN, "2", "4"))
    stage.migrate()
    assert stage.get(ACCOUNTS, "a-100") == accounts("a-100", "3", "2", "4", mine=s("x")), "a merged one is no copy"


def test_what_is_written_anew_under_a_cleaned_id_is_merged_and_not_taken_for_the_whole(stage: Stage) -> None:
    def cost(user: str, amount: int) -> Item:
        return {"userDate": s(f"{user}#2025-08"), "accountInfo": s("c#NA"), "monthlyCost": n(amount)}

    stage.put(ACCOUNTS, accounts(ANN, "1", x=s("y")))
    stage.put(HISTORY, cost(ANN, 5), cost(BOB, 5))
    stage.migrate()
    stage.cleanup()
    stage.put(ACCOUNTS, accounts(ANN))
    stage.put(HISTORY, cost(ANN, 1), cost(BOB, 5))  # an equal amount is another one all the same
    stage.migrate()
    assert stage.get(ACCOUNTS, "a-100") == accounts("a-100", "1", x=s("y"))
    assert sorted(item["monthlyCost"]["N"] for item in stage.scan(HISTORY)) == ["10", "6"]
    stage.cleanup()
    assert stage.plan()["changes"] == 0


@pytest.mark.parametrize("newest", range(3))
def test_of_three_spellings_of_one_key_the_newest_stays_and_rollback_brings_all_back(stage: Stage, newest: int) -> None:
    spellings = (
        f"{ANN}#amplify-workflows",
        f"{ANN}#ann-example-edu-amplify-workflows",
        "a-100#a-100-amplify-workflows",
    )
    for number, spelled in enumerate(spellings):
        at = n(9 if number == newest else number)
        stage.put(STORAGE, {"PK": s(f"{spelled}#t"), "SK": s("1"), "updatedAt": at, "data": s(spelled)})
    seeded = stage.dump()
    for _ in range(3):
        stage.migrate()
    found = stage.get(STORAGE, "a-100#amplify-workflows#t", "1")
    assert found is not None
    assert found["data"] == s(spellings[newest])
    assert states(stage).count("verified") == 1
    assert stage.run("rollback").document["left"] == []
    assert stage.dump() == seeded


def test_a_loser_that_wins_later_is_undone_before_what_it_replaced(stage: Stage) -> None:
    def row(spelled: str, at: int) -> Item:
        return {"PK": s(f"{spelled}#t"), "SK": s("1"), "updatedAt": n(at), "data": s(spelled)}

    new, plain, doubled = (
        "a-100#amplify-workflows",
        f"{ANN}#amplify-workflows",
        f"{ANN}#ann-example-edu-amplify-workflows",
    )
    stage.put(STORAGE, row(new, 5), row(plain, 1))
    stage.migrate()
    stage.put(STORAGE, row(doubled, 6))
    stage.migrate()
    stage.put(STORAGE, row(plain, 7))
    stage.migrate()
    found = stage.get(STORAGE, f"{new}#t", "1")
    assert found is not None
    assert found["data"] == s(plain)
    assert stage.run("rollback").document["left"] == []
    assert stage.get(STORAGE, f"{new}#t", "1") == row(new, 5)


def test_a_pointer_follows_to_an_object_that_an_operator_copied_by_hand(stage: Stage) -> None:
    old, new = stage.bucket("agent-loop/agent-state"), stage.bucket("lambda/consolidation")
    memory = {"M": {"bucket": s(old), "key": s(f"{ANN}/1/agent_state.json")}}
    stage.put(STATES, {"user": s(ANN), "sessionId": s("1"), "memory": memory})
    s3 = stage.aws.client("s3")
    s3.put_object(Bucket=old, Key=f"{ANN}/1/agent_state.json", Body=b"{}")
    stage.plan()
    context = stage.context()
    deny(context.account, "s3", "CopyObject")
    assert run(context, "migrate", "apply").code == 1
    failed = next(entry for entry in stage.entries() if entry.kind == "object")
    s3.put_object(Bucket=new, Key="agentState/a-100/1/agent_state.json", Body=b"{ }")
    assert stage.run("migrate", "resolve", str(failed.id), "--done", "--reason", "copied it").code == 0
    stage.plan()
    stage.apply()
    assert stage.get(STATES, "a-100", "1") == {
        "user": s("a-100"), "sessionId": s("1"), "memory": {"M": {"key": s("agentState/a-100/1/agent_state.json")}},
    }  # fmt: skip
    stage.plan()
    stage.apply()
    stage.verify()


def test_an_item_of_a_pilot_user_and_a_later_one_goes_in_both_steps(stage: Stage) -> None:
    def share(recipient: str, sharer: str) -> Item:
        partition = f"{recipient}#amplify-shares"
        data = {"M": {"sharedBy": s(sharer)}}
        return {"PK": s(f"{partition}#received"), "SK": s(f"{sharer}#2025#1"), "appId": s(partition),
                "entityType": s("received"), "data": data}  # fmt: skip

    stage.put(STORAGE, share(ANN, BOB))
    stage.put(
        SHARES, shared(stage, "first")
    )  # its row of user storage is made by the first map, and re-keyed by the second
    stage.migrate({ANN: "a-100"})
    stage.migrate()
    assert stage.cleanup()["kept"] == []
    assert stage.run("cleanup", "verify").code == 0 and stage.scan(SHARES) == []
    (made,) = (row for row in stage.scan(STORAGE) if row != share("a-100", "b-200"))
    assert made["SK"]["S"].startswith("b-200#2024-01-31#") and made["data"]["M"]["note"] == s("first")
    assert len(stage.scan(STORAGE)) == 2
    assert stage.plan()["changes"] == 0
    stage.verify()


def shared(stage: Stage, note: str, key: str = f"{ANN}/{BOB}/2024-01-31/1.json") -> Item:
    """A row of the shares table with one share; its conversation is there."""
    client = stage.aws.client("s3")
    if not client.list_buckets()["Buckets"]:
        stage.bucket("lambda/consolidation")
        client.put_object(Bucket=stage.bucket("lambda/share"), Key=key, Body=b"{}")
    share = {"M": {"sharedBy": s(BOB), "key": s(key), "sharedAt": n(1), "note": s(note)}}
    return {"id": s(f"{ANN}/1"), "user": s(ANN), "data": {"L": [share]}}


@pytest.mark.parametrize("changed", ["old", "both", "killed", "killed before"])
def test_a_share_that_is_changed_under_the_old_id_follows_and_its_row_never_goes_before(
    stage: Stage, changed: str
) -> None:
    stage.create(STORAGE)
    stage.put(SHARES, shared(stage, "first"))
    stage.migrate()
    (row,) = stage.scan(STORAGE)
    stage.put(SHARES, shared(stage, "later"))
    theirs = {**row, "data": {"M": {**row["data"]["M"], "note": s("new")}}}
    if changed == "both":
        stage.put(STORAGE, theirs)
    else:
        assert stage.verify(1)["leftovers"]["count"] == 1
    stage.plan()
    if changed.startswith("killed"):
        kill_apply(stage, "UpdateItem", unsent=changed == "killed before")
    if changed == "killed before":
        stage.put(STORAGE, theirs)
        for _ in range(2):  # a later plan takes nothing that was in flight for done
            assert stage.plan()["kept"] == 1
            stage.verify()
    stage.apply(3 if changed == "both" else 0)
    stage.verify(1 if changed == "both" else 0)
    (row,) = stage.scan(STORAGE)
    assert row["data"]["M"]["note"] == s("new" if changed in ("both", "killed before") else "later")
    if changed in ("old", "killed"):
        assert stage.run("rollback").code == 0
        assert (stage.scan(STORAGE), stage.scan(SHARES)) == ([], [shared(stage, "later")])
        return
    stage.cleanup(3 if changed == "both" else 1)
    assert stage.scan(SHARES) == [shared(stage, "later")]
    stage.put(STORAGE, {**row, "data": {"M": {**row["data"]["M"], "note": s("later")}}})  # mended by hand
    stage.migrate()
    stage.cleanup()
    assert stage.scan(SHARES) == []


def test_what_a_service_adds_to_a_row_that_a_killed_run_had_changed_is_never_taken_for_ours(stage: Stage) -> None:
    stage.create(STORAGE)
    stage.put(SHARES, shared(stage, "first"))
    stage.migrate()
    stage.put(SHARES, shared(stage, "later"))
    stage.plan()
    kill_apply(stage, "UpdateItem")
    (row,) = stage.scan(STORAGE)
    stage.put(STORAGE, {**row, "read": {"BOOL": True}})
    stage.apply()
    stage.put(SHARES, shared(stage, "latest"))
    stage.plan()
    assert len(stage.apply(3)["conflicts"]) == 1
    assert stage.scan(STORAGE) == [{**row, "read": {"BOOL": True}}]


def test_what_was_changed_on_both_sides_stays_on_both_and_the_cleanup_comes_to_an_end(stage: Stage) -> None:
    old, new = ({"user": s(user), "tag": s("t"), "prompt": s("first")} for user in (ANN, "a-100"))
    stage.put(PROMPTS, old)
    stage.migrate()
    stage.put(PROMPTS, {**old, "prompt": s("old")}, {**new, "prompt": s("new")})
    stage.migrate()
    assert stage.cleanup()["total"] == 0
    assert {item["prompt"]["S"] for item in stage.scan(PROMPTS)} == {"old", "new"}


def test_what_is_missing_after_it_was_verified_is_planned_again_by_every_plan(stage: Stage) -> None:
    stage.put(PROMPTS, {"user": s(ANN), "tag": s("t")})
    stage.migrate()
    stage.delete(PROMPTS, "a-100", "t")
    stage.verify(1)
    assert [stage.plan()["changes"] for _ in range(2)] == [1, 1]
    stage.apply()
    stage.verify()
    assert len(stage.scan(PROMPTS)) == 2
