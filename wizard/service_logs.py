"""What the functions' logs say: searched since a time, or followed, and grouped by cause.

Logs are searched on our side: CloudWatch's filter patterns differ between emulators, and one error text should be
recognised in one place. One missing variable is one cause, not a thousand lines.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from wizard.aws_errors import ABSENT, AWS_ERRORS, code_of, explain
from wizard.context import Context
from wizard.errors import Interrupted
from wizard.log_causes import classify
from wizard.parallel import each
from wizard.text import plain, plural, without_secrets

log = logging.getLogger(__name__)

LOG_LINES = 50_000  # of one function that are searched; a function that logs more has errors among the first as well
FOLLOW_SECONDS = 5.0
LATE_MILLISECONDS = 60_000  # CloudWatch shows a line some seconds after its time


@dataclass(frozen=True)
class Cause:
    """Errors of one kind about one thing: how many, in which functions, and the newest line."""

    kind: str
    text: str
    count: int
    functions: tuple[str, ...]
    example: str


@dataclass(frozen=True)
class Hit:
    """One line of a function's log that shows an error; `id` is CloudWatch's of the event."""

    id: str
    time: int
    function: str
    kind: str
    text: str
    message: str


def search(context: Context, functions: Sequence[str], since: int) -> tuple[list[Cause], dict[str, Exception]]:
    """Causes in the functions' logs since a time (ms), most frequent first, and what kept a log from being read."""
    hits, unread = _hits(context, functions, since)
    return causes(hits), unread


def causes(hits: Iterable[Hit]) -> list[Cause]:
    """Hits grouped by cause, most frequent first. Pure."""
    tally: dict[tuple[str, str], list[Hit]] = {}
    for hit in sorted(hits, key=lambda hit: (hit.time, hit.function)):
        tally.setdefault((hit.kind, hit.text), []).append(hit)
    found = [
        Cause(kind, text, len(same), tuple(sorted({hit.function for hit in same})), same[-1].message)
        for (kind, text), same in tally.items()
    ]
    return sorted(found, key=lambda cause: (-cause.count, cause.text))


def _hits(context: Context, functions: Sequence[str], since: int) -> tuple[list[Hit], dict[str, Exception]]:
    def look(function: str) -> list[Hit] | Exception:
        try:
            return [
                Hit(
                    str(event.get("eventId", "")),
                    int(event["timestamp"]),
                    function,
                    *cause,
                    plain(without_secrets(event["message"]), 300),
                )
                for event in log_events(context, function, since)
                if (cause := classify(event["message"]))
            ]
        except AWS_ERRORS as error:
            return error

    hits: list[Hit] = []
    unread: dict[str, Exception] = {}
    for function, found in each(look, functions, workers=min(4, context.workers), control=context.control):
        if isinstance(found, Exception):
            unread[function] = found
        else:
            hits += found
    return hits, unread


def log_events(context: Context, function: str, since: int) -> Iterator[Mapping[str, Any]]:
    """Log events of a function since a time (ms); none where it has not logged yet."""
    seen = 0
    try:
        for page in context.account.pages(
            "logs", "filter_log_events", logGroupName=f"/aws/lambda/{function}", startTime=since, limit=10_000
        ):
            for event in page["events"]:
                if event["timestamp"] >= since:  # emulators do not all honour startTime
                    seen += 1
                    yield event
            if seen >= LOG_LINES:
                log.warning("%s logged more than %s lines; the first were searched", function, f"{LOG_LINES:,}")
                return
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ABSENT:
            raise


def follow(
    context: Context, functions: Sequence[str], since: int | None = None, rounds: int | None = None
) -> list[Cause]:
    """Log new errors as they come, a line for each cause, until cancelled (or for `rounds`); returns them all by cause."""
    start = int(time.time() * 1_000) if since is None else since
    seen: dict[str, Hit] = {}
    denied: set[str] = set()
    done = 0
    if not functions:  # nothing can come, so nobody is left waiting for it
        log.info("There is no function whose logs could be followed.")
        return []
    log.info("Following the logs of %s; stop it when you have seen enough.", plural(len(functions), "function"))
    try:
        while rounds is None or done < rounds:
            from_here = max(start, int(time.time() * 1_000) - 2 * LATE_MILLISECONDS) if done else start
            hits, unread = _hits(context, functions, from_here)
            new = {_key(hit): hit for hit in hits if _key(hit) not in seen}
            seen |= new
            for cause in causes(new.values()):
                times = "" if cause.count == 1 else f" ({plural(cause.count, 'time')})"
                log.warning("%s: %s%s: %s", plain(", ".join(cause.functions), 200), cause.text, times, cause.example)
            for function in unread.keys() - denied:
                log.warning("%s: its log cannot be read: %s", function, plain(explain(unread[function]), 200))
            denied |= unread.keys()
            done += 1
            if rounds is None or done < rounds:
                context.control.sleep(FOLLOW_SECONDS)
    except Interrupted:
        log.info("%s in all, of %s.", plural(len(seen), "error"), plural(len(causes(seen.values())), "cause"))
        raise
    return causes(seen.values())


def _key(hit: Hit) -> str:
    return hit.id or f"{hit.function} {hit.time} {hit.message}"
