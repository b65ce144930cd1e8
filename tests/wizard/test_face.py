"""Which face starts on which terminal."""

from __future__ import annotations

import io

import pytest

from wizard.face import face, fragile_line


class Stream:
    def __init__(self, terminal: bool):
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


YES, NO, XTERM = Stream(True), Stream(False), {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("streams", "environ", "expected"),
    [
        ((YES, YES, YES), XTERM, "textual"),
        ((YES, YES, YES), {"TERM": "dumb"}, "plain"),
        ((YES, YES, YES), {}, "plain"),
        ((YES, YES, YES), {**XTERM, "CI": "true"}, "plain"),
        ((YES, YES, YES), {**XTERM, "ACCESSIBLE": "1"}, "plain"),
        ((YES, YES, YES), {**XTERM, "ACCESSIBLE": "0"}, "textual"),
        ((YES, YES, NO), XTERM, "plain"),
        ((YES, NO, YES), XTERM, "none"),
        ((NO, YES, YES), XTERM, "none"),
        ((None, None, None), XTERM, "none"),
    ],
)
def test_the_terminal_decides(streams, environ, expected) -> None:
    assert face(False, False, *streams, environ) == expected


def test_options_go_before_the_terminal() -> None:
    assert face(True, False, YES, YES, YES, XTERM) == "plain"
    assert face(False, True, YES, YES, YES, XTERM) == "none"
    assert face(True, False, NO, YES, YES, XTERM) == "none"


def test_a_closed_stream_is_no_terminal() -> None:
    closed = io.StringIO()
    closed.close()
    assert face(False, False, closed, YES, YES, XTERM) == "none"


def test_ssh_is_fragile_outside_tmux_and_screen_only() -> None:
    ssh = {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}
    assert fragile_line(ssh)
    assert (
        not fragile_line({**ssh, "TMUX": "/tmp/t"}) and not fragile_line({**ssh, "STY": "1"}) and not fragile_line({})
    )
