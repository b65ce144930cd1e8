"""One writer per deployment: another workspace waits or is refused, the same one goes on at once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.migration import network
from tests.wizard.migration.stage import ANN, Stage, n, s
from wizard import lease
from wizard.context import Context
from wizard.errors import BadInput, Blocked
from wizard.lease import exclusive, unlock
from wizard.lease_places import Lease, standing
from wizard.migration.scan import LOCK_KEY
from wizard.who import user_at_host


@pytest.fixture
def stage(aws: Aws, tmp_path: Path) -> Stage:
    made = Stage(aws, tmp_path)
    made.create("lambda/accounts")
    return made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Seconds of the lease pass in hundredths."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 6.0)
    monkeypatch.setattr("wizard.events.Control.sleep", lambda self, seconds: self._cancel.wait(seconds / 50) and None)
    yield


class Clock:
    """The clocks of this machine, with the time added that a test lets pass, or that it sleeps with the lid closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = 0.0
        asleep, real = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC_RAW), time.clock_gettime
        monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + self.passed * (clock == asleep))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 1000.0)  # what renews in the background sleeps as well
    return Clock(monkeypatch)


def holder(context: Context) -> Lease | None:
    return next(iter(standing(context)[0]), None)


def no_lock_in(context: Context, table: str) -> None:
    """The lock, which is written with a client of its own, may not be put into this table."""

    def refuse(request: Any, **_: Any) -> Any:
        return network.reply(request, 400, "AccessDeniedException") if f'"{table}"'.encode() in request.body else None

    context.account.client("dynamodb", gated=False).meta.events.register_first("before-send.dynamodb.PutItem", refuse)


def abandon(context: Context, beat: str = "b1", owner: str = "somebody@elsewhere", workspace: str = "other") -> None:
    """What a process that was killed leaves."""
    item = {"user": s(LOCK_KEY), "owner": s(owner), "workspace": s(workspace), "beat": s(beat)}
    context.account.client("dynamodb").put_item(TableName="amplify-v6-lambda-dev-accounts", Item=item)


def test_it_stands_while_held_and_is_gone_afterwards(stage: Stage) -> None:
    context = stage.context()
    lines: list[dict[str, Any]] = []
    context.account.audit = lines.append
    with exclusive(context):
        held = holder(context)
        assert held is not None
        assert (held.table, held.key) == (stage.name("lambda/accounts"), {"user": s(LOCK_KEY)})
        context.account.lock_held()
    assert holder(context) is None
    assert stage.scan("lambda/accounts") == []
    assert [(line["operation"], line["Key"], line["result"]) for line in lines] == [
        ("PutItem", held.key, "ok"),
        ("DeleteItem", held.key, "ok"),
    ]
    assert all(line["request_id"] for line in lines)


def test_it_is_gone_after_an_error(stage: Stage) -> None:
    context = stage.context()
    with pytest.raises(RuntimeError), exclusive(context):
        raise RuntimeError
    assert holder(context) is None
    context.account.lock_held()


def test_it_is_gone_where_nothing_can_renew_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name == "lease":
            raise RuntimeError("can't start new thread")
        start(thread)

    context = stage.context()
    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="new thread"), exclusive(context):
        pass
    assert holder(context) is None


@pytest.mark.parametrize(
    "table",
    ["lambda/user-data-storage", "lambda/env-vars-tracking", "assistants-api/oauth-state", "lambda/user-tags",
     "amplify-js/request-state", "lambda/user-files", "object-access/cognito-users", "assistants/assistants"],
)  # fmt: skip
def test_every_table_that_may_hold_it_takes_it(aws: Aws, tmp_path: Path, table: str) -> None:
    """Keys have names like `user`, `state` and `id`, some of which DynamoDB reserves."""
    stage = Stage(aws, tmp_path)
    stage.create(table)
    with exclusive(stage.context()):
        assert len(stage.scan(table)) == 1
    assert stage.scan(table) == []


def test_without_a_table_only_the_workspace_is_held(aws: Aws, tmp_path: Path) -> None:
    stage = Stage(aws, tmp_path)
    with exclusive(stage.context()), pytest.raises(Blocked, match="in use"), exclusive(stage.context()):
        pass


def test_the_same_workspace_is_refused_while_the_first_run_lives(stage: Stage) -> None:
    with exclusive(stage.context()), pytest.raises(Blocked, match="in use by process"), exclusive(stage.context()):
        pass


def test_a_workspace_where_files_cannot_be_locked_is_no_workspace_in_use(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(BadInput, match=r"cannot be locked .*No locks available.* --workspace"),
        exclusive(stage.context()),
    ):
        pass


