"""The ledger keeps what it was given, whole or not at all, and says what is wrong with a file that is none."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from wizard.errors import BadInput, Blocked, Failed
from wizard.migration.entry import Entry
from wizard.migration.ledger import FORMAT, Ledger
from wizard.migration.rewrite import Change, Edit
from wizard.migration.states import UNDOABLE
from wizard.results import LedgerResults
from wizard.workspace import PLANNED_MAP


def s(value: str) -> dict[str, str]:
    return {"S": value}


def change(source: str, target: str = "", **more: Any) -> Entry:
    fields: dict[str, Any] = {
        "rank": 1, "row": "ACCOUNTS_DYNAMO_TABLE", "kind": "item", "action": "copy", "source_place": "t",
        "source_key": {"user": s(source)}, "target_place": "t", "target_key": {"user": s(target or f"new {source}")},
    }  # fmt: skip
    return Entry(**{**fields, **more})


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


# --- what goes in comes out -------------------------------------------------------------------------------------------


def test_an_entry_comes_back_as_it_was(ledger: Ledger) -> None:
    entry = change(
        "ann", users=("ann", "b'ob\n"),
        edits=(Edit(("user",), s("ann"), s("new")), Edit(("p", 1), s("x"), None, ("object", "B", "k"))),
        written=(Change(("a", "b.c"), None, {"B": b"\0"}),), removed={"user": s("ann"), "n": {"N": "1.50"}},
        detail={"size": 3, "list": [1]}, source_digest="d1", target_digest="d2", intent=True, note="n", attempts=2,
    )  # fmt: skip
    ledger.put(entry)
    (found,) = ledger.select()
    assert Entry(**{**found.__dict__, "id": 0, "updated": 0.0}) == entry


def test_what_can_be_undone_is_counted_by_each_trace_of_it(ledger: Ledger) -> None:
    traces: list[dict[str, Any]] = [
        {}, {"created": True}, {"created": False}, {"made": True}, {"deactivated": True}, {"object_etag": "d41d"},
        {"object_etag": "9fff"}, {"object_etag": ""}, {"archived": [["k", "e"]]}, {"archived": []},
    ]  # fmt: skip
    for number, detail in enumerate(traces):
        for state, more in (("verified", {}), ("kept", {"was_made": True}), ("kept", {}), ("rolled back", {})):
            ledger.put(change(f"{number} {state} {more}", state=state, detail={**detail, **more}))
    undoable = [entry for entry in ledger.select() if entry.undoable]
    assert len(undoable) == 12
    assert ledger.counts(where=UNDOABLE) == {"verified": 6, "kept": 6}


# --- states -----------------------------------------------------------------------------------------------------------


def test_the_same_change_is_there_once(ledger: Ledger) -> None:
    ledger.put(change("ann"))
    ledger.put(change("ann", note="again"))
    ledger.put(change("ann", kind="content"))
    assert [(entry.kind, entry.note) for entry in ledger.select()] == [("item", "again"), ("content", "")]


def test_a_new_plan_forgets_what_was_not_begun(ledger: Ledger) -> None:
    states = ("planned", "conflict", "failed", "applied", "verified", "cleaned", "kept", "resolved", "rolled back")
    for state in states:
        ledger.put(change(state, state=state))
    ledger.put(change("in flight", intent=True))
    ledger.put(change("summed", state="conflict", removed={"user": s("summed")}))
    ledger.drop_open()
    left = {entry.source_key["user"]["S"] for entry in ledger.select()}
    assert left == {*states[3:], "in flight", "summed"}


def test_batches_go_on_while_changes_leave_their_state(ledger: Ledger) -> None:
    for index in range(10):
        ledger.put(change(f"{index}", rank=index % 3))
    seen = []
    for batch in ledger.batches(("planned",), 3):
        seen += [(entry.rank, entry.id) for entry in batch]
        ledger.save([entry.becomes("applied") for entry in batch])
    assert seen == sorted(seen)
    assert len(set(seen)) == 10
    assert ledger.counts() == {"applied": 10}


def test_changes_are_found_by_user_table_and_state(ledger: Ledger) -> None:
    ledger.put(change("ann", users=("ann",)))
    ledger.put(change("anna", users=("anna",), source_place="other", target_place="other", state="applied"))
    assert [entry.source_key["user"]["S"] for entry in ledger.select(user="ann")] == ["ann"]
    assert [entry.source_key["user"]["S"] for entry in ledger.select(table="other")] == ["anna"]
    assert [entry.source_key["user"]["S"] for entry in ledger.select(("applied",))] == ["anna"]
    assert len(ledger.select(table="ACCOUNTS_DYNAMO_TABLE")) == 2
    assert ledger.select(user="' OR 1=1 --") == []


def test_the_best_state_of_a_target(ledger: Ledger) -> None:
    for source, state in (("a", "planned"), ("b", "verified"), ("c", "conflict")):
        ledger.put(change(source, "one", state=state))
    ledger.put(change("d", "two", state="conflict"))
    assert ledger.target_state("t", {"user": s("one")}) == "verified"
    assert ledger.target_state("t", {"user": s("two")}) == ledger.target_state("t", {"user": s("none")}) == ""


def test_content_of_one_source_is_not_that_of_one_whose_key_begins_alike(ledger: Ledger) -> None:
    for key in ("1", "12", '1"'):
        for part in ("a", "b"):
            ledger.put(
                change(
                    key, kind="content", source_key={"id": s(key), "part": s(part)}, target_key={"PK": s(key + part)}
                )
            )
    assert [entry.source_key["part"]["S"] for entry in ledger.content_of("t", {"id": s("1")})] == ["a", "b"]
    assert len(ledger.content_of("t", {"id": s('1"')})) == 2


# --- all or nothing ---------------------------------------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_nothing(ledger: Ledger) -> None:
    ledger.put(change("before"))
    with pytest.raises(RuntimeError), ledger.transaction():
        ledger.drop_open()
        ledger.put(change("after"))
        raise RuntimeError
    assert [entry.source_key["user"]["S"] for entry in ledger.select()] == ["before"]


def test_a_ledger_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with Ledger(path, writable=False) as ledger, pytest.raises(Failed, match="cannot be written"), ledger.transaction():
        ledger.put(change("ann"))


def test_reading_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.put(change("ann"))
    before = path.read_bytes()
    with Ledger(path, writable=False) as ledger:
        assert (len(ledger.select()), ledger.latest_plan(), ledger.runs(), ledger.backups()) == (1, None, [], {})
    assert path.read_bytes() == before


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.put(change("ann"))
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


# --- files that are no ledger -----------------------------------------------------------------------------------------


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database, whatever its name says" * 100)
    for writable in (True, False):
        with pytest.raises(BadInput, match="cannot be opened"):
            Ledger(path, writable=writable)


def test_a_truncated_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        for index in range(500):
            ledger.put(change(f"{index}", note="x" * 100))
    path.write_bytes(path.read_bytes()[: 4096 + 100])
    with pytest.raises((BadInput, sqlite3.DatabaseError)), Ledger(path) as ledger:
        ledger.select()


def test_one_that_was_emptied_after_a_plan_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.touch()
    Ledger(path).close()  # a first run that was killed as it made it
    path.write_bytes(b"")
    (tmp_path / PLANNED_MAP).touch()
    for writable in (True, False):
        with pytest.raises(BadInput, match="is damaged"):
            Ledger(path, writable=writable)
    path.unlink()
    Ledger(path).close()  # moved away, as it says


def test_the_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(BadInput, match="not a ledger"):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_ledger_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {FORMAT + 1}")
    newer.close()
    with pytest.raises(BadInput, match="newer"):
        Ledger(path)


def test_one_that_is_absent_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(Blocked, match="no plan yet"):
        Ledger(tmp_path / "ledger.sqlite", writable=False)
    assert list(tmp_path.iterdir()) == []


# --- plans and runs ---------------------------------------------------------------------------------------------------


def test_the_newest_plan_and_its_summary(ledger: Ledger) -> None:
    first = ledger.add_plan({"created": 1.0, "account": "1", "scope": {"only": ""}, "tables": {"t": {"id": "x"}}})
    second = ledger.add_plan({"created": 2.0, "account": "2"})
    ledger.summarise_plan(second, {"changes": 3})
    newest = ledger.latest_plan()
    assert newest is not None
    assert (first, newest["id"], newest["account"], newest["summary"]) == (1, second, "2", {"changes": 3})


def test_runs_findings_and_references_are_kept(ledger: Ledger) -> None:
    plan = ledger.add_plan({"created": 1.0})
    ledger.add_run("6c", 1.0, 3, "one conflict", {"done": 2})
    ledger.add_finding(plan, "plan", "attention", "t", "text", "todo")
    ledger.set_unknown_references(plan, {("t", "a.b", "id"): (4, "ann"), ("t", "c", "case"): (9, "bob")})
    (run,) = ledger.runs()
    assert (run["step"], run["code"], run["detail"]) == ("6c", 3, {"done": 2})
    assert [one["text"] for one in ledger.findings(plan)] == ["text"]
    assert [(one["path"], one["count"]) for one in ledger.unknown_references()] == [("c", 9), ("a.b", 4)]
    ledger.add_plan({"created": 2.0})
    assert ledger.unknown_references() == []


def test_changes_are_counted_for_each_person_they_concern(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put(change("ann", users=("ann", "ben")))
        ledger.put(change("anna", users=("ann",), state="conflict"))
    assert LedgerResults(tmp_path / "ledger.sqlite").users() == [
        ("ann", {"planned": 1, "conflict": 1}),
        ("ben", {"planned": 1}),
    ]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs a list of open files")
def test_a_file_that_is_refused_is_not_kept_open(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(BadInput) as caught:
        Ledger(path)
    still = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and link.resolve() == path]
    assert (still, "is not a ledger" in str(caught.value)) == ([], True)


def test_one_of_a_version_that_knew_nothing_of_taken_items_can_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as old:
        old.execute("DROP TABLE taken")
    old.close()
    with Ledger(path, writable=False) as ledger:
        assert ledger.taken() == []


def test_text_that_cannot_be_recorded_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError), Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put(change("ann", note="\udcff"))
