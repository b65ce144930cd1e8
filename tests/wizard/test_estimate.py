"""How long an apply is said to take: from what was measured, never from a constant."""

from __future__ import annotations

from typing import Any

import pytest

from wizard.estimate import duration, of_apply


def run(step: str, seconds: float, **detail: Any) -> dict[str, Any]:
    return {"step": step, "started": 100.0, "ended": 100.0 + seconds, "detail": detail}


PLAN = run("6b", 10, costs={"requests": {"Scan": 150, "ListObjectsV2": 50}})
APPLY = run("6c", 20, done=1_000, costs={"requests": {"PutItem": 1_000}, "write_units": 5_000.0})


def test_the_last_apply_is_the_measure() -> None:
    guess = of_apply([PLAN, run("6c", 1, done=800), APPLY], {"item": 3_000})
    assert guess["seconds"] == pytest.approx(60) and "50 a second" in guess["basis"]
    assert guess["dollars"] == pytest.approx(3_000 * (5 * 0.625e-6 + 0.125e-6))


def test_before_any_apply_the_requests_of_the_plan_are() -> None:
    guess = of_apply([PLAN], {"item": 1_000, "object": 1_000})
    assert guess["seconds"] == pytest.approx(2_000 / 10) and "20 requests a second" in guess["basis"]
    assert guess["dollars"] > 1_000 * 5.4e-6


def test_a_run_that_hardly_did_anything_measures_nothing() -> None:
    assert (
        of_apply([run("6b", 1, costs={"requests": {"Scan": 3}}), run("6c", 9, done=2)], {"item": 9})["seconds"] is None
    )


def test_a_bound_on_write_units_is_the_measure_where_it_is_slower() -> None:
    guess = of_apply([APPLY], {"item": 3_000, "object": 500}, max_write_units=10)
    assert guess["seconds"] == pytest.approx(3_000 * 5 / 10) and "--max-write-units 10" in guess["basis"]
    assert of_apply([], {"item": 1_000}, max_write_units=10)["seconds"] == pytest.approx(300)
    assert of_apply([APPLY], {"item": 3_000}, max_write_units=1_000)["seconds"] == pytest.approx(60)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "less than a minute"),
        (50, "about 1 minute"),
        (600, "about 12 minutes"),
        (6_000, "about 2 hours"),
    ],
)
def test_durations_are_round_and_rather_long(seconds: float, words: str) -> None:
    assert duration(seconds) == words
