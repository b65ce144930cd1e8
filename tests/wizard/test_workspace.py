"""A workspace that was damaged, edited by hand, or is of another program: one sentence, the right status, nothing touched."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Aws
from tests.wizard.cli_run import Cli, reach
from tests.wizard.migration.few import fill
from tests.wizard.migration.stage import MAP, Dump, Stage, s
from tests.wizard.migration.stage import before as before_the_write
from wizard.cli import main
from wizard.errors import BadInput
from wizard.workspace import Workspace, log_handler

COMMANDS = (
    ("migrate", "status"), ("migrate", "apply", "--yes"), ("migrate", "verify"), ("migrate", "show"), ("report",),
    ("rollback", "--confirm", "ROLLBACK"), ("cleanup", "plan"), ("backup", "show"),
)  # fmt: skip


def edited(**values: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "settings.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return edit


def holds(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def ledger(change: Callable[[sqlite3.Connection], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        database = sqlite3.connect(folder / "ledger.sqlite")
        change(database)
        database.commit()
        database.close()

    return damage


def unreadable(value: str) -> Callable[[Path], None]:
    """A sound file whose values are not: of the plan, and of the changes."""
    columns = (("plans", "tables"), ("changes", "detail"))
    return ledger(lambda db: [db.execute(f"UPDATE {table} SET {column} = {value}") for table, column in columns])


def cut_in_half(folder: Path) -> None:
    path = folder / "ledger.sqlite"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_page_left(folder: Path) -> None:
    path = folder / "ledger.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


DAMAGE: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "settings that are no JSON": (holds("settings.json", b"{"), 2, "settings.json"),
    "settings of another kind": (holds("settings.json", b"[1]"), 2, "settings.json"),
    "settings without an end": (holds("settings.json", b"[" * 100_000), 2, "settings.json"),
    "a pipe": (lambda folder: os.mkfifo(folder / "audit.fifo"), 2, "audit.fifo is no file"),
    "settings of bytes": (holds("settings.json", b'{"a": "\xff"}'), 2, "settings.json"),
    "a version that is text": (edited(format="x"), 2, "format is no number"),
    "a newer program's": (edited(format=9, version="9.9"), 2, "amplify-migrate 9.9"),
    "backups that are no list": (edited(backups=7), 2, "backups is no list"),
    "another account's": (edited(account="999999999999"), 3, "999999999999"),
    "half a ledger": (cut_in_half, 2, "ledger.sqlite"),
    "a ledger of noise": (one_page_left, 2, "damaged"),
    "a ledger that is none": (holds("ledger.sqlite", b"SQLite for"), 2, "ledger.sqlite"),
    "a ledger with values of bytes": (unreadable("CAST(x'7b22ff' AS TEXT)"), 2, "damaged"),
    "a ledger with half a value": (unreadable("'{'"), 2, "damaged"),
    "a ledger without changes": (ledger(lambda db: db.execute("DROP TABLE changes")), 2, "damaged"),
    "a newer ledger": (ledger(lambda db: db.execute("PRAGMA user_version = 99")), 2, "newer"),
    "an empty ledger": (holds("ledger.sqlite", b""), 2, "damaged"),
}
DOES_NOT_MEET = {
    "a ledger with values of bytes": COMMANDS[-1:],
    "a ledger with half a value": COMMANDS[-1:],
    "a ledger without changes": COMMANDS[-1:],
}


@pytest.fixture(scope="module")
def migrated(
    moto_server: Aws, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stage, dict[str, bytes], Dump]]:
    """A deployment that was migrated, the files of its workspace, and what it holds."""
    moto_server.reset()
    stage = fill(Stage(moto_server, tmp_path_factory.mktemp("migrated")))
    stage.migrate()
    folder = stage.folder / "workspace"
    yield stage, {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}, stage.dump()
    moto_server.reset()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_workspace_is_one_sentence_and_loses_nothing(
    migrated: tuple[Stage, dict[str, bytes], Dump],
    damage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stage, files, applied = migrated
    reach(monkeypatch, stage.aws.endpoint)
    for name, content in files.items():
        if not name.startswith("ledger.sqlite-"):
            (tmp_path / name).write_bytes(content)
    spoil, code, words = DAMAGE[damage]
    spoil(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in ("ledger.sqlite", "users.csv")}
    cli = Cli(stage.deployment, tmp_path, capfd)
    for command in (one for one in COMMANDS if one not in DOES_NOT_MEET.get(damage, ())):
        ended = cli(*command)
        told = cli.printed[-1].strip()
        assert (ended, len(told.splitlines())) == (code, 1), (command, told)
        assert words in told, command
    assert stage.dump() == applied
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"old_id,new_id\nx@example.edu,y\n", b"", None])
def test_a_map_that_is_not_the_planned_one_stops_apply_and_verify(
    migrated: tuple[Stage, dict[str, bytes], Dump],
    content: bytes | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stage, files, applied = migrated
    reach(monkeypatch, stage.aws.endpoint)
    for name in ("ledger.sqlite", "settings.json", "users.csv"):
        (tmp_path / name).write_bytes(files[name])
    (tmp_path / "users.csv").unlink() if content is None else (tmp_path / "users.csv").write_bytes(content)
    cli = Cli(stage.deployment, tmp_path, capfd)
    for command in (("migrate", "verify"), ("cleanup", "apply", "--force")):
        assert cli(*command) in (2, 3), cli.printed[-1]
        assert len(cli.printed[-1].strip().splitlines()) == 1, cli.printed[-1]
    assert stage.dump() == applied


def test_a_workspace_that_is_taken_away_in_the_middle_stops_the_run(aws: Aws, tmp_path: Path) -> None:
    stage = Stage(aws, tmp_path)
    stage.create("lambda/accounts")
    stage.put("lambda/accounts", *({"user": s(user)} for user in MAP))
    stage.plan()
    before, context = stage.dump(), stage.context()
    folder, away = context.workspace.folder, tmp_path / "away"
    before_the_write(context, "PutItem", lambda _: folder.rename(away) if folder.exists() else None, times=9)
    ended = stage.run("migrate", "apply", context=context)
    assert (ended.code, f"{folder} is gone" in ended.text) == (3, True), ended
    away.rename(folder)
    assert stage.run("rollback").code == 0 and stage.dump() == before
    stage.migrate()


def test_a_folder_of_others_is_not_made_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    home.mkdir(mode=0o755)
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setenv("HOME", str(home))
    for folder, mode in ((home, 0o755), (shared, 0o1777), (Path("/"), stat.S_IMODE(Path("/").stat().st_mode))):
        with pytest.raises(BadInput, match="of its own"):
            Workspace(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == mode
        assert folder == Path("/") or not list(folder.iterdir())


def test_a_workspace_that_was_copied_with_other_modes_is_its_owners_only_again(tmp_path: Path) -> None:
    folder, outside = tmp_path / "copy", tmp_path / "outside"
    Workspace(folder).write_audit({})
    for path in (
        folder / "logs" / "amplify-migrate.log",
        folder / "backups" / "x.json.gz",
        folder / "new" / "y",
        outside,
    ):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (folder / "reports" / "link").symlink_to(outside)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    Workspace(folder)
    for path in (folder, *folder.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o666 if path.is_symlink() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_who_has_no_home_gives_a_workspace(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    reach(monkeypatch, aws.endpoint)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    words = ["migrate", "status", "--dep-name", "v6", "--stage", "dev"]
    assert (main(words), "give --workspace" in capfd.readouterr().err) == (2, True)
    assert main([*words, "--workspace", str(tmp_path)]) == 0


def test_two_that_add_to_one_list_of_the_settings_both_do(tmp_path: Path) -> None:
    names = [str(number) for number in range(40)]

    def add(name: str) -> None:
        Workspace(tmp_path).remember(lambda known: {"tried": [*known.get("tried", []), name]})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, names))
    assert sorted(Workspace(tmp_path).settings()["tried"]) == sorted(names)


def test_binary_keys_fit_into_a_line_of_the_audit_log(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write_audit({"Key": {"id": {"B": b"\0\xff"}}})
    assert json.loads(workspace.audit_log.read_text()) == {"Key": {"id": {"B": "AP8="}}}


FULL = """
import pathlib, resource, signal, sys
from wizard.errors import Failed
from wizard.workspace import Workspace
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
workspace, refused = Workspace(pathlib.Path(sys.argv[1])), 0
print("begun", flush=True)
while not (workspace.folder / "ended").exists():
    room = workspace.audit_log.stat().st_size + 20_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        workspace.write_audit({"long": "x" * 30_000})
    except Failed:
        refused += 1
