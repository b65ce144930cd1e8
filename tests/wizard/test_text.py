"""Text for people: wrapped between words, and what is to be copied stays whole."""

from __future__ import annotations

import pytest

from wizard.text import plain, total, without_secrets, wrapped


def test_prose_is_wrapped_between_words_and_names_stay_whole() -> None:
    told = wrapped("  deleted: amplify-v6-lambda-basic-ops-dev-user-storage and more", 40, hang=2)
    assert told.split("\n") == ["  deleted:", "    amplify-v6-lambda-basic-ops-dev-user-storage", "    and more"]


def test_what_is_to_be_copied_stays_on_one_line() -> None:
    command = "amplify-migrate storage import /a/long/path --csv-file /another/path"
    for line in (
        f"     $ {command}",
        f"09:01:02 $ {command}",
        f"    {command}",
        "    (cd some-service && serverless deploy)",
    ):
        assert wrapped(line, 20) == line
    assert "`amplify-migrate backup create`" in wrapped("Run `amplify-migrate backup create` before you go on.", 30)


def test_the_sum_of_a_text_is_its_last_line_if_that_is_a_sentence() -> None:
    assert total("+ one\n+ two\nDry run: 2 create.") == "Dry run: 2 create."
    assert total("Dry run: 2 create.") == total("deleted:\n  4 in a table") == ""


@pytest.mark.parametrize(
    "address",
    [
        *(
            "postgres://u:s3kr1t@h/x",
            "https://u:pa/s3kr1t@h/x",
            "https://u:p@/s3kr1t#@h",
            "https://s3kr1t@github.com/x",
        ),
        *("https://u:s3kr1t@127.0.0.1:4566/b", "'https://u:it's-s3kr1t@h'", "redis://:s3kr1t@h"),
    ],
)
def test_what_stands_before_the_host_of_an_address_is_never_shown(address: str) -> None:
    assert "s3kr1t" not in plain(f"see {address} now") and "://(hidden)@" in plain(address)


@pytest.mark.parametrize(
    "said",
    [
        *("password=s3kr1t", '{"apiKey": "s3kr1t"}', "Authorization: Bearer s3kr1t", "two: bearer s3kr1t"),
        *('{"Authorization": "Basic s3kr1t"}', r"{\"apiKey\": \"s3kr1t\"}", "Authorization: Token s3kr1t"),
        *("password='two s3kr1t'", '{"password": "a\\"s3kr1t"}', "password=a,b&s3kr1t)", "DB_PASSWORD=  TOKEN: s3kr1t"),
        *("aws_secret_access_key = s3kr1t", "-H 'x-api-key: s3kr1t'", "set-cookie: id=s3kr1t", "passphrase: s3kr1t"),
        *("sk-proj-s3kr1t", "a key -----BEGIN RSA PRIVATE KEY-----\ns3kr1t\n", "xoxb-s3kr1t", "token='s3kr1t"),
        *("eyJhbGciOiJI.s3kr1t.x", "https://hooks.slack.com/services/s3kr1t", f"ghp_s3kr1t{'0' * 30}"),
    ],
)
def test_what_looks_like_a_secret_in_the_words_of_another_program_is_not_repeated(said: str) -> None:
    assert "s3kr1t" not in without_secrets(f"failed: {said}")


@pytest.mark.parametrize(
    "said",
    [
        *(
            "s3://bucket/jane@example.edu/x",
            "http://127.0.0.1:4566/b/jane@example.edu",
            "http://[::1]:9/b/jane@example.edu",
        ),
        *(
            "https://example.edu/a@b",
            "ExpiredToken: The token has expired",
            "KeyError: 'OPENAI_API_KEY'",
            "No module 'sk-x'",
        ),
        "not authorized to perform: secretsmanager:GetSecretValue on arn:aws:secretsmanager:us-east-1:123456789012:secret:x",
    ],
)
def test_what_is_no_secret_is_told(said: str) -> None:
    assert without_secrets(said) == said


def test_hostile_text_is_searched_in_reasonable_time() -> None:
    for part in ("://", "://a:", "sk-", 'token="', "-----BEGIN A-----", "eyJaaaaaaaa"):
        without_secrets(part * 20_000)  # hours, if every beginning were followed to the end
