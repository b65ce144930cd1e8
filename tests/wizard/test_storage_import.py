"""Import: bit-identical after a backup, conditional, idempotent, and honest about what a CSV lost."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aws
from tests.wizard.storage_tables import NEW, OLD, create, every_type, put, row, scan
from wizard import backup_files, storage, wire
from wizard.context import Context
from wizard.errors import BadInput, Blocked
from wizard.import_sources import open_source, typed_cell
from wizard.storage_import import Imported, import_rows, moment_of


@pytest.fixture
def client(aws: Aws) -> Any:
    client = aws.client("dynamodb")
    create(client, OLD)
    create(client, NEW)
    return client


def digests(items: list[wire.Item]) -> list[str]:
    return sorted(map(wire.digest, items))


def counts(done: Imported) -> dict[str, int]:
    return {verdict: count for verdict, count in done.counts.items() if count}


def test_backup_delete_import_gives_the_same_items(client: Any, context: Context) -> None:
    items = [every_type("doej1", f"{index:04}") for index in range(20)]
    items += [row("bob@example.edu", f"{index:04}") for index in range(600)]
    items += [row("bob@example.edu", "last", late={"BS": [b"\x00"]})]
    put(client, OLD, items)
    before = scan(client, OLD)
    backup = storage.back_up(context, OLD)
    client.delete_table(TableName=OLD)
    client.create_table(**backup.manifest.definition)
    done = import_rows(context, open_source(backup.path), OLD)
    assert counts(done) == {"written": 621}
    after = scan(client, OLD)
    assert digests(after) == digests(before)
    assert [item["late"] for item in after if "late" in item] == [{"BS": [b"\x00"]}]


def test_a_second_import_changes_nothing(client: Any, context: Context) -> None:
    put(client, OLD, [every_type("doej1", "1"), row("doej1", "2")])
    source = open_source(storage.back_up(context, OLD).path)
    assert counts(import_rows(context, source, NEW)) == {"written": 2}
    assert counts(import_rows(context, source, NEW)) == {"present": 2}
    assert digests(scan(client, NEW)) == digests(scan(client, OLD))


def test_of_two_rows_the_newer_stays_and_the_other_is_kept_in_a_file(client: Any, context: Context) -> None:
    newer = {"updatedAt": {"N": "1725000001000"}, "data": {"S": "newer"}}
    put(client, OLD, [row("doej1", "1"), row("doej1", "2", **newer), row("doej1", "3", data={"S": "tie"})])
    put(client, NEW, [row("doej1", "1", **newer), row("doej1", "2"), row("doej1", "3")])
    done = import_rows(context, open_source(storage.back_up(context, OLD).path), NEW)
    assert counts(done) == {"kept": 2, "replaced": 1}
    assert {note.verdict for note in done.notes} == {"kept", "replaced"}
    assert [item["data"] for item in scan(client, NEW)] == [{"S": "newer"}, {"S": "newer"}, row("x", "x")["data"]]
    saved = Path(done.replaced_rows)
    assert saved.stat().st_mode & 0o777 == 0o600
    assert list(backup_files.read_items(saved)) == [row("doej1", "2")]


def test_what_a_service_adds_at_the_moment_of_replacing_is_kept_in_the_file(client: Any, context: Context) -> None:
    put(client, OLD, [row("doej1", "1", updatedAt={"N": "1725000001000"})])
    put(client, NEW, [row("doej1", "1")])
    source, seen = open_source(storage.back_up(context, OLD).path), []

    def add(params: dict[str, Any], **_: Any) -> None:
        seen.append(params)
        if len(seen) == 2:  # the one on condition of what was read
            put(client, NEW, [row("doej1", "1", added={"S": "just now"})])

    context.account.client("dynamodb").meta.events.register("provide-client-params.dynamodb.PutItem", add)
    done = import_rows(context, source, NEW)
    assert counts(done) == {"replaced": 1}
    assert "changed at that moment" in done.notes[0].why
    assert list(backup_files.read_items(Path(done.replaced_rows)))[-1] == row("doej1", "1", added={"S": "just now"})


def test_a_dry_run_says_the_same_and_writes_nothing(client: Any, context: Context) -> None:
    newer = {"updatedAt": {"N": "1725000001"}}
    put(client, OLD, [row("doej1", "1"), row("doej1", "2", **newer), row("doej1", "3")])
    put(client, NEW, [row("doej1", "2"), row("doej1", "3")])
    source = open_source(storage.back_up(context, OLD).path)
    context.account.read_only = True
    done = import_rows(context, source, NEW, dry_run=True)
    assert counts(done) == {"written": 1, "replaced": 1, "present": 1}
    assert len(scan(client, NEW)) == 2
    assert done.replaced_rows == ""


def test_rows_pass_through_the_transform(client: Any, context: Context) -> None:
    put(client, OLD, [row("doej1", "1")])

    def rewrite(item: wire.Item) -> wire.Item:
        return {**item, "PK": {"S": item["PK"]["S"].replace("doej1#", "u-7#", 1)}}

    import_rows(context, open_source(storage.back_up(context, OLD).path), NEW, rewrite)
    assert [item["PK"]["S"] for item in scan(client, NEW)] == ["u-7#notes#note"]


def test_a_row_that_aws_refuses_stops_no_other(client: Any, context: Context) -> None:
    put(client, OLD, [row("doej1", str(index)) for index in range(5)])
    source = open_source(storage.back_up(context, OLD).path)

    def spoil(item: wire.Item) -> wire.Item:
        return {**item, "words": {"SS": []}} if item["SK"]["S"] == "3" else item

    done = import_rows(context, source, NEW, spoil)
    assert counts(done) == {"written": 4, "failed": 1}
    assert "SK=3" in done.notes[0].key


def test_throttling_slows_down_and_loses_nothing(client: Any, context: Context) -> None:
    from botocore.awsrequest import AWSResponse

    put(client, OLD, [row("doej1", str(index)) for index in range(10)])
    source = open_source(storage.back_up(context, OLD).path)
    left = 12

    class Raw:
        def __init__(self, body: bytes):
            self.body = body

        def stream(self, **_: Any) -> Any:
            yield self.body

    def throttle(request: Any, **_: Any) -> AWSResponse | None:
        nonlocal left
        if left <= 0:
            return None
        left -= 1
        body = b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow"}'
        return AWSResponse(request.url, 400, {"content-type": "application/x-amz-json-1.0"}, Raw(body))

    context.account.client("dynamodb").meta.events.register("before-send.dynamodb.PutItem", throttle)
    assert counts(import_rows(context, source, NEW)) == {"written": 10}
    assert left == 0


def test_without_the_new_table_the_step_to_do_is_named(aws: Aws, context: Context) -> None:
    create(aws.client("dynamodb"), OLD)
    source = open_source(storage.back_up(context, OLD).path)
    with pytest.raises(Blocked, match="step 4c"):
        import_rows(context, source, NEW)


def test_a_foreign_row_is_found_before_anything_is_written(client: Any, context: Context, tmp_path: Path) -> None:
    path = tmp_path / "export.json.gz"
    lines = [wire.to_json_line(row("doej1", "1")), wire.to_json_line({"PK": {"S": "x"}, "SK": {"N": "1"}})]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    with pytest.raises(BadInput, match=r"row 2 has no SK of type S"):
        import_rows(context, open_source(path), NEW)
    assert scan(client, NEW) == []


def export(folder: Path, parts: list[list[wire.Item]], table: str = OLD) -> Path:
    """A folder as DynamoDB's export to S3 lays it out."""
    place = folder / "AWSDynamoDB" / "01725000000000-abcdef"
    (place / "data").mkdir(parents=True)
    listing = []
    for index, items in enumerate(parts):
        content = gzip.compress("".join(wire.to_json_line(item) + "\n" for item in items).encode())
        (place / "data" / f"part{index}.json.gz").write_bytes(content)
        listing.append(
            {
                "itemCount": len(items),
                "md5Checksum": base64.b64encode(hashlib.md5(content).digest()).decode(),
                "dataFileS3Key": f"AWSDynamoDB/01725000000000-abcdef/data/part{index}.json.gz",
            }
        )
    (place / "manifest-files.json").write_text("\n".join(map(json.dumps, listing)))
    (place / "manifest-summary.json").write_text(
        json.dumps({"tableArn": f"arn:aws:dynamodb:us-east-1:123456789012:table/{table}", "itemCount": 3})
    )
    return place


