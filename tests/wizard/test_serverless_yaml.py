"""Reading one serverless.yml: the section, what it reads, its names, and texts that are no such file."""

from __future__ import annotations

import traceback

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.wizard.checkout_fixture import ADMIN, AGENT, EMBEDDING, JS, LAMBDA, section
from wizard.errors import BadInput
from wizard.serverless_variables import Unanswered
from wizard.serverless_yaml import Answers, ServerlessFile, read_variables
from wizard.yaml_nodes import compose, pairs, repeated

ANSWERS = Answers("v6", "dev", "us-east-1", {"DEP_NAME": "v6", "DEP_REGION": "us-east-1", "VPC_ID": "vpc-1"})


def file(text: str, **known: str) -> ServerlessFile:
    return ServerlessFile(text, "x/serverless.yml", ANSWERS).answered(known)


def values(text: str) -> dict[str, str]:
    return {variable.name: variable.text for variable in file(text).variables}


def test_section_has_names_and_values_as_yaml_reads_them() -> None:
    found = file(LAMBDA)
    assert {variable.name: found.expand(variable.text) for variable in found.variables} == {
        "ACCOUNTS_DYNAMO_TABLE": "amplify-v6-lambda-dev-accounts",
        "CHAT_USAGE_DYNAMO_TABLE": "amplify-v6-lambda-dev-chat-usage",
        "HASH_IN_VALUE": "a#b",
        "QUOTED": "it's # quoted",
        "FOLDED": "one two",
        "FLAG": "true",
        "PORT": "5432",
        "PREFIXED": "amplify-v6",
        "TWICE": "second",
    }


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (JS, ["COST_CALCULATIONS_DYNAMO_TABLE", "REQUEST_STATE_DYNAMO_TABLE"]),  # ended by a bare #
        (ADMIN, ["AMPLIFY_ADMIN_DYNAMODB_TABLE", "CRITICAL_ERRORS_SNS_TOPIC_ARN", "TOPIC_BY_LONG_FORM"]),  # by indent
        (AGENT, ["AGENT_STATE_DYNAMODB_TABLE", "AGENT_FAT_CONTAINER_URL"]),  # by another comment about Variables
        (EMBEDDING, ["RAG_POSTGRES_DB_CLUSTER"]),  # by its mark, in a file with tags nobody knows
        ("service: x\nprovider:\n  environment:\n    A: b\n", []),  # no section
        ("a:\n    # Locally Defined Variables\n    # Imported Variables\n    B: c\n", []),  # an empty one
        ("a: 1\n# Locally Defined Variables", []),  # a mark at the end
    ],
)
def test_section_ends_where_the_next_thing_begins(text: str, names: list[str]) -> None:
    assert list(values(text)) == names


def test_marks_within_a_block_of_text_are_text() -> None:
    text = section("A: |", "  # Imported Variables", "  # Locally Defined Variables", "B: x")
    assert values(text) == {"A": "# Imported Variables\n# Locally Defined Variables\n", "B": "x"}


def test_windows_line_ends_change_nothing() -> None:
    assert values(LAMBDA.replace("\n", "\r\n")) == values(LAMBDA)


