"""The verdict over a migrated sandbox sees what is not migrated, and does not take the engine's word."""

from wizard.sandbox.check import check
from wizard.sandbox.demo import start_demo


def test_a_sandbox_that_was_not_migrated_is_wrong_and_says_where(tmp_path):
    with start_demo(tmp_path, users=2) as demo:
        verdict = check(demo)
    assert not verdict.right
    assert any(
        "lambda-dev-accounts: user still holds bob@example.edu, jane.doe@example.edu" in one for one in verdict.wrong
    )
    assert any("conversations/doej1/" in one and one.endswith("is missing") for one in verdict.wrong)
    assert not any("was changed" in one for one in verdict.wrong)
    assert verdict.details["looked_at"]["object"] > 10


def test_where_no_id_changes_no_old_id_is_left(tmp_path):
    with start_demo(tmp_path, users=2, scenario="b") as demo:
        verdict = check(demo)
    assert not any("still holds" in one or "should hold" in one for one in verdict.wrong)


def test_another_persons_row_that_changed_is_seen(tmp_path):
    with start_demo(tmp_path, users=2) as demo:
        key = {"user": {"S": "emeritus@example.edu"}}
        values = {":new": {"L": []}}
        demo.account().call(
            "dynamodb", "update_item", TableName="amplify-v6-lambda-dev-accounts", Key=key,
            UpdateExpression="SET accounts = :new", ExpressionAttributeValues=values,
        )  # fmt: skip
        verdict = check(demo)
    assert "amplify-v6-lambda-dev-accounts: a row without an id of the map was changed" in verdict.wrong
