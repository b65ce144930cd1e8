"""What a content change comes to now: read its sources, build its row, and turn it into conditional writes."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import md5
from typing import Any

from wizard.aws import Account
from wizard.aws_errors import AWS_ERRORS, explain
from wizard.catalog.model import Ids, Item
from wizard.migration.apply_items import Prepared
from wizard.migration.content import (
    MOST_READ,
    Archived,
    Built,
    LogEntry,
    Origin,
    TaskLogs,
    artifact_item,
    check_log,
    is_present,
    oversize_artifact_key,
    parse_body,
    received_share_item,
    settings_item,
    share_key,
    share_lacks,
    task_logs_item,
    workflow_item,
)
from wizard.migration.content_plan import written_at
from wizard.migration.entry import Entry
from wizard.migration.objects import (
    ObjectCopy,
    ObjectResult,
    compare_body,
    copy_object,
    object_stands,
    read_object,
    verify_object,
)
from wizard.migration.objects import put_new as put_object
from wizard.migration.outcome import row_went_through, unclear, with_archived
from wizard.migration.rewrite import holds, put_back, traces
from wizard.migration.writes import Lost, Write, put_new, read, send, update
from wizard.text import plain, plural
from wizard.wire import digest, same

KEY = ("PK", "SK")
_COPIED = ("migrated_from_shares_table", "original_user_id", "migration_timestamp")  # marks of a copy of settings
_CHANGED_TWICE = "it was changed under the old id after it was copied, and under the new one as well"


@dataclass(frozen=True)
class ContentTools:
    """What every builder needs. `created` is the plan's time (epoch seconds), which makes markers repeatable."""

    account: Account
    ids: Ids
    created: int
    consolidation: str
    artifacts: str


def prepare_content(tools: ContentTools, entry: Entry) -> Prepared:
    """Build the row of one change, or say why there is nothing to write."""
    try:
        prepared = _BUILDERS[entry.action](tools, entry)
    except ValueError as error:
        prepared = Prepared(_unfit(entry, f"its content cannot be stored: {error}"))
    ends = not prepared.pending and prepared.entry.state in ("conflict", "kept")
    if ends and row_went_through(tools.account, entry) is not False:
        # An interrupted run may have made a row that nobody goes on with: it stays on record, for rollback.
        prepared = Prepared(replace(prepared.entry, detail={**prepared.entry.detail, "was_made": True}))
    return prepared


def _unfit(entry: Entry, why: str) -> Entry:
    """Failed for as long as its objects are what they are: not tried again, and no later plan counts it as a change."""
    unfit = [[source[1], source[3]] for source in entry.detail.get("sources", ())]
    return entry.becomes("failed", why, detail={**entry.detail, "unfit": unfit, "blocked": True})


def _source_row(tools: ContentTools, entry: Entry) -> Item | None:
    key = {name: value for name, value in entry.source_key.items() if name != "part"}
    return read(tools.account, entry.source_place, key)


def _body(tools: ContentTools, source: list[Any]) -> bytes | ObjectResult:
    """The body of a planned source object, or why it was not read."""
    bucket, key, _, etag, *_ = source
    return read_object(tools.account, bucket, key, etag)


def _origin(tools: ContentTools, source: list[Any]) -> Origin:
    bucket, key, _, _, modified = source
    return Origin(bucket, key, int(datetime.datetime.fromisoformat(modified).timestamp()), tools.created)


def _place(tools: ContentTools, entry: Entry, built: Built, done: tuple[str, ...] = ()) -> Prepared:
    """Put a row where none stands; an equal one counts, another one stays."""
    detail = {**entry.detail, "done": list(done), "created": True}
    existing = read(tools.account, entry.target_place, entry.target_key)
    if existing is not None and digest(existing) == entry.detail.get("follows") and not same(existing, built.item):
        recorded = replace(
            entry,
            target_digest=digest(built.item),
            detail={**detail, "created": False},
            written=traces(existing, built.item),
        )
        after = _reading_back(tools, built.item, built.warning)
        return Prepared(recorded, (update(entry.target_place, KEY, existing, built.item),), after=after)
    if existing is not None:
        if is_present(built.item, existing):
            return Prepared(_there_already(entry, existing, done=list(done)))
        if entry.action == "settings" and _is_saved_anew(entry, built.item, existing):
            return Prepared(_there_already(entry, existing, "newer settings stand already"))
        return Prepared(_stays(entry, "another row stands under the key; the content stays where it is"))
    recorded = replace(entry, target_digest=digest(built.item), detail=detail)
    return Prepared(
        recorded,
        (put_new(entry.target_place, built.item, KEY),),
        after=_reading_back(tools, built.item, built.warning),
    )


