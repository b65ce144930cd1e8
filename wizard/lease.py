"""One writer per deployment: a lease in a table that exists, so that two machines cannot migrate at the same time.

The item is written at the start of a writing run, renewed while it lives, and removed at its end. The same workspace
takes it over at once (its process is gone: the folder's own lock says so). Another one waits: a lease that is not
renewed for a minute belongs to a dead process. No clock is compared between machines.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions

from wizard.aws_errors import ABSENT, AWS_ERRORS, code_of
from wizard.context import Context
from wizard.errors import Blocked, Failed, MigrateError
from wizard.lease_places import Lease, better, hidden, passing_over, places, read, standing
from wizard.patience import Patience
from wizard.text import plain
from wizard.who import user_at_host
from wizard.wire import Item

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC_RAW)


def _seconds() -> float:
    """A clock that nobody sets and that goes on while the machine sleeps, which `time.monotonic` does not.

    CLOCK_BOOTTIME on Linux; on macOS CLOCK_MONOTONIC_RAW, which there is `mach_continuous_time`.
    """
    return time.clock_gettime(_CLOCK)


def _identity(context: Context) -> str:
    """Names this workspace where it lies: a copy of it is another one, and does not take over from the first at once."""
    identity = context.workspace.settings().get("id")
    if not identity:
        identity = context.workspace.remember(lambda known: {"id": known.get("id") or uuid.uuid4().hex})["id"]
    place = hashlib.sha256(str(context.workspace.folder.resolve()).encode()).hexdigest()
    return f"{identity}-{place[:12]}"


@contextlib.contextmanager
def exclusive(context: Context) -> Iterator[None]:
    """Hold the workspace and the deployment for writing. Raises Blocked while somebody else does."""
    with context.workspace.alone():
        hold = _take_a_place(context)
        if hold is None:
            yield
            return
        stop = threading.Event()

        def renew() -> None:
            while not stop.wait(RENEW_SECONDS):
                with contextlib.suppress(Blocked, *AWS_ERRORS):
                    hold.renew()

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        context.account.lock_held = hold.check
        try:
            thread.start()
            yield
        finally:
            context.account.lock_held = lambda: None
            stop.set()
            if thread.is_alive():
                thread.join(timeout=30)
            hold.release()


def _take_a_place(context: Context) -> _Hold | None:
    """Our lease, the only one that stands anywhere; None when the deployment has no table for it."""
    owner, workspace = user_at_host(), _identity(context)
    (found, _), refused = standing(context), list[str]()
    there = [(lease.table, lease.key) for lease in found]
    for table, key in there[:1] or places(context, refused):
        with passing_over(table, refused):
            hold = _acquire(context, table, key, owner, workspace)
            break
    else:
        if refused:
            raise Blocked(f"The lock can stand in none of {', '.join(refused)}: grant reading and writing one of them.")
        return None
    try:
        # Each looks again after taking: of two whose permissions led them to different tables one at least sees the other.
        found, unread = standing(context)
        if unseen := better(context, unread, table):
            raise hidden(context, unseen)
        for other in found:
            if (other.workspace, other.owner) == (workspace, owner):
                if other.table != table:  # of a run of ours that was killed and had other permissions
                    _Hold(context, other.table, other.key, owner, workspace, other.beat, 0.0).release()
            else:
                raise Blocked(_held_by(context, other))
    except BaseException:
        hold.release()
        raise
    return hold


def remove_left(context: Context) -> None:
    """Remove what a run of this workspace left that was killed with nothing more to write. Raises Blocked while one lives."""
    owner, workspace = user_at_host(), _identity(context)
    with context.workspace.alone():
        for left in standing(context)[0]:
            if (left.workspace, left.owner) == (workspace, owner):
                _Hold(context, left.table, left.key, owner, workspace, left.beat, 0.0).release()


def _held_by(context: Context, lease: Lease) -> str:
    return (
        f"{context.deployment.label} is being migrated by {plain(lease.owner, 80)} in another workspace or on another machine;"
        f" wait for it, or run: amplify-migrate unlock --confirm {plain(lease.owner, 80)}"
    )


class _Hold:
    """A lease that is ours: until another beat stands in it, and no longer than LEASE_SECONDS after it was last renewed.

    Until then AWS may leave an answer out; after that somebody else may have taken it, and silence is no permission.
    """

    def __init__(self, context: Context, table: str, key: Item, owner: str, workspace: str, beat: str, taken: float):
        self._context = context
        self._place = (context, table, key, owner, workspace)
        self._label = context.deployment.label
        self._lock = threading.Lock()
        self._beats = [beat]  # one of these stands in it: the last that was confirmed, and those without an answer
        self._renewed = taken
        self._lost = False

    def renew(self) -> None:
        """Write a new beat. Raises Blocked when the lease is somebody else's or gone, and what botocore raises."""
        with self._lock:
            if not self._lost:
                started = _seconds()  # others count from the beat, which may stand there before the answer is here
                del self._beats[40:-1]  # an expression takes 100; an outage loses answers where it begins and ends
                self._beats.append(uuid.uuid4().hex)
                try:
                    # Also when the new beat is there already: an answer that was lost makes the client ask twice.
                    _write(*self._place, self._beats[-1], *_stands(self._beats))
                    self._beats, self._renewed = self._beats[-1:], started
                except AWS_ERRORS as error:
                    log.warning("the lease could not be renewed: %s", code_of(error))
                    self._lost = code_of(error) in {"ConditionalCheckFailedException"} | ABSENT
                    if not self._lost:
                        raise
            if self._lost:
                raise Blocked(
                    f"The lock of {self._label} was taken by somebody else, or removed; nothing more is written."
                )

    def check(self) -> None:
        """Before every write: a lease that may have run out meanwhile is renewed first. Raises Blocked if it cannot be."""
        age = _seconds() - self._renewed
        if not self._lost and age <= LEASE_SECONDS - 2 * RENEW_SECONDS:
            return
        try:
            if age > LEASE_SECONDS:
                self._ask()
                _patiently(self._context, self.renew)
            else:
                self.renew()
        except AWS_ERRORS as error:
            if (age := _seconds() - self._renewed) > LEASE_SECONDS:
                since = time.strftime("%H:%M:%S", time.localtime(time.time() - age))
                raise Blocked(
                    f"The lock of {self._label} in {self._place[1]} could not be renewed since {since}"
                    f" ({code_of(error)}); nothing more is written. Once it can, the same command goes on from here."
                ) from error

    def _ask(self) -> None:
        """A read of the item: credentials that have expired meanwhile are asked for there, as at every request."""
        _, table, key, *_ = self._place
        with contextlib.suppress(*AWS_ERRORS):
            self._context.account.call("dynamodb", "get_item", TableName=table, Key=key)

    def release(self) -> None:
        """Remove the item, if it is still ours; what hinders is logged."""
        context, table, key, *_ = self._place
        condition, values = _stands(self._beats)
        mine = {"ConditionExpression": condition, "ExpressionAttributeValues": values}
        try:
            _patiently(context, lambda: _send(context, "delete_item", table, key, Key=key, **mine))
        except (*AWS_ERRORS, MigrateError) as error:
            log.warning("the lock item in %s could not be removed: %s", table, code_of(error))


