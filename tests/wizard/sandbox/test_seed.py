"""What the sandbox holds: rows for every table, the same for the same seed, more for more users."""

import json
from collections import Counter
from pathlib import Path

import pytest

from wizard.deployment import Deployment
from wizard.errors import BadInput
from wizard.sandbox.checkout import shared_values
from wizard.sandbox.create import create_pool, create_stacks, put_parameters
from wizard.sandbox.releases import RELEASES, release
from wizard.sandbox.schemas import BUCKETS, TABLES
from wizard.sandbox.seed import Object, Row, seedlings, sow, world, write_csv
from wizard.sandbox.seed.model import codes

V6 = Deployment("v6", "dev", "us-east-1")
EMPTY_BUCKETS = {"lambda/assistant-uploads", "lambda/chat-traces"} | {
    "lambda-basic-ops/work-record-attachments", "lambda-basic-ops/dynamic-code",  # else the stack could not go
}  # fmt: skip


@pytest.mark.parametrize("scenario", ["a", "b"])
@pytest.mark.parametrize("name", RELEASES)
def test_every_table_and_bucket_of_a_release_is_filled(name, scenario):
    shown = release(name)
    made = list(seedlings(world(V6, shown, scenario=scenario)))
    assert {row.table for row in made if isinstance(row, Row)} == {table.id for table in shown.tables()}
    filled = {one.bucket for one in made if isinstance(one, Object)}
    assert filled == {bucket.id for bucket in shown.buckets()} - EMPTY_BUCKETS


