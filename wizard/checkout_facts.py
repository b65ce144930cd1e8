"""Facts that need the backend checkout: how Parameter Store and the deployed stacks compare with its files."""

from __future__ import annotations

from wizard import definitions, parameters
from wizard.context import Context
from wizard.facts import Fact
from wizard.text import plain, plural

NOT_FROM_HERE = "not looked at: no backend checkout here"


def check_parameters(context: Context) -> Fact:
    """Step 1: what is not stored yet, or stored with another value than the files'."""
    if context.root is None:
        value = {"root": False, "missing": [], "different": [], "total": 0}
        return Fact("parameters", "ok", "Parameter Store", NOT_FROM_HERE, "", value)
    state = parameters.state(context)
    left = len(state.missing) + len(state.different)
    found = f"{state.total - left} of {plural(state.total, 'parameter')} stored"
    if state.different:
        found += f", {len(state.different)} with another value"
    return Fact(
        "parameters",
        "attention" if left else "ok",
        "Parameter Store",
        found,
        "Step 1 stores them." if left else "",
        {"root": True, "missing": list(state.missing), "different": list(state.different), "total": state.total},
    )


def check_references(context: Context) -> Fact:
    """Step 2: references of the serverless.yml files that nothing answers."""
    if context.root is None:
        return Fact("references", "ok", "References", NOT_FROM_HERE, "", {"root": False, "unresolved": []})
    unresolved = list(parameters.state(context).unresolved)
    return Fact(
        "references",
        "blocked" if unresolved else "ok",
        "References to parameters",
        f"{plural(len(unresolved), 'reference')} without an answer: {plain(', '.join(unresolved), 300)}"
        if unresolved
        else "every reference resolves",
        "Step 1 stores what the files define; correct the others where they are named." if unresolved else "",
        {"root": True, "unresolved": unresolved},
    )


def check_definitions(context: Context) -> Fact:
    """Step 3: what still reads basic-ops, and tables that a deployment would replace under a new name."""
    if context.root is None:
        value = {"root": False, "basic_ops": [], "renamed": []}
        return Fact("definitions", "ok", "Service definitions", NOT_FROM_HERE, "", value)
    return definitions.fact(context)