def test_dynamodbs_own_export_is_imported(client: Any, context: Context, tmp_path: Path) -> None:
    items = [every_type("doej1", "1"), row("doej1", "2"), row("doej1", "3")]
    export(tmp_path, [items[:2], items[2:]])
    source = open_source(tmp_path)
    assert (source.table, source.count) == (OLD, 3)
    import_rows(context, source, NEW)
    assert digests(scan(client, NEW)) == digests(items)


def test_an_export_is_found_from_any_of_its_files(client: Any, context: Context, tmp_path: Path) -> None:
    place = export(tmp_path, [[row("doej1", "1"), row("doej1", "2")], [row("doej1", "3")]])
    for name in ("manifest-summary.json", "manifest-files.json"):
        assert open_source(place / name).count == 3
    one = open_source(place / "data" / "part1.json.gz")
    assert (one.table, one.account, one.count, len(list(one.rows()))) == (OLD, "123456789012", 1, 1)
    for file in (place / "data").iterdir():
        file.rename(place / file.name)  # as a download without folders leaves them
    assert len(list(open_source(place).rows())) == 3


@pytest.mark.parametrize("said", [{"outputFormat": "ION"}, {"exportType": "INCREMENTAL_EXPORT"}])
def test_an_export_of_another_kind_is_named(tmp_path: Path, said: dict[str, str]) -> None:
    place = export(tmp_path, [[row("doej1", "1")]])
    summary = place / "manifest-summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), **said}))
    with pytest.raises(BadInput, match=next(iter(said.values()))):
        open_source(tmp_path)


