"""Reading and writing the CSV, and every complaint that the rows alone can give."""

from __future__ import annotations

import datetime
import os
import stat
import string
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard import usermap
from wizard.errors import BadInput
from wizard.storage_key import sanitise_user
from wizard.text import plain
from wizard.usermap import Complaint, MapRow, UserMap, read_map, write_map
from wizard.usermap_checks import check_rows
from wizard.users import check_file, load_map

NOW = datetime.datetime(2026, 3, 4, 5, 6, 7)


def file_of(tmp_path: Path, content: bytes | str) -> Path:
    path = tmp_path / "migration_users.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def complaints_of(tmp_path: Path, *rows: str) -> list[Complaint]:
    return check_file(file_of(tmp_path, "\n".join(["old_id,new_id", *rows]) + "\n"))[1]


def only(complaints: list[Complaint], level: str) -> list[tuple[int, str]]:
    return [(complaint.line, complaint.text) for complaint in complaints if complaint.level == level]


# --- what spreadsheets leave behind is accepted ---------------------------------------------------------------------


def test_a_plain_file_gives_its_rows_and_nothing_to_say(tmp_path: Path) -> None:
    path = file_of(tmp_path, "old_id,new_id\nada.jones@example.edu,jonesa1\nben.okoro@example.edu,okorobe\n")
    user_map, complaints = read_map(path)
    assert user_map.rows == (
        MapRow(2, "ada.jones@example.edu", "jonesa1"),
        MapRow(3, "ben.okoro@example.edu", "okorobe"),
    )
    assert complaints == []
    assert load_map(path) == user_map


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\xef\xbb\xbfold_id,new_id\nada@example.edu,jonesa1\n", "byte order mark"),
        (b"old_id,new_id\r\nada@example.edu,jonesa1\r\n", "line feed"),
        (b"old_id,new_id\rada@example.edu,jonesa1\r", "line feed"),
        (b"\nold_id,new_id\n\n  \nada@example.edu,jonesa1\n\n", "blank line"),
        (b" old_id , new_id\n\tada@example.edu , jonesa1 \n", "Spaces"),
        ("old_id,new_id\n\xa0ada@example.edu,jonesa1\u200b\n".encode(), "Spaces"),
        (b'"old_id","new_id"\n"ada@example.edu" , "jonesa1"\n', "Quotes"),
        (b"old_id,new_id,,\nada@example.edu,jonesa1, ,\n", "Empty columns"),
        (b",,\nold_id,new_id\n , \nada@example.edu,jonesa1\n,\n", "blank line"),
    ],
)
def test_what_spreadsheets_add_is_cleaned_and_noted(tmp_path: Path, content: bytes, word: str) -> None:
    user_map, complaints = check_file(file_of(tmp_path, content))
    assert user_map.ids == {"ada@example.edu": "jonesa1"}
    assert {complaint.level for complaint in complaints} == {"note"}
    assert any(word in complaint.text for complaint in complaints)


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    rows = read_map(file_of(tmp_path, "old_id,new_id\r\n\r\na@example.edu,anna\r\n\r\nb@example.edu,bert"))[0].rows
    assert [row.line for row in rows] == [3, 5]