def test_every_row_has_its_key_with_the_right_type():
    keys = {table.id: table.key.split() for table in TABLES}
    for name in RELEASES:
        for row in seedlings(world(V6, release(name))):
            if isinstance(row, Row):
                for part in keys[row.table]:
                    attribute, _, kind = part.partition(":")
                    assert isinstance(row.item[attribute], int if kind == "N" else str), (row.table, attribute)


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data():
    first, second, other = (list(seedlings(world(V6, release("half"), seed=seed))) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_more_users_are_more_rows_in_every_table_of_users():
    few, many = (
        Counter(row.table for row in seedlings(world(V6, release("deployed"), users=users)) if isinstance(row, Row))
        for users in (5, 30)
    )
    fixed = {"lambda-basic-ops/dynamic-code", "se/ops-common-data", "custom/notes", "data-disclosure/versions"} | {
        "chat-billing/model-rates", "amplify-js/datasource-registry", "lambda/env-vars-tracking", "lambda/poll-status",
        "admin/admin-configs", "admin/admin-logs", "admin/critical-errors", "object-access/amplify-groups",
        "object-access/amplify-group-logs", "lambda/user-data-storage",
    }  # fmt: skip
    assert {table for table in few if many[table] <= few[table]} == fixed


def test_ids_of_the_map_are_unique_and_new_ids_are_nobodys_old_id():
    people = world(V6, release("v0.8.1"), users=200).people
    olds, news = {person.old for person in people}, {person.new for person in people}
    assert len(olds) == len(news) == 200
    assert not olds & news


def test_in_scenario_b_nobody_changes():
    assert all(person.old == person.new for person in world(V6, release("v0.8.1"), scenario="b").people)


@pytest.mark.parametrize("wish", [{"users": 1}, {"scenario": "c"}])
def test_impossible_wishes_are_refused(wish):
    with pytest.raises(BadInput):
        world(V6, release("v0.8.1"), **wish)


def test_an_unknown_release_is_refused_with_the_known_ones():
    with pytest.raises(BadInput, match=r"v0\.8\.1, v0\.7, current, deployed, half"):
        release("v1")


def test_every_pointer_has_its_object():
    made = list(seedlings(world(V6, release("deployed"))))
    objects = {(one.bucket, one.key) for one in made if isinstance(one, Object)}
    rows = [one for one in made if isinstance(one, Row)]
    pointers = {
        *(("lambda/user-conversations", row.item["s3_key"]) for row in rows if row.table == "lambda/conversation-metadata"),
        *(("agent-loop/workflow-templates", row.item["s3Key"]) for row in rows if row.table == "agent-loop/workflow-registry"),
        *(("data-disclosure/storage", row.item["pdf_id"]) for row in rows if row.table == "data-disclosure/versions"),
        *(
            ("agent-loop/scheduled-tasks-logs", log["detailsKey"])
            for row in rows if row.table == "agent-loop/scheduled-tasks"
            for log in row.item["logs"] if "detailsKey" in log
        ),
        *(
            ("artifacts/bucket", one["key"])
            for row in rows if row.table == "artifacts/user-artifacts"
            for one in row.item["artifacts"]
        ),
        *(
            ("lambda/share", one["key"])
            for row in rows if row.table == "lambda/"
            for one in row.item.get("data", [])
        ),
        *(
            ("agent-loop/agent-state" if "bucket" in row.item["memory"] else "lambda/consolidation", row.item["memory"]["key"])
            for row in rows if row.table == "agent-loop/agent-state"
        ),
    }  # fmt: skip
    assert len(pointers) > 100
    assert pointers <= objects


def test_it_is_written_with_types_metadata_and_counts(aws, tmp_path):
    account, shown = aws.account(), release("current")
    create_stacks(account, V6, shown)
    population = world(V6, shown, users=4)
    seeded = sow(account, population)
    dynamodb, s3 = aws.client("dynamodb"), aws.client("s3")
    for table, count in seeded.rows.items():
        assert dynamodb.scan(TableName=table, Select="COUNT")["Count"] == count, table
    for bucket, count in seeded.objects.items():
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == count, bucket
    tags = dynamodb.get_item(TableName="amplify-v6-lambda-dev-user-tags", Key={"user": {"S": population.jane.old}})
    assert set(tags["Item"]["tags"]["SS"]) == {"research", "teaching", "tag0"}
    deck = s3.head_object(Bucket="amplify-v6-lambda-dev-document-conversion-output", Key="templates/Example Deck.pptx")
    assert deck["Metadata"] == {"isavailable": "true", "amplifygroups": "Team A"}
    written = write_csv(tmp_path / "map.csv", population.people).read_text().splitlines()
    assert written[:2] == ["old_id,new_id", "jane.doe@example.edu,doej1"]
    assert seeded.ids["bob@example.edu"] == "smithb"


def test_the_pool_computes_the_new_ids(aws):
    account = aws.account()
    population = world(V6, release("v0.8.1"), users=3)
    pool = create_pool(account, V6, population.everyone, "example")
    users = aws.client("cognito-idp").list_users(UserPoolId=pool)["Users"]
    values = [{one["Name"]: one["Value"] for one in user["Attributes"]} for user in users]
    assert {one.get("custom:immutable_id") for one in values} == {"doej1", "smithb", "ann", None}
    assert sum("email" not in one for one in values) == 1


def test_parameters_are_those_of_step_1_and_the_alias(aws):
    account, shown = aws.account(), release("deployed")
    count = put_parameters(account, V6, shown, shared_values(V6, admins="x"))
    assert count == 83 + 25 + 1
    name = "/amplify/dev/amplify-v6-lambda/COST_CALCULATIONS_DYNAMO_TABLE"
    value = aws.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    assert value == "amplify-v6-lambda-dev-cost-calculations"


def test_schemas_are_those_that_the_services_deploy():
    """Against the published list of key schemas, where the machine has it."""
    published = Path(__file__).parents[4] / "shared" / "deployed-schemas.json"
    if not published.exists():
        pytest.skip("the list of deployed schemas is not here")
    listed = json.loads(published.read_text())
    ours = {table.name(V6): table for table in TABLES}
    for pattern, expected in listed["tables"].items():
        table = ours[V6.fill(pattern)]
        definition = table.properties("x")
        types = {one["AttributeName"]: one["AttributeType"] for one in definition["AttributeDefinitions"]}
        key = [[one["AttributeName"], types[one["AttributeName"]], one["KeyType"]] for one in definition["KeySchema"]]
        assert key == expected["key"], pattern
        indexes = {one["IndexName"] for one in definition.get("GlobalSecondaryIndexes", [])}
        assert indexes == {one["name"] for one in expected["indexes"]}, pattern
    buckets = {bucket.name(V6): bucket.versioned for bucket in BUCKETS}
    assert all(buckets[V6.fill(name)] == one["versioned"] for name, one in listed["buckets"].items())


@pytest.mark.parametrize(
    ("text", "expected"), [("", []), ("aaaa", [97, 256, 97]), ("é→", [233, 85, 43, 50, 49, 57, 50])]
)
def test_codes_are_the_services_compression(text, expected):
    assert codes(text) == expected
