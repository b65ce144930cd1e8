"""The journey without a question: each open step's action in order, its dry run first, told as lines for a person."""

from __future__ import annotations

import contextlib
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping

from wizard.errors import Blocked, Declined, Interrupted
from wizard.events import Question
from wizard.follow import Follower
from wizard.forms import complaint, filled, is_tick
from wizard.journey import Action, Outcome, Step
from wizard.session import Session
from wizard.text import plain


def main_action(actions: list[Action]) -> Action | None:
    """What a step is for: its last action that changes something, else its last one; never an undo."""
    forward = [action for action in actions if not action.undo]
    changing = [action for action in forward if action.effect != "read"]
    return next(reversed(changing or forward), None)


def walk(
    session: Session, *, confirm: Mapping[str, str] | str = "", yes: bool = False, out: Callable[[str], None]
) -> int:
    """Walk every step from the first; the exit status.

    Args:
        confirm: the typed word, or one per step id; a destroying action without it is not started (3).
        yes: needed for any write on a real account (4 without); the sandbox needs none.
    """
    session.feed.answers = False
    with session.listening(), interruptible():
        try:
            return _walk(session, confirm, yes, out)
        except KeyboardInterrupt:
            stopped = session.finish(30)
            with contextlib.suppress(OSError):  # the terminal may be gone
                out("Stopped between two requests." if stopped else "Stopped; a request was still in flight.")
                out(f"Go on from here: {session.resume}")
            return Interrupted.exit_code
        except BaseException:
            session.finish(30)  # no request is cut off by the end of the process
            raise


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT, SIGTERM and a dropped line raise KeyboardInterrupt, whatever the command around it made of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _walk(session: Session, confirm: Mapping[str, str] | str, yes: bool, out: Callable[[str], None]) -> int:
    follower = Follower(session, lambda text: out(f"  {text}"), _nobody)
    session.gather()
    where = session.header()
    out(f"{where.badge}  account {where.account}  {where.region}  {where.deployment}")
    for step in session.journey.steps:
        status = session.status(step)
        out(f"\nStep {step.id}: {step.title}")
        if status.state in ("done", "skipped"):
            out(f"  {status.state}: {plain(status.why)}")
            continue
        if status.state in ("locked", "unknown"):
            out(f"  {status.state}: {plain(status.why)}")
            return Blocked.exit_code
        out(textwrap.indent(textwrap.fill(step.guidance.strip(), 100), "  "))
        action = main_action(session.actions(step))
        if action is None:
            continue
        code = _step(session, step, action, confirm, yes, out, follower)
        if code:
            out(f"\nStopped at step {step.id}. Go on from here: {session.resume}")
            return code
        session.gather()
        status = session.status(step)
        out(f"  {status.state}{': ' if status.why else ''}{plain(status.why)}")
    out("\nThe journey is at its end.")
    for line in session.ending():
        out(f"  {plain(line)}")
    return session.exit_code


def _step(
    session: Session,
    step: Step,
    action: Action,
    confirm: Mapping[str, str] | str,
    yes: bool,
    out: Callable[[str], None],
    follower: Follower,
) -> int:
    values = filled(action, {}, session.facts)
    if action.effect == "destroy":
        word = action.word(session.facts)
        given = confirm if isinstance(confirm, str) else confirm.get(step.id, "")
        if not given or given != word:
            out(f"  {action.label} deletes; it needs --confirm {word}. Nothing was deleted.")
            return Blocked.exit_code
    if wrong := [(field, text) for field in action.fields if (text := complaint(field, values[field.name]))]:
        for _, text in wrong:
            out(f"  {plain(text)}")
        if not all(is_tick(field) for field, _ in wrong):  # a box can only be ticked by a person
            out(
                f"  Run it by itself with that option, then start again: it goes on from here. {action.command(values)}"
            )
        return Blocked.exit_code
    preview = session.preview_of(action)
    if preview is not None:
        code = _run(session, preview, filled(preview, values, session.facts), out, follower)
        if code:
            return code
    sandbox = session.context is not None and session.context.sandbox
    if action.effect != "read" and not (yes or sandbox):
        out(f"  {action.label} writes to a real account; it needs --yes. Nothing was touched.")
        return Declined.exit_code
    return _run(session, action, values, out, follower)


def _run(
    session: Session, action: Action, values: Mapping[str, str], out: Callable[[str], None], follower: Follower
) -> int:
    for warning in session.warnings(action, values):
        out(f"  ! {plain(warning)}")
    outcome: Outcome = follower.follow(session.start(action, values))
    for line in outcome.text.split("\n"):
        out(f"  {plain(line)}")
    return outcome.code


def _nobody(question: Question) -> bool:
    return False  # never reached: a feed without answers refuses each question where it is asked