print(refused)
"""


def test_a_disk_that_fills_up_under_one_process_costs_no_line_of_another(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write_audit({"number": -1})
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "begun\n"
            for number in range(3_000):
                workspace.write_audit({"number": number})
            (tmp_path / "ended").touch()
            assert int(other.stdout.read()) > 10
        finally:
            other.kill()
    assert [json.loads(line)["number"] for line in workspace.audit_log.open()] == list(range(-1, 3_000))


def test_a_log_that_is_full_goes_on_in_a_file_of_the_owners_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        workspace = Workspace(tmp_path / "new" / "w")
        handler = log_handler(workspace.log_file)
        assert isinstance(handler, logging.handlers.RotatingFileHandler)
        handler.maxBytes = 10
        for number in range(3):
            handler.emit(logging.LogRecord("x", logging.INFO, "", 0, f"line {number}", (), None))
        handler.close()
    finally:
        os.umask(before)
    assert len(list(workspace.logs.iterdir())) > 2
    for path in (tmp_path / "new", *(tmp_path / "new").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_log_that_the_disk_does_not_take_is_told_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = log_handler(Path("/dev/full"))
    logging.getLogger("wizard").addHandler(handler)
    try:
        for number in range(3):
            logging.getLogger("wizard.any").warning("line %s", number)
    finally:
        logging.getLogger("wizard").removeHandler(handler)
    assert [text for text in caplog.messages if "cannot" in text] == [
        "The log file /dev/full cannot be written: [Errno 28] No space left on device"
    ]
    assert "Traceback" not in capfd.readouterr().err
