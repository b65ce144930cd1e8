"""What holds for any deployment, any map and any faults: nothing is lost, nothing is invented, everything can be undone.

The deployments are drawn at random: users in and out of the map, rows that clash, ids that begin alike. What is
expected is computed here from what was seeded, not by the engine's rewrite.
"""

from __future__ import annotations

import os
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
META, SHARES, STORAGE = "lambda/conversation-metadata", "lambda/", "lambda/user-data-storage"
ARTIFACTS, WORKFLOWS = "artifacts/user-artifacts", "agent-loop/workflow-registry"
CONVERSATIONS, SHARED, CONSOLIDATION = "lambda/user-conversations", "lambda/share", "lambda/consolidation"
DRAWINGS, TEMPLATES = "artifacts/bucket", "agent-loop/workflow-templates"
BUCKETS = (CONVERSATIONS, SHARED, CONSOLIDATION, DRAWINGS, TEMPLATES)
COSTS, HISTORY, TASKS = "lambda/cost-calculations", "lambda/history-cost-calculations", "agent-loop/scheduled-tasks"
GROUPS, USERS, TAGS = "object-access/amplify-groups", "object-access/cognito-users", "lambda/user-tags"


@dataclass(frozen=True)
class Case:
    """A deployment and what happens to its migration."""

    ids: dict[str, str]
    rows: list[tuple[str, Item, bool]] = field(repr=False)  # (table, item, whether it is nobody's business)
    objects: dict[tuple[str, str], bytes] = field(repr=False)  # (bucket, key)
    fault: Any
    stop: int  # the write before which the run is stopped; 0 never
    dies: bool  # whether it is stopped without a chance to record anything
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
    objects: dict[tuple[str, str], bytes] = {}
    for user in users:
        _content_of(user, draw(st.sampled_from(users)), draw(st.sets(st.sampled_from("casw"))), ids, rows, objects)
    return Case(
        ids, rows, objects, draw(st.sampled_from(FAULTS)), draw(st.integers(0, 25)), draw(st.booleans()),
        draw(st.integers(0, 999)),
    )  # fmt: skip


def _content_of(
    user: str, sharer: str, kinds: set[str], ids: dict[str, str], rows: list[Any], objects: dict[tuple[str, str], bytes]
) -> None:
    """What one person has in buckets, with the rows that point to it."""
    outside = user not in ids
    if "c" in kinds:
        objects[CONVERSATIONS, f"{user}/c 1+%20"] = user.encode()
        row = {
            "user_id": s(user),
            "conversation_id": s("c 1+%20"),
            "s3_key": s(f"{user}/c 1+%20"),
            "last_modified": n(1),
        }
        rows.append((META, row, outside))
    if "a" in kinds:
        objects[DRAWINGS, f"{user}/20240131/Map:v1"] = b'{"name": "\\u001b[31m<b>", "contents": [1.50, "x"]}'
        listed = {"L": [{"M": {"key": s(f"{user}/20240131/Map:v1"), "name": s("\x1b[31m<b>")}}]}
        rows.append((ARTIFACTS, {"user_id": s(user), "artifacts": listed}, outside))
    if "w" in kinds:
        objects[TEMPLATES, f"{user}/w.json"] = b'{"templateId": "w"}'
        rows.append((WORKFLOWS, {"user": s(user), "templateId": s("w"), "s3Key": s(f"{user}/w.json")}, outside))
    if "s" in kinds:
        key = f"{user}/{sharer}/2024-01-31/1.json"
        objects[SHARED, key] = b"{}"
        share = {"M": {"sharedBy": s(sharer), "sharedAt": n(1), "key": s(key), "note": s("`|<b>")}}
        row = {"id": s(f"{user}/1"), "user": s(user), "data": {"L": [share]}, "settings": {"M": {"scale": n("0.5")}}}
        rows.append((SHARES, row, outside))


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
            _stop_before(context, case)
        try:
            ended = run(context, *words)
        except Killed:
            continue
        if ended.code == 0:
            return
        assert ended.code in (1, 130), ended.text
    raise AssertionError(f"{words} does not end: {ended.text} {ended.document}")


class Killed(BaseException):
    """Whatever runs ends here, and what it was about to record is not."""


def _stop_before(context: Any, case: Case) -> None:
    seen = 0

    def look(model: Any, **_: Any) -> None:
        nonlocal seen
        seen += not is_read(model.name)
        if seen == case.stop and case.dies:
            raise Killed
        if seen == case.stop:
            context.control.cancel()

    for service in network.SERVICES:
        context.account.client(service).meta.events.register_first(f"before-call.{service}", look)


