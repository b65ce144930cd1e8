"""`report` over a migration at every stage: what it says is what happened, and no id is in it unless asked for."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.cli_run import Cli, reach, write_map
from tests.wizard.sandbox.other_deployment import DEPLOYMENT, MAP, OUTSIDE, QUOTE, build
from wizard.migration.ledger import Ledger

ACCOUNTS = "amplify-prod2-lambda-prod-accounts"


class Page(HTMLParser):
    """Collects tags, and every attribute through which a page could load or run something."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.active: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.active += [name for name, _ in attrs if name.startswith("on") or name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag


@pytest.fixture
def cli(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    reach(monkeypatch, aws.endpoint)
    build(aws)
    return Cli(DEPLOYMENT, tmp_path / "workspace", capsys)


def report(cli: Cli, *words: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The evidence, and the three files as text."""
    document = cli.json("report", *words)
    assert document["code"] == 0
    texts = {}
    for kind, name in document["files"].items():
        path = Path(name)
        assert path.stat().st_mode & 0o777 == 0o600
        texts[kind] = path.read_text(encoding="utf-8")
    assert json.loads(texts["json"]) == document["report"]
    page = Page(texts["html"])
    assert not page.open
    assert "script" not in page.tags
    assert page.active == []
    return document["report"], texts


def ids_in(texts: dict[str, str]) -> list[str]:
    """Ids, old, new or of people outside the map, that stand in a text as a word. Sizes and versions are no ids."""
    texts = {kind: re.sub(r"SHA-256 \w+|[0-9a-f]{32,}", "", text) for kind, text in texts.items()}
    wanted = [one for one in (*MAP, *MAP.values(), *OUTSIDE) if len(one) > 2 and not one.isdigit()]
    spelled = {
        one for name in wanted for one in (name, name.lower(), json.dumps(name)[1:-1], name.replace("'", "&#x27;"))
    }
    return [one for one in spelled for text in texts.values() if one in text]


def test_without_a_plan(cli: Cli) -> None:
    evidence, texts = report(cli)
    assert evidence["plan"] == {}
    assert evidence["tables"] == []
    assert "Nothing is planned yet." in texts["md"]
    assert "migrate plan" in texts["html"]
    assert evidence["operator"]["arn"].startswith("arn:aws:sts::123456789012:")


def test_every_stage_says_what_happened(cli: Cli, tmp_path: Path) -> None:
    users = write_map(tmp_path / "users.csv", MAP)
    assert cli("migrate", "plan", "--csv-file", users) == 0
    planned, texts = report(cli)
    assert "It is planned and not applied" in texts["md"]
    of = {one["place"]: one for one in planned["tables"]}
    assert (of[ACCOUNTS]["planned"], of[ACCOUNTS]["open"], of[ACCOUNTS]["applied"]) == (5, 5, 0)
    assert planned["map"]["users"] == 5
    assert planned["audit"]["lines"] == 0
    assert planned["unknown_references"]
    assert ids_in(texts) == []

    assert cli("migrate", "apply", "--yes") == 0
    assert cli("migrate", "apply", "--dry-run") == 0
    assert cli("migrate", "verify") == 0
    assert cli("backup", "create", "--yes", "--table", ACCOUNTS) == 0
    assert cli("storage", "backup") == 0
    verified, texts = report(cli)
    of = {one["place"]: one for one in verified["tables"]}
    assert (of[ACCOUNTS]["applied"], of[ACCOUNTS]["verified"], of[ACCOUNTS]["cleaned"]) == (5, 5, 0)
    assert verified["retained"] > 0
    assert [run["step"] for run in verified["runs"]] == ["6b", "6c", "6d"]
    for run in verified["runs"]:
        assert run["costs"]["read_units"] > 0
        assert sum(run["costs"]["requests"].values()) > 20
    assert [run["costs"]["write_units"] > 0 for run in verified["runs"]] == [False, True, False]
    dry = [one["dry_run"] for one in verified["commands"] if one["command"] == "migrate apply"]
    assert dry == [False, True]
    kinds = {one["kind"]: one for one in verified["backups"]}
    assert kinds["pitr"]["place"] == ACCOUNTS
    assert len(kinds["file"]["sha256"]) == 64
    assert kinds["file"]["rows"] == 3
    assert "amplify-prod2-lambda-basic-ops-prod-user-storage" in verified["remaining"]["tables"]
    assert "amplify-prod2-lambda-prod-consolidation" not in verified["remaining"]["buckets"]
    assert ids_in(texts) == []
    # The same numbers as the command line gives, in each of the three files.
    status = cli.json("migrate", "status")
    assert status["states"] == verified["states"]
    for one in verified["tables"]:
        told = [table.get("verified", 0) for table in status["tables"] if table["place"] == one["place"]]
        assert one["verified"] == sum(told), one["place"]
    sums = {
        name: sum(one[name] for one in verified["tables"]) for name in ("planned", "applied", "verified", "cleaned")
    }
    assert (sums["verified"], sums["cleaned"]) == (status["states"]["verified"], 0)
    assert " | ".join(["| All", *(f"{number:,}" for number in sums.values())]) in texts["md"]
    assert "<tr><td>All</td>" + "".join(f'<td class="number">{n:,}</td>' for n in sums.values()) in texts["html"]
    going = cli.json("cleanup", "plan")
    assert verified["retained"] == going["total"] + going["kept_total"], going

    assert cli("cleanup", "apply", "--confirm", "DELETE") == 0
    assert cli("cleanup", "verify") == 0
    cleaned, texts = report(cli)
    of = {one["place"]: one for one in cleaned["tables"]}
    assert of[ACCOUNTS]["cleaned"] == 5
    assert "applied, verified and cleaned up" in texts["html"]
    assert "`cleanup verify`" not in texts["md"]
    lines = (cli.workspace / "audit.jsonl").read_text().splitlines()
    assert cleaned["audit"]["lines"] == len(lines) == sum(one["count"] for one in cleaned["audit"]["writes"])
    # Every write of a table says which item it wrote.
    written = [json.loads(line) for line in lines if "Item" in line]
    assert all(one.get("Key") or all(item["Key"] for item in one["items"]) for one in written)
    assert all(one["request_id"] for one in map(json.loads, lines))
    assert ids_in(texts) == []


def test_ids_only_when_asked_for(cli: Cli, tmp_path: Path) -> None:
    cli("migrate", "plan", "--csv-file", write_map(tmp_path / "users.csv", MAP))
    evidence, texts = report(cli, "--include-ids", "--output", str(tmp_path / "out"))
    assert evidence["map"]["pairs"] == MAP
    assert "u-00017" in texts["md"]
    assert "treat this report as personal data" in texts["md"]
    assert all(one["example"] for one in evidence["unknown_references"])


def test_half_applied_and_rolled_back(cli: Cli, aws: Aws, tmp_path: Path) -> None:
    cli("migrate", "plan", "--csv-file", write_map(tmp_path / "users.csv", MAP))
    # A service writes under a new id between plan and apply: a conflict, which the report counts and names by number.
    aws.client("dynamodb").put_item(
        TableName="amplify-prod2-lambda-prod-user-tags", Item={"user": {"S": MAP[QUOTE]}, "tags": {"SS": ["z"]}}
    )
    code = cli("migrate", "apply", "--yes")
    evidence, texts = report(cli)
    conflicts = [one for one in evidence["attention"]["listed"] if one["state"] == "conflict"]
    assert code == (3 if conflicts else 0)
    assert ids_in(texts) == []
    if conflicts:
        assert "Look at the conflicts" in texts["md"]
        assert str(conflicts[0]["id"]) in texts["md"]
    assert cli("rollback", "--confirm", "ROLLBACK") in (0, 1)
    evidence, texts = report(cli)
    assert evidence["states"]["rolled back"] > 0
    assert evidence["runs"][-1]["step"] == "rollback"
    assert "rolled back" in texts["html"]
    assert ids_in(texts) == []


def test_a_command_that_was_killed_is_told_from_one_that_ended(cli: Cli) -> None:
    report(cli)
    with (cli.workspace / "commands.jsonl").open("a") as file:
        file.write(json.dumps({"run": "x", "time": 1.0, "command": "migrate apply", "dry_run": False}) + "\n{torn")
    with Ledger(cli.workspace / "ledger.sqlite") as ledger:
        ledger.begin_run("6c", 1.0)
    evidence, texts = report(cli)
    assert [one["code"] for one in evidence["commands"] if one["command"] == "migrate apply"] == [None]
    assert evidence["runs"][-1]["ended"] is None
    assert "6c Apply the plan | – | interrupted | It did not end." in texts["md"]


def test_what_aws_does_not_show_is_said_to_be_unknown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.session

    class Refusing(botocore.session.Session):
        def create_client(self, *args: Any, **options: Any) -> Any:
            client = super().create_client(*args, **options)
            client.meta.events.register("before-call.dynamodb.ListTables", _denied)
            return client

    monkeypatch.setattr(
        "boto3.session.botocore.session.get_session", lambda *args, **options: Refusing(*args, **options)
    )
    evidence, texts = report(cli)
    assert evidence["remaining"]["tables"] == []
    assert "AccessDeniedException" in evidence["remaining"]["unknown"][0]
    assert "could not be listed" in texts["md"]


def _denied(**_: Any) -> Any:
    from types import SimpleNamespace

    error = {"Error": {"Code": "AccessDeniedException", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    return SimpleNamespace(status_code=403, headers={}), error
