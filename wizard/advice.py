"""Where a migration stands, in one sentence, and what to do next, from the evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wizard.evidence import Evidence
from wizard.migration.states import is_undone, last_proof
from wizard.text import plural


def standing(evidence: Evidence) -> str:
    """The state of the migration in one sentence."""
    states = evidence.states
    done = sum(states.get(state, 0) for state in ("applied", "verified", "cleaned"))
    undone = sum(states.get(state, 0) for state in ("planned", "conflict", "failed"))
    if not evidence.plan:
        return "Nothing is planned yet."
    if states.get("rolled back") and not done:
        return "The migration was rolled back."
    if done and is_undone(evidence.runs):
        back = plural(states.get("rolled back", 0), "change")
        return f"It was applied, and a rollback of it began: {back} undone, {done:,} still made."
    if not done:
        return (
            f"It is planned and not applied: {plural(undone, 'change')} wait." if undone else "Nothing had to change."
        )
    if undone:
        return f"It is applied in part: {plural(done, 'change')} made, {undone:,} not."
    if states.get("applied"):
        return f"It is applied and not verified: {plural(states['applied'], 'change')} were not read back."
    if not (last := last_proof(evidence.runs)):
        return "It is applied and not verified."
    if last["code"] != 0:
        return f"It is applied, and the last verification was not clean: {last['text']}."
    if states.get("cleaned"):
        left = f"; {plural(evidence.retained, 'old record')} still stand" if evidence.retained else ""
        return f"It is applied, verified and cleaned up{left}."
    return "It is applied and verified; the old records still stand."


def advice(evidence: Evidence) -> list[str]:
    """What to do next, the first thing first."""
    states, found = evidence.states, []
    if not evidence.plan:
        return ["Check the user map (`users check`), then plan: `migrate plan --csv-file FILE`."]
    if evidence.plan["unread"]:
        found.append(
            f"Not everything could be read: {', '.join(evidence.plan['unread'])}. Grant the right and plan again."
        )
    undone = is_undone(evidence.runs)
    if evidence.still_to_put_back:
        by = "rollback" if undone else "migrate apply"
        found.append(f"Put back what a deletion took from a service: `{by}`.")
    done = any(states.get(state) for state in ("applied", "verified", "cleaned"))
    last = last_proof(evidence.runs)
    clean = last is not None and last["code"] == 0
    if undone:
        if done:
            found.append("Undo the rest: `rollback`. Look at each change that it leaves, since a service has changed it, and"
                         " take it off the list: `migrate resolve`.")  # fmt: skip
        found.append("Find the cause of the undo, then plan again: `migrate plan`.")
    else:
        found += _open(states)
        if last is not None and not clean and not states.get("cleaned"):
            found.append(
                "The last verification was not clean: plan, apply and verify again, or undo it all: `rollback`."
            )
        elif states.get("applied") or (done and not clean):
            found.append("Read back what was written: `migrate verify`.")
    if evidence.unknown_references:
        found.append("Look at the unknown references below: old ids that nothing of the catalog maps.")
    if (
        evidence.retained
        and clean
        and not any(states.get(state) for state in ("planned", "conflict", "failed", "applied"))
    ):
        found.append("When the services have run without errors for a day or two and users have accepted: `cleanup plan`,"
                     " then `cleanup apply`, or `cleanup mark` to keep the old records.")  # fmt: skip
    if states.get("cleaned") and not _cleanup_verified(evidence.commands):
        found.append("Read the cleanup back: `cleanup verify`.")
    if any(evidence.remaining[kind] for kind in ("tables", "buckets")):
        found.append("Decide about the legacy tables and buckets that remain, below.")
    return found or [
        "Nothing is left to do. Keep this report, and delete the workspace when it is not needed any more."
    ]


def _open(states: Mapping[str, int]) -> list[str]:
    """What to do about changes that are not made."""
    found = []
    if states.get("conflict"):
        found.append("Look at the conflicts (`migrate show --state conflict`): mend them by hand and `migrate resolve`,"
                     " or plan again.")  # fmt: skip
    if states.get("failed"):
        found.append("Mend the cause of the failures (`migrate show --state failed`), then `migrate apply` again.")
    if states.get("planned"):
        found.append("Make the planned changes: `migrate apply`.")
    return found


def _cleanup_verified(commands: Sequence[Mapping[str, Any]]) -> bool:
    last = [one for one in commands if one["command"] in ("cleanup apply", "cleanup verify") and not one["dry_run"]][
        -1:
    ]
    return [(one["command"], one["code"]) for one in last] == [("cleanup verify", 0)]
