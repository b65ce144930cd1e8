"""The second deployment is there as it was written."""

from tests.wizard.sandbox.other_deployment import build


def test_it_holds_what_it_says(aws):
    built = build(aws)
    dynamodb, s3 = aws.client("dynamodb"), aws.client("s3")
    for table, items in built["items"].items():
        assert dynamodb.scan(TableName=table, Select="COUNT")["Count"] == len(items), table
    for bucket, bodies in built["objects"].items():
        assert {one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]} == set(bodies)
    assert not set(built["map"]) & set(built["map"].values())
