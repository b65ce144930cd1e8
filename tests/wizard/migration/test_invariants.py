"""What holds for any deployment, any map and any faults: nothing is lost, nothing is invented, everything can be undone.

The deployments are drawn at random, each from a seed that a failure names; what is expected is known from how they were
drawn, not by the engine's rewrite.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.migration import network
from tests.wizard.migration.drawing import draw_deployment
from tests.wizard.migration.drawn import (
    ANYTHING,
    BINARY,
    BUCKETS,
    CONSOLIDATION,
    LOGS,
    OLD_STORAGE,
    STORAGE,
    Deployment,
    stands,
)
from tests.wizard.migration.network import Weather
from tests.wizard.migration.stage import Dump, Ended, Killed, Stage, run
from wizard.aws import is_read
from wizard.wire import canonical

FAULTS = (None, network.throttled, network.broken, network.reset, network.lost, network.truncated)
UNFIT = ("cannot be stored", "none of its logs", "DynamoDB takes")  # how what no row can hold is told
FIRST = int(os.environ.get("INVARIANTS_SEED", "1000"))  # of the long run; a failure names the seed to begin with
MANY = int(os.environ.get("INVARIANTS", "200"))

Stored = dict[tuple[str, str], tuple[str, int]]  # (bucket, key) -> MD5, size


@dataclass(frozen=True)
class Bad:
    """What befalls a run: a fault of the network, and a stop before or after one of its writes."""

    fault: Any
    stop: float  # how far through the writes of a command, 0 to 1.2
    how: str  # "", "cancel", "killed before", "killed after"
    seed: int
    then: str = "apply"  # what follows an apply that was killed: "apply", "plan", "rollback"
    content: bool = False  # whether only writes to user storage are counted, where content becomes rows


def key_text(key: Any) -> str:
    return canonical(key).decode()


def draw_bad(seed: int) -> Bad:
    draw = random.Random(-seed)
    how = draw.choice(["", "cancel", "killed before", "killed before", "killed after"])
    stop, then = 1.2 * draw.random(), draw.choice(["apply", "plan", "rollback"])
    return Bad(FAULTS[seed % len(FAULTS)], stop, how, seed, then, draw.random() < 0.3)


class Stop:
    """Stops a run at one of its writes. A kill leaves the ledger as it was at that instant, and lets nothing out after."""

    def __init__(self, context: Any, bad: Bad, writes: int):
        self._context, self._how = context, bad.how
        self._at = 1 + int(bad.stop * (6 if bad.content else writes))
        self._only = b"user-data-storage" if bad.content else b""
        self._seen, self._lock, self._dead = 0, threading.Lock(), False
        for service in network.SERVICES:
            events = context.account.client(service).meta.events
            events.register_first(f"before-call.{service}", self._before)
            events.register_first(f"after-call.{service}", self._after)

    def _before(self, model: Any, params: Any, context: Any, **_: Any) -> None:
        if is_read(model.name):
            return
        if self._dead:
            raise Killed
        body = params["body"] if isinstance(params["body"], bytes) else b""
        with self._lock:
            self._seen += self._only in body
            if self._only not in body or self._seen != self._at:
                return
        if self._how == "cancel":
            self._context.control.cancel()
        elif self._how == "killed before":
            self._die()
        else:
            context["the last write"] = True

    def _after(self, context: Any, **_: Any) -> None:
        if context.get("the last write"):
            self._die()

    def _die(self) -> None:
        self._dead = True
        with sqlite3.connect(self._context.workspace.ledger) as one, sqlite3.connect(self._kept) as other:
            one.backup(other)
        raise Killed

    @property
    def _kept(self) -> Path:
        return Path(f"{self._context.workspace.ledger}.killed")

    def bury(self) -> None:
        """Put back the ledger as the kill left it; the lease goes by itself, being this process's own."""
        if self._dead:
            ledger = self._context.workspace.ledger
            for name in ("-wal", "-shm"):
                Path(f"{ledger}{name}").unlink(missing_ok=True)
            self._kept.replace(ledger)