def test_a_quoted_comma_belongs_to_the_id(tmp_path: Path) -> None:
    rows = read_map(file_of(tmp_path, 'old_id,new_id\n"doe, ""j"" x",doej1\n'))[0].rows
    assert rows == (MapRow(2, 'doe, "j" x', "doej1"),)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ("new_id,old_id", "swapped"),
        ("old_id;new_id", "commas"),
        ("old_id\tnew_id", "commas"),
        ("old_id,new_id,email", "3 columns"),
        ("Old_ID,New_ID", "lower case"),
        ("ada@example.edu,jonesa1", "must be the header"),
        ("ada@example.edu,jonesa1,s3kr1t", "'ada@example.edu,jonesa1,…'"),
        ("ada@example.edu;jonesa1;s3kr1t", "'ada@example.edu;jonesa1;…'"),
        ('"old_id,new_id', "must be the header"),
    ],
)
def test_a_wrong_header_is_named_with_what_is_wrong(tmp_path: Path, header: str, word: str) -> None:
    errors = only(check_file(file_of(tmp_path, f"{header}\nben@example.edu,okorobe\n"))[1], "error")
    assert len(errors) == 1
    assert errors[0][0] == 1
    assert word in errors[0][1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"ada@example.edu,", "new_id is empty"),
        (b",jonesa1", "old_id is empty"),
        (b'"",""', "Both cells are empty"),
        (b"ada@example.edu,,", "new_id is empty"),
        (b"ada@example.edu", "1 column instead of 2"),
        (b"ada@example.edu,jonesa1,s3kr1t", "3 columns instead of 2 in 'ada@example.edu,jonesa1,…'"),
        (b'"ada@example.edu,jonesa1,s3kr1t', "Quotes do not pair up in '\"ada@example.edu,jonesa1,…'"),
        (b'ada"x"@example.edu,jonesa1', "Quotes do not pair up"),
        (b"ad\xe9@example.edu,jonesa1", "not UTF-8"),
        (b"ada@example.edu,jon\x00esa1", "U+0000"),
        (b"ada@example.edu,jon\x1besa1", "U+001B"),
        ("ada@example.edu,jon\u202eesa1".encode(), "U+202E"),
        (b"ada#x@example.edu,jonesa1", "contains #"),
        (b"ada@example.edu,jones/a#1", "contains # and /"),
        (b"ada@example.edu," + b"x" * 1_025, "a DynamoDB key holds 1,024"),
        (b"x" * 2_049 + b",jonesa1", "a DynamoDB key holds 2,048"),
        (b"ada@example.edu,system", "use for themselves"),
        (b"ada@example.edu,..", "step in a path"),
        (b"x" * 11_000 + b",jonesa1", "longer than 10,000"),
    ],
)
def test_a_bad_line_is_named_with_its_reason(tmp_path: Path, line: bytes, reason: str) -> None:
    path = file_of(tmp_path, b"old_id,new_id\nben@example.edu,okorobe\n" + line + b"\n")
    errors = only(check_file(path)[1], "error")
    assert [number for number, _ in errors] == [3]
    assert reason in errors[0][1]
    assert "\x1b" not in errors[0][1]
    with pytest.raises(BadInput, match="line 3"):
        load_map(path)


@pytest.mark.parametrize("content", ["", "\n\n", "old_id,new_id\n", "old_id,new_id\n\n"])
def test_a_file_without_users_is_an_error(tmp_path: Path, content: str) -> None:
    assert only(check_file(file_of(tmp_path, content))[1], "error")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_for_what_it_is(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(BadInput, match="UTF-16"):
        read_map(file_of(tmp_path, "old_id,new_id\na@example.edu,anna\n".encode(encoding)))


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")  # opened, it would be waited for
    with pytest.raises(BadInput, match="is no file"):
        read_map(tmp_path / "pipe.csv")
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            load_map(path)


# --- rows against each other ------------------------------------------------------------------------------------------


def test_duplicates_name_both_lines(tmp_path: Path) -> None:
    errors = only(
        complaints_of(tmp_path, "a@example.edu,anna", "a@example.edu,arno", "b@example.edu,anna", "a@example.edu,anna"),
        "error",
    )
    assert {line for line, _ in errors} == {3, 4, 5}
    assert any("old_id 'a@example.edu' is on line 2 already" in text for line, text in errors if line == 3)
    assert any("new_id 'anna' is on line 2 already" in text for line, text in errors if line == 4)
    assert [text for line, text in errors if line == 5] == [
        "the whole row is on line 2 already. One user has one new id; keep one of the lines."
    ]


def test_chains_and_swaps_are_errors_and_rows_that_change_nothing_are_not(tmp_path: Path) -> None:
    errors = only(
        complaints_of(tmp_path, "anna1,bert1", "bert1,carl1", "dora1,emil1", "emil1,dora1", "fred1,fred1"), "error"
    )
    assert [line for line, _ in errors] == [2, 4, 5]
    assert "line 3 (a chain)" in errors[0][1]
    assert "line 5 are swapped" in errors[1][1]
    assert "line 4 are swapped" in errors[2][1]


def test_ids_that_become_one_storage_key_are_an_error(tmp_path: Path) -> None:
    errors = only(complaints_of(tmp_path, "a@example.edu,o'neil", "b@example.edu,o+neil", "o-neil,other"), "error")
    assert [line for line, _ in errors] == [3, 4]
    assert all("'o-neil'" in text and "line 2" in text for _, text in errors)


def test_one_user_whose_ids_share_a_storage_key_is_no_error(tmp_path: Path) -> None:
    assert not only(complaints_of(tmp_path, "o'neil@example.edu,o-neil@example.edu"), "error")


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        (("Jane@example.edu,doej1", "jane@example.edu,doej2"), 3, "differs only by case"),
        (("a@example.edu,DoeJ1", "b@example.edu,doej1"), 3, "differs only by case"),
        (("ann,smith1", "anna,smith2"), 3, "begins with the id 'ann' of line 2"),
        (("a@example.edu,jo", "b@example.edu,bert"), 2, "fewer than 4"),
        (("o'neil@example.edu,neil1",), 2, "storage keys spell it 'o-neil@example.edu'"),
        (("doej1,a@example.edu", "smithb,b@example.edu"), 2, "columns are not swapped"),
        (("Staff_0a1b2c3d-1111-2222-3333-444455556666,abcd",), 2, "form of a group id"),
    ],
)
def test_what_works_but_is_rarely_meant_needs_attention(
    tmp_path: Path, rows: tuple[str, ...], line: int, reason: str
) -> None:
    complaints = complaints_of(tmp_path, *rows)
    assert not only(complaints, "error")
    assert any(number == line and reason in text for number, text in only(complaints, "attention"))
    load_map(tmp_path / "migration_users.csv")


