"""Who runs the program."""

from __future__ import annotations

import os
import socket

import pytest

from wizard.who import user_at_host


def test_a_user_without_a_name_is_known_by_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    assert user_at_host() == f"ann@{socket.gethostname()}"
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert user_at_host() == f"uid54321@{socket.gethostname()}"
