"""The buckets' part of a plan: one listing each, staged; what must exist for the copies, and what stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from wizard.aws_errors import AWS_ERRORS, explain
from wizard.catalog.bucket_model import CONSOLIDATION, Bucket
from wizard.catalog.buckets import BUCKETS, STANDALONE
from wizard.catalog.model import Ids
from wizard.context import Context
from wizard.errors import BadInput
from wizard.events import Finding, Progress
from wizard.migration.listing import (
    Page,
    bucket_name,
    bucket_state,
    consolidation_row,
    keeps_versions,
    list_objects,
    own_buckets,
    unlisted_buckets,
)
from wizard.migration.staging import Staging
from wizard.parallel import each
from wizard.text import plain, plural


@dataclass
class Listings:
    """What the listings counted. `standing` tells whether the consolidation bucket is there, `obstacle` why it is not."""

    standing: bool = False
    obstacle: str = ""
    findings: list[Finding] = field(default_factory=list)
    references: Counter[str] = field(default_factory=Counter)  # by bucket
    examples: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    objects: dict[str, int] = field(default_factory=dict)  # how many were listed, by bucket


def wanted_rows(names: tuple[str, ...]) -> list[Bucket]:
    """The buckets that a plan copies from: all, or the standalone ones that `--bucket` names.

    BadInput for an unknown name.
    """
    unknown = [name for name in names if name != "all" and name not in STANDALONE]
    if unknown:
        raise BadInput(f"--bucket {plain(unknown[0], 60)} is none of: all, {', '.join(STANDALONE)}.")
    if not names:
        return [row for row in BUCKETS if not row.untouched]
    return [row for row in BUCKETS if row.standalone and (row.standalone in names or "all" in names)]


def homes(names: tuple[str, ...]) -> tuple[str, ...]:
    """Where in the consolidation bucket the copies of a plan arrive; () for everywhere, which is without `--bucket`."""
    routes = [route for row in wanted_rows(names) for route in row.routes if route.new] if names else []
    return tuple(route.new.partition("{")[0] for route in routes)


def list_buckets(
    context: Context, ids: Ids, names: tuple[str, ...], staging: Staging, before: Mapping[str, int]
) -> Listings:
    """List each bucket once into the staging; the consolidation bucket always, to know what stands there.

    `before`: how many objects the last plan found in each bucket. S3 does not tell, and it serves for the progress.
    """
    listings = Listings()
    wanted = wanted_rows(names)
    rows = wanted if consolidation_row() in wanted else [consolidation_row(), *wanted]

    own = own_buckets(context.account)

    def look(row: Bucket) -> tuple[str, str, bool]:
        name = bucket_name(context, row)
        state, why = bucket_state(context.account, name)
        if state == "present" and own is not None and name not in own:
            state, why = "foreign", "it is not among the buckets of this account"  # a server that ignores the owner
        return state, why, state == "present" and keeps_versions(context.account, name)

    present: list[Bucket] = []
    for row, (state, why, versions) in each(look, rows, workers=context.workers, control=context.control):
        name = bucket_name(context, row)
        if state == "present":
            present.append(row)
            if versions and row.config_key != CONSOLIDATION:
                text = "is versioned: the current version of each object is copied, older and deleted ones stay in it"
                listings.findings.append(Finding("note", name, text))
        elif state == "absent":
            if row.config_key == CONSOLIDATION:
                listings.obstacle = f"{name} does not exist: deploy amplify-lambda first (step 4c)."
            else:
                listings.findings.append(Finding("note", name, "does not exist in this deployment; nothing to do"))
        else:
            text = (
                "is another account's; nothing is read or written there" if state == "foreign" else "could not be seen"
            )
            todo = "Grant s3:ListBucket, or check the name in the environment."
            if row.config_key == CONSOLIDATION:
                listings.obstacle = f"{name} {text}: {why}. {todo}"
            listings.findings.append(Finding("attention", name, f"{text}: {why}", todo))
            if own is None or name in own:  # else nothing of this deployment is in it: names are anybody's
                listings.failed.append(name)
    for name in unlisted_buckets(context, own or ()):
        todo = "Look at it before you ever delete it or its stack."
        listings.findings.append(Finding("attention", name, "is not in the catalog; it is left alone", todo))
    listings.standing = any(row.config_key == CONSOLIDATION for row in present)
    for row in sorted(present, key=BUCKETS.index):
        _list(context, row, ids if row in wanted else Ids(), staging, listings, before.get(bucket_name(context, row)))
    return listings


def _list(context: Context, row: Bucket, ids: Ids, staging: Staging, listings: Listings, before: int | None) -> None:
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
            # While pages come the end is not reached, whatever was there before.
            total = before if before is not None and before > counts["objects"] else None
            context.feed.emit(Progress(name, counts["objects"], total, "objects", "search"))
    except AWS_ERRORS as error:
        listings.failed.append(name)
        listings.findings.append(
            Finding("unknown", name, f"could not be listed: {explain(error)}", "Grant s3:ListBucket, then plan again.")
        )
        return
    listings.objects[name] = counts["objects"]
    context.feed.emit(Progress(name, counts["objects"], counts["objects"], "objects", "search"))
    for reason, count in kept.items():
        if row.config_key != CONSOLIDATION:
            listings.findings.append(
                Finding("note", name, f"{plural(count, 'object')} {'stays' if count == 1 else 'stay'}: {reason}")
            )
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
        staging.add_contents(row.config_key, page.contents)
        staging.add_copies(rank, row.config_key, page.copies)
