"""Objects of mapped users that should become rows and that no row points to: counted, never touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from wizard.catalog.buckets import BUCKETS
from wizard.catalog.pointers import user_data_key
from wizard.events import Finding
from wizard.migration.content import oversize_artifact_key
from wizard.migration.resolution import Resolution
from wizard.migration.targets import USER_DATA, bucket_name
from wizard.text import plain, plural


def tell_unreferenced(work: Resolution) -> None:
    """A finding per bucket. What an earlier run moved, here or elsewhere, lost its pointer rightly and is not told."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for row, key, fields in work.staging.unreferenced():
        if not _moved(work, row, fields):
            counts[row] += 1
            examples.setdefault(row, key)
    pointers = {row.config_key: row.pointer for row in BUCKETS}
    for row, count in sorted(counts.items()):
        text = (
            f"{plural(count, 'object')} of users of the map stay: no row points there ({pointers[row]}), for example"
            f" {plain(examples[row], 160)}"
        )
        todo = "No service shows them; keep the bucket until you know that nobody misses them."
        work.findings.append(Finding("attention", bucket_name(work.context.deployment, row), text, todo))


def _moved(work: Resolution, row: str, fields: Mapping[str, str]) -> bool:
    """Whether an object is proven by its target: the row of a task's logs, or the copy of an artifact too large for a row."""
    user = work.scope.ids.successor(fields["user"])
    if "task_id" in fields:
        target = user_data_key(user, "amplify-agent-logs", "scheduled-task-logs", fields["task_id"])
        return work.staging.seen(work.found.names.get(USER_DATA, ""), target) is not None
    if "date" in fields:
        copy = oversize_artifact_key(user, f"{fields['date']}/{fields['name']}")
        return (
            user != fields["user"] and work.staging.object(bucket_name(work.context.deployment, row), copy) is not None
        )
    return False
