"""A deployment of a few tables for tests of the engine: what a test needs is created and filled by a plain client.

Tables are named by `service/suffix` as in the sandbox's schemas. The engine runs through its commands in a context of
its own, so that a test sees the exit status and the document of `--json`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REGION, Aws
from tests.wizard.cli_run import write_map
from wizard.aws import Account, is_read
from wizard.cli import run_words
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.errors import MigrateError
from wizard.events import Control, Feed
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.sandbox.schemas import BUCKETS, TABLES
from wizard.wire import canonical
from wizard.workspace import Workspace

Item = dict[str, Any]
Dump = dict[str, dict[str, Item]]  # table -> key as text -> item
Place = tuple[str, str]  # (table, key as text)

V6 = Deployment("v6", "dev", REGION)
ANN, BOB, EVE = "ann@example.edu", "bob@example.edu", "eve@example.edu"
MAP = {ANN: "a-100", BOB: "b-200"}  # eve is nobody's business


def s(value: str) -> Item:
    return {"S": value}


def n(value: object) -> Item:
    return {"N": str(value)}


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit status, document, and what it told a person."""

    code: int
    document: dict[str, Any]
    text: str


@dataclass
class Stage:
    """The deployment, its tables and the workspaces of a test."""

    aws: Aws
    folder: Path
    deployment: Deployment = V6
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)  # table name -> key attributes

    @cached_property
    def db(self) -> Any:
        return self.aws.client("dynamodb")

    @cached_property
    def _account(self) -> Account:
        return self.aws.account()  # shared by runs that inject nothing: making clients is most of a small run

    # --- tables --------------------------------------------------------------------------------------------------------

    def name(self, table: str) -> str:
        return next(schema.name(self.deployment) for schema in TABLES if schema.id == table)

    def create(self, *tables: str, **tagged: Any) -> None:
        for table in tables:
            schema = next(schema for schema in TABLES if schema.id == table)
            keys = [part.partition(":") for part in schema.key.split()]
            self.keys[schema.name(self.deployment)] = tuple(name for name, _, _ in keys)
            self.db.create_table(
                TableName=schema.name(self.deployment),
                BillingMode="PAY_PER_REQUEST",
                KeySchema=[
                    {"AttributeName": name, "KeyType": kind}
                    for (name, _, _), kind in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind or "S"} for name, _, kind in keys],
                **tagged,
            )

    def bucket(self, bucket: str) -> str:
        name = next(one.name(self.deployment) for one in BUCKETS if one.id == bucket)
        self.aws.client("s3").create_bucket(Bucket=name)
        return name

    def put(self, table: str, *items: Item) -> None:
        if self.name(table) not in self.keys:
            self.create(table)
        for item in items:
            self.db.put_item(TableName=self.name(table), Item=item)

    def key(self, table: str, item: Item) -> Item:
        return {name: item[name] for name in self.keys[self.name(table)]}

    def place(self, table: str, item: Item) -> Place:
        """Where an item stands, as a dump has it."""
        return self.name(table), canonical(self.key(table, item)).decode()

    def get(self, table: str, *values: str) -> Item | None:
        """The item at a key of strings."""
        key = {name: s(value) for name, value in zip(self.keys[self.name(table)], values, strict=True)}
        item: Item | None = self.db.get_item(TableName=self.name(table), Key=key).get("Item")
        return item

    def set(self, table: str, values: tuple[str, ...], **attributes: Item) -> None:
        """What a service does: other values for some attributes of an item."""
        item = self.get(table, *values)
        assert item is not None
        self.put(table, {**item, **attributes})

    def delete(self, table: str, *values: str) -> None:
        key = {name: s(value) for name, value in zip(self.keys[self.name(table)], values, strict=True)}
        self.db.delete_item(TableName=self.name(table), Key=key)

    def scan(self, table: str) -> list[Item]:
        return scan(self.db, self.name(table))

    def dump(self) -> Dump:
        """Everything that every table holds, in canonical form: what must be bit-identical compares equal."""
        return dump(self.db, self.keys)

    # --- runs ----------------------------------------------------------------------------------------------------------

    def context(self, workspace: str = "workspace", account: Account | None = None) -> Context:
        """A run with clients of its own, for faults and counts."""
        control = Control()
        return Context(
            deployment=self.deployment,
            account=account or self.aws.account(control=control),
            workspace=Workspace(self.folder / workspace),
            feed=Feed(lambda event: None),
            control=control,
            workers=4,
            yes=True,
        )

    def run(self, *words: str, workspace: str = "workspace", context: Context | None = None) -> Ended:
        """A command as the command line runs it, confirmed."""
        return run(context or self.context(workspace, self._account), *words)

    def csv(self, ids: Mapping[str, str] = MAP, name: str = "map.csv") -> str:
        return write_map(self.folder / name, ids)

    def plan(self, ids: Mapping[str, str] = MAP, *more: str, **where: Any) -> dict[str, Any]:
        """A plan that works, and its document."""
        ended = self.run("migrate", "plan", "--csv-file", self.csv(ids), *more, **where)
        assert ended.code == 0, ended.text
        return ended.document

    def apply(self, code: int = 0, **where: Any) -> dict[str, Any]:
        ended = self.run("migrate", "apply", **where)
        assert ended.code == code, ended.text
        return ended.document

    def verify(self, code: int = 0, **where: Any) -> dict[str, Any]:
        ended = self.run("migrate", "verify", **where)
        assert ended.code == code, ended.text
        return ended.document

    def cleanup(self, code: int = 0, **where: Any) -> dict[str, Any]:
        ended = self.run("cleanup", "apply", **where)
        assert ended.code == code, ended.text
        return ended.document

    def migrate(self, ids: Mapping[str, str] = MAP, *more: str) -> None:
        """Plan, apply, verify."""
        self.plan(ids, *more)
        self.apply()
        self.verify()

    def entries(self, workspace: str = "workspace", *states: str) -> list[Entry]:
        with Ledger(self.folder / workspace / "ledger.sqlite", writable=False) as ledger:
            return ledger.select(states)


