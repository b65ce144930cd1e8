"""The rewrite on the wire form: properties over every row of the catalog, then the cases that are easily got wrong."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wizard.catalog.model import ANY, KEYS, MEMBERS, IdPath, Ids, Item, Table, is_whole, storage_key
from wizard.catalog.tables import BY_KEY, TABLES
from wizard.migration.rewrite import Change, Edit, Watch, changes, rewrite, unknown_references
from wizard.migration.scan import Scope
from wizard.storage_key import dashed, sanitise_user

MAP = {
    "ann@example.edu": "a-1", "anna@example.edu": "a-2", "ann": "x1", "12345678": "z9", "dr who": "dw",
    "o'neil+x@example.edu": "on", "same@example.edu": "same@example.edu", "Mixed@Example.edu": "mx",
}  # fmt: skip
IDS = Ids(MAP)
OLD = tuple(IDS.changed)
ids_only, pointers_only = Scope(IDS, Watch(IDS), content=False), Scope(IDS, Watch(IDS), tables=False)
OUTSIDE = (
    "bob@example.edu",
    "Group_5f2c",
    "Robot-123456",
    "system",
    "ann@example.ed",
    "1234567",
    "JIT_PROVISIONER",
    "mixed@example.edu",
)
ROWS = [row for row in TABLES if row.ids]
DERIVED = (
    "{}", "{}#2024-01-31", "{}#2024-01", "{}/google", "{}/ownerKey/1", "{}/2024-01-31/f.json", "{}#my-app",
    "{}#my-app#thing", "shared-with-{}#20240131/Map:v1", "conversations/{}/c1", "agentState/{}/s/agent_state.json",
    "{}/20240131/Map:v1", "{}/t.json",     "s3://bucket/astgp/{}/c.txt", "shares/{}/bob@example.edu/2024-01-31/1.json",
    "x{}", "{}x", "a {} b",
)  # fmt: skip


def s(value: str) -> Item:
    return {"S": value}


# --- items of a row, at random ----------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.sampled_from(["", "text", "1.10", "true"]).map(s),
    st.sampled_from(["0", "-1.10", "1E+2", "12345678901234567890123456789012345678"]).map(lambda digits: {"N": digits}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.binary(max_size=4).map(lambda value: {"B": value}),
    st.sampled_from([["b", "a"], ["x"]]).map(lambda members: {"SS": members}),
    st.just({"NS": ["1", "2.50"]}),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda members: {"L": members}),
        st.dictionaries(st.sampled_from(["p", "q", "a.b", "#x"]), inner, max_size=2).map(
            lambda members: {"M": members}
        ),
    ),
    max_leaves=5,
)


def texts(users: tuple[str, ...]) -> st.SearchStrategy[str]:
    user = st.sampled_from(users)
    doubled = user.map(lambda u: f"{sanitise_user(u)}#{dashed(u)}-amplify-workflows#workflow-templates")
    return st.one_of(user, st.builds(str.format, st.sampled_from(DERIVED), user), doubled)


def at(parts: tuple[str, ...], leaf: st.SearchStrategy[Item], users: tuple[str, ...]) -> st.SearchStrategy[Item]:
    """A value that has the path, with `leaf` at its end."""
    if not parts:
        return leaf
    head, rest = parts[0], parts[1:]
    inner = at(rest, leaf, users)
    if head == MEMBERS:
        lists = st.lists(inner, max_size=4).map(lambda members: {"L": members})
        sets = st.lists(st.sampled_from(users), min_size=1, max_size=3, unique=True).map(
            lambda members: {"SS": members}
        )
        return st.one_of(lists, sets) if not rest else lists
    if head == KEYS:
        member = st.one_of(st.sampled_from(["read", "write", "admin"]).map(s), SCALARS)
        return st.dictionaries(st.sampled_from(users), member, max_size=4).map(lambda members: {"M": members})
    names = st.sampled_from(["g1", "g 2", "a.b"]) if head == ANY else st.just(head)
    return st.dictionaries(names, inner, min_size=1, max_size=2).map(lambda members: {"M": members})


def merge(one: Any, other: Any) -> Any:
    """Two values of one attribute, so that several paths can lead into it."""
    if "M" in one and "M" in other:
        names = {**one["M"], **other["M"]}
        return {
            "M": {
                k: merge(one["M"][k], other["M"][k]) if k in one["M"] and k in other["M"] else v
                for k, v in names.items()
            }
        }
    if "L" in one and "L" in other:
        size = min(len(one["L"]), len(other["L"]))
        return {
            "L": [merge(a, b) for a, b in zip(one["L"], other["L"], strict=False)] + one["L"][size:] + other["L"][size:]
        }
    return other


@st.composite
def items(draw: st.DrawFn, users: tuple[str, ...]) -> tuple[Table, Item]:
    """(row, an item with values at some of its named and kept paths and elsewhere)."""
    row = draw(st.sampled_from(ROWS))
    leaf = st.one_of(texts(users).map(s), SCALARS) if draw(st.booleans()) else texts(users).map(s)
    item: Item = {"untouched": draw(VALUES), "x.y#z": draw(VALUES)}
    for parts in [path.parts for path in row.ids] + list(row.kept):
        if draw(st.integers(0, 4)):
            value = draw(at(parts[1:], leaf, users))
            item[parts[0]] = merge(item[parts[0]], value) if parts[0] in item else value
    conditions = [dict(path.when) for path in row.ids if path.when]
    if conditions:
        item.update({name: s(value) for name, value in draw(st.sampled_from(conditions)).items()})
    return row, {**item, **{name: draw(texts(users).map(s)) for name in row.key.names}}


ANYBODY = items((*MAP, *OUTSIDE))
STRANGERS = items(OUTSIDE)
many = settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def leaves(value: Any, parts: tuple[str, ...]) -> Iterator[Any]:
    """The values at a path, found without the code under test."""
    if not parts:
        yield value
    elif parts[0] == MEMBERS:
        yield from (one for member in value.get("L", ()) for one in leaves(member, parts[1:]))
        if len(parts) == 1:
            yield from ({"S": text} for text in value.get("SS", ()))
    elif parts[0] == KEYS:
        yield from ({"S": name} for name in value.get("M", ()))
    else:
        members = value.get("M", {})
        for name in list(members) if parts[0] == ANY else [parts[0]]:
            if name in members:
                yield from leaves(members[name], parts[1:])


def delimiter(path: IdPath) -> tuple[str, str]:
    """(what stands before, what stands after the id) at a path where it is a part."""
    if path.path == "SK":
        return ("shared-with-" if path.when["entityType"] == "artifact-content" else "", "#")
    return "", "/" if path.path == "user_integration" else "#"


# --- properties -------------------------------------------------------------------------------------------------------


@many
@given(ANYBODY)
def test_no_id_survives_at_a_named_path(pair: tuple[Table, Item]) -> None:
    row, item = pair
    after = rewrite(row, item, IDS).item
    for path in row.ids:
        if path.follow is not None or not path.concerns(item):
            continue
        for leaf in leaves({"M": after}, path.parts):
            text = leaf.get("S")
            if path.form is is_whole:
                assert text not in OLD, f"{row.config_key} {path.path}: {text}"
            elif text is not None:
                before, behind = delimiter(path)
                assert not text.startswith(tuple(f"{before}{old}{behind}" for old in OLD)), (
                    f"{row.config_key} {path.path}: {text}"
                )


@many
@given(ANYBODY)
def test_twice_is_once(pair: tuple[Table, Item]) -> None:
    row, item = pair
    once = rewrite(row, item, IDS).item
    again = rewrite(row, once, IDS)
    assert (again.item, again.edits) == (once, ())


@many
@given(STRANGERS)
def test_what_is_not_mapped_is_left_alone(pair: tuple[Table, Item]) -> None:
    row, item = pair
    strangers = rewrite(row, item, IDS, ids_only.takes)
    assert (strangers.item, strangers.edits) == (item, ())


@many
@given(ANYBODY)
def test_kept_paths_stay(pair: tuple[Table, Item]) -> None:
    row, item = pair
    after = rewrite(row, item, IDS).item
    for parts in row.kept:
        if parts == ("email",) and "email" not in item:
            continue  # filled where it is missing
        assert list(leaves({"M": after}, parts)) == list(leaves({"M": item}, parts)), f"{row.config_key} {parts}"


@many
@given(ANYBODY)
def test_everything_else_keeps_its_type_and_digits(pair: tuple[Table, Item]) -> None:
    row, item = pair
    after = rewrite(row, item, IDS).item
    named = {path.parts[0] for path in row.ids} | {"email", "originalCreator", "isPublic"}
    for name in item.keys() - named:
        assert after[name] == item[name]
    for name in item.keys() & after.keys() - {"isPublic"}:
        assert after[name].keys() == item[name].keys(), name
        assert sorted(_others(after[name])) == sorted(_others(item[name])) or "members" in name


def _others(value: Any) -> Iterator[str]:
    """What is neither text nor a container: numbers with their digits, truth, binary."""
    ((kind, content),) = value.items()
    if kind == "L":
        for member in content:
            yield from _others(member)
    elif kind == "M":
        for member in content.values():
            yield from _others(member)
    elif kind not in ("S", "SS"):
        yield f"{kind} {content!r}"


@many
@given(ANYBODY)
def test_the_input_is_never_modified(pair: tuple[Table, Item]) -> None:
    row, item = pair
    before = copy.deepcopy(item)
    result = rewrite(row, item, IDS)
    assert item == before
    assert bool(result.edits) == (result.item != item)


@many
@given(ANYBODY)
def test_ids_and_pointers_are_two_halves(pair: tuple[Table, Item]) -> None:
    row, item = pair
    whole = rewrite(row, item, IDS)
    halves = {
        *map(str, rewrite(row, item, IDS, ids_only.takes).edits),
        *map(str, rewrite(row, item, IDS, pointers_only.takes).edits),
    }
    assert halves == set(map(str, whole.edits))


@many
@given(ANYBODY)
def test_an_identity_map_moves_no_item(pair: tuple[Table, Item]) -> None:
    row, item = pair
    after = rewrite(row, item, Ids({old: old for old in MAP})).item
    for name in row.key.names:
        spelled = any(path.form is storage_key for path in row.ids if path.path == name)
        assert after[name] == item[name] or spelled, "only the spelling of a storage key may change"


@many
@given(
    st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3),
    st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3),
)
def test_changes_turn_one_item_into_the_other(before: Item, after: Item) -> None:
    for depth in (1, 32):
        result: Any = {"M": copy.deepcopy(before)}
        for change in changes(before, after, depth):
            place = result
            for name in change.path[:-1]:
                place = place["M"][name]
            if change.after is None:
                del place["M"][change.path[-1]]
            else:
                place["M"][change.path[-1]] = change.after
        assert changes(result["M"], after) == []


# --- cases ------------------------------------------------------------------------------------------------------------


def of(config_key: str, **attributes: Item) -> Item:
    return rewrite(BY_KEY[config_key], attributes, IDS).item


@pytest.mark.parametrize("user", OUTSIDE)
def test_principals_that_are_no_users_pass(user: str) -> None:
    item = {"object_id": s("o"), "principal_id": s(user)}
    assert of("OBJECT_ACCESS_DYNAMODB_TABLE", **item) == item


@pytest.mark.parametrize(("old", "new"), [("ann", "x1"), ("ann@example.edu", "a-1"), ("anna@example.edu", "a-2")])
def test_ids_that_begin_alike_are_kept_apart(old: str, new: str) -> None:
    assert of("OAUTH_USER_TABLE", user_integration=s(f"{old}/google"))["user_integration"] == s(f"{new}/google")
    assert of("HISTORY_COST_CALCULATIONS_DYNAMO_TABLE", userDate=s(f"{old}#2024-01-31"), accountInfo=s("c"))[
        "userDate"
    ] == s(f"{new}#2024-01-31")


def test_members_of_a_group_keep_the_strongest_permission() -> None:
    members = {
        "ann": s("read"),
        "x1": s("write"),
        "bob@example.edu": s("admin"),
        "12345678": s("admin"),
        "z9": s("read"),
    }
    after = of("ASSISTANT_GROUPS_DYNAMO_TABLE", group_id=s("ann"), members={"M": members}, createdBy=s("Group_5f2c"))
    assert after["members"] == {"M": {"x1": s("write"), "bob@example.edu": s("admin"), "z9": s("admin")}}
    assert after["group_id"] == s("ann")


def test_both_ids_of_a_person_in_a_list_become_one_in_its_first_place() -> None:
    data = {"L": [s("bob@example.edu"), s("ann"), s("c"), s("x1"), s("c")]}
    after = of("AMPLIFY_ADMIN_DYNAMODB_TABLE", config_id=s("admins"), data=data)
    assert after["data"] == {"L": [s("bob@example.edu"), s("c"), s("x1"), s("c")]}, "what was there twice stays"


def test_a_path_of_another_config_is_left_alone() -> None:
    data = {
        "M": {"ann": {"M": {"members": {"L": [s("ann")]}, "createdBy": s("ann"), "userExceptions": {"L": [s("ann")]}}}}
    }
    groups = of("AMPLIFY_ADMIN_DYNAMODB_TABLE", config_id=s("amplifyGroups"), data=data)["data"]["M"]["ann"]["M"]
    flags = of("AMPLIFY_ADMIN_DYNAMODB_TABLE", config_id=s("featureFlags"), data=data)["data"]["M"]["ann"]["M"]
    assert (groups["members"], groups["createdBy"], groups["userExceptions"]) == (
        {"L": [s("x1")]},
        s("x1"),
        {"L": [s("ann")]},
    )
    assert (flags["members"], flags["createdBy"], flags["userExceptions"]) == (
        {"L": [s("ann")]},
        s("ann"),
        {"L": [s("x1")]},
    )
    assert of("AMPLIFY_ADMIN_DYNAMODB_TABLE", config_id=s("emailSupport"), data=data)["data"] == data


def test_a_member_of_an_unexpected_type_is_skipped_and_the_others_are_mapped() -> None:
    data = {
        "M": {"odd": s("ann"), "odder": {"M": {"members": s("ann")}}, "right": {"M": {"members": {"L": [s("ann")]}}}}
    }
    after = of("AMPLIFY_ADMIN_DYNAMODB_TABLE", config_id=s("amplifyGroups"), data=data)["data"]["M"]
    assert after["right"] == {"M": {"members": {"L": [s("x1")]}}}
    assert (after["odd"], after["odder"]) == (data["M"]["odd"], data["M"]["odder"])


@pytest.mark.parametrize(
    ("key", "mapped"),
    [
        ("ann@example.edu#amplify-workflows#t", "a-1#amplify-workflows#t"),
        ("ann@example.edu#ann-example-edu-amplify-workflows#t", "a-1#amplify-workflows#t"),
        ("a-1#a-1-amplify-agent-logs#t", "a-1#amplify-agent-logs#t"),
        ("o-neil-x@example.edu#o-neil-x-example-edu-amplify-user-settings#t", "on#amplify-user-settings#t"),
        ("o'neil+x@example.edu#amplify-shares#received", "on#amplify-shares#received"),
        ("ann#ann-my-app#t", "x1#ann-my-app#t"),
        ("anna@example.edu#amplify-shares", "a-2#amplify-shares"),
        ("annie#amplify-shares#received", "annie#amplify-shares#received"),
        ("ann", "ann"),
    ],
)
def test_storage_keys_in_all_spellings_become_the_plain_one(key: str, mapped: str) -> None:
    after = of("USER_DATA_STORAGE_TABLE", PK=s(key), SK=s("k"), appId=s(key), UUID=s("u"))
    assert (after["PK"], after["appId"], after["UUID"]) == (s(mapped), s(mapped), s("u"))


def test_both_users_of_a_share_are_mapped() -> None:
    item = {
        "PK": s("ann#amplify-shares#received"), "SK": s("anna@example.edu#2024-01-31#1"), "entityType": s("received"),
        "data": {"M": {"sharedBy": s("anna@example.edu"), "sharedAt": {"N": "1.50"},
                       "key": s("ann/anna@example.edu/2024-01-31/1.json")}},
    }  # fmt: skip
    after = of("USER_DATA_STORAGE_TABLE", **item)
    assert after["SK"] == s("a-2#2024-01-31#1")
    assert after["data"] == {
        "M": {"sharedBy": s("a-2"), "key": s("shares/x1/a-2/2024-01-31/1.json"), "sharedAt": {"N": "1.50"}}
    }


def test_sort_keys_and_data_of_unknown_apps_are_left_alone() -> None:
    item = {
        "PK": s("ann#notes#note"),
        "SK": s("ann#1"),
        "entityType": s("note"),
        "data": {"M": {"sharedBy": s("ann"), "user": s("ann")}},
    }
    after = of("USER_DATA_STORAGE_TABLE", **item)
    assert (after["PK"], after["SK"], after["data"]) == (s("x1#notes#note"), item["SK"], item["data"])


def test_an_artifact_of_an_eight_digit_user_is_not_taken_for_moved() -> None:
    entries = [{"M": {"key": s(key)}} for key in ("12345678/20240131/Map:v1", "20240131/Map:v2", "12345678/Map:v3")]
    after = of("ARTIFACTS_DYNAMODB_TABLE", user_id=s("12345678"), artifacts={"L": entries})
    assert [one["M"]["key"]["S"] for one in after["artifacts"]["L"]] == [
        "20240131/Map:v1",
        "20240131/Map:v2",
        "12345678/Map:v3",
    ]


def test_a_memory_of_an_assistant_keeps_its_id() -> None:
    for kind, expected in (("user", "x1"), ("assistant", "ann")):
        after = of("MEMORY_DYNAMO_TABLE", id=s("m"), user=s("ann"), memory_type=s(kind), memory_type_id=s("ann"))
        assert (after["user"], after["memory_type_id"]) == (s("x1"), s(expected))


def test_a_removed_pointer_leaves_the_rest_of_its_map() -> None:
    item = {
        "user": s("ann"),
        "sessionId": s("1"),
        "memory": {"M": {"bucket": s("b"), "key": s("ann/1/agent_state.json"), "at": s("t")}},
    }
    after = of("AGENT_STATE_DYNAMODB_TABLE", **item)
    assert after["memory"] == {"M": {"key": s("agentState/x1/1/agent_state.json"), "at": s("t")}}


def test_a_refused_edit_leaves_its_value_alone() -> None:
    item = {"user": s("ann"), "templateId": s("t"), "s3Key": s("ann/t.json")}
    after = rewrite(BY_KEY["WORKFLOW_TEMPLATES_TABLE"], item, IDS, ids_only.takes)
    assert after.item == {"user": s("x1"), "templateId": s("t"), "s3Key": s("ann/t.json")}
    assert after.edits == (Edit(("user",), s("ann"), s("x1")),)


# --- differences ------------------------------------------------------------------------------------------------------


def test_differences_name_the_deepest_map() -> None:
    before = {"a": {"M": {"x": s("1"), "y": s("2")}}, "n": {"N": "1.10"}, "gone": s("1")}
    after = {"a": {"M": {"x": s("1"), "y": s("3"), "z": s("4")}}, "n": {"N": "1.1"}}
    assert changes(before, after) == [
        Change(("a", "y"), s("2"), s("3")), Change(("a", "z"), None, s("4")), Change(("gone",), s("1"), None),
    ]  # fmt: skip
    assert [change.path for change in changes(before, after, depth=1)] == [("a",), ("gone",)]


# --- unknown references -----------------------------------------------------------------------------------------------


def found(config_key: str | None, item: Item, ids: Ids = IDS) -> list[tuple[str, str, str]]:
    row = BY_KEY[config_key] if config_key else None
    return [(one.path, one.kind, one.old) for one in unknown_references(row, item, Watch(ids))]


def test_an_id_at_a_path_that_no_row_names_is_reported() -> None:
    item = {"id": s("1"), "user": s("ann"), "reviewer": s("ann"), "log": {"L": [{"M": {"by": s("seen by ann today")}}]}}
    assert found("CHAT_USAGE_DYNAMO_TABLE", item) == [("reviewer", "id", "ann"), ("log[].by", "id", "ann")]


def test_what_only_contains_an_id_where_one_is_expected_whole_is_reported() -> None:
    for value in ("ann ", "ann\0", "s3://ann/x"):
        assert found("CHAT_USAGE_DYNAMO_TABLE", {"id": s("1"), "user": s(value)}) == [("user", "id", "ann")]
    assert found("CHAT_USAGE_DYNAMO_TABLE", {"id": s("1"), "user": s("ann")}) == []


def test_parts_of_words_are_no_ids() -> None:
    assert found(None, {"a": s("annual"), "b": s("susann"), "c": s("ann.smith"), "d": s("x-ann")}) == []


def test_an_id_that_differs_by_case_is_reported_apart() -> None:
    assert found("CHAT_USAGE_DYNAMO_TABLE", {"id": s("1"), "user": s("ANN@example.edu")}) == [
        ("user", "case", "ann@example.edu")
    ]


def test_an_id_with_a_blank_or_as_map_key_is_found() -> None:
    assert found(None, {"a": s("by dr who, today"), "b": {"M": {"ann": {"BOOL": True}}}, "c": {"SS": ["ann"]}}) == [
        ("a", "id", "dr who"), ("b{}", "id", "ann"), ("c[]", "id", "ann"),
    ]  # fmt: skip


def test_kept_paths_are_known() -> None:
    item = {"email": s("x1"), "tag": s("t"), "allowedSenders": {"L": [s("ann"), s("ann.*")]}}
    assert found("EMAIL_SETTINGS_DYNAMO_TABLE", item) == []


@pytest.mark.parametrize(
    "memory",
    [
        s('{"M": {"bucket": {"S": "b"}, "key": {"S": "ann/1/agent_state.json"}, "at": {"S": "t"}}}'),
        s('{"bucket": {"S": "b"}, "key": {"S": "agentState/ann/1/agent_state.json"}, "at": {"S": "t"}}'),
        s('{"bucket": "b", "key": "ann/1/agent_state.json", "at": "t"}'),
        {"M": {"M": {"M": {"key": {"M": {"S": s("ann/1/agent_state.json")}}, "at": {"M": {"S": s("t")}}}}}},
        {"M": {"bucket": {"M": {"S": s("b")}}, "key": {"M": {"S": s("ann/1/agent_state.json")}}, "at": {"M": {"S": s("t")}}}},
    ],
)  # fmt: skip
def test_memory_stored_as_typed_json_becomes_the_map_that_services_read(memory: Any) -> None:
    item = {"user": s("ann"), "sessionId": s("1"), "memory": memory}
    after = of("AGENT_STATE_DYNAMODB_TABLE", **item)
    assert after["memory"] == {"M": {"key": s("agentState/x1/1/agent_state.json"), "at": s("t")}}
    (edit,) = rewrite(BY_KEY["AGENT_STATE_DYNAMODB_TABLE"], item, IDS, pointers_only.takes).edits
    assert edit.target == ("object", "S3_CONSOLIDATION_BUCKET_NAME", "agentState/x1/1/agent_state.json")


@pytest.mark.parametrize(
    "memory",
    [s("a note"), s("[1]"), s('{"key": {"S": "eve/1/a.json"}}'), {"M": {"M": {"L": []}}}, {"NULL": True},
     s('{"key": {"S": "ann/1/a.json"}, "odd": {"X": 1}}'), {"M": {"M": {"M": {"key": {"L": [s("ann/1/a.json")]}}}}}],
)  # fmt: skip
def test_other_memory_stays_as_it_is(memory: Any) -> None:
    assert of("AGENT_STATE_DYNAMODB_TABLE", user=s("ann"), sessionId=s("1"), memory=memory)["memory"] == memory
