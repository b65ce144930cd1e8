"""`storage backup | import` and `backup create | show` as a person or a script calls them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.storage_tables import NEW, OLD, create, put, row, scan
from wizard import account_facts
from wizard.commands import storage
from wizard.context import Context
from wizard.errors import BadInput, Blocked
from wizard.journey import Outcome
from wizard.migration.ledger import Ledger
from wizard.progress_facts import check_import
from wizard.storage import backups
from wizard.wire import Item


def call(context: Context, *words: str) -> Outcome:
    """Parse and run, as the command line does; what --json would print must be JSON."""
    parser = argparse.ArgumentParser()
    storage.add(parser.add_subparsers(), argparse.ArgumentParser(add_help=False))
    arguments = parser.parse_args(words)
    outcome: Outcome = arguments.run(arguments, context)
    json.dumps(outcome.details)
    return outcome


@pytest.fixture
def client(aws: Aws) -> Any:
    client = aws.client("dynamodb")
    create(client, OLD)
    create(client, NEW)
    put(client, OLD, [row("doej1", "1"), row("bob", "2")])
    return client


def user_map(folder: Path, *lines: str) -> str:
    path = folder / "map.csv"
    path.write_text("\n".join(["old_id,new_id", *lines]) + "\n")
    return str(path)


def test_backup_then_import(client: Any, context: Context) -> None:
    outcome = call(context, "storage", "backup")
    (backup,) = outcome.details["backups"]
    assert (outcome.code, backup["table"], backup["rows"]) == (0, OLD, 2)
    assert backup["verified"]
    dry = call(context, "storage", "import", backup["file"], "--dry-run")
    assert (dry.code, dry.details["counts"]["written"], scan(client, NEW)) == (0, 2, [])
    assert call(context, "storage", "import", backup["file"]).details["counts"]["written"] == 2
    assert scan(client, NEW) == scan(client, OLD)


def test_nothing_to_save_is_no_error(context: Context) -> None:
    outcome = call(context, "storage", "backup")
    assert (outcome.code, outcome.details) == (0, {"backups": []})


def test_each_table_with_rows_that_goes_with_basic_ops_is_saved(client: Any, context: Context, aws: Aws) -> None:
    work, empty = (f"amplify-v6-lambda-basic-ops-dev-{name}" for name in ("work-records", "work-sessions"))
    template = {"Resources": {name.title().replace("-", ""): _table(name) for name in (work, empty)}}
    aws.client("cloudformation").create_stack(
        StackName="amplify-v6-lambda-basic-ops-dev", TemplateBody=json.dumps(template)
    )
    put(client, work, [{"id": {"S": "1"}}, {"id": {"S": "2"}}, {"id": {"S": "3"}}])
    outcome = call(context, "storage", "backup")
    assert {entry["table"]: entry["rows"] for entry in outcome.details["backups"]} == {OLD: 2, work: 3}
    assert len({entry["file"] for entry in outcome.details["backups"]}) == 2
    fact = account_facts.check_basic_ops_tables(context)
    assert (fact.verdict, fact.value) == ("ok", {"tables": [work], "unsaved": []})
    narrowed = call(context, "storage", "backup", "--table", work)
    assert [entry["table"] for entry in narrowed.details["backups"]] == [work]


def _table(name: str) -> Item:
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        },
    }


def test_several_tables_go_to_several_files(client: Any, context: Context, tmp_path: Path) -> None:
    outcome = call(context, "storage", "backup", "--table", OLD, NEW, "--output", str(tmp_path / "saved"))
    assert [entry["rows"] for entry in outcome.details["backups"]] == [2, 0]
    assert [Path(entry["file"]).parent for entry in outcome.details["backups"]] == [tmp_path / "saved"] * 2
    assert [found.path.parent for found in backups(context.workspace, OLD)] == [tmp_path / "saved"]
    with pytest.raises(BadInput, match=r"is one file, and 2 tables are to be saved .*: give a folder, or name one"):
        call(context, "storage", "backup", "--table", OLD, NEW, "--output", str(tmp_path / "x.json.gz"))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(BadInput, match="neither a folder nor a name that ends in"):
        call(context, "storage", "backup", "--output", str(tmp_path / "notes.txt"))


def test_rows_go_to_their_mapped_key(client: Any, context: Context, tmp_path: Path) -> None:
    file = call(context, "storage", "backup").details["backups"][0]["file"]
    call(context, "storage", "import", file, "--csv-file", user_map(tmp_path, "doej1,u-1"))
    assert check_import(context).value == {"missing": 0}  # though no map was chosen yet
    assert [item["PK"]["S"] for item in scan(client, NEW)] == ["bob#notes#note", "u-1#notes#note"]
    assert [item["appId"]["S"] for item in scan(client, NEW)] == ["bob#notes", "u-1#notes"]


def test_a_map_with_errors_stops_before_anything_is_written(client: Any, context: Context, tmp_path: Path) -> None:
    file = call(context, "storage", "backup").details["backups"][0]["file"]
    with pytest.raises(Blocked, match="users check"):
        call(context, "storage", "import", file, "--csv-file", user_map(tmp_path, "doej1,u-1", "bob,u-1"))
    assert scan(client, NEW) == []


def test_another_tables_backup_needs_its_table_named(client: Any, context: Context, aws: Aws) -> None:
    create(client, "amplify-v6-lambda-basic-ops-dev-work-records")
    put(client, "amplify-v6-lambda-basic-ops-dev-work-records", [row("doej1", "9")])
    outcome = call(context, "storage", "backup", "--table", "amplify-v6-lambda-basic-ops-dev-work-records")
    file = outcome.details["backups"][0]["file"]
    with pytest.raises(BadInput, match="--table"):
        call(context, "storage", "import", file)
    call(context, "storage", "import", file, "--table", NEW)
    assert len(scan(client, NEW)) == 1


def test_another_accounts_backup_needs_its_table_named(client: Any, context: Context) -> None:
    file = Path(call(context, "storage", "backup").details["backups"][0]["file"])
    manifest = file.with_name(file.name.replace(".json.gz", ".manifest.json"))
    manifest.write_text(manifest.read_text().replace(context.account.id, "999988887777"))
    with pytest.raises(BadInput, match="of account 999988887777"):
        call(context, "storage", "import", str(file))
    assert scan(client, NEW) == []
    call(context, "storage", "import", str(file), "--table", NEW)
    assert len(scan(client, NEW)) == 2


def test_a_dry_run_counts_rows_that_meet_under_one_key_as_the_import_does(
    client: Any, context: Context, tmp_path: Path
) -> None:
    def settings(app: str, moment: str) -> Item:
        keys = {"PK": {"S": f"doej1#{app}#user-settings"}, "appId": {"S": f"doej1#{app}"}}
        return row("doej1", "1") | keys | {"entityType": {"S": "user-settings"}, "updatedAt": {"N": moment}}

    put(client, OLD, [settings("amplify-user-settings", "20"), settings("doej1-amplify-user-settings", "10")])
    file = call(context, "storage", "backup").details["backups"][0]["file"]
    words = ("storage", "import", file, "--csv-file", user_map(tmp_path, "doej1,u-1"))
    foreseen = call(context, *words, "--dry-run").details["counts"]
    assert scan(client, NEW) == []
    done = call(context, *words).details["counts"]
    assert foreseen["written"] == done["written"] == 3
    assert foreseen["kept"] + foreseen["replaced"] == done["kept"] + done["replaced"] == 1


def test_clashes_are_told(client: Any, context: Context) -> None:
    put(client, NEW, [row("doej1", "1", updatedAt={"N": "1800000000"}, data={"S": "newer"})])
    file = call(context, "storage", "backup").details["backups"][0]["file"]
    outcome = call(context, "storage", "import", file)
    assert outcome.code == 0
    assert "1 row clashes with one that is as new or newer and stays" in outcome.text
    assert "PK=doej1#notes#note, SK=1" in outcome.text


def test_recovery_is_made_shown_and_remembered(client: Any, context: Context) -> None:
    shown = call(context, "backup", "show")
    assert shown.code == 0
    assert {entry["kind"] for entry in shown.details["tables"]} == {"none"}
    made = call(context, "backup", "create")
    assert (made.code, {entry["kind"] for entry in made.details["tables"]}) == (0, {"pitr"})
    assert f"{OLD}: point-in-time recovery, restorable to 20" in made.text
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        assert set(ledger.backups()) == {OLD, NEW}
    assert "on-demand backup, of 20" in call(context, "backup", "create", "--on-demand", "--table", OLD).text
    call(context, "storage", "backup", "--table", NEW)
    with Ledger(context.workspace.ledger, writable=False) as ledger:
        assert {place: record["kind"] for place, record in ledger.backups().items()} == {OLD: "backup", NEW: "file"}


def test_a_table_that_cannot_be_made_safe_is_status_1(client: Any, context: Context) -> None:
    outcome = call(context, "backup", "create", "--table", OLD, "absent-table")
    assert outcome.code == 1
    assert outcome.text.splitlines()[0].startswith("absent-table: FAILED")  # before those that are safe
    assert outcome.text.endswith("1 of 2 tables can be brought back, 1 cannot.")


def test_an_account_without_the_deployment_is_told(context: Context) -> None:
    with pytest.raises(Blocked, match="--dep-name"):
        call(context, "backup", "create")


def test_only_tables_that_exist_are_waived(client: Any, context: Context) -> None:
    for wrong in ("amplify-v6-no-such", "no table at all"):
        with pytest.raises(BadInput, match=f"There is no table {wrong} in us-east-1"):
            call(context, "backup", "waive", OLD, wrong)
    assert call(context, "backup", "waive", OLD).details == {"waived": [OLD]}