def test_a_folder_of_backups_is_never_poured_together(client: Any, context: Context) -> None:
    put(client, OLD, [row("doej1", "1")])
    first = storage.back_up(context, OLD)
    assert open_source(context.workspace.backups).count == 1
    storage.back_up(context, OLD)
    with pytest.raises(BadInput, match="2 backups"):
        open_source(context.workspace.backups)
    manifest = backup_files.manifest_path(first.path)
    manifest.unlink()
    manifest.symlink_to("nowhere")  # what stands there and says nothing is not passed over
    with pytest.raises(BadInput, match=r"manifest\.json cannot be read"):
        open_source(first.path)
    first.path.write_bytes(b"")
    with pytest.raises(BadInput, match="is empty"):
        open_source(first.path)
    first.path.unlink()
    os.mkfifo(first.path)
    for odd in (first.path, context.workspace.backups / ("x" * 300)):
        with pytest.raises(BadInput, match=r"is no file|File name too long"):
            open_source(odd)


@pytest.mark.parametrize("damage", ["missing", "changed", "listing"])
def test_an_incomplete_export_is_refused(tmp_path: Path, damage: str) -> None:
    place = export(tmp_path, [[row("doej1", "1")], [row("doej1", "2")]])
    if damage == "missing":
        (place / "data" / "part1.json.gz").unlink()
    elif damage == "changed":
        (place / "data" / "part1.json.gz").write_bytes(gzip.compress(b""))
    else:
        (place / "manifest-files.json").write_text("{")
    with pytest.raises(BadInput, match=r"ownload"):
        open_source(tmp_path)


