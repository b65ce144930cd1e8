"""`amplify-migrate report`: what was done, as a page, as Markdown and as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

from wizard.advice import advice, standing
from wizard.context import Context
from wizard.errors import Failed
from wizard.evidence import collect
from wizard.guidance import LIMITATIONS
from wizard.journey import Outcome
from wizard.report_html import page
from wizard.report_markdown import markdown
from wizard.workspace import make_private, write_whole


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the `report` command."""
    parser = commands.add_parser("report", parents=[common], help="what was done, for people", description=__doc__)
    parser.add_argument("--output", metavar="DIR", type=Path, help="where to write it (default: in the workspace)")
    parser.add_argument("--include-ids", action="store_true", help="with user ids, keys and values: personal data")
    parser.set_defaults(run=run_report)


def run_report(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Write report-TIME.html, .md and .json. Changes nothing in AWS; an unfinished migration is no failure: 0."""
    with context.account.only_looking():
        evidence = collect(context, ids=arguments.include_ids)
    folder: Path = arguments.output or context.workspace.reports
    document = dataclasses.asdict(evidence)
    document |= {"standing": standing(evidence), "next": advice(evidence), "limitations": list(LIMITATIONS)}
    made = datetime.fromtimestamp(evidence.made, UTC)
    texts = {
        "html": page(evidence),
        "md": markdown(evidence),
        "json": json.dumps(document, indent=2, ensure_ascii=True) + "\n",
    }
    files = {kind: folder / f"report-{made:%Y%m%dT%H%M%S%fZ}.{kind}" for kind in texts}
    try:
        make_private(folder)
        for kind, path in files.items():
            with write_whole(path) as file:
                file.write(texts[kind])
    except OSError as error:
        raise Failed(f"The report cannot be written to {folder}: {error.strerror}. Give another --output.") from error
    named = {kind: str(path) for kind, path in files.items()}
    lines = [
        standing(evidence),
        *(f"  next: {one}" for one in advice(evidence)),
        *(f"  {path}" for path in named.values()),
    ]
    return Outcome(0, "\n".join(lines), {"files": named, "report": document})
