"""Data at its worst through the whole job: every attribute survives, nothing of it is interpreted, nobody else's changes."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.conftest import Aws
from tests.wizard.cli_run import Cli, reach, write_map
from tests.wizard.migration.stage import Dump, Item, Stage, n, s
from wizard.wire import canonical

# Composed and decomposed spelling are two people; so are two cases, and two ids of which one begins like the other.
IDS = {
    "jos\u00e9@example.edu": "jose5", "<img src=x onerror=alert(1)>": "scr10", "[x](javascript:alert(1))": "link09",
    "a|b`c`": "pipe08", "{{7*7}}": "tmpl07", "=cmd|' C calc'!A0": "calc11", "47": "u4711",
}  # fmt: skip
OUTSIDE = ("jose\u0301@example.edu", "471", "A|B`C`", "<script>alert(1)</script>", "\x1b[31mred\u202e")
TEXT = "\x1b]0;title\x07\x1b[31mred\r\n\u202e\u2066x\u2069 \x00 [bold]x[/] <script>alert(1)</script> `a` | * _ \\ {{x}}"
NUMBER = "12345678901234567890123456789012345678"
ACCOUNTS, ACCESS, CHATS, CODE = (
    "lambda/accounts", "object-access/object-access", "lambda/chat-usage", "assistants/assistants",
)  # fmt: skip
COSTS, TAGS, GROUPS, USERS = (
    "lambda/cost-calculations", "lambda/user-tags", "object-access/amplify-groups", "object-access/cognito-users",
)  # fmt: skip


def deep(levels: int) -> Item:
    value = s(TEXT)
    for level in range(levels):
        value = {"M": {"a.b#:": value}} if level % 2 else {"L": [value]}
    return value


EXTRA: Item = {
    "o.d#d:n": s(TEXT), "#": n(1), ":": s(":"), "size": n(NUMBER), "status": n("-1E-100"), "[0]": s("i"), "a b\nc": s("x"),
    "data type": {"B": bytes(range(256))}, "\u00e9": s("composed"), "e\u0301": s("decomposed"), "deep": deep(29),
    "empty": s(""), "map": {"M": {}}, "list": {"L": []}, "null": {"NULL": True}, "SELECT": {"BOOL": False},
    "numbers": {"NS": ["1", "2.5", NUMBER]}, "bytes": {"BS": [b"\x00", b"\xff"]}, "x.y": {"M": {"a.b": s("q"), "#": n(0)}},
}  # fmt: skip


@pytest.fixture
def hostile(stage: Stage) -> Stage:
    for number, user in enumerate((*IDS, *OUTSIDE)):
        stage.put(ACCOUNTS, {"user": s(user), **EXTRA, "accounts": {"L": []}})
        stage.put(ACCESS, {"object_id": s("k" * 2_000), "principal_id": s(user), **EXTRA})
        stage.put(CHATS, {"id": s(f"{number}"), "user": s(user), **EXTRA})
        stage.put(CODE, {"id": s(f"ast/{number}{TEXT}"), "user": s(user), "name": s(TEXT)})
        stage.put(COSTS, {"id": s(user), "accountInfo": s(f"c#{user}"), "dailyCost": n("0.1"), **EXTRA})
        stage.put(TAGS, {"user": s(user), "tags": {"SS": ["a", user, TEXT]}})
        stage.put(USERS, {"user_id": s(user), "given_name": s(TEXT)})
    stage.put(CHATS, {"id": s("large"), "user": s("47"), "blob": s("x" * 390_000)})
    stage.put(GROUPS, {"group_id": s("G" + TEXT), "members": {"M": {user: s("read") for user in (*IDS, *OUTSIDE)}}})
    stage.put(ACCOUNTS, {"user": s(IDS["47"]), "accounts": {"L": [{"M": {"id": s(TEXT)}}]}})
    return stage


def without_ids(of: Dump, stage: Stage, table: str, name: str) -> dict[str, Item]:
    """Items by whose they are, less the id."""
    items = of[stage.name(table)].values()
    return {str(item[name]["S"]): {k: v for k, v in item.items() if k != name} for item in items}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]


@pytest.mark.parametrize("end", ["cleanup", "rollback"])
def test_hostile_data_goes_through_the_whole_job(
    hostile: Stage,
    aws: Aws,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    end: str,
) -> None:
    reach(monkeypatch, aws.endpoint)
    before = hostile.dump()
    cli = Cli(hostile.deployment, tmp_path / "w", capfd, always=("--debug",))
    users = write_map(tmp_path / "map.csv", IDS)
    assert cli("users", "check", users) == 0, cli.printed[-2]
    assert cli("migrate", "plan", "--csv-file", users) == 0
    assert cli("migrate", "show", "--limit", "500") == 0
    planned = cli.json("migrate", "show", "--limit", "500")["changes"]
    assert planned and all(canonical(one["source_key"]).decode() in before[one["source_place"]] for one in planned)
    assert cli("migrate", "apply", "--yes") == 0, cli.printed[-2:]
    after = hostile.dump()
    assert cli("migrate", "verify") == 0, cli.printed[-2:]
    assert cli("report", "--include-ids") == 0

    for table, name in ((ACCOUNTS, "user"), (ACCESS, "principal_id"), (USERS, "user_id")):
        was, now = without_ids(before, hostile, table, name), without_ids(after, hostile, table, name)
        for old, new in IDS.items():
            assert now[old] == was[old]
            merged = now[new] if (table, old) != (ACCOUNTS, "47") else {**now[new], "accounts": was[old]["accounts"]}
            assert {k: v for k, v in merged.items() if k != "email"} == was[old]
        assert {user: now[user] for user in OUTSIDE} == {user: was[user] for user in OUTSIDE}
        assert now.keys() == was.keys() | set(IDS.values())
    for table in (CHATS, CODE):
        for key, item in before[hostile.name(table)].items():
            owner = item["user"]["S"]
            assert after[hostile.name(table)][key] == {**item, "user": s(IDS.get(owner, owner))}
    (group,) = after[hostile.name(GROUPS)].values()
    assert group["members"]["M"].keys() == {*IDS.values(), *OUTSIDE}

    printed = "".join(cli.printed)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", printed), "reached the terminal"
    for path in (tmp_path / "w" / "logs").iterdir():
        assert "\x1b" not in path.read_text()
    (report,) = (tmp_path / "w" / "reports").glob("*.html")
    tags = Tags()
    tags.feed(report.read_text())
    assert not tags.found & {"script", "img", "a", "b", "bold"}
    for line in (tmp_path / "w" / "audit.jsonl").read_text().splitlines():
        json.loads(line)

    if end == "rollback":
        assert cli("rollback", "--confirm", "ROLLBACK") == 0, cli.printed[-2:]
        assert hostile.dump() == before
        return
    assert cli("cleanup", "apply", "--confirm", "DELETE") == 0, cli.printed[-2:]
    cleaned = hostile.dump()
    assert without_ids(cleaned, hostile, ACCOUNTS, "user").keys() == {*IDS.values(), *OUTSIDE}
    for table, items in cleaned.items():
        assert items == {key: after[table][key] for key in items}


def test_the_same_item_has_one_spelling() -> None:
    assert canonical({"a": s("\u00e9")}) != canonical({"a": s("e\u0301")})
