"""`amplify-migrate users check | missing | generate`: the user map, checked, completed and made."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import botocore.exceptions

from wizard.context import Context
from wizard.errors import BadInput, Blocked, Declined
from wizard.journey import Outcome
from wizard.text import plain, plural
from wizard.usermap import Complaint, UserMap, write_map
from wizard.usermap_checks import in_order
from wizard.users import (
    USER_MAP,
    Missing,
    check_against_account,
    check_file,
    find_missing,
    identity_map,
    load_map,
    map_file,
    sub_map,
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the `users` commands."""
    group = commands.add_parser("users", help="the user map: check, missing, generate", description=__doc__)
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)

    check = actions.add_parser("check", parents=[common], help="check a user map line by line, and against the account")
    check.add_argument("file", metavar="FILE", type=Path, help="the CSV old_id,new_id")
    check.add_argument("--user-pool-id", metavar="ID", help="compare new ids with what the services will compute")
    check.set_defaults(run=run_check, needs="maybe")

    missing = actions.add_parser("missing", parents=[common], help="who has data but no row in the user map")
    missing.add_argument("--csv-file", metavar="MAP", type=Path, help="the user map; default: the one checked last")
    missing.add_argument(
        "--output", metavar="FILE", type=Path, help="write them as a CSV whose new ids are to be filled in"
    )
    missing.set_defaults(run=run_missing)

    generate = actions.add_parser("generate", parents=[common], help="make a user map")
    kind = generate.add_mutually_exclusive_group(required=True)
    kind.add_argument("--no-id-change", action="store_true", help="every id of cognito-users onto itself (scenario B)")
    kind.add_argument("--use-sub", action="store_true", help="every e-mail address of the user pool onto its sub")
    generate.add_argument("--user-pool-id", metavar="ID", help="the Cognito user pool, with --use-sub")
    generate.add_argument("--output", metavar="FILE", type=Path, required=True, help="the CSV to write")
    generate.set_defaults(run=run_generate)


# --- check ------------------------------------------------------------------------------------------------------------


_NOT_LOOKED_UP = "The account was not looked at, so whether new ids are somebody's already is not known"


def run_check(arguments: argparse.Namespace, context: Context | None) -> Outcome:
    """Check a map: 2 when it has errors, 0 otherwise. Without credentials only what the file itself can tell."""
    user_map, complaints = check_file(arguments.file)
    if context is None and arguments.user_pool_id:
        raise Blocked("The user pool cannot be read without AWS credentials; give --profile or set them.")
    looked_up = False
    if context is None:
        complaints.append(Complaint("note", 0, f"{_NOT_LOOKED_UP}."))
    else:
        try:
            found = check_against_account(context, user_map, arguments.user_pool_id)
            complaints, looked_up = in_order([*complaints, *found]), True
        except (Blocked, botocore.exceptions.BotoCoreError) as error:
            if arguments.user_pool_id:
                raise
            complaints.append(Complaint("attention", 0, f"{_NOT_LOOKED_UP}: {plain(error)}"))
    errors = sum(complaint.level == "error" for complaint in complaints)
    if context is not None and not errors:
        context.workspace.remember({USER_MAP: str(arguments.file.absolute())})
    return Outcome(
        2 if errors else 0,
        "\n".join([_headline(arguments.file, user_map), *_lines(complaints), _verdict(complaints)]),
        {
            "file": str(arguments.file),
            "rows": len(user_map.rows),
            "changed": len(user_map.changed),
            "scenario": user_map.scenario,
            "digest": user_map.digest,
            "looked_up": looked_up,
            "complaints": _documents(complaints),
            **_counts(complaints),
        },
    )


def _headline(file: Path, user_map: UserMap) -> str:
    if not user_map.rows:
        return f"{plain(file)}: no row that can be used."
    changed = f"{plural(len(user_map.changed), 'id changes', 'ids change')}"
    what = f"{changed} (scenario A)" if user_map.changed else "no id changes (scenario B)"
    return f"{plain(file)}: {plural(len(user_map.rows), 'row')}, {what}."


def _lines(complaints: Sequence[Complaint]) -> list[str]:
    return [f"{complaint.level:9}  {complaint}" for complaint in complaints]


def _counts(complaints: Sequence[Complaint]) -> dict[str, int]:
    levels = [complaint.level for complaint in complaints]
    return {"errors": levels.count("error"), "attention": levels.count("attention"), "notes": levels.count("note")}


