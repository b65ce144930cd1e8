"""Changes as people and `--json` see them: keys, paths, before and after; never the value of a secret attribute."""

from __future__ import annotations

import json
from typing import Any

from wizard.catalog.tables import BY_KEY
from wizard.migration.entry import Entry
from wizard.migration.rewrite import Edit
from wizard.text import plain
from wizard.wire import Item, key_text, outline, to_json_line


def shown(entry: Entry) -> dict[str, Any]:
    """`{"id", "row", "kind", "action", "state", "note", "source", "target", "users", "edits": [[path, before, after]]}`.

    Those are cut to a readable length. `source_place`, `source_key` and their like of the target are exact, for programs:
    the key of an object, or of an item as DynamoDB's JSON.
    """
    secret = BY_KEY[entry.row].secret if entry.row in BY_KEY else ()
    return {
        "id": entry.id,
        "row": entry.row,
        "kind": entry.kind,
        "action": entry.action,
        "state": entry.state,
        "note": plain(entry.note, 500),
        "source": f"{entry.source_place}: {_key(entry.source_key)}",
        "target": f"{entry.target_place}: {_key(entry.target_key)}",
        "source_place": entry.source_place,
        "source_key": _exact(entry.source_key),
        "target_place": entry.target_place,
        "target_key": _exact(entry.target_key),
        "users": [plain(user, 120) for user in entry.users],
        "edits": [_edit(edit, edit.path[0] in secret) for edit in entry.edits],
    }


def _key(key: Any) -> str:
    return plain(key, 400) if isinstance(key, str) else key_text(_without_part(key))


def _exact(key: Any) -> Any:
    return key if isinstance(key, str) else json.loads(to_json_line(_without_part(key)))["Item"]


def _without_part(key: Item) -> Item:
    """The key of an item without the part of it that a change of content moves."""
    return {name: value for name, value in key.items() if name != "part"}


def _edit(edit: Edit, secret: bool) -> list[str]:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{plain(part, 120)}" for part in edit.path).lstrip(".")
    return [path, _value(edit.before, secret), _value(edit.after, secret)]


def _value(value: Any, secret: bool) -> str:
    if value is None:
        return ""
    if secret:
        return "(secret)"
    kind, content = next(iter(value.items()))
    return plain(content, 200) if kind in ("S", "N", "BOOL") else outline(value)
