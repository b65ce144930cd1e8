"""The seeded data of a sandbox, area by area, and what writes it.

`world` says who is there; each area module yields the rows and objects of a few services; `sow` writes what the release
has a table or bucket for. The same arguments give the same data.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from wizard.aws import Account
from wizard.deployment import Deployment
from wizard.sandbox.releases import Release
from wizard.sandbox.schemas import BUCKETS, TABLES, Bucket, Schema
from wizard.sandbox.seed import access, agents, assistants, chats, leftovers, others, storage
from wizard.sandbox.seed.model import Object, Person, Row, Seedling, World
from wizard.sandbox.seed.people import UNMAPPED, people

_AREAS = (access, chats, assistants, agents, others, storage, leftovers)
_TABLES = {table.id: table for table in TABLES}
_BUCKETS = {bucket.id: bucket for bucket in BUCKETS}


@dataclass(frozen=True)
class Seeded:
    """What was written: the number of rows by table name and of objects by bucket name."""

    people: tuple[Person, ...]
    unmapped: tuple[Person, ...]
    rows: dict[str, int]
    objects: dict[str, int]

    @property
    def ids(self) -> dict[str, str]:
        """The user map."""
        return {person.old: person.new for person in self.people}


def world(deployment: Deployment, release: Release, *, users: int = 12, scenario: str = "a", seed: int = 1) -> World:
    """Everybody and everything that the data is about; raises BadInput for impossible wishes."""
    return World(deployment, release, people(users, scenario, seed), UNMAPPED, seed)


def seedlings(of: World) -> Iterator[Seedling]:
    """Every row and object that the release has a place for, in a stable order; a later row replaces one of its key."""
    for area in _AREAS:
        for seedling in area.seedlings(of):
            placed = _placed(seedling, of.release)
            if of.release.has(_home(placed)):
                yield placed


def _placed(seedling: Seedling, release: Release) -> Seedling:
    if isinstance(seedling, Row) and seedling.table == "lambda/chat-usage":
        return replace(seedling, table=f"lambda/{release.usage}")
    return seedling


def _home(seedling: Seedling) -> Schema | Bucket:
    return _TABLES[seedling.table] if isinstance(seedling, Row) else _BUCKETS[seedling.bucket]


def sow(account: Account, of: World) -> Seeded:
    """Write the world's data: items in batches, objects a few at a time."""
    items: dict[str, dict[tuple[str, ...], dict[str, Any]]] = {}
    objects: list[Object] = []
    serialize = TypeSerializer().serialize
    for seedling in seedlings(of):
        if isinstance(seedling, Object):
            objects.append(seedling)
        else:
            table = _TABLES[seedling.table]
            item = {name: serialize(value) for name, value in seedling.item.items()}
            key = tuple(str(item[part.split(":")[0]]) for part in table.key.split())
            items.setdefault(table.name(of.deployment), {})[key] = item
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: _put_items(account, one[0], list(one[1].values())), items.items()))
        list(pool.map(lambda one: _put_object(account, of.bucket(one.bucket), one), objects))
    rows = {table: len(of_table) for table, of_table in items.items()}
    return Seeded(of.people, of.unmapped, rows, dict(Counter(of.bucket(one.bucket) for one in objects)))


def _put_items(account: Account, table: str, items: list[dict[str, Any]]) -> None:
    for start in range(0, len(items), 25):
        wanted: dict[str, Any] = {table: [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]}
        while wanted:
            wanted = account.call("dynamodb", "batch_write_item", RequestItems=wanted).get("UnprocessedItems") or {}


def _put_object(account: Account, bucket: str, one: Object) -> None:
    tags = {"Tagging": one.tags} if one.tags else {}
    account.call(
        "s3", "put_object", Bucket=bucket, Key=one.key, Body=one.body, ContentType=one.content_type,
        Metadata=dict(one.metadata), **tags,
    )  # fmt: skip


def write_csv(path: Path, of: Iterable[Person]) -> Path:
    """The user map of the people, in the guide's format."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("old_id", "new_id"))
        writer.writerows((person.old, person.new) for person in of)
    return path