def test_the_same_workspace_takes_over_at_once(stage: Stage) -> None:
    context = stage.context()
    context.workspace.remember({"id": "mine"})
    mine = lease._identity(context)
    abandon(context, workspace=mine, owner=user_at_host())
    waited: list[float] = []
    context.control.sleep = waited.append  # type: ignore[method-assign]
    with exclusive(context):
        held = holder(context)
        assert held is not None
        assert (held.workspace, held.beat != "b1", waited) == (mine, True, [])


def test_a_copy_of_the_workspace_is_refused_while_the_first_is_at_work(
    stage: Stage, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.02)
    first, second = stage.context(), stage.context("copy")
    with exclusive(first):
        shutil.copytree(first.workspace.folder, second.workspace.folder, dirs_exist_ok=True)
        with pytest.raises(Blocked, match="in another workspace or on another machine"), exclusive(second):
            pass
        first.account.lock_held()


def test_another_workspace_is_refused_while_the_holder_is_alive(stage: Stage, quick: None) -> None:
    context = stage.context("second")
    abandon(context)
    beats = iter(f"b{number}" for number in range(2, 99))
    stop = threading.Event()

    def live() -> None:
        while not stop.wait(0.01):
            abandon(context, next(beats, "last"))

    thread = threading.Thread(target=live)
    thread.start()
    try:
        with (
            pytest.raises(Blocked, match=r"somebody@elsewhere.*unlock --confirm somebody@elsewhere"),
            exclusive(context),
        ):
            pass
    finally:
        stop.set()
        thread.join()
    held = holder(context)
    assert held is not None
    assert held.owner == "somebody@elsewhere"


def test_another_workspace_takes_a_dead_lease_over_after_its_time(stage: Stage, quick: None) -> None:
    context = stage.context("second")
    abandon(context)
    with exclusive(context):
        held = holder(context)
        assert held is not None
        assert held.owner != "somebody@elsewhere"
    assert holder(context) is None


def test_of_two_that_take_over_at_the_same_instant_one_is_refused(stage: Stage, quick: None) -> None:
    context = stage.context("second")
    abandon(context)

    def meanwhile(params: dict[str, Any], **_: Any) -> None:
        if params.get("ConditionExpression", "").startswith("beat IN"):
            abandon(context, "theirs", "quicker@elsewhere")

    client = context.account.client("dynamodb", gated=False)
    client.meta.events.register("provide-client-params.dynamodb.PutItem", meanwhile)
    # The one who abandons writes with the same client, but without a condition.
    with pytest.raises(Blocked, match="at the same moment"), exclusive(context):
        pass
    held = holder(context)
    assert held is not None
    assert held.owner == "quicker@elsewhere"


def test_a_take_over_whose_answer_is_lost_is_known_as_its_own(stage: Stage, quick: None) -> None:
    context, left = stage.context("second"), 1
    abandon(context)

    def lose(request: Any, **_: Any) -> Any:
        nonlocal left
        if not left or b"beat IN" not in request.body:
            return None
        left -= 1
        return network.lost(request)

    client = context.account.client("dynamodb", gated=False)
    client.meta.events.register_first("before-send.dynamodb.PutItem", lose)
    with exclusive(context):
        assert holder(context) is not None
    assert (holder(context), left) == (None, 0)


