"""Many items of a table by their keys, a hundred to a request."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from wizard.aws import Account
from wizard.errors import Failed
from wizard.patience import PATIENCE_SECONDS
from wizard.wire import Item

MOST = 100  # keys that one BatchGetItem takes


def batch_get(
    account: Account,
    table: str,
    keys: Sequence[Item],
    attributes: Sequence[str] = (),
    patience: float = PATIENCE_SECONDS,
) -> Iterator[Item]:
    """The items that stand at the keys (at most 100, no two alike), strongly consistent, in no order.

    `attributes` restricts what is read of each. What AWS leaves unprocessed (16 MB a request, or throttling) is asked
    for again. Raises Failed when nothing more comes for `patience` seconds, and what `Account.call` raises.
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
        elif request:
            if waited > patience:
                raise Failed(f"{table} gave no answer for {patience / 60:.0f} minutes; try again when it is less busy.")
            pause = min(10.0, 0.05 * 2 ** min(attempt, 10))
            waited += pause
            account.control.sleep(pause)
