"""Coverage-guided fuzzing of what reads foreign bytes: each either gives a result or one clean complaint.

    pip install -e '.[fuzz]'
    python -m tests.fuzz csv|yaml|rewrite|backup [-max_total_time=600] [CORPUS …]

The options are libFuzzer's. An input that breaks a reader is written to `crash-*` and ends the run.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wizard"]):
    from wizard import wire
    from wizard.catalog.model import Ids
    from wizard.catalog.tables import TABLES
    from wizard.errors import BadInput
    from wizard.import_sources import open_source
    from wizard.migration.rewrite import Watch, rewrite, unknown_references
    from wizard.serverless_variables import Unanswered
    from wizard.serverless_yaml import Answers, ServerlessFile
    from wizard.usermap import read_map
    from wizard.usermap_checks import check_rows

IDS = Ids({"ann@example.edu": "a-100", "bob@example.edu": "b-200", "carl": "carl"})
ANSWERS = Answers("v6", "dev", "us-east-1", {"A": "${self:custom.b}"}, {"ssm:/x": "y"})
FOLDER = Path(tempfile.mkdtemp())


def csv(content: bytes) -> None:
    path = FOLDER / "map.csv"
    path.write_bytes(content)
    with contextlib.suppress(BadInput):
        user_map, complaints = read_map(path)
        list(check_rows(user_map))
        assert user_map.rows or complaints


def yaml(content: bytes) -> None:
    with contextlib.suppress(BadInput):
        file = ServerlessFile(content.decode("utf-8", "replace"), "x/serverless.yml", ANSWERS)
        _ = (file.service, file.stack, file.region, file.whole, file.references(), file.tables(), file.included())
        for variable in file.variables:
            with contextlib.suppress(Unanswered):
                file.expand(variable.text)


def rewriting(content: bytes) -> None:
    row = TABLES[content[0] % len(TABLES)] if content else TABLES[0]
    try:
        item = wire.from_json_line(content[1:])
    except ValueError:
        return
    item = {**{name: {"S": "carl"} for name in row.key.names}, **item}
    once = rewrite(row, item, IDS)
    assert rewrite(row, once.item, IDS).edits == ()
    assert bool(once.edits) == (once.item != item)
    list(unknown_references(row, item, Watch(IDS)))
    assert wire.same(item, wire.from_json_line(wire.to_json_line(item)))


def backup(content: bytes) -> None:
    path = FOLDER / ("b.csv" if content[:1] == b"c" else "b.json")
    path.write_bytes(content[1:])
    with contextlib.suppress(BadInput):
        for item in open_source(path).rows():
            wire.digest(item)
            json.loads(wire.to_json_line(item))


TARGETS: dict[str, Callable[[bytes], None]] = {"csv": csv, "yaml": yaml, "rewrite": rewriting, "backup": backup}

if __name__ == "__main__":
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
