"""The plan: one scan of each table and one listing of each bucket, resolved into changes of the ledger.

Scanning writes to a staging file only; the ledger gets the whole plan in one transaction, or nothing.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from typing import Any

from wizard import recovery
from wizard.aws_errors import AWS_ERRORS, explain
from wizard.catalog.model import Ids
from wizard.context import Context
from wizard.errors import BadInput
from wizard.events import Finding, Progress
from wizard.migration.content_plan import ALL
from wizard.migration.intents import settle
from wizard.migration.ledger import Ledger
from wizard.migration.plan_buckets import Listings, homes, list_buckets
from wizard.migration.resolution import Resolution
from wizard.migration.resolve import resolve
from wizard.migration.rewrite import Watch
from wizard.migration.scan import Page, ScanTask, Scope, scan_page, segments_for
from wizard.migration.staging import Staging
from wizard.migration.targets import Found, Survey, survey
from wizard.parallel import each
from wizard.text import plain, plural
from wizard.usermap import MapRow, UserMap, read_map, write_map
from wizard.usermap_checks import check_rows
from wizard.users import kind_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What a plan is asked for. `only` is "", "tables" or "buckets"; `buckets` names standalone buckets, or "all"."""

    user_map: UserMap
    only: str = ""
    buckets: tuple[str, ...] = ()
    include_audit_logs: bool = False


@dataclass
class Census:
    """What the scans counted, for people and for the report."""

    items: Counter[str] = field(default_factory=Counter)
    references: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (place, path, kind)
    examples: dict[tuple[str, str, str], str] = field(default_factory=dict)
    owners: Counter[str] = field(default_factory=Counter)
    people: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # tables and buckets that could not be read whole
    objects: dict[str, int] = field(default_factory=dict)  # how many were listed, by bucket

    def add(self, place: str, page: Page) -> None:
        self.items[place] += page.items
        for (path, kind, old), count in page.references.items():
            self.references[(place, path, kind)] += count
            self.examples.setdefault((place, path, kind), old)
        self.owners.update(page.owners)
        self.people.update(page.people)
        if page.leftovers:
            shown = ", ".join(page.leftovers[:3])
            left = f"{plural(len(page.leftovers), 'row')} left by an earlier script: {plain(shown, 200)}"
            todo = "They hold nothing but an id; delete them by hand once the migration is verified."
            self.findings.append(Finding("attention", place, left, todo))

    def take(self, listings: Listings) -> None:
        """Add what the listings of the buckets found."""
        self.findings.extend(listings.findings)
        self.failed.extend(listings.failed)
        self.objects = listings.objects
        for bucket, count in listings.references.items():
            where = (bucket, "key", "id")
            self.references[where] += count
            self.examples[where] = listings.examples[bucket]


def catalog_digest() -> str:
    """Changes with every word of the catalog: a plan of another version of its rows is not carried out."""
    folder = resources.files("wizard.catalog")
    sources = sorted((one.name, one.read_bytes()) for one in folder.iterdir() if one.name.endswith(".py"))
    return hashlib.sha256(repr(sources).encode()).hexdigest()


def combined_map(context: Context, new: UserMap, ledger: Ledger) -> Ids:
    """The map of this workspace and the new one together: a later plan with more users adds to the earlier ones.

    Raises BadInput where an id that was migrated already would become something else.
    """
    path = context.workspace.user_map
    known = dict(read_map(path)[0].ids) if path.exists() else {}
    if known and not ledger.counts(where="state IN ('applied', 'verified', 'cleaned')"):
        known = {}
    for old, identity in new.ids.items():
        if known.get(old, identity) != identity:
            raise BadInput(
                f"{plain(old, 80)} was migrated to {plain(known[old], 80)} in this workspace, and the map now says"
                f" {plain(identity, 80)}; correct the map, or roll back first."
            )
    together = {**known, **new.ids}
    union = UserMap(tuple(MapRow(line, old, identity) for line, (old, identity) in enumerate(together.items(), 2)))
    wrong = next((complaint for complaint in check_rows(union) if complaint.level == "error"), None)
    if wrong is not None:
        raise BadInput(f"Together with the users migrated before, the map does not work; correct the map: {wrong.text}")
    return Ids(together)


