"""The plan that apply, verify and cleanup go by: the newest one, for as long as it fits the account, the map and the tables."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wizard.aws_errors import AWS_ERRORS, explain
from wizard.catalog.model import Ids
from wizard.context import Context
from wizard.errors import Blocked
from wizard.migration.ledger import Ledger
from wizard.migration.plan import catalog_digest, map_digest
from wizard.migration.targets import describe, key_schema, table_identity
from wizard.text import plain
from wizard.users import planned_ids

GONE = "it is gone"

log = logging.getLogger(__name__)


def open_plan(context: Context, ledger: Ledger) -> tuple[dict[str, Any], Ids]:
    """The newest plan and its map. Raises Blocked for a missing, stale or foreign plan, and says what changed."""
    plan = ledger.latest_plan()
    if plan is None:
        raise Blocked("There is no plan yet: run `amplify-migrate migrate plan` first.")
    ids = Ids(planned_ids(context.workspace))
    stale = []
    if plan["account"] != context.account.id:
        stale.append(f"it is of account {plan['account']}")
    if plan["region"] != context.region or plan["deployment"] != {
        "dep": context.deployment.dep, "stage": context.deployment.stage,
    }:  # fmt: skip
        stale.append("it is of another deployment")
    if plan["map_digest"] != map_digest(ids):
        stale.append("the user map has changed")
    if plan["catalog_digest"] != catalog_digest():
        stale.append("this version of the program knows the tables differently")
    if stale:
        raise Blocked(f"The plan cannot be used: {'; '.join(stale)}. Plan again.")
    return plan, ids


def check_tables(context: Context, plan: Mapping[str, Any], wanted: set[str]) -> None:
    """Raises Blocked when a table of the plan is another one by now (deleted, created again, other key)."""
    for name, state in other_tables(context, plan, wanted):
        if state == GONE:
            log.error("%s is gone; its changes will fail", name)
        else:
            raise Blocked(f"{name} is not the table that was planned ({state}). Plan again.")


def other_tables(context: Context, plan: Mapping[str, Any], wanted: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(name, what became of it) of the `wanted` tables of a plan that are gone or other ones by now."""
    for name in sorted(plan["tables"].keys() & set(wanted)):
        known = plan["tables"][name]
        try:
            found = describe(context.account, name)
        except AWS_ERRORS as error:
            # Its changes are each made on condition of what was planned, or fail; the other tables go on.
            log.error("%s could not be looked at: %s", name, plain(explain(error), 300))
            continue
        if found is None:
            yield name, GONE
        elif (known["id"] and table_identity(found) != known["id"]) or [list(part) for part in key_schema(found)] != [
            list(part) for part in known["key"]
        ]:
            yield name, "it was created again or has another key"
