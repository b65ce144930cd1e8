"""The journey in ordinary lines: for screen readers, bad lines and logs. Every choice is a number that is typed.

questionary asks; Ctrl-C is never swallowed (`unsafe_ask`), and the default of every question is no.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import TypeVar

from screens.plain_results import view, view_checks
from screens.prompts import ask_text, choose, choose_named, confirm, entered, forget_what_was_typed, say, told
from wizard.errors import Interrupted, MigrateError, NoCredentials
from wizard.events import Finding, Question
from wizard.face import FRAGILE, fragile_line
from wizard.farewell import farewell
from wizard.follow import Follower, finding_line, last_words
from wizard.forms import complaint, filled
from wizard.guidance import CREDENTIALS, NOT_RENEWED
from wizard.journey import EFFECTS, Action, Outcome, Step, Values
from wizard.session import Choice, Look, Session, in_thread
from wizard.text import total

Result = TypeVar("Result")


class Leave(Exception):
    """The operator is done."""


class Walk:
    """One sitting in ordinary lines."""

    def __init__(self, session: Session):
        self.session = session
        self.found: list[Finding] = []  # by the work that runs
        self.follower = Follower(session, partial(say, hang=2), self.answer, self.found.append)
        self.shown: Step | None = None  # the step whose guidance was read last
        self.given: dict[str, dict[str, str]] = {}

    def answer(self, question: Question) -> bool:
        """Whether what running work asks for is done; else it stops."""
        return confirm(f"{question.text} Done, go on?")

    def tried(self, doing: str, work: Callable[[], Result]) -> tuple[str, Result | None]:
        """Why a piece of work cannot be done, or ""; and what it came to."""
        try:
            return "", self.asked(work)
        except NoCredentials as error:
            return f"{error}\n{CREDENTIALS}", None
        except Interrupted:  # only a renewal that was declined stops what is done here
            return NOT_RENEWED, None
        except MigrateError as error:
            return str(error), None
        except Exception as error:
            return self.session.crashed(doing, error), None

    def asked(self, work: Callable[[], Result]) -> Result:
        """Do the work in a thread, and answer here what it asks (expired credentials)."""
        return self.follower.follow(in_thread(work))

    def walk(self) -> None:
        """From the first open step until the operator leaves."""
        session = self.session
        if fragile_line(os.environ):
            told(f"Attention: {FRAGILE}")
        if session.context is None and not self.settled():
            self.settle()
        self.look()
        step = session.landing()
        for line in session.arrival():
            told(line)
        while True:
            self.show(step)
            step = self.act(step)

    def settled(self) -> bool:
        """Whether options, environment or checkout say already which deployment this is about."""
        why, _ = self.tried("opening the deployment", partial(self.session.choose, self.session.choice))
        if why:
            if self.session.choice.dep:
                told(f"Not possible: {why}")
            return False
        return True

    def settle(self) -> None:
        """Step 0: profile, region, deployment; until one can be opened. What was entered is offered again."""
        session, choice = self.session, self.session.choice
        while True:
            say("\nStep 0: which account and deployment?")
            self.tell_profiles()
            profile = ask_text("Profile (empty: credentials of the environment):", choice.profile)
            region = ask_text("Region (empty: the profile's or the environment's):", choice.region)
            choice = replace(choice, profile=profile, region=region)
            why, look = self.tried("looking there", partial(session.look, profile, region))
            if look is not None:
                choice = self.picked(choice, look)
                why, _ = self.tried("opening the deployment", partial(session.choose, choice))
            if not why:
                return
            told(f"Not possible: {why}")
            if not confirm("Try again?"):
                raise Leave

    def tell_profiles(self) -> None:
        try:
            profiles = self.session.profiles()
        except Exception as error:  # a broken ~/.aws/config must not stop who uses the environment
            told(f"Attention: the profiles of boto3 could not be read: {error}")
            return
        if profiles:
            say(f"Profiles that boto3 knows: {', '.join(profiles)}")

    def picked(self, choice: Choice, look: Look) -> Choice:
        """The deployment, of those that were found or by its names."""
        say(f"Found: account {look.account} in {look.region}, as {look.arn}")
        choice = replace(choice, region=look.region)
        if not look.deployments:
            say("No Amplify deployment is seen there.")
        else:
            names = [f"{dep}/{stage}, {count} tables" for dep, stage, count in look.deployments]
            number = choose("Which deployment?", [*names, "another one: enter its names"])
            if number < len(look.deployments):
                return replace(choice, dep=look.deployments[number][0], stage=look.deployments[number][1])
        return replace(
            choice, dep=ask_text("DEP_NAME, like v6:", choice.dep), stage=ask_text("STAGE, like dev:", choice.stage)
        )

    def look(self) -> None:
        say("Looking at the account…")
        why, _ = self.tried("looking at the account", self.session.gather)
        if why:
            told(f"The account could not be looked at: {why}")

    def show(self, step: Step) -> None:
        """The step as a person would read it aloud."""
        session = self.session
        where, status = session.header(), session.status(step)
        say()
        say(f"{where.badge}: account {where.account}, {where.region}, deployment {where.deployment}")
        say(f"Step {step.id}: {step.title}. {status.state.capitalize()}{': ' if status.why else ''}{status.why}")
        if step is not self.shown and not (step is session.journey.steps[-1] and session.ending()):
            told(step.guidance)  # once: who has it read aloud knows it when a question was declined
        self.shown = step
        for name in (*step.needs, *step.tells):
            if (fact := session.facts.by_name.get(name)) is not None:
                told(f"- {fact.verdict}: {fact.title}: {fact.found}{f' → {fact.todo}' if fact.todo else ''}", hang=2)

    def act(self, step: Step) -> Step:
        """Ask what to do at a step, and do it; the step to stand at afterwards."""
        session = self.session
        actions = session.actions(step)
        labels = [self.label(action) for action in actions]
        moves: list[tuple[str, Callable[[], Step]]] = [
            ("next step", lambda: session.journey.after(step.id, session.facts) or step),
            ("step before", lambda: session.journey.before(step.id, session.facts) or step),
            ("another step", self.pick),
            ("view everything that was found out", lambda: self.checks(step)),
            ("view the plan and its changes", lambda: self.results(step)),
            ("look at the account again", lambda: self.again(step)),
            ("quit", self.leave),
        ]
        picked = choose("What now?", [*labels, *(label for label, _ in moves)])
        if picked >= len(actions):
            return moves[picked - len(actions)][1]()
        action = actions[picked]
        before = session.status(step).state
        outcome = self.perform(step, action)
        if outcome is None:
            return step
        self.look()
        finished = outcome.code == 0 and before != "done" and session.status(step).state == "done"
        if finished:
            say(f"Step {step.id} is done.")
            self.end()
        return session.following(step) if finished else step

    def end(self) -> None:
        """Say, when nothing is left, that the migration is finished and what remains."""
        for number, line in enumerate(self.session.ending()):
            told(f"- {line}" if number > 1 else line, hang=2)

    def label(self, action: Action) -> str:
        why = self.session.refusal(action)
        values = filled(action, self.given.get(self.session.step_of(action).id, {}), self.session.facts)
        does = f"not yet: {why}" if why else action.does or EFFECTS[action.effect]
        return f"{action.label} ({does})\n$ {action.command(values)}"

    def perform(self, step: Step, action: Action) -> Outcome | None:
        """Values, dry run, question, action; None when it did not come to it."""
        session = self.session
        if why := session.refusal(action):
            told(f"Not yet: {why}.")
            return None
        values = self.enter(step, action)
        if values is None:
            return None
        preview = session.preview_of(action)
        if preview is not None:
            given = filled(preview, self.given[step.id], session.facts)
            seen = session.previewed(preview, given)
            if seen is None:
                seen = self.run(preview, given)
            else:
                told(f"The dry run above still holds. {total(seen.text) or seen.text}")
            if seen.code not in (0, 1):
                return None
        if action.effect != "read" and not self.agreed(action, values):
            say(f"{action.label}: declined; nothing was touched.")
            return None
        outcome = self.run(action, values)
        self.given[step.id].update(action.offers(outcome))
        if lines := [line for line in action.review(outcome) if not line or line.strip() not in outcome.text]:
            say("\nStop and think:")
            say("\n".join(lines).strip(), hang=2)
        return outcome

    def enter(self, step: Step, action: Action) -> Values | None:
        """Ask for the action's fields; what was entered is kept for next time. None when the operator gives up."""
        given = self.given.setdefault(step.id, {})
        for field in action.fields:
            if not field.asked(given):
                continue
            value = given.get(field.name, field.default(self.session.facts))
            while True:
                value = entered(field, value)
                if not (wrong := complaint(field, value)):
                    break
                say(wrong)
                if not confirm("Answer again?"):
                    return None
            given[field.name] = value
        return filled(action, given, self.session.facts)

    def agreed(self, action: Action, values: Values) -> bool:
        where = self.session.header()
        say(f"On account {where.account}, {where.region}, deployment {where.deployment} ({where.badge}).")
        for warning in self.session.warnings(action, values):
            told(f"Attention: {warning}", hang=2)
        told("If it stops half-way, the same action goes on from there.")
        if action.effect == "destroy":
            word = action.word(self.session.facts)
            told(f"{self.session.finality(action)} Type {word} to go on, anything else to leave it.")
            forget_what_was_typed()
            typed = ask_text("The word:")
            if typed != word:
                say(f"That is not {word}.")
            return typed == word
        forget_what_was_typed()
        return confirm(f"{action.label} now?")

    def run(self, action: Action, values: Values) -> Outcome:
        """Run to its end; Ctrl-C asks, and a second one stops without a question."""
        self.found.clear()
        future = self.session.start(action, values)
        while True:
            try:
                outcome = self.follower.follow(future)
                break
            except KeyboardInterrupt:
                try:
                    stop = confirm("Stop between two requests?")
                except KeyboardInterrupt:
                    stop = True
                if stop:
                    say("Stopping: requests in flight are finished first.")
                    self.session.control.cancel()
        for finding in self.found:  # most are in the outcome as well
            if finding.text not in outcome.text:
                say(finding_line(finding), hang=2)
        words = {0: "Done", 130: "Stopped", 3: "Blocked", 4: "Declined"}.get(outcome.code, "Not done")
        say(f"{words}:\n{outcome.text}" if "\n" in outcome.text else f"{words}: {outcome.text}", hang=2)
        if outcome.code not in (0, 4):
            say(f"Log file: {self.session.log_file}")
        return outcome

    def pick(self) -> Step:
        journey = self.session.journey
        rows = {step.id: f"{step.title}: {self.session.status(step).state}" for step in journey.steps}
        return journey[choose_named("Which step? (its name, like 4b)", rows)]

    def again(self, step: Step) -> Step:
        self.look()
        return step

    def checks(self, step: Step) -> Step:
        view_checks(list(self.session.facts))
        return step

    def results(self, step: Step) -> Step:
        """Look at the plan, then stand at the step again."""
        if (found := self.session.results) is None:
            say("There is no plan yet: step 6b makes it.")
            return step
        try:
            view(found)
        except EOFError:
            raise
        except Exception as error:  # a ledger that cannot be read must not end the sitting
            told(str(error) if isinstance(error, MigrateError) else self.session.crashed("reading the results", error))
        return step

    def leave(self) -> Step:
        raise Leave


def run(session: Session) -> int:
    """Walk the journey in ordinary lines until the operator leaves; the exit status."""
    os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")  # asking a slow line where its cursor is only prints a warning
    code = None
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with session.listening():
            try:
                Walk(session).walk()
            except Leave:
                code = session.exit_code
            except (KeyboardInterrupt, EOFError):
                code = Interrupted.exit_code if session.busy else session.exit_code
            except _Ended:
                code = Interrupted.exit_code
            except Exception as error:
                say(session.crashed("the plain prompts", error))
                code = 1
            finally:
                session.finish(30)
    except OSError:
        code = Interrupted.exit_code  # the terminal is gone
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        last_words(farewell(session, shutil.get_terminal_size().columns))
    return code if code is not None else 1


class _Ended(BaseException):
    """A signal asked the process to end."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Ended