def _there_already(entry: Entry, existing: Item, note: str = "was there already", **detail: Any) -> Entry:
    """Verified by what stands. A row that an interrupted run of ours made or changed is ours, one of an earlier turn is not."""
    here = existing.get("SK") == entry.target_key["SK"] and entry.intent
    created = here and bool(entry.detail.get("created"))
    # Of ours the digest of what was written: what a service has added since is then never taken for ours.
    stood = entry.target_digest if created or (here and entry.written) else digest(existing)
    return entry.becomes("verified", note, target_digest=stood, detail={**entry.detail, **detail, "created": created})


def _stays(entry: Entry, why: str, **detail: Any) -> Entry:
    """What stands under the new id is not what the old one holds: neither is touched, and cleanup keeps the old one."""
    detail = {**entry.detail, **detail, "beside": True}
    if "follows" not in entry.detail:
        return entry.becomes("kept", why, detail=detail)
    # Settings that stand under the new id win, the user saved them there; that is nobody's to decide.
    return entry.becomes("kept" if entry.action == "settings" else "conflict", _CHANGED_TWICE, detail=detail)


def _is_saved_anew(entry: Entry, built: Item, existing: Item) -> bool:
    """Whether settings are what a user saved under the new id: no copy, or our own that a service has changed since."""
    if "follows" in entry.detail or not existing.get("data", {}).get("M", {}).get("settings", {}).get("M"):
        return False
    copied = {name: existing[name] for name in _COPIED if name in existing}
    ours = entry.intent and bool(entry.detail.get("created"))
    return not copied or (ours and same(copied, {name: built[name] for name in _COPIED}))


def _reading_back(tools: ContentTools, item: Item, note: str) -> Callable[[Entry], Entry]:
    """A row counts as verified once it was read back as it was written."""

    def check(entry: Entry) -> Entry:
        found = read(tools.account, entry.target_place, entry.target_key)
        if found is not None and same(found, item):
            return entry.becomes("verified", note)
        detail = {**entry.detail, "was_made": True}
        return entry.becomes("failed", "what was read back is not what was written", detail=detail)

    return check


def _artifacts(tools: ContentTools, entry: Entry) -> Prepared:
    source = entry.detail["sources"][0]
    shared_by, user, key = entry.detail["sharedBy"], entry.detail["user"], entry.detail["key"]
    if source[2] > MOST_READ:
        return _oversize(tools, entry, source, user, key, f"{source[2]:,} bytes are too many for a row")
    body = _body(tools, source)
    if isinstance(body, ObjectResult):
        return Prepared(entry.becomes(body.state, body.detail))
    built = artifact_item(
        shared_by or user, key, parse_body(body), _origin(tools, source), recipient=user if shared_by else ""
    )
    return (
        _place(tools, entry, built, (source[1],))
        if built.fits
        else _oversize(tools, entry, source, user, key, built.warning)
    )


def _oversize(tools: ContentTools, entry: Entry, source: list[Any], user: str, key: str, why: str) -> Prepared:
    """Too large for a row: it stays in S3 under a legacy-shaped key of the new id, which the services accept."""
    if read(tools.account, entry.target_place, entry.target_key) is not None:
        note = f"{why}, and a row stands under its key, where its pointer may lead; the content stays where it is"
        follows_no_more = {name: value for name, value in entry.detail.items() if name != "follows"}
        return Prepared(entry.becomes("kept", note, detail={**follows_no_more, "beside": True}))
    target = oversize_artifact_key(user, key)
    detail = {**entry.detail, "done": [source[1]], "pointer": target, "copied": target != source[1]}
    stays = entry.becomes("verified", f"{why}; it stays in S3 as {target}", detail=detail)
    if target == source[1]:
        return Prepared(stays)

    def copy_it(begun: Entry) -> Entry:
        result = copy_object(
            tools.account, ObjectCopy(source[0], source[1], tools.artifacts, target, source[2], source[3])
        )
        if result.state == "conflict":
            return entry.becomes("conflict", result.detail)
        if result.state not in ("copied", "present"):  # it may have been made all the same
            return begun.becomes("failed", result.detail, intent=True)
        etag = result.etag if result.state == "copied" or entry.intent else ""
        return replace(stays, intent=False, detail={**detail, "object_etag": etag, "version": result.version_id})

    return Prepared(stays.becomes("planned"), first=copy_it)


