"""What is read ahead of a batch: few requests, each item once, and one bad key or table concerns no other."""

from __future__ import annotations

import json
from typing import Any

import botocore.exceptions
import pytest

from tests.wizard.faults import deny
from tests.wizard.migration.stage import Stage, n, s
from wizard.migration import read_ahead
from wizard.migration.read_ahead import ReadAhead, footprint

TAGS, CHATS = "lambda/user-tags", "lambda/chat-usage"


def filled(stage: Stage) -> tuple[str, str]:
    stage.put(TAGS, *({"user": s(f"u{number}"), "tags": {"SS": ["a"]}} for number in range(130)))
    stage.put(CHATS, {"id": s("c1"), "user": s("u1")})
    return stage.name(TAGS), stage.name(CHATS)


def test_many_items_take_one_request_and_a_second_look_is_a_fresh_one(stage: Stage) -> None:
    tags, chats = filled(stage)
    context = stage.context()
    wanted = [(tags, {"user": s(f"u{number}")}) for number in range(131)]  # the last one does not exist
    ahead = ReadAhead(context, [*wanted, *wanted, (chats, {"id": s("c1")})])
    assert context.account.costs.requests == {"dynamodb.batch_get_item": 4}
    found = [ahead(context.account, *where) for where in wanted]
    assert [item and item["user"] for item in found] == [s(f"u{number}") for number in range(130)] + [None]
    assert ahead(context.account, chats, {"id": s("c1")}) == {"id": s("c1"), "user": s("u1")}
    assert context.account.costs.requests == {"dynamodb.batch_get_item": 4}
    stage.set(TAGS, ("u7",), tags={"SS": ["later"]})
    assert ahead(context.account, *wanted[7]) == {"user": s("u7"), "tags": {"SS": ["later"]}}


def test_a_table_that_may_not_be_read_concerns_its_own_items_only(stage: Stage) -> None:
    tags, chats = filled(stage)
    context = stage.context()
    wanted = [(tags, {"user": s("u1")}), (chats, {"id": s("c1")}), ("gone", {"id": s("x")})]
    ahead = ReadAhead(context, wanted)
    assert [ahead(context.account, *where) is not None for where in wanted[:2]] == [True, True]
    with pytest.raises(botocore.exceptions.ClientError, match="ResourceNotFound"):
        ahead(context.account, *wanted[2])


def test_without_the_permission_to_read_many_each_is_read_by_itself(stage: Stage) -> None:
    tags, _ = filled(stage)
    context = stage.context()
    deny(context.account, "dynamodb", "BatchGetItem")
    ahead = ReadAhead(context, [(tags, {"user": s("u1")})])
    assert ahead(context.account, tags, {"user": s("u1")}) == {"user": s("u1"), "tags": {"SS": ["a"]}}


def test_a_key_that_stays_unprocessed_for_ever_holds_nothing_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    tags, _ = filled(stage)
    context = stage.context()
    stuck = {"user": s("u3")}

    def without_it(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        body = json.loads(params["body"])
        keys = body["RequestItems"][tags]["Keys"]
        context["left"] = {tags: {**body["RequestItems"][tags], "Keys": [stuck]}} if stuck in keys else {}
        body["RequestItems"][tags]["Keys"] = [key for key in keys if key != stuck] or [{"user": s("nobody")}]
        params["body"] = json.dumps(body).encode()

    def leave(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        parsed["UnprocessedKeys"] = context["left"]

    events = context.account.client("dynamodb").meta.events
    events.register("before-call.dynamodb.BatchGetItem", without_it)
    events.register("after-call.dynamodb.BatchGetItem", leave)
    waits: list[float] = []
    monkeypatch.setattr(context.control, "sleep", waits.append)
    wanted = [(tags, {"user": s(f"u{number}")}) for number in range(10)]
    ahead = ReadAhead(context, wanted)
    assert all(ahead(context.account, *where) for where in wanted)
    assert 0 < sum(waits) < 60
    assert context.account.costs.requests["dynamodb.get_item"] == 1


def test_large_items_are_read_a_few_at_a_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded by what items take in memory, where a list of numbers takes a hundred times its bytes on the wire."""
    numbers = {"L": [n(1)] * 200}
    stage.put(TAGS, *({"user": s(f"u{number}"), "v": numbers} for number in range(60)))
    one = footprint({"user": s("u1"), "v": numbers})
    assert 40_000 < one < 80_000
    monkeypatch.setattr(read_ahead, "_REQUEST", 10 * one)
    monkeypatch.setattr(read_ahead, "_HELD", 25 * one)
    monkeypatch.setattr(read_ahead, "_AT_WORK", 8 * one)
    context, asked = stage.context(), list[int]()

    def look(params: dict[str, Any], **_: Any) -> None:
        asked.append(len(json.loads(params["body"])["RequestItems"][stage.name(TAGS)]["Keys"]))

    context.account.client("dynamodb").meta.events.register("before-call.dynamodb.BatchGetItem", look)
    wanted = [(stage.name(TAGS), {"user": s(f"u{number}")}) for number in range(60)]
    ahead = ReadAhead(context)
    assert ahead.workers == context.workers
    ahead.take(wanted)
    assert (max(asked), sum(asked) <= 30, ahead.workers) == (10, True, 2)
    assert all(ahead(context.account, *where) for where in wanted)
