"""How often and how long one request is tried again: throttling, an answer that was lost, a clock that was off."""

from __future__ import annotations

import logging
import random
import time

import botocore.exceptions

from wizard.aws_errors import clock_off, code_of, in_transit, throttled
from wizard.errors import Blocked

log = logging.getLogger(__name__)

SKEW_TRIES = 3  # a process that was asleep between signing and sending is taken the next time
READ_AGAIN = (0.5, 1.0, 2.0)  # seconds before a read that botocore gave up is tried once more
PATIENCE_SECONDS = 1_800.0  # how long one request may be throttled before it counts as failed


class Patience:
    """What one request may still be tried again for.

    Throttling waits and goes on for up to half an hour. A read that got no answer is tried a few times more; a write is
    left to the caller, who knows what it was made on condition of.
    """

    def __init__(self, operation: str, *, write: bool):
        self._operation = operation
        self._started = time.monotonic()
        self._throttled = 0
        self._skewed = 0
        self._lost = iter(() if write else READ_AGAIN)

    def delay(self, error: botocore.exceptions.ClientError | botocore.exceptions.BotoCoreError) -> float | None:
        """Seconds until the request may go once more; None where it has failed. Raises Blocked for a refused clock."""
        code = code_of(error)
        if isinstance(error, botocore.exceptions.ClientError):
            if (off := clock_off(error)) is not None:
                self._skewed += 1
                if self._skewed < SKEW_TRIES:
                    return 1.0
                raise Blocked(
                    f"AWS refuses the clock of this machine ({code}){off}: set it, then run the same command again;"
                    " it goes on from here."
                ) from error
            if throttled(error) and time.monotonic() - self._started < PATIENCE_SECONDS:
                self._throttled += 1
                delay = min(20.0, 0.2 * 2.0 ** min(self._throttled, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
                log.warning("%s is throttled (%s); waiting %.1f s", self._operation, code, delay)
                return delay
        if in_transit(error) and (again := next(self._lost, None)):
            log.warning("%s got no answer (%s); trying again", self._operation, code)
            return again
        return None
