"""Runs of commands in bad weather, that are killed or cancelled at one of their writes and repeated until they are done."""

from __future__ import annotations

import collections
import random
import sqlite3
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.wizard.migration import network
from tests.wizard.migration.drawn import SUMMED
from tests.wizard.migration.network import Weather
from tests.wizard.migration.object_services import ObjectsMeanwhile, Where, honour_conditions, written_by
from tests.wizard.migration.services import Meanwhile, Services, rows_of
from tests.wizard.migration.stage import Ended, Killed, Place, Stage, run
from wizard.aws import is_read
from wizard.migration.entry import Entry
from wizard.migration.leading import WHY as LED

FAULTS = (None, network.throttled, network.broken, network.reset, network.lost, network.truncated)


@dataclass(frozen=True)
class Bad:
    """What befalls a run: a fault of the network, a stop before or after one of its writes, and services that go on."""

    fault: Any
    stop: float  # how far through the writes of a command, 0 to 1.2
    how: str  # "", "cancel", "killed before", "killed after"
    seed: int
    then: str = "apply"  # what follows an apply that was killed: "apply", "plan", "rollback"
    counted: str = ""  # "content": only writes to user storage, where content becomes rows, are; "objects": only S3's
    kills: int = 1  # how many runs of a command in a row
    services: bool = False  # whether services write to the rows that a killed run wrote to
    meanwhile: float = 0  # the share of writes at whose moment they do
    conditions: bool = False  # whether the server refuses a copy as S3 does
    with_objects: float = 0  # the share of writes of objects at whose moment they do, which takes such a server
    idle: bool = False  # whether they write between the migration and what follows
    saving: bool = False  # whether people save settings between plan, apply and verify
    again: bool = False  # whether what was migrated is undone and migrated once more
    denied: bool = False  # whether the first apply may not remove old rows of sums


def draw_bad(seed: int) -> Bad:
    draw = random.Random(f"more {seed}")
    return replace(_draw(seed), denied=draw.random() < 0.3, again=draw.random() < 0.3)


def _draw(seed: int) -> Bad:
    draw = random.Random(-seed)
    how = draw.choice(["", "cancel", "killed before", "killed before", "killed after"])
    stop, then = 1.2 * draw.random(), draw.choice(["apply", "plan", "rollback"])
    bad = Bad(FAULTS[seed % len(FAULTS)], stop, how, seed, then, "content" if draw.random() < 0.3 else "")
    if draw.random() < 0.3:
        return bad
    objects = random.Random(f"objects {seed}")
    conditions, counted = objects.random() < 0.8, bad.counted or objects.choice(["", "", "objects"])
    how, fault = draw.choice(["killed before", *["killed after"] * 3]), draw.choice([None, bad.fault])
    then, meanwhile = draw.choice(["apply", "plan", "rollback", "rollback"]), draw.choice([0, 0, 0.05, 0.3])
    return Bad(
        fault, stop / 1.2, how, seed, then, counted,
        kills=draw.randint(2, 4), services=True, meanwhile=meanwhile, idle=draw.random() < 0.3,
        conditions=conditions, with_objects=objects.choice([0, 0.1, 0.4]) if conditions else 0,
        saving=objects.random() < 0.5,
    )  # fmt: skip


