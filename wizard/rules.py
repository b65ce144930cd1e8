"""When each step is skipped, done or locked, told from facts alone. Pure: no client, clock or file.

Every function takes `Facts` and returns a reason in words, or "" for no. The wizard, `--auto` and the commands all ask
here. An unknown fact is never taken for a good one: a lock that cannot be lifted by what is known stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wizard.facts import Facts
from wizard.guidance import TRY_BY_HAND
from wizard.text import plural

COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
Rule = Callable[[Facts], str]
FREE = ("nobody", "amplify-lambda")  # owners of /user-data that do not stand in the way
UNFINISHED = ("planned", "conflict", "failed")  # states of changes that apply has not settled


def never(facts: Facts) -> str:
    """For steps that are always to be done, never counted as done, or never locked."""
    return ""


def _mapping(facts: Facts, name: str) -> Mapping[str, Any]:
    value = facts.value(name)
    return value if isinstance(value, Mapping) else {}


def old_rows(facts: Facts) -> int | None:
    """Rows of the old user storage table; 0 where it does not exist, None where it could not be read."""
    return int(_mapping(facts, "old_user_storage").get("rows", 0)) if facts.known("old_user_storage") else None


def has_checkout(facts: Facts) -> bool:
    return bool(_mapping(facts, "checkout").get("root"))


def scenario(facts: Facts) -> str:
    """ "a" where ids change, "b" where they stay, "" while there is no map."""
    return str(_mapping(facts, "user_map").get("scenario", ""))


_GO_THERE = "; start inside it, or give --root"

# Steps 0 to 3


def deployment_done(facts: Facts) -> str:
    tables = facts.value("deployment") or 0
    return f"{plural(tables, 'table')} found under its names" if tables else ""


def parameters_skip(facts: Facts) -> str:
    return "" if has_checkout(facts) else f"not from here: it reads the files of a backend checkout{_GO_THERE}"


def parameters_done(facts: Facts) -> str:
    state = _mapping(facts, "parameters")
    if not state.get("root") or state.get("missing") or state.get("different"):
        return ""
    total = int(state.get("total", 0))
    return f"all {plural(total, 'parameter')} are stored with the value of the files" if total else ""


def references_done(facts: Facts) -> str:
    state = _mapping(facts, "references")
    return "every reference resolves" if state.get("root") and not state.get("unresolved") else ""


def definitions_done(facts: Facts) -> str:
    state = _mapping(facts, "definitions")
    if not state.get("root") or state.get("basic_ops"):
        return ""
    return "no serverless.yml reads an output of basic-ops" if not renamed(facts) else ""


def renamed(facts: Facts) -> list[str]:
    """Tables that deploying would replace under a new name, and that the operator has not decided about."""
    waived = set(facts.value("waivers") or ())
    return [name for name in _mapping(facts, "definitions").get("renamed", ()) if name not in waived]


# Step 4: the branch, and what it leads to


def branch(facts: Facts) -> str:
    """What was found and which of 4a to 4d follow."""
    stack, owner = facts.value("basic_ops_stack"), facts.value("user_data_owner")
    old = _mapping(facts, "old_user_storage")
    table = f"has {plural(int(old.get('rows', 0)), 'row')}" if old.get("exists") else "does not exist"
    steps = [name for name, skip, done in _BRANCHES if not skip(facts) and not done(facts)]
    left = (
        f"{', '.join(steps)} are to be done"
        if len(steps) > 1
        else f"{steps[0]} is to be done"
        if steps
        else "nothing of 4a to 4d is left"
    )
    return f"basic-ops stack {stack}; the old user storage {table}; /user-data belongs to {owner}: {left}"


def doomed(facts: Facts) -> list[str]:
    """Tables with rows that removing the basic-ops stack would delete, the old user storage table among them."""
    return list(_mapping(facts, "basic_ops_tables").get("tables", ()))


def backup_skip(facts: Facts) -> str:
    if doomed(facts):
        return ""
    old = _mapping(facts, "old_user_storage")
    if facts.known("old_user_storage") and not old.get("exists"):
        return "" if _mapping(facts, "backup").get("verified") else "the old user storage table does not exist"
    return "the old user storage table is empty" if old_rows(facts) == 0 else ""


def backup_done(facts: Facts) -> str:
    if _mapping(facts, "basic_ops_tables").get("unsaved"):
        return ""
    backup = _mapping(facts, "backup")
    if not doomed(facts) and old_rows(facts) == 0 and backup.get("verified"):
        return f"{_file_name(backup)} holds the {plural(int(backup.get('rows', 0)), 'row')} of the table, which is gone"
    if not old_rows(facts):
        return f"the {plural(len(doomed(facts)), 'table')} with rows that go with basic-ops are backed up"
    return rows_saved(facts)


def _file_name(backup: Mapping[str, Any]) -> str:
    return str(backup.get("file", "")).rpartition("/")[2]


def rows_saved(facts: Facts) -> str:
    """Whether a verified backup has as many rows as the old user storage table now."""
    backup = _mapping(facts, "backup")
    if backup.get("verified") and backup.get("rows") == old_rows(facts):
        return f"{_file_name(backup)} holds the present {plural(int(backup['rows']), 'row')}, verified"
    return ""


def endpoint_done(facts: Facts) -> str:
    owner = facts.value("user_data_owner")
    if owner == "nobody":
        return "nobody owns /user-data"
    return "/user-data belongs to amplify-lambda" if owner == "amplify-lambda" else ""


def endpoint_locked(facts: Facts) -> str:
    """4b: before steps 1 and 2 stand, and while rows of the old table are in no verified backup."""
    rows = old_rows(facts)
    if rows is None:
        return "the rows of the old user storage table could not be counted; what is in it would be lost (step 4a)"
    if rows and not rows_saved(facts):
        return f"the old user storage table has {plural(rows, 'row')} and no verified backup of them (step 4a)"
    if not parameters_done(facts):
        return _without_checkout(facts) or "the parameters are not all stored (step 1)"
    return references_locked(facts)


def references_locked(facts: Facts) -> str:
    """4b, 4c and 5: before step 2 stands."""
    if references_done(facts):
        return ""
    return _without_checkout(facts) or "not every reference to Parameter Store resolves (step 2)"


def _without_checkout(facts: Facts) -> str:
    if facts.known("checkout") and not has_checkout(facts):
        return f"steps 1 and 2 cannot be checked without a backend checkout{_GO_THERE}"
    return ""


def lambda_done(facts: Facts) -> str:
    status, storage = facts.value("lambda_stack"), _mapping(facts, "new_user_storage")
    if status in COMPLETE and storage.get("exists") and facts.value("consolidation") is True:
        return f"the stack is {status}; its user storage table and consolidation bucket exist"
    return ""


def lambda_skip(facts: Facts) -> str:
    """4c, where it cannot be done from here and what the migration needs of it is there."""
    there = _mapping(facts, "new_user_storage").get("exists") and facts.value("consolidation") is True
    if _without_checkout(facts) and there and not lambda_done(facts):
        return "not from here: it is deployed from a backend checkout; its table and its bucket exist"
    return ""


def lambda_locked(facts: Facts) -> str:
    """4c: before step 2 stands, while somebody else owns /user-data, while a table would be replaced."""
    if why := references_locked(facts):
        return why
    if not facts.known("user_data_owner"):
        return "who owns /user-data could not be found out (step 4b)"
    owner = facts.value("user_data_owner")
    if owner not in FREE:
        return f"/user-data belongs to {owner}; it must be freed first (step 4b)"
    if names := renamed(facts):
        return f"deploying would replace, and so delete, {', '.join(names)} (step 3)"
    return ""


def import_skip(facts: Facts) -> str:
    if _mapping(facts, "backup"):
        return ""
    if old_rows(facts) == 0:
        return "there are no rows to bring over: no backup, and no old table with rows"
    return ""


def import_done(facts: Facts) -> str:
    state = _mapping(facts, "import")
    return "every backed-up row is in the new table" if state and state.get("missing") == 0 else ""


def import_locked(facts: Facts) -> str:
    if not facts.known("new_user_storage"):
        return "the new user storage table could not be read"
    if not _mapping(facts, "new_user_storage").get("exists"):
        return "the new user storage table does not exist yet (step 4c)"
    return "" if _mapping(facts, "backup") else "there is no backup to import (step 4a)"


_BRANCHES = (
    ("4a", backup_skip, backup_done),
    ("4b", never, endpoint_done),
    ("4c", lambda_skip, lambda_done),
    ("4d", import_skip, import_done),
)


# Step 5 and the verification


def services_done(facts: Facts) -> str:
    states = _mapping(facts, "services")
    if not states or any(status not in COMPLETE for status in states.values()):
        return ""
    return f"{plural(len(states), 'stack')} complete and deployed since amplify-lambda brought the new tables"


def services_locked(facts: Facts) -> str:
    """5: before step 2 stands; before amplify-lambda, whose API the others import; while a table would be replaced."""
    if why := references_locked(facts):
        return why
    if not lambda_done(facts):
        return "amplify-lambda of the new release comes first (step 4c)"
    if names := renamed(facts):
        return f"deploying would replace, and so delete, {', '.join(names)} (step 3)"
    return ""


def services_skip(facts: Facts) -> str:
    if facts.known("checkout") and not has_checkout(facts) and not services_done(facts):
        return f"not from here: services are deployed from a backend checkout{_GO_THERE}"
    return ""


def verified_done(facts: Facts) -> str:
    if facts.value("verified_services") is not True:
        return ""
    left = len(TRY_BY_HAND.keys() - set(facts.value("tried") or ()))
    by_hand = f"; of {len(TRY_BY_HAND)} tries by hand {left} are not ticked" if left else ""
    return f"nothing wrong was found since the last deployment{by_hand}"


def logs_quiet(facts: Facts) -> str:
    return "no errors a day after the last change" if facts.value("quiet_logs") is True else ""


# Step 6 and the cleanup


def map_done(facts: Facts) -> str:
    found = _mapping(facts, "user_map")
    if not found or found.get("errors"):
        return ""
    meaning = "ids change" if scenario(facts) == "a" else "ids stay the same, storage is consolidated"
    return f"{plural(int(found.get('rows', 0)), 'user')}, scenario {scenario(facts).upper()}: {meaning}"


def map_locked(facts: Facts) -> str:
    return "" if map_done(facts) else "there is no user map without errors (step 6a)"


def plan_done(facts: Facts) -> str:
    plan = _mapping(facts, "plan")
    if not plan or not plan.get("fresh"):
        return ""
    return f"plan {plan.get('id')} is newer than the map; {plural(int(plan.get('changes', 0)), 'change')} open"


def safeguard_done(facts: Facts) -> str:
    state = _mapping(facts, "safeguard")
    if not state:
        return ""
    if not state.get("missing"):
        return "every table of the plan has recovery or a backup"
    return "waived by the operator" if state.get("waived") else ""


def safeguard_locked(facts: Facts) -> str:
    return "" if _mapping(facts, "plan") else "there is no plan yet (step 6b)"


def safeguard_skip(facts: Facts) -> str:
    return "the plan has nothing to change" if _nothing_planned(facts) and not something_applied(facts) else ""


def apply_done(facts: Facts) -> str:
    plan = _mapping(facts, "plan")
    if not plan:
        return ""
    if plan.get("still_to_put_back") or plan.get("still_to_remove"):
        return ""
    if _nothing_planned(facts) and not something_applied(facts):
        return "a plan over the account finds nothing to change"
    counts = plan.get("counts") or {}
    if not plan.get("fresh") or any(counts.get(state) for state in UNFINISHED):
        return ""
    return "nothing planned is left"


def apply_locked(facts: Facts) -> str:
    """6c: without a plan for this map, and while what it writes into does not exist."""
    if not _mapping(facts, "plan"):
        return "there is no plan yet (step 6b)"
    if why := _stale(facts):
        return why
    if not _mapping(facts, "new_user_storage").get("exists") or facts.value("consolidation") is not True:
        return "the user storage table and the consolidation bucket do not exist yet (step 4c)"
    return ""


def _stale(facts: Facts) -> str:
    """Why the plan cannot be gone on with, or ""."""
    plan = _mapping(facts, "plan")
    if not plan or plan.get("fresh"):
        return ""
    if not plan.get("undone"):
        return "the plan is older than the user map; plan again (step 6b)"
    if something_to_undo(facts):
        return "a rollback of the plan began: undo the rest, or plan again (step 6b)"
    return "the plan was rolled back; plan again (step 6b)"


def _nothing_planned(facts: Facts) -> bool:
    plan = _mapping(facts, "plan")
    return bool(plan and plan.get("fresh") and plan.get("changes") == 0)


def something_applied(facts: Facts) -> bool:
    """Whether anything counts as applied and not undone, be it that verification found it wrong."""
    plan = _mapping(facts, "plan")
    counts = plan.get("counts") or {}
    return bool(plan.get("made")) or any(counts.get(state) for state in ("applied", "verified", "cleaned"))


def something_to_undo(facts: Facts) -> bool:
    """Whether a rollback has anything to take back, or to explain: what was found standing is not ours to undo."""
    plan = _mapping(facts, "plan")
    return bool(plan.get("made") or (plan.get("counts") or {}).get("cleaned"))


def verify_done(facts: Facts) -> str:
    if not apply_done(facts):
        return ""
    if _nothing_planned(facts) and not something_applied(facts):
        return "a plan over the account finds nothing to change"
    found = _mapping(facts, "verification")
    return "everything applied is verified, and no mapped id is left at a named path" if found.get("clean") else ""


def verify_locked(facts: Facts) -> str:
    if apply_done(facts):
        return ""
    if something_to_undo(facts) and _mapping(facts, "plan").get("fresh"):
        return "not everything is applied, or was found right: plan again (step 6b) and apply (step 6c), or undo"
    return _stale(facts) or "the plan is not applied yet (step 6c)"


def cleanup_done(facts: Facts) -> str:
    if not verify_done(facts):
        return ""
    if facts.value("retained") == 0:
        return "nothing retained is left"
    return "the old records are kept" if facts.value("kept") is True else ""


def cleanup_locked(facts: Facts) -> str:
    """7: before verify."""
    return "" if verify_done(facts) else "what was applied is not verified yet (step 6d)"
