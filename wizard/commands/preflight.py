"""`amplify-migrate preflight`: everything that a read-only look at account, workspace and machine finds."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from wizard import policy
from wizard.context import Context
from wizard.facts import Facts
from wizard.journey import Outcome
from wizard.preflight import gather
from wizard.steps import JOURNEY
from wizard.text import plain

SIGNS = {"ok": "ok       ", "attention": "attention", "blocked": "blocked  ", "unknown": "unknown  "}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the `preflight` command."""
    parser = commands.add_parser(
        "preflight", parents=[common], help="look at everything, change nothing", description=__doc__
    )
    parser.add_argument("--policy", action="store_true", help="print the IAM policy that the next steps need")
    parser.add_argument("--root", metavar="DIR", type=Path, help="the backend's checkout (default: this folder)")
    parser.set_defaults(run=run_preflight)


def run_preflight(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Gather the facts, and say where each step stands. Findings do not change the status: 0."""
    if arguments.policy:
        document = policy.document(context)
        return Outcome(0, json.dumps(document, indent=2), document)
    if arguments.root:
        context.root = arguments.root
    facts = gather(context)
    return Outcome(0, describe(facts), document_of(facts))


def describe(facts: Facts) -> str:
    """One line per fact, what to do below it, and where the journey stands."""
    lines = []
    for fact in facts:
        lines.append(f"{SIGNS[fact.verdict]}  {fact.title}: {plain(fact.found, 400)}")
        if fact.todo:
            lines.append(f"           → {plain(fact.todo, 400)}")
    step = JOURNEY.first_open(facts)
    why = JOURNEY.statuses(facts)[step.id].why
    lines += ["", f"Next: step {step.id}, {step.title}" + (f" ({plain(why, 300)})" if why else "") + "."]
    return "\n".join(lines)


def document_of(facts: Facts) -> dict[str, object]:
    """The `--json` document."""
    statuses = JOURNEY.statuses(facts)
    return {
        "facts": [asdict(fact) for fact in facts],
        "steps": [
            {"step": step.id, "title": step.title, "state": statuses[step.id].state, "why": statuses[step.id].why}
            for step in JOURNEY.steps
        ],
        "next": JOURNEY.first_open(facts).id,
    }