def make_plan(context: Context, request: Request) -> dict[str, Any]:
    """Find every change and record it. Returns the plan's summary (README, "migrate plan").

    Makes no write in AWS. Raises Blocked where a resource is missing that the changes need, BadInput for a map that
    contradicts what was done already.
    """
    context.workspace.belongs_to(context.account.id, context.deployment)
    started, before = time.time(), context.account.costs.copy()
    with (
        context.account.only_looking(),
        context.workspace.alone(),
        Ledger(context.workspace.ledger) as ledger,
        Staging(context.workspace.folder / "staging.sqlite") as staging,
    ):
        settle(context, ledger)
        ids = combined_map(context, request.user_map, ledger)
        found = survey(context)
        scope = Scope(
            ids=ids,
            watch=Watch(ids),
            tables=request.only != "buckets" and not request.buckets,
            # Pointers to what an earlier plan has copied follow in the tables' turn.
            content=request.only != "tables" or any(one["only"] != "tables" for one in ledger.scopes()),
            listed=request.only != "tables",
            audit=request.include_audit_logs,
            names=found.names,
            homes=homes(request.buckets),
            builders=builders_of(request.buckets) if request.only != "tables" else (),
        )
        census = Census(findings=list(found.findings), failed=found.unseen)
        for finding in found.findings:
            context.feed.emit(finding)
        listed = ((ledger.latest_plan() or {}).get("summary") or {}).get("listed", {})
        listings = list_buckets(context, ids, request.buckets, staging, listed) if scope.listed else Listings()
        listings.objects = {**listed, **listings.objects}
        census.take(listings)
        scan_tables(context, found, scope, staging, census)
        summary = _record(context, request, ledger, staging, found, scope, census, listings, started)
        _keep_map(context, ids)
        told = f"plan {summary['plan']}: {plural(summary['changes'], 'change')}"
        detail = {
            "plan": summary["plan"], "changes": summary["changes"], "scanned": summary["scanned"],
            "unread": summary["unread"], "costs": context.account.costs.since(before),
        }  # fmt: skip
        ledger.add_run("6b", started, 0, told, detail)
        return summary


def builders_of(buckets: Sequence[str]) -> tuple[str, ...]:
    """What becomes rows in a plan of these standalone buckets: all without any, else the disclosures' own rows."""
    if not buckets:
        return ALL
    return ("disclosures",) if {"all", "data-disclosure"} & set(buckets) else ()


def _keep_map(context: Context, ids: Ids) -> None:
    path = context.workspace.user_map
    if not path.exists() or dict(read_map(path)[0].ids) != dict(ids):
        write_map(path, sorted(ids.items()), datetime.datetime.now(datetime.UTC))


def scan_tables(context: Context, found: Survey, scope: Scope, staging: Staging, census: Census) -> None:
    """Scan every table that can hold an id, segments side by side; pages go to the staging as they come."""
    wanted = [table for table in found.tables if _worth_a_scan(table, scope)]
    totals = {table.name: table.items for table in wanted}
    ranks = {table.name: table.rank for table in wanted}
    tasks = [
        ScanTask(table.name, table.row, table.key_names, segment, segments)
        for table in wanted
        for segments in [segments_for(table.size, context.workers)]
        for segment in range(segments)
    ]

    left = Counter(task.place for task in tasks)

    def page_of(task: ScanTask) -> Page | str:
        try:
            return scan_page(task, context.account, scope)
        except AWS_ERRORS as error:
            return explain(error)

    def following(_: ScanTask, page: Page | str) -> Sequence[ScanTask]:
        return [page.following] if isinstance(page, Page) and page.following else []

    for task, page in each(page_of, tasks, workers=context.workers, control=context.control, follow=following):
        if isinstance(page, str):
            census.failed.append(task.place)
            census.findings.append(
                Finding("unknown", task.place, f"could not be read: {page}", "Grant dynamodb:Scan, then plan again.")
            )
            context.feed.emit(census.findings[-1])
            log.error("%s could not be read: %s", task.place, page)
            continue
        census.add(task.place, page)
        rank = ranks[task.place]
        with staging.batch():
            staging.add_candidates(rank, task.place, page.candidates)
            staging.add_seen(task.place, page.seen)
            staging.add_received(page.received)
            staging.add_origins(page.origins)
            staging.add_moves(rank, scope.names.get("USER_DATA_STORAGE_TABLE", ""), page.moves)
        done = census.items[task.place]
        left[task.place] -= page.following is None
        # AWS counts items every six hours only: until the last segment has ended there may be more.
        total = done if not left[task.place] else totals[task.place] if totals[task.place] > done else None
        context.feed.emit(Progress(task.place, done, total, "items", "search"))


def _worth_a_scan(table: Found, scope: Scope) -> bool:
    return table.row is None or not table.row.skip


