"""The commands. Arguments and exit status are handled here; the questions are in `gate`, the work in the engine."""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import io
import json
import logging
import os
import shlex
import sqlite3
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from wizard import __version__
from wizard.console import FILE_ONLY, Console, logged, say, somebody_is_there, stopping
from wizard.errors import BadInput, Blocked, Failed, MigrateError
from wizard.events import Control, Feed
from wizard.journey import Outcome
from wizard.text import plain, without_credentials
from wizard.who import user_at_host

if TYPE_CHECKING:
    from wizard.context import Context
    from wizard.session import Choice, Session

log = logging.getLogger(__name__)

_GROUPS = (
    "deployment", "preflight", "parameters", "services", "storage", "endpoint", "users", "migrate", "report",
    "sandbox", "demo",
)  # fmt: skip
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_NO_THREAD = "can't start new thread"  # of CPython's RuntimeError, which has no type of its own
_CHECKOUT_SIGNS = ("serverless-compose.yml", "scripts/config.py", "amplify-lambda/serverless.yml")


class _Parser(argparse.ArgumentParser):
    """Usage errors become BadInput, so that `--json` and the exit status hold for them as well."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message[:1].upper()}{message[1:]}. See `{self.prog} --help`.")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


_count.__name__ = "number"


def common_options() -> argparse.ArgumentParser:
    """The options that every command takes."""
    common = argparse.ArgumentParser(add_help=False)
    group = common.add_argument_group("options of every command")
    group.add_argument("--dep-name", metavar="NAME", help="DEP_NAME, like v6")
    group.add_argument("--stage", metavar="NAME", help="STAGE, like dev")
    group.add_argument("--region", metavar="NAME", help="AWS region; boto3's choice by default")
    group.add_argument("--profile", metavar="NAME", help="AWS profile; boto3's choice by default")
    group.add_argument("--workspace", metavar="DIR", type=Path, help="folder of this migration's files")
    group.add_argument("--json", action="store_true", help="one JSON document on stdout, text on stderr")
    group.add_argument("--log", metavar="FILE", type=Path, help="write the full log here instead of the workspace")
    group.add_argument("--yes", action="store_true", help="answer ordinary questions with yes (never a typed word)")
    group.add_argument("--confirm", metavar="WORD", default="", help="the word that a destroying command asks for")
    group.add_argument("--force", action="store_true", help=argparse.SUPPRESS)
    group.add_argument("--max-read-units", metavar="N", type=_count, default=0, help="DynamoDB read units per second")
    group.add_argument("--max-write-units", metavar="N", type=_count, default=0, help="DynamoDB write units per second")
    group.add_argument("--workers", metavar="N", type=_count, default=16, help="requests side by side (default 16)")
    group.add_argument("--debug", action="store_true", help="more in the log, and tracebacks")
    return common


@functools.cache  # the wizard parses a command line for each of its actions
def build_parser(groups: tuple[str, ...] = _GROUPS) -> argparse.ArgumentParser:
    """Every command; without one the wizard starts. No groups: the options of the wizard alone, without boto3."""
    common = common_options()
    parser = _Parser(
        prog="amplify-migrate", parents=[common], description="Guided migration of an Amplify GenAI deployment on AWS."
    )
    parser.add_argument("--version", action="version", version=f"amplify-migrate {__version__}")
    faces = parser.add_mutually_exclusive_group()
    faces.add_argument("--plain", action="store_true", help="plain prompts instead of screens")
    faces.add_argument("--auto", action="store_true", help="ask nothing")
    parser.add_argument("--root", metavar="DIR", type=Path, help="the backend's checkout (default: this folder)")
    parser.set_defaults(
        run=None, effect="read", needs="account", word="", announce=None, preview=None, dry_run=False, live=False
    )
    # A command's own copy of the common options must not reset what stood before it.
    inherited = common_options()
    for action in inherited._actions:
        action.default = argparse.SUPPRESS
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for group in groups:
        import_module(f"wizard.commands.{group}").add(commands, inherited)
    _inherit_root(commands)
    return parser


def _inherit_root(commands: argparse._SubParsersAction[Any]) -> None:
    """A command's own --root must not reset one that stood before it either."""
    for parser in commands.choices.values():
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                _inherit_root(action)
            elif action.dest == "root":
                action.default = argparse.SUPPRESS


