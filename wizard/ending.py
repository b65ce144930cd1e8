"""The end of a migration in so many words: that it is finished, what remains and where. Pure; every face shows it."""

from __future__ import annotations

from wizard import rules
from wizard.facts import Facts
from wizard.journey import Journey
from wizard.text import plural


def ending(journey: Journey, facts: Facts, label: str, workspace: str) -> list[str]:
    """That the migration of the deployment `label` is finished, then what remains, a sentence a line; [] before the end.

    It is the end when every step is done or does not apply. `workspace` is "" where it goes with a demo.
    """
    states = journey.statuses(facts)
    if any(status.state not in ("done", "skipped") for status in states.values()):
        return []
    plan = facts.value("plan") or {}
    counts = plan.get("counts") or {}
    made, cleaned = counts.get("verified", 0) + counts.get("cleaned", 0), counts.get("cleaned", 0)
    if not made:
        first = "nothing had to be changed"
    else:
        old = "the old records are deleted" if cleaned else "no old record stood beside its new one"
        old = "the old records are kept" if facts.value("retained") else old
        first = f"{plural(made, 'change')} made and verified, {old}"
    left = [step.id for step in journey.steps if states[step.id].state == "skipped"]
    elsewhere = [] if rules.has_checkout(facts) else [one for one in left if one in ("1", "2", "3", "4c", "5")]
    lines = [f"The migration of {label} is finished: {first}.", "What remains:"]
    if elsewhere:
        lines.append(
            f"Not seen from here, for want of a backend checkout: steps {', '.join(elsewhere)}. See that they are done."
        )
    files = _files(workspace, bool(made), bool(cleaned)) if workspace else []
    return [*lines, *_remaining(facts, counts), *files]


def _remaining(facts: Facts, counts: dict[str, int]) -> list[str]:
    """What stands in the account."""
    lines: list[str] = []
    if retained := facts.value("retained"):
        lines.append(
            f"{plural(int(retained), 'old record')} beside the new ones, marked `migration_retained`: `cleanup apply`"
            " deletes them, should you want that later."
        )
    if kept := counts.get("kept", 0) + counts.get("resolved", 0):
        lines.append(
            f"Left as they were, as they could not go with the rest or you decided so: {plural(kept, 'item')};"
            " `migrate show --state kept` and `--state resolved` list them."
        )
    buckets = list((facts.value("buckets") or {}).get("legacy", ()))
    if buckets:
        lines.append(
            f"Legacy buckets, from which the content of the map's users was copied: {', '.join(buckets)}. When nothing reads"
            " them any more, and nobody who is not in the map has content there, delete them by hand."
        )
    if (facts.value("old_user_storage") or {}).get("exists"):
        name = (facts.value("names") or {}).get("old_user_storage", "")
        lines.append(f"The old user storage table {name}: its rows were copied; it goes with the basic-ops stack.")
    stack = facts.value("basic_ops_stack")
    if stack not in (None, "absent"):
        name = (facts.value("names") or {}).get("basic_ops_stack", "")
        lines.append(
            f"The stack {name} ({stack}): the new services do not need it; remove it when you have saved its tables."
        )
    plan = facts.value("plan") or {}
    if outside := plan.get("not_in_map"):
        lines.append(
            f"{plural(int(outside), 'user')} with data who are not in the map, as they were: `users missing` lists"
            " them."
        )
    if unknown := plan.get("unknown_references"):
        lines.append(
            f"Old ids at {plural(int(unknown), 'path')} that the catalog does not name, as they were: the plan's unknown"
            " references."
        )
    if rules.scenario(facts) == "a":
        lines.append("Old ids in audit logs and in the text of old conversations.")
        lines.append("ADMINS in the var file, if it still names old ids: put in the new ones and do step 1 once more.")
    lines.append("The parameters, and the var file, which serverless.yml still reads.")
    return lines


def _files(workspace: str, made: bool, cleaned: bool) -> list[str]:
    """What stands on this machine, and what to do with it."""
    undo = "" if cleaned or not made else "; as long as it stands, `rollback` can undo the migration"
    return [
        f"The workspace {workspace}, with ledger, logs and backups, which hold personal data: keep it until users have"
        f" accepted{undo}. `report` writes into it what was done; keep that, then delete the rest, backups first.",
    ]