class Stop:
    """Stops a run at one of its writes. A kill leaves the ledger as it was at that instant, and lets nothing out after.

    `rows` and `objects`: the last that the run wrote to, or was about to.
    """

    def __init__(self, context: Any, bad: Bad, turn: int, writes: int, stage: Stage):
        self._context, self._how, self._keys = context, bad.how, stage.keys
        self._at = 1 + int((bad.stop + turn * 0.37) % 1.2 * (6 if bad.counted else writes))
        self._counted = bad.counted
        self._seen, self._lock, self._dead = 0, threading.Lock(), False
        self.rows: collections.deque[Place] = collections.deque(maxlen=8)
        self.objects: collections.deque[Where] = collections.deque(maxlen=8)
        for service in network.SERVICES:
            events = context.account.client(service).meta.events
            events.register_first(f"before-call.{service}", self._before)
            events.register_first(f"after-call.{service}", self._after)

    def _before(self, model: Any, params: Any, context: Any, **_: Any) -> None:
        if is_read(model.name):
            return
        if self._dead:
            raise Killed
        items = model.service_model.service_name == "dynamodb"
        with self._lock:
            if items:
                self.rows.extend(rows_of(params, self._keys))
            else:
                self.objects.extend(written_by(params))
            counts = {"": True, "objects": not items, "content": items and b"user-data-storage" in params["body"]}
            self._seen += counts[self._counted]
            if not counts[self._counted] or self._seen != self._at:
                return
        if self._how == "cancel":
            self._context.control.cancel()
        elif self._how == "killed before":
            self._die()
        else:
            context["the last write"] = True

    def _after(self, context: Any, **_: Any) -> None:
        if context.get("the last write"):
            self._die()

    def _die(self) -> None:
        self._dead = True
        with sqlite3.connect(self._context.workspace.ledger) as one, sqlite3.connect(self._kept) as other:
            one.backup(other)
        raise Killed

    @property
    def _kept(self) -> Path:
        return Path(f"{self._context.workspace.ledger}.killed")

    def bury(self) -> None:
        """Put back the ledger as the kill left it; the lease goes by itself, being this process's own."""
        if self._dead:
            ledger = self._context.workspace.ledger
            for name in ("-wal", "-shm"):
                Path(f"{ledger}{name}").unlink(missing_ok=True)
            self._kept.replace(ledger)


def blocked(stage: Stage) -> list[Entry]:
    """The changes that fail for as long as what they are made from is what it is."""
    return [entry for entry in stage.entries("workspace", "failed") if entry.detail.get("blocked")]


def persist(
    stage: Stage,
    bad: Bad,
    services: Services,
    *words: str,
    writes: int,
    allowed: Collection[str] = (),
    once_killed: Callable[[], None] = lambda: None,
) -> Ended:
    """A command in bad weather, stopped, and repeated until it is done or tells of the same as before.

    What must stay undone is left, and what no row can hold; what services wrote to may be.
    """
    before = None
    for turn in range(10):
        # No condition sees what is added as an item is deleted: killed before it is put back again, or with its answer
        # lost, it is lost. So while services write as rollback or cleanup deletes nothing else befalls.
        applies = words == ("migrate", "apply")
        alone = bool(bad.meanwhile) and turn == 0 and not applies
        context, fair = stage.context(), alone or bad.fault is None or turn >= max(3, bad.kills)
        if not fair:
            Weather(context.account, bad.fault, share=0.15, seed=bad.seed + turn)
        if bad.denied and applies:
            for table in SUMMED:
                network.deny(context.account, stage.name(table), "DeleteItem")
        if bad.conditions:
            honour_conditions(context.account, services.objects.s3)
        stop = Stop(context, bad, turn, writes, stage) if turn < bad.kills and bad.how and not alone else None
        if bad.meanwhile and (alone or (turn < 2 and applies)):
            Meanwhile(context, services, 0.6 if alone else bad.meanwhile, bad.seed + turn)
        if turn < 2 and bad.with_objects:
            ObjectsMeanwhile(context.account, services.objects, bad.with_objects, bad.seed + turn)
        try:
            ended = run(context, *words)
        except Killed:
            assert stop is not None
            stop.bury()
            if bad.services:
                services.write(stop.rows)
                services.objects.write(stop.objects)
            once_killed()
            continue
        told = [one for name in ("failed", "conflicts", "kept", "left") for one in ended.document.get(name, ())]
        if not told and bad.denied and ended.document.get("still_to_remove"):
            return ended
        if ended.code == 0:
            assert not ended.document.get("left"), ended.document
            return ended
        hopeless = {entry.id for entry in blocked(stage)}
        of_itself = [one for one in told if LED not in str(one)]  # what a row leads to is left with the row alone
        excused = of_itself and all(
            any(sign in str(one) for sign in allowed)
            or (isinstance(one, dict) and (one.get("id") in hopeless or services.excuse(one)))
            for one in of_itself
        )
        waits = words[0] == "cleanup" and bad.services and ended.code == 3 and not ended.document
        same = {str(one.get("id", one)) if isinstance(one, dict) else one for one in told}
        if waits or (excused and (not bad.services or (fair and same == before))):
            return ended
        before = same
        assert ended.code in (1, 3, 130), ended.text
    raise AssertionError(f"{words} does not end: {ended.code} {ended.text} {ended.document}")