# --- from options to a context ------------------------------------------------------------------------------------------


def looks_like_checkout(folder: Path) -> bool:
    """Whether a folder is the root of a backend checkout."""
    return any((folder / sign).is_file() for sign in _CHECKOUT_SIGNS)


def connect(choice: Choice, feed: Feed, control: Control, arguments: argparse.Namespace) -> Context:
    """Open account, deployment and workspace; what the choice leaves open comes from options, environment and checkout."""
    import botocore.exceptions

    from wizard.aws import Account
    from wizard.aws_errors import explain
    from wizard.catalog.buckets import BUCKETS
    from wizard.catalog.tables import TABLES
    from wizard.context import Context, endpoint_of, is_sandbox
    from wizard.deployment import Deployment, overrides_from, read_config
    from wizard.workspace import Workspace, default_folder

    root = arguments.root or (Path.cwd() if looks_like_checkout(Path.cwd()) else None)
    config = read_config(root / "scripts" / "config.py") if root else {}
    dep = choice.dep or os.environ.get("DEP_NAME", "") or config.get("DEP_NAME", "")
    stage = choice.stage or os.environ.get("STAGE", "") or config.get("STAGE", "")
    if not dep or not stage:
        missing = "--dep-name" if not dep else "--stage"
        raise BadInput(
            f"Which deployment? Give {missing} (or run in the backend's checkout, whose scripts/config.py says it)."
        )
    account = Account(
        choice.profile or None,
        choice.region or None,
        workers=max(1, arguments.workers),
        max_read_units=arguments.max_read_units,
        max_write_units=arguments.max_write_units,
        feed=feed,
        control=control,
    )
    keys = [*(row.config_key for row in TABLES), *(row.config_key for row in BUCKETS)]
    deployment = Deployment(dep, stage, account.region, overrides_from(os.environ, keys))
    try:
        number = account.id
    except botocore.exceptions.InvalidRegionError as error:
        raise BadInput(
            f"{shlex.quote(plain(account.region))} is no region: give --region one like us-east-1."
        ) from error
    except botocore.exceptions.BotoCoreError as error:
        raise Blocked(
            f"AWS is out of reach: {explain(error).rstrip('.')}. Check the network, the region and AWS_ENDPOINT_URL."
        ) from error
    except botocore.exceptions.ClientError as error:
        raise Blocked(f"AWS does not say whose account this is: {explain(error)}. Check the credentials.") from error
    try:
        folder = Path(arguments.workspace or default_folder(number, deployment)).expanduser()
    except RuntimeError as error:
        raise BadInput("There is no such home directory here; give --workspace another folder.") from error
    workspace = Workspace(folder)
    workspace.belongs_to(number, deployment)
    endpoint = endpoint_of(account)
    return Context(
        deployment, account, workspace, feed, control, root, max(1, arguments.workers), arguments.yes, arguments.confirm,
        other_sandbox=is_sandbox(account, endpoint), endpoint=endpoint,
    )  # fmt: skip


def _choice(arguments: argparse.Namespace) -> Choice:
    from wizard.session import Choice

    return Choice(arguments.dep_name or "", arguments.stage or "", arguments.region or "", arguments.profile or "")


def run_words(words: Sequence[str], context: Context) -> Outcome:
    """Run a command line in a context that exists; whoever calls has asked for the confirmations."""
    arguments = build_parser().parse_args(list(words))
    arguments.yes = True
    return _run(arguments, context)


