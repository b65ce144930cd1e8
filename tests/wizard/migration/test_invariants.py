"""What holds for any deployment, any map and any faults: nothing is lost, nothing is invented, everything can be undone.

The deployments are drawn at random: users in and out of the map, rows that clash, ids that begin alike. What is
expected is computed here from what was seeded, not by the engine's rewrite.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import Aws
from tests.wizard.migration import network
from tests.wizard.migration.network import Weather
from tests.wizard.migration.stage import Dump, Item, Stage, n, run, s
from wizard.aws import is_read
from wizard.wire import canonical

POOL = ("ann@example.edu", "ann@example.edu.org", "47", "471", "o\"neil+x'y@example.edu", "dr who@example.edu", "Zoë")
FAULTS = (None, network.throttled, network.broken, network.reset, network.lost, network.truncated)
ACCOUNTS, ACCESS, CHATS = "lambda/accounts", "object-access/object-access", "lambda/chat-usage"
COSTS, HISTORY, TASKS = "lambda/cost-calculations", "lambda/history-cost-calculations", "agent-loop/scheduled-tasks"
GROUPS, USERS, TAGS = "object-access/amplify-groups", "object-access/cognito-users", "lambda/user-tags"


@dataclass(frozen=True)
class Case:
    """A deployment and what happens to its migration."""

    ids: dict[str, str]
    rows: list[tuple[str, Item, bool]] = field(repr=False)  # (table, item, whether it is nobody's business)
    fault: Any
    stop: int  # the write before which the operator stops the run; 0 never
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    users = draw(st.lists(st.sampled_from(POOL), min_size=2, max_size=5, unique=True))
    mapped = users[: draw(st.integers(1, len(users)))]
    ids = {old: f"new-{index}" for index, old in enumerate(mapped)}
    rows = [row for user in users for row in draw(_rows_of(user, user not in ids, ids.get(user)))]
    members = draw(st.lists(st.sampled_from(users), max_size=4, unique=True))
    group = {"group_id": s("g"), "createdBy": s(users[0]), "members": {"M": {user: s("read") for user in members}}}
    rows.append((GROUPS, group, False))
    return Case(ids, rows, draw(st.sampled_from(FAULTS)), draw(st.integers(0, 12)), draw(st.integers(0, 999)))


@st.composite
def _rows_of(draw: st.DrawFn, user: str, outside: bool, new: str | None) -> list[tuple[str, Item, bool]]:
    """Rows of one person, some under the new id already."""
    cost = st.decimals("0", "99", places=3).map(lambda value: n(format(value, "f")))

    def rows(one: str) -> list[tuple[str, Item]]:
        level = draw(st.sampled_from(["read", "owner"]))
        extra = {"o.d#d:": s("\x1b[31m<b>\u202e"), "size": n("12345678901234567890123456789012345678")}
        return [
            (ACCOUNTS, {"user": s(one), "accounts": {"L": [{"M": {"id": s(draw(st.sampled_from("abc")))}}]}}),
            (ACCESS, {"object_id": s("o"), "principal_id": s(one), "permission_level": s(level)}),
            (COSTS, {"id": s(one), "accountInfo": s("c"), "dailyCost": draw(cost), "monthlyCost": draw(cost)}),
            (HISTORY, {"userDate": s(f"{one}#2024-01"), "accountInfo": s("c"), "dailyCost": draw(cost)}),
            (TASKS, {"user": s(one), "taskId": s("t"), "active": n(draw(st.integers(0, 1))), **extra}),
            (TAGS, {"user": s(one), "tags": {"SS": draw(st.lists(st.sampled_from("xyz"), min_size=1, unique=True))}}),
            (USERS, {"user_id": s(one), "given_name": s("x")}),
        ]  # fmt: skip

    chats = [
        (CHATS, {"id": s(f"{user}-{index}"), "user": s(user), "cost": draw(cost), "blob": {"B": bytes([index])}})
        for index in range(draw(st.integers(0, 3)))
    ]
    wanted = [row for row in rows(user) if draw(st.booleans())]
    clashing = [row for row in rows(new) if draw(st.integers(0, 3)) == 0] if new else []
    return [(table, item, outside) for table, item in (*chats, *wanted, *clashing)]


def total(of: Dump, table: str) -> Decimal:
    return sum((Decimal(item["dailyCost"]["N"]) for item in of.get(table, {}).values()), Decimal(0))


def key_text(key: Any) -> str:
    return canonical(key).decode()


def persist(stage: Stage, case: Case, *words: str) -> None:
    """A command in bad weather, stopped once, and repeated until it is done."""
    for turn in range(6):
        context = stage.context()
        if case.fault is not None and turn < 3:
            Weather(context.account, case.fault, share=0.15, seed=case.seed + turn)
        if turn == 0 and case.stop:
            _stop_before(context, case.stop)
        ended = run(context, *words)
        if ended.code == 0:
            return
        assert ended.code in (1, 130), ended.text
    raise AssertionError(f"{words} does not end: {ended.text} {ended.document}")


def _stop_before(context: Any, count: int) -> None:
    seen = 0

    def look(model: Any, **_: Any) -> None:
        nonlocal seen
        seen += not is_read(model.name)
        if seen == count:
            context.control.cancel()

    context.account.client("dynamodb").meta.events.register_first("before-call.dynamodb", look)


def check(aws: Aws, case: Case, folder: Path) -> None:
    aws.reset()
    stage = Stage(aws, folder)
    stage.create(ACCOUNTS, ACCESS, CHATS, COSTS, HISTORY, TASKS, GROUPS, USERS, TAGS)
    for table, item, _ in case.rows:
        stage.put(table, item)
    outside = [(stage.name(t), key_text(stage.key(t, item))) for t, item, nobodys in case.rows if nobodys]
    before = stage.dump()

    planned = stage.plan(case.ids)
    assert stage.dump() == before
    entries = stage.entries()
    assert len([one for one in entries if one.state == "planned"]) == planned["changes"]
    persist(stage, case, "migrate", "apply")
    after = stage.dump()
    stage.verify()

    for table, key in outside:
        assert after[table][key] == before[table][key]
    targets = {(one.target_place, key_text(one.target_key)) for one in entries}
    moved = {(one.source_place, key_text(one.source_key)) for one in entries if one.action == "add"}
    for table in before:
        assert {(table, key) for key in after[table].keys() - before[table].keys()} <= targets
        assert {(table, key) for key in before[table].keys() - after[table].keys()} <= moved
    assert {one.state for one in stage.entries()} <= {"verified"}
    assert total(after, stage.name(COSTS)) == total(before, stage.name(COSTS))
    _right(stage, case, after)

    if case.seed % 2:
        persist(stage, case, "rollback")
        assert stage.dump() == before
        return
    persist(stage, case, "cleanup", "apply")
    cleaned = stage.dump()
    twins = {(one.source_place, key_text(one.source_key)): one for one in entries if one.source_key != one.target_key}
    for table in after:
        for key in after[table].keys() - cleaned[table].keys():
            twin = twins[(table, key)]
            assert cleaned[twin.target_place][key_text(twin.target_key)] == after[table][key_text(twin.target_key)]
        for key in cleaned[table]:
            assert cleaned[table][key] == after[table][key]
    assert stage.plan(case.ids)["changes"] == 0


def _right(stage: Stage, case: Case, after: Dump) -> None:
    """Each mapped person's rows stand under the new id, whatever else stands there."""
    for table, item, _ in case.rows:
        found, owner = (
            after[stage.name(table)],
            {name: case.ids.get(value.get("S", ""), "") for name, value in item.items()},
        )
        if table == CHATS and owner["user"]:
            assert found[key_text(stage.key(table, item))]["user"] == s(owner["user"])
        elif table in (ACCOUNTS, ACCESS, COSTS, TASKS, TAGS, USERS):
            new = {**item, **{name: s(mapped) for name, mapped in owner.items() if mapped}}
            assert key_text(stage.key(table, new)) in found
        elif table == GROUPS:
            members = found[key_text(stage.key(table, item))]["members"]["M"]
            assert members.keys() == {case.ids.get(one, one) for one in item["members"]["M"]}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = time.sleep
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: sleep(min(seconds, 0.005)))


EXAMPLES = settings(
    deadline=None,
    derandomize=True,
    max_examples=6,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.usefixtures("impatient")
@given(case=cases())
@EXAMPLES
def test_nothing_is_lost_invented_or_left_undone(aws: Aws, case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(aws, case, Path(folder))


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@given(case=cases())
@settings(EXAMPLES, max_examples=200, derandomize=False)
def test_nothing_is_lost_invented_or_left_undone_in_many(aws: Aws, case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(aws, case, Path(folder))
