"""Where a migration keeps its files: settings, user map, ledger, logs, backups and reports, readable by the owner only."""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import json
import logging
import logging.handlers
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from wizard import __version__
from wizard.deployment import Deployment
from wizard.errors import BadInput, Blocked, Failed
from wizard.text import plain

log = logging.getLogger(__name__)

FORMAT = 1  # of settings.json and of the folder; raised when an older program could not read what a newer one wrote
PLANNED_MAP = "users.csv"

_SHAPES = {  # of what is remembered, so that a file that was edited by hand is told and not stumbled over
    "format": int, "version": str, "account": str, "region": str, "dep": str, "stage": str, "id": str, "csv_file": str,
    "import_map": str,
    "backups": list, "waivers": list, "tried": list, "deployed": dict, "services_verified": dict,
}  # fmt: skip
_CALLED = {int: "number", str: "text", list: "list of texts", dict: "object"}


def default_folder(account: str, deployment: Deployment) -> Path:
    """`~/.local/state/amplify-migrate/{account}-{region}-{dep}-{stage}` (XDG_STATE_HOME is honoured)."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "amplify-migrate" / f"{account}-{deployment.region}-{deployment.dep}-{deployment.stage}"


def private_opener(path: str, flags: int) -> int:
    """For `open(..., opener=private_opener)`: a new file gets mode 0600 whatever the umask."""
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


@contextlib.contextmanager
def write_whole(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """A file that appears complete or not at all: written beside `path`, flushed to disk, then renamed."""
    partial = path.with_name(f".{path.name}.partial")
    encoding = None if "b" in mode else "utf-8"
    try:
        with open(partial, mode, encoding=encoding, opener=private_opener) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk does not say whose file it was
            error.filename = str(path)
        raise


class PlainFormatter(logging.Formatter):
    """Lines whose control characters are visible escapes; a traceback keeps its line breaks."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(plain(line) for line in super().format(record).split("\n"))


class _LogFile(logging.handlers.RotatingFileHandler):
    """A log whose every file is its owner's only, those begun when one is full as well.

    A disk that does not take it is told once, by the other handlers: a log that is lost stops nothing.
    """

    _told = False

    def _open(self) -> IO[Any]:  # type: ignore[override]
        opener = None if Path(self.baseFilename).exists() else private_opener
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=opener)

    def handleError(self, record: logging.LogRecord) -> None:
        told, self._told = self._told, True
        if not told:
            log.warning("The log file %s cannot be written: %s", self.baseFilename, sys.exc_info()[1])


def log_handler(file: Path) -> logging.Handler:
    """A handler that writes every line to a file."""
    handler = _LogFile(file, maxBytes=50_000_000, backupCount=5, encoding="utf-8")
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)-8s %(name)s: %(message)s"))
    return handler


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, with mode 0700 whatever the umask."""
    if not folder.parent.exists():
        make_private(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        folder.chmod(0o700)


def _close_to_others(folder: Path) -> None:
    """Take from a folder and all in it what a copy, or whoever made it, allowed to others. Raises OSError for the folder."""
    folder.chmod(0o700)
    with contextlib.suppress(OSError):  # another process may just be taking a file away
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                mode = path.lstat().st_mode
                if mode & 0o077 and not stat.S_ISLNK(mode):
                    path.chmod(stat.S_IMODE(mode) & 0o700)


def _is_not_for_us_alone(folder: Path) -> bool:
    """Whether a folder is the root, somebody's home, or open to all for their temporary files."""
    try:
        found = folder.stat()
        if found.st_mode & stat.S_ISVTX or os.path.samestat(found, Path("/").stat()):
            return True
        return os.path.samestat(found, Path.home().stat())
    except (OSError, RuntimeError):  # it does not exist, or says so itself when it is used; or nobody has a home here
        return False