def persist(
    stage: Stage,
    bad: Bad,
    *words: str,
    writes: int,
    allowed: Collection[str] = (),
    once_killed: Callable[[], None] = lambda: None,
) -> Ended:
    """A command in bad weather, stopped once, and repeated until it is done; what must stay undone is left."""
    for turn in range(6):
        context = stage.context()
        if bad.fault is not None and turn < 3:
            Weather(context.account, bad.fault, share=0.15, seed=bad.seed + turn)
        stop = Stop(context, bad, writes) if turn == 0 and bad.how else None
        try:
            ended = run(context, *words)
        except Killed:
            assert stop is not None
            stop.bury()
            once_killed()
            continue
        told = [
            *ended.document.get("failed", ()),
            *ended.document.get("conflicts", ()),
            *ended.document.get("kept", ()),
        ]
        left = [one.get("note") or one.get("why") or str(one) for one in told]
        if ended.code == 0 or (left and all(any(sign in note for sign in allowed) for note in left)):
            return ended
        assert ended.code in (1, 3, 130), ended.text
    raise AssertionError(f"{words} does not end: {ended.text} {ended.document}")


def stored(stage: Stage) -> Stored:
    """Every object of the deployment."""
    s3 = stage.aws.client("s3")
    return {
        (bucket["Name"], one["Key"]): (one["ETag"], one["Size"])
        for bucket in s3.list_buckets()["Buckets"]
        for one in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ())
    }


def seed_account(stage: Stage, one: Deployment) -> dict[str, str]:
    """Create what the deployment has; returns the names of its buckets."""
    s3 = stage.aws.client("s3")
    stage.create(STORAGE)
    for table, item in one.rows:
        stage.put(table, item)
    stage.db.create_table(
        TableName=BINARY, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "B"}],
    )  # fmt: skip
    for item in one.blobs:
        stage.db.put_item(TableName=BINARY, Item=item)
    buckets = {bucket: stage.bucket(bucket) for bucket in BUCKETS}
    home = buckets[CONSOLIDATION]
    s3.put_bucket_versioning(Bucket=home, VersioningConfiguration={"Status": "Enabled"})
    for key in one.deleted:
        s3.put_object(Bucket=home, Key=key, Body=b"gone")
        s3.delete_object(Bucket=home, Key=key)
    for (bucket, key), body in one.objects.items():
        s3.put_object(Bucket=buckets[bucket], Key=key, Body=body, Metadata={"of": "test"})
    return buckets