@pytest.fixture
def stage(aws: Aws, tmp_path: Path) -> Stage:
    return Stage(aws, tmp_path)


def run(context: Context, *words: str) -> Ended:
    try:
        outcome = run_words(words, context)
    except MigrateError as error:
        return Ended(error.exit_code, {}, str(error))
    return Ended(outcome.code, json.loads(json.dumps(outcome.details)), outcome.text)


def scan(db: Any, table: str) -> list[Item]:
    pages = db.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def dump(db: Any, keys: Mapping[str, tuple[str, ...]] | None = None) -> Dump:
    """Every item of every table; `keys` has those key attributes that are known."""
    found: Dump = {}
    for table in db.list_tables()["TableNames"]:
        names = (keys or {}).get(table) or tuple(
            part["AttributeName"] for part in db.describe_table(TableName=table)["Table"]["KeySchema"]
        )
        items = scan(db, table)
        found[table] = {
            canonical({name: item[name] for name in names}).decode(): json.loads(canonical(item)) for item in items
        }
    return found


def requests_of(context: Context) -> Counter[str]:
    """Counts every request that leaves this run from now on, by operation."""
    seen: Counter[str] = Counter()

    def note(model: Any, **_: Any) -> None:
        seen[model.name] += 1

    for service in ("dynamodb", "s3", "sts"):
        context.account.client(service).meta.events.register_last("before-call", note)
    return seen


def writes(seen: Counter[str]) -> dict[str, int]:
    """Of counted requests those that change something, without the lease."""
    return {name: count for name, count in seen.items() if not is_read(name)}


def before(context: Context, operation: str, act: Callable[[dict[str, Any]], None], times: int = 1) -> None:
    """Run `act(parameters)` just before a DynamoDB request of this run is sent, `times` times."""
    left = [times]

    def hook(params: dict[str, Any], **_: Any) -> None:
        if left[0]:
            left[0] -= 1
            act(params)

    context.account.client("dynamodb").meta.events.register(f"provide-client-params.dynamodb.{operation}", hook)


class Killed(BaseException):
    """Nothing runs after it that records a result."""


def die_once_answered(context: Context, operation: str, service: str = "dynamodb") -> None:
    """This run is killed when AWS has carried out an operation, and knows nothing of it."""

    def die(**_: Any) -> None:
        raise Killed

    context.account.client(service).meta.events.register_last(f"after-call.{service}.{operation}", die)


def kill_apply(stage: Stage, operation: str, service: str = "dynamodb", *, unsent: bool = False) -> None:
    """An apply that is killed when AWS has carried out an operation, or `unsent` before it is asked to."""
    context = stage.context()
    if unsent:
        die_at(context, service, operation)
    else:
        die_once_answered(context, operation, service)
    with pytest.raises(Killed):
        run(context, "migrate", "apply")


def die_at(context: Context, service: str, operation: str) -> None:
    """This run is killed as it is about to ask AWS for an operation."""

    def die(**_: Any) -> None:
        raise Killed

    context.account.client(service).meta.events.register_first(f"before-call.{service}.{operation}", die)