def _is_strange(path: Path) -> bool:
    """Whether it is neither a file nor a folder; what another process has just moved away is not."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class Workspace:
    """The folder of one migration. Opening it creates it; nothing in it is shared with other migrations."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._alone = False
        self._audit_lock = threading.Lock()
        if _is_not_for_us_alone(folder):  # its mode must not be changed
            raise BadInput(
                f"{folder} holds more than a migration; give a --workspace of its own, like {folder / 'migration'}."
            )
        try:
            for path in (folder, self.logs, self.backups, self.reports, self.runs):
                make_private(path)
            _close_to_others(folder)
            strange = [path for path in folder.iterdir() if _is_strange(path)]
        except OSError as error:
            raise BadInput(
                f"The workspace {folder} cannot be used: {error.strerror}. Give another --workspace."
            ) from error
        if strange:  # a pipe would be waited for
            raise BadInput(f"{strange[0]} is no file; move it away, or give another --workspace.")
        settings = self.settings()
        if settings.get("format", FORMAT) > FORMAT:
            raise BadInput(
                f"The workspace {folder} was written by amplify-migrate {settings.get('version')};"
                f" this is {__version__}. Use the newer program."
            )

    logs = property(lambda self: self.folder / "logs")
    backups = property(lambda self: self.folder / "backups")
    reports = property(lambda self: self.folder / "reports")
    runs = property(lambda self: self.folder / "running")  # a locked file for each command that goes on
    ledger = property(lambda self: self.folder / "ledger.sqlite")
    user_map = property(lambda self: self.folder / PLANNED_MAP)  # the map that all plans were made from
    audit_log = property(lambda self: self.folder / "audit.jsonl")
    command_log = property(lambda self: self.folder / "commands.jsonl")
    log_file = property(lambda self: self.logs / "amplify-migrate.log")

    def still_there(self) -> None:
        """Raise Blocked when the folder was taken away meanwhile: what it remembers must not be taken for nothing."""
        if not self.logs.is_dir():
            raise Blocked(
                f"The workspace {self.folder} is gone. Put it back and go on from there, or start once more with a new one."
            )

    def settings(self) -> dict[str, Any]:
        """What was written last with `remember`; {} in a new workspace."""
        path = self.folder / "settings.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise BadInput(f"{path} cannot be read ({error}); move it away to start over.") from error
        if not isinstance(found, dict):
            raise BadInput(f"{path} is not a settings file; move it away to start over.")
        for name, shape in _SHAPES.items():
            whole = name not in found or type(found[name]) is shape
            if not whole or (shape is list and not all(isinstance(one, str) for one in found.get(name, ()))):
                raise BadInput(
                    f"{path} was changed: {name} is no {_CALLED[shape]}; put it right, or move the file away."
                )
        return found

    def remember(self, values: Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]) -> dict[str, Any]:
        """Merge `values` into settings.json, one process after another; returns what is remembered by then.

        What adds to a list or a map there is given as a function of the settings, so that two processes both add.
        """
        with self._turn():
            known = self.settings()
            added = values(known) if callable(values) else values
            merged = {**known, **added, "format": FORMAT, "version": __version__}
            with write_whole(self.folder / "settings.json") as file:
                json.dump(merged, file, indent=2)
            return merged

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """One process after another, for an instant."""
        with open(self.folder / "settings.lock", "a", opener=private_opener) as turn:
            with contextlib.suppress(OSError):  # file systems without locks: as good as it gets
                fcntl.flock(turn, fcntl.LOCK_EX)
            yield

    def belongs_to(self, account: str, deployment: Deployment) -> None:
        """Bind a new workspace to its account and deployment; refuse another's."""
        mine = {"account": account, "region": deployment.region, "dep": deployment.dep, "stage": deployment.stage}
        known = {key: self.settings().get(key) for key in mine}
        if not any(known.values()):
            self.remember(mine)
        elif known != mine:
            theirs = f"{known['dep']}/{known['stage']} in {known['region']} of account {known['account']}"
            raise Blocked(
                f"The workspace {self.folder} is of {theirs}, not of {deployment.label} of account {account}."
            )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold this workspace for writing. Another living process of it is refused; a dead one's hold is gone.

        What is held by this object already is held by the outer of the two.
        """
        if self._alone:
            yield
            return
        with open(self.folder / "lock", "a+", encoding="utf-8", opener=private_opener) as file:
            try:
                if not _lock_now(file):
                    time.sleep(0.1)  # whoever has just taken it may not have put its name there yet
                    if not _lock_now(file):
                        file.seek(0)
                        holder = file.read().strip() or "another process"
                        raise Blocked(f"The workspace {self.folder} is in use by {holder}; wait for it or stop it.")
            except OSError as error:  # ENOLCK, ENOTSUP: some network file systems
                raise BadInput(
                    f"Files cannot be locked in the workspace {self.folder} ({error.strerror});"
                    " give another --workspace, on a local disk."
                ) from error
            file.truncate(0)
            file.write(f"process {os.getpid()}")
            file.flush()
            self._alone = True
            try:
                yield
            finally:
                self._alone = False

    @contextlib.contextmanager
    def running(self, run: str) -> Iterator[None]:
        """Let others see that `run` goes on, by a lock which nobody else wants and which ends with this process.

        What killed runs left of theirs is removed. Where no file can be written or locked, nobody sees it.
        """
        mine = self.runs / run
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError), self._turn():
                for other in self.runs.iterdir():
                    # Another command may just be ending. NFS locks nothing that is only read.
                    with contextlib.suppress(OSError), other.open("r+b") as file:
                        if _lock_now(file):
                            other.unlink()
                _lock_now(held.enter_context(open(mine, "ab", opener=private_opener)))
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    mine.unlink()

    def is_running(self, run: str) -> bool:
        """Whether the process of `run` still goes on; False as well where that cannot be told."""
        with contextlib.suppress(OSError), self._turn(), (self.runs / run).open("r+b") as file:
            return not _lock_now(file)
        return False

    def write_audit(self, entry: Mapping[str, Any]) -> None:
        """Append one line to audit.jsonl; raises Failed when it cannot be kept, so that no write goes unrecorded."""
        try:
            self._append(self.audit_log, entry)
        except OSError as error:
            raise Failed(
                f"The audit log {self.audit_log} cannot be written: {error.strerror}."
                " Mend that, then run the same command again; it goes on from here."
            ) from error

    def write_command(self, entry: Mapping[str, Any]) -> None:
        """Append one line to commands.jsonl. A full disk costs the line only: looking must still be possible."""
        try:
            self._append(self.command_log, entry)
        except OSError as error:
            log.warning("%s cannot be written: %s", self.command_log, error.strerror)

    def _append(self, path: Path, entry: Mapping[str, Any]) -> None:
        """Append one line of JSON, or nothing: half a line would spoil the next one, of this process or another."""
        line = (_json_line(entry) + "\n").encode()
        with self._audit_lock, open(path, "ab", buffering=0, opener=private_opener) as file:
            with contextlib.suppress(OSError):  # file systems without locks: as good as it gets
                fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            if file.write(line) < len(line):
                file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _lock_now(file: IO[Any]) -> bool:
    """Lock a file until it is closed; False while another has it. Raises OSError where files cannot be locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _json_line(entry: Mapping[str, Any]) -> str:
    """An entry of the logs as one line of JSON; binary keys in base64."""
    return json.dumps(entry, default=lambda value: base64.b64encode(bytes(value)).decode("ascii"), ensure_ascii=True)
