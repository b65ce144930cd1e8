"""One sitting at the wizard: what a face (screens, plain prompts, `--auto`) drives, and all that it drives.

A face shows `journey` and `facts`, starts actions in threads of the engine, drains `feed`, and looks at `results`. The
locks, the order "dry run first" and what became of each action are kept here, so that no face can differ.
Nothing is imported from the engine until it is needed: the first screen is painted before boto3 is loaded.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wizard.ending import ending
from wizard.errors import Blocked, MigrateError, worst
from wizard.events import Control, Feed, FeedHandler
from wizard.facts import Facts
from wizard.journey import Action, Journey, Outcome, Status, Step, Values, status
from wizard.results import Results, of_workspace
from wizard.text import plain, plural, under_home
from wizard.workspace import log_handler

if TYPE_CHECKING:
    from wizard.context import Context

log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Choice:
    """What Step 0 settles; an empty profile or region leaves the choice to boto3."""

    dep: str = ""
    stage: str = ""
    region: str = ""
    profile: str = ""


@dataclass(frozen=True)
class Look:
    """What was found with a profile and region: whose account it is, and (dep, stage, number of resources) in it."""

    account: str
    arn: str
    region: str
    deployments: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Header:
    """What every screen shows: where the next action would act."""

    account: str
    region: str
    deployment: str
    badge: str
    workspace: str
    endpoint: str = ""  # where requests go, when it is not AWS itself


@dataclass(frozen=True)
class Done:
    """One action that ran in this sitting."""

    step: Step
    action: Action
    outcome: Outcome


Connect = Callable[[Choice, Feed, Control], "Context"]


@dataclass
class Session:
    """See the module. `gather_facts` makes the facts of a context; `connect` is None where the deployment cannot be
    chosen (the demo); `resume_command` comes back here if the choice and the options that were `given` besides do not
    say it; `log_to` replaces the log file; `lasting` is false where the AWS is thrown away at the end, `keeps` where
    the workspace is as well."""

    journey: Journey
    gather_facts: Callable[[Context], Facts]
    connect: Connect | None = None
    context: Context | None = None
    choice: Choice = field(default_factory=Choice)
    feed: Feed = field(default_factory=lambda: Feed(answers=True))
    resume_command: str = ""
    given: tuple[str, ...] = ()
    log_to: Path | None = None
    lasting: bool = True
    keeps: bool = True
    find_results: Callable[[Context], Results | None] = of_workspace

    def __post_init__(self) -> None:
        self.facts = Facts()
        self.control = Control()
        self.history: list[Done] = []
        self._running: Action | None = None
        self._future: Future[Outcome] | None = None
        self._previewed: tuple[Action, dict[str, str], Outcome] | None = (
            None  # the last action, if it was a look that ended well
        )
        self._choosing = threading.Lock()
        self._choices = 0
        self._file_handler: logging.Handler | None = None

    # Where we are

    def header(self) -> Header:
        """Made of what is known already; never a request."""
        context = self.context
        if context is None:
            return Header("account not chosen", self.choice.region, "", "LIVE", "")
        identity = self.facts.value("identity") or {}
        badge = context.badge
        if badge == "LIVE" and self._running is not None and self._running.effect == "read":
            badge = "DRY RUN"
        deployment = context.deployment
        return Header(
            str(identity.get("account", "account …")),
            deployment.region,
            f"{deployment.dep}/{deployment.stage}",
            badge,
            under_home(context.workspace.folder),
            context.endpoint,
        )

    def arrival(self) -> list[str]:
        """What to see before anything else: whose account this is, what is in it, and why earlier steps count."""
        where, here = self.header(), self.landing()
        identity = self.facts.value("identity") or {}
        tables = self.facts.value("deployment")
        found = "its tables could not be listed" if tables is None else plural(tables, "table")
        if tables == 0:
            found = "no table has its names: is it the right one?"
        next_step = "nothing: the migration is finished; step 7 says what remains"
        if not self.ending():
            next_step = f"step {here.id}, {here.title}"
        other = " Another account, region or deployment is chosen at step 0." if self.connect is not None else ""
        lines = [
            f"Account     {where.account}, as {identity.get('arn', 'unknown')}",
            f"Region      {where.region}{f' at {where.endpoint}' if where.endpoint else ''}",
            f"Deployment  {where.deployment} ({where.badge}), {found}",
            f"Next        {next_step}",
            f"So far this only looked.{other}",
            "",
        ]
        cut_off = self.facts.by_name.get("cut_off")
        if cut_off is not None and (cut_off.verdict == "attention" or self._cut_off_at() is not None):
            lines.insert(-2, f"Unfinished  {cut_off.found}. {cut_off.todo}")
        for step in self.journey.steps[: self.journey.steps.index(here)]:
            state = self.status(step)
            lines.append(f"  {step.id:<4}{step.title}: {state.state}{': ' if state.why else ''}{state.why}")
        return lines

    def ending(self) -> list[str]:
        """That the migration is finished, what remains and where; [] while a step is open. Never a request."""
        where = self.header()
        place = f"{where.deployment} in account {where.account}, {where.region},"
        if self.context is None:
            return []
        lines = ending(self.journey, self.facts, place, where.workspace if self.keeps else "")
        if lines and not self.lasting:
            gone = "its account is" if self.keeps else "its account and its files are"
            lines.append(f"This was the demo: {gone} gone as soon as you leave.")
        return lines

    @property
    def log_file(self) -> Path | None:
        """The file that has every line; None until a deployment is chosen."""
        return self.log_to or (self.context.workspace.log_file if self.context else None)

    @property
    def resume(self) -> str:
        """The command that comes back here."""
        if self.resume_command:
            return self.resume_command
        choice = self.choice
        options = (("--dep-name", choice.dep), ("--stage", choice.stage), ("--region", choice.region),
                   ("--profile", choice.profile))  # fmt: skip
        return shlex.join(
            ["amplify-migrate", *(word for option in options if option[1] for word in option), *self.given]
        )

    @property
    def results(self) -> Results | None:
        """The plan and what became of it; None while there is none."""
        return self.find_results(self.context) if self.context else None

    def status(self, step: Step) -> Status:
        """Where a step stands; before a deployment is chosen only the first one is open."""
        if self.context is None:
            first = step is self.journey.steps[0]
            return Status("open", "") if first else Status("locked", "choose the deployment first")
        return status(step, self.facts)

    def landing(self) -> Step:
        """Where to stand on arrival: at the step whose work was cut off, if it can be gone on with, else the first open one."""
        return self._cut_off_at() or self.journey.first_open(self.facts)

    def _cut_off_at(self) -> Step | None:
        cut_off = (self.facts.value("cut_off") or {}).get("step", "")
        for step in self.journey.steps:
            undone = cut_off == "rollback" and any(one.id == cut_off for one in self.actions(step))
            if undone or (step.id == cut_off and self.status(step).state == "open"):
                return step
        return None

    def following(self, step: Step) -> Step:
        """Where to stand once a step is done: the next one that is open or waits, else the first such one."""
        index = self.journey.steps.index(step)
        later = (one for one in self.journey.steps[index + 1 :] if self.status(one).state not in ("done", "skipped"))
        return next(later, None) or self.journey.first_open(self.facts)

    def step_of(self, action: Action) -> Step:
        return next(step for step in self.journey.steps if any(action is known for known in step.actions))

    def actions(self, step: Step) -> list[Action]:
        """The actions of a step that apply here."""
        return [action for action in step.actions if action.applies(self.facts)]

    def refusal(self, action: Action) -> str:
        """Why an action may not run now, or "". Looking is always allowed, and so is undoing: locks hold back what goes on."""
        if self.context is None:
            return "choose the deployment first"
        if action.effect == "read" or action.undo:
            return ""
        step = self.step_of(action)
        if why := step.locked(self.facts):
            return why
        state = status(step, self.facts)
        return state.why if state.state == "unknown" and action.effect == "destroy" else ""

    def warnings(self, action: Action, values: Values) -> list[str]:
        """What to know before an action is agreed to: that this may be the wrong place, then what it does there."""
        found = self.facts.by_name.get("deployment")
        wrong = [f"{found.found} {found.todo}"] if found is not None and found.verdict == "blocked" else []
        return [*wrong, *action.warning(self.facts, values)]

    def finality(self, action: Action) -> str:
        """What to know before the word of a destroying action is typed."""
        again = "Plan and apply bring it about again." if action.undo else "It cannot be undone from here."
        return f"This deletes. {again}"

    def preview_of(self, action: Action) -> Action | None:
        """The dry run of an action, if it has one."""
        step = self.step_of(action)
        return next((other for other in step.actions if other.id == action.preview), None)

    def previewed_by(self, preview: Action) -> Action | None:
        """The action that writes what this one shows; never one that destroys."""
        step = self.step_of(preview)
        return next((other for other in step.actions if other.preview == preview.id and other.effect == "write"), None)

    def previewed(self, preview: Action, values: Values) -> Outcome | None:
        """What a dry run with these values found, if nothing else was done since."""
        if self._previewed is None or (self._previewed[0], self._previewed[1]) != (preview, dict(values)):
            return None
        return self._previewed[2]

    # Step 0

    def profiles(self) -> list[str]:
        """The profiles that boto3 knows."""
        import botocore.session

        return list(botocore.session.Session().available_profiles)

    def look(self, profile: str, region: str) -> Look:
        """Whose account these credentials are of and what is deployed there. Raises MigrateError with the way out."""
        from wizard.aws import Account
        from wizard.aws_errors import DENIED, code_of, explain
        from wizard.deployment import discover

        if self.control.cancelled:  # by who refused a renewal, and now tries again
            self.control = Control()
        try:
            account = Account(profile or None, region or None, feed=self.feed, control=self.control)
            identity = account.identity
            try:
                names = [name for page in account.pages("dynamodb", "list_tables") for name in page["TableNames"]]
            except Exception as error:
                if code_of(error) not in DENIED:
                    raise
                log.warning("tables cannot be listed (%s); enter the deployment's name", explain(error))
                names = []
        except MigrateError:
            raise
        except Exception as error:
            raise Blocked(f"AWS did not answer as hoped: {explain(error)}.") from error
        return Look(identity["account"], identity["arn"], account.region, tuple(discover(names)))

    def choose(self, choice: Choice) -> None:
        """Settle the deployment: opens its workspace and account, forgets what was known of another one."""
        if self.connect is None:
            raise Blocked("This sitting has its deployment already; start amplify-migrate again for another one.")
        with self._choosing:
            self._choices += 1
            mine = self._choices
        self.control = control = Control()
        context = self.connect(choice, self.feed, control)
        with self._choosing:
            if mine != self._choices:  # this one was slow to open
                raise Blocked("Another deployment was chosen meanwhile.")
            self.context = context
            deployment = context.deployment
            self.choice = Choice(deployment.dep, deployment.stage, deployment.region, choice.profile)
            self.facts = Facts()
            self._previewed = None
            self._close_log()
            self._open_log()

    # Work

    def gather(self) -> Facts:
        """Look at the account and the workspace; blocking, makes no change."""
        if (context := self.context) is not None:
            context.workspace.still_there()
            self._equip(context, Control(), read_only=True)
            try:
                facts = self.gather_facts(context)
            finally:
                context.account.read_only = False
            if context is self.context:  # else another deployment was chosen meanwhile
                self.facts = facts
                log.info("looked at account and workspace: %s", plural(len(list(facts)), "check"))
        return self.facts

    def _equip(self, context: Context, control: Control, read_only: bool) -> None:
        # A cancelled control stays cancelled, so that each piece of work gets its own.
        self.control = context.control = context.account.control = control
        context.feed = context.account.feed = self.feed
        context.account.read_only = read_only

    @property
    def busy(self) -> bool:
        """Whether an action is running."""
        return self._future is not None and not self._future.done()

    def start(self, action: Action, values: Values) -> Future[Outcome]:
        """Run an action in a thread of the engine. The future never fails: an error becomes an outcome."""
        if self.busy:
            raise Blocked("Something is running already; wait for it or stop it.")
        if self.context is not None:  # a dry run cannot write, whatever it does
            self._equip(self.context, Control(), read_only=action.effect == "read")
        self._running = action
        self._future = in_thread(lambda: self._run(action, values), name=f"action {action.id}")
        return self._future

    def _run(self, action: Action, values: Values) -> Outcome:
        step = self.step_of(action)
        log.info("$ %s", action.command(values))  # what stands above it in the log is of earlier work
        try:
            if (why := self.refusal(action)) or self.context is None:
                raise Blocked(f"Not yet: {why}.")
            self.context.workspace.still_there()
            outcome = action.run(self.context, values)
        except MigrateError as error:
            outcome = Outcome(error.exit_code, str(error))
        except BaseException as error:  # whatever a thread dies of must reach the operator
            outcome = Outcome(1, self.crashed(f"{action.id} of step {step.id}", error))
        finally:
            if self.context is not None:
                self.context.account.read_only = False
            self._running = None
        looked = action.effect == "read" and outcome.code in (0, 1)
        self._previewed = (action, dict(values), outcome) if looked else None
        self.history.append(Done(step, action, outcome))
        return outcome

    def finish(self, seconds: float) -> bool:
        """Cancel what runs and wait for it to stop between two requests; False when it did not within `seconds`."""
        self.control.cancel()
        if self._future is None:
            return True
        with contextlib.suppress(TimeoutError):
            self._future.result(seconds)
        return self._future.done()

    # What remains

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """While a face is up: our log lines go to the feed and the file; nothing is logged to the terminal."""
        root, ours = logging.getLogger(), logging.getLogger("wizard")
        handlers = ((ours, FeedHandler(self.feed)), (root, logging.NullHandler()))
        level = ours.level
        ours.setLevel(logging.INFO)
        logging.captureWarnings(True)
        for logger, handler in handlers:
            logger.addHandler(handler)
        self._open_log()
        try:
            yield
        finally:
            for logger, handler in handlers:
                logger.removeHandler(handler)
            ours.setLevel(level)
            logging.captureWarnings(False)
            self._close_log()

    def _open_log(self) -> None:
        # Only our own lines: botocore's show the bodies of requests.
        if self._file_handler is None and self.log_file is not None:
            self._file_handler = log_handler(self.log_file)
            logging.getLogger("wizard").addHandler(self._file_handler)

    def _close_log(self) -> None:
        if self._file_handler is not None:
            logging.getLogger("wizard").removeHandler(self._file_handler)
            self._file_handler.close()
            self._file_handler = None

    def crashed(self, doing: str, error: BaseException) -> str:
        """An unforeseen error in one line, for people; its traceback goes into the log file, where there is one yet."""
        log.error("%s failed", doing, exc_info=error)
        where = "The log file has the details" if self.log_file else "Start again with --log FILE to have the details"
        return f"This failed unexpectedly ({plain(f'{type(error).__name__}: {error}', 400)}). {where}."

    @property
    def exit_code(self) -> int:
        """The status of the sitting: the worst of the last outcome of each action."""
        last: Mapping[tuple[str, str], int] = {
            (done.step.id, done.action.id): done.outcome.code for done in self.history
        }
        return worst(list(last.values()))


def in_thread(work: Callable[[], Result], name: str = "engine") -> Future[Result]:
    """Run `work` in a thread of its own that does not keep the process alive."""
    future: Future[Result] = Future()
    future.set_running_or_notify_cancel()  # a face that goes away cannot cancel it half-way

    def body() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=body, name=name, daemon=True).start()
    return future