def _run(arguments: argparse.Namespace, context: Context | None, asking: Control | None = None) -> Outcome:
    """Run a command and record it; `asking` puts its question first."""
    from wizard.gate import gate, writes

    writing = writes(arguments, context)
    if context is None:
        if writing and asking is not None:
            gate(arguments, context, asking)
        outcome: Outcome = arguments.run(arguments, context)
        return outcome
    was, root = context.account.read_only, context.root
    context.account.read_only = was or arguments.dry_run
    try:
        with _recorded(arguments, context) as ended, contextlib.ExitStack() as held:
            if writing and asking is not None:
                gate(arguments, context, asking)
            if writing:
                held.enter_context(context.workspace.alone())
            outcome = arguments.run(arguments, context)
            ended["code"] = outcome.code
            return outcome
    except (Failed, BadInput, OSError, sqlite3.Error) as error:
        context.workspace.still_there()  # else that is the reason
        if isinstance(error, OSError) and error.filename is None and error.errno in _OF_DISKS:  # which name no file
            error.filename = str(context.workspace.folder)
        raise
    finally:
        context.account.read_only = was
        context.root = root  # --root is one command's; a wizard that goes on deploys from its own checkout


@contextlib.contextmanager
def _recorded(arguments: argparse.Namespace, context: Context) -> Iterator[dict[str, int]]:
    """Two lines in commands.jsonl, for the report: who began what, and how it ended. Killed, the second one is missing."""
    run, ended = uuid.uuid4().hex, {"code": 1}
    begun = {
        "run": run, "time": time.time(), "command": " ".join(_names(arguments)), "dry_run": bool(arguments.dry_run),
        "identity": context.account.identity["arn"], "user": user_at_host(), "process": os.getpid(),
        "version": __version__,
    }  # fmt: skip
    with context.workspace.running(
        run
    ):  # before it is on record, so that whoever reads that can tell it from a dead one
        context.workspace.write_command(begun)
        try:
            yield ended
        except MigrateError as error:
            ended["code"] = error.exit_code
            raise
        finally:
            context.workspace.write_command({"run": run, "time": time.time(), "code": ended["code"]})


def _names(arguments: argparse.Namespace) -> list[str]:
    """`["migrate", "plan"]`: the command without its values, which may be ids. Services are named."""
    words = [arguments.command, getattr(arguments, "action", None), *(getattr(arguments, "names", None) or ())]
    return [word for word in words if isinstance(word, str)]


# --- main --------------------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, or the wizard; returns the exit status."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us: what is said goes nowhere, and into no other stream
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a terminal cannot show is escaped, as on stderr; it ends no work.
        sys.stdout.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    as_json, debug = "--json" in words, "--debug" in words
    try:
        arguments = _without_command(words) or build_parser().parse_args(words)
        _check_log(arguments.log)
        if arguments.run is None:
            return _wizard(arguments)
        return _command(arguments)
    except MigrateError as error:
        return _report(error.exit_code, str(error), as_json, error if debug else None)
    except KeyboardInterrupt:
        return _report(130, "Interrupted; the same command goes on from here.", as_json, None)
    except Exception as error:
        return _report(1, _unforeseen(error), as_json, error if debug else None)


def _check_log(file: Path | None) -> None:
    """Raises BadInput where `--log` cannot be written, before anything begins; tells who else can read one that is there."""
    from wizard.workspace import private_opener

    if file is None:
        return
    try:
        with open(file, "a", opener=None if file.exists() else private_opener) as there:
            mode = os.fstat(there.fileno()).st_mode
    except OSError as error:
        why = "its folder does not exist" if isinstance(error, FileNotFoundError) else error.strerror
        raise BadInput(f"The log cannot be written to {file}: {why}. Give --log another path.") from error
    if stat.S_ISREG(mode) and mode & 0o077:
        close = f"chmod 600 {shlex.quote(str(file))}"
        say(
            plain(f"Attention: others can read {file}, and user ids will stand in it. To close it: {close}"), sys.stderr
        )


def _without_command(words: list[str]) -> argparse.Namespace | None:
    """The arguments when there is no command in them; its first screen is painted before boto3 is loaded."""
    if {"-h", "--help"} & set(words):
        return None
    try:
        return build_parser(()).parse_args(words)
    except BadInput:
        return None