def test_it_is_taken_and_removed_while_its_table_is_throttled_for_minutes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, waits, refused = stage.context(), list[float](), Counter[str]()
    monkeypatch.setattr(context.control, "sleep", waits.append)

    def refuse(model: Any, **_: Any) -> Any:
        refused[model.name] += 1
        error = {"Error": {"Code": "ThrottlingException", "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return (SimpleNamespace(status_code=400, headers={}), error) if refused[model.name] <= 25 else None

    for operation in ("PutItem", "DeleteItem"):
        client = context.account.client("dynamodb", gated=False)
        client.meta.events.register_last(f"before-call.dynamodb.{operation}", refuse)
    with exclusive(context):
        assert holder(context) is not None
    assert holder(context) is None
    assert refused == {"PutItem": 26, "DeleteItem": 26}
    assert sum(waits) > 300  # both together, at the shortest of its random waits


@pytest.mark.parametrize("operation", ["DescribeTable", "PutItem"])
def test_a_table_that_may_not_be_touched_leaves_it_to_the_next(stage: Stage, operation: str) -> None:
    context = stage.context()
    lift = network.deny(context.account, stage.name("lambda/accounts"), operation)
    if operation == "PutItem":
        no_lock_in(context, stage.name("lambda/accounts"))
    with pytest.raises(Blocked, match="none of amplify-v6-lambda-dev-accounts: grant"), exclusive(context):
        pass
    stage.create("object-access/cognito-users")
    with exclusive(context):
        assert len(stage.scan("object-access/cognito-users")) == 1
    assert (stage.scan("object-access/cognito-users"), stage.scan("lambda/accounts")) == ([], [])
    lift()


def test_a_lock_is_found_where_another_one_with_other_permissions_put_it(
    stage: Stage, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.02)
    stage.create("object-access/cognito-users")
    first, second = stage.context(), stage.context("second")
    network.deny(first.account, stage.name("lambda/accounts"), "DescribeTable")
    with exclusive(first):
        assert len(stage.scan("object-access/cognito-users")) == 1
        with pytest.raises(Blocked, match="in another workspace or on another machine"), exclusive(second):
            pass
    with exclusive(second):
        assert len(stage.scan("lambda/accounts")) == 1


def test_two_whose_permissions_lead_them_to_different_tables_do_not_both_get_it(stage: Stage) -> None:
    stage.create("object-access/cognito-users")
    first, second = stage.context(), stage.context("second")
    no_lock_in(first, stage.name("lambda/accounts"))
    with contextlib.ExitStack() as quicker:

        def meanwhile(params: dict[str, Any], **_: Any) -> None:
            if params["TableName"] == stage.name("lambda/accounts"):
                quicker.enter_context(exclusive(second))

        client = first.account.client("dynamodb", gated=False)
        client.meta.events.register("provide-client-params.dynamodb.PutItem", meanwhile)
        with pytest.raises(Blocked, match="in another workspace or on another machine"), exclusive(first):
            pass
        second.account.lock_held()
        assert len(stage.scan("lambda/accounts")) == 1
        assert stage.scan("object-access/cognito-users") == [], "it gave back what it had taken"


def test_a_table_that_cannot_be_read_may_hold_a_lock_and_is_told(stage: Stage) -> None:
    stage.create("object-access/cognito-users")
    first, second, accounts = stage.context(), stage.context("second"), stage.name("lambda/accounts")
    lifts = [network.deny(second.account, accounts, "GetItem", "DescribeTable")]
    no_lock_in(second, accounts)
    told = rf"cannot be told, as {accounts} cannot be read: grant dynamodb:DescribeTable and dynamodb:GetItem"
    with exclusive(first):
        with pytest.raises(Blocked, match=told), exclusive(second):
            pass
        with pytest.raises(Blocked, match=told):
            unlock(second, "anybody")
    # One that does not exist is no matter, whatever may not be asked about it.
    lifts.append(network.deny(second.account, stage.name("lambda/user-data-storage"), "GetItem", "DescribeTable"))
    lifts.pop(0)()
    with exclusive(second):
        assert len(stage.scan("object-access/cognito-users")) == 1


def test_a_table_that_comes_after_ones_own_need_not_be_read(stage: Stage) -> None:
    stage.create("object-access/cognito-users")
    context = stage.context()
    network.deny(context.account, stage.name("object-access/cognito-users"), "GetItem", "DescribeTable")
    with exclusive(context):
        assert len(stage.scan("lambda/accounts")) == 1


def test_an_own_lock_that_other_permissions_put_elsewhere_is_cleared_away(stage: Stage) -> None:
    stage.create("object-access/cognito-users")
    context = stage.context()
    with exclusive(context):
        item = stage.scan("lambda/accounts")[0]
    key = stage.keys[stage.name("object-access/cognito-users")][0]
    for table, name in (("lambda/accounts", "user"), ("object-access/cognito-users", key)):
        stage.put(table, {name: s(LOCK_KEY), **{part: item[part] for part in ("owner", "workspace", "beat")}})
    with exclusive(context):
        assert len(standing(context)[0]) == 1
    assert standing(context) == ([], [])


def test_two_that_wait_for_the_same_dead_lease_do_not_both_get_it(stage: Stage, quick: None) -> None:
    first, second = stage.context("first"), stage.context("second")
    abandon(first)
    together, outcomes, ended = threading.Barrier(2), list[str](), threading.Event()

    def take(context: Context) -> None:
        together.wait()
        try:
            with exclusive(context):
                outcomes.append("held")
                ended.wait(20)
        except Exception as error:
            outcomes.append(type(error).__name__)
            ended.set()

    threads = [threading.Thread(target=take, args=(context,)) for context in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["Blocked", "held"]


def test_a_lock_that_somebody_else_took_stops_the_writes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.02)
    context = stage.context()
    with exclusive(context):
        abandon(context)
        waiting = threading.Event()
        for _ in range(200):
            waiting.wait(0.02)
            try:
                context.account.call(
                    "dynamodb", "put_item", TableName=stage.name("lambda/accounts"), Item={"user": s("x")}
                )
            except Blocked as error:
                assert "taken by somebody else" in str(error)
                break
        else:
            pytest.fail("it went on writing")
        lost = holder(context)
        assert lost is not None
        assert lost.owner == "somebody@elsewhere"
    assert holder(context) is not None, "what is not ours is not removed"


def test_after_a_sleep_of_the_machine_the_lock_is_looked_at_before_the_next_write(
    stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = stage.context()
    with exclusive(context):
        monkeypatch.setattr(lease, "RENEW_SECONDS", 15.0)
        abandon(context)
        clock.passed = 600
        with pytest.raises(Blocked, match="taken by somebody else"):
            context.account.lock_held()


@pytest.mark.parametrize("code", ["AccessDeniedException", "no answer"])
def test_a_lease_that_cannot_be_renewed_in_its_time_stops_the_writes_until_it_can(
    stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    context, failing = stage.context(), True

    def fail(request: Any, **_: Any) -> Any:
        if not failing:
            return None
        return network.reply(request, 400, code) if code != "no answer" else network.lost(request)

    with exclusive(context):
        monkeypatch.setattr(lease, "RENEW_SECONDS", 15.0)
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # botocore's, between its own tries
        client = context.account.client("dynamodb", gated=False)
        client.meta.events.register_first("before-send.dynamodb.PutItem", fail)
        clock.passed = 45
        context.account.lock_held()  # an outage that is shorter than the lease
        clock.passed = 90
        with pytest.raises(Blocked, match=r"could not be renewed since .* goes on from here"):
            context.account.lock_held()
        failing = False
        context.account.lock_held()  # nobody took it meanwhile
    assert holder(context) is None


def test_a_lease_whose_table_is_deleted_is_gone(stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    context = stage.context()
    with exclusive(context):
        monkeypatch.setattr(lease, "RENEW_SECONDS", 15.0)
        stage.db.delete_table(TableName=stage.name("lambda/accounts"))
        clock.passed = 45
        with pytest.raises(Blocked, match="or removed; nothing more"):
            context.account.lock_held()


def test_a_lease_that_is_renewed_keeps_its_owner(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.02)
    context = stage.context()
    with exclusive(context):
        beats, waiting = set(), threading.Event()
        for _ in range(200):
            held = holder(context)
            assert held is not None
            beats.add(held.beat)
            if len(beats) == 3:
                break
            waiting.wait(0.02)
        assert len(beats) == 3
        context.account.lock_held()


def test_unlock_wants_the_owner(stage: Stage) -> None:
    context = stage.context()
    assert "is not locked" in unlock(context, "anybody")
    abandon(context)
    with pytest.raises(Blocked, match="somebody@elsewhere"):
        unlock(context, "me")
    assert holder(context) is not None
    assert stage.run("unlock").code == 2
    assert stage.run("unlock", "--confirm", "me").code == 3
    assert stage.run("unlock", "--confirm", "somebody@elsewhere").code == 0
    assert holder(context) is None


def test_unlock_removes_no_lock_that_is_renewed_at_that_moment(stage: Stage) -> None:
    context, other = stage.context(), stage.context("second")
    abandon(context)
    context.account.client("dynamodb").meta.events.register(
        "provide-client-params.dynamodb.DeleteItem", lambda **_: abandon(other, "b2")
    )
    with pytest.raises(Blocked, match="renewed just now"):
        unlock(context, "somebody@elsewhere")
    assert holder(context) is not None


def test_the_lock_is_no_item_of_anybody(stage: Stage) -> None:
    stage.put("lambda/accounts", {"user": s(ANN), "accounts": {"L": []}, "v": n(1)})
    abandon(stage.context())
    document = stage.plan()
    assert (document["scanned"], document["not_in_map"]["count"]) == ({stage.name("lambda/accounts"): 1}, 0)
    assert stage.run("users", "missing", "--csv-file", stage.csv()).document["missing"] == []


def test_a_run_that_was_killed_after_its_last_write_leaves_no_lock_for_good(stage: Stage) -> None:
    stage.put("lambda/accounts", {"user": s(ANN), "accounts": {"L": []}})
    stage.plan()
    stage.apply()
    context = stage.context()
    abandon(context)
    stage.apply()  # nothing is left to write, and the lock is somebody else's
    assert holder(context) is not None
    abandon(context, workspace=lease._identity(context), owner=user_at_host())
    stage.apply()
    assert holder(context) is None


def test_reading_takes_no_lock(stage: Stage) -> None:
    stage.put("lambda/accounts", {"user": s(ANN), "accounts": {"L": []}})
    stage.plan()
    stage.apply()
    abandon(stage.context())
    for words in ("migrate status", "migrate show", "migrate apply --dry-run", "migrate verify", "cleanup plan"):
        ended: Any = stage.run(*words.split())
        assert ended.code == 0, (words, ended.text)
