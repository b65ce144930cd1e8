"""Skips, locks and ends of the steps, over every combination of what preflight can find."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from wizard import rules
from wizard.facts import Fact, Facts
from wizard.journey import Outcome, status
from wizard.steps import JOURNEY

STACKS = ("absent", "UPDATE_COMPLETE", "DELETE_FAILED", "ROLLBACK_COMPLETE", None)
OLD_TABLES = ({"exists": False, "rows": 0}, {"exists": True, "rows": 0}, {"exists": True, "rows": 7}, None)
OWNERS = ("basic-ops", "amplify-lambda", "orphan", "nobody", "somebody-elses-stack", None)
BACKUPS = (
    {},
    {"verified": True, "rows": 7, "file": "b"},
    {"verified": True, "rows": 6, "file": "b"},
    {"verified": False, "rows": 7},
)
STEP_1 = (
    {"root": True, "missing": [], "different": [], "total": 9},
    {"root": True, "missing": ["/x"], "different": [], "total": 9},
)
STEP_2 = ({"root": True, "unresolved": []}, {"root": True, "unresolved": ["a:1"]}, {"root": False, "unresolved": []})


def facts(**values: Any) -> Facts:
    """Facts of these values; None stands for "could not be found out"."""
    return Facts(
        {name: Fact(name, "unknown" if value is None else "ok", name, "", "", value) for name, value in values.items()}
    )


UNVERIFIED = {"id": 2, "fresh": True, "changes": 0, "counts": {"applied": 2}}
READY: dict[str, Any] = {
    "deployment": 40,
    "checkout": {"root": "/x", "services": 15},
    "parameters": STEP_1[0],
    "references": STEP_2[0],
    "definitions": {"root": True, "basic_ops": [], "renamed": []},
    "waivers": [],
    "basic_ops_stack": "absent",
    "lambda_stack": "UPDATE_COMPLETE",
    "user_data_owner": "amplify-lambda",
    "old_user_storage": {"exists": False, "rows": 0},
    "new_user_storage": {"exists": True, "rows": 7},
    "consolidation": True,
    "basic_ops_tables": {"tables": [], "unsaved": []},
    "backup": {},
    "import": {},
    "services": {"object-access": "UPDATE_COMPLETE"},
    "verified_services": True,
    "quiet_logs": True,
    "user_map": {"rows": 2, "scenario": "a", "errors": 0, "file": "m.csv"},
    "plan": {"id": 1, "changes": 0, "fresh": True, "counts": {"verified": 5}},
    "safeguard": {"waived": False, "missing": []},
    "verification": {"clean": True},
    "retained": 0,
    "kept": False,
}


def state(step: str, **values: Any) -> str:
    return status(JOURNEY[step], facts(**{**READY, **values})).state


@pytest.mark.parametrize(("stack", "old", "owner"), list(itertools.product(STACKS, OLD_TABLES, OWNERS)))
def test_every_branch_of_step_4_keeps_its_locks(stack: Any, old: Any, owner: Any) -> None:
    for backup, first, second in itertools.product(BACKUPS, STEP_1, STEP_2):
        found = facts(
            **{**READY, "basic_ops_stack": stack, "old_user_storage": old, "user_data_owner": owner, "backup": backup,
               "parameters": first, "references": second, "lambda_stack": "absent", "new_user_storage": {"exists": False}}
        )  # fmt: skip
        states = {step: JOURNEY.statuses(found)[step].state for step in ("4", "4a", "4b", "4c", "4d")}
        backed_up = backup.get("verified") and backup["rows"] == 7
        rows_safe = old is not None and (old["rows"] == 0 or backed_up)
        steps_stand = not first["missing"] and second["root"] and not second["unresolved"]
        if owner is None:
            assert states["4b"] == "unknown"
        elif owner in ("nobody", "amplify-lambda"):
            assert states["4b"] == "done"
        else:
            assert states["4b"] == ("open" if rows_safe and steps_stand else "locked")
        # The lock itself, which the commands ask, never opens before the rows are safe.
        assert bool(rules.endpoint_locked(found)) == (not (rows_safe and steps_stand))
        references_stand = second["root"] and not second["unresolved"]
        assert bool(rules.lambda_locked(found)) == (not references_stand or owner not in ("nobody", "amplify-lambda"))
        assert rules.services_locked(found)  # amplify-lambda is absent
        assert states["4"] == ("unknown" if None in (stack, old, owner) else "done")
        if old is None:
            assert states["4a"] == "unknown"
        elif old["rows"] == 0:  # a table that went with its stack was backed up, or was never there
            gone = not old["exists"] and backup.get("verified")
            assert states["4a"] == ("done" if gone else "skipped")
        else:
            assert states["4a"] == ("done" if backed_up else "open")
        assert states["4d"] != "done"


@pytest.mark.parametrize("name", sorted(READY))
def test_an_unknown_fact_never_finishes_or_skips_a_step_that_looks_at_it(name: str) -> None:
    found = facts(**{**READY, name: None})
    for step in JOURNEY.steps:
        if name in step.needs:
            assert status(step, found).state == "unknown"


def test_all_is_done_when_everything_is() -> None:
    found = facts(**READY)
    assert {step.id: status(step, found).state for step in JOURNEY.steps if status(step, found).state != "done"} == {
        "4a": "skipped",
        "4d": "skipped",
    }
    assert JOURNEY.first_open(found).id == "7"


@pytest.mark.parametrize(
    ("step", "values", "expected"),
    [
        ("0", {"deployment": 0}, "open"),
        ("1", {"parameters": STEP_1[1]}, "open"),
        ("1", {"parameters": {"root": False}, "checkout": {"root": ""}},
         "skipped: not from here: it reads the files of a backend checkout; start inside it, or give --root"),
        ("2", {"references": STEP_2[1]}, "open"),
        ("3", {"definitions": {"root": True, "basic_ops": ["a.yml:3"], "renamed": []}}, "open"),
        ("3", {"definitions": {"root": True, "basic_ops": [], "renamed": ["t"]}}, "open"),
        ("3", {"definitions": {"root": True, "basic_ops": [], "renamed": ["t"]}, "waivers": ["t"]}, "done"),
        ("4a", {"basic_ops_tables": {"tables": ["t"], "unsaved": ["t"]}}, "open"),
        ("4a", {"basic_ops_tables": {"tables": ["t"], "unsaved": []}}, "done"),
        ("4c", {"consolidation": False}, "open"),
        ("4c", {"lambda_stack": "UPDATE_ROLLBACK_COMPLETE"}, "open"),
        ("4c", {"consolidation": False, "definitions": {"root": True, "renamed": ["t"]}}, "locked"),
        ("4d", {"backup": {"rows": 7}, "import": {"missing": 0}}, "done"),
        ("4d", {"backup": {"rows": 7}, "import": {"missing": 1}}, "open"),
        ("4d", {"backup": {"rows": 7}, "import": {"missing": 7}, "new_user_storage": {"exists": False}}, "locked"),
        ("4d", {"old_user_storage": {"exists": True, "rows": 7}}, "locked"),
        ("5", {"services": {"object-access": "outdated"}}, "open"),
        ("5", {"services": {}, "checkout": {"root": ""}},
         "skipped: not from here: services are deployed from a backend checkout; start inside it, or give --root"),
        ("4c", {"references": {}, "checkout": {"root": ""}, "lambda_stack": "absent"}, "skipped"),
        ("4c", {"references": {}, "checkout": {"root": ""}, "consolidation": False}, "locked"),
        ("4c", {"references": {}, "checkout": None, "lambda_stack": "absent"}, "locked"),
        ("5", {"services": {}, "lambda_stack": "ROLLBACK_COMPLETE"}, "locked"),
        ("V", {"verified_services": False}, "open"),
        ("V", {"tried": ["login", "upload"]},
         "done: nothing wrong was found since the last deployment; of 6 tries by hand 4 are not ticked"),
        ("6a", {"user_map": {}}, "open"),
        ("6a", {"user_map": {"rows": 2, "errors": 1}}, "open"),
        ("6b", {"plan": {}, "user_map": {}}, "locked"),
        ("6b", {"plan": {"id": 1, "fresh": False}}, "open"),
        ("6b'", {"plan": {"id": 1, "fresh": True, "changes": 2}, "safeguard": {"waived": False, "missing": ["t"]}}, "open"),
        ("6b'", {"plan": {"id": 1, "fresh": True, "changes": 2}, "safeguard": {"waived": True, "missing": ["t"]}}, "done"),
        ("6c", {"plan": {}}, "locked"),
        ("6c", {"plan": {"id": 1, "fresh": True, "changes": 2, "counts": {"planned": 2}}}, "open"),
        ("6c", {"plan": {"id": 1, "fresh": False, "changes": 2, "counts": {"planned": 2}}},
         "locked: the plan is older than the user map; plan again (step 6b)"),
        ("6c", {"plan": {"id": 1, "fresh": False, "undone": True, "changes": 0, "made": 3}},
         "locked: a rollback of the plan began: undo the rest, or plan again (step 6b)"),
        ("6d", {"plan": {"id": 1, "fresh": False, "undone": True, "changes": 0, "made": 0}},
         "locked: the plan was rolled back; plan again (step 6b)"),
        ("6c", {"plan": {"id": 1, "fresh": True, "changes": 2, "counts": {"planned": 2}}, "consolidation": False}, "locked"),
        ("6c", {"plan": {"id": 1, "fresh": True, "changes": 1, "counts": {"conflict": 1}}}, "open"),
        ("6d", {"plan": {"id": 1, "fresh": True, "changes": 2, "counts": {"planned": 2}}}, "locked"),
        ("6d", {"plan": UNVERIFIED, "verification": {"clean": False}}, "open"),
        ("7", {"plan": UNVERIFIED, "verification": {"clean": False}}, "locked"),
        ("7", {"retained": 3}, "open"),
        ("7", {"retained": 3, "kept": True}, "done: the old records are kept"),
        ("7", {"retained": 0, "kept": True}, "done: nothing retained is left"),
        ("7", {"retained": 3, "kept": True, "plan": UNVERIFIED, "verification": {"clean": False}}, "locked"),
    ],
)  # fmt: skip
def test_steps(step: str, values: dict[str, Any], expected: str) -> None:
    wanted, _, why = expected.partition(": ")
    found = status(JOURNEY[step], facts(**{**READY, **values}))
    assert found.state == wanted and (not why or found.why == why)


def test_every_action_can_be_shown_as_a_command() -> None:
    for step in JOURNEY.steps:
        assert step.guidance and step.title
        for action in step.actions:
            values = {field.name: "x y" for field in action.fields}
            assert action.command(values).startswith("amplify-migrate ")
            assert not action.preview or any(other.id == action.preview for other in step.actions)
            if action.effect == "destroy":
                assert action.word(facts(names={"basic_ops_stack": "amplify-v6-lambda-basic-ops-dev"}))


def test_a_map_that_was_made_is_offered_to_be_checked() -> None:
    makers = {action.id: action for action in JOURNEY["6a"].actions}
    for name in ("same", "sub"):
        assert makers[name].offers(Outcome(0, "", {"output": "m.csv"})) == {"csv": "m.csv"}
        assert makers[name].offers(Outcome(2, "refused")) == {}


def test_the_cleanup_ticks_what_can_be_checked_and_nothing_else() -> None:
    apply = next(action for action in JOURNEY["7"].actions if action.id == "apply")
    ticked = {field.name for field in apply.fields if field.default(facts(**READY)) == "yes"}
    assert ticked == {"deployed", "quiet", "backups"}
    outdated = facts(**{**READY, "services": {"object-access": "outdated"}})
    assert {field.name for field in apply.fields if field.default(outdated) == "yes"} == {"quiet", "backups"}


def test_freeing_by_the_resource_alone_does_not_speak_of_lost_tables() -> None:
    free = next(action for action in JOURNEY["4b"].actions if action.id == "free")
    doomed = facts(
        **{**READY, "basic_ops_tables": {"tables": ["t-user-storage"], "unsaved": []}, "lambda_deployment": 600}
    )
    assert any("t-user-storage" in line for line in free.warning(doomed, {"how": "stack"}))
    told = " ".join(free.warning(doomed, {"how": "resource"}))
    assert "t-user-storage" not in told and "about 12 minutes" in told


def test_a_deployment_says_how_long_it_takes_and_what_users_notice() -> None:
    deploy = {step: next(one for one in JOURNEY[step].actions if one.id == "deploy") for step in ("4c", "5")}
    freed = facts(**{**READY, "lambda_deployment": 600, "user_data_owner": "nobody"})
    told = " ".join(deploy["4c"].warning(freed, {}))
    assert "about 12 minutes" in told and "settings, shares and workflows do not work until it is done" in told
    again = " ".join(deploy["4c"].warning(facts(**{**READY, "user_data_owner": "amplify-lambda"}), {}))
    assert "5 to 15 minutes" in again and "do not work" not in again
    assert "minutes each" in " ".join(deploy["5"].warning(freed, {}))


def test_freeing_with_serverless_names_the_old_checkout() -> None:
    free = next(action for action in JOURNEY["4b"].actions if action.id == "free")
    told = free.command({"how": "serverless", "old": "/old"})
    assert told.endswith("endpoint free --how serverless --old-root /old")  # --root is what is deployed from afterwards
    assert free.command({"how": "stack", "old": "/old"}).endswith("endpoint free --how stack")
