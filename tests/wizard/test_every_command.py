"""Every command over a whole deployment, at debug level, under umask 0, while AWS throttles each operation for minutes.

All of them live through it and say so, no write is a batch, files are their owner's only at every moment, and nothing
that is written or shown holds a secret. Secrets are seeded where a deployment has them: passwords, OAuth tokens, API keys,
presigned URLs, SecureString parameters, the var file, connection strings, the operator's own credentials, and a marker
in the body of every item and object.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import os
import pathlib
import re
import stat
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from tests.screens.terminal import Terminal
from tests.wizard.cli_run import options, reach
from wizard.aws import is_read
from wizard.cli import main
from wizard.events import Control
from wizard.sandbox.demo import Demo, start_demo

ACCOUNTS, OLD_STORAGE = "amplify-v6-lambda-dev-accounts", "amplify-v6-lambda-basic-ops-dev-user-storage"
SECRETS = {
    "key id": "AKIASEARCHEDFOR00001",
    "credential": "s3kr1t-credential-6a1f0e",
    "session": "s3kr1t-session-token-41c9",
    "password": "s3kr1t-password-b07d22",
    "database user": "s3kr1t-database-user-30c4",
    "token": "s3kr1t-oauth-token-9e55c3",
    "api key": "s3kr1t-api-key-77aa10",
    "presigned": "s3kr1t-presigned-signature-1f8a",
    "parameter": "s3kr1t-parameter-c4d1ff",
    "var file": "s3kr1t-in-var-file-0b3e",
    "connection": "s3kr1t-in-a-connection-string-e2d9",
    "address": "s3kr1t-before-a-host-5b1e",
    "log line": "s3kr1t-in-a-log-line-90ad",
    "body": "s3kr1t-body-of-an-item-58f2",
    "object": "s3kr1t-body-of-an-object-d1c7",
}
FACES = ("the wizard, both ways",)  # takes the place of a command
THROTTLED_FOR = 120.0  # seconds, of each operation in each command
_THROTTLES = {
    "s3": ("SlowDown", 503), "cloudformation": ("Throttling", 400), "apigateway": ("TooManyRequestsException", 429),
    "cognito-idp": ("TooManyRequestsException", 400), "lambda": ("TooManyRequestsException", 429),
}  # fmt: skip


class Weather:
    """AWS as one command meets it: each operation is refused until it has been waited for two minutes."""

    def __init__(self) -> None:
        self.on = False
        self.clock = 0.0
        self.first: dict[str, float] = {}
        self.sent: Counter[str] = Counter()
        self.look: Any = None  # called now and then while a command is at work

    def client(self, make: Any) -> Any:
        def made(session: Any, service: str, *words: Any, **more: Any) -> Any:
            one = make(session, service, *words, **more)

            def refuse(model: Any, **_: Any) -> Any:
                name = f"{service}.{model.name}"
                if not self.on:
                    return None
                self.sent[name] += 1
                if self.sent.total() % 16 == 0:
                    self.look()
                if self.clock - self.first.setdefault(name, self.clock) >= THROTTLED_FOR:
                    return None
                code, status = _THROTTLES.get(service, ("ThrottlingException", 400))
                error = {
                    "Error": {"Code": code, "Message": "Rate exceeded"},
                    "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 5},
                }
                return SimpleNamespace(status_code=status, headers={}), error

            one.meta.events.register_last("before-call", refuse)
            return one

        return made

    def sleep(self, control: Control, seconds: float) -> None:
        self.clock += seconds
        control.check()


@dataclass
class Walk:
    """What all the commands did and showed."""

    workspace: Path
    codes: dict[str, int] = field(default_factory=dict)
    waited: dict[str, float] = field(default_factory=dict)  # seconds, by command
    said: dict[str, int] = field(default_factory=dict)  # how often a command said that it is throttled
    printed: dict[str, str] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    removed: list[bytes] = field(default_factory=list)  # what files held that were deleted again
    open_to_others: set[str] = field(default_factory=set)
    started: list[str] = field(default_factory=list)  # argument lists of other programs


def plant(demo: Demo) -> None:
    """Put the secrets where they would be."""
    account = demo.account()
    person = demo.seeded.people[0]
    link = f"https://b.s3.amazonaws.com/{person.old}/f?X-Amz-Signature={SECRETS['presigned']}"
    tables = [name for page in account.pages("dynamodb", "list_tables") for name in page["TableNames"]]
    for table in tables:
        for item in account.call("dynamodb", "scan", TableName=table)["Items"]:
            # Removed rows of costs are kept whole, to be put back; a shares row with more in it than shares is never cleaned.
            if "cost-calculations" not in table and table != "amplify-v6-lambda-dev":
                item |= {"unrelated": {"S": SECRETS["body"]}, "link": {"S": link}}
            if "password" in item:
                item["password"] = {"S": SECRETS["password"]}
                item["username"] = {"S": SECRETS["database user"]}
            if "apiKey" in item:
                item["apiKey"] = {"S": SECRETS["api key"]}
            if "integrations" in item:
                item["integrations"] = {"M": {"google_drive": {"S": SECRETS["token"]}}}
                _same_integrations_under_the_new_id(demo, table, item)
            account.call("dynamodb", "put_item", TableName=table, Item=item)
    bucket = "amplify-v6-lambda-dev-user-conversations"
    account.call("s3", "put_object", Bucket=bucket, Key=f"{person.old}/x", Body=SECRETS["object"].encode())
    for name, kind in (("OPENAI_API_KEY", "SecureString"), ("DB_PASSWORD", "String")):
        path = f"/amplify/dev/amplify-v6-lambda/{name}"
        account.call("ssm", "put_parameter", Name=path, Value=SECRETS["parameter"], Type=kind)
    logs, group = account.client("logs"), "/aws/lambda/amplify-v6-lambda-dev-user_data_router"
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    message = f"[ERROR] Cannot find module 'token={SECRETS['log line']}' with password={SECRETS['log line']}"
    event = {"timestamp": int(time.time() * 1_000), "message": message}
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[event])
    var = demo.root / "var" / "dev-var.yml"
    var.write_text(var.read_text() + f"OAUTH_CLIENT_SECRET: {SECRETS['var file']}\n")
    service = demo.root / "amplify-lambda" / "serverless.yml"
    local = "# Locally Defined Variables\n"
    text = service.read_text()
    assert local in text
    at = text.index(local)
    indent = text[text.rindex("\n", 0, at) + 1 : at]
    wanted = {
        "DB_PASSWORD": SECRETS["var file"], "OPENAI_API_KEY": SECRETS["var file"], "SMTP_PASS": SECRETS["var file"],
        "DB_ADDRESS": f"postgres://svc:a/{SECRETS['connection']}@db.example.edu/x",
        "GIT_REMOTE": f"https://{SECRETS['address']}@git.example.edu/x",
    }  # fmt: skip
    lines = "".join(f"{indent}{name}: {value}\n" for name, value in wanted.items())
    service.write_text(text.replace(local, local + lines, 1))


def _same_integrations_under_the_new_id(demo: Demo, table: str, item: dict[str, Any]) -> None:
    """A merge has to look into the tokens of both rows, and adds to the new one what only the old one has."""
    old, provider = item["user_integration"]["S"].split("/", 1)
    if old in demo.seeded.ids and demo.seeded.ids[old] != old:
        tokens = {"M": {"google_drive": {"S": SECRETS["token"] + "-newer"}, "other": {"S": SECRETS["token"]}}}
        row = {**item, "user_integration": {"S": f"{demo.seeded.ids[old]}/{provider}"}, "integrations": tokens}
        del row["unrelated"], row["link"]
        demo.account().call("dynamodb", "put_item", TableName=table, Item=row)


def commands(demo: Demo, folder: Path) -> Iterator[tuple[str, ...]]:
    root, users, pool = str(demo.root), str(demo.csv), demo.pool_id
    yield ("deployment",)
    yield ("preflight", "--root", root)
    yield ("services", "verify", "--root", root)
    yield ("endpoint", "show")
    yield ("storage", "backup", "--table", OLD_STORAGE)
    (backup,) = (folder / "workspace" / "backups").glob("*.json.gz")
    yield ("storage", "import", str(backup), "--yes")
    yield ("users", "check", users, "--user-pool-id", pool)
    yield ("users", "missing", "--csv-file", users)
    yield ("users", "generate", "--use-sub", "--user-pool-id", pool, "--output", str(folder / "generated.csv"))
    yield ("migrate", "plan", "--csv-file", users)
    yield FACES
    yield ("parameters", "populate", "--root", root, "--dry-run")
    yield ("parameters", "populate", "--root", root, "--yes")
    yield ("parameters", "verify", "--root", root)
    yield ("services", "check", "--root", root)
    yield ("services", "list", "--root", root)
    yield ("migrate", "show", "--json")
    yield ("backup", "create", "--yes")
    yield ("backup", "create", "--on-demand", "--table", ACCOUNTS, "--yes")
    yield ("migrate", "apply", "--dry-run")
    yield ("migrate", "apply", "--yes")
    yield ("migrate", "verify")
    yield ("migrate", "show")
    yield ("migrate", "status")
    yield ("rollback", "--dry-run")
    yield ("rollback", "--confirm", "ROLLBACK")
    yield ("migrate", "plan", "--csv-file", users)
    yield ("migrate", "apply", "--yes")
    yield ("migrate", "verify")
    yield ("cleanup", "plan", "--objects")
    yield ("cleanup", "mark", "--yes")
    yield ("cleanup", "apply", "--confirm", "DELETE")
    yield ("cleanup", "verify")
    yield ("parameters", "restore", "--yes")
    yield ("report", "--include-ids")
    yield ("unlock", "--confirm", "nobody")


def exposed(workspace: Path) -> set[str]:
    """Folders and files of a workspace that are not their owner's only."""
    found = set()
    for path in (workspace.parent, workspace, *workspace.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # it came and went
            mode, wanted = stat.S_IMODE(path.stat().st_mode), 0o700 if path.is_dir() else 0o600
            if mode != wanted:
                found.add(f"{path.name} {mode:o}")
    return found


def terminal(demo: Demo, walked: Walk, *face: str) -> Terminal:
    """The wizard on a terminal, in the checkout."""
    wanted = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    words = ["wizard", *face, *options(demo.deployment, walked.workspace), "--debug"]
    return Terminal(*words, columns=160, lines=150, place=demo.root, PATH=os.environ["PATH"], **wanted)


def numbered(text: str, words: str) -> str:
    """The number of a choice, in the last of the lists on the terminal."""
    return [line.split(".")[0].strip() for line in text.splitlines() if re.match(rf" *\d+\. .*{words}", line)][-1]


def plain_prompts(demo: Demo, walked: Walk) -> str:
    """What plain prompts show of the parameters and of the plan."""
    with terminal(demo, walked, "--plain") as shown:
        shown.until("What now?", 90)
        shown.type("1\r")
        shown.until("Done:", 60)
        shown.until(lambda: shown.text.rstrip().endswith("(number)"), 60)
        shown.type(f"{numbered(shown.text, 'view the plan')}\r")
        shown.until("Look at what of the plan?", 30)
        shown.type(f"{numbered(shown.text, 'changes of one user')}\r")
        shown.until("Whose?", 30)
        shown.type("1\r")
        shown.until(lambda: bool(re.search(r"planned copy: ", shown.text)), 30)
        return shown.written + shown.text


def screens(demo: Demo, walked: Walk) -> str:
    """What the screens show of them: the dry run, the log, the tables of the plan, its changes, and one change."""
    seen = []
    with terminal(demo, walked) as shown:
        shown.until("Is this the right account?", 90)
        shown.type("\r")
        shown.settle()
        for keys, words in (
            ("\r", "Continue (Enter)"),
            ("\r", "$ amplify-migrate"),
            ("v", "planned"),
            ("\r", "copy"),
            ("\r", ""),
        ):
            shown.type(keys)
            shown.until(words, 60)
            shown.settle()
            seen.append(shown.text)
        return "\n".join([*seen, shown.written])


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Run them all, once."""
    folder = tmp_path_factory.mktemp("walk")
    walked, weather = Walk(folder / "state" / "workspace"), Weather()
    with start_demo(folder / "demo", users=2, release="deployed") as demo, pytest.MonkeyPatch.context() as patch:
        plant(demo)
        reach(patch, demo.endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", SECRETS["key id"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS["credential"])
        patch.setenv("AWS_SESSION_TOKEN", SECRETS["session"])
        patch.setenv("PATH", demo.environment()["PATH"])
        patch.setattr(boto3.session.Session, "client", weather.client(boto3.session.Session.client))
        patch.setattr(Control, "sleep", lambda control, seconds: weather.sleep(control, seconds))
        unlink, popen = pathlib.Path.unlink, subprocess.Popen.__init__

        def keeping(path: Path, missing_ok: bool = False) -> None:
            if path.exists():
                walked.removed.append(path.read_bytes())
            unlink(path, missing_ok)

        def noting(self: Any, arguments: Any, *more: Any, **named: Any) -> None:
            walked.started.append(str(arguments))
            popen(self, arguments, *more, **named)

        patch.setattr(pathlib.Path, "unlink", keeping)
        patch.setattr(subprocess.Popen, "__init__", noting)
        weather.look = lambda: walked.open_to_others.update(exposed(walked.workspace))
        mask = os.umask(0)
        try:
            for words in commands(demo, folder / "state"):
                if words == FACES:
                    walked.printed["plain prompts"], walked.printed["screens"] = (
                        plain_prompts(demo, walked),
                        screens(demo, walked),
                    )
                else:
                    _run(walked, weather, demo, words)
        finally:
            os.umask(mask)
        yield walked


def _run(walked: Walk, weather: Weather, demo: Demo, words: tuple[str, ...]) -> None:
    name = f"{len(walked.codes) + 1:02} {' '.join(words[:2])}"
    out, err = io.StringIO(), io.StringIO()
    weather.on, weather.first, before = True, {}, weather.clock
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        walked.codes[name] = main([*words, *options(demo.deployment, walked.workspace), "--debug"])
    weather.on = False
    walked.waited[name] = weather.clock - before
    walked.said[name] = err.getvalue().count("throttled")
    walked.printed[name] = out.getvalue() + err.getvalue()
    walked.sent.update(weather.sent)
    weather.sent.clear()


def test_every_command_lives_through_minutes_of_throttling_and_says_so(walk: Walk) -> None:
    wrong = [(name, code, walk.printed[name][-500:]) for name, code in walk.codes.items() if code]
    assert [name for name, *_ in wrong] == ["03 services verify"], wrong  # the stack lacks what plant() has defined
    # Each waited at least as long as its first operation was refused.
    assert [name for name, seconds in walk.waited.items() if seconds < THROTTLED_FOR] == []
    assert [name for name, times in walk.said.items() if times < 8] == []


def test_no_write_is_a_batch_that_may_be_left_unprocessed(walk: Walk) -> None:
    wrote = {name for name in walk.sent if not is_read(name.partition(".")[2])}
    assert {"dynamodb.PutItem", "dynamodb.UpdateItem", "dynamodb.DeleteItem", "dynamodb.TransactWriteItems"} <= wrote
    assert {"s3.CopyObject", "ssm.PutParameter"} <= wrote
    assert [name for name in wrote if "Batch" in name] == []


def test_files_are_their_owners_only_at_every_moment(walk: Walk) -> None:
    assert walk.open_to_others | exposed(walk.workspace) == set()


def spellings(secret: str) -> set[bytes]:
    """A secret as it may stand in a file."""
    raw = secret.encode()
    return {raw, raw[::-1], raw.hex().encode(), *(base64.b64encode(b" " * pad + raw)[4:-4] for pad in range(3))}


def found_in(name: str, content: bytes) -> list[str]:
    if content[:2] == b"\x1f\x8b":
        content += gzip.decompress(content)
    return [f"{kind} in {name}" for kind, secret in SECRETS.items() for one in spellings(secret) if one in content]


def test_nothing_that_is_written_or_shown_holds_a_secret(walk: Walk) -> None:
    files = [path for path in walk.workspace.rglob("*") if path.is_file()]
    (saved,) = (path for path in files if path.name.endswith(".json.gz"))
    assert found_in("a backup", saved.read_bytes()), "complete rows, and the report says so"
    files.remove(saved)
    assert {"ledger.sqlite", "audit.jsonl", "amplify-migrate.log", "commands.jsonl"} <= {path.name for path in files}
    found = [one for path in files for one in found_in(str(path.relative_to(walk.workspace)), path.read_bytes())]
    found += [one for content in walk.removed for one in found_in("a file that was deleted again", content)]
    found += [one for name, text in walk.printed.items() for one in found_in(name, text.encode())]
    found += [one for arguments in walk.started for one in found_in("an argument list", arguments.encode())]
    assert found == []
    assert "Cannot find module 'token=(hidden)" in walk.printed["03 services verify"]
    for face in ("plain prompts", "screens"):  # they showed the places where secrets are, and changes
        assert {"DB_PASSWORD", "DB_ADDRESS", "SMTP_PASS", "(hidden)"} <= set(
            re.findall(r"DB_\w+|SMTP_\w+|\(hidden\)", walk.printed[face])
        )
        assert re.search(r"planned +copy", walk.printed[face])


def test_the_search_finds_what_is_there() -> None:
    secret = SECRETS["token"]
    assert found_in("x", b"..." + secret.encode()) == ["token in x"]
    assert found_in("x", gzip.compress(secret.encode())) == ["token in x"]
    assert found_in("x", base64.b64encode(b"ab" + secret.encode() + b"cd")) == ["token in x"]
