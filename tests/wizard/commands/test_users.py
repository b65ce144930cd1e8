"""`users check | missing | generate` as a person or a script calls them."""

from __future__ import annotations

import argparse
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.test_users import pool_of, put, table, users_table
from wizard.aws import Account
from wizard.commands import users
from wizard.context import Context
from wizard.errors import BadInput, Blocked, Declined
from wizard.journey import Outcome


def call(context: Context | None, *words: str) -> Outcome:
    """Parse and run, as the command line does; what --json would print must be JSON."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--yes", action="store_true")
    parser = argparse.ArgumentParser()
    users.add(parser.add_subparsers(required=True), common)
    arguments = parser.parse_args(["users", *words])
    outcome: Outcome = arguments.run(arguments, context)
    json.dumps(outcome.details)
    return outcome


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "migration_users.csv"
    path.write_text("old_id,new_id\nann@example.edu,ann1\nbob@example.edu,bob1\n")
    return path


def test_check_without_credentials_says_what_was_not_looked_at(good: Path) -> None:
    outcome = call(None, "check", str(good))
    assert outcome.code == 0
    assert "2 rows, 2 ids change (scenario A)" in outcome.text
    assert "The account was not looked at" in outcome.text
    details: dict[str, Any] = dict(outcome.details)
    assert (details["rows"], details["changed"], details["scenario"]) == (2, 2, "a")
    assert (details["errors"], details["attention"], details["looked_up"]) == (0, 0, False)
    with pytest.raises(Blocked, match="credentials"):
        call(None, "check", str(good), "--user-pool-id", "us-east-1_x")


def test_check_exits_2_on_errors_and_lists_each_with_its_line(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("old_id,new_id\nann@example.edu,a\x1b[31mnn\nbob@example.edu,\n")
    outcome = call(context, "check", str(path))
    assert outcome.code == 2
    assert re.search(r"^error +line 2: .*U\+001B", outcome.text, re.MULTILINE)
    assert re.search(r"^error +line 3: new_id is empty", outcome.text, re.MULTILINE)
    assert "\x1b" not in outcome.text
    assert [entry["line"] for entry in outcome.details["complaints"] if entry["level"] == "error"] == [2, 3]
    assert "csv_file" not in context.workspace.settings()


def test_check_exits_0_with_warnings_only_and_looks_at_the_account(aws: Aws, context: Context, good: Path) -> None:
    users_table(aws, {"ann@example.edu": "", "ann1": "ann@example.edu", "bob@example.edu": ""})
    outcome = call(context, "check", str(good))
    assert outcome.code == 0
    assert outcome.details["looked_up"] is True
    assert "of the same person" in outcome.text
    put(aws, "amplify-v6-object-access-dev-cognito-users", user_id="bob1", email="robert@example.edu")
    assert call(context, "check", str(good)).code == 2


def test_check_goes_on_when_the_account_does_not_answer(context: Context, good: Path) -> None:
    nobody = Account(region="us-east-1", endpoint_url="http://127.0.0.1:9", credentials=("testing", "testing"))
    context.account = nobody
    outcome = call(context, "check", str(good))
    assert outcome.code == 0
    assert outcome.details["looked_up"] is False
    assert re.search(r"^attention +The account was not looked at.*127\.0\.0\.1", outcome.text, re.MULTILINE)


def test_missing_compares_with_the_map_that_was_checked_last(
    aws: Aws, context: Context, good: Path, tmp_path: Path
) -> None:
    users_table(aws, {"ann@example.edu": "", "bob@example.edu": "", "carl@example.edu": ""})
    table(aws, "amplify-v6-lambda-dev-accounts", "user")
    put(aws, "amplify-v6-lambda-dev-accounts", user="App-123456")
    everybody = call(context, "missing")
    assert "3 users have data" in everybody.text
    assert "No user map is known yet" in everybody.text
    context.workspace.user_map.write_bytes(good.read_bytes())  # planned, and never checked by itself
    assert call(context, "missing").details["file"] == str(context.workspace.user_map)
    call(context, "check", str(good))
    output = tmp_path / "missing.csv"
    outcome = call(context, "missing", "--output", str(output))
    assert [(entry["id"], entry["kind"]) for entry in outcome.details["missing"]] == [
        ("App-123456", "system"),
        ("carl@example.edu", "user"),
    ]
    assert output.read_text() == "old_id,new_id\ncarl@example.edu,\n"
    assert "1 id of groups, assistants or systems" in outcome.text
    with pytest.raises(Declined, match="exists"):
        call(context, "missing", "--output", str(output))


def test_generate_without_change_writes_every_user_onto_itself(aws: Aws, context: Context, tmp_path: Path) -> None:
    users_table(aws, {"okorobe": "", "jonesa1": ""})
    output = tmp_path / "migration_users.csv"
    outcome = call(context, "generate", "--no-id-change", "--output", str(output))
    assert outcome.code == 0
    assert output.read_text() == "old_id,new_id\njonesa1,jonesa1\nokorobe,okorobe\n"
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert call(context, "check", str(output)).details["scenario"] == "b"


def test_generate_never_overwrites_without_yes_and_keeps_the_old_file(aws: Aws, context: Context, good: Path) -> None:
    users_table(aws, {"okorobe": ""})
    before = good.read_bytes()
    with pytest.raises(Declined, match="--yes"):
        call(context, "generate", "--no-id-change", "--output", str(good))
    assert good.read_bytes() == before
    outcome = call(context, "generate", "--no-id-change", "--output", str(good), "--yes")
    kept = Path(outcome.details["kept"])
    assert kept.read_bytes() == before
    assert re.fullmatch(r"migration_users\.csv\.backup\.\d{8}_\d{6}", kept.name)


def test_generate_from_the_pool_reports_who_is_left_out(aws: Aws, context: Context, tmp_path: Path) -> None:
    pool = pool_of(aws, [("ann", {"email": "ann@example.edu"}), ("robot", {})])
    output = tmp_path / "map.csv"
    outcome = call(context, "generate", "--use-sub", "--user-pool-id", pool, "--output", str(output))
    assert outcome.details["rows"] == 1
    assert "'robot' has no e-mail address" in outcome.text
    assert re.fullmatch(r"old_id,new_id\nann@example\.edu,[0-9a-f-]{36}\n", output.read_text())
    assert call(context, "check", str(output), "--user-pool-id", pool).code == 0


def test_generate_asks_for_the_options_that_belong_together(context: Context, tmp_path: Path) -> None:
    output = str(tmp_path / "map.csv")
    with pytest.raises(BadInput, match="--user-pool-id"):
        call(context, "generate", "--use-sub", "--output", output)
    with pytest.raises(BadInput, match="--user-pool-id"):
        call(context, "generate", "--no-id-change", "--user-pool-id", "x", "--output", output)


def test_nothing_here_writes_to_the_account(aws: Aws, context: Context, good: Path, tmp_path: Path) -> None:
    users_table(aws, {"ann@example.edu": ""})
    pool = pool_of(aws, [("ann", {"email": "ann@example.edu"})])
    context.account.read_only = True
    call(context, "check", str(good), "--user-pool-id", pool)
    call(context, "missing", "--output", str(tmp_path / "missing.csv"))
    call(context, "generate", "--use-sub", "--user-pool-id", pool, "--output", str(tmp_path / "map.csv"))
