"""The main job by its commands on emulators that know nothing of moto, read back with a plain client.

MiniStack checks what moto lets through (types of index keys, batches, real conditions) and keeps numbers as DynamoDB does.
dynalite, a port of DynamoDB's own behaviour, has no transactions and gives no item with a failed condition: what needs
the one fails alone, and nothing may need the other. Run with `-m network`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeDeserializer

from tests.conftest import CREDENTIALS, REGION, Aws
from tests.emulators import dynalite, ministack, moto
from tests.wizard.cli_run import Cli, reach, write_map
from tests.wizard.sandbox.other_deployment import DEPLOYMENT, LONGER, MAP, NUMBER, QUOTE, SHORT, SPACE, SUB, build
from wizard.deployment import Deployment
from wizard.sandbox.check import check
from wizard.sandbox.checkout import shared_values
from wizard.sandbox.create import create_stacks, put_parameters
from wizard.sandbox.releases import release
from wizard.sandbox.seed import sow, world, write_csv

pytestmark = pytest.mark.network


class Divided(Aws):
    """DynamoDB at one endpoint, everything else at another."""

    dynamodb = ""

    def client(self, service: str) -> Any:
        if service != "dynamodb":
            return super().client(service)
        key, secret = CREDENTIALS
        return boto3.Session(key, secret, region_name=REGION).client(service, endpoint_url=self.dynamodb)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with ministack(tmp_path_factory.mktemp("ministack")) as aws:
        yield aws


@pytest.fixture
def third(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    folder = tmp_path_factory.mktemp("dynalite")
    with dynalite(folder) as endpoint, moto(folder) as rest:
        monkeypatch.setattr(Divided, "dynamodb", endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
        yield Divided(rest.endpoint)


def rows(aws: Aws, table: str) -> list[dict[str, Any]]:
    """The items of a table (`lambda-prod-accounts`) as plain values."""
    plain = TypeDeserializer().deserialize
    pages = (
        aws.client("dynamodb").get_paginator("scan").paginate(TableName=f"amplify-prod2-{table}", ConsistentRead=True)
    )
    return [{name: plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]


def values(aws: Aws, table: str, name: str) -> set[Any]:
    return {item.get(name) for item in rows(aws, table)}


def body(aws: Aws, bucket: str, key: str) -> tuple[bytes, dict[str, str]]:
    found = aws.client("s3").get_object(Bucket=f"amplify-prod2-{bucket}", Key=key)
    return found["Body"].read(), found["Metadata"]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(DEPLOYMENT, tmp_path / "workspace", capsys)


def test_the_main_job_on_ministack(second: Aws, run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(second)
    before = {table: rows(second, table) for table in ("lambda-prod-cost-calculations", "lambda-prod-chat-usage")}
    reach(monkeypatch, second.endpoint)
    users = write_map(tmp_path / "map.csv", MAP)
    assert run("users", "check", users) == 0
    assert run.json("migrate", "plan", "--csv-file", users)["changes"] == 80
    assert run.json("migrate", "apply", "--dry-run")["would"].get("failed") is None
    assert rows(second, "lambda-prod-cost-calculations") == before["lambda-prod-cost-calculations"]
    assert run("migrate", "apply", "--yes") == 0
    assert values(second, "lambda-prod-accounts", "user") >= {*MAP, *MAP.values()}
    assert run("migrate", "verify") == 0
    assert run.json("migrate", "plan", "--csv-file", users)["changes"] == 0
    assert run("migrate", "verify") == 0
    assert run("cleanup", "plan") == 0
    assert run("cleanup", "apply", "--force") == 0
    assert run("cleanup", "verify") == 0
    migrated(second)
    usage = {
        item["id"]: {**item, "user": MAP.get(item["user"], item["user"])} for item in before["lambda-prod-chat-usage"]
    }
    assert {item["id"]: item for item in rows(second, "lambda-prod-chat-usage")} == usage
    assert run("rollback", "--confirm", "ROLLBACK") == 3  # what was deleted cannot come back


def migrated(aws: Aws) -> None:
    """What stands where after all, written out by hand."""
    people = {*MAP.values(), LONGER, "Nobody@example.edu"}
    assert values(aws, "object-access-prod-cognito-users", "user_id") == people
    assert values(aws, "object-access-prod-object-access", "principal_id") == people
    assert values(aws, "object-access-prod-object-access", "object_id") == {f"{SPACE}/2024-01-31/1.json"}
    assert values(aws, "lambda-prod-accounts", "user") == people
    (group,) = rows(aws, "object-access-prod-amplify-groups")
    assert set(group["members"]) == people
    assert group["systemUsers"] == {"Robot-000001", f"{NUMBER}-system"}
    assert {(one["owner"], one["delegate"]) for one in rows(aws, "object-access-prod-api-keys")} == {
        (MAP[QUOTE], MAP[SHORT]), (MAP[NUMBER], None),
    }  # fmt: skip
    (cost,) = rows(aws, "lambda-prod-cost-calculations")
    assert (cost["id"], str(cost["dailyCost"]), str(cost["monthlyCost"])) == (MAP[SUB], "1.125", "4")
    assert {str(hour) for hour in cost["hourlyCost"]} == {"1.5"}
    assert values(aws, "lambda-prod-history-cost-calculations", "userDate") == {
        f"{MAP[NUMBER]}#2024-01-31", f"{LONGER}#2024-01-31",
    }  # fmt: skip
    (metadata,) = rows(aws, "lambda-prod-conversation-metadata")
    assert (metadata["user_id"], metadata["s3_key"]) == (MAP[SPACE], f"conversations/{MAP[SPACE]}/c 1")
    (task,) = rows(aws, "agent-loop-prod-scheduled-tasks")
    assert (task["user"], task["active"], task["logs"]) == (MAP[NUMBER], 1, [{"executionId": "x"}])
    keys = {(item["PK"], item["SK"].partition("#")[0]) for item in rows(aws, "lambda-prod-user-data-storage")}
    assert keys == {
        (f"{MAP[NUMBER]}#amplify-agent-logs#scheduled-task-logs", "t 1"),
        (f"{MAP[NUMBER]}#amplify-artifacts#artifact-content", "20240131/Map:v2"),
        (f"{MAP[SUB]}#amplify-artifacts#artifact-content", f"shared-with-{MAP[NUMBER]}"),
        (f"{MAP[NUMBER]}#my-app#thing", "k"),
        (f"{LONGER}#my-app#thing", "k"),
        (f"{MAP[SPACE]}#amplify-workflows#workflow-templates", "w"),
        (f"{MAP[SHORT]}#amplify-shares#received", MAP[QUOTE]),
        (f"{MAP[SHORT]}#amplify-user-settings#user-settings", "user-settings"),
    }
    assert rows(aws, "lambda-prod") == []
    consolidation, origin = "lambda-prod-consolidation", {"origin": "prod2"}
    assert body(aws, consolidation, f"conversations/{MAP[SPACE]}/c 1") == (b"{}", origin)
    assert body(aws, consolidation, f"conversations/{MAP[NUMBER]}/x+y%20é") == ("é".encode(), origin)
    assert body(aws, consolidation, f"codeInterpreter/{MAP[QUOTE]}/m-f-FN-a//b.png") == (b"png", origin)
    shared = f"shares/{MAP[SHORT]}/{MAP[QUOTE]}/2024-01-01/2.json"
    assert body(aws, consolidation, shared) == (b'{"shared": true}', origin)


def test_a_rollback_on_ministack_puts_every_row_back(
    second: Aws, run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seeded deployment of the newest release, this time back and forth, before it goes through for good."""
    deployment, shown = Deployment("v6", "dev", REGION), release("deployed")
    population = world(deployment, shown, users=12)
    account = second.account()
    put_parameters(account, deployment, shown, shared_values(deployment, admins="doej1", pool_id="pool"))
    create_stacks(account, deployment, shown)
    # The seed holds rows that are older than this index, which would not let them in.
    account.call(
        "dynamodb", "update_table", TableName="amplify-v6-agent-loop-dev-workflow-registry",
        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "TemplateIdPublicIndex"}}],
    )  # fmt: skip
    seeded = sow(account, population)
    reach(monkeypatch, second.endpoint)
    run.deployment = deployment
    users = str(write_csv(tmp_path / "map.csv", population.people))
    before = everything(second, "amplify-v6-")
    assert run("migrate", "plan", "--csv-file", users) == 0
    assert run("migrate", "apply", "--yes") == 0
    assert everything(second, "amplify-v6-") != before
    assert run("rollback", "--confirm", "ROLLBACK") == 0
    assert everything(second, "amplify-v6-") == before
    assert run("migrate", "plan", "--csv-file", users) == 0
    assert run("migrate", "apply", "--yes") == 0
    assert run("migrate", "verify") == 0
    assert run("cleanup", "plan") == 0
    assert run("cleanup", "apply", "--force") == 0
    assert run("cleanup", "verify") == 0
    shown_to = SimpleNamespace(deployment=deployment, endpoint=second.endpoint, seeded=seeded, world=population)
    assert check(shown_to).text.endswith("every id and every object is where it belongs.")  # type: ignore[arg-type]


