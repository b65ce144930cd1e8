"""`amplify-migrate endpoint show | free`: who owns /user-data, and how it is freed (step 4b)."""

from __future__ import annotations

import argparse
from pathlib import Path

from wizard import endpoint, endpoint_free
from wizard.context import Context
from wizard.gate import Preview
from wizard.journey import Outcome
from wizard.text import plain, sentences


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the `endpoint` commands."""
    group = commands.add_parser("endpoint", help="who owns /user-data, and freeing it", description="Step 4b.")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)

    show = actions.add_parser("show", parents=[common], help="who owns /user-data, and what stands in the way")
    show.set_defaults(run=run_show)

    free = actions.add_parser("free", parents=[common], help="free /user-data for amplify-lambda")
    free.add_argument(
        "--how",
        choices=endpoint_free.HOWS,
        required=True,
        help="stack: delete basic-ops' stack; serverless: remove it from its checkout; resource: delete the API"
        " resource only; wait: watch until you have freed it by hand",
    )
    free.add_argument("--root", metavar="DIR", type=Path, help="the backend's checkout (default: this folder)")
    free.add_argument(
        "--old-root",
        metavar="DIR",
        type=Path,
        help="with serverless: the checkout that basic-ops was deployed from, where it is not the one of --root",
    )
    free.add_argument("--dry-run", action="store_true", help="make every check and say what would be done")
    free.set_defaults(run=run_free, effect="destroy", word=word, preview=Preview(run_free), live=True)


def word(arguments: argparse.Namespace, context: Context) -> str:
    """What `--confirm` must say: the name of basic-ops' stack; "" where nothing is destroyed."""
    return endpoint_free.word(context, arguments.how)


def run_show(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Who owns the path; findings do not change the status."""
    state = endpoint.look(context)
    found = list(endpoint.findings(state, context.deployment))
    where = f" (resource {state.resource_id} of API {state.api_id})" if state.resource_id else ""
    lines = [
        f"{endpoint.PATH}: {state.owner}{where}",
        f"{context.deployment.stack('lambda-basic-ops')}: {state.basic_ops_stack}",
        f"{context.deployment.stack('lambda')}: {state.lambda_stack}",
    ]
    lines += [f"{finding.place}: {sentences(plain(finding.text), finding.todo)}" for finding in found]
    by_hand = endpoint.by_hand(state, context.deployment)
    details = {
        "endpoint": state.record(),
        "findings": [vars(finding) for finding in found],
        "by_hand": by_hand,
    }
    return Outcome(0, "\n".join([*lines, *by_hand]), details)


def run_free(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Free the path: 3 while a lock or something in the way stands."""
    context.root = arguments.root or context.root
    return endpoint_free.free(context, arguments.how, dry_run=arguments.dry_run, old_root=arguments.old_root)