def test_eight_digits_are_noted_and_work(tmp_path: Path) -> None:
    complaints = complaints_of(tmp_path, "20250101,jonesa1", "b@example.edu,10000002")
    assert {complaint.level for complaint in complaints} == {"note"}
    assert "(line 2, 3)" in complaints[0].text


def test_a_map_that_changes_no_id_is_scenario_b(tmp_path: Path) -> None:
    same = check_file(file_of(tmp_path, "old_id,new_id\njonesa1,jonesa1\nokorobe,okorobe\n"))
    assert same[0].scenario == "b"
    assert same[0].changed == {}
    assert [complaint.level for complaint in same[1]] == ["note"]
    mixed = UserMap((MapRow(2, "jonesa1", "jonesa1"), MapRow(3, "b@example.edu", "okorobe")))
    assert mixed.scenario == "a"
    assert mixed.changed == {"b@example.edu": "okorobe"}
    assert mixed.ids == {"jonesa1": "jonesa1", "b@example.edu": "okorobe"}


def test_the_digest_depends_on_the_pairs_only() -> None:
    one = UserMap((MapRow(2, "a", "b"), MapRow(3, "c", "d")))
    assert one.digest == UserMap((MapRow(9, "c", "d"), MapRow(5, "a", "b"))).digest
    assert one.digest != UserMap((MapRow(2, "a", "d"), MapRow(3, "c", "b"))).digest
    assert UserMap((MapRow(2, "a,b", "c"),)).digest != UserMap((MapRow(2, "a", "b,c"),)).digest


def test_many_like_mistakes_are_listed_up_to_a_hundred_and_then_counted(tmp_path: Path) -> None:
    errors = only(complaints_of(tmp_path, *(f"user{number}," for number in range(250))), "error")
    assert len(errors) == usermap.LISTED + 1
    assert any("150 more lines" in text for _, text in errors)
    errors = only(complaints_of(tmp_path, *(f"a#{number:04},b{number:04}" for number in range(250))), "error")
    assert len(errors) == usermap.LISTED + 1
    assert "149 more lines" in errors[-1][1]


def test_a_large_map_is_read_and_checked_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write("old_id,new_id\n")
        for number in range(200_000):
            file.write(f"{'department.of.something.' * 9}{number:06}@example.edu,{number:06}\n")
    assert path.stat().st_size > 48_000_000
    user_map, complaints = check_file(path)
    assert len(user_map.rows) == 200_000
    assert not only(complaints, "error")