def test_tabs_before_a_comment_and_on_an_empty_line_are_nothing() -> None:
    tabbed = LAMBDA.replace("    # another comment", "\t # another comment").replace(
        "   # a trailing", "\t# a trailing"
    )
    assert "\t #" in tabbed and "\t# a" in tabbed
    assert values(tabbed.replace("\n\n", "\n \t\n")) == values(LAMBDA)
    with pytest.raises(BadInput, match="yml:5 is not YAML: a tab stands where YAML wants spaces"):
        file(section("A: b").replace("    A", "\tA").replace("    #", "#", 1))


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
@pytest.mark.parametrize("value", ["*s3kr1t", "!s3kr1t!x y", "'s3kr1t' s3kr1t", "s3kr1t: s3kr1t", "@s3kr1t", "{s3kr1t"])
def test_what_stands_in_a_line_that_is_no_yaml_is_not_repeated(
    loader: type, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wizard.yaml_nodes._LOADER", loader)
    with pytest.raises(BadInput, match=r"var\.yml:[34] is not YAML: ") as caught:
        compose(f"a: b\nc: d\nDB_PASSWORD: {value}\n", "var.yml")
    assert "s3kr1t" not in "".join(traceback.format_exception(caught.value))


def test_what_cloudformation_alone_knows_is_skipped_with_its_reason() -> None:
    reasons = {variable.name: variable.skipped for variable in file(ADMIN).variables}
    assert "!Ref" in reasons["CRITICAL_ERRORS_SNS_TOPIC_ARN"]
    assert "Fn::GetAtt" in reasons["TOPIC_BY_LONG_FORM"]
    assert reasons["AMPLIFY_ADMIN_DYNAMODB_TABLE"] == ""


def test_aliased_values_and_merged_keys() -> None:
    text = section("A: &a one", "B: *a", "<<: {C: merged}", after="D: ${self:provider.environment.C}")
    found = file(text)
    assert {variable.name: variable.text for variable in found.variables if not variable.skipped} == {
        "A": "one",
        "B": "one",
    }
    assert found.expand("${self:provider.environment.D}") == "merged"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${self:service}", "amplify-v6-lambda"),
        ("${self:custom.stageVars.DEP_NAME}", "v6"),
        ("${self:custom.stageVars.VPC_ID}", "vpc-1"),
        ("${file(../var/${sls:stage}-var.yml):VPC_ID}", "vpc-1"),
        ("${self:provider.stage}", "dev"),
        ("${opt:stage, 'prod'}", "dev"),
        ("${self:custom.none, 'a, b'}", "a, b"),
        ("${self:custom.none, ${self:custom.depName}}", "v6"),
        ("${self:custom.none, ${self:custom.none, true}}", "true"),
        ("${self:custom.none, ''}", ""),
        ("${env:NOBODY, 5}", "5"),
        ("${self:custom.${self:custom.none, 'depName'}}", "v6"),
        ("${aws:region}", "us-east-1"),
        ("${self:provider.iam.role.statements.0.Effect}", "Allow"),
        ("${cf:stack.Out}", "url"),
        ("${cf(us-east-1):stack.Out}", "url"),
        ("no variable $ { }", "no variable $ { }"),
    ],
)
def test_variables_that_have_an_answer(text: str, expected: str) -> None:
    assert file(LAMBDA, **{"cf:stack.Out": "url"}).expand(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "${self:custom.none}",
        "${opt:other}",
        "${cf:other.Out}",
        "${cf(eu-west-1):stack.Out}",
        "${AWS::Region}",
        "${self:custom.stageVars}",
        "${self:provider}",
        "${self:provider.iam.role.statements.1.Effect}",
        "${self:provider.iam.role.statements.-1.Effect}",
        "${Logical}",
        "${}",
    ],
)
def test_variables_that_have_none(text: str) -> None:
    with pytest.raises(Unanswered):
        file(LAMBDA, **{"cf:stack.Out": "url"}).expand(text)


@pytest.mark.parametrize(
    "custom",
    [
        "a: ${self:custom.a}",
        "a: ${self:custom.b}\n  b: ${self:custom.a}",
        "a: ${self:custom.a.a}",
        "a: ${self:custom.b.c}\n  b: ${self:custom.b}",
        "a: ${self:custom.a}${self:custom.a}",
        "\n  ".join(["a: ${self:custom.a0}${self:custom.a0}"]
                    + [f"a{n}: ${{self:custom.a{n + 1}}}${{self:custom.a{n + 1}}}" for n in range(60)] + ["a60: x"]),
    ],
)  # fmt: skip
def test_definitions_that_lead_to_themselves_or_multiply_end(custom: str) -> None:
    with pytest.raises(Unanswered):
        file(f"custom:\n  {custom}\n").expand("${self:custom.a}")


def test_references_have_place_default_and_what_makes_them_needless() -> None:
    text = section(after="X: a ${ssm:/one, ${ssm:/two}} b ${ssm:/three/${self:service}, 'd'} ${ssm:/${self:no}/four}")
    found = [(one.address, one.line, one.default, one.unless, bool(one.unresolved)) for one in file(text).references()]
    assert found == [
        ("/one", 6, "${ssm:/two}", (), False),
        ("/two", 6, None, ("/one",), False),
        ("/three/amplify-v6-lambda", 6, "'d'", (), False),
        ("ssm:/${self:no}/four", 6, None, (), True),
    ]


def test_references_in_comments_are_none() -> None:
    assert not any("COMMENTED_OUT" in reference.address for reference in file(LAMBDA).references())


def test_a_reference_in_another_region_is_not_taken_for_one_here() -> None:
    (found,) = file(section(after="X: ${ssm(eu-west-1):/a}")).references()
    assert "eu-west-1" in found.unresolved


def test_service_stack_and_tables() -> None:
    found = file(LAMBDA)
    assert (found.service, found.stack) == ("amplify-v6-lambda", "amplify-v6-lambda-dev")
    assert {table.logical_id: table.name for table in found.tables()} == {
        "AccountingChatUsageDynamoDbTable": "amplify-v6-lambda-dev-chat-usage",
        "AccountsTable": "amplify-v6-lambda-dev-accounts",
    }
    assert file(JS).service == "amplify-v6-amplify-js"  # `service:` as a mapping with a name
    assert file("service: a\nprovider: {stackName: other}\n").stack == "other"


