"""The plan in ordinary lines."""

from __future__ import annotations

import pytest

from screens.plain_results import page
from wizard.results import ChangeRow, TableRow, names


def test_changes_of_buckets_which_come_before_those_of_tables_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    change = ChangeRow(7, (-3, 7), "S3_FILES", "copy", "files: ada/1.txt", "storage: adaj/1.txt", "ada", "planned")
    page(lambda after: [change] if after < change.position else [])
    assert "7. planned copy: files: ada/1.txt" in capsys.readouterr().out


def test_rows_that_write_to_one_place_are_told_apart() -> None:
    rows = [TableRow("A", "storage", {}), TableRow("B", "storage", {}), TableRow("C", "accounts", {})]
    assert names(rows) == ["storage (A)", "storage (B)", "accounts"]
