"""What becomes of two items of one person: every rule keeps what it must, and merging again changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wizard.catalog.merging import (
    add_numbers,
    fill_gaps,
    highest,
    later,
    newest,
    newest_members,
    one_default,
    set_union,
    strongest,
    union,
    uniting_logs,
)
from wizard.catalog.model import Clash, Table
from wizard.catalog.tables import BY_KEY, TABLES
from wizard.wire import same

Item = dict[str, Any]


def s(value: str) -> Item:
    return {"S": value}


def n(value: object) -> Item:
    return {"N": str(value)}


def listed(*members: Item) -> Item:
    return {"L": [{"M": member} for member in members]}


# --- idempotence, for the rule of every row ---------------------------------------------------------------------------

ATTRIBUTES: dict[str, st.SearchStrategy[Item]] = {
    "createdAt": st.sampled_from([n(1), n(2), s("2024"), s("2025")]),
    "updatedAt": st.sampled_from([n(1), n("1.5"), s("2024")]),
    "updated_at": st.sampled_from([s("a"), s("b")]),
    "last_modified": st.sampled_from([n(1), n(20)]),
    "lastUpdated": st.sampled_from([s("a"), s("b")]),
    "timestamp": st.sampled_from([s("a"), s("b")]),
    "last_updated": st.sampled_from([s("a"), s("b"), n(3)]),
    "documentVersion": st.sampled_from([n(1), n(10), s("2")]),
    "currentVersion": st.sampled_from([n(1), n(10)]),
    "permission_level": st.sampled_from([s("owner"), s("write"), s("read"), s("odd"), {"NULL": True}]),
    "tags": st.sampled_from([{"SS": ["a"]}, {"SS": ["b", "a"]}, {"L": [s("a")]}]),
    "integrations": st.dictionaries(st.sampled_from("xyz"), st.sampled_from([s("1"), s("2")])).map(lambda m: {"M": m}),
    "accounts": st.lists(
        st.fixed_dictionaries(
            {"id": st.sampled_from([s("1"), s("2")]), "isDefault": st.booleans().map(lambda b: {"BOOL": b})}
        )
    ).map(lambda members: listed(*members)),
    "ops": st.lists(
        st.fixed_dictionaries({}, optional={"id": st.sampled_from([s("1"), s("2")]), "url": st.just(s("/"))})
    ).map(lambda members: listed(*members)),
    "artifacts": st.lists(st.fixed_dictionaries({"key": st.sampled_from([s("1"), s("2")])})).map(lambda m: listed(*m)),
    "entityType": st.sampled_from([s("scheduled-task-logs"), s("received")]),
    "data": st.dictionaries(st.sampled_from("xyz"), st.sampled_from([s("1"), s("2")])).map(
        lambda logs: {"M": {"logs": {"M": logs}}}
    ),
    "other": st.sampled_from([s("x"), {"BOOL": False}, n("1.10"), {"B": b"\0"}]),
}
ITEMS = st.fixed_dictionaries({}, optional=ATTRIBUTES)
RULES = [row for row in TABLES if row.clash is not None and row.retire not in ("remove", "remove on clash")]


@pytest.mark.parametrize("row", RULES, ids=lambda row: row.config_key)
@settings(max_examples=40)
@given(new=ITEMS, old=ITEMS)
def test_merging_again_changes_nothing(row: Table, new: Item, old: Item) -> None:
    assert row.clash is not None
    once = row.clash.merge(new, old)
    assert same(row.clash.merge(once, old), once)


@pytest.mark.parametrize("row", RULES, ids=lambda row: row.config_key)
@settings(max_examples=40)
@given(new=ITEMS)
def test_merging_with_itself_changes_nothing(row: Table, new: Item) -> None:
    assert row.clash is not None
    flagged = [member["M"]["isDefault"] for member in new.get("accounts", {}).get("L", [])]
    if flagged.count({"BOOL": True}) <= 1:
        assert same(row.clash.merge(new, new), new)


# --- each rule --------------------------------------------------------------------------------------------------------


def test_gaps_are_filled_and_existing_values_win() -> None:
    assert fill_gaps.merge({"a": s("new")}, {"a": s("old"), "b": n(1)}) == {"a": s("new"), "b": n(1)}


def test_accounts_are_united_by_id_with_one_default() -> None:
    rule = one_default(union("accounts", "id"), "accounts", "isDefault")
    mine = {"id": s("1"), "name": s("mine"), "isDefault": {"BOOL": True}}
    theirs = [{"id": s("1"), "name": s("theirs")}, {"id": s("2"), "isDefault": {"BOOL": True}}]
    merged = rule.merge({"accounts": listed(mine)}, {"accounts": listed(*theirs)})
    assert merged["accounts"] == listed(mine, {"id": s("2"), "isDefault": {"BOOL": False}})


def test_the_first_identity_that_a_member_has_counts() -> None:
    rule = union("ops", "id", "url")
    merged = rule.merge(
        {"ops": listed({"url": s("/a")})}, {"ops": listed({"url": s("/a")}, {"id": s("1"), "url": s("/a")})}
    )
    assert merged["ops"] == listed({"url": s("/a")}, {"id": s("1"), "url": s("/a")})


def test_string_sets_are_united() -> None:
    assert set_union("tags").merge({"tags": {"SS": ["b"]}}, {"tags": {"SS": ["a", "b"]}})["tags"] == {"SS": ["a", "b"]}


@pytest.mark.parametrize(
    ("new", "old", "kept"), [("read", "owner", "owner"), ("write", "read", "write"), ("odd", "read", "read")]
)
def test_the_stronger_permission_stays(new: str, old: str, kept: str) -> None:
    rule = strongest("level", "owner", "write", "read")
    assert rule.merge({"level": s(new)}, {"level": s(old)}) == {"level": s(kept)}


def test_the_higher_version_wins_by_value_not_by_text() -> None:
    rule = highest("v")
    assert rule.merge({"v": n(9), "a": s("new")}, {"v": n(10), "a": s("old")}) == {"v": n(10), "a": s("old")}
    assert rule.merge({"v": n(10), "a": s("new")}, {"v": n("10.0"), "a": s("old")})["a"] == s("new")


def test_the_newer_item_wins_as_a_whole() -> None:
    rule = newest("updatedAt", "createdAt")
    older, newer = {"createdAt": n(999), "data": s("older")}, {"createdAt": n(1000), "data": s("newer")}
    assert rule.merge(older, newer) == newer
    assert rule.merge(newer, older) == newer
    # Of what was saved again the last time counts, also where the other one never was.
    saved = {"createdAt": n(1), "updatedAt": n(1001), "data": s("saved again")}
    assert rule.merge(saved, newer) == saved and rule.merge(newer, saved) == saved
    # It keeps its own time, by which it wins against the next one as well.
    assert rule.merge({**saved, "updatedAt": n(500)}, newer) == newer
    filled = newest("v", "w", "x", keeps_loser=False).merge({"v": n(1), "x": n(1)}, {"w": n(2)})
    assert filled == {"w": n(2), "x": n(1)}


def test_task_logs_are_united_where_one_row_has_room_for_them() -> None:
    def row(created: int, **logs: str) -> Item:
        logged = {"logs": {"M": {name: s(text) for name, text in logs.items()}}}
        return {"entityType": s("scheduled-task-logs"), "createdAt": n(created), "data": {"M": logged}}

    rule = uniting_logs(newest("updatedAt", "createdAt"))
    assert rule.merge(row(1, a="new", b="both"), row(2, b="both", c="old")) == row(2, a="new", b="both", c="old")
    assert rule.merge(row(2, a="new", b="both"), row(1, b="both", c="old")) == row(2, a="new", b="both", c="old")
    for older in row(1, b="old", c="old"), row(3, b="old", c="old"):  # else one of two logs of b would be lost
        assert rule.merge(row(2, a="new", b="new"), older) == row(2, a="new", b="new")
    named = row(1, a="new")
    named["data"]["M"]["name"] = s("only here")
    assert rule.merge(named, row(2, c="old"))["data"]["M"].keys() == {"name", "logs"}
    large = row(1, a="x" * 200_000)
    assert rule.merge(large, row(2, b="x" * 210_000)) == large and rule.keeps_loser
    settings = {"entityType": s("user-settings"), "createdAt": n(2), "data": s("newer")}
    assert rule.merge({**settings, "createdAt": n(1), "data": s("older")}, settings) == settings


@pytest.mark.parametrize("rule", [highest("v"), newest("v", keeps_loser=False)])
def test_what_the_winner_lacks_comes_from_a_loser_that_is_not_kept(rule: Clash) -> None:
    one, other = {"v": n(2), "a": s("new"), "only": s("here")}, {"v": n(2), "a": s("old"), "added": s("by a service")}
    assert rule.merge(one, other) == {**other, **one}
    assert rule.merge({**one, "v": n(1)}, other) == {**one, **other}


def test_the_first_clock_that_both_have_decides() -> None:
    new = {"updatedAt": n(1), "createdAt": n(9)}
    assert later(new, {"updatedAt": n(2), "createdAt": n(1)}, ("updatedAt", "createdAt"))
    assert not later({"createdAt": n(9)}, {"updatedAt": n(2), "createdAt": n(1)}, ("updatedAt", "createdAt"))
    assert not later({"updatedAt": n(1)}, {"updatedAt": s("2024")}, ("updatedAt",)), (
        "a number and a text do not compare"
    )


def test_of_two_integrations_the_one_of_the_later_item_stays() -> None:
    rule = newest_members("integrations", "at")
    new = {"at": s("2025"), "integrations": {"M": {"drive": s("new")}}}
    old = {"at": s("2024"), "integrations": {"M": {"drive": s("old"), "mail": s("old")}}}
    assert rule.merge(new, old)["integrations"] == {"M": {"drive": s("new"), "mail": s("old")}}
    assert rule.merge(old, new)["integrations"] == {"M": {"drive": s("new"), "mail": s("old")}}
    empty = {"at": s("2024")}
    assert rule.merge(empty, new) == new, "integrations come with their time"
    assert rule.merge(rule.merge(empty, new), new) == new


def test_costs_are_added_digit_by_digit() -> None:
    rule = add_numbers("daily", "hourly")
    new = {"daily": n("0.1"), "hourly": {"L": [n("0.1"), n(1)]}, "note": s("new")}
    old = {"daily": n("0.2"), "hourly": {"L": [n("0.2"), n(2), n(5)]}, "note": s("old"), "more": s("old")}
    assert rule.merge(new, old) == {
        "daily": n("0.3"), "hourly": {"L": [n("0.3"), n(3), n(5)]}, "note": s("new"), "more": s("old"),
    }  # fmt: skip


def test_costs_of_which_one_side_has_none_are_taken_over() -> None:
    rule = add_numbers("daily")
    assert rule.merge({"other": n(1)}, {"daily": n("0.2")})["daily"] == n("0.2")


def test_cost_rows_are_removed_and_never_merged_twice() -> None:
    assert BY_KEY["COST_CALCULATIONS_DYNAMO_TABLE"].retire == "remove"
    assert BY_KEY["HISTORY_COST_CALCULATIONS_DYNAMO_TABLE"].retire == "remove on clash"
