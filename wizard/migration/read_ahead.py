"""Items of a batch of changes, read a hundred to a request before each of them is looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import botocore.exceptions

from wizard.aws import Account
from wizard.batch_get import MOST, batch_get
from wizard.context import Context
from wizard.errors import Failed
from wizard.migration.entry import encode_key
from wizard.migration.writes import read
from wizard.parallel import each
from wizard.wire import Item, key_of

Read = Callable[[Account, str, Item], Item | None]  # `writes.read`, or a `ReadAhead`

_UNREAD: Item = {}  # stands for what was not fetched; an item has its key at least
_PATIENCE = 2.0  # seconds for keys that stay unprocessed; then each is read by itself


class ReadAhead:
    """Reads like `writes.read`, from what was fetched ahead where it was.

    Each item is handed out once: a second look is a fresh one. What could not be fetched is read by itself, so that an
    error concerns the one change that meets it.
    """

    def __init__(self, context: Context, wanted: Iterable[tuple[str, Item]]):
        """`wanted`: (table, key) of what will be asked for, repetitions allowed."""
        self._items: dict[tuple[str, str], Item | None] = {}
        keys: defaultdict[str, dict[str, Item]] = defaultdict(dict)
        for table, key in wanted:
            keys[table][encode_key(key)] = key
        tasks = [
            (table, dict(ordered[start : start + MOST]))
            for table, unique in keys.items()
            for ordered in [list(unique.items())]
            for start in range(0, len(ordered), MOST)
        ]

        def fetch(task: tuple[str, dict[str, Item]]) -> None:
            table, unique = task
            names = tuple(next(iter(unique.values())))
            try:
                for item in batch_get(context.account, table, list(unique.values()), patience=_PATIENCE):
                    self._items[table, encode_key(key_of(item, names))] = item
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError, Failed):
                return
            for text in unique:
                self._items.setdefault((table, text), None)

        for _ in each(fetch, tasks, workers=context.workers, control=context.control):
            pass

    def __call__(self, account: Account, table: str, key: Item) -> Item | None:
        """The item at a key; None when there is none."""
        found = self._items.pop((table, encode_key(key)), _UNREAD)
        return read(account, table, key) if found is _UNREAD else found
