"""Running work as ordinary lines."""

from __future__ import annotations

from pathlib import Path

from tests.screens.stage import session_in
from wizard.events import Finding, Progress
from wizard.follow import Follower, progress_line


def test_small_tasks_are_not_told_and_a_long_one_is_told_to_its_end(tmp_path: Path) -> None:
    session, told, found = session_in(tmp_path), [], []
    follower = Follower(session, told.append, lambda question: True, found.append)
    session.feed.emit(Progress("large", 10, 500))
    follower.drain()
    for number in range(50):
        session.feed.emit(Progress(f"small {number}", 3, 3))
    session.feed.emit(Progress("large", 20, 500))
    session.feed.emit(Finding("note", "somewhere", "something"))
    follower.drain()
    session.feed.emit(Progress("large", 500, 500))
    follower.drain()
    assert told == ["large: 10 of 500 items", "large: 500 of 500 items"]
    assert [one.text for one in found] == ["something"]
    assert (
        progress_line(Progress("/path", 0, unit="", phase="waiting; a stack owns it"))
        == "/path: waiting; a stack owns it"
    )