def _workflows(tools: ContentTools, entry: Entry) -> Prepared:
    source = entry.detail["sources"][0]
    body = _body(tools, source)
    if isinstance(body, ObjectResult):
        return Prepared(entry.becomes(body.state, body.detail))
    built = workflow_item(entry.detail["user"], entry.detail["template"], parse_body(body), _origin(tools, source))
    if not built.fits:
        return Prepared(_unfit(entry, f"{built.warning}; the template and its pointer stay in S3"))
    return _place(tools, entry, built, (source[1],))


@dataclass
class _Read:
    """Logs that were read, keys of their objects, [key, ETag] of those that no row can hold, and what kept the others.

    `unread` tells of one that may be readable in a moment: nothing is moved without it.
    """

    logs: list[LogEntry] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    unfit: list[list[str]] = field(default_factory=list)
    problems: list[ObjectResult] = field(default_factory=list)
    unread: str = ""


def _read_logs(tools: ContentTools, entry: Entry) -> _Read:
    planned = {source: (execution, executed) for execution, source, executed in entry.detail["logs"]}
    found = _Read()
    for source in entry.detail["sources"]:
        body = _body(tools, source)
        if isinstance(body, ObjectResult):
            if body.state == "failed":
                return replace(found, unread=f"{plain(source[1], 200)} could not be read: {body.detail}")
            found.problems.append(body)
            continue
        try:
            check_log(body)
        except ValueError as error:
            found.problems.append(ObjectResult("failed", f"{source[1]} cannot be stored: {error}"))
            found.unfit.append([source[1], source[3]])
            continue
        found.logs.append(LogEntry(*planned[source[1]], body))
        found.done.append(source[1])
    return found


def _set_aside(entry: Entry, found: _Read, logs: TaskLogs) -> None:
    """Count those among what was not moved whose execution has another log under the new id: they stay in S3."""
    etags = {key: etag for _, key, _, etag, *_ in entry.detail["sources"]}
    for source in [key for key, log in zip(found.done, found.logs, strict=True) if log in logs.others]:
        found.done.remove(source)
        found.unfit.append([source, etags[source]])
        why = f"another log of its execution stands under the new id; {plain(source, 200)} stays in S3"
        found.problems.append(ObjectResult("conflict", why))


def _logs(tools: ContentTools, entry: Entry) -> Prepared:
    """All logs of a task in one row; a log that is gone or cannot be stored keeps its pointer."""
    if entry.intent:  # a log that changed since may have been archived before a kill, and is not archived again
        entry = with_archived(tools.account, tools.consolidation, entry)
    found = _read_logs(tools, entry)
    problems = found.problems
    if found.unread:
        return Prepared(entry.becomes("failed", found.unread))
    if not found.logs:
        why = f"none of its logs could be read: {problems[0].detail}"
        if len(found.unfit) == len(problems):
            return Prepared(_unfit(entry, why))
        return Prepared(entry.becomes(problems[0].state, why, detail={**entry.detail, "unfit": found.unfit}))
    existing = read(tools.account, entry.target_place, entry.target_key)
    origin = _origin(tools, entry.detail["sources"][0])
    logs = task_logs_item(entry.detail["user"], entry.detail["task"], found.logs, origin, existing)
    if not logs.row.fits:
        return Prepared(entry.becomes("failed", logs.row.warning))
    _set_aside(entry, found, logs)
    if not found.done:
        detail = {**entry.detail, "unfit": found.unfit, "beside": True}
        return Prepared(entry.becomes("kept", problems[-1].detail, detail=detail))
    if logs.added and row_went_through(tools.account, entry) is None:
        return Prepared(unclear(entry))
    note = f"{plural(len(problems), 'log')} not moved: {problems[0].detail}" if problems else logs.row.warning
    created = existing is None or (entry.intent and bool(entry.detail.get("created")))
    detail = {**entry.detail, "done": found.done, "unfit": found.unfit, "created": created}
    recorded = replace(entry, target_digest=digest(logs.row.item), detail=detail, note=note)
    writes: tuple[Write, ...] = ()
    if existing is None:
        writes = (put_new(entry.target_place, logs.row.item, KEY),)
    elif not logs.added or (same(existing, logs.row.item) and not entry.intent and _are_archived(tools, logs.archived)):
        # Of a row of ours the digest of what was written: what a service has added since is then never taken for ours.
        stood = entry.target_digest if created else recorded.target_digest
        return Prepared(recorded.becomes("verified", note or "was there already", target_digest=stood))
    elif same(existing, logs.row.item):  # a run was interrupted that had written it; the rest of the logs is archived
        recorded = replace(recorded, written=entry.written)
    else:
        recorded = replace(recorded, written=traces(existing, logs.row.item))
        writes = (update(entry.target_place, KEY, existing, logs.row.item),)
    check = _reading_back(tools, logs.row.item, note)
    if not logs.archived:
        return Prepared(recorded, writes, after=check)
    recorded, first = _to_archive(tools, recorded, logs.archived), _archiving(tools, logs.archived)
    if not writes:
        return Prepared(recorded, first=_then(first, check))
    return Prepared(recorded, writes, first=first, after=check)


