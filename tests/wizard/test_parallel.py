"""Partition tasks side by side: results as they finish, bounded work in flight, nothing lost when something fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from wizard.errors import Interrupted
from wizard.events import Control
from wizard.parallel import each


def test_every_task_gives_its_result() -> None:
    found = dict(each(lambda task: task * task, range(50), workers=4, control=Control()))
    assert found == {task: task * task for task in range(50)}


def test_nothing_is_done_for_no_tasks() -> None:
    assert list(each(str, [], workers=4, control=Control())) == []


def test_tasks_are_drawn_as_they_are_needed() -> None:
    drawn: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(1_000):
            drawn.append(number)
            yield number

    results = each(str, tasks(), workers=3, control=Control())
    next(results)
    assert len(drawn) <= 2 * 3 + 2
    results.close()  # type: ignore[attr-defined]
    assert len(drawn) < 20


def test_they_run_side_by_side() -> None:
    barrier = threading.Barrier(4, timeout=10)
    assert len(list(each(lambda _: barrier.wait(), range(4), workers=4, control=Control()))) == 4


def test_what_a_result_leads_to_is_done_too() -> None:
    pages = each(
        lambda page: page, [0, 100], workers=2, control=Control(),
        follow=lambda task, result: [task + 1] if task % 100 < 5 else [],
    )  # fmt: skip
    assert sorted(task for task, _ in pages) == [*range(6), *range(100, 106)]


def test_an_exception_comes_after_the_results_of_what_was_in_flight() -> None:
    started, go = threading.Semaphore(0), threading.Event()

    def work(task: int) -> int:
        if task == 0:
            for _ in range(2):
                started.acquire(timeout=10)
            raise ValueError("zero")
        started.release()
        go.wait(0.05)
        return task

    seen = []
    with pytest.raises(ValueError, match="zero"):
        for task, _ in each(work, range(1_000), workers=3, control=Control()):
            seen.append(task)
    assert {1, 2} <= set(seen)
    assert len(seen) < 100, "no new task is begun after a failure"


def test_a_cancel_ends_it_with_the_results_in_flight() -> None:
    control, seen = Control(), []

    def work(task: int) -> int:
        if task == 5:
            control.cancel()
        return task

    with pytest.raises(Interrupted):
        for task, _ in each(work, range(1_000), workers=2, control=control):
            seen.append(task)
    assert 5 in seen
    assert len(seen) < 50


def test_tasks_run_side_by_side() -> None:
    together = threading.Barrier(8)  # is passed only when all eight are in it at once
    list(each(lambda _: together.wait(60), range(8), workers=8, control=Control()))
