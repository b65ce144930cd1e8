"""The buckets' part of a plan: one listing each, staged; what must exist for the copies, and what stays."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import botocore.exceptions

from wizard.aws import explain
from wizard.catalog.bucket_model import CONSOLIDATION, Bucket
from wizard.catalog.buckets import BUCKETS, STANDALONE
from wizard.catalog.model import Ids
from wizard.context import Context
from wizard.errors import BadInput
from wizard.events import Finding, Progress
from wizard.migration.listing import Page, bucket_name, bucket_state, list_objects, unlisted_buckets
from wizard.migration.staging import Staging
from wizard.parallel import each
from wizard.text import plain, plural


@dataclass
class Listings:
    """What the listings counted. `standing` tells whether the consolidation bucket is there."""

    standing: bool = False
    findings: list[Finding] = field(default_factory=list)
    references: Counter[str] = field(default_factory=Counter)  # by bucket
    examples: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    unmapped: int = 0


def wanted_rows(names: tuple[str, ...]) -> list[Bucket]:
    """The buckets that a plan lists: all, or the standalone ones that `--bucket` names. BadInput for an unknown name."""
    unknown = [name for name in names if name != "all" and name not in STANDALONE]
    if unknown:
        raise BadInput(f"--bucket {plain(unknown[0], 60)} is none of: all, {', '.join(STANDALONE)}.")
    rows = [row for row in BUCKETS if not row.untouched]
    if names and "all" not in names:
        rows = [row for row in rows if row.standalone in names or row.config_key == CONSOLIDATION]
    elif names:
        rows = [row for row in rows if row.standalone or row.config_key == CONSOLIDATION]
    return rows


def list_buckets(context: Context, ids: Ids, names: tuple[str, ...], staging: Staging) -> Listings:
    """List each bucket once, side by side, into the staging."""
    listings = Listings()
    rows = wanted_rows(names)

    def look(row: Bucket) -> tuple[str, str]:
        return bucket_state(context.account, bucket_name(context, row))

    present: list[Bucket] = []
    for row, (state, why) in each(look, rows, workers=context.workers, control=context.control):
        name = bucket_name(context, row)
        if state == "present":
            present.append(row)
        elif state == "absent":
            if row.config_key != CONSOLIDATION:
                listings.findings.append(Finding("note", name, "does not exist in this deployment; nothing to do"))
        else:
            text = (
                "is another account's; nothing is read or written there" if state == "foreign" else "could not be seen"
            )
            todo = "Grant s3:ListBucket, or check the name in the environment."
            listings.findings.append(Finding("attention", name, f"{text}: {why}", todo))
            listings.failed.append(name)
    for name in unlisted_buckets(context):
        listings.findings.append(
            Finding("attention", name, "is not in the catalog; it is left alone", "Look at it before its stack goes.")
        )
    listings.standing = any(row.config_key == CONSOLIDATION for row in present)
    for row in sorted(present, key=BUCKETS.index):
        _list(context, row, ids, staging, listings)
    return listings


def _list(context: Context, row: Bucket, ids: Ids, staging: Staging, listings: Listings) -> None:
    name, rank = bucket_name(context, row), BUCKETS.index(row) - len(BUCKETS)
    kept: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    too_long: list[tuple[str, str]] = []
    try:
        for page in list_objects(context, row, ids):
            context.control.check()
            _stage(page, row, name, rank, staging)
            kept.update(page.kept)
            counts.update(page.counts)
            too_long.extend(page.too_long)
            for _, old in page.unknown:
                listings.references[name] += 1
                listings.examples.setdefault(name, old)
            context.feed.emit(Progress(name, counts["objects"], None, "objects", "plan"))
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        listings.failed.append(name)
        listings.findings.append(
            Finding("unknown", name, f"could not be listed: {explain(error)}", "Grant s3:ListBucket, then plan again.")
        )
        return
    context.feed.emit(Progress(name, counts["objects"], counts["objects"], "objects", "plan"))
    listings.unmapped += counts["unmapped"]
    for reason, count in kept.items():
        if row.config_key != CONSOLIDATION:
            listings.findings.append(Finding("note", name, f"{plural(count, 'object')} stay: {reason}"))
    if counts["archived"]:
        text = f"{plural(counts['archived'], 'object')} are archived and must be restored before they can be copied"
        listings.findings.append(Finding("attention", name, text, "Restore them in S3, then plan again."))
    for key, target in too_long[:20]:
        text = f"{plain(key, 120)} would get a key of {len(target.encode()):,} bytes, S3 takes 1,024; it stays"
        listings.findings.append(Finding("attention", name, text))


def _stage(page: Page, row: Bucket, name: str, rank: int, staging: Staging) -> None:
    with staging.batch():
        if row.config_key == CONSOLIDATION or row.holds_content or row.pointer_first:
            staging.add_objects(name, page.listed)
        staging.add_copies(rank, row.config_key, page.copies)
