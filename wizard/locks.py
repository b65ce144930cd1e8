"""The locks of the journey for the commands: the same rules as on every screen, on facts gathered now."""

from __future__ import annotations

from wizard import preflight, rules
from wizard.context import Context
from wizard.errors import Blocked

# step -> (its lock, the facts that the lock looks at)
_LOCKS = {
    "4b": (rules.endpoint_locked, ("checkout", "parameters", "references", "old_user_storage", "backup")),
    "4c": (rules.lambda_locked, ("checkout", "references", "user_data_owner", "definitions", "waivers")),
    "5": (
        rules.services_locked,
        ("checkout", "references", "lambda_stack", "new_user_storage", "consolidation", "definitions", "waivers"),
    ),
}


def require(context: Context, step: str) -> None:
    """Raise Blocked, naming the step that comes first, while `step` (4b, 4c or 5) is locked."""
    rule, names = _LOCKS[step]
    facts = preflight.gather(context, names)
    if why := rule(facts):
        raise Blocked(f"Step {step} is locked: {why}.{facts.causes()}")
