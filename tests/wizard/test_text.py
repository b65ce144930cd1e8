"""Text for people: wrapped between words, and what is to be copied stays whole."""

from __future__ import annotations

from wizard.text import total, wrapped


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
