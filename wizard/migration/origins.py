"""What a change was made from, and whether it stands: rollback takes away no copy that has become the only one.

Origins are found in the ledger, and looked at by reading only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import botocore.exceptions

from wizard.aws import Account
from wizard.aws_errors import ABSENT, code_of
from wizard.deployment import Deployment
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.migration.object_heads import head
from wizard.migration.states import DONE
from wizard.migration.targets import pointed_at
from wizard.migration.writes import read
from wizard.wire import Item, digest

GONE = "the old one is gone; the new one is left"
CHANGED = "the old one was changed since it was copied; the new one is left"


@dataclass(frozen=True)
class Origin:
    """A source object, or a part of a row of shares.

    `key`: the object's key, or the row's as an item. `part`: "" for an object, "settings", or the key of a share.
    `seen`: ETag of the object, digest of the part, as it was copied; "" where whatever stands there will do.
    """

    place: str
    key: Any
    part: str = ""
    seen: str = ""


def origins_of(ledger: Ledger, deployment: Deployment, entry: Entry) -> list[Origin]:
    """What must stand before a change is undone. A copied object is not asked for here: `delete_copy` looks itself."""
    found: list[Origin] = []
    if entry.kind == "item":
        for kind, _, key in {str(edit.target): edit.target for edit in entry.edits if edit.target}.values():
            found += _behind(ledger, deployment, kind, key)  # else a pointer would be put back that leads nowhere
    elif entry.kind == "content":
        found += _sources(ledger, entry)
        if "waits" in entry.detail:
            found += _behind(ledger, deployment, "object", entry.detail["waits"][1])
    return list({str(one): one for one in found}.values())


def _behind(ledger: Ledger, deployment: Deployment, kind: str, key: Any) -> Iterator[Origin]:
    """Where a pointer led before its target was copied; whatever stands there by now."""
    for entry in ledger.at_target(*pointed_at(deployment, kind, key), "object" if kind == "object" else "content"):
        if entry.state in DONE or entry.detail.get("was_made"):
            yield from (replace(one, seen="") for one in _sources(ledger, entry))


def _sources(ledger: Ledger, entry: Entry) -> Iterable[Origin]:
    if entry.kind == "object":
        return [Origin(entry.source_place, entry.source_key)]
    # A later turn, or a plan for one, has seen what a service made of the source since.
    newest = (
        ledger.find(entry.kind, entry.source_place, entry.source_key, entry.target_place, entry.target_key) or entry
    )
    if entry.action in ("shares", "settings"):
        key = {name: value for name, value in entry.source_key.items() if name != "part"}
        return [Origin(entry.source_place, key, str(entry.detail["part"]), str(newest.detail.get("seen", "")))]
    known = {
        key: Origin(bucket, key, "", etag)
        for bucket, key, _, etag, *_ in (*entry.detail.get("sources", ()), *newest.detail.get("sources", ()))
    }
    return [known[key] for key in entry.detail.get("done", ()) if key in known]


def missing(account: Account, origins: Iterable[Origin]) -> str:
    """Why a copy is not to be taken away; "" when all its origins stand. Raises what botocore raises, but for absence."""
    return next((why for one in origins if (why := _look(account, one))), "")


def _look(account: Account, origin: Origin) -> str:
    try:
        if origin.part:
            row = read(account, origin.place, origin.key)
            stands = _parts(row, origin.part) if row is not None else []
        else:
            answer = head(account, origin.place, origin.key)
            stands = [answer["ETag"].strip('"')] if answer is not None else []
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ABSENT:
            raise
        stands = []
    if not stands:
        return GONE
    return "" if origin.seen in ("", *stands) else CHANGED


def _parts(row: Item, part: str) -> list[str]:
    """Digests of what a row of shares holds for a part."""
    if part == "settings":
        return [digest({"": row["settings"]})] if row.get("settings", {}).get("M") else []
    shares = row.get("data", {}).get("L", [])
    return [digest({"": share}) for share in shares if share.get("M", {}).get("key") == {"S": part}]