def _command(arguments: argparse.Namespace) -> int:
    control = Control()
    feed = Feed(Console(control), answers=somebody_is_there())
    with stopping(control), logged(arguments) as to_file:
        context: Context | None = None
        if arguments.needs == "account":
            context = connect(_choice(arguments), feed, control, arguments)
        elif arguments.needs == "maybe":
            with contextlib.suppress(MigrateError):
                context = connect(_choice(arguments), feed, control, arguments)
        if context is not None:
            to_file(context)
        try:
            outcome = _run(arguments, context, asking=control)
        except MigrateError:
            raise
        except Exception:
            log.error("the command failed", exc_info=True, extra=FILE_ONLY)
            raise
    if arguments.json:
        say(json.dumps({"code": outcome.code, **outcome.details}, default=str, ensure_ascii=True), sys.stdout)
        say(outcome.text, sys.stderr)
    elif outcome.text:
        say(outcome.text, sys.stdout)
    return outcome.code


def _report(code: int, text: str, as_json: bool, error: BaseException | None) -> int:
    if as_json:
        with contextlib.suppress(OSError):
            say(json.dumps({"code": code, "error": without_credentials(text)}), sys.stdout)
    say(plain(text), sys.stderr)
    if error is not None:
        import traceback

        lines = "".join(traceback.format_exception(error)).splitlines()
        say("\n".join(map(plain, lines)), sys.stderr)
    return code


def _unforeseen(error: Exception) -> str:
    """One sentence for an error that no command expects."""
    if isinstance(error, sqlite3.Error):
        return f"The ledger cannot be used ({error}); check the disk and the workspace. Nothing that was done is lost."
    if isinstance(error, MemoryError) or str(error) == _NO_THREAD:
        return (
            "This machine gives no more memory or threads (its ulimit, or the limits of a container): raise that, or give a"
            " smaller --workers, then run the same command again; nothing that was done is lost."
        )
    if isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{place}. Mend that, then run the same command again; nothing that was done is lost."
    from wizard.aws_errors import explain

    return (
        f"AWS refused or failed: {explain(error)}."
        if "botocore" in type(error).__module__
        else f"Unexpected: {explain(error)}."
    )


def _wizard(arguments: argparse.Namespace) -> int:
    """Start the face that this terminal can show."""
    from wizard.session import Session
    from wizard.steps import JOURNEY

    def open_(choice: Choice, feed: Feed, control: Control) -> Context:
        return connect(choice, feed, control, arguments)

    session = Session(JOURNEY, _gather, open_, choice=_choice(arguments), given=_given(arguments), log_to=arguments.log)
    code = drive(session, arguments)
    if arguments.json:
        say(json.dumps({"code": code}), sys.stdout)
    return code


def _given(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The options, apart from the choice of Step 0, with which a wizard that is started again is at the same place."""
    words: list[str] = []
    for name in ("root", "workspace", "log"):
        if path := getattr(arguments, name):
            words += [f"--{name}", str(path.expanduser().absolute())]
    for name, default in (("max_read_units", 0), ("max_write_units", 0), ("workers", 16)):
        if (number := getattr(arguments, name)) != default:
            words += [f"--{name.replace('_', '-')}", str(number)]
    return (*words, *(["--plain"] if arguments.plain else []))


def _gather(context: Context) -> Any:
    from wizard.preflight import gather

    return gather(context)


def drive(session: Session, arguments: argparse.Namespace) -> int:
    """Give a session to the screens, the plain prompts, or to nobody."""
    from wizard.face import face

    which = face(arguments.plain, arguments.auto, sys.stdin, sys.stdout, sys.stderr, os.environ)
    if which == "none":
        from wizard import auto

        session.feed.answers = False  # also of what `choose` asks: nobody would hear it
        if session.context is None:
            session.choose(session.choice)
        stream = sys.stderr if arguments.json else sys.stdout
        return auto.walk(session, confirm=arguments.confirm, yes=arguments.yes, out=lambda words: say(words, stream))
    run: Callable[[Session], int] = import_module("screens.app" if which == "textual" else "screens.plain").run
    return run(session)
