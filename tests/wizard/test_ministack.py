"""Steps 4a to 4d on a second, independent emulator, which knows what moto does not: protected stacks, real limits.

Run with `-m network`: MiniStack pins a botocore of its own and is installed into an environment of its own.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import REGION, Aws
from tests.emulators import ministack
from tests.wizard.storage_tables import NEW, OLD, create, every_type, put, row
from tests.wizard.test_endpoint import BASIC, BUCKET, Deployed, path_resources, ready, table
from tests.wizard.test_endpoint import IMPORTED as IMPORTED_API
from wizard import endpoint, endpoint_free, policy, recovery, storage
from wizard.aws import Account
from wizard.context import Context
from wizard.errors import Blocked
from wizard.import_sources import open_source
from wizard.preflight import gather
from wizard.storage_import import import_rows

__all__ = ["ready"]  # the fixture, here over MiniStack
pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """MiniStack in the place of moto for everything in this module."""
    with ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture
def aws(moto_server: Aws) -> Aws:
    """MiniStack is not emptied: each test below leaves nothing that another one meets."""
    return moto_server


def settle(deployed: Deployed) -> None:
    """Wait until no stack is at work."""
    for _ in range(100):
        stacks = deployed.formation.describe_stacks()["Stacks"]
        if not any(stack["StackStatus"].endswith("_IN_PROGRESS") for stack in stacks):
            return
        time.sleep(0.1)


def test_the_way_through_step_4(aws: Aws, ready: Context) -> None:
    deployed = Deployed(aws)
    deployed.amplify_lambda()
    settle(deployed)
    deployed.stack(
        BASIC,
        path_resources(*IMPORTED_API)
        | {"UserStorage": table(OLD), "Code": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}},
        {"Out": {"Value": "x", "Export": {"Name": "basic-ops-output"}}},
    )
    settle(deployed)
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Fn::ImportValue": "basic-ops-output"}}}
    deployed.stack("importing-stack", {"Topic": topic})
    settle(deployed)
    deployed.formation.update_termination_protection(StackName=BASIC, EnableTerminationProtection=True)
    deployed.s3.put_object(Bucket=BUCKET, Key="x", Body=b"1")
    items = [every_type("doej1", "1"), row("bob@example.edu", "2")]
    put(deployed.dynamodb, OLD, items)

    assert endpoint.look(ready).owner == "basic-ops"
    with pytest.raises(Blocked, match="step 4a"):
        endpoint_free.free(ready, "stack")
    backup = storage.back_up(ready, OLD)
    with pytest.raises(Blocked) as stopped:
        endpoint_free.free(ready, "stack")
    for words in ("Termination protection is on", "importing-stack import its output", f"{BUCKET} is not empty"):
        assert words in str(stopped.value)
    deployed.formation.update_termination_protection(StackName=BASIC, EnableTerminationProtection=False)
    deployed.formation.delete_stack(StackName="importing-stack")
    settle(deployed)
    deployed.s3.delete_object(Bucket=BUCKET, Key="x")
    assert [entry.kind for entry in recovery.create(ready, [OLD])] == ["pitr"]
    endpoint_free.free(ready, "stack", poll=0.1)
    assert endpoint.look(ready).owner == "nobody"

    create(deployed.dynamodb, NEW)
    assert import_rows(ready, open_source(backup.path), NEW).counts["written"] == 2
    assert import_rows(ready, open_source(backup.path), NEW).counts["present"] == 2
    assert storage.tally_of(ready, NEW).digest == backup.manifest.digest
    deployed.orphan()
    assert endpoint.look(ready).owner == "orphan"
    endpoint_free.free(ready, "resource")
    assert endpoint.look(ready).owner == "nobody"


def test_an_identity_with_the_printed_policy_lacks_nothing_and_without_it_is_told(aws: Aws, context: Context) -> None:
    iam: Any = aws.client("iam")
    iam.create_user(UserName="operator")
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    printed = policy.document(context)
    context.account = Account(
        region=REGION, endpoint_url=aws.endpoint, credentials=(key["AccessKeyId"], key["SecretAccessKey"])
    )
    for allowed, verdict in ((False, "attention"), (True, "ok")):
        if allowed:
            iam.put_user_policy(UserName="operator", PolicyName="all", PolicyDocument=json.dumps(printed))
        fact = gather(context, ["permissions"]).by_name["permissions"]
        assert (fact.verdict, "dynamodb:Scan" in fact.value) == (verdict, not allowed)


def test_fifty_thousand_rows_in_flat_memory(aws: Aws, context: Context) -> None:
    client: Any = aws.client("dynamodb")
    source, target = "amplify-v6-lambda-dev-many", "amplify-v6-lambda-dev-many-again"
    create(client, source)
    create(client, target)
    late = {10_000: {"late": {"BS": [b"\x00"]}}}
    put(client, source, (row(f"user{index % 500}", f"{index:05}", **late.get(index, {})) for index in range(50_000)))
    tracemalloc.start()
    backup = storage.back_up(context, source)
    import_rows(context, open_source(backup.path), target)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert backup.manifest.rows == 50_000
    assert storage.tally_of(context, target) == storage.tally_of(context, source)
    assert peak < 120_000_000  # two pages of 1 MB as botocore unfolds them: 76 MB at 12,000 rows as at 24,000
