"""What a plan gives to think about."""

from __future__ import annotations

from typing import Any

from wizard.second_look import per_table, stop_and_think


def summary(**changed: Any) -> dict[str, Any]:
    """A plan of which nothing is unusual."""
    return {
        "users": {"in_map": 4, "with_changes": 4, "without_data": []},
        "not_in_map": {"count": 0, "examples": []},
        "new_ids_in_use": {"count": 0, "examples": []},
        "largest_share": [{"user": "ada@example.edu", "changes": 6, "share": 0.3}],
        "tables": [
            {"place": "amplify-v6-lambda-dev-accounts", "planned": 4},
            {"place": "amplify-v6-lambda-dev-files", "planned": 10, "conflict": 1},
            {"place": "amplify-v6-lambda-dev-tags", "kept": 1},
        ],
        "unknown_references": [],
        "findings": [{"level": "note", "place": "files", "text": "absent", "todo": ""}],
        "blocked": 0,
        "kept": 0,
        **changed,
    }


def unusual(**changed: Any) -> list[str]:
    return [line for line in stop_and_think(summary(**changed)) if line.startswith("!")]


def test_a_plain_plan_has_counts_and_nothing_unusual() -> None:
    assert stop_and_think(summary()) == [
        "Users: 4 in the map, 4 with changes",
        "Largest shares of the changes: ada@example.edu 30%",
    ]


def test_it_is_said_why_changes_of_a_plan_are_verified_before_anything_was_applied() -> None:
    tables = [{"place": "amplify-v6-lambda-dev-accounts", "planned": 4, "verified": 1}, {"place": "x", "verified": 12}]
    assert stop_and_think(summary(tables=tables))[1] == (
        "Verified already: 13. Nothing is to do for them: what they would make was found in the account"
    )


def test_users_without_a_row_are_named_and_the_rest_counted() -> None:
    without = [f"user{number}@example.edu" for number in range(7)]
    (line,) = unusual(users={"in_map": 11, "with_changes": 4, "without_data": without})
    assert "7 users of the map without any data: user0@example.edu" in line
    assert "user4@example.edu and 2 more" in line
    assert "user5" not in line


def test_a_share_of_more_than_half_is_unusual_among_several_users_only() -> None:
    share = [{"user": "ada@example.edu", "changes": 9, "share": 0.9}]
    assert unusual(largest_share=share) == ["! Largest shares of the changes: ada@example.edu 90%. Is that likely?"]
    assert not unusual(largest_share=share, users={"in_map": 2, "with_changes": 2, "without_data": []})


def test_everything_that_stays_as_it_is_is_told() -> None:
    reference = {"place": "notes", "path": "by", "kind": "id", "count": 1200, "example": "ada@example.edu"}
    lines = unusual(
        not_in_map={"count": 2, "examples": ["eve@example.edu", "\x1b[31mmallory"]},
        new_ids_in_use={"count": 30, "examples": [f"user{number}" for number in range(20)]},
        unknown_references=[reference],
        blocked=1,
        kept=3,
        findings=[{"level": "attention", "place": "files", "text": "no recovery", "todo": "Switch it on."}],
    )
    assert [line.split(":")[0] for line in lines] == [
        "! 2 with data are not in the map and stay as they are",
        "! 30 new ids with data already, which the old id's data will join",
        "! 1 change cannot be made; see `migrate show --state failed`",
        "! Left as they are, as another one stands or goes where they would",
        "! unknown reference",
        "! attention",
    ]
    assert "\x1b" not in "".join(lines)
    assert "user4 and 25 more. Does each belong to the same person?" in lines[1]
    assert "notes by holds an old id, which stays: 1,200 times" in lines[4]


def test_tables_are_counted_against_users() -> None:
    assert per_table(summary()) == [
        "4 in amplify-v6-lambda-dev-accounts (1.0 per user)",
        "10 in amplify-v6-lambda-dev-files (2.5 per user)",
    ]
