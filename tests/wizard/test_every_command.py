"""No secret is written anywhere: a whole migration at debug level, then every byte of it is searched.

Secrets are seeded where a deployment has them: passwords, OAuth tokens, API keys, SecureString parameters, secrets in the
var file, the operator's own credentials, and a marker in the body of every item.
"""

from __future__ import annotations

import base64
import gzip
import os
import pathlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wizard.cli_run import Cli, reach
from wizard.sandbox.demo import Demo, start_demo

ACCOUNTS = "amplify-v6-lambda-dev-accounts"
SECRETS = {
    "key id": "AKIASEARCHEDFOR00001",
    "credential": "s3kr1t-credential-6a1f0e",
    "session": "s3kr1t-session-token-41c9",
    "password": "s3kr1t-password-b07d22",
    "database user": "s3kr1t-database-user-30c4",
    "token": "s3kr1t-oauth-token-9e55c3",
    "api key": "s3kr1t-api-key-77aa10",
    "parameter": "s3kr1t-parameter-c4d1ff",
    "var file": "s3kr1t-in-var-file-0b3e",
    "body": "s3kr1t-body-of-an-item-58f2",
    "object": "s3kr1t-body-of-an-object-d1c7",
}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    with start_demo(tmp_path / "demo", users=3, release="deployed") as demo:
        yield demo


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What files held that were deleted again, the staging of a plan for one."""
    contents: list[bytes] = []
    unlink = pathlib.Path.unlink

    def keeping(path: Path, missing_ok: bool = False) -> None:
        if path.exists():
            contents.append(path.read_bytes())
        unlink(path, missing_ok)

    monkeypatch.setattr(pathlib.Path, "unlink", keeping)
    return contents


def plant(demo: Demo) -> None:
    """Put the secrets where they would be."""
    account = demo.account()
    tables = [name for page in account.pages("dynamodb", "list_tables") for name in page["TableNames"]]
    for table in tables:
        for item in account.call("dynamodb", "scan", TableName=table)["Items"]:
            if "cost-calculations" not in table:  # removed rows of costs are kept whole, to be put back
                item["unrelated"] = {"S": SECRETS["body"]}
            if "password" in item:
                item["password"] = {"S": SECRETS["password"]}
                item["username"] = {"S": SECRETS["database user"]}
            if "apiKey" in item:
                item["apiKey"] = {"S": SECRETS["api key"]}
            if "integrations" in item:
                item["integrations"] = {"M": {"google_drive": {"S": SECRETS["token"]}}}
                account.call("dynamodb", "put_item", TableName=table, Item=item)
                _same_integrations_under_the_new_id(demo, table, item)
            account.call("dynamodb", "put_item", TableName=table, Item=item)
    person = demo.seeded.people[0]
    bucket = "amplify-v6-lambda-dev-user-conversations"
    account.call("s3", "put_object", Bucket=bucket, Key=f"{person.old}/x", Body=SECRETS["object"].encode())
    for name, kind in (("OPENAI_API_KEY", "SecureString"), ("DB_PASSWORD", "String")):
        path = f"/amplify/dev/amplify-v6-lambda/{name}"
        account.call("ssm", "put_parameter", Name=path, Value=SECRETS["parameter"], Type=kind)
    var = demo.root / "var" / "dev-var.yml"
    var.write_text(var.read_text() + f"OAUTH_CLIENT_SECRET: {SECRETS['var file']}\n")
    service = demo.root / "amplify-lambda" / "serverless.yml"
    local = "# Locally Defined Variables\n"
    text = service.read_text()
    assert local in text
    at = text.index(local)
    indent = text[text.rindex("\n", 0, at) + 1 : at]
    lines = f"{local}{indent}DB_PASSWORD: {SECRETS['var file']}\n{indent}OPENAI_API_KEY: {SECRETS['var file']}\n"
    service.write_text(text.replace(local, lines, 1))


def _same_integrations_under_the_new_id(demo: Demo, table: str, item: dict[str, Any]) -> None:
    """A merge has to look into the tokens of both rows."""
    old, provider = item["user_integration"]["S"].split("/", 1)
    if old in demo.seeded.ids and demo.seeded.ids[old] != old:
        tokens = {"M": {"google_drive": {"S": SECRETS["token"] + "-newer"}, "other": {"S": SECRETS["token"]}}}
        row = {**item, "user_integration": {"S": f"{demo.seeded.ids[old]}/{provider}"}, "integrations": tokens}
        demo.account().call("dynamodb", "put_item", TableName=table, Item=row)


def spellings(secret: str) -> set[bytes]:
    """A secret as it may stand in a file."""
    raw = secret.encode()
    return {raw, raw[::-1], raw.hex().encode(), *(base64.b64encode(b" " * pad + raw)[4:-4] for pad in range(3))}


def found_in(name: str, content: bytes) -> list[str]:
    if content[:2] == b"\x1f\x8b":
        content += gzip.decompress(content)
    return [f"{kind} in {name}" for kind, secret in SECRETS.items() for one in spellings(secret) if one in content]


def test_nothing_that_is_written_holds_a_secret(
    demo: Demo, tmp_path: Path, removed: list[bytes], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    plant(demo)
    reach(monkeypatch, demo.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRETS["key id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS["credential"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRETS["session"])
    monkeypatch.setenv("PATH", demo.environment()["PATH"])
    workspace = tmp_path / "workspace"
    cli = Cli(demo.deployment, workspace, capfd, always=("--debug",))
    root, users = str(demo.root), str(demo.csv)
    removed.clear()
    codes = [
        (" ".join(words[:2]), cli(*words))
        for words in (
            ("deployment",),
            ("parameters", "populate", "--root", root, "--dry-run"),
            ("parameters", "populate", "--root", root, "--yes"),
            ("parameters", "verify", "--root", root),
            ("services", "check", "--root", root),
            ("preflight", "--root", root),
            ("users", "check", users),
            ("migrate", "plan", "--csv-file", users),
            ("migrate", "show", "--json"),
            ("backup", "create", "--yes"),
            ("migrate", "apply", "--dry-run"),
            ("migrate", "apply", "--yes"),
            ("migrate", "verify"),
            ("migrate", "show"),
            ("migrate", "status"),
            ("rollback", "--dry-run"),
            ("rollback", "--confirm", "ROLLBACK"),
            ("migrate", "plan", "--csv-file", users),
            ("migrate", "apply", "--yes"),
            ("migrate", "verify"),
            ("storage", "backup", "--table", ACCOUNTS),
            ("cleanup", "plan", "--objects"),
            ("cleanup", "apply", "--confirm", "DELETE"),
            ("cleanup", "verify"),
            ("report", "--include-ids"),
        )
    ]
    cli("migrate", "show", "--user", "no'such\x1b[31m")
    assert [name for name, code in codes if code != 0] == []
    files = [path for path in workspace.rglob("*") if path.is_file()]
    (saved,) = (path for path in files if path.name.startswith(ACCOUNTS) and path.name.endswith(".json.gz"))
    assert found_in("a backup", saved.read_bytes()), "complete rows, and the report says so"
    files.remove(saved)
    assert {"ledger.sqlite", "audit.jsonl", "amplify-migrate.log", "commands.jsonl"} <= {path.name for path in files}
    found = found_in("the terminal", "".join(cli.printed).encode())
    for path in files:
        found += found_in(str(path.relative_to(workspace)), path.read_bytes())
    for content in removed:
        found += found_in("a file that was deleted again", content)
    assert found == []


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_files_are_the_owners_only(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], mask: int
) -> None:
    reach(monkeypatch, demo.endpoint)
    workspace = tmp_path / "workspace"
    cli = Cli(demo.deployment, workspace, capfd)
    before = os.umask(mask)
    try:
        cli("migrate", "plan", "--csv-file", str(demo.csv))
        cli("storage", "backup", "--table", ACCOUNTS)
        cli("report")
    finally:
        os.umask(before)
    for path in (workspace, *workspace.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_search_finds_what_is_there() -> None:
    secret = SECRETS["token"]
    assert found_in("x", b"..." + secret.encode()) == ["token in x"]
    assert found_in("x", gzip.compress(secret.encode())) == ["token in x"]
    assert found_in("x", base64.b64encode(b"ab" + secret.encode() + b"cd")) == ["token in x"]
