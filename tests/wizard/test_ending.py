"""What is said when nothing is left to do, and that it is not said before."""

from __future__ import annotations

from typing import Any

import pytest

from wizard.ending import ending
from wizard.steps import JOURNEY

from .test_rules import READY, facts

NAMES = {"basic_ops_stack": "amplify-v6-lambda-basic-ops-dev", "old_user_storage": "old-user-storage"}
PLAN = {"id": 1, "changes": 0, "fresh": True}


def said(workspace: str = "~/w", **values: Any) -> str:
    found = facts(**{**READY, "names": NAMES, "buckets": {"legacy": []}, **values})
    return "\n".join(ending(JOURNEY, found, "v6/dev", workspace))


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ({"plan": {**PLAN, "counts": {"cleaned": 5}}}, "5 changes made and verified, the old records are deleted."),
        (
            {"plan": {**PLAN, "counts": {"verified": 5}}, "retained": 3, "kept": True},
            "5 changes made and verified, the old records are kept.",
        ),
        ({"plan": {**PLAN, "counts": {"verified": 1}}}, "1 change made and verified, no old record stood beside its new one."),
        ({"plan": {**PLAN, "counts": {}}}, "nothing had to be changed."),
    ],
)  # fmt: skip
def test_it_says_that_the_migration_is_finished_and_how(values: dict[str, Any], first: str) -> None:
    assert said(**values).split("\n")[0] == f"The migration of v6/dev is finished: {first}"


@pytest.mark.parametrize(
    "values",
    [{"verified_services": False}, {"retained": 3}, {"verification": {}}, {"services": {}}, {"user_data_owner": None}],
)
def test_nothing_is_said_while_a_step_is_open_or_not_known(values: dict[str, Any]) -> None:
    assert said(**values) == ""


def test_it_names_what_remains_and_where() -> None:
    counts = {"verified": 5, "kept": 2, "resolved": 1}
    told = said(
        plan={**PLAN, "counts": counts, "not_in_map": 4, "unknown_references": 2}, retained=3, kept=True,
        buckets={"legacy": ["a-bucket", "b-bucket"]}, basic_ops_stack="UPDATE_COMPLETE",
        old_user_storage={"exists": True, "rows": 0},
    )  # fmt: skip
    for words in (
        "3 old records beside the new ones", "3 items", "a-bucket, b-bucket", "amplify-v6-lambda-basic-ops-dev",
        "old-user-storage", "4 users with data who are not in the map", "2 paths", "The workspace ~/w", "rollback",
    ):  # fmt: skip
        assert words in told, words


def test_what_is_not_there_is_not_named() -> None:
    told = said(workspace="", plan={**PLAN, "counts": {"cleaned": 5}})
    for words in ("old record beside", "bucket", "stack", "not in the map", "workspace", "rollback"):
        assert words not in told, words


def test_steps_that_are_done_elsewhere_are_named() -> None:
    told = said(checkout={"root": "", "services": 0}, parameters={}, references={}, definitions={})
    assert "steps 1, 2, 3" in told and "finished" in told
