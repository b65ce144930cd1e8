"""A short journey of real steps and a real session, whose actions need no AWS: what faces are tested with.

State lives in the workspace's settings, as the engine's does, so that a second sitting finds what the first one did.
Run as a script it starts a face on it: `python -m tests.screens.stage [textual|plain|auto] WORKSPACE`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wizard import steps
from wizard.aws import Account
from wizard.console import stopping
from wizard.context import Context
from wizard.deployment import Deployment
from wizard.errors import BadInput, Blocked
from wizard.events import Control, Feed, Finding, Progress, Question
from wizard.facts import Fact, Facts
from wizard.journey import Action, Field, Journey, Outcome, Step, Values
from wizard.results import START, ChangeRow, TableRow, Unknown
from wizard.session import Choice, Session

log = logging.getLogger("wizard.stage")
NASTY = "[/red] [bold]not markup[/bold] \x1b[31m ends [/"


def fact(context: Context, name: str, title: str) -> Fact:
    done = bool(context.workspace.settings().get(name))
    return Fact(name, "ok" if done else "attention", title, "stored" if done else f"2 missing {NASTY}", "", done)


def gather(context: Context) -> Facts:
    found = [
        Fact("identity", "ok", "Account", "123456789012", value={"account": "123456789012", "arn": "arn:aws:iam::1:x"}),
        fact(context, "parameters", "Parameters"),
        fact(context, "endpoint", "Owner of /user-data"),
        fact(context, "applied", "Changes"),
        fact(context, "cleaned", "Old items"),
    ]
    return Facts({one.name: one for one in found})


def marks(name: str, words: str):
    def run(context: Context, values: Values) -> Outcome:
        context.workspace.remember({name: True, f"{name}_values": dict(values)})
        log.info("%s with %s %s", name, dict(values), NASTY)
        return Outcome(0, words)

    return run


def looks(words: str):
    def run(context: Context, values: Values) -> Outcome:
        log.info("looked: %s", words)
        context.feed.emit(Finding("attention", "amplify-v6-lambda-dev-accounts", f"no recovery {NASTY}", "turn it on"))
        return Outcome(0, words)

    return run


def long_work(context: Context, values: Values) -> Outcome:
    """Counts until it is cancelled, or for as long as `count` says, at some hundred lines a second."""
    total = int(values.get("count") or 2_000)
    for number in range(total):
        context.control.check()
        log.info("item %d of %d %s", number, total, NASTY)
        context.feed.emit(Progress("amplify-v6-lambda-dev-accounts", number + 1, total, "items", "apply"))
        context.feed.emit(Progress("amplify-v6-object-access-dev-object-access", number // 2, None, "items", "apply"))
        context.control.sleep(0.002)
    return marks("applied", f"{total:,} changes applied.")(context, values)


def stands_still(context: Context, values: Values) -> Outcome:
    """Work that has always come equally far, until it is cancelled: for pictures."""
    for number in range(1, 61):
        log.log(logging.WARNING if number == 55 else logging.INFO, "copy item %03d %s", number, NASTY)
    for done, name in enumerate(("accounts", "user-files", "conversation-metadata"), 1):
        context.feed.emit(Progress(f"amplify-v6-lambda-dev-{name}", 500 * done, 1_500, "items", "apply"))
    context.feed.emit(Finding("attention", "amplify-v6-lambda-dev-accounts", f"no recovery {NASTY}", "turn it on"))
    while True:
        context.control.sleep(1)


def crashes(context: Context, values: Values) -> Outcome:
    raise RuntimeError(f"a secret is not here {NASTY}")


def blocked(context: Context, values: Values) -> Outcome:
    raise Blocked("Step 2 does not stand: 3 references do not resolve. Run step 1 first.")


def asks(context: Context, values: Values) -> Outcome:
    context.feed.ask(
        Question("The credentials have expired. Renew them (aws sso login), then continue."), context.control
    )
    return Outcome(0, "Gone on with renewed credentials.")


def applied(facts: Facts) -> str:
    return "every change is applied" if facts.value("applied") else ""


COUNT = Field(
    "count", "How many changes", "--count", lambda facts: "2000", required=True, help="For the test of long work."
)
STEPS = (
    Step(
        "0", "Deployment", "Choose which deployment this is about.\n\nNothing is changed here.",
        skip=lambda facts: "", locked=lambda facts: "",
        done=lambda facts: "85 tables found" if facts.known("identity") else "", needs=("identity",),
    ),
    Step(
        "1", "Populate Parameter Store",
        "Services read their shared variables from Parameter Store. They fail to deploy while one is missing, so this"
        " comes before any deployment. Values that differ are shown before they are replaced.",
        skip=lambda facts: "", locked=lambda facts: "",
        done=lambda facts: "84 of 84 parameters are stored" if facts.value("parameters") else "",
        needs=("parameters",),
        actions=(
            Action(
                "populate-dry-run", "Dry run", "read", looks(f"84 parameters would be written {NASTY}"),
                lambda values: f"amplify-migrate parameters populate --dry-run --prefix {values.get('prefix', '')}",
                fields=(Field("prefix", "Prefix", "--prefix", lambda facts: "/amplify", help="Rarely changed."),),
            ),
            Action(
                "populate", "Store parameters", "write", marks("parameters", "84 parameters written."),
                lambda values: f"amplify-migrate parameters populate --prefix {values.get('prefix', '')}",
                fields=(Field("prefix", "Prefix", "--prefix", lambda facts: "/amplify", help="Rarely changed."),),
                preview="populate-dry-run",
                warning=lambda facts, values: ["Services that deploy meanwhile may read old values."],
            ),
            Action("crash", "Crash", "read", crashes, lambda values: "amplify-migrate crash"),
            Action("blocked", "Blocked", "read", blocked, lambda values: "amplify-migrate blocked"),
            Action("ask", "Ask", "read", asks, lambda values: "amplify-migrate ask"),
        ),
    ),
    Step(
        "4a", "Back up user storage", "The old table goes with its stack.",
        skip=lambda facts: "the old table has no rows", locked=lambda facts: "", done=lambda facts: "",
    ),
    Step(
        "4b", "Free /user-data", "Another stack still owns the path.",
        skip=lambda facts: "", done=lambda facts: "amplify-lambda owns it" if facts.value("endpoint") else "",
        locked=lambda facts: "" if facts.value("parameters") else "step 1 comes first: parameters are missing",
        needs=("endpoint",),
        actions=(
            Action("look", "Dry run", "read", looks("The stack would be removed."), lambda values: "amplify-migrate e"),
            Action(
                "free", "Remove the stack", "destroy", marks("endpoint", "The path is free."),
                lambda values: "amplify-migrate endpoint free --how stack", preview="look",
                word=lambda facts: "amplify-v6-lambda-basic-ops-dev",
            ),
        ),
    ),
    Step(
        "6c", "Apply", "Makes exactly the planned changes.", skip=lambda facts: "", done=applied, needs=("applied",),
        locked=lambda facts: "" if facts.value("endpoint") else "step 4b comes first",
        actions=(Action("apply", "Apply", "write", long_work, lambda v: "amplify-migrate migrate apply", (COUNT,)),),
    ),
    Step(
        "7", "Clean up, or keep", "Old items are deleted only when their copies are proven.", skip=lambda facts: "",
        locked=lambda facts: "" if facts.value("applied") else "step 6c comes first",
        done=lambda facts: "nothing retained is left" if facts.value("cleaned") else "", needs=("cleaned",),
        actions=(
            Action("plan", "Show what would be deleted", "read", looks("12 items would be deleted."), lambda v: "x"),
            Action("keep", "Keep old records", "write", marks("cleaned", "Kept."), lambda v: "amplify-migrate keep"),
            Action(
                "clean", "Delete old items", "destroy", marks("cleaned", "12 items deleted."),
                lambda values: "amplify-migrate cleanup apply --force", preview="plan", word=lambda facts: "DELETE",
                fields=(
                    Field("tested", "Acceptance test passed", choices=("yes", "no"), required=True),
                    Field("hours", "Hours without errors", choices=("24", "48"), default=lambda facts: "24"),
                ),
            ),
        ),
    ),
)  # fmt: skip


# Step 4b itself, with everything that it says, asks and locks; only what its actions do is played.
BASIC_OPS, OWNER = "amplify-v6-lambda-basic-ops-dev", "owner"


def gather_freeing(context: Context) -> Facts:
    """An account whose steps 1 and 2 stand and whose /user-data is owned by basic-ops until it was freed."""
    found = {
        "identity": {"account": "123456789012", "arn": "arn:aws:iam::1:x"},
        "names": {"basic_ops_stack": BASIC_OPS},
        "checkout": {"root": "/backend", "services": 9},
        "parameters": {"root": True, "missing": [], "different": [], "total": 84},
        "references": {"root": True, "unresolved": []},
        "old_user_storage": {"exists": True, "rows": 0},
        "basic_ops_tables": {"tables": [f"{BASIC_OPS}-work-sessions"], "unsaved": []},
        "user_data_owner": context.workspace.settings().get(OWNER, "basic-ops"),
    }
    return Facts({name: Fact(name, "ok", name, str(value), value=value) for name, value in found.items()})


def frees(context: Context, values: Values) -> Outcome:
    log.info("freeing with %s", dict(values))
    if values["how"] == "serverless" and not Path(values["old"]).is_dir():
        return Outcome(1, f"{values['old']} is no folder: the stack stands as before. Give the old checkout.")
    context.workspace.remember({OWNER: "nobody", "how": values["how"]})
    return Outcome(0, "/user-data belongs to nobody now.")


def waits(context: Context, values: Values) -> Outcome:
    while context.workspace.settings().get(OWNER) != "nobody":
        context.control.sleep(0.02)
    return Outcome(0, "/user-data belongs to nobody now.")


def freeing() -> Journey:
    """Step 0 of this stage, then the real step 4b."""
    runs = {"show": looks("basic-ops owns it."), "wait": waits, "dry-run": looks("It would go."), "free": frees}
    real = steps.JOURNEY["4b"]
    return Journey((STEPS[0], replace(real, actions=tuple(replace(one, run=runs[one.id]) for one in real.actions))))


class SomeResults:
    """A plan of two tables."""

    def tables(self) -> list[TableRow]:
        return [
            TableRow("ACCOUNTS_DYNAMO_TABLE", "amplify-v6-lambda-dev-accounts", {"planned": 12, "conflict": 1}),
            TableRow("FILES_DYNAMO_TABLE", "amplify-v6-lambda-dev-user-files", {"planned": 1_200}),
        ]

    def changes(self, row="", user="", state="", after=START, limit=500) -> list[ChangeRow]:
        made = [
            ChangeRow(
                number, (1, number), "ACCOUNTS_DYNAMO_TABLE", "copy", "accounts: user=ada@example.edu",
                "accounts: user=adaj", "ada@example.edu" if number % 2 else "ben@example.edu",
                "conflict" if number == 3 else "planned", (("user", "ada@example.edu", f"adaj {NASTY}"),),
            )
            for number in range(1, 13)
        ]  # fmt: skip
        return [
            one for one in made
            if (not user or one.users == user) and (not state or one.state == state) and one.position > after
        ][:limit]  # fmt: skip

    def users(self):
        return [("ada@example.edu", {"planned": 6}), ("ben@example.edu", {"planned": 5, "conflict": 1})]

    def unknown_references(self) -> list[Unknown]:
        return [Unknown("amplify-v6-lambda-dev-notes", f"meta.owner {NASTY}", "id", 7, "ada@example.edu")]

    def findings(self) -> list[tuple[str, str, str, str]]:
        return [("attention", "users", f"2 users have no row at all {NASTY}", "check their ids")]


def open_context(choice: Choice, feed: Feed, control: Control, folder: Path, sandbox: bool = True) -> Context:
    if not choice.dep:
        raise BadInput("Which deployment? Give --dep-name.")
    account = Account(
        region="us-east-1", endpoint_url="http://127.0.0.1:9", credentials=("x", "y"), feed=feed, control=control
    )
    deployment = Deployment(choice.dep, choice.stage, "us-east-1")
    return Context(deployment, account, workspace_in(folder), feed, control, sandbox=sandbox)


def workspace_in(folder: Path):
    from wizard.workspace import Workspace

    return Workspace(folder)


def session_in(
    folder: Path,
    sandbox: bool = True,
    chosen: bool = True,
    journey: Journey | None = None,
    gather: Callable[[Context], Facts] = gather,
) -> Session:
    """A session over this journey or another; `chosen` False starts before a deployment is chosen."""
    feed = Feed(answers=True)
    return Session(
        journey or Journey(STEPS),
        gather,
        connect=None if chosen else lambda choice, feed, control: open_context(choice, feed, control, folder, sandbox),
        context=open_context(Choice("v6", "dev"), feed, Control(), folder, sandbox) if chosen else None,
        feed=feed,
        resume_command="amplify-migrate --dep-name v6 --stage dev",
        find_results=lambda context: SomeResults(),
    )


def run_face(face: str, session: Session, word: str) -> int:
    if face == "plain":
        from screens import plain

        return plain.run(session)
    if face == "auto":
        from wizard import auto

        return auto.walk(session, confirm=word, out=lambda text: print(text, flush=True))
    from screens import app

    return app.run(session)


if __name__ == "__main__":
    sitting = session_in(Path(sys.argv[2]), chosen="choose" not in sys.argv)
    with stopping(Control()):  # as `demo` is: the faces take the signals for themselves
        raise SystemExit(run_face(sys.argv[1], sitting, (sys.argv[3:] or [""])[0]))