def test_two_exports_and_none_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no export"):
        open_source(tmp_path)
    with pytest.raises(BadInput, match="does not exist"):
        open_source(tmp_path / "absent.json.gz")
    export(tmp_path / "a", [[row("doej1", "1")]])
    export(tmp_path / "b", [[row("doej1", "1")]])
    with pytest.raises(BadInput, match="2 exports"):
        open_source(tmp_path)


def old_csv(path: Path, items: list[wire.Item]) -> Path:
    """A CSV as the old script writes it: columns of the first ten items, cells by type."""
    columns = sorted({name for item in items[:10] for name in item})

    def cell(value: dict[str, Any] | None) -> str:
        match value:
            case None | {"NULL": _}:
                return ""
            case {"S": text} | {"N": text}:
                return str(text)
            case {"BOOL": truth}:
                return str(truth)
            case {"M": content} | {"L": content}:
                return json.dumps(content)
        return str(value)

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "_backup_timestamp"])
        writer.writerows([*(cell(item.get(name)) for name in columns), "2025-09-01T00:00:00"] for item in items)
    return path


def test_the_old_scripts_csv_is_restored_as_far_as_it_kept_things(
    client: Any, context: Context, tmp_path: Path
) -> None:
    typical = [
        row("doej1", str(index), data={"M": {"n": {"N": "1"}, "deep": {"L": [{"S": '"\n,'}]}}}) for index in range(12)
    ]
    odd = row("007", "1", truth={"BOOL": True}, words={"SS": ["a"]}, blob={"B": b"\x00"}, empty={"S": ""})
    late = row("doej1", "late", late={"S": "gone"})
    done = import_rows(context, open_source(old_csv(tmp_path / "b.csv", [odd, *typical, late])), NEW)
    assert counts(done) == {"written": 14}
    stored = scan(client, NEW)
    expected_odd = {name: value for name, value in odd.items() if name != "empty"}
    expected_late = {name: value for name, value in late.items() if name != "late"}
    assert digests(stored) == digests([expected_odd, *typical, expected_late])
    assert any("first 10 rows" in line for line in done.lost)
    assert any(line.startswith("empty: 14 empty cells") for line in done.lost)
    assert any(line.startswith("truth: type guessed in 1 row") for line in done.lost)


@pytest.mark.parametrize(
    ("cell", "value", "sure"),
    [
        ('{"a": {"S": "x"}}', {"M": {"a": {"S": "x"}}}, True),
        ("[]", {"L": []}, True),
        ('{"a": "x"}', {"S": '{"a": "x"}'}, False),
        ("{'SS': ['a', 'b']}", {"SS": ["a", "b"]}, True),
        ("{'B': b'\\x00'}", {"B": b"\x00"}, True),
        ("{'S': 1}", {"S": "{'S': 1}"}, False),
        ("{broken", {"S": "{broken"}, False),
        ("True", {"BOOL": True}, False),
        ("1.50", {"N": "1.50"}, False),
        ("text", {"S": "text"}, False),
        ("[" * 50_000, {"S": "[" * 50_000}, False),
    ],
)
def test_cells_of_the_csv(cell: str, value: dict[str, Any], sure: bool) -> None:
    assert typed_cell(cell) == (value, sure)


@pytest.mark.parametrize(
    "content", ["", "a,b\n1,2\n", "PK,SK,PK\n1,2,3\n", "PK,SK,data\n1,2\n", 'PK,SK\n1,"2\n', "PK,SK\n1,\xff\n"]
)
def test_a_damaged_or_foreign_csv_is_refused(client: Any, context: Context, tmp_path: Path, content: str) -> None:
    path = tmp_path / "b.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(BadInput, match=r"[.]$"):
        import_rows(context, open_source(path), NEW)
    assert scan(client, NEW) == []


def test_times_in_seconds_and_milliseconds_compare() -> None:
    assert moment_of({"createdAt": {"N": "1725000000"}}) == moment_of({"updatedAt": {"N": "1725000000000"}})
    assert moment_of({"createdAt": {"S": "yesterday"}}) == 0