def _record(
    context: Context,
    request: Request,
    ledger: Ledger,
    staging: Staging,
    found: Survey,
    scope: Scope,
    census: Census,
    listings: Listings,
    started: float,
) -> dict[str, Any]:
    """Resolve the staging into the ledger, in one transaction."""
    with ledger.transaction():
        unfit = ledger.unfit()  # before it is forgotten with all that is open
        ledger.drop_open()
        plan = ledger.add_plan(
            {
                "created": started,
                "account": context.account.id,
                "region": context.region,
                "deployment": {"dep": context.deployment.dep, "stage": context.deployment.stage},
                "scope": {
                    "only": request.only, "buckets": list(request.buckets), "audit": request.include_audit_logs,
                },
                "map_digest": map_digest(scope.ids),
                "catalog_digest": catalog_digest(),
                "tables": {t.name: {"arn": t.arn, "id": t.table_id, "key": t.key} for t in found.tables},
                "segments": context.workers,
            }
        )  # fmt: skip
        work = Resolution(context, ledger, staging, found, scope, plan, unfit=unfit)
        resolve(work, listings if scope.listed else None, census.failed, census.owners)
        close_settled(work, census, whole=scope.listed and not request.buckets)
        census.findings.extend(work.findings)
        changed = ledger.counts("target_place", "kind <> 'object' AND state = 'planned'")
        recoveries = recovery.show(context, sorted(changed))
        census.findings.extend(recovery.findings(recoveries))
        recovery.note(ledger, recoveries)
        for finding in census.findings:
            ledger.add_finding(plan, "plan", finding.level, finding.place, finding.text, finding.todo)
        ledger.set_unknown_references(
            plan, {where: (count, census.examples[where]) for where, count in census.references.items()}
        )
        summary = summarise(ledger, plan, scope, census, request.only)
        ledger.summarise_plan(plan, summary)
    log.info("plan %d: %s", plan, plural(summary["changes"], "change"))
    return summary


def close_settled(work: Resolution, census: Census, *, whole: bool) -> None:
    """Close what verify found gone or changed and this plan, which looked again, found nothing to do for.

    Users and services go on deleting and changing: what holds no old id any more is no work left. The record stays for
    rollback. Only where everything was read; `whole`: every bucket was listed.
    """
    ledger, scope, closed = work.ledger, work.scope, Counter[str]()
    for batch in ledger.batches(("conflict", "failed"), 200, where="intent = 0"):
        for entry in batch:
            pointers = any(edit.target for edit in entry.edits)
            looked = scope.tables and (scope.content or not pointers) if entry.kind == "item" else whole
            unread = census.failed if entry.kind == "content" else {entry.source_place} & {*census.failed}
            there = entry.kind == "object" or work.found.named(entry.source_place) is not None
            if entry.plan == work.plan or not looked or unread or not there:
                continue
            ledger.keep(entry, f"{entry.note}; a later plan found nothing left to do")
            closed[entry.target_place] += 1
    for place, count in closed.items():
        text = (
            f"{plural(count, 'change')} that could not be made or verified: no old id is left there, nothing is to do"
        )
        work.findings.append(Finding("attention", place, text, "See `migrate show --state kept`."))


def map_digest(ids: Ids) -> str:
    """SHA-256 over the sorted rows of a map."""
    return hashlib.sha256(repr(sorted(ids.items())).encode()).hexdigest()


def summarise(ledger: Ledger, plan: int, scope: Scope, census: Census, only: str) -> dict[str, Any]:
    """The plan in numbers: per table and bucket, per user, and what deserves a look before it is applied."""
    per_user: Counter[str] = Counter()
    for batch in ledger.batches(("planned",), 1_000):
        for entry in batch:
            per_user.update(entry.users)
    changed = set(scope.ids.changed) or set(scope.ids)
    known = {*scope.ids, *scope.ids.new}
    without = sorted(
        old for old in changed if not per_user[old] and not census.owners[old] and not census.owners[scope.ids[old]]
    )
    outside = sorted(
        owner for owner in census.owners.keys() - known if kind_of(owner, owner in census.people) in ("user", "unknown")
    )
    done = {"applied", "verified", "cleaned"}
    ours = {user for user, states in ledger.user_counts().items() if states.keys() & done}
    in_use = sorted(scope.ids[old] for old in changed - ours if per_user[old] and census.owners[scope.ids[old]])
    total = sum(per_user.values())
    blocked = "json_extract(detail, '$.blocked') IS NOT NULL"  # cannot be written as it is; all else is tried again
    return {
        "plan": plan,
        "only": only,
        "changes": sum(ledger.counts(where=f"state = 'planned' OR (state = 'failed' AND NOT {blocked})").values()),
        "blocked": ledger.counts(where=f"state = 'failed' AND {blocked}").get("failed", 0),
        "kept": ledger.counts(where=f"state = 'kept' AND plan = {plan}").get("kept", 0),
        "tables": ledger.table_counts(),
        "scanned": dict(census.items),
        "listed": census.objects,
        "users": {"in_map": len(scope.ids), "with_changes": len(per_user), "without_data": without[:1000]},
        "largest_share": [
            {"user": user, "changes": count, "share": round(count / total, 3)}
            for user, count in per_user.most_common(5)
        ],
        "not_in_map": {"count": len(outside), "examples": outside[:20]},
        "new_ids_in_use": {"count": len(in_use), "examples": in_use[:20]},
        "unknown_references": ledger.unknown_references(),
        "findings": [asdict(finding) for finding in census.findings],
        "unread": sorted(set(census.failed)),
    }
