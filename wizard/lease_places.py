"""Where the lock of a deployment may stand, and who holds it: an item in the first of its tables that takes one.

Not everybody may use the same tables, so a lock may stand in any of them: one that cannot be read hides a holder.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import botocore.exceptions

from wizard.aws_errors import ABSENT, DENIED, code_of
from wizard.catalog.model import Table
from wizard.catalog.tables import BY_KEY
from wizard.context import Context
from wizard.errors import Blocked
from wizard.inventory import table_names
from wizard.migration.scan import LOCK_KEY
from wizard.migration.targets import describe, key_schema, names_of
from wizard.wire import Item

log = logging.getLogger(__name__)

# Tables whose readers do not mind a foreign item, without streams; the first that exists is taken.
_HOSTS = (
    "USER_DATA_STORAGE_TABLE", "OLD_USER_STORAGE_TABLE", "ENV_VARS_TRACKING_TABLE", "OAUTH_STATE_TABLE", "USER_TAGS_DYNAMO_TABLE",
    "REQUEST_STATE_DYNAMO_TABLE", "ACCOUNTS_DYNAMO_TABLE", "FILES_DYNAMO_TABLE", "COGNITO_USERS_DYNAMODB_TABLE",
    "OBJECT_ACCESS_DYNAMODB_TABLE", "ASSISTANTS_DYNAMODB_TABLE",
)  # fmt: skip


@dataclass(frozen=True)
class Lease:
    """Who holds the deployment."""

    table: str
    key: Item
    owner: str
    beat: str
    workspace: str


def places(context: Context, refused: list[str]) -> Iterator[tuple[str, Item]]:
    """Table and key where the lease can be taken, best first. What may not be looked at is `refused`."""
    for name, _ in _tables(context):
        with passing_over(name, refused):
            if key := _key(context, name):
                yield name, key


@contextlib.contextmanager
def passing_over(table: str, refused: list[str]) -> Iterator[None]:
    """Goes on after a table that may not be touched, or is gone."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in DENIED | ABSENT:
            raise
        refused.append(table)
        log.warning("%s cannot be used for the lock (%s)", table, code_of(error))


def standing(context: Context) -> tuple[list[Lease], list[str]]:
    """Every lease that stands anywhere, and the tables that may hold one and cannot be read; both best first."""
    found: list[Lease | None] = []
    unread: list[str] = []
    for name, row in _tables(context):
        try:
            if key := _key(context, name, row):
                found.append(read(context, name, key))
        except botocore.exceptions.ClientError as error:
            if code_of(error) not in DENIED | {"ValidationException"}:  # the latter: its key is not the catalog's
                raise
            unread.append(name)
    return [lease for lease in found if lease is not None], _existing(context, unread)


def better(context: Context, tables: list[str], than: str) -> list[str]:
    """Those of the tables that come before another one. Whoever reads all that come before its own sees, or is seen by,
    everybody who does the same."""
    order = [name for name, _ in _tables(context)]
    return [name for name in tables if order.index(name) < order.index(than)]


def hidden(context: Context, tables: list[str]) -> Blocked:
    """What to raise where a lock might stand unseen."""
    return Blocked(
        f"Whether another run holds the lock of {context.deployment.label} cannot be told, as {', '.join(tables)} cannot be"
        " read: grant dynamodb:DescribeTable and dynamodb:GetItem there."
    )


def read(context: Context, table: str, key: Item) -> Lease | None:
    """The lease that stands at one place; None also where there is no such table."""
    try:
        answer = context.account.call("dynamodb", "get_item", TableName=table, Key=key, ConsistentRead=True)
    except botocore.exceptions.ClientError as error:
        if code_of(error) in ABSENT:
            return None
        raise
    if "Item" not in answer:
        return None
    text = {name: next(iter(value.values())) for name, value in answer["Item"].items()}
    return Lease(table, key, text.get("owner", ""), text.get("beat", ""), text.get("workspace", ""))


def _tables(context: Context) -> Iterator[tuple[str, Table]]:
    for config_key in _HOSTS:
        for name in names_of(context.deployment, BY_KEY[config_key]):
            yield name, BY_KEY[config_key]


def _key(context: Context, name: str, row: Table | None = None) -> Item | None:
    """The lease's key in a table, None where it cannot stand. With `row`, a table that may not be described has its key."""
    try:
        description = describe(context.account, name)
    except botocore.exceptions.ClientError as error:
        if row is None or code_of(error) not in DENIED:
            raise
        schema = row.key.schema
    else:
        if not description or description.get("TableStatus") not in ("ACTIVE", "UPDATING"):
            return None
        schema = key_schema(description)
    return {part: {"S": LOCK_KEY} for part, _ in schema} if all(kind == "S" for _, kind in schema) else None


def _existing(context: Context, names: list[str]) -> list[str]:
    """Those of the tables that exist; all of them where that may not be known."""
    if not names:
        return []
    try:
        existing = set(table_names(context.account))
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in DENIED:
            raise
        return names
    return [name for name in names if name in existing]
