"""What a network, AWS or `kill -9` does to a migration: in the end everything is as after an undisturbed run, or listed."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.cli_run import SETTINGS, options, write_map
from tests.wizard.migration import network
from tests.wizard.migration.network import Weather, deny
from tests.wizard.sandbox.other_deployment import DEPLOYMENT, MAP, build
from wizard.context import Context
from wizard.errors import Blocked
from wizard.events import Control, Feed
from wizard.lease_places import standing
from wizard.migration import apply, cleanup, verify
from wizard.migration.ledger import Ledger
from wizard.migration.plan import Request, make_plan
from wizard.users import load_map
from wizard.wire import canonical
from wizard.workspace import Workspace

ACCOUNTS = "amplify-prod2-lambda-prod-accounts"
State = dict[str, Any]


def run_in(aws: Aws, folder: Path) -> Context:
    """A run of its own process would have: its own clients and its own view of the workspace."""
    return Context(DEPLOYMENT, aws.account(), Workspace(folder), Feed(lambda event: None), yes=True)


def state(aws: Aws) -> State:
    """Every item and object of the account; the time at which something was written does not count."""
    dynamodb, s3 = aws.client("dynamodb"), aws.client("s3")
    found: State = {}
    for table in dynamodb.list_tables()["TableNames"]:
        items = dynamodb.scan(TableName=table)["Items"]
        found[table] = sorted(_timeless(canonical(item).decode()) for item in items)
    for bucket in s3.list_buckets()["Buckets"]:
        for entry in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            body = s3.get_object(Bucket=bucket["Name"], Key=entry["Key"])["Body"].read()
            found[f"{bucket['Name']}/{entry['Key']}"] = body
    return found


def _timeless(text: str) -> str:
    """Seconds and milliseconds of this hour, and ISO times of this day, are all the same moment."""
    now = time.time()

    def mask(match: re.Match[str]) -> str:
        value = float(match[2])
        return f'"{match[1]}":"now"' if min(abs(value - now), abs(value / 1_000 - now)) < 3_600 else match[0]

    today = time.strftime("%Y-%m-%d", time.gmtime(now))
    return re.sub(rf'"{today}T[^"]*"', '"now"', re.sub(r'"([NS])":"(\d+(?:\.\d+)?)"', mask, text))


def differences(one: State, other: State) -> list[tuple[str, list[Any]]]:
    """Places that are not the same in both, with what only one of them has."""
    found = []
    for place in sorted(one.keys() | other.keys()):
        ours, theirs = one.get(place), other.get(place)
        if isinstance(ours, list) and isinstance(theirs, list):
            found.append((place, sorted(set(ours) ^ set(theirs)) if ours != theirs else []))
        elif ours != theirs:
            found.append((place, [ours, theirs]))
    return [(place, which) for place, which in found if which]


def plan_in(context: Context, folder: Path) -> dict[str, Any]:
    return make_plan(context, Request(load_map(Path(write_map(folder / "map.csv", MAP)))))


@pytest.fixture(scope="module")
def undisturbed(moto_server: Aws, tmp_path_factory: pytest.TempPathFactory) -> tuple[State, State]:
    """The account after plan, apply, verify; and after cleanup."""
    moto_server.reset()
    build(moto_server)
    folder = tmp_path_factory.mktemp("undisturbed")
    context = run_in(moto_server, folder / "workspace")
    plan_in(context, folder)
    assert apply.code(apply.apply_plan(context)) == 0
    assert verify.code(verify.verify_plan(context)) == 0
    applied = state(moto_server)
    assert cleanup.code(cleanup.apply_cleanup(context)) == 0
    cleaned = state(moto_server)
    moto_server.reset()
    return applied, cleaned


@pytest.fixture
def deployment(undisturbed: tuple[State, State], aws: Aws) -> Aws:
    """The deployment before anything was done to it."""
    build(aws)
    return aws


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """botocore backs off for seconds; here for milliseconds."""
    sleep = time.sleep
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: sleep(min(seconds, 0.005)))
    yield


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [network.throttled, network.broken, network.reset, network.lost, network.truncated])
def test_a_bad_network_changes_nothing_in_the_result(
    deployment: Aws, undisturbed: tuple[State, State], tmp_path: Path, fault: Any
) -> None:
    applied, cleaned = undisturbed
    context = run_in(deployment, tmp_path / "workspace")
    weather = Weather(context.account, fault, share=0.3)
    for _ in range(3):  # what failed is done by running the same commands again
        plan_in(context, tmp_path)
        summary = apply.apply_plan(context)
        assert apply.code(summary) in (0, 1), summary["conflicts"]
        judged = verify.verify_plan(context)
        if verify.code(judged) == 0:
            break
    assert (apply.code(summary), verify.code(judged)) == (0, 0), (summary["failed"], judged["wrong"])
    assert differences(state(deployment), applied) == []
    for _ in range(3):
        done = cleanup.apply_cleanup(context)
        if cleanup.code(done) == 0:
            break
    assert cleanup.code(done) == 0, done["kept"]
    assert differences(state(deployment), cleaned) == []
    assert weather.injected.total() > 20, weather.injected


@pytest.mark.usefixtures("impatient")
def test_throttling_that_outlasts_the_client_slows_down_and_never_fails(deployment: Aws, tmp_path: Path) -> None:
    context = run_in(deployment, tmp_path / "workspace")
    plan_in(context, tmp_path)
    refused = 0

    def refuse(request: Any, **_: Any) -> Any:
        nonlocal refused
        if f'"{ACCOUNTS}"'.encode() in request.body and refused < 14:  # more than twice the attempts of the client
            refused += 1
            return network.reply(request, 400, "ProvisionedThroughputExceededException")
        return None

    for operation in ("PutItem", "UpdateItem", "TransactWriteItems"):
        context.account.client("dynamodb").meta.events.register_first(f"before-send.dynamodb.{operation}", refuse)
    summary = apply.apply_plan(context)
    assert (apply.code(summary), refused, summary["failed"]) == (0, 14, [])


def test_one_table_that_may_not_be_written_stops_no_other(
    deployment: Aws, undisturbed: tuple[State, State], tmp_path: Path
) -> None:
    context = run_in(deployment, tmp_path / "workspace")
    planned = plan_in(context, tmp_path)
    lift = deny(context.account, ACCOUNTS, "DescribeTable", "PutItem", "UpdateItem", "TransactWriteItems")
    summary = apply.apply_plan(context)
    assert apply.code(summary) == 1
    assert summary["states"]["failed"] == 5
    assert summary["done"] == planned["changes"] - 5
    assert {one["target"].split(":")[0] for one in summary["failed"]} == {ACCOUNTS}
    assert all("AccessDenied" in one["note"] for one in summary["failed"])
    assert verify.code(verify.verify_plan(context)) == 1
    lift()
    again = apply.apply_plan(context)
    assert (apply.code(again), again["failed"]) == (0, [])
    assert verify.code(verify.verify_plan(context)) == 0
    assert differences(state(deployment), undisturbed[0]) == []


def test_one_table_that_may_not_be_read_is_told_and_taken_up_later(
    deployment: Aws, undisturbed: tuple[State, State], tmp_path: Path
) -> None:
    context = run_in(deployment, tmp_path / "workspace")
    lift = deny(context.account, ACCOUNTS, "Scan")
    planned = plan_in(context, tmp_path)
    assert planned["unread"] == [ACCOUNTS]
    assert [one["level"] for one in planned["findings"] if one["place"] == ACCOUNTS] == ["unknown"]
    assert apply.code(apply.apply_plan(context)) == 0
    lift()
    assert plan_in(context, tmp_path)["changes"] == 5
    assert apply.code(apply.apply_plan(context)) == 0
    assert verify.code(verify.verify_plan(context)) == 0
    assert differences(state(deployment), undisturbed[0]) == []


def test_a_clock_that_aws_refuses_stops_the_run_and_fails_nothing(
    deployment: Aws, undisturbed: tuple[State, State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = run_in(deployment, tmp_path / "workspace")
    plan_in(context, tmp_path)
    monkeypatch.setattr(Control, "sleep", lambda self, seconds: self.check())
    off, sent = False, 0

    def look(request: Any, **_: Any) -> Any:
        nonlocal sent
        sent += 1
        return network.skewed(request) if off or sent == 5 else None  # once is a process that slept

    for service in network.SERVICES:
        context.account.client(service).meta.events.register_first("before-send", look)

    def turn_off(**_: Any) -> None:
        nonlocal off
        off = sent > 150

    context.account.client("dynamodb").meta.events.register("before-call", turn_off)
    with pytest.raises(Blocked, match="clock of this machine"):
        apply.apply_plan(context)
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        assert set(ledger.counts()) == {"planned", "applied", "verified"}
    again = run_in(deployment, tmp_path / "workspace")
    assert apply.code(apply.apply_plan(again)) == 0
    assert verify.code(verify.verify_plan(again)) == 0
    assert differences(state(deployment), undisturbed[0]) == []


def test_a_table_whose_index_is_being_made_is_migrated_like_any_other(
    deployment: Aws, undisturbed: tuple[State, State], tmp_path: Path
) -> None:
    context = run_in(deployment, tmp_path / "workspace")

    def updating(parsed: dict[str, Any], **_: Any) -> None:
        index = {"IndexName": "new", "IndexStatus": "CREATING", "Backfilling": True}
        parsed["Table"] = {**parsed["Table"], "TableStatus": "UPDATING", "GlobalSecondaryIndexes": [index]}

    context.account.client("dynamodb").meta.events.register("after-call.dynamodb.DescribeTable", updating)
    plan_in(context, tmp_path)
    assert apply.code(apply.apply_plan(context)) == 0
    assert verify.code(verify.verify_plan(context)) == 0
    assert differences(state(deployment), undisturbed[0]) == []


# --- processes that die --------------------------------------------------------------------------------------------------


def start(aws: Aws, workspace: Path, *words: str) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    environment = {**os.environ, **SETTINGS, "AWS_ENDPOINT_URL": aws.endpoint}
    command = [sys.executable, "-m", "wizard", *words, *options(DEPLOYMENT, workspace)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(aws: Aws, workspace: Path, *words: str) -> None:
    process = start(aws, workspace, *words)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


def killed(aws: Aws, workspace: Path, after: int, *words: str, number: int = signal.SIGKILL) -> int | None:
    """Start a command and signal it once it has made `after` more writes; its status, negative for a signal."""
    audit = workspace / "audit.jsonl"

    def writes() -> int:
        return audit.read_bytes().count(b"\n") if audit.exists() else 0

    before = writes()
    process = start(aws, workspace, *words)
    while process.poll() is None and writes() < before + after:
        time.sleep(0.002)
    process.send_signal(number)
    process.communicate(timeout=120)
    return process.returncode


def test_killed_again_and_again_it_goes_on_and_ends_the_same(
    deployment: Aws, undisturbed: tuple[State, State], tmp_path: Path
) -> None:
    applied, cleaned = undisturbed
    workspace = tmp_path / "workspace"
    users = write_map(tmp_path / "map.csv", MAP)
    chance = random.Random(7)
    finish(deployment, workspace, "migrate", "plan", "--csv-file", users)
    deaths = [
        killed(deployment, workspace, chance.randint(1, 20), "migrate", "apply", "--yes") for _ in range(4)
    ]  # fmt: skip
    assert deaths.count(-signal.SIGKILL) >= 2
    finish(deployment, workspace, "migrate", "apply", "--yes")
    finish(deployment, workspace, "migrate", "verify")
    assert differences(state(deployment), applied) == []
    deaths = [
        killed(deployment, workspace, chance.randint(1, 8), "cleanup", "apply", "--confirm", "DELETE") for _ in range(3)
    ]
    assert deaths.count(-signal.SIGKILL) >= 2
    finish(deployment, workspace, "cleanup", "apply", "--confirm", "DELETE")
    finish(deployment, workspace, "cleanup", "verify")
    assert differences(state(deployment), cleaned) == []
    with Ledger(workspace / "ledger.sqlite", writable=False) as ledger:
        assert set(ledger.counts()) <= {"verified", "cleaned"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_between_two_requests(deployment: Aws, tmp_path: Path, number: int) -> None:
    workspace = tmp_path / "workspace"
    finish(deployment, workspace, "migrate", "plan", "--csv-file", write_map(tmp_path / "map.csv", MAP))
    code = killed(deployment, workspace, 3, "migrate", "apply", "--yes", "--workers", "1", number=number)
    assert code == 130
    with Ledger(workspace / "ledger.sqlite", writable=False) as ledger:
        counts = ledger.counts()
        assert ledger.runs()[-1]["code"] == 130
    assert set(counts) <= {"planned", "applied", "verified"}
    assert counts["planned"] > 0
    # Nobody holds the deployment any more: another machine can go on at once.
    assert standing(run_in(deployment, tmp_path / "elsewhere")) == ([], [])
    finish(deployment, workspace, "migrate", "apply", "--yes")
    finish(deployment, workspace, "migrate", "verify")
