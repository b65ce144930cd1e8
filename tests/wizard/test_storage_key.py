"""The spellings of user storage keys."""

import re

from hypothesis import given
from hypothesis import strategies as st

from wizard.storage_key import dashed, plain_key, sanitise_app, sanitise_user


def test_an_email_keeps_all_its_characters_first_and_loses_them_inside_the_app() -> None:
    assert sanitise_user("jane.doe_x-1@example.edu") == "jane.doe_x-1@example.edu"
    assert dashed("jane.doe_x-1@example.edu") == "jane-doe-x-1-example-edu"


def test_each_character_outside_the_alphabet_becomes_one_dash() -> None:
    assert sanitise_user("o'neil+a b#é@example.edu") == "o-neil-a-b--@example.edu"
    assert sanitise_app("{user}#amplify_work.flows") == "-user--amplify-work-flows"


def test_plain_key_with_and_without_entity_type() -> None:
    assert plain_key("doej1", "amplify-workflows", "workflow-templates") == "doej1#amplify-workflows#workflow-templates"
    assert plain_key("o'neil@example.edu", "amplify-shares") == "o-neil@example.edu#amplify-shares"


@given(st.text())
def test_sanitising_keeps_the_length_and_is_done_once(text: str) -> None:
    for sanitise, alphabet in ((sanitise_user, r"[A-Za-z0-9@._-]*"), (sanitise_app, r"[A-Za-z0-9-]*")):
        once = sanitise(text)
        assert len(once) == len(text)
        assert re.fullmatch(alphabet, once)
        assert sanitise(once) == once