def check(aws: Aws, seed: int, folder: Path) -> None:
    aws.reset()
    one, bad, stage = draw_deployment(seed), draw_bad(seed), Stage(aws, folder)
    buckets = seed_account(stage, one)
    before, objects = stage.dump(), stored(stage)

    planned = stage.plan(one.ids)
    assert (stage.dump(), stored(stage)) == (before, objects)
    told = {finding["text"] for finding in planned["findings"]}
    assert any("not this deployment's" in text for text in told) == bool(one.foreign)

    def once_killed() -> None:
        """Other commands than the killed one take up what it left as well."""
        if bad.then == "rollback":
            assert stage.run("rollback").code == 0
            assert (stage.dump(), stored(stage)) == (before, objects)
        if bad.then != "apply":
            stage.plan(one.ids)

    for _ in range(4):  # pointers to content that could not be moved at first follow with the next plan
        stopped = persist(
            stage, bad, "migrate", "apply", allowed=(*UNFIT, "its content could not be moved"),
            writes=planned["changes"], once_killed=once_killed,
        )  # fmt: skip
        give_up(stage, one, stopped)
        verified = stage.run("migrate", "verify")
        if verified.code == 0:
            break
        stage.plan(one.ids)
    assert verified.code == 0, verified.text
    after, copied = stage.dump(), stored(stage)
    assert one.blocked == 0
    check_items(stage, one, before, after)
    check_objects(stage, one, buckets, objects, copied)

    if seed % 2:
        persist(stage, bad, "rollback", writes=planned["changes"])
        assert (stage.dump(), stored(stage)) == (before, objects)
        return
    stage.run("cleanup", "plan", *(["--objects"] if seed % 4 else []))
    allowed = ["its shares are not all verified"] if one.gone else []  # a conversation that was missing before
    persist(stage, bad, "cleanup", "apply", allowed=allowed, writes=planned["changes"] // 2)
    check_cleaned(stage, one, after, copied)
    assert stage.plan(one.ids)["changes"] == 0


def give_up(stage: Stage, one: Deployment, ended: Ended) -> None:
    """An operator takes what no row can hold off the list, and nothing else is on it."""
    hopeless = {change["id"] for change in ended.document["failed"] if any(sign in change["note"] for sign in UNFIT)}
    for entry in [entry for entry in stage.entries("workspace", "failed") if entry.id in hopeless]:
        if entry.kind == "content":
            assert {key for _, key, *_ in entry.detail["sources"]} <= one.unfit, entry
        else:
            one.blocked -= 1
        stage.run("migrate", "resolve", str(entry.id), "--skip", "--reason", "it fits in no row")


def check_items(stage: Stage, one: Deployment, before: Dump, after: Dump) -> None:
    """Every item is what it is to be: those of nobody bit by bit, those of mapped people under their new ids."""
    wanted = stands(one, lambda table, item: key_text(stage.key(table, item)))
    assert after[BINARY] == before[BINARY]
    by_table: dict[str, dict[str, Any]] = {stage.name(table): {} for table, _ in one.rows}
    for (table, text), item in wanted.items():
        by_table.setdefault(stage.name(table), {})[text] = item
    storage = stage.name(STORAGE)
    for table, items in by_table.items():
        found = after[table]
        for text, item in items.items():
            assert text in found, (table, text)
            assert item is ANYTHING or json.loads(canonical(item)) == found[text], (table, item, found[text])
        if table != storage:
            assert found.keys() == items.keys(), (table, found.keys() ^ items.keys())
    made = {(item["PK"]["S"], item["SK"]["S"]): item for text, item in after[storage].items()
            if text not in by_table.get(storage, ())}  # fmt: skip
    assert made.keys() == one.made.keys()
    for place, data in one.made.items():
        assert data is None or json.loads(canonical({"": data})) == {"": made[place]["data"]}, place


def check_objects(stage: Stage, one: Deployment, buckets: dict[str, str], objects: Stored, copied: Stored) -> None:
    """What was there stands, each copy is equal, and besides there are the logs that no row had room for."""
    assert {where: copied[where] for where in objects} == objects
    home = buckets[CONSOLIDATION]
    copies = {(home, key): objects[buckets[bucket], source] for (bucket, source), key in one.copies.items()}
    assert {where: copied[where] for where in copies} == copies
    s3 = stage.aws.client("s3")
    for bucket, key in copies.keys() - objects.keys():
        answer = s3.head_object(Bucket=bucket, Key=key)
        assert (answer["Metadata"], answer["ContentType"]) == ({"of": "test"}, "binary/octet-stream"), key
    beside = copied.keys() - objects.keys() - copies.keys()
    assert all(bucket == home and key.startswith("scheduledTaskLogs/") for bucket, key in beside), beside
    assert {copied[where] for where in beside} <= {
        objects[buckets[LOGS], key] for name, key in one.objects if name == LOGS
    }


def check_cleaned(stage: Stage, one: Deployment, after: Dump, copied: Stored) -> None:
    """Only what has its twin is gone, what stands is as it was, and every plain copy's original went."""
    cleaned, left = stage.dump(), stored(stage)
    gone = {(table, text) for table in after for text in after[table].keys() - cleaned[table].keys()}
    for table in after:
        assert {text: after[table][text] for text in cleaned[table]} == cleaned[table]
    twins: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for entry in stage.entries():
        if entry.kind != "object" and entry.state in ("verified", "cleaned"):
            key = {name: value for name, value in entry.source_key.items() if name != "part"}
            twins.setdefault((entry.source_place, key_text(key)), []).append(
                (entry.target_place, key_text(entry.target_key))
            )
    for where in gone:
        assert all(text in cleaned[table] for table, text in twins[where]), where
    for table, item, old, new in one.expected:
        if table != OLD_STORAGE and old is not None and stage.key(table, item) != stage.key(table, new):
            place = stage.name(table), key_text(stage.key(table, item))
            entries = [
                one
                for one in stage.entries()
                if one.kind != "object" and (one.source_place, key_text(one.source_key)) == place
            ]
            stood = place[1] in after[place[0]]  # one that was summed is removed by then
            assert not stood or place in gone or any(entry.state == "kept" for entry in entries), place
    copies = {(entry.source_place, entry.source_key): (entry.target_place, entry.target_key) for entry in stage.entries()
              if entry.kind == "object"}  # fmt: skip
    for where in copied.keys() - left.keys():
        assert left[copies[where]] == copied[where]
    assert all(left[where] == copied[where] for where in left)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = time.sleep
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: sleep(min(seconds, 0.005)))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seed", [126, 181])  # two that have much in them: cleanup and rollback, each after a kill
def test_nothing_is_lost_invented_or_left_undone(aws: Aws, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(aws, seed, Path(folder))


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_nothing_is_lost_invented_or_left_undone_in_many(aws: Aws) -> None:
    failed = {}
    for seed in range(FIRST, FIRST + MANY):
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(aws, seed, Path(folder))
            except Exception as error:
                failed[seed] = f"{type(error).__name__}: {str(error)[:500]}"
    assert not failed
