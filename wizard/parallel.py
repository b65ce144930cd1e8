"""Runs partition tasks side by side. Tasks are plain values, results come back as they finish, memory stays flat."""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from wizard.events import Control

Task = TypeVar("Task")
Result = TypeVar("Result")


def waves(tasks: Iterable[Task], places: Callable[[Task], Collection[Hashable]]) -> Iterator[list[Task]]:
    """Tasks that may run side by side, in order: of two that meet in one place the later one is of a later wave."""
    wave: list[Task] = []
    taken: set[Hashable] = set()
    for task in tasks:
        where = places(task)
        if not taken.isdisjoint(where):
            yield wave
            wave, taken = [], set()
        wave.append(task)
        taken.update(where)
    if wave:
        yield wave


def each(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    control: Control,
    follow: Callable[[Task, Result], Iterable[Task]] = lambda task, result: (),
) -> Iterator[tuple[Task, Result]]:
    """Yield (task, result) as tasks finish, with at most two tasks per worker in flight.

    `follow` gives the tasks that a result leads to, the next page of a scan for one; they go first.

    An exception of a task is raised here after the tasks in flight have ended and their results were yielded, so that
    the coordinator records everything that was done. A cancel takes no new task and raises Interrupted at the end.
    """
    source = iter(tasks)
    followers: collections.deque[Task] = collections.deque()
    failure: BaseException | None = None
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="worker") as pool:
        running: dict[Future[Result], Task] = {}
        exhausted = False
        try:
            while True:
                while failure is None and not control.cancelled and len(running) < 2 * workers:
                    if followers:
                        task = followers.popleft()
                    elif exhausted:
                        break
                    else:
                        try:
                            task = next(source)
                        except StopIteration:
                            exhausted = True
                            continue
                    running[pool.submit(function, task)] = task
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    task = running.pop(future)
                    error = future.exception()
                    if error is None:
                        followers.extend(follow(task, future.result()))
                        yield task, future.result()
                    elif failure is None:
                        failure = error
        finally:
            for future in running:
                future.cancel()
    if failure is not None:
        raise failure
    control.check()
