"""Runs that change something are remembered in the ledger, also when a cancel, a lost lock or lost credentials end them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from wizard.aws import Account
from wizard.aws_errors import explain
from wizard.errors import MigrateError
from wizard.migration.ledger import Ledger

Summary = dict[str, Any]


def recorded(
    account: Account,
    ledger: Ledger,
    step: str,
    work: Callable[[], object],
    summarise: Callable[[], Summary],
    code: Callable[[Mapping[str, Any]], int],
    text: Callable[[Mapping[str, Any]], str],
) -> Summary:
    """Do the work, remember it as a run of `step` with what it came to and what it cost, and return its summary.

    `summarise` tells at any time what was done so far. What ends the work is recorded and raised. The run is on record
    from its start: a verification from before it must not count after a kill either.
    """
    started, before = time.time(), account.costs.copy()
    run = ledger.begin_run(step, started)
    try:
        work()
    except Exception as error:
        # An error that nobody foresaw is remembered too.
        ended, why = (error.exit_code, str(error)) if isinstance(error, MigrateError) else (1, explain(error))
        ledger.end_run(run, ended, why, {**summarise(), "costs": account.costs.since(before)})
        raise
    summary = summarise()
    detail = {**summary, "costs": account.costs.since(before)}
    ledger.end_run(run, code(summary), text(summary), detail)
    return summary