def _stands(beats: list[str]) -> tuple[str, dict[str, Any]]:
    """Condition and values: one of the beats stands in the item."""
    values = {f":beat{number}": {"S": beat} for number, beat in enumerate(beats)}
    return f"beat IN ({', '.join(values)})", values


def _acquire(context: Context, table: str, key: Item, owner: str, workspace: str) -> _Hold:
    beat = uuid.uuid4().hex
    mine = {":me": {"S": workspace}, ":owner": {"S": owner}}
    free = "attribute_not_exists(#key) OR (workspace = :me AND #owner = :owner)"
    with contextlib.suppress(_Taken):
        return _take(context, table, key, owner, workspace, beat, free, mine)
    seen = read(context, table, key)
    log.warning(
        "%s is locked by %s; waiting to see whether it is alive",
        context.deployment.label,
        plain(seen.owner if seen else "?"),
    )
    waited = 0.0
    while seen is not None and waited < LEASE_SECONDS:
        context.control.sleep(2.0)
        waited += 2.0
        now = read(context, table, key)
        if now is not None and now.beat != seen.beat:
            raise Blocked(_held_by(context, now))
        seen = seen if now is not None else None
    try:
        if seen is None:
            return _take(context, table, key, owner, workspace, beat, free, mine)
        # Also when the beat is ours already: an answer that was lost makes the client ask twice.
        return _take(context, table, key, owner, workspace, beat, *_stands([seen.beat, beat]))
    except _Taken as error:
        raise Blocked(
            f"Somebody else began to migrate {context.deployment.label} at the same moment; wait for them to end."
        ) from error


