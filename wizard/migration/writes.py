"""Conditional writes of items: each goes through only while what it was computed from still stands. Pure.

A write is a TransactWriteItems member, `{"Put": …}` or `{"Update": …}`; a single one is sent as the plain operation of
the same meaning. Nothing is deleted in a transaction, which does not tell what it took.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import botocore.exceptions

from wizard.aws import Account
from wizard.aws_errors import AWS_ERRORS, code_of, explain
from wizard.errors import MigrateError
from wizard.migration.rewrite import Change, changes
from wizard.wire import Item, key_of, key_text, same, unchanged_condition

log = logging.getLogger(__name__)

Write = dict[str, dict[str, Any]]

_LONGEST = 3_500  # characters; DynamoDB takes expressions of 4 KB
_MOST = 100  # changed places in one expression; DynamoDB takes 300 operators
_LOST = {"ConditionalCheckFailedException", "TransactionCanceledException"}
_SINGLE = {"Put": "put_item", "Update": "update_item"}


class Lost(Exception):
    """The condition of a write failed: something else was written since it was computed.

    `repeated`: the client had sent the write before and got no answer, so that what stands may be its own work.
    """

    def __init__(self, code: str, repeated: bool = False):
        super().__init__(code)
        self.repeated = repeated


class NotPutBack(Exception):
    """`delete` took away more than was read, and it does not stand again: the message names the key, `item` is all of it."""

    def __init__(self, message: str, item: Item):
        super().__init__(message)
        self.item = item


def put_new(table: str, item: Item, key_names: Sequence[str]) -> Write:
    """Put an item where none stands."""
    return {
        "Put": {
            "TableName": table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(#k)",
            "ExpressionAttributeNames": {"#k": key_names[0]},
        }
    }


def update(table: str, key_names: Sequence[str], before: Item, after: Item) -> Write:
    """Turn an item from `before` to `after`, touching nothing else; refused when a changed place holds something else."""
    differences = changes(before, after)
    write = _update(table, key_of(before, key_names), differences)
    expression = write["Update"]["UpdateExpression"] + write["Update"]["ConditionExpression"]
    if len(differences) > _MOST or len(expression) > _LONGEST:
        write = _update(table, key_of(before, key_names), changes(before, after, depth=1))
    return write


def _update(table: str, key: Item, differences: Sequence[Change]) -> Write:
    names: dict[str, str] = {"#k": next(iter(key))}
    values: dict[str, Any] = {}
    sets, removes, conditions = [], [], ["attribute_exists(#k)"]
    short: dict[str, str] = {}
    for index, change in enumerate(differences):
        for name in change.path:
            if name not in short:
                short[name] = f"#n{len(short)}"
                names[short[name]] = name
        place = ".".join(short[name] for name in change.path)
        if change.before is None:
            conditions.append(f"attribute_not_exists({place})")
        else:
            values[f":b{index}"] = change.before
            conditions.append(f"{place} = :b{index}")
        if change.after is None:
            removes.append(place)
        else:
            values[f":a{index}"] = change.after
            sets.append(f"{place} = :a{index}")
    clauses = [f"{verb} {', '.join(parts)}" for verb, parts in (("SET", sets), ("REMOVE", removes)) if parts]
    body = {
        "TableName": table,
        "Key": key,
        "UpdateExpression": " ".join(clauses),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": names,
    }
    return {"Update": {**body, "ExpressionAttributeValues": values} if values else body}


def delete(account: Account, table: str, key_names: Sequence[str], item: Item) -> None:
    """Delete an item that is still what was read. Raises Lost when it is not.

    A condition names attributes, so it cannot see one that a service adds between reading and deleting: the answer
    tells what was deleted, and an item that was more than what was read is put back. Raises NotPutBack when that fails.
    """
    unchanged = unchanged_condition(item, dict.fromkeys((*key_names, *item)))
    with _losing():
        answer = account.call(
            "dynamodb", "delete_item", TableName=table, Key=key_of(item, key_names), ReturnValues="ALL_OLD", **unchanged
        )
    gone = answer.get("Attributes")
    if gone is not None and not same(gone, item):
        log.warning("%s: an item was changed at the moment it was deleted; it is put back", table)
        put_again(account, table, key_names, gone, f"a service changed {key_text(key_of(gone, key_names))}")
        raise Lost("AddedAttribute")


def put_again(account: Account, table: str, key_names: Sequence[str], item: Item, what: str) -> None:
    """Put back an item that was deleted, unless another one stands there by now. Raises NotPutBack.

    `what` happened, as a clause that names the key, is told then.
    """
    key = key_of(item, key_names)
    try:
        try:
            send(account, [put_new(table, item, key_names)])
        except MigrateError:  # a cancel or a lost lock stops what is to come, not the return of what was taken
            put = put_new(table, item, key_names)["Put"]
            answer = account.client("dynamodb", gated=False).put_item(**put)
            account.record("dynamodb", "PutItem", put, "ok", answer)
    except (Lost, MigrateError, *AWS_ERRORS) as error:
        with suppress(*AWS_ERRORS):
            standing = account.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
            if standing is not None and same(standing, item):  # only the answer was lost
                return
        why = "another item stands there by now" if isinstance(error, Lost) else explain(error)
        raise NotPutBack(
            f"{what} at the moment it was deleted, and it could not be put back: {why};"
            " it is kept in the ledger, and the next `migrate apply` puts it back",
            item,
        ) from error


def send(account: Account, writes: Sequence[Write]) -> str:
    """Make the writes, all or none; returns the request id. Raises Lost when a condition failed."""
    with _losing():
        if len(writes) == 1:
            ((kind, body),) = writes[0].items()
            response = account.call("dynamodb", _SINGLE[kind], **body)
        else:
            response = account.call("dynamodb", "transact_write_items", TransactItems=list(writes))
    return str(response.get("ResponseMetadata", {}).get("RequestId", ""))


@contextmanager
def _losing() -> Iterator[None]:
    """Turn the refusal of a condition into Lost."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in _LOST:
            raise
        reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if reasons - {"None", None, "ConditionalCheckFailed", "TransactionConflict"}:
            raise
        raise Lost(code_of(error), error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0) from error


def read(account: Account, table: str, key: Item) -> Item | None:
    """The item at a key as it stands now; None when there is none."""
    answer = account.call("dynamodb", "get_item", TableName=table, Key=key, ConsistentRead=True)
    return answer.get("Item")
