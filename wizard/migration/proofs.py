"""What an old record must prove before cleanup takes it: what it holds now stands under the new id, now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wizard.aws import Account
from wizard.catalog.model import Ids
from wizard.catalog.tables import BY_KEY
from wizard.migration.content import share_data, share_key
from wizard.migration.content_plan import Move, moves
from wizard.migration.entry import Entry, encode_key
from wizard.migration.retained import Retained
from wizard.migration.rewrite import rewrite
from wizard.migration.scan import MARK, unmarked
from wizard.migration.verify import judge, row_at_target
from wizard.migration.writes import read
from wizard.text import plain
from wizard.wire import Item, canonical

_WAY_OUT = "; `migrate resolve` settles it: `--done` where the new one is right, `--skip` where this one is to stay"


def lost(account: Account, ids: Ids, entry: Entry, source: Item) -> str:
    """An attribute that the old item brought and its twin lacks by now, or has emptied; "" when there is none.

    Single members that are gone are what a user removed under the new id.
    """
    row, where = BY_KEY[entry.row], row_at_target(entry)
    twin = unmarked((read(account, *where) if where is not None else None) or {})
    brought = rewrite(row, unmarked(source), ids).item
    # A merge may have left out what lost against the existing item.
    return _lacks(row.merged(twin, brought) if entry.action == "merge" else brought, twin)


def leads_alone(account: Account, one: Retained) -> str:
    """Why an old item stays that leads to content which was not moved, and whose twin does not; "" for any other."""
    left = {key: entry.note for entry in _last(one.content).values() for key in _not_moved(entry)}
    where = row_at_target(one.entries[0]) if left else None
    twin = canonical((read(account, *where) if where is not None else None) or {})
    for key, note in sorted(left.items()):
        if canonical({"": {"S": key}}).removeprefix(b'{"":').removesuffix(b"}") not in twin:
            return f"it alone leads to {plain(key, 160)}, which was not moved: {plain(note, 200)}{_WAY_OUT}"
    return ""


def _not_moved(entry: Entry) -> set[str]:
    """Keys of objects that stand beside what stands under the new id."""
    if entry.state == "resolved":  # of one that was skipped the old item is not even asked about, see `retained.py`
        return set()
    beside = entry.detail["sources"] if entry.state == "kept" and entry.detail.get("beside") else ()
    return {*(key for _, key, *_ in beside), *(key for key, _ in entry.detail.get("unfit", ()))}


def why_kept(account: Account, ids: Ids, one: Retained, source: Item) -> str:
    """Why a row of content stays; "" where all that it holds is proven."""
    found = proofs(one, source, ids)
    if sum(move.action == "shares" for move, _ in found) != len(source.get("data", {}).get("L", [])):
        return "it holds a share that cannot be moved"
    if more := source.keys() - {*BY_KEY[one.entries[0].row].consists_of, MARK}:
        return f"it holds {plain(', '.join(sorted(more)), 120)} besides, which is copied nowhere"
    for name, kind in (("data", "L"), ("settings", "M")):
        if name in source and kind not in source[name] and not _is_empty(source[name]):
            return f"its {name} are of a type that services do not write, and copied nowhere"
    seen: dict[tuple[str, str, str], str] = {}
    for move, entry in found:
        if seen.setdefault(_of_move(move), move.detail["seen"]) != move.detail["seen"]:
            return f"it holds the share {plain(move.part, 120)} twice and differently; remove one of them"
        if entry is not None and entry.detail.get("seen") != move.detail.get("seen"):
            return f"its {move.action} were changed since they were copied; plan and apply again"
        if entry is None:
            return f"its {move.action} were not all planned; plan and apply again"
        unproven = f"its {move.action} are not all verified in the new place"
        if not (is_settled(entry) or entry.state == "cleaned"):
            return f"{unproven}: {plain(entry.note or entry.state, 200)}{_WAY_OUT}"
        judgement = judge(account, entry)
        if judgement.verdict != "match":
            return f"{unproven}: {judgement.why}{_WAY_OUT if entry.state == 'resolved' else ''}"
        by_hand = entry.state == "resolved"
        if judgement.later and not by_hand and (name := _lost_of_content(account, ids, move, entry, source)):
            return f"its {move.action} stand in a row that was changed since and has no {plain(name, 120)} any more"
    return ""


def proofs(one: Retained, source: Item, ids: Ids) -> list[tuple[Move, Entry | None]]:
    """What a row of content asks for now, each with the last change that was made of it.

    With more users in the map a share has another key: the change of the map before proves nothing any more.
    """
    row = BY_KEY[one.entries[0].row]
    last = _last(one.entries)
    return [(move, last.get(_of_move(move))) for move in moves(row, one.place, source, row.key.names, ids)]


def _last(entries: Iterable[Entry]) -> dict[tuple[str, str, str], Entry]:
    """The last change of each part of an item, by what `_of_move` gives."""
    turns = sorted(entries, key=lambda entry: entry.turn)
    return {(entry.action, entry.detail["part"], encode_key(entry.target_key)): entry for entry in turns}


def is_settled(entry: Entry) -> bool:
    """Whether a change is proven, or the operator said that he made it himself."""
    return entry.state == "verified" or (entry.state == "resolved" and bool(entry.detail.get("by_hand")))


def _lost_of_content(account: Account, ids: Ids, move: Move, entry: Entry, source: Item) -> str:
    """What a share or settings brought and the row that was changed since lacks, or has emptied; "" for nothing."""
    where = row_at_target(entry)
    data = ((read(account, *where) if where is not None else None) or {}).get("data", {}).get("M", {})
    if move.action == "settings":
        return _lacks({"settings": source["settings"]}, data)
    share = next(one for one in source["data"]["L"] if one.get("M", {}).get("key") == {"S": move.part})
    wanted = share_data(share, ids)["M"]
    other = share_key(data.get("key", {}).get("S", "")) != share_key(wanted["key"]["S"])
    return "key of this share" if other else _lacks(wanted, data)


def _lacks(wanted: Item, standing: Item) -> str:
    """The first name of `wanted` that `standing` lacks or has emptied; "" when there is none."""
    return next(
        (
            name
            for name in wanted
            if name not in standing or (_is_empty(standing[name]) and not _is_empty(wanted[name]))
        ),
        "",
    )


def _is_empty(value: Mapping[str, Any]) -> bool:
    return value in ({"L": []}, {"M": {}}, {"S": ""}, {"NULL": True})


def _of_move(move: Move) -> tuple[str, str, str]:
    return move.action, move.part, encode_key(move.target_key)
