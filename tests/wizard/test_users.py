"""The user map beside an account: rows of cognito-users, the user pool, and who has data but is not in the map."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest, AWSResponse

from tests.conftest import Aws
from wizard.context import Context
from wizard.errors import BadInput, Blocked
from wizard.user_pool import PoolUser, compare_with_pool, computed_ids, idp_prefix, read_pool, sub_pairs, without_prefix
from wizard.users import (
    Complaint,
    MapRow,
    UserMap,
    check_against_account,
    find_missing,
    identity_map,
    look_up,
    sub_map,
)

USERS = "amplify-v6-object-access-dev-cognito-users"


def map_of(*pairs: tuple[str, str]) -> UserMap:
    return UserMap(tuple(MapRow(line, old, new) for line, (old, new) in enumerate(pairs, 2)))


def table(aws: Aws, name: str, *key: str) -> None:
    aws.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": part, "KeyType": kind} for part, kind in zip(key, ("HASH", "RANGE"), strict=False)
        ],
        AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in key],
        BillingMode="PAY_PER_REQUEST",
    )


def put(aws: Aws, name: str, **item: str) -> None:
    aws.client("dynamodb").put_item(TableName=name, Item={key: {"S": value} for key, value in item.items()})


def users_table(aws: Aws, users: Mapping[str, str]) -> None:
    """cognito-users with id -> e-mail address ("" for none)."""
    table(aws, USERS, "user_id")
    items = [{"user_id": {"S": user}, **({"email": {"S": email}} if email else {})} for user, email in users.items()]
    client = aws.client("dynamodb")
    for start in range(0, len(items), 25):
        client.batch_write_item(RequestItems={USERS: [{"PutRequest": {"Item": item}} for item in items[start:][:25]]})


def pool_of(aws: Aws, users: Iterable[tuple[str, Mapping[str, str]]]) -> str:
    cognito = aws.client("cognito-idp")
    pool = cognito.create_user_pool(
        PoolName="amplify",
        Schema=[{"Name": "immutable_id", "AttributeDataType": "String", "Mutable": True}],
    )["UserPool"]["Id"]
    for username, attributes in users:
        cognito.admin_create_user(
            UserPoolId=pool,
            Username=username,
            UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
        )
    return str(pool)


def said(complaints: list[Complaint], level: str) -> dict[int, str]:
    return {complaint.line: complaint.text for complaint in complaints if complaint.level == level}


# --- cognito-users ----------------------------------------------------------------------------------------------------


def test_a_new_id_that_is_another_persons_is_an_error_and_the_same_persons_is_attention(
    aws: Aws, context: Context
) -> None:
    users_table(
        aws,
        {
            "ann@example.edu": "",
            "ann1": "Ann@example.edu",
            "bob@example.edu": "bob@example.edu",
            "bob1": "robert@example.edu",
            "carl@example.edu": "",
            "carl1": "",
            "dora@example.edu": "",
            "emil1": "emil@example.edu",
            "fred1": "",
            "gus@example.edu": "",
            "o-neil@example.edu": "",
            "i-vy": "other@example.edu",
        },
    )
    complaints = check_against_account(
        context,
        map_of(
            ("ann@example.edu", "ann1"),
            ("bob@example.edu", "bob1"),
            ("carl@example.edu", "carl1"),
            ("dora@example.edu", "dora1"),
            ("emile", "emil1"),
            ("fred1", "fred1"),
            ("nobody@example.edu", "nobody1"),
            ("hugo@example.edu", "gus@example.edu"),
            ("o'neil@example.edu", "neil1"),
            ("ivy@example.edu", "i'vy"),
            ("o'neil", "o-neil"),
        ),
    )
    errors, attention = said(complaints, "error"), said(complaints, "attention")
    assert list(errors) == [3, 9, 11]
    assert "storage key 'i-vy', as has the user of that id" in errors[11], "who is not in the map"
    assert "another person ('gus@example.edu', not 'hugo@example.edu')" in errors[9], (
        "a row that is keyed by its address"
    )
    assert "another person ('robert@example.edu', not 'bob@example.edu')" in errors[3]
    assert ["remove that row first" in errors[line] for line in (3, 9)] == [False, True]
    assert "of the same person" in attention[2]
    assert "no e-mail address tells whose it is" in attention[4]
    assert "no e-mail address tells whose it is" in attention[6]
    assert "has no row in cognito-users" in attention[8]
    assert set(attention) == {2, 4, 6, 8, 10, 11, 12}
    told = [complaint.text for complaint in complaints if complaint.line == 10]
    assert any("storage key 'o-neil@example.edu', as has the user" in text and "they stay" in text for text in told)


def test_an_absent_table_is_said_and_stops_nothing(context: Context) -> None:
    complaints = check_against_account(context, map_of(("ann@example.edu", "ann1")))
    assert [(complaint.level, complaint.line) for complaint in complaints] == [("attention", 0)]
    assert USERS in complaints[0].text


def test_more_ids_than_one_batch_and_keys_left_unprocessed_are_all_looked_up(aws: Aws, context: Context) -> None:
    users_table(aws, {f"user{number:03}": "" for number in range(130)})
    requests: list[int] = []

    def only_seven(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        body = json.loads(params["body"])
        keys = body["RequestItems"][USERS]["Keys"]
        requests.append(len(keys))
        context["left"] = {USERS: {**body["RequestItems"][USERS], "Keys": keys[7:]}} if len(keys) > 7 else {}
        body["RequestItems"][USERS]["Keys"] = keys[:7]
        params["body"] = json.dumps(body).encode()

    def leave(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        parsed["UnprocessedKeys"] = context["left"]

    events = context.account.client("dynamodb").meta.events
    events.register("before-call.dynamodb.BatchGetItem", only_seven)
    events.register("after-call.dynamodb.BatchGetItem", leave)
    context.control.sleep = lambda seconds: None  # type: ignore[method-assign]
    found = look_up(context, [f"user{number:03}" for number in range(125)] + ["stranger", "", "x" * 3_000])
    assert len(found) == 125
    assert max(requests) == 100
    assert len(requests) == 15 + 4  # 100 keys by 7, then 26 by 7


def test_looking_up_makes_requests_by_the_hundred(aws: Aws, context: Context) -> None:
    users_table(aws, {})
    look_up(context, (f"user{number:03}" for number in range(250)))
    assert context.account.costs.requests["dynamodb.batch_get_item"] == 3


def test_the_identity_map_has_every_user_of_every_page_sorted(aws: Aws, context: Context) -> None:
    # Ids of 2,000 bytes: more than the megabyte that one page of a scan holds.
    ids = [f"{number:04}{'x' * 1_996}" for number in range(600)]
    users_table(aws, dict.fromkeys(reversed(ids), ""))
    user_map = identity_map(context)
    assert [row.old for row in user_map.rows] == ids
    assert user_map.scenario == "b"
    assert context.account.costs.requests["dynamodb.scan"] > 1


def test_an_identity_map_of_nobody_is_blocked(aws: Aws, context: Context) -> None:
    with pytest.raises(Blocked, match=USERS):
        identity_map(context)
    users_table(aws, {})
    with pytest.raises(Blocked, match="no row"):
        identity_map(context)


# --- the user pool ----------------------------------------------------------------------------------------------------


def test_the_computed_id_is_the_claim_else_the_sub_or_the_bare_username() -> None:
    claimed = PoolUser("MySaml_ann@example.edu", "s-1", "ann@example.edu", "ann1")
    plain = PoolUser("mysaml_ann@example.edu", "s-1", "ann@example.edu")
    assert computed_ids(claimed, "s-1", "MySaml") == {"ann1"}
    assert computed_ids(plain, "ann1", "MySaml") == {"ann@example.edu"}
    assert computed_ids(plain, "s-1", "MySaml") == {"ann@example.edu", "s-1"}
    assert without_prefix("MySaml_ann", "") == "MySaml_ann"
    assert without_prefix("MySamlann", "MySaml") == "MySamlann"


def test_rows_that_the_services_will_not_find_are_counted_and_named(aws: Aws, context: Context) -> None:
    pool = pool_of(
        aws,
        [
            ("idp_ann@example.edu", {"email": "Ann@example.edu", "custom:immutable_id": "ann1"}),
            ("idp_bob@example.edu", {"email": "bob@example.edu", "custom:immutable_id": "bob1"}),
            ("carl1", {"email": "carl@example.edu"}),
        ],
    )
    aws.client("ssm").put_parameter(Name="/amplify/dev/shared/IDP_PREFIX", Value="idp", Type="String")
    users_table(aws, {name: "" for name in ("ann@example.edu", "bob@example.edu", "carl@example.edu", "dora")})
    user_map = map_of(
        ("ann@example.edu", "ann1"), ("bob@example.edu", "bob"), ("carl@example.edu", "carl1"), ("dora", "dora1")
    )
    attention = said(check_against_account(context, user_map, pool), "attention")
    assert "the services will compute 'bob1' for 'bob@example.edu'" in attention[3]
    assert "Nobody in the user pool is 'dora'" in attention[5]
    assert set(attention) == {0, 3, 5}
    texts = [complaint.text for complaint in check_against_account(context, user_map, pool) if not complaint.line]
    assert any(text.startswith("1 of 4 rows name another id") for text in texts)
    assert any(text.startswith("1 of 4 rows name nobody") for text in texts)


def test_a_map_that_the_services_will_follow_is_said_to_agree() -> None:
    users = [PoolUser("s-1", "s-1", "ann@example.edu"), PoolUser("x", "s-2", "bob@example.edu", "bob1")]
    complaints = compare_with_pool(
        map_of(("ann@example.edu", "s-1"), ("old", "bob1")), users, "", {"old": "bob@example.edu"}
    )
    assert [complaint.level for complaint in complaints] == ["note"]


def test_every_page_of_the_pool_is_read(aws: Aws, context: Context) -> None:
    pool = pool_of(aws, ((f"user{number:03}", {"email": f"u{number}@example.edu"}) for number in range(125)))
    users = list(read_pool(context.account, pool))
    assert len({user.username for user in users}) == 125
    assert all(user.sub and user.email for user in users)
    assert context.account.costs.requests["cognito-idp.list_users"] == 3


@pytest.mark.parametrize("pool", ["us-east-1_absent123", "nonsense", ""])
def test_a_pool_that_is_not_there_is_bad_input(context: Context, pool: str) -> None:
    with pytest.raises(BadInput, match="no user pool"):
        list(read_pool(context.account, pool))


def test_the_prefix_comes_from_the_environment_then_from_either_layout(
    aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IDP_PREFIX", raising=False)
    assert idp_prefix(context) == ""
    ssm = aws.client("ssm")
    ssm.put_parameter(Name="/amplify/dev/shared/IDP_PREFIX", Value="older", Type="String")
    assert idp_prefix(context) == "older"
    ssm.put_parameter(Name="/amplify/dev/IDP_PREFIX", Value="newer", Type="String")
    assert idp_prefix(context) == "newer"
    monkeypatch.setenv("IDP_PREFIX", "mine")
    assert idp_prefix(context) == "mine"


def test_subs_are_written_under_the_spelling_that_the_data_has() -> None:
    users = [
        PoolUser("u1", "s-1", "Ann@Example.edu"),
        PoolUser("u2", "s-2", "Bob@example.edu"),
        PoolUser("u3", "s-3", "Carl@example.edu"),
    ]
    pairs, complaints = sub_pairs(users, ["Ann@Example.edu", "BOB@example.edu"])
    assert pairs == [("Ann@Example.edu", "s-1"), ("BOB@example.edu", "s-2"), ("carl@example.edu", "s-3")]
    assert complaints == []
    both = sub_pairs(users[:1], ["ANN@example.edu", "Ann@Example.edu"])
    assert both[0] == [("Ann@Example.edu", "s-1")]
    assert "both" in both[1][0].text


def test_users_without_an_address_and_shared_addresses_are_left_out_and_reported(aws: Aws, context: Context) -> None:
    pool = pool_of(
        aws,
        [
            ("native", {"email": "ann@example.edu"}),
            ("idp_ann", {"email": "Ann@example.edu"}),
            ("robot", {}),
            ("bob", {"email": "bob@example.edu"}),
        ],
    )
    users_table(aws, {"bob@example.edu": ""})
    user_map, complaints = sub_map(context, pool)
    assert [row.old for row in user_map.rows] == ["bob@example.edu"]
    texts = " ".join(complaint.text for complaint in complaints)
    assert "'robot' has no e-mail address" in texts
    assert "2 users of the pool have the e-mail address 'ann@example.edu'" in texts
    assert "'native'" in texts


def deny(context: Context, service: str, operation: str) -> None:
    """From now on AWS refuses this operation."""
    body = b'{"__type": "AccessDeniedException", "message": "not authorized"}'

    def refuse(request: AWSRequest, **_: Any) -> AWSResponse:
        response = AWSResponse(request.url, 400, {"x-amzn-errortype": "AccessDeniedException"}, None)
        response._content = body
        return response

    context.account.client(service).meta.events.register(f"before-send.{service}.{operation}", refuse)


def test_what_may_not_be_read_is_said_with_the_permission(aws: Aws, context: Context) -> None:
    users_table(aws, {"ann@example.edu": ""})
    user_map = map_of(("ann@example.edu", "ann1"))
    pool = pool_of(aws, [("ann1", {"email": "ann@example.edu"})])
    deny(context, "ssm", "GetParameters")
    assert [complaint.level for complaint in check_against_account(context, user_map, pool)] == ["note"]
    deny(context, "dynamodb", "BatchGetItem")
    (complaint,) = check_against_account(context, user_map)
    assert (complaint.level, complaint.line) == ("attention", 0)
    assert "AccessDenied" in complaint.text
    deny(context, "dynamodb", "Scan")
    written, (said,) = sub_map(context, pool)
    assert [row.old for row in written.rows] == ["ann@example.edu"]
    assert "could not be looked up" in said.text
    deny(context, "cognito-idp", "ListUsers")
    with pytest.raises(Blocked, match="cognito-idp:ListUsers"):
        check_against_account(context, user_map, pool)


# --- who is not in the map --------------------------------------------------------------------------------------------


def test_who_has_data_but_no_row_is_found_in_one_scan_of_each_table(aws: Aws, context: Context) -> None:
    group = "Staff_0a1b2c3d-1111-2222-3333-444455556666"
    users_table(aws, {"ann@example.edu": "", "left@example.edu": "", "Robot-123456": ""})
    table(aws, "amplify-v6-lambda-dev-accounts", "user")
    table(aws, "amplify-v6-object-access-dev-object-access", "object_id", "principal_id")
    table(aws, "amplify-v7-lambda-dev-accounts", "user")
    put(aws, "amplify-v7-lambda-dev-accounts", user="stranger")
    for user in ("ann@example.edu", "ann1", "ghost@example.edu", "App-654321"):
        put(aws, "amplify-v6-lambda-dev-accounts", user=user)
    for thing in ("one", "two"):
        for user in (group, "ghost@example.edu", "astp/0a1b"):
            put(aws, "amplify-v6-object-access-dev-object-access", object_id=thing, principal_id=user)
    missing, unread = find_missing(context, map_of(("ann@example.edu", "ann1")))
    assert unread == {}
    assert {entry.id: entry.kind for entry in missing} == {
        "left@example.edu": "user",
        "ghost@example.edu": "unknown",
        "App-654321": "system",
        "Robot-123456": "user",
        group: "group",
        "astp/0a1b": "assistant",
    }
    ghost = next(entry for entry in missing if entry.id == "ghost@example.edu")
    assert list(ghost.items.items()) == [
        ("amplify-v6-object-access-dev-object-access", 2),
        ("amplify-v6-lambda-dev-accounts", 1),
    ]
    assert context.account.costs.requests["dynamodb.scan"] == 3
