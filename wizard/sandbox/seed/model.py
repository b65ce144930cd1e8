"""What the seed is made of: people, rows, objects, and the world that all areas draw from."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wizard.deployment import Deployment
from wizard.sandbox.releases import Release
from wizard.sandbox.schemas import resource_name

_NAMESPACE = uuid.UUID("5d0f2a1c-6a3e-4c57-9d7a-0c3a8b1e4f60")
SECONDS = 1_756_720_800  # 2025-09-01T10:00:00Z, when most of the seed was written
MILLISECONDS = SECONDS * 1000
STAMP = "2025-09-01T10:00:00"


@dataclass(frozen=True)
class Person:
    """A user. `old` is the id in the data, `new` the one of the map; both are the same where nothing changes."""

    old: str
    new: str
    given: str
    family: str
    email: str
    mapped: bool = True

    @property
    def changes(self) -> bool:
        return self.old != self.new


@dataclass(frozen=True)
class Row:
    """An item of a table (`service/suffix`), as plain values: sets, bytes, Decimal and None keep their types."""

    table: str
    item: Mapping[str, Any]


@dataclass(frozen=True)
class Object:
    """An object of a bucket (`service/suffix`)."""

    bucket: str
    key: str
    body: bytes
    content_type: str = "application/json"
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: str = ""  # as in a query string


Seedling = Row | Object


@dataclass(frozen=True)
class World:
    """A deployment and its people. Everything else follows from it, so that the same seed gives the same data."""

    deployment: Deployment
    release: Release
    people: tuple[Person, ...]  # those in the map
    unmapped: tuple[Person, ...]
    seed: int

    @property
    def everyone(self) -> tuple[Person, ...]:
        return (*self.people, *self.unmapped)

    @property
    def jane(self) -> Person:
        return self.people[0]

    @property
    def bob(self) -> Person:
        return self.people[1]

    @property
    def visitor(self) -> Person:
        return self.unmapped[0]

    def each(self) -> Iterator[tuple[int, Person, Person]]:
        """(number, person, the next one): everybody shares with a neighbour, the last with the first."""
        everyone = self.everyone
        for number, person in enumerate(everyone):
            yield number, person, everyone[(number + 1) % len(everyone)]

    def uid(self, *parts: object) -> str:
        """A UUID that depends on the seed and on what it is for only."""
        return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, (self.seed, *parts)))))

    def number(self, low: int, high: int, *parts: object) -> int:
        return random.Random(self.uid(*parts)).randint(low, high)  # noqa: S311 - made-up data

    def noise(self, length: int, *parts: object) -> str:
        """Text that does not compress."""
        source = random.Random(self.uid(*parts))  # noqa: S311 - made-up data
        return "".join(source.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;", k=length))

    def bucket(self, id_: str) -> str:
        return resource_name(id_, self.deployment)

    def file_key(self, person: Person) -> str:
        """The S3 key of the file that everybody has uploaded; it is an id in many tables and never changes."""
        return f"{person.old}/2025-03-02/{self.uid('file', person.old)}.json"

    def conversation(self, person: Person, number: int = 0) -> str:
        return self.uid("conversation", person.old, number)

    def assistant(self, person: Person) -> str:
        return f"ast/{self.uid('assistant', person.old)}"

    def public_assistant(self, person: Person) -> str:
        return f"astp/{self.uid('assistant', person.old)}"

    def interpreter(self, person: Person) -> str:
        return f"{person.old}/ast/{self.uid('interpreter', person.old)}"

    def thread(self, person: Person) -> str:
        return f"{person.old}/thr/{self.uid('thread', person.old)}"

    def key_of(self, person: Person) -> str:
        """The id of a person's own API key."""
        return f"{person.old}/ownerKey/{self.uid('key', person.old)}"

    @property
    def group(self) -> str:
        return f"TeamA_{self.uid('group', 'a')}"

    @property
    def group_assistant(self) -> str:
        return f"astgp/{self.uid('group assistant')}"

    system = "AppName-123456"  # the id of a system user: user-shaped, in nobody's map


def body(value: Any) -> bytes:
    """A JSON document as the services store it."""
    return json.dumps(value).encode()


def codes(text: str) -> list[int]:
    """The services' LZW form: greedy longest match over a dictionary that starts with 256 characters and only grows."""
    known = {chr(code): code for code in range(256)}
    found: list[int] = []
    word = ""
    for char in "".join(c if ord(c) < 256 else f"U+{ord(c):04x}" for c in text):
        if word + char in known:
            word += char
        else:
            found.append(known[word])
            known[word + char] = len(known)
            word = char
    return [*found, known[word]] if word else found