class _Taken(Exception):
    """Somebody else holds the lease."""


def _take(
    context: Context,
    table: str,
    key: Item,
    owner: str,
    workspace: str,
    beat: str,
    condition: str,
    values: dict[str, Any],
) -> _Hold:
    taken = 0.0

    def write() -> None:
        nonlocal taken
        taken = _seconds()
        _write(context, table, key, owner, workspace, beat, condition, values)

    try:
        _patiently(context, write)
    except botocore.exceptions.ClientError as error:
        if code_of(error) == "ConditionalCheckFailedException":
            raise _Taken from error
        raise
    return _Hold(context, table, key, owner, workspace, beat, taken)


def _patiently(context: Context, write: Callable[[], None]) -> None:
    """A write of the lock item that throttling only slows down, as in `Account.call`. Raises Interrupted on cancel."""
    patience = Patience("PutItem of the lock", write=True)
    while True:
        try:
            write()
            return
        except botocore.exceptions.ClientError as error:
            if (delay := patience.delay(error)) is None:
                raise
        context.control.sleep(delay)


def _write(
    context: Context,
    table: str,
    key: Item,
    owner: str,
    workspace: str,
    beat: str,
    condition: str,
    values: dict[str, Any],
) -> None:
    item = {**key, "owner": {"S": owner}, "workspace": {"S": workspace}, "beat": {"S": beat}}
    # A key may have a name like `user`, which DynamoDB reserves; a name that no expression uses it refuses.
    wanted = {"#key": next(iter(key)), "#owner": "owner"}
    used = {short: name for short, name in wanted.items() if short in condition}
    names = {"ExpressionAttributeNames": used} if used else {}
    _send(
        context, "put_item", table, key, Item=item, ConditionExpression=condition, ExpressionAttributeValues=values, **names
    )  # fmt: skip


def _send(context: Context, operation: str, table: str, key: Item, **parameters: Any) -> None:
    """A write of the lock item, with its line in the audit log.

    Not through `call`, and without gate: a run that is paused, or only looks for a while, must keep its lease.
    """
    client, answer, result = context.account.client("dynamodb", gated=False), None, "ok"
    where = {"TableName": table, "Key": key}
    try:
        answer = getattr(client, operation)(TableName=table, **parameters)
    except AWS_ERRORS as error:
        answer, result = getattr(error, "response", None), code_of(error)
        raise
    finally:
        try:
            context.account.record("dynamodb", "".join(map(str.title, operation.split("_"))), where, result, answer)
        except Failed as full:
            log.warning("%s", full)  # the lease is kept all the same; the next write of the run finds the disk full


def unlock(context: Context, owner: str) -> str:
    """Remove the lease of `owner`; returns what was done. Raises Blocked when somebody else holds it, or it was just renewed."""
    leases, unread = standing(context)
    if unread and not any(one.owner == owner for one in leases):
        raise hidden(context, unread)
    if not leases:
        return f"{context.deployment.label} is not locked."
    lease = next((one for one in leases if one.owner == owner), None)
    if lease is None:
        raise Blocked(f"The lock is held by {plain(leases[0].owner, 80)}; give that name to --confirm.")
    condition, values = _stands([lease.beat])
    try:
        context.account.call(
            "dynamodb", "delete_item", TableName=lease.table, Key=lease.key, ConditionExpression=condition,
            ExpressionAttributeValues=values,
        )  # fmt: skip
    except botocore.exceptions.ClientError as error:
        if code_of(error) != "ConditionalCheckFailedException":
            raise
        if (
            read(context, lease.table, lease.key) is not None
        ):  # else it is gone: the first answer was lost, or the run ended
            raise Blocked(
                f"The lock of {plain(owner, 80)} was renewed just now, so its owner is alive: stop that run, or wait for it."
            ) from error
    return f"The lock of {plain(owner, 80)} was removed."
