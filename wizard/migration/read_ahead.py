"""Items of a batch of changes, read many to a request before each of them is looked at; bounded by memory, not by count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from wizard.aws import Account
from wizard.aws_errors import AWS_ERRORS
from wizard.batch_get import MOST, batch_get
from wizard.context import Context
from wizard.migration.entry import encode_key
from wizard.migration.writes import read
from wizard.parallel import each
from wizard.wire import Item, key_of

Read = Callable[[Account, str, Item], Item | None]  # `writes.read`, or a `ReadAhead`

_UNREAD: Item = {}  # stands for what was not fetched; an item has its key at least
_FIRST = 5  # keys of a table's first request, which shows how large its items are
_REQUEST = 8 * 2**20  # bytes of memory that the items of one request may take
_HELD = 48 * 2**20  # bytes that those of a batch may take; what does not fit is read when it is its turn
_AT_WORK = 256 * 2**20  # bytes of items that workers look at side by side, each beside what is made of it
_NODE = 250  # bytes of a value of the wire form, a dictionary with one entry, beside its text


class ReadAhead:
    """Reads like `writes.read`, from what was fetched ahead where it was.

    Each item is handed out once: a second look is a fresh one. What could not be fetched is read by itself, so that an
    error concerns the one change that meets it. One object serves a run, so that it knows how large items are.
    """

    def __init__(self, context: Context, wanted: Iterable[tuple[str, Item]] = ()):
        self._context = context
        self._sizes: dict[str, float] = {}  # bytes of memory that an item of a table takes, of those seen last
        self._items: dict[tuple[str, str], Item | None] = {}
        self.take(wanted)

    def take(self, wanted: Iterable[tuple[str, Item]]) -> None:
        """Fetch the next batch, `wanted`: (table, key) of what will be asked for, repetitions allowed."""
        self._items.clear()
        keys: defaultdict[str, dict[str, Item]] = defaultdict(dict)
        for table, key in wanted:
            keys[table][encode_key(key)] = key
        context = self._context
        for table, unique in keys.items():
            if table not in self._sizes and len(unique) > _FIRST:
                self._fetch((table, dict(list(unique.items())[:_FIRST])))
        tasks = [task for table, unique in keys.items() for task in self._tasks(table, unique, len(keys))]
        for _ in each(self._fetch, tasks, workers=context.workers, control=context.control):
            pass

    def _tasks(self, table: str, unique: Mapping[str, Item], tables: int) -> Iterator[tuple[str, dict[str, Item]]]:
        size = self._sizes.get(table, 1.0)
        left = [(text, key) for text, key in unique.items() if (table, text) not in self._items]
        left = left[: int(_HELD / tables / size)]
        portion = max(1, min(MOST, int(_REQUEST / size)))
        for start in range(0, len(left), portion):
            yield table, dict(left[start : start + portion])

    def _fetch(self, task: tuple[str, dict[str, Item]]) -> None:
        table, unique = task
        names = tuple(next(iter(unique.values())))
        sizes = []
        try:
            for item in batch_get(self._context.account, table, list(unique.values())):
                self._items[table, encode_key(key_of(item, names))] = item
                sizes.append(footprint(item))
        except AWS_ERRORS:
            return
        finally:
            if sizes:
                self._sizes[table] = sum(sizes) / len(sizes)
        for text in unique:
            self._items.setdefault((table, text), None)

    @property
    def workers(self) -> int:
        """How many items may be worked on side by side."""
        largest = max(self._sizes.values(), default=1.0)
        return max(1, min(self._context.workers, int(_AT_WORK / (3 * largest))))

    def __call__(self, account: Account, table: str, key: Item) -> Item | None:
        """The item at a key; None when there is none."""
        found = self._items.pop((table, encode_key(key)), _UNREAD)
        return read(account, table, key) if found is _UNREAD else found


def footprint(item: Item) -> int:
    """About how many bytes of memory an item in wire form takes: a list of numbers some hundred times those on the wire."""
    return sum(_NODE + len(name) + _content(value) for name, value in item.items())


def _content(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "L":
            return sum(_NODE + _content(member) for member in content)
        case "M":
            return footprint(content)
        case "SS" | "NS" | "BS":
            return sum(60 + len(member) for member in content)
        case "S" | "N" | "B":
            return len(content)
    return 0