def _are_archived(tools: ContentTools, archived: Sequence[Archived]) -> bool:
    """Whether all logs that a row has no room for stand where services look."""
    found = (compare_body(tools.account, tools.consolidation, one.key, one.body) for one in archived)
    return all(one.state == "present" for one in found)


def _to_archive(tools: ContentTools, entry: Entry, archived: Sequence[Archived]) -> Entry:
    """The change with the logs that it will archive.

    On disk with the intent: what stands of these after a kill or a lost answer is ours, and rollback takes it back.
    """
    ours = {key for key, *_ in entry.detail.get("archiving", ())}
    absent = [
        one for one in archived if one.key in ours or not object_stands(tools.account, tools.consolidation, one.key)
    ]
    archiving = [[one.key, len(one.body), md5(one.body, usedforsecurity=False).hexdigest()] for one in absent]
    return replace(entry, detail={**entry.detail, "archiving": archiving})


def _then(first: Callable[[Entry], Entry], check: Callable[[Entry], Entry]) -> Callable[[Entry], Entry]:
    def both(entry: Entry) -> Entry:
        entry = first(entry)
        return entry if entry.state == "failed" else check(entry)

    return both


def _archiving(tools: ContentTools, archived: Sequence[Archived]) -> Callable[[Entry], Entry]:
    """Logs that the row has no room for go to S3 before the row is written."""

    def archive(entry: Entry) -> Entry:
        written = list(entry.detail.get("archived", ()))
        ours = {key for key, *_ in entry.detail["archiving"]} - {key for key, _ in written}
        for one in archived:
            result = put_object(tools.account, tools.consolidation, one.key, one.body)
            if result.state in ("copied", "present") and one.key in ours:
                written.append([one.key, result.etag])
            made = {"archived": written, **({"was_made": True} if written else {})}
            entry = replace(entry, detail={**entry.detail, **made})
            if result.state not in ("copied", "present"):
                # What stands already is undone with it; this log too may be there.
                why = f"a log could not be archived: {result.detail}"
                return entry.becomes("failed", why, intent=result.state == "failed")
        return entry

    return archive


def _settings(tools: ContentTools, entry: Entry) -> Prepared:
    source = _source_row(tools, entry)
    if source is None or "settings" not in source:
        return Prepared(entry.becomes("conflict", "the settings are gone"))
    # By the time of the old ones, what the user saved in user storage since is seen to be newer, whichever comes first.
    written = int(written_at(source))
    built = settings_item(entry.detail["user"], entry.detail["old"], source["settings"], written, tools.created)
    return _place(tools, entry, built)