def everything(aws: Aws, prefix: str) -> dict[str, Any]:
    """Every item and every object of a deployment."""
    found: dict[str, Any] = {}
    dynamodb, s3 = aws.client("dynamodb"), aws.client("s3")
    plain = TypeDeserializer().deserialize
    tables = [name for page in dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]]
    for table in tables:
        if table.startswith(prefix):
            keys = [part["AttributeName"] for part in dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]]
            for page in dynamodb.get_paginator("scan").paginate(TableName=table):
                for item in page["Items"]:
                    identity = (table, *(str(item[name]) for name in keys))
                    found[str(identity)] = {name: plain(value) for name, value in item.items()}
    for bucket in s3.list_buckets()["Buckets"]:
        if bucket["Name"].startswith(prefix):
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
                for one in page.get("Contents", []):
                    found[f"{bucket['Name']}/{one['Key']}"] = one["ETag"]
    return found


def test_without_transactions_only_what_needs_them_fails(
    third: Aws, run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(third)
    reach(monkeypatch, third.endpoint)
    users = write_map(tmp_path / "map.csv", MAP)
    assert run.json("migrate", "plan", "--csv-file", users)["changes"] == 80
    applied = run.json("migrate", "apply", "--yes")
    assert applied["code"] == 3
    assert applied["done"] == 75
    # A cost row is summed and removed in one transaction, a running task is copied and stopped in one.
    assert {one["row"] for one in applied["failed"]} == {"COST_CALCULATIONS_DYNAMO_TABLE", "SCHEDULED_TASKS_TABLE"}
    assert all("TransactWriteItems" in one["note"] for one in applied["failed"])
    # dynalite holds no two lists of maps to be equal: the conditions fail, and what stands is left alone.
    assert {one["row"] for one in applied["conflicts"]} == {
        "ASSISTANT_LOOKUP_DYNAMODB_TABLE",
        "AMPLIFY_ADMIN_DYNAMODB_TABLE",
    }
    assert values(third, "lambda-prod-cost-calculations", "id") == {SUB, MAP[SUB]}
    assert {int(item["active"]) for item in rows(third, "agent-loop-prod-scheduled-tasks")} == {1}
    assert values(third, "lambda-prod-accounts", "user") == {*MAP, *MAP.values(), LONGER, "Nobody@example.edu"}
    assert run.json("migrate", "verify")["verdicts"] == {"match": 75}
    assert run("cleanup", "apply", "--force") == 3
    # A second run on what stands, with conditions that fail without telling the item, finds everything done.
    assert run.json("migrate", "plan", "--csv-file", users)["changes"] == 5


def test_a_scan_in_segments_and_pages_misses_nothing_and_repeats_nothing(
    third: Aws, run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(third)
    dynamodb, table = third.client("dynamodb"), "amplify-prod2-lambda-prod-chat-usage"
    count = 1_200
    for start in range(0, count, 25):
        puts = [
            {"PutRequest": {"Item": {"id": {"S": f"long-{number}"}, "user": {"S": NUMBER}, "time": {"S": "2024-02-02"},
                                     "text": {"S": "x" * 10_000}}}}
            for number in range(start, start + 25)
        ]  # fmt: skip
        dynamodb.batch_write_item(RequestItems={table: puts})
    reach(monkeypatch, third.endpoint)
    users = write_map(tmp_path / "map.csv", {NUMBER: MAP[NUMBER]})
    planned = run.json("migrate", "plan", "--csv-file", users, "--workers", "4")
    counts = {one["place"]: one.get("planned", 0) for one in planned["tables"]}
    assert counts[table] == count + 7
    assert planned["scanned"][table] == count + 49
    assert run("migrate", "apply", "--yes") in (1, 3)
    assert [item["user"] for item in rows(third, "lambda-prod-chat-usage")].count(MAP[NUMBER]) == count + 7