def _documents(complaints: Sequence[Complaint]) -> list[dict[str, Any]]:
    return [asdict(complaint) for complaint in complaints]


def _verdict(complaints: Sequence[Complaint]) -> str:
    counts = _counts(complaints)
    if counts["errors"]:
        return f"{plural(counts['errors'], 'error')}: correct the file, then check it again."
    if counts["attention"]:
        return f"No errors. {plural(counts['attention'], 'point needs', 'points need')} your attention."
    return "No errors."


# --- missing ----------------------------------------------------------------------------------------------------------


def run_missing(arguments: argparse.Namespace, context: Context) -> Outcome:
    """List who has data and is not in the map; groups, assistants and systems are listed apart."""
    if arguments.output:
        _may_write(arguments)
    file = arguments.csv_file or map_file(context.workspace)
    user_map = load_map(file) if file else UserMap(())
    missing, unread = find_missing(context, user_map)
    people = [entry for entry in missing if entry.kind in ("user", "unknown")]
    others = [entry for entry in missing if entry.kind not in ("user", "unknown")]
    given = (
        f" and {'is' if len(people) == 1 else 'are'} not in {plain(file)}."
        if file
        else (". No user map is known yet: give --csv-file to compare with one.")
    )
    lines = [f"{plural(len(people), 'user has', 'users have')} data{given}"]
    lines += [f"  {_describe(entry)}" for entry in people]
    if others:
        lines.append(f"{plural(len(others), 'id')} of groups, assistants or systems, which a user map must not name:")
        lines += [f"  {_describe(entry)}" for entry in others]
    lines += [
        f"Not read: {name}: {why}. Who has data only there is not listed." for name, why in sorted(unread.items())
    ]
    kept = None
    if arguments.output:
        kept = write_map(arguments.output, ((entry.id, "") for entry in people), datetime.datetime.now())
        lines.append(
            _written(arguments.output, kept, len(people)) + " Fill in the new ids and add the rows to the map."
        )
    details = {
        "file": str(file) if file else None,
        "missing": [{"id": entry.id, "kind": entry.kind, "items": dict(entry.items)} for entry in missing],
        "unread": sorted(unread),
        "output": str(arguments.output) if arguments.output else None,
        "kept": str(kept) if kept else None,
    }
    return Outcome(1 if unread else 0, "\n".join(lines), details)


def _describe(entry: Missing) -> str:
    total = plural(sum(entry.items.values()), "item")
    where = plural(len(entry.items), "table")
    unsure = "  (no row in cognito-users)" if entry.kind == "unknown" else ""
    return f"{plain(entry.id, 100)}  {total} in {where}{unsure}"


# --- generate ---------------------------------------------------------------------------------------------------------


def run_generate(arguments: argparse.Namespace, context: Context) -> Outcome:
    """Write a map. Raises Declined when the file exists and --yes was not given; the old file is kept."""
    if arguments.use_sub and not arguments.user_pool_id:
        raise BadInput("--use-sub needs the user pool: give --user-pool-id ID.")
    if arguments.no_id_change and arguments.user_pool_id:
        raise BadInput("--no-id-change reads no user pool; leave --user-pool-id away.")
    _may_write(arguments)
    complaints: list[Complaint] = []
    if arguments.use_sub:
        user_map, complaints = sub_map(context, arguments.user_pool_id)
    else:
        user_map = identity_map(context)
    pairs = [(row.old, row.new) for row in user_map.rows]
    kept = write_map(arguments.output, pairs, datetime.datetime.now())
    text = [_written(arguments.output, kept, len(pairs)), *_lines(complaints)]
    text.append(f"Check it: amplify-migrate users check {plain(arguments.output)}")
    return Outcome(
        0,
        "\n".join(text),
        {
            "output": str(arguments.output),
            "rows": len(pairs),
            "kept": str(kept) if kept else None,
            "complaints": _documents(complaints),
        },
    )


def _may_write(arguments: argparse.Namespace) -> None:
    if arguments.output.exists() and not arguments.yes:
        raise Declined(f"{arguments.output} exists; --yes replaces it and keeps the old one beside it.")


def _written(output: Path, kept: Path | None, rows: int) -> str:
    old = f" The old file is kept as {plain(kept)}." if kept else ""
    return f"Wrote {plural(rows, 'row')} to {plain(output)}.{old}"