def stored(stage: Stage) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Every object of the deployment, whole."""
    s3 = stage.aws.client("s3")
    found = {}
    for bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        for key in [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]:
            answer = s3.get_object(Bucket=bucket, Key=key)
            found[bucket, key] = (answer["Body"].read(), answer["ContentType"], answer["Metadata"])
    return found


def check(aws: Aws, case: Case, folder: Path) -> None:
    aws.reset()
    stage = Stage(aws, folder)
    stage.create(
        ACCOUNTS, ACCESS, CHATS, COSTS, HISTORY, TASKS, GROUPS, USERS, TAGS, META, SHARES, STORAGE, ARTIFACTS, WORKFLOWS
    )
    for table, item, _ in case.rows:
        stage.put(table, item)
    buckets = {bucket: stage.bucket(bucket) for bucket in BUCKETS}
    for (bucket, key), body in case.objects.items():
        aws.client("s3").put_object(Bucket=buckets[bucket], Key=key, Body=body, Metadata={"of": "test"})
    outside = [(stage.name(t), key_text(stage.key(t, item))) for t, item, nobodys in case.rows if nobodys]
    before, objects = stage.dump(), stored(stage)

    planned = stage.plan(case.ids)
    assert (stage.dump(), stored(stage)) == (before, objects)
    assert len([one for one in stage.entries() if one.state == "planned"]) == planned["changes"]
    for _ in range(3):  # pointers to content that could not be moved at first follow with the next plan
        persist(stage, case, "migrate", "apply")
        if stage.run("migrate", "verify").code == 0:
            break
        stage.plan(case.ids)
    after, copied, entries = stage.dump(), stored(stage), stage.entries()
    stage.verify()

    for table, key in outside:
        assert after[table][key] == before[table][key]
    items = [one for one in entries if one.kind != "object"]
    targets = {(one.target_place, key_text(one.target_key)) for one in items}
    moved = {(one.source_place, key_text(one.source_key)) for one in items if one.action == "add"}
    for table in before:
        assert {(table, key) for key in after[table].keys() - before[table].keys()} <= targets
        assert {(table, key) for key in before[table].keys() - after[table].keys()} <= moved
    copies = {(one.target_place, one.target_key): (one.source_place, one.source_key)
              for one in entries if one.kind == "object"}  # fmt: skip
    assert {where: copied[where] for where in objects} == objects
    assert {where: copied[source] for where, source in copies.items()} == {where: copied[where] for where in copies}
    assert copied.keys() - objects.keys() == copies.keys()
    # What stays beside another item under the new id is listed with its reason.
    listed = {(one.state, one.kind, one.action) for one in entries if one.state != "verified"}
    assert listed <= {("kept", "item", "merge")}
    assert all(one.note for one in entries if one.state == "kept")
    assert total(after, stage.name(COSTS)) == total(before, stage.name(COSTS))
    _right(stage, case, after, copied)

    if case.seed % 2:
        persist(stage, case, "rollback")
        assert (stage.dump(), stored(stage)) == (before, objects)
        return
    stage.run("cleanup", "plan", *(["--objects"] if case.seed % 4 else []))
    persist(stage, case, "cleanup", "apply")
    cleaned, left = stage.dump(), stored(stage)
    twins: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for one in items:
        key = {name: value for name, value in one.source_key.items() if name != "part"}
        if (one.source_place, key) != (one.target_place, one.target_key):
            twins.setdefault((one.source_place, key_text(key)), []).append((one.target_place, key_text(one.target_key)))
    for table in after:
        for text in after[table].keys() - cleaned[table].keys():
            assert all(cleaned[place][key] == after[place][key] for place, key in twins[table, text])
        for text in cleaned[table]:
            assert cleaned[table][text] == after[table][text]
    proven = {source: where for where, source in copies.items()}
    for where in copied.keys() - left.keys():
        assert left[proven[where]] == copied[where]
    assert all(left[where] == copied[where] for where in left)
    assert stage.plan(case.ids)["changes"] == 0


def _right(stage: Stage, case: Case, after: Dump, copied: dict[tuple[str, str], tuple[Any, ...]]) -> None:
    """Each mapped person's rows and objects stand under the new id, and what pointed to them leads there."""
    rows = [(item["PK"]["S"], item["SK"]["S"]) for item in after[stage.name(STORAGE)].values()]
    kept = {key for _, key in copied}
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
        elif table == META and owner["user_id"]:
            moved = found[key_text(stage.key(table, {**item, "user_id": s(owner["user_id"])}))]["s3_key"]["S"]
            assert moved == f"conversations/{owner['user_id']}/c 1+%20"
            assert moved in kept
        elif table == ARTIFACTS and owner["user_id"]:
            moved = found[key_text({"user_id": s(owner["user_id"])})]["artifacts"]["L"][0]["M"]["key"]["S"]
            assert (f"{owner['user_id']}#amplify-artifacts#artifact-content", moved) in rows
        elif table == WORKFLOWS and owner["user"]:
            assert "s3Key" not in found[key_text({"user": s(owner["user"]), "templateId": s("w")})]
            assert (f"{owner['user']}#amplify-workflows#workflow-templates", "w") in rows
        elif table == SHARES and owner["user"]:
            assert sum(partition == f"{owner['user']}#amplify-shares#received" for partition, _ in rows) == 1
        elif table == GROUPS:
            members = found[key_text(stage.key(table, item))]["members"]["M"]
            assert members.keys() == {case.ids.get(one, one) for one in item["members"]["M"]}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = time.sleep
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: sleep(min(seconds, 0.005)))


EXAMPLES = settings(
    derandomize=True,
    max_examples=3,
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
@settings(EXAMPLES, max_examples=int(os.environ.get("INVARIANTS", "200")), derandomize=False)
def test_nothing_is_lost_invented_or_left_undone_in_many(aws: Aws, case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(aws, case, Path(folder))
