"""The journey's actions: each is a command that the parser takes, and the wizard starts without boto3."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from wizard.auto import main_action
from wizard.cli import build_parser
from wizard.forms import filled
from wizard.journey import Action, Step
from wizard.steps import JOURNEY

from .test_rules import READY, facts

ACTIONS = [(step, action) for step in JOURNEY.steps for action in step.actions]
NAMES = {"basic_ops_stack": "amplify-v6-lambda-basic-ops-dev", "old_user_storage": "old"}


def test_the_steps_of_the_guide_in_their_order() -> None:
    ids = ["0", "1", "2", "3", "4", "4a", "4b", "4c", "4d", "5", "V", "6a", "6b", "6b'", "6c", "6d", "7"]
    assert [step.id for step in JOURNEY.steps] == ids


@pytest.mark.parametrize(("step", "action"), ACTIONS, ids=[f"{step.id}-{action.id}" for step, action in ACTIONS])
def test_an_action_is_a_command_with_its_effect(step: Step, action: Action) -> None:
    found = facts(**{**READY, "names": NAMES, "user_data_owner": "basic-ops", "old_user_storage": {"rows": 3}})
    values = {
        name: value or {"how": "stack"}.get(name, "value") for name, value in filled(action, {}, found).items()
    } | {field.name: field.choices[-1] for field in action.fields if field.choices}
    words = shlex.split(action.command(values))
    assert words[0] == "amplify-migrate"
    arguments = build_parser().parse_args(words[1:])
    assert callable(arguments.run)
    effect = "read" if arguments.dry_run or getattr(arguments, "how", "") == "wait" else arguments.effect
    assert action.effect == effect
    if effect == "destroy" and isinstance(arguments.word, str):
        assert action.word(found) == arguments.word


def test_values_with_blanks_reach_the_command_whole() -> None:
    check = next(action for action in JOURNEY["6a"].actions if action.id == "check")
    words = shlex.split(check.command({"csv": "my map's file.csv", "pool": ""}))
    assert words == ["amplify-migrate", "users", "check", "my map's file.csv"]


def test_every_write_shows_first_what_it_would_do() -> None:
    for step, action in ACTIONS:
        if action.effect != "read" and action.id != "keep":
            preview = next(other for other in step.actions if other.id == action.preview)
            assert preview.effect == "read"


def test_ending_the_migration_says_in_numbers_what_happens_to_old_records() -> None:
    for name, words in (
        ("keep", "4,799 old records at most are marked"),
        ("apply", "4,799 old records of tables at most"),
    ):
        action = next(action for action in JOURNEY["7"].actions if action.id == name)
        assert words in " ".join(action.warning(facts(retained=4_799), {}))
    assert "No old record of a table is left" in " ".join(action.warning(facts(retained=0), {}))


def test_applying_says_which_tables_are_not_safe_yet_and_were_not_waived() -> None:
    action = JOURNEY["6c"].actions[-1]
    for missing, waived, told in ((["a", "b"], False, True), (["a", "b"], True, False), ([], False, False)):
        found = facts(safeguard={"missing": missing, "waived": waived})
        risk = "Without recovery or a backup so far (step 6b'): a, b."
        assert (risk in action.warning(found, {})) == told


def test_the_main_action_of_a_step_is_its_last_and_never_an_undo() -> None:
    for step in JOURNEY.steps:
        changing = [action for action in step.actions if action.effect != "read" and not action.undo]
        assert not changing or changing[-1] is step.actions[-1]
        assert not step.actions or main_action(list(step.actions)) is step.actions[-1]
        assert all(action.undo == ("undo" in action.label.lower()) for action in step.actions)


def test_an_undo_is_offered_after_an_apply_and_after_a_verification_once_something_is_applied() -> None:
    for step in ("6c", "6d"):
        undo = next(action for action in JOURNEY[step].actions if action.id == "rollback")
        assert (undo.preview, undo.effect) == ("rollback-dry-run", "destroy")
        assert not undo.applies(facts(plan={"counts": {"planned": 3}, "made": 0}))
        assert not undo.applies(facts(plan={"counts": {"planned": 3, "verified": 2}, "made": 0}))  # found standing
        assert undo.applies(facts(plan={"counts": {"conflict": 3}, "made": 3}))  # a verification rejected all of it


def test_the_journey_is_there_before_boto3() -> None:
    code = "import sys, wizard.steps; sys.exit('boto3' in sys.modules or 'textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