def test_tables_of_a_list_of_resources_and_names_left_to_cloudformation() -> None:
    text = """\
service: a
resources:
  - Resources: {One: {Type: 'AWS::DynamoDB::Table', UpdateReplacePolicy: Retain, Properties: {TableName: one}}}
  - Resources: {Two: {Type: 'AWS::DynamoDB::Table', Properties: {TableName: !Sub 'x'}}, B: {Type: 'AWS::S3::Bucket'}}
"""
    one, two = file(text).tables()
    assert (one.name, one.retained, two.name, bool(two.unresolved)) == ("one", True, "", True)


def test_var_file_values_are_texts() -> None:
    text = "A: true\nB: 012345678901\nC: 1.10\nD:\nE: 2024-02-15\nF: yes\nG: 'False'\nH: [1]\nI: ~\n"
    assert read_variables(text, "var/dev-var.yml") == (
        {"A": "true", "B": "012345678901", "C": "1.10", "D": "", "E": "2024-02-15", "F": "yes", "G": "False", "I": ""},
        ["H"],
    )


@pytest.mark.parametrize(
    "text",
    ["", "just text", "- a\n- b", "a: [", "a: b: c", "\tx: y", "a: *nobody", "a: 1\n---\nb: 2\n", "[" * 5000, "a: \x00",
     "{a: " * 200 + "}" * 200, "a: " + "x" * 1_000_001, "%YAML 9.9\n---\na: b", "a: !!binary x\n? [b]\n: c\n- d"],
)  # fmt: skip
def test_what_is_no_serverless_yml_is_named(text: str) -> None:
    with pytest.raises(BadInput, match=r"x/serverless\.yml"):
        file(text)


def test_a_bomb_of_aliases_is_never_expanded() -> None:
    levels = "".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    found = file(
        f"service: a\ncustom:\n  l0: &l0 [x, x]\n{levels}{section('A: b')[len('service: amplify-v6-lambda') :]}"
    )
    assert [variable.name for variable in found.variables] == ["A"]
    assert found.references() == []


def test_an_alias_to_its_own_parent_ends() -> None:
    found = file("service: a\ncustom: &a\n  b: *a\n  c: ${ssm:/x}\n  <<: *a\n")
    assert [one.address for one in found.references()] == ["/x"]
    with pytest.raises(Unanswered):
        found.expand("${self:custom.b.b.b.none}")


fragments = st.sampled_from(
    ["${", "}", "self:", "custom.", "a", "ssm:/x", ", ", "'", "(", ")", ":", "\n", "  ", "    ", "- ", "&a ", "*a", "!Ref ",
     "# Locally Defined Variables\n", "# Imported Variables\n", "#\n", "|\n", ">", '"', "service", "<<: ", "{", "[", "]", "\t",
     "\x85", "\u2028", "\ud800", "\x00", "é", "provider:\n", "environment: ", "region: ", "resources: {Resources: {T: ",
     "{Type: 'AWS::DynamoDB::Table', Properties: {TableName: x, KeySchema: ", "KeyType: HASH", "}}}}", "functions: {f: ", ".0"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=300), st.lists(fragments, max_size=60).map("".join)))
@example("service: ${self:service}")
@example("? ${ssm:/a}\n: b")
@settings(max_examples=300)
def test_any_text_gives_a_file_or_one_clean_complaint(text: str) -> None:
    try:
        found = file(text)
    except BadInput as error:
        assert "x/serverless.yml" in str(error)
        return
    assert isinstance(found.service + found.stack, str)
    assert all(reference.line > 0 for reference in found.references())
    assert all(table.line > 0 for table in found.tables())
    assert all(isinstance(name, str) for name in found.environment("f") | {found.region})
    assert len(repeated(found.root)) <= len(text)
    for variable in found.variables:
        try:
            found.expand(variable.text)
        except Unanswered:
            continue


@given(st.lists(fragments, max_size=40).map("".join))
@settings(max_examples=300)
def test_any_value_expands_or_says_what_has_no_answer(text: str) -> None:
    try:
        assert isinstance(file(LAMBDA).expand(text), str)
    except Unanswered as error:
        assert str(error)


def test_more_variables_than_an_environment_holds_are_no_service() -> None:
    text = section(*(f"K{number}: v" for number in range(1001)))
    with pytest.raises(BadInput, match=r"x/serverless\.yml:\d+ begins 1,001 locally defined variables"):
        file(text)


def test_a_mapping_is_not_gone_through_again_for_each_variable_that_reads_it() -> None:
    found = file("custom:\n  a: b\n" + "".join(f"  k{number}: ${{ssm:/${{self:custom.a}}}}\n" for number in range(99)))
    pairs.cache_clear()
    assert {one.address for one in found.references()} == {"/b"}
    assert pairs.cache_info().misses == 2  # the root and custom
