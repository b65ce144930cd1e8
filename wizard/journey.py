"""The steps from Step 0 to cleanup: what each needs, when it applies, when it is done. Pure: no client, clock or file.

A front end asks `Journey.first_open(facts)` where to stand, shows `status`, and runs actions. Branches, skips and locks
are decided here only, so that the screens, the plain prompts, `--auto` and the commands cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from wizard.facts import Facts

if TYPE_CHECKING:  # a context brings boto3 along; faces that only draw the journey load without it
    from wizard.context import Context

Effect = Literal["read", "write", "destroy"]
EFFECTS: dict[Effect, str] = {"read": "only looks", "write": "asks and writes", "destroy": "asks and deletes"}
State = Literal["done", "skipped", "open", "locked", "unknown"]


@dataclass(frozen=True)
class Field:
    """One value that an action asks for. `option` is its command-line spelling; `default` may look at the facts."""

    name: str
    label: str
    option: str = ""
    default: Callable[[Facts], str] = lambda facts: ""
    choices: tuple[str, ...] = ()
    help: str = ""
    required: bool = False
    asked: Callable[[Mapping[str, str]], bool] = lambda values: True  # whether, by what the fields before it say


@dataclass(frozen=True)
class Outcome:
    """What an action came to: an exit status, one sentence, and details for people and for `--json`."""

    code: int
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


Values = Mapping[str, str]


@dataclass(frozen=True)
class Action:
    """Something a step can do. `word` is what must be typed before a destroying action, from facts."""

    id: str
    label: str
    effect: Effect
    run: Callable[[Context, Values], Outcome]
    command: Callable[[Values], str]
    fields: tuple[Field, ...] = ()
    word: Callable[[Facts], str] = lambda facts: ""
    applies: Callable[[Facts], bool] = lambda facts: True
    does: str = ""  # what it does to the account and here, in two or three words; "" where `effect` says it all
    undo: bool = False  # takes back what the step did: never what the step is for
    preview: str = ""  # id of the action of the same step that shows what this one would do (its dry run)
    # What will be down or slow and for how long, which jobs to stop, what users will notice.
    warning: Callable[[Facts, Values], Sequence[str]] = lambda facts, values: ()
    offers: Callable[[Outcome], Values] = lambda outcome: {}  # for the step's other fields, like a file that was made
    review: Callable[[Outcome], Sequence[str]] = lambda outcome: ()  # what to think about before the next step


@dataclass(frozen=True)
class Step:
    """One step. `skip`, `done` and `locked` each return a reason, or "" for no."""

    id: str
    title: str
    guidance: str
    skip: Callable[[Facts], str]  # why it does not apply here; "" when it applies
    done: Callable[[Facts], str]  # why it counts as done; "" when it is not
    locked: Callable[[Facts], str]  # what must come first; "" when it may be done now
    actions: tuple[Action, ...] = ()
    needs: tuple[str, ...] = ()  # facts without which neither skip nor done can be told
    tells: tuple[str, ...] = ()  # facts that are worth seeing here and decide nothing


@dataclass(frozen=True)
class Status:
    """Where a step stands and why, in words."""

    state: State
    why: str


def status(step: Step, facts: Facts) -> Status:
    """Done, skipped, locked, unknown or open. An unknown fact never makes a step done or skipped."""
    unknown = [name for name in step.needs if not facts.known(name)]
    if unknown:
        details = "; ".join(
            f"{fact.title}: {fact.found}" if (fact := facts.by_name.get(name)) else name for name in unknown
        )
        return Status("unknown", f"could not be found out: {details}")
    if why := step.skip(facts):
        return Status("skipped", why)
    if why := step.done(facts):
        return Status("done", why)
    if why := step.locked(facts):
        return Status("locked", why)
    return Status("open", "")


@dataclass(frozen=True)
class Journey:
    """The ordered steps."""

    steps: tuple[Step, ...]

    def __getitem__(self, step_id: str) -> Step:
        return next(step for step in self.steps if step.id == step_id)

    def statuses(self, facts: Facts) -> dict[str, Status]:
        return {step.id: status(step, facts) for step in self.steps}

    def first_open(self, facts: Facts) -> Step:
        """The first step that is neither done nor skipped; the last one when all are."""
        return next(
            (step for step in self.steps if status(step, facts).state not in ("done", "skipped")), self.steps[-1]
        )

    def after(self, step_id: str, facts: Facts) -> Step | None:
        """The next step that applies, done or not; None at the end."""
        index = self.steps.index(self[step_id])
        return next((step for step in self.steps[index + 1 :] if status(step, facts).state != "skipped"), None)

    def before(self, step_id: str, facts: Facts) -> Step | None:
        """The previous step that applies; None at the start."""
        index = self.steps.index(self[step_id])
        return next((step for step in reversed(self.steps[:index]) if status(step, facts).state != "skipped"), None)
