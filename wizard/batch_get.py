"""Many items of a table by their keys, a hundred to a request."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from wizard.aws import Account
from wizard.wire import Item

MOST = 100  # keys that one BatchGetItem takes
_PATIENCE = 2.0  # seconds for keys that stay unprocessed; then each is read by itself


def batch_get(account: Account, table: str, keys: Sequence[Item], attributes: Sequence[str] = ()) -> Iterator[Item]:
    """The items that stand at the keys (at most 100, no two alike), strongly consistent, in no order.

    `attributes` restricts what is read of each. What AWS leaves unprocessed (16 MB a request, or throttling) is asked
    for again, and one by one where nothing more comes: GetItem says why. Raises what `Account.call` raises.
    """
    shape: dict[str, Any] = {"ConsistentRead": True}
    if attributes:
        names = {f"#a{number}": name for number, name in enumerate(attributes)}
        shape |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
    request = {table: {"Keys": list(keys), **shape}} if keys else {}
    waited = 0.0
    for attempt in itertools.count():
        if not request:
            return
        answer = account.call("dynamodb", "batch_get_item", RequestItems=request)
        found = answer["Responses"].get(table, [])
        yield from found
        request = answer.get("UnprocessedKeys") or {}
        if found:
            waited = 0.0
        elif request and waited > _PATIENCE:
            break
        elif request:
            pause = 0.05 * 2 ** min(attempt, 5)
            waited += pause
            account.control.sleep(pause)
    for key in request[table]["Keys"]:
        if item := account.call("dynamodb", "get_item", TableName=table, Key=key, **shape).get("Item"):
            yield item
