"""The part of drawn deployments that has objects: conversations, agent memory, artifacts, templates, task logs, shares.

And user storage, where some of them become rows.
"""

from __future__ import annotations

import json
import random
import re
import uuid

from boto3.dynamodb.types import TypeSerializer

from tests.wizard.migration.drawn import (
    ARTIFACTS,
    CONSOLIDATION,
    CONVERSATIONS,
    DRAWINGS,
    FILES,
    FOREIGN,
    LOGS,
    META,
    OLD_STORAGE,
    OUTPUTS,
    POOL,
    SESSIONS,
    SHARED,
    SHARES,
    STATES,
    STORAGE,
    TASKS,
    TEMPLATES,
    WORKFLOWS,
    Deployment,
    Make,
    Of,
    digits,
    saved,
    spelled,
    wire,
)
from tests.wizard.migration.stage import Item, n, s
from wizard.migration.lzw import safe_compress


def conversation(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    name, home = "c 1+%20", f"conversations/{one.of(user)}/c 1+%20"
    state = draw.choice(["free", "free", "equal", "other", "deleted", "missing"])
    follows = user in one.ids and state not in ("deleted", "missing")
    if state != "missing":
        one.object(
            CONVERSATIONS,
            f"{user}/{name}",
            user.encode(),
            home if user in one.ids and state in ("free", "equal") else "",
        )
    if user in one.ids and state in ("equal", "other"):
        one.objects[CONSOLIDATION, home] = user.encode() if state == "equal" else b"newer"
    if user in one.ids and state == "deleted":
        one.deleted.append(home)
    one.object(CONVERSATIONS, f"{user}/", b"")  # the marker of a folder that holds no object's name
    one.object(CONVERSATIONS, f"temp/{user}/conversations_chunk_1.json", b"{}")
    long = f"{user}/" + "k" * (1_023 - len(user.encode()))
    one.object(
        CONVERSATIONS, long, b"{}", f"conversations/{one.of(user)}/{long.partition('/')[2]}" if user in one.ids else ""
    )

    def make(of: Of, moved: bool) -> Item:
        key = f"conversations/{of(user)}/{name}" if moved and follows else f"{user}/{name}"
        return {"user_id": s(of(user)), "conversation_id": s(name), "s3_key": s(key), "last_modified": n(1)}

    one.row(META, make, objects=[(CONVERSATIONS, f"{user}/{name}")])


def outputs(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    mapped = user in one.ids
    one.object(
        OUTPUTS, f"{user}/m-f-FN-ü.png", b"\x89PNG", f"codeInterpreter/{one.of(user)}/m-f-FN-ü.png" if mapped else ""
    )
    one.object(FILES, f"{user}/2024-01-01/1.json", b"{}")
    if one.of(user) != user:  # what newer services wrote under the old id
        one.object(CONSOLIDATION, f"codeInterpreter/{user}/split", b"2", f"codeInterpreter/{one.of(user)}/split")


def session(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    """Agent memory in each of the spellings that services left."""
    there = draw.random() < 0.8
    if there:
        home = f"agentState/{one.of(user)}/s/agent_state.json"
        one.object(SESSIONS, f"{user}/s/agent_state.json", user.encode(), home if user in one.ids else "")
    follows = there and user in one.ids

    def memory(of: Of, moved: bool, spelling: str) -> Item:
        if moved and follows and spelling != "foreign":
            kept = {} if spelling == "typed" else {"lastModified": s("1")}
            return {"M": {"key": s(f"agentState/{of(user)}/s/agent_state.json"), **kept}}
        key = s(f"{user}/s/agent_state.json")
        bucket = s(FOREIGN if spelling == "foreign" else "amplify-v6-agent-loop-dev-agent-state")
        if spelling == "typed":
            return s(json.dumps({"bucket": bucket, "key": key}))
        return {"M": {"bucket": bucket, "key": key, "lastModified": s("1")}}

    for spelling in ("plain", "typed", "foreign"):
        one.foreign += spelling == "foreign" and user in one.ids
        one.row(
            STATES,
            lambda of, moved, spelling=spelling: {  # type: ignore[misc]
                "user": s(of(user)), "sessionId": s(spelling), "memory": memory(of, moved, spelling)
            },
            objects=[(SESSIONS, f"{user}/s/agent_state.json")],
        )  # fmt: skip


_BODIES = (
    b'{"name": "\\u001b[31m<b>", "contents": [1.50, "x", 0.1234567890123456789012345678901234567]}',
    b"[]",
    b'"text"',
)
_LETTERS = bytes(0xA0 + code % 0x5F for code in range(256))
_NO_ROWS = (b"not JSON", b"\xff\xfe", b'{"": 1}', b'{"n": 1e999}')
_TOO_LARGE = json.dumps({"contents": "x" * 410_000}).encode()  # for a row of 400 KB


def _body(draw: random.Random) -> bytes:
    """Of an object that becomes a row, or cannot."""
    return _TOO_LARGE if draw.random() < 0.1 else draw.choice(_BODIES if draw.random() < 0.7 else _NO_ROWS)


def artifact(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    """Artifacts of a user and such as were shared with him. What is too large for a row stays in S3 under the new id."""
    members: list[tuple[str, str, str]] = []  # (key, key as it is to be, sharer)
    made: dict[tuple[str, str], Item] = {}
    for index in range(draw.randint(1, 3)):
        name, sharer, body = f"20240131/Map {index}:v1", draw.choice(["", *users[:-1]]), _body(draw)
        key, home, there = f"{user}/{name}", f"{one.of(user)}/{name}", draw.random() < 0.9
        moves = there and user in one.ids and body not in _NO_ROWS
        if there:
            one.object(DRAWINGS, key, body, home if body == _TOO_LARGE and home != key else "", DRAWINGS)
        if there and user in one.ids and not moves:
            one.unfit.add(key)
        members.append((key, key if not moves else home if body == _TOO_LARGE else name, sharer))
        if moves and body != _TOO_LARGE:
            owner, sort = (sharer, f"shared-with-{one.of(user)}#{name}") if sharer else (user, name)
            made[f"{spelled(one.of(owner))}#amplify-artifacts#artifact-content", sort] = wire(body)

    def make(of: Of, moved: bool) -> Item:
        listed = [
            {"M": {"key": s(after if moved else key), **({"sharedBy": s(of(sharer))} if sharer else {})}}
            for key, after, sharer in members
        ]
        return {"user_id": s(of(user)), "artifacts": {"L": listed}}

    one.row(ARTIFACTS, make, made=made, objects=[(DRAWINGS, key) for key, _, _ in members])


def workflow(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    for template in draw.sample(["w1", "w.2", "w 3"], 2):
        key, public, body = f"{user}/{template}.json", draw.choice([{"BOOL": True}, n(0), s("false")]), _body(draw)
        one.object(TEMPLATES, key, body)
        moves, made = user in one.ids and body in _BODIES, {}
        if moves:
            made = {(f"{spelled(one.of(user))}#amplify-workflows#workflow-templates", template): wire(body)}
        elif user in one.ids:
            one.unfit.add(key)

        def make(of: Of, moved: bool, template=template, moves=moves, key=key, public=public) -> Item:  # type: ignore[no-untyped-def]
            number = n("1" if public == {"BOOL": True} else "0")
            return {
                "user": s(of(user)), "templateId": s(template), "isPublic": number if moved and user in one.ids else public,
                **({} if moved and moves else {"s3Key": s(key)}),
            }  # fmt: skip

        one.row(WORKFLOWS, make, made=made, objects=[(TEMPLATES, key)])


def task(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    """A task whose logs are small, or too many for one row: then some go to S3."""
    task, large = "Daily_3f", draw.random() < 0.4
    active = n(draw.randint(0, 1))
    logs: list[tuple[str, bool]] = []
    for index in range(draw.randint(1, 3)):
        text = draw.randbytes(90_000 if large else 20).translate(_LETTERS).decode("latin-1")  # does not compress
        body = json.dumps({"out": text}).encode() if draw.random() < 0.8 else draw.choice(_NO_ROWS)
        key = f"{user}/{task}/logs/e{index}.json"
        one.object(LOGS, key, body)
        fits = body not in _NO_ROWS
        logs.append((f"e{index}", user in one.ids and fits))
        one.archives[key] = f"scheduledTaskLogs/{one.of(user)}/{task}/e{index}.json"
        if user in one.ids and fits:
            one.logs.setdefault((one.of(user), task), {})[f"e{index}"] = json.loads(body)
        elif user in one.ids:
            one.unfit.add(key)
    place = f"{spelled(one.of(user))}#amplify-agent-logs#scheduled-task-logs", task

    def make(of: Of, moved: bool) -> Item:
        listed = [
            {"M": {"executionId": s(run), "executedAt": s(f"2024-01-{run}"),
                   **({} if moved and moves else {"detailsKey": s(f"{user}/{task}/logs/{run}.json")})}}
            for run, moves in logs
        ]  # fmt: skip
        return {
            "user": s(of(user)), "taskId": s(task), "active": active, "logs": {"L": listed},
            "notifyEmailAddresses": {"L": [s(user)]}, "apiKeyId": s(f"{user}/ownerKey/1"),
        }  # fmt: skip

    rests = one.of(user) != user
    one.row(
        TASKS, make, lambda of, moved: {**make(of, moved), **({"active": n(0)} if rests else {})},
        made={place: None} if any(moves for _, moves in logs) else {},
        objects=[(LOGS, f"{user}/{task}/logs/{run}.json") for run, _ in logs],
    )  # fmt: skip
    if draw.random() < 0.7:
        _saved_logs(one, draw, user, task)


def _saved_logs(one: Deployment, draw: random.Random, user: str, task: str) -> None:
    """Logs of a task that the new services saved: in a row of user storage, and in S3 those that it had no room for.

    They were saved before the migration, or may be while it runs.
    """
    runs: dict[str, Item] = {}
    before, at = draw.random() < 0.7, draw.randint(1, 9)
    wanted = one.logs.setdefault((one.of(user), task), {}) if before else {}
    for _ in range(draw.randint(1, 3)):
        run, size = f"{draw.getrandbits(32):08x}", draw.choice([20, 20, 400, 60_000 if user in POOL else 20])
        log = {"out": draw.randbytes(size).translate(draw.choice([_LETTERS, b"a" * 256])).decode("latin-1")}
        key = f"scheduledTaskLogs/{user}/{task}/{run}.json"
        if before and draw.random() < 0.3:
            home = f"scheduledTaskLogs/{one.of(user)}/{task}/{run}.json" if one.of(user) != user else ""
            one.object(CONSOLIDATION, key, json.dumps(log).encode(), home)
        else:
            runs[run] = dict(TypeSerializer().serialize(safe_compress(log) if size < 1_000 else log))
        wanted[run] = log

    def make(of: Of, moved: bool) -> Item:
        data = {"taskId": s(task), "user": s(of(user)), "logs": {"M": runs}}
        return saved(of(user), "amplify-agent-logs", "scheduled-task-logs", task, {"M": data}, at)

    one.saved(make, before=before)


def shares(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    made: dict[tuple[str, str], Item] = {}
    entries, settings = [], {"M": {"scale": digits(draw), "hiddenModelIds": {"L": [s(user)]}}}
    for _ in range(draw.randint(0, 2)):
        sharer, name = draw.choice(users), str(uuid.UUID(int=draw.getrandbits(128)))
        tail = f"2024-01-31/{name}.json"
        there, mapped = draw.random() < 0.8, user in one.ids or sharer in one.ids
        home = f"shares/{one.of(user)}/{one.of(sharer)}/{tail}"
        if there:
            one.object(SHARED, f"{user}/{sharer}/{tail}", b"{}", home if mapped else "")
        share = {
            "sharedBy": s(sharer),
            "sharedAt": n(1725000000000),
            "note": s("`|<b>"),
            "key": s(f"{user}/{sharer}/{tail}"),
        }
        entries.append({"M": share})
        one.gone += user in one.ids and not there
        if there and user in one.ids:
            row = f"{spelled(one.of(user))}#amplify-shares#received", f"{one.of(sharer)}#2024-01-31#{name}"
            made[row] = {"M": {**share, "sharedBy": s(one.of(sharer)), "key": s(home)}}
    if user in one.ids:
        made[f"{spelled(one.of(user))}#amplify-user-settings#user-settings", "user-settings"] = {
            "M": {"settings": settings}
        }
    item = {
        "id": s(f"{user}/1"),
        "user": s(user),
        "name": s("/state/share"),
        "data": {"L": entries},
        "settings": settings,
    }
    one.row(SHARES, lambda of, moved: item, made=made, objects=[(SHARED, share["M"]["key"]["S"]) for share in entries])
    if draw.random() < 0.7:
        saved_settings(one, draw, user, users)


def storage(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    """User storage, the old table's and the new one's, in the plain and in the doubled spelling."""
    other = draw.choice(users[:-1])
    table = draw.choice([STORAGE, OLD_STORAGE])
    twice = re.sub(r"[^A-Za-z0-9-]", "-", user)

    def doubled(of: Of, moved: bool) -> Item:
        app = "amplify-workflows" if moved and user in one.ids else f"{twice}-amplify-workflows"
        return saved(of(user), app, "workflow-templates", "mine", {"M": {"user": s(user)}})

    makes: list[Make] = [
        lambda of, _: saved(of(user), "notes", "n", f"{user} 1", {"M": {"text": s(user), "big": n("9" * 38)}}),
        lambda of, _: saved(
            of(user), "amplify-artifacts", "artifact-content", f"shared-with-{of(other)}#20240131/Map:v9", s(other)
        ),
        doubled,
    ]  # fmt: skip
    for make in makes:
        one.row(table, make)


def saved_settings(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    """Settings that the new services saved in user storage: they are newer than those of the shares row.

    They were saved before the migration, or may be while it runs.
    """
    data, at = {"M": {"settings": {"M": {"theme": s(f"of {user}")}}}}, draw.randint(1, 9)

    def make(of: Of, moved: bool) -> Item:
        return saved(of(user), "amplify-user-settings", "user-settings", "user-settings", data, at)

    one.saved(make, before=draw.random() < 0.5)
