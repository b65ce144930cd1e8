"""What to stop and think about after a plan, before anything is applied: its figures in sentences. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from wizard.text import plain, plural, sentences

UNLIKELY = 0.5  # of all changes for one user, where there are more than two: more probably a mistake in the map
NAMED = 5  # ids and shares named before the rest is only counted


def stop_and_think(summary: Mapping[str, Any]) -> list[str]:
    """The summary of `migrate plan` as lines; those that are unusual begin with `!`."""
    users, outside, in_use = summary["users"], summary["not_in_map"], summary["new_ids_in_use"]
    lines = [f"Users: {users['in_map']:,} in the map, {users['with_changes']:,} with changes"]
    if right := sum(one.get("verified", 0) for one in summary["tables"]):
        lines.append(
            f"Verified already: {right:,}. Nothing is to do for them: what they would make was found in the account"
        )
    if without := users["without_data"]:
        lines.append(
            f"! {plural(len(without), 'user')} of the map without any data: {_named(without)}. Is the old id spelled as"
            " it is in the tables?"
        )
    if outside["count"]:
        lines.append(
            f"! {outside['count']:,} with data are not in the map and stay as they are:"
            f" {_named(outside['examples'], outside['count'])}"
        )
    if in_use["count"]:
        lines.append(
            f"! {plural(in_use['count'], 'new id')} with data already, which the old id's data will join:"
            f" {_named(in_use['examples'], in_use['count'])}. Does each belong to the same person?"
        )
    lines += _shares(summary["largest_share"], users["with_changes"])
    if summary["blocked"]:
        lines.append(f"! {plural(summary['blocked'], 'change')} cannot be made; see `migrate show --state failed`")
    if summary["kept"]:
        lines.append(
            f"! Left as they are, as another one stands or goes where they would: {plural(summary['kept'], 'item')}; see"
            " `migrate show --state kept`"
        )
    for one in summary["unknown_references"][:20]:
        word = "an old id" if one["kind"] == "id" else "an old id in other case"
        lines.append(
            f"! unknown reference: {one['place']} {plain(one['path'], 80)} holds {word}, which stays:"
            f" {plural(one['count'], 'time')}"
        )
    for finding in summary["findings"]:
        if finding["level"] != "note":
            words = f"{finding['place']}: {sentences(plain(finding['text'], 300), plain(finding['todo'], 200))}"
            lines.append(f"! {finding['level']}: {words}")
    for complaint in summary.get("complaints", ()):
        lines.append(f"! {complaint['level']}: map, line {complaint['line']}: {plain(complaint['text'], 300)}")
    return lines


def per_table(summary: Mapping[str, Any]) -> list[str]:
    """Planned changes of each table and bucket, against the number of users, to see what is out of proportion."""
    users = max(1, summary["users"]["in_map"])
    planned: Counter[str] = Counter()  # several rows of the catalog may write to one place
    for one in summary["tables"]:
        planned[one["place"]] += one.get("planned", 0)
    return [f"{count:,} in {place} ({count / users:,.1f} per user)" for place, count in planned.items() if count]


def _shares(shares: Sequence[Mapping[str, Any]], users: int) -> list[str]:
    if not shares or users < 2:
        return []
    told = ", ".join(f"{plain(one['user'], 60)} {one['share']:.0%}" for one in shares[:3])
    unlikely = users > 2 and shares[0]["share"] > UNLIKELY
    return [f"{'! ' if unlikely else ''}Largest shares of the changes: {told}{'. Is that likely?' if unlikely else ''}"]


def _named(ids: Sequence[str], of: int = 0) -> str:
    count = of or len(ids)
    more = f" and {count - NAMED:,} more" if count > NAMED else ""
    return ", ".join(plain(one, 60) for one in ids[:NAMED]) + more
