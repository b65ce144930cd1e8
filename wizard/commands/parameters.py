"""`amplify-migrate parameters populate | verify | restore`."""

from __future__ import annotations

import argparse
from pathlib import Path

from wizard import parameters
from wizard.context import Context
from wizard.gate import Preview
from wizard.journey import Outcome


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    group = commands.add_parser("parameters", help="steps 1 and 2: Parameter Store", description=__doc__)
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)

    populate = actions.add_parser("populate", parents=[common], help="store what the services of a checkout read")
    _root(populate)
    populate.add_argument("--dry-run", action="store_true", help="show create, update (old → new) and unchanged only")
    populate.set_defaults(run=run_populate, effect="write", preview=Preview(run_populate))

    verify = actions.add_parser("verify", parents=[common], help="check every parameter and every ${ssm:…} reference")
    _root(verify)
    verify.set_defaults(run=run_verify)

    restore = actions.add_parser("restore", parents=[common], help="put back the values that populate replaced")
    restore.add_argument("--dry-run", action="store_true", help="show what would be put back")
    restore.set_defaults(
        run=run_restore, effect="write", preview=Preview(run_restore, idle=lambda details: not details["restored"])
    )


def _root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, metavar="DIR", help="the backend's checkout (default: this folder)")


def run_populate(arguments: argparse.Namespace, context: Context) -> Outcome:
    return parameters.populate(context, arguments.root, dry_run=arguments.dry_run)


def run_verify(arguments: argparse.Namespace, context: Context) -> Outcome:
    return parameters.verify(context, arguments.root)


def run_restore(arguments: argparse.Namespace, context: Context) -> Outcome:
    return parameters.restore(context, dry_run=arguments.dry_run)