def test_an_endless_line_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = file_of(tmp_path, b"old_id,new_id\n" + b"x" * 30_000_000)
    tracemalloc.start()
    complaints = check_file(path)[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "longer than" in only(complaints, "error")[0][1]
    assert peak < 5_000_000


def test_more_than_any_map_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, "old_id,new_id\n" + "".join(f"a{number},b{number}\n" for number in range(20)))
    monkeypatch.setattr(usermap, "MAX_ROWS", 10)
    with pytest.raises(BadInput, match="more than 10 rows"):
        read_map(path)
    monkeypatch.setattr(usermap, "MAX_BYTES", 100)
    with pytest.raises(BadInput, match="the limit is 100"):
        read_map(path)


# --- properties -------------------------------------------------------------------------------------------------------

WORD = st.text(string.ascii_letters + string.digits + "@._-+'\" ,;éß日", min_size=1, max_size=12).map(str.strip)
PAIRS = st.lists(st.tuples(WORD.filter(bool), WORD.filter(bool)), min_size=1, max_size=8)


@given(
    content=st.one_of(st.binary(max_size=400), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
)
def test_no_content_whatever_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    for start in (b"", b"old_id,new_id\n"):
        path = file_of(tmp_path_factory.mktemp("map"), start + content)
        try:
            user_map, complaints = check_file(path)
        except BadInput:
            continue
        assert user_map.rows or any(complaint.level == "error" for complaint in complaints)
        assert all(plain(complaint.text) == complaint.text for complaint in complaints)
        assert len(user_map.digest) == 64


@given(pairs=PAIRS)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("map") / "map.csv"
    assert write_map(path, pairs, NOW) is None
    assert [(row.old, row.new) for row in read_map(path)[0].rows] == pairs


@given(st.lists(st.text("ab", min_size=1, max_size=4), unique=True, max_size=12))
def test_every_id_that_begins_with_another_is_named_once(ids: list[str]) -> None:
    user_map = UserMap(tuple(MapRow(line, identity, identity) for line, identity in enumerate(ids, 2)))
    named = {complaint.line for complaint in check_rows(user_map) if "begins with the id" in complaint.text}
    longer = {line for line, one in enumerate(ids, 2) if any(one != other and one.startswith(other) for other in ids)}
    assert named == longer


ID = st.text("aA'-1", min_size=1, max_size=3)


@given(st.lists(st.tuples(ID, ID), min_size=1, max_size=5))
def test_a_map_without_errors_keeps_people_apart_and_any_other_map_has_one(pairs: list[tuple[str, str]]) -> None:
    user_map = UserMap(tuple(MapRow(line, old, new) for line, (old, new) in enumerate(pairs, 2)))
    olds, news = [old for old, _ in pairs], [new for _, new in pairs]
    once = len(set(olds)) == len(olds) and len(set(news)) == len(news)
    # Nobody's new id, as it is and as storage keys spell it, is or was another person's.
    apart = all(
        sanitise_user(one) != sanitise_user(other)
        for row, pair in enumerate(pairs)
        for another in pairs[row + 1 :]
        for one in pair
        for other in another
    )
    errors = [complaint for complaint in check_rows(user_map) if complaint.level == "error"]
    assert bool(errors) == (not (once and apart))
    assert all(complaint.line for complaint in errors)


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_written_map_is_private_and_the_old_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "migration_users.csv"
    write_map(path, [("a", "b")], NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = write_map(path, [("c", "d")], NOW)
    second = write_map(path, [("e", "f")], NOW)
    assert first == tmp_path / "migration_users.csv.backup.20260304_050607"
    assert second == tmp_path / "migration_users.csv.backup.20260304_050607.2"
    assert [kept.read_text() for kept in (first, second)] == ["old_id,new_id\na,b\n", "old_id,new_id\nc,d\n"]
    assert stat.S_IMODE(first.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        write_map(tmp_path / "absent" / "map.csv", [("a", "b")], NOW)
