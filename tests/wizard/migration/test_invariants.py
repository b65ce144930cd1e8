"""What holds for any deployment, any map and any faults: nothing is lost, nothing is invented, everything can be undone.

The deployments are drawn at random, each from a seed that a failure names; what is expected is known from how they were
drawn, not by the engine's rewrite.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer

from tests.conftest import Aws
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
    logs_key,
    stands,
)
from tests.wizard.migration.object_services import ObjectServices, Stored, Where
from tests.wizard.migration.services import Services, places_of
from tests.wizard.migration.stage import Dump, Ended, Stage, s
from tests.wizard.migration.stopping import blocked, draw_bad, persist
from wizard.migration.entry import Entry
from wizard.migration.lzw import safe_uncompress
from wizard.wire import canonical

FIRST = int(os.environ.get("INVARIANTS_SEED", "1000"))  # of the long run; a failure names the seed to begin with
MANY = int(os.environ.get("INVARIANTS", "200"))


def key_text(key: Any) -> str:
    return canonical(key).decode()


def stored(stage: Stage) -> dict[Where, tuple[str, int]]:
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


class Trial:
    """A drawn deployment that is migrated, and then undone or cleaned up, while all goes wrong that can."""

    def __init__(self, aws: Aws, seed: int, folder: Path):
        self.one, self.bad, self.stage = draw_deployment(seed), draw_bad(seed), Stage(aws, folder)
        self.buckets = seed_account(self.stage, self.one)
        self.before, self.objects = self.stage.dump(), stored(self.stage)
        objects = ObjectServices(self.stage, self.one, self.buckets, self.objects, seed)
        self.services = Services(self.stage, self.one, self.before, objects, seed)
        self.turn = self.one  # whose map is planned with: the pilots', or that of all
        self.changes = 0  # how many its first plan has

    def plan(self, turn: Deployment) -> None:
        """The first plan for some people. It changes nothing."""
        self.turn = turn
        dump, objects = self.stage.dump(), stored(self.stage)
        planned = self.stage.plan(turn.ids)
        assert (self.stage.dump(), stored(self.stage)) == (dump, objects)
        told = {finding["text"] for finding in planned["findings"]}
        foreign = any("not this deployment's" in text for text in told)
        assert foreign == bool(turn.foreign) or self.services.any_wrote
        self.changes = planned["changes"]

    def migrate(self) -> Ended:
        """Apply and verify, and plan again while something is left; returns the last verification."""
        stage, bad, services = self.stage, self.bad, self.services
        calm = replace(bad, fault=None, how="", meanwhile=0, with_objects=0, denied=False)

        def once_killed() -> None:
            """Other commands than the killed one take up what it left as well."""
            if bad.then == "rollback":
                self.undone(persist(stage, calm, services, "rollback", writes=0))
            if bad.then != "apply":
                stage.plan(self.turn.ids)

        for turn in range(5):  # pointers to content that could not be moved at first follow with the next plan
            if bad.saving and turn < 2:
                services.write(services.settings)
            persist(
                stage, (bad, replace(bad, denied=False), calm)[min(turn, 2)], services, "migrate", "apply",
                allowed=["its content could not be moved"], writes=self.changes, once_killed=once_killed,
            )  # fmt: skip
            if bad.saving and turn < 2:
                services.write(services.settings)
            give_up(stage, self.one, services)
            verified = stage.run("migrate", "verify")
            if verified.code == 0:
                break
            if not stage.plan(self.turn.ids)["changes"]:  # which may have found that nothing is to do any more
                verified = stage.run("migrate", "verify")
                break
        if verified.code:
            check_told(services, verified)
        return verified

    def migrated(self) -> None:
        """All are migrated: everything is where and what it is to be."""
        stage, one, services = self.stage, self.one, self.services
        after, copied = stage.dump(), stored(stage)
        listed = stage.entries("workspace", "conflict", "failed", "kept")
        services.migrated(after, set(places_of(listed)))
        services.objects.migrated(copied, after, listed, services.together)
        assert one.blocked == 0 or any(services.touched(stage.place(*row)) for row in one.staying)
        check_items(stage, one, services, self.before, after)
        check_objects(stage, one, services, self.buckets, self.objects, copied)
        check_logs(stage, one, services, self.buckets[CONSOLIDATION], after, copied)

    def undone(self, ended: Ended) -> None:
        """A rollback has ended: everything is as it was."""
        stage, services = self.stage, self.services
        left = [entry for entry in stage.entries() if entry.id in {told["id"] for told in ended.document["left"]}]
        assert ended.code == bool(left or ended.document["still_to_put_back"])
        services.rolled_back(stage.dump(), left)
        services.objects.rolled_back(stored(stage), left)
        check_objects_undone(stored(stage), services, self.objects, left)
        if self.turn is self.one:  # the next plan is for all at once
            self.one.pilots = None
            services.expect(self.one)

    def roll_back(self) -> None:
        self.undone(persist(self.stage, self.bad, self.services, "rollback", writes=self.changes))

    def clean_up(self, verified: Ended, *, objects: bool) -> None:
        stage, one, services = self.stage, self.one, self.services
        for entry in stage.entries("workspace", "conflict", "failed"):
            assert stage.run("migrate", "resolve", str(entry.id), "--skip", "--reason", "seen to").code == 0
        if verified.code and (verified := stage.run("migrate", "verify")).code:
            check_told(services, verified)
        after, copied, earlier = stage.dump(), stored(stage), services.objects.counts()
        stage.run("cleanup", "plan", *(["--objects"] if objects else []))
        allowed = ["its shares are not all verified"] if one.gone else []  # a conversation that was missing before
        ended = persist(stage, self.bad, services, "cleanup", "apply", allowed=allowed, writes=self.changes // 2)
        assert ended.code != 3 or services.any_wrote, ended.text  # what they wrote is to be migrated first
        services.all_tokens_stand(stage.dump(), cleaned=True)
        services.objects.cleaned(copied, stored(stage), earlier)
        check_cleaned(stage, one, services, after, copied, whole=ended.code != 3)
        assert stage.plan(one.ids)["changes"] == 0 or services.any_wrote


def check(aws: Aws, seed: int, folder: Path) -> None:
    """The pilots, then all, for some seeds undone and migrated once more; in the end a rollback or a cleanup."""
    aws.reset()
    trial = Trial(aws, seed, folder)
    for turn in trial.one.turns:
        trial.plan(turn)
        verified = trial.migrate()
    trial.migrated()
    if trial.bad.again:
        trial.roll_back()
        trial.plan(trial.one)
        verified = trial.migrate()
        trial.migrated()
    if trial.bad.services and trial.bad.idle:
        trial.services.write()
        trial.services.objects.write()
    if seed % 2:
        trial.roll_back()
    else:
        trial.clean_up(verified, objects=bool(seed % 4))


def check_told(services: Services, verified: Ended) -> None:
    """A verification that is not clean tells of nothing but what services wrote to."""
    assert services.any_wrote and verified.code == 1, verified.text
    document = verified.document
    assert all(services.excuse(one) for one in document["wrong"]), document["wrong"]
    assert all(services.excuse({"place": place}) for place in document["leftovers"]["tables"]), document["leftovers"]


def check_objects_undone(now: Stored, services: Services, objects: Stored, left: list[Entry]) -> None:
    """Every object is as before; besides there are those of changes that were left."""
    assert untouched(services, now, objects) == untouched(services, objects)
    of, besides = str([(entry.target_key, dict(entry.detail)) for entry in left]), untouched(services, now).keys()
    assert all(repr(key)[1:-1] in of for _, key in besides - objects.keys()), (besides - objects.keys(), of)


def untouched(services: Services, stored: Stored, among: Collection[Where] | None = None) -> dict[Where, Any]:
    """Those objects to which no service wrote, of `among` if given."""
    return {
        where: stored[where]
        for where in stored
        if (among is None or where in among) and not services.objects.touched(where)
    }


def give_up(stage: Stage, one: Deployment, services: Services) -> None:
    """An operator takes what no row can hold off the list, and nothing else is on it."""
    for entry in blocked(stage):
        if entry.kind == "content":
            sources = {(bucket, key) for bucket, key, *_ in entry.detail["sources"]}
            assert all(where[1] in one.unfit or services.objects.touched(where) for where in sources), entry
        else:
            one.blocked -= 1
        stage.run("migrate", "resolve", str(entry.id), "--skip", "--reason", "it fits in no row")


def check_items(stage: Stage, one: Deployment, services: Services, before: Dump, after: Dump) -> None:
    """Every item is what it is to be: those of nobody bit by bit, those of mapped people under their new ids."""
    wanted = stands(one, lambda table, item: key_text(stage.key(table, item)))
    assert after[BINARY] == before[BINARY]
    by_table: dict[str, dict[str, Any]] = {stage.name(table): {} for table, _ in one.rows}
    for (table, text), item in wanted.items():
        by_table.setdefault(stage.name(table), {})[text] = item
    storage = stage.name(STORAGE)
    for table, items in by_table.items():
        found = {text: item for text, item in after[table].items() if not services.touched((table, text))}
        items = {text: item for text, item in items.items() if not services.touched((table, text))}
        for text, item in items.items():
            assert text in found, (table, text)
            assert item is ANYTHING or json.loads(canonical(item)) == found[text], (table, item, found[text])
        if table != storage:
            assert found.keys() == items.keys(), (table, found.keys() ^ items.keys())
    made = {(item["PK"]["S"], item["SK"]["S"]): item for text, item in after[storage].items()
            if text not in by_table.get(storage, ()) and not services.touched((storage, text))
            and not services.objects.made_of_touched(item)}  # fmt: skip
    wanted_made = {place: data for place, data in one.all_made.items()
                   if not services.touched((storage, key_text({"PK": s(place[0]), "SK": s(place[1])})))}  # fmt: skip
    assert made.keys() == wanted_made.keys(), made.keys() ^ wanted_made.keys()
    for place, data in wanted_made.items():
        assert data is None or json.loads(canonical({"": data})) == {"": made[place]["data"]}, place


def check_objects(
    stage: Stage, one: Deployment, services: Services, buckets: dict[str, str], objects: Stored, stored: Stored
) -> None:
    """What was there stands, each copy is equal, and besides there are the logs that no row had room for."""
    copied = untouched(services, stored)
    assert untouched(services, copied, objects) == untouched(services, objects)
    home = buckets[CONSOLIDATION]
    copies = untouched(
        services,
        {(buckets[into], key): objects[buckets[bucket], source] for (bucket, source), (into, key) in one.all_copies},
    )
    stands = untouched(services, copied, copies)
    assert stands == copies, stands.items() ^ copies.items()
    s3 = stage.aws.client("s3")
    for bucket, key in copies.keys() - objects.keys():
        answer = s3.head_object(Bucket=bucket, Key=key)
        assert (answer["Metadata"], answer["ContentType"]) == ({"of": "test"}, "binary/octet-stream"), key
    beside = copied.keys() - objects.keys() - copies.keys()
    assert all(bucket == home and key.startswith("scheduledTaskLogs/") for bucket, key in beside), beside
    assert {copied[where] for where in beside} <= {
        objects[buckets[LOGS], key] for name, key in one.objects if name == LOGS
    }


def check_logs(stage: Stage, one: Deployment, services: Services, home: str, after: Dump, objects: Stored) -> None:
    """Every log of a task stands under the new id, in its row or beside that in S3, and no other does."""
    s3 = stage.aws.client("s3")
    for (user, task), wanted in one.logs.items():
        place, folder = stage.place(STORAGE, logs_key(user, task)), f"scheduledTaskLogs/{user}/{task}/"
        beside = {key for bucket, key in objects if bucket == home and key.startswith(folder)}
        all_beside = beside | {f"{folder}{run}.json" for run in wanted}
        if services.touched(place) or any(services.objects.touched((home, key)) for key in all_beside):
            continue
        row = TypeDeserializer().deserialize({"M": after[place[0]].get(place[1], {})})
        found = {run: _log(value) for run, value in row["data"]["logs"].items()} if row else {}
        bodies = {key: s3.get_object(Bucket=home, Key=key)["Body"].read() for key in beside}
        archived = {key.removeprefix(folder).removesuffix(".json"): json.loads(body) for key, body in bodies.items()}
        assert not found.keys() & archived.keys()
        assert {**found, **archived} == wanted, (place, found.keys(), archived.keys(), wanted.keys())


def _log(value: Any) -> Any:
    return safe_uncompress([int(code) for code in value]) if isinstance(value, list) else value


def check_cleaned(stage: Stage, one: Deployment, services: Services, after: Dump, copied: Stored, whole: bool) -> None:
    """Only what has its twin is gone, what stands is as it was, and, of a `whole` cleanup, every plain copy's original."""
    cleaned, left = stage.dump(), stored(stage)
    gone = {(table, text) for table in after for text in after[table].keys() - cleaned[table].keys()
            if not services.touched((table, text))}  # fmt: skip
    for table in after:
        for text, item in cleaned[table].items():
            assert after[table].get(text) == item or services.touched((table, text))
    twins: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for entry in stage.entries():
        is_row = entry.kind != "object" and entry.moves and not entry.detail.get("pointer")  # else it stays in S3
        if is_row and entry.state in ("verified", "cleaned"):
            key = {name: value for name, value in entry.source_key.items() if name != "part"}
            twins.setdefault((entry.source_place, key_text(key)), []).append(
                (entry.target_place, key_text(entry.target_key))
            )
    for where in gone:
        assert all(text in cleaned[table] for table, text in twins[where]), where
    for table, item, old, new in one.expected:
        if table != OLD_STORAGE and old is not None and stage.key(table, item) != stage.key(table, new):
            place = stage.name(table), key_text(stage.key(table, item))
            if services.touched(place) or not whole:
                continue
            entries = [
                one
                for one in stage.entries()
                if one.kind != "object" and (one.source_place, key_text(one.source_key)) == place
            ]
            stood = place[1] in after[place[0]]  # one that was summed is removed by then
            assert not stood or place in gone or any(entry.state == "kept" for entry in entries), place
    copies = {(entry.source_place, entry.source_key): (entry.target_place, entry.target_key) for entry in stage.entries()
              if entry.kind == "object"}  # fmt: skip
    for where in untouched(services, copied).keys() - left.keys():
        assert left[copies[where]] == copied[where]
    assert all(left[where] == copied[where] for where in untouched(services, left))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = time.sleep
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: sleep(min(seconds, 0.005)))


@pytest.mark.usefixtures("impatient")
# Services write after each kill and as rows go: logs under both ids and cleanup, pilots, settings, sums and rollback.
@pytest.mark.parametrize("seed", [40484, 35149])
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
