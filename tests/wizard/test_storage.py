"""Backup: lossless, complete or absent, private, verified against the table."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.storage_tables import NEW, OLD, create, every_type, put, row, scan
from wizard import backup_files, storage, wire
from wizard.account_facts import count_rows
from wizard.context import Context
from wizard.errors import BadInput, Blocked, Failed
from wizard.import_sources import open_source
from wizard.migration.scan import LOCK_KEY
from wizard.storage_import import import_rows


@pytest.fixture
def client(aws: Aws) -> Any:
    client = aws.client("dynamodb")
    create(client, OLD)
    return client


def test_a_backup_holds_every_item_and_says_so(client: Any, context: Context) -> None:
    items = [every_type("doej1", "1"), row("bob@example.edu", "2")]
    put(client, OLD, items)
    backup = storage.back_up(context, OLD)
    saved = sorted(map(wire.digest, backup_files.read_items(backup.path)))
    assert saved == sorted(map(wire.digest, scan(client, OLD))) == sorted(map(wire.digest, items))
    manifest = backup.manifest
    assert (manifest.table, manifest.rows, manifest.key, manifest.account) == (OLD, 2, ["PK", "SK"], "123456789012")
    assert manifest.verified
    assert backup_files.read_manifest(backup_files.manifest_path(backup.path)) == manifest
    assert storage.backups(context.workspace, OLD) == [backup]


def test_our_own_lock_is_no_row_that_is_saved_counted_or_imported(client: Any, context: Context) -> None:
    fields = {name: {"S": "x"} for name in ("owner", "workspace", "beat")}
    lock = {"PK": {"S": LOCK_KEY}, "SK": {"S": LOCK_KEY}, **fields}
    put(client, OLD, [lock])
    assert not storage.has_rows(context.account, OLD)
    assert storage.require_backup(context, OLD) is None
    put(client, OLD, [row("doej1", "1")])
    assert count_rows(context, OLD) == 1
    backup = storage.back_up(context, OLD)
    assert list(backup_files.read_items(backup.path)) == [row("doej1", "1")]
    assert storage.require_backup(context, OLD) == backup
    create(client, NEW)
    old_file = context.workspace.backups / "from-an-older-release.json"
    old_file.write_text("".join(wire.to_json_line(item) + "\n" for item in (lock, row("doej1", "2"))))
    assert import_rows(context, open_source(old_file), NEW).rows == 1
    assert scan(client, NEW) == [row("doej1", "2")]


def test_the_file_is_what_dynamodb_imports(client: Any, context: Context) -> None:
    put(client, OLD, [every_type("doej1", "1")])
    backup = storage.back_up(context, OLD)
    (line,) = gzip.decompress(backup.path.read_bytes()).decode().splitlines()
    item = json.loads(line)["Item"]
    assert item["blob"] == {"B": "AP8KDR+L"}
    assert item["empty"] == {"S": ""}


def test_its_files_are_private_and_nothing_else_is_left(client: Any, context: Context) -> None:
    put(client, OLD, [row("doej1", "1")])
    storage.back_up(context, OLD)
    files = sorted(context.workspace.backups.iterdir())
    assert [path.suffix for path in files] == [".gz", ".json"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_attributes_that_first_appear_late_are_saved(client: Any, context: Context) -> None:
    late = {599: {"late": {"S": "x"}}}
    put(client, OLD, (row("doej1", f"{index:05}", **late.get(index, {})) for index in range(600)))
    backup = storage.back_up(context, OLD)
    assert backup.manifest.rows == 600
    assert [item["SK"] for item in backup_files.read_items(backup.path) if "late" in item] == [{"S": "00599"}]


def test_files_are_written_and_read_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "many.json.gz"
    tracemalloc.start()
    with backup_files.writing(path) as writer:
        for index in range(10_000):
            writer.write(row("doej1", str(index), text={"S": "x" * 4_000}))
    assert sum(1 for _ in backup_files.read_items(path)) == 10_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000  # of 40 MB written; other threads of the test session are counted as well


def test_a_table_that_changes_meanwhile_is_no_verified_backup(client: Any, context: Context) -> None:
    put(client, OLD, [row("doej1", "1")])
    scans = 0

    def interfere(**_: Any) -> None:
        nonlocal scans
        scans += 1
        if scans == 2:
            put(client, OLD, [row("doej1", "2")])

    context.account.client("dynamodb").meta.events.register("before-call.dynamodb.Scan", interfere)
    with pytest.raises(Failed, match="changed while it was saved"):
        storage.back_up(context, OLD)
    assert storage.backups(context.workspace, OLD) == []


def test_a_stopped_backup_leaves_no_file(client: Any, context: Context) -> None:
    put(client, OLD, [row("doej1", "1")])
    context.account.client("dynamodb").meta.events.register(
        "after-call.dynamodb.Scan", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        storage.back_up(context, OLD)
    assert list(context.workspace.backups.iterdir()) == []


def test_an_absent_table_a_taken_name_and_a_wrong_ending_are_said(
    client: Any, context: Context, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="There is no table"):
        storage.back_up(context, NEW)
    output = tmp_path / "mine.json.gz"
    storage.back_up(context, OLD, output)
    with pytest.raises(BadInput, match="never overwrites"):
        storage.back_up(context, OLD, output)
    with pytest.raises(BadInput, match=r"ends in \.json\.gz"):
        storage.back_up(context, OLD, tmp_path / "mine.csv")


def test_the_present_rows_must_be_those_of_a_backup(client: Any, context: Context, tmp_path: Path) -> None:
    assert storage.require_backup(context, NEW) is None
    assert storage.require_backup(context, OLD) is None
    put(client, OLD, [row("doej1", "1")])
    with pytest.raises(Blocked, match="step 4a first"):
        storage.require_backup(context, OLD)
    elsewhere = storage.back_up(context, OLD, tmp_path / "mine.json.gz")
    assert storage.require_backup(context, OLD) == elsewhere
    put(client, OLD, [row("doej1", "2")])
    with pytest.raises(Blocked, match=r"1 rows then, 2 now"):
        storage.require_backup(context, OLD)
    again = storage.back_up(context, OLD)
    assert storage.require_backup(context, OLD) == again
    folder = context.workspace.backups
    (folder / "odd.manifest.json").write_text(json.dumps({**asdict(again.manifest), "time": 5}))
    (folder / "odd.json.gz").write_bytes(again.path.read_bytes())
    context.workspace.remember(lambda known: {"backups": [*known["backups"], "", "/", "/" + "x" * 5_000]})
    assert storage.require_backup(context, OLD) == again  # whatever else is named there
    again.path.write_bytes(again.path.read_bytes()[:-20])
    with pytest.raises(Blocked, match="step 4a again"):
        storage.require_backup(context, OLD)


@pytest.mark.parametrize("damage", ["cut", "flip", "not gzip", "fewer", "foreign line", "endless line", "blank lines"])
def test_a_damaged_file_is_refused_in_a_sentence(client: Any, context: Context, damage: str) -> None:
    put(client, OLD, [row("doej1", str(index)) for index in range(40)])
    backup = storage.back_up(context, OLD)
    content = backup.path.read_bytes()
    lines = gzip.decompress(content).splitlines(keepends=True)
    backup.path.write_bytes(
        {
            "cut": content[:-30],
            "flip": content[:60] + bytes([content[60] ^ 0xFF]) + content[61:],
            "not gzip": b"hello\n",
            "fewer": gzip.compress(b"".join(lines[1:])),
            "foreign line": gzip.compress(b'{"Item": "?"}\n'),
            "blank lines": gzip.compress(b"\n" * (backup_files.MOST_BLANK + 1)),
            "endless line": gzip.compress(b"{" * (backup_files.LONGEST_LINE + 1)),
        }[damage]
    )
    with pytest.raises(BadInput, match=r"changed or damaged .* Use another backup[.]$"):
        backup_files.check(backup.path, backup.manifest)
    if damage != "fewer":  # a whole file of other rows: only the manifest tells
        with pytest.raises(BadInput, match=r"[.]$"):
            list(backup_files.read_items(backup.path))


def test_a_manifest_with_another_count_is_refused(client: Any, context: Context) -> None:
    put(client, OLD, [row("doej1", "1")])
    backup = storage.back_up(context, OLD)
    with pytest.raises(BadInput, match=r"1 rows read, 2 recorded"):
        backup_files.check(backup.path, replace(backup.manifest, rows=2))


def test_an_empty_page_is_not_an_empty_table(client: Any, context: Context) -> None:
    """DynamoDB may answer a scan with no item and a key to go on from."""
    put(client, OLD, [row("doej1", "1"), row("doej1", "2")])
    pages = []

    def emptied(parsed: dict[str, Any], **_: Any) -> None:
        if not pages:
            parsed["Items"] = []
        pages.append(parsed)

    context.account.client("dynamodb").meta.events.register("after-call.dynamodb.Scan", emptied)
    assert storage.has_rows(context.account, OLD)
    assert len(pages) == 2


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 1}', '{"format": "x"}', "\x00", '{"format": null}', "[" * 99_999]
)
def test_a_foreign_manifest_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.manifest.json"
    path.write_text(content)
    with pytest.raises(BadInput, match="not a manifest"):
        backup_files.read_manifest(path)


def test_a_pipe_is_no_manifest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.manifest.json")
    with pytest.raises(BadInput, match="is no file"):
        backup_files.read_manifest(tmp_path / "x.manifest.json")


def test_a_newer_programs_manifest_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.manifest.json"
    path.write_text('{"format": 99, "program": "amplify-migrate 9"}')
    with pytest.raises(BadInput, match="amplify-migrate 9"):
        backup_files.read_manifest(path)
