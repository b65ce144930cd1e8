"""Verify judges what was written, and finds what was left; only a match ever permits a deletion."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from tests.wizard.faults import deny
from tests.wizard.migration import network
from tests.wizard.migration.few import ACCOUNTS, COSTS
from tests.wizard.migration.stage import ANN, BOB, MAP, Item, Stage, n, requests_of, run, s, writes
from wizard.context import Context
from wizard.migration import verify as verifying
from wizard.migration.entry import Entry
from wizard.migration.rewrite import Edit
from wizard.migration.scan import MARK
from wizard.migration.verify import judge_item
from wizard.progress_facts import ledger_facts
from wizard.wire import digest

ACCESS, CHATS, GROUPS = "object-access/object-access", "lambda/chat-usages", "object-access/amplify-groups"


def applied(stage: Stage, context: Context | None = None) -> None:
    stage.put(ACCESS, {"object_id": s("o"), "principal_id": s(ANN), "permission_level": s("read")})
    stage.put(CHATS, {"id": s("1"), "user": s(ANN), "count": n(1)})
    stage.plan()
    stage.apply(context=context)


def test_what_was_written_matches(stage: Stage) -> None:
    applied(stage)
    context = stage.context()
    seen = requests_of(context)
    ended = run(context, "migrate", "verify")
    assert (ended.code, ended.document["verdicts"], writes(seen)) == (0, {"match": 2}, {})
    assert {entry.state for entry in stage.entries()} == {"verified"}


def test_a_later_change_by_a_service_is_no_difference(stage: Stage) -> None:
    applied(stage)
    stage.set(CHATS, ("1",), count=n(2))
    stage.set(ACCESS, ("o", "a-100"), permission_level=s("owner"))
    document = stage.verify()
    assert (document["verdicts"], document["changed_since"]) == ({"match": 2}, 2)


def test_an_old_value_that_is_back_differs_and_is_taken_up(stage: Stage) -> None:
    applied(stage)
    stage.set(CHATS, ("1",), user=s(ANN))
    document = stage.verify(1)
    assert document["verdicts"] == {"match": 1, "differs": 1}
    assert document["wrong"][0]["why"] == "user does not hold what was written"
    stage.migrate()
    assert stage.scan(CHATS) == [{"id": s("1"), "user": s("a-100"), "count": n(1)}]


def test_a_new_item_that_is_gone_is_missing_and_made_again(stage: Stage) -> None:
    applied(stage)
    stage.delete(ACCESS, "o", "a-100")
    document = stage.verify(1)
    assert (document["verdicts"], document["wrong"][0]["why"]) == (
        {"match": 1, "missing": 1},
        "nothing is at the target",
    )
    plan = ledger_facts(stage.context())[0].value
    assert (plan["counts"], plan["made"]) == ({"verified": 1, "failed": 1}, 2), "both can be undone"
    slow = stage.context(account=stage.aws.account(max_write_units=1))
    assert ledger_facts(slow)[0].value["estimate"]["basis"].startswith("`--max-write-units 1`")
    assert stage.run("cleanup", "apply").code == 3, "nothing is deleted after a verification that was not clean"
    stage.migrate()
    assert stage.get(ACCESS, "o", "a-100") is not None


def test_of_much_that_is_wrong_all_is_counted_and_the_first_is_named(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "LISTED", 1)
    applied(stage)
    stage.delete(ACCESS, "o", "a-100")
    stage.set(CHATS, ("1",), user=s(ANN))
    document = stage.verify(1)
    assert (len(document["wrong"]), document["wrong_total"]) == (1, 2)


def test_what_cannot_be_read_is_unknown_and_stays_applied(stage: Stage) -> None:
    applied(stage)
    context = stage.context()
    for operation in ("GetItem", "BatchGetItem"):
        deny(context.account, "dynamodb", operation)
    ended = run(context, "migrate", "verify")
    assert (ended.code, ended.document["verdicts"]) == (1, {"unknown": 2})
    assert {entry.state for entry in stage.entries()} == {"applied"}
    assert stage.verify()["verdicts"] == {"match": 2}


def test_an_unread_table_is_not_called_clean(stage: Stage) -> None:
    applied(stage)
    context = stage.context()
    deny(context.account, "dynamodb", "Scan")
    ended = run(context, "migrate", "verify")
    assert ended.document["leftovers"]["unread"] == sorted([stage.name(ACCESS), stage.name(CHATS)])
    assert ended.code == 1
    context = stage.context()

    def archived(parsed: dict[str, Any], **_: Any) -> None:
        if parsed["Table"]["TableName"] == stage.name(CHATS):
            parsed["Table"]["TableStatus"] = "ARCHIVED"

    context.account.client("dynamodb").meta.events.register("after-call.dynamodb.DescribeTable", archived)
    stage.put(CHATS, {"id": s("late"), "user": s(ANN)})
    assert run(context, "migrate", "plan", "--csv-file", stage.csv()).document["unread"] == [stage.name(CHATS)]
    ended = run(context, "migrate", "verify")
    assert (ended.code, ended.document["leftovers"]["unread"]) == (1, [stage.name(CHATS)])


def test_no_verdict_rests_on_a_read_that_may_be_stale(stage: Stage) -> None:
    """Reads of DynamoDB show an older state unless they ask for the present one: here one in which nothing was there."""
    context, stale = stage.context(), Counter[str]()

    def answer(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        asked = json.loads(request.body)
        if "ConsistentRead" in str(asked):
            return None
        stale[event_name.rsplit(".", 1)[-1]] += 1
        return network.answer(request, {"Items": [], "Count": 0, "Responses": {}})

    for operation in ("GetItem", "BatchGetItem", "Scan", "Query"):
        context.account.client("dynamodb").meta.events.register(f"before-send.dynamodb.{operation}", answer)
    stage.put(ACCOUNTS, {"user": s(ANN), "accounts": {"L": []}})
    stage.put(COSTS, *({"id": s(user), "accountInfo": s("c"), "dailyCost": n(1)} for user in (BOB, MAP[BOB])))
    applied(stage, context)
    assert run(context, "migrate", "verify").code == 0
    stage.put(ACCOUNTS, {"user": s(BOB), "accounts": {"L": []}, "late": s("x")})
    assert run(context, "migrate", "verify").document["leftovers"]["tables"] == {stage.name(ACCOUNTS): 1}
    assert run(context, "cleanup", "apply").code == 3
    assert run(context, "rollback").document["under_new_ids"]["count"] == 0
    assert stale == {}


def test_a_conflict_that_is_open_keeps_the_verification_from_being_clean(stage: Stage) -> None:
    stage.put(CHATS, {"id": s("1"), "user": s(ANN)}, {"id": s("2"), "user": s(BOB)})
    stage.plan()
    stage.set(CHATS, ("1",), user=s("somebody"))
    stage.apply(3)
    document = stage.verify(1)
    assert (document["verdicts"], document["states"]) == ({"match": 1}, {"verified": 1, "conflict": 1})


def test_an_operator_mends_by_hand_and_says_so(stage: Stage) -> None:
    stage.put(CHATS, {"id": s("1"), "user": s(ANN)}, {"id": s("2"), "user": s(BOB)})
    stage.plan()
    stage.set(CHATS, ("1",), user=s("somebody"))
    (conflict,) = stage.apply(3)["conflicts"]
    (shown,) = stage.run("migrate", "show", "--state", "conflict").document["changes"]
    assert shown["id"] == conflict["id"]
    number = str(conflict["id"])
    assert stage.run("migrate", "resolve", number, "--skip", "--reason", "by mistake").code == 0
    assert stage.run("migrate", "resolve", number, "--done", "--reason", "asked\x1b[31m the owner").code == 0
    assert stage.run("migrate", "resolve", "999", "--skip", "--reason", "none").code == 2
    stage.verify()
    (told,) = stage.run("migrate", "show", "--state", "resolved").document["changes"]
    noted = next(entry.note for entry in stage.entries() if entry.state == "resolved")
    assert told["note"] == noted == "done by hand: asked\\x1b[31m the owner"
    verified = next(entry for entry in stage.entries() if entry.state == "verified")
    assert stage.run("migrate", "resolve", str(verified.id), "--skip", "--reason", "r").code == 2


def test_show_and_status(stage: Stage) -> None:
    nothing = {"plan": None, "states": {}, "tables": [], "still_to_put_back": [], "still_to_remove": 0}
    assert stage.run("migrate", "status").document == nothing
    assert stage.run("migrate", "show").document == {"changes": []}
    stage.put(CHATS, {"id": s("1"), "user": s(ANN)}, {"id": s("2"), "user": s(BOB)})
    stage.put("object-access/api-keys", {"api_owner_id": s("k"), "owner": s(ANN), "apiKey": s("hidden")})
    stage.plan()

    def shown(*words: str) -> list[dict[str, Any]]:
        changes: list[dict[str, Any]] = stage.run("migrate", "show", *words).document["changes"]
        return changes

    assert len(shown()) == 3
    assert [one["users"] for one in shown("--user", BOB)] == [[BOB]]
    assert [one["row"] for one in shown("--table", stage.name("object-access/api-keys"))] == ["API_KEYS_DYNAMODB_TABLE"]
    assert shown("--table", "CHAT_USAGE_DYNAMO_TABLE", "--user", ANN)[0]["edits"] == [["user", ANN, "a-100"]]
    assert shown("--state", "applied") == []
    assert len(shown("--limit", "1")) == 1
    status = stage.run("migrate", "status")
    assert (status.document["plan"], status.document["states"]) == (1, {"planned": 3})
    assert "hidden" not in str(shown()) + status.text


# --- one item ---------------------------------------------------------------------------------------------------------


def change(*edits: Edit, wrote: Item) -> Entry:
    return Entry(
        rank=0, row="CHAT_USAGE_DYNAMO_TABLE", kind="item", action="update", source_place="t", source_key={}, target_place="t",
        target_key={}, edits=edits, target_digest=digest(wrote),
    )  # fmt: skip


USER = Edit(("user",), s(ANN), s("a-100"))
MEMBER = Edit(("data", 3), s(ANN), s("a-100"))


@pytest.mark.parametrize(
    ("edit", "wrote", "found", "verdict", "later"),
    [
        (USER, {"user": s("a-100")}, {"user": s("a-100")}, "match", False),
        (USER, {"user": s("a-100")}, {"user": s("a-100"), MARK: s("t")}, "match", False),
        (USER, {"user": s("a-100")}, {"user": s("a-100"), "x": n(1)}, "match", True),
        (USER, {"user": s("a-100")}, {"user": s("other")}, "match", True),
        (USER, {"user": s("a-100")}, {"user": s(ANN)}, "differs", False),
        (USER, {"user": s("a-100")}, {"x": n(1)}, "differs", False),
        (MEMBER, {"data": {"L": [s("a-100")]}}, {"data": {"L": [s("x"), s("a-100")]}}, "match", True),
        (MEMBER, {"data": {"L": [s("a-100")]}}, {"data": {"L": [s("a-100"), s(ANN)]}}, "differs", False),
        (Edit(("p",), s("x"), None), {}, {"y": n(1)}, "match", True),
        (Edit(("p",), s("x"), None), {}, {"p": s("x")}, "differs", False),
        (Edit(("email",), None, s(ANN)), {"email": s(ANN)}, {"x": n(1)}, "differs", False),
    ],
)
def test_verdicts(edit: Edit, wrote: Item, found: Item, verdict: str, later: bool) -> None:
    judgement = judge_item(change(edit, wrote=wrote), found)
    assert (judgement.verdict, judgement.later) == (verdict, later)


def test_members_of_a_map_that_came_back_differ() -> None:
    edit = Edit(("members", ANN), s(ANN), s("a-100"))
    judgement = judge_item(
        change(edit, wrote={"members": {"M": {"a-100": s("read")}}}), {"members": {"M": {ANN: s("read")}}}
    )
    assert judgement.verdict == "differs"
    odd = judge_item(change(Edit(("a\x1b[2J",), s(ANN), s("a-100")), wrote={"a": s("x")}), {})
    assert odd.why == "a\\x1b[2J does not hold what was written"


def test_the_map_is_the_one_of_the_plan(stage: Stage) -> None:
    applied(stage)
    assert stage.plan(MAP)["changes"] == 0
    stage.verify()


def test_a_table_that_is_deleted_after_its_items_were_read_is_no_clean_verification(stage: Stage) -> None:
    applied(stage)
    context, client = stage.context(), stage.aws.client("dynamodb")
    gone = sorted({entry.target_place for entry in stage.entries() if entry.kind == "item"})[0]

    def drop(**_: Any) -> None:
        client.delete_table(TableName=gone)

    looks = iter((drop,))  # the search for what is left begins with a list of tables: every item was judged by then
    context.account.client("dynamodb").meta.events.register(
        "before-call.dynamodb.ListTables", lambda **_: next(looks, lambda **_: None)()
    )
    ended = run(context, "migrate", "verify")
    assert ended.code == 1
    assert f"{gone}: it is gone" in ended.text
