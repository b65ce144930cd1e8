"""`demo`: the whole wizard on an embedded AWS that is thrown away at the end."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import tempfile
from pathlib import Path

from wizard.commands.sandbox import add_seed_options, deployment_of
from wizard.errors import BadInput
from wizard.journey import Outcome


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the `demo` command."""
    parser = commands.add_parser("demo", parents=[common], help="the wizard on an embedded AWS", description=__doc__)
    faces = parser.add_mutually_exclusive_group()
    faces.add_argument("--plain", action="store_true", help="plain prompts instead of screens")
    faces.add_argument("--auto", action="store_true", help="walk the whole migration without a question")
    add_seed_options(parser)
    parser.set_defaults(run=run_demo, needs="nothing")


def run_demo(arguments: argparse.Namespace, context: None = None) -> Outcome:
    """Start the sandbox, walk the journey, and look at the result with a plain client."""
    from wizard.cli import _gather, drive
    from wizard.sandbox.check import check
    from wizard.sandbox.demo import start_demo
    from wizard.session import Session
    from wizard.steps import JOURNEY

    if arguments.workspace and (arguments.workspace / "workspace").exists():
        raise BadInput(
            f"{arguments.workspace} is of another demo, whose AWS is gone. Give an empty folder, or leave --workspace out."
        )
    print("Starting an embedded AWS with a seeded deployment…", file=sys.stderr, flush=True)
    with contextlib.ExitStack() as stack:
        folder = arguments.workspace or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="amplify-migrate-demo-"))
        )
        demo = stack.enter_context(
            start_demo(
                Path(folder),
                users=arguments.users,
                scenario=arguments.scenario,
                seed=arguments.seed,
                release=arguments.release,
                deployment=deployment_of(arguments),
            )
        )
        session = Session(
            JOURNEY,
            _gather,
            context=demo.context(Path(folder) / "workspace"),
            resume_command=_again(arguments),
            lasting=False,
            keeps=arguments.workspace is not None,
            log_to=arguments.log,
        )
        arguments.confirm, arguments.yes = demo.confirmations(), True
        code = drive(session, arguments)
        if not arguments.auto:
            return Outcome(code, "")
        verdict = check(demo)
        return Outcome(code or (0 if verdict.right else 1), verdict.text, verdict.details)


def _again(arguments: argparse.Namespace) -> str:
    """The command line of another demo like this one."""
    usual = argparse.ArgumentParser()
    add_seed_options(usual)
    chosen = {name: getattr(arguments, name) for name in ("users", "scenario", "seed", "release")}
    words = [f"--{name}={value}" for name, value in chosen.items() if value != usual.get_default(name)]
    named = (("dep-name", arguments.dep_name), ("stage", arguments.stage), ("region", arguments.region))
    words += [f"--{name}={value}" for name, value in named if value]
    return shlex.join(["amplify-migrate", "demo", *(["--plain"] if arguments.plain else []), *words])