def _shares(tools: ContentTools, entry: Entry) -> Prepared:
    source = _source_row(tools, entry)
    wanted = entry.detail["part"]
    shares = source.get("data", {}).get("L", []) if source else []
    share = next((one for one in shares if one.get("M", {}).get("key", {}).get("S") == wanted), None)
    if share is None:
        return Prepared(entry.becomes("conflict", "the share is gone"))
    built = received_share_item(entry.detail["old"], share, tools.ids, tools.created)
    data, others = built.item["data"], list[tuple[list[str], str]]()
    for row in _rows_of_share(tools, entry, share_key(data["M"]["key"]["S"])):
        if not (lacks := share_lacks(data, row["data"], tools.ids)):
            return Prepared(_there_already(entry, row, at=row["SK"]["S"]))
        if row["SK"] != entry.target_key["SK"] or digest(row) != entry.detail.get("follows"):
            others.append((lacks, row["SK"]["S"]))  # else it is ours, and changed under the old id since
    if others:
        lacks, sort = min(others, key=lambda other: len(other[0]))
        names = plain(", ".join(lacks), 120)
        return Prepared(_stays(entry, f"it stands under the new id with another {names} or none; both stay", at=sort))
    return _place(tools, entry, built)


def _rows_of_share(tools: ContentTools, entry: Entry, key: str) -> list[Item]:
    """The recipient's rows of one shared conversation, under whatever sort key; the one that we would make first."""
    pages = tools.account.pages(
        "dynamodb", "query", TableName=entry.target_place, KeyConditionExpression="PK = :p",
        ExpressionAttributeValues={":p": entry.target_key["PK"]}, ConsistentRead=True,
    )  # fmt: skip
    rows = [row for page in pages for row in page.get("Items", [])]
    found = [row for row in rows if share_key(row.get("data", {}).get("M", {}).get("key", {}).get("S", "")) == key]
    return sorted(found, key=lambda row: bool(row["SK"] != entry.target_key["SK"]))


def _disclosures(tools: ContentTools, entry: Entry) -> Prepared:
    """The row first, then its PDF: otherwise the upload would be taken for a new version."""
    row = read(tools.account, entry.target_place, entry.target_key)
    name, source = entry.detail["pdf_id"], entry.detail["sources"][0]
    if row is None:
        return Prepared(entry.becomes("conflict", "the item is gone"))
    target = f"dataDisclosure/{name}"
    after = {**row, "pdf_id": {"S": target}}
    if row.get("s3_reference", {}).get("S", "").endswith(f"/{name}"):  # what else a service wrote there is its own
        after["s3_reference"] = {"S": f"s3://{tools.consolidation}/{target}"}
    if row.get("pdf_id") not in ({"S": name}, {"S": target}):
        return Prepared(entry.becomes("conflict", "a planned value was changed since the plan"))
    copy = ObjectCopy(source[0], source[1], tools.consolidation, target, source[2], source[3])

    def put_pdf(changed: Entry) -> Entry:
        result = copy_object(tools.account, copy)
        if result.state == "failed":  # it may have been made all the same
            check = verify_object(tools.account, copy)
            if check.verdict == "match":
                result = ObjectResult("copied", etag=check.etag)
            elif check.verdict == "unknown":
                why = f"whether the PDF was copied could not be seen; the next apply goes on with it: {result.detail}"
                return changed.becomes("failed", why, intent=True)
        if result.state in ("copied", "present"):
            etag = result.etag if result.state == "copied" or entry.intent else ""
            detail = {**changed.detail, "object_etag": etag, "version": result.version_id}
            return changed.becomes("verified", detail=detail)
        undone = put_back(after, changed.written)
        try:
            send(tools.account, [update(entry.target_place, tuple(entry.target_key), after, undone)])
        except (Lost, *AWS_ERRORS) as error:
            why = f"the PDF was not copied and the row could not be put back ({explain(error)}): {result.detail}"
            return changed.becomes("failed", why, intent=True)
        return entry.becomes("failed", f"the PDF was not copied, the row is as it was: {result.detail}", intent=False)

    detail, written = {**entry.detail, "done": [name], "object": target}, traces(row, after)
    anew = {change.path for change in written}
    # What a run that was interrupted before the copy wrote, and what still stands of it, is undone with the rest.
    earlier = (change for change in entry.written if change.path not in anew and holds(after, change))
    recorded = replace(
        entry, source_digest=digest(row), target_digest=digest(after), written=(*earlier, *written), detail=detail
    )
    if not written:
        return Prepared(recorded, first=put_pdf)
    return Prepared(recorded, (update(entry.target_place, tuple(entry.target_key), row, after),), after=put_pdf)


_BUILDERS: dict[str, Callable[[ContentTools, Entry], Prepared]] = {
    "artifacts": _artifacts,
    "workflows": _workflows,
    "logs": _logs,
    "settings": _settings,
    "shares": _shares,
    "disclosures": _disclosures,
}
