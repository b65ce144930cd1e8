"""How deployments are drawn: a family of rows and objects per function, for each person some of them.

Formats and traps are those of the services: derived keys, pointers, sums, clashes, content that is no JSON, keys and
items at DynamoDB's limits.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.wizard.migration import drawing_content as content
from tests.wizard.migration.drawn import (
    ACCESS,
    ACCOUNTS,
    ADMIN,
    ALIASES,
    CHATS,
    COSTS,
    FOREIGN,
    GROUP_TALKS,
    GROUPS,
    HASHES,
    HISTORY,
    KEYS,
    LOOKUP,
    MANUALS,
    PDFS,
    POOL,
    STORAGE,
    STRANGER,
    TAGS,
    TALKS,
    USERS,
    VERSIONS,
    Deployment,
    Of,
    digits,
    spelled,
)
from tests.wizard.migration.stage import Item, n, s


def draw_deployment(seed: int) -> Deployment:
    """The deployment of a seed, where some people may be migrated before the others."""
    one, draw = _draw(seed), random.Random(f"pilots {seed}")
    if len(one.ids) > 1 and draw.random() < 0.6:
        one.pilots = _draw(seed, draw.randint(1, len(one.ids) - 1))
        assert one.pilots.rows == one.rows
    return one


def _draw(seed: int, first: int | None = None) -> Deployment:
    """`first`: how many people are in the map, all that can be unless given. What is seeded does not depend on it."""
    draw = random.Random(seed)
    few = draw.random() < 0.5
    users = draw.sample(POOL, draw.randint(1, 2) if few else draw.randint(2, 5))
    kept = draw.random() < 0.2  # scenario B
    news = [f"new-{index}" if draw.random() < 0.8 else "n" * 120 + str(index) for index in range(len(users))]
    mapped = users[: draw.randint(1, len(users))]
    ids = {old: old if kept or draw.random() < 0.1 else new for old, new in zip(mapped, news, strict=False)}
    one = Deployment({old: ids[old] for old in mapped[:first]})
    users.append(STRANGER)
    for user in users:
        families = draw.sample(_FAMILIES, draw.randint(len(_FAMILIES) // 3, len(_FAMILIES) // (1 + few)))
        if user == users[0]:  # who is mapped
            families += [family for family in _IN_TWO_PLACES if family not in families]
        for family in families:
            family(one, draw, user, users)
        new = ids.get(user, user)
        if new != user:
            for family in draw.sample(_CLASHING, draw.randint(0, len(_CLASHING))):
                family(one, draw, new, users)
    for family in _ONCE:
        family(one, draw, users[0], users)
    one.settle()
    return one


# --- rows of one person -------------------------------------------------------------------------------------------------


def _account(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    accounts = {"L": [{"M": {"id": s(name)}} for name in draw.sample("abcd", 2)]}
    one.row(ACCOUNTS, lambda of, _: {"user": s(of(user)), "accounts": accounts})


def _access(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    level = s(draw.choice(["read", "write", "owner"]))
    one.row(ACCESS, lambda of, _: {"object_id": s("ann@example.edu/2024-01-01/1.json"), "principal_id": s(of(user)),
                                   "permission_level": level})  # fmt: skip


def _costs(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    sums = {
        "dailyCost": digits(draw),
        "monthlyCost": digits(draw),
        "hourlyCost": {"L": [digits(draw) for _ in range(24)]},
    }
    one.row(
        COSTS, lambda of, _: {"id": s(of(user)), "accountInfo": s("1#ann@example.edu/ownerKey/5f"), **sums}, gone=True
    )


def _history(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    cost = digits(draw)
    one.row(
        HISTORY, lambda of, _: {"userDate": s(f"{of(user)}#2024-01-31"), "accountInfo": s("1#NA"), "dailyCost": cost}
    )


def _tags(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    tags = draw.sample(["x", "y", "z", "ann@example.edu"], 2)
    one.row(TAGS, lambda of, _: {"user": s(of(user)), "tags": {"SS": sorted(tags)}})


def _identity(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    def make(of: Of, moved: bool) -> Item:
        row = {"user_id": s(of(user)), "given_name": s("x"), "custom:saml_groups": {"L": [s("Staff")]}}
        filled = {"email": s(user)} if of(user) != user and "@" in user else {}
        return {**row, **filled}

    one.row(USERS, make)


def _alias(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    version = n(draw.randint(1, 9))
    one.row(
        ALIASES, lambda of, _: {"user": s(of(user)), "assistantId": s("astp/7?type=latest"), "currentVersion": version}
    )


def _rekeyed(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    """Tables of which nothing is special but that the id is in the key."""
    odd = {"o.d#d:": s("\x1b[31m<b>\u202e"), "name": s(user), "of": {"B": b"\x00\xff"}, "set": {"NS": ["1", "1E+2"]}}
    of_table: dict[str, Callable[[Of], Item]] = {
        "agent-loop/agent-event-templates": lambda of: {"user": s(of(user)), "tag": s("t"), "apiKeyId": s(f"{user}/ownerKey/1")},
        "agent-loop/email-allowed-senders": lambda of: {
            "email": s(of(user)), "tag": s("t"), "allowedSenders": {"L": [s(user), s(".*@example\\.edu")]}
        },
        "lambda-ops/ops": lambda of: {"user": s(of(user)), "tag": s("t"), "ops": {"L": [{"M": {"id": s("1")}}]}},
        "assistants-api/user-oauth-integrations": lambda of: {
            "user_integration": s(f"{of(user)}/google"), "integrations": {"M": {"drive": s("blob")}}, "last_updated": s("1")
        },
        "assistants-api/job-status": lambda of: {
            "user": s(of(user)), "job_id": s("j"), "stored_result": {"M": {"key": s(f"{user}/j/result.json")}}
        },
        "data-disclosure/acceptance": lambda of: {"user": s(of(user)), "documentVersion": n(3)},
    }  # fmt: skip
    for table, make in of_table.items():
        one.row(table, lambda of, _, make=make: {**odd, **make(of)})  # type: ignore[misc]


def _in_place(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    """Tables whose keys name no user, or one that stays."""
    other, text = draw.choice(users), f"{user} wrote"
    of_table: dict[str, Callable[[Of], Item]] = {
        CHATS: lambda of: {"id": s(f"{user}-1"), "user": s(of(user)), "details": {"M": {"api_key_id": s(f"{user}/ownerKey/1")}}},
        "assistants/assistants": lambda of: {
            "id": s(f"ast/{user}"), "user": s(of(user)), "dataSources": {"L": [{"M": {"id": s(f"s3://{user}/2024-01-01/1.json")}}]}
        },
        LOOKUP: lambda of: {
            "astPath": s(f"path of {user}"), "createdBy": s(of(user)),
            "pathHistory": {"L": [{"M": {"changedBy": s(of(other)), "path": s(other)}}]},
            "accessTo": {"M": {"users": {"L": [s(of(other)), s("AppName-123456")]}}},
        },
        "assistants/code-interpreter-assistants": lambda of: {"id": s(f"{user}/ast/1"), "user": s(of(user))},
        "assistants/assistant-threads": lambda of: {"id": s(f"{user}/thr/1"), "user": s(of(user))},
        "assistants/assistant-thread-runs": lambda of: {
            "id": s(f"{user}/run/1"), "user": s(of(user)), "thread_key": s(f"{user}/thr/1")
        },
        KEYS: lambda of: {
            "api_owner_id": s(f"{user}/ownerKey/1"), "owner": s(of(user)), "systemId": {"NULL": True},
            "delegate": {"NULL": True} if other == user else s(of(other)),
        },
        "lambda/user-files": lambda of: {
            "id": s(f"{user}/2024-01-01/1.json"), "createdBy": s(of(user)), "updatedBy": s(of(other)),
        },
        HASHES: lambda of: {
            "id": s(f"{user}/2024-01-01/1.json"), "hash": s("0"),
            **({"originalCreator": s(of(user))} if "/" not in user and of(user) != user else {}),
        },
        "embedding/embedding-progress": lambda of: {"object_id": s(f"global/{user}"), "originalCreator": s(of(user))},
        "memory/memory": lambda of: {
            "id": s(f"of {user}"), "user": s(of(user)), "memory_type": s("user"), "memory_type_id": s(of(other)), "text": s(text)
        },
        "lambda/db-connections": lambda of: {
            "id": s(f"db {user}"), "user": s(of(user)), "username": s(user), "password": s("hush")
        },
        "chat-billing/additional-charges": lambda of: {"id": s(f"{user}/thr/1/{user}/ast/1"), "user": s(of(user))},
        "amplify-js/skill-shares": lambda of: {"shareId": s(f"1 {user}"), "sharedBy": s(of(user)), "sharedWith": s(of(other))},
        "admin/admin-logs": lambda of: {"log_id": s(f"{user}/1"), "user": s(user), "details": s(text)},
        "assistants-api/op-log": lambda of: {"user": s(user), "timestamp": s("1")},
    }  # fmt: skip
    for table in draw.sample(sorted(of_table), 8):
        one.row(table, lambda of, _, make=of_table[table]: make(of))  # type: ignore[misc]


def _large(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    """An item of nearly 400 KB, and a key of 2 KB, which a longer id makes too long."""
    filling = s(chr(draw.randrange(33, 127)) * 404_000)
    grows = len(one.of(user).encode()) > len(user.encode())
    one.blocked += grows
    one.row("lambda/chat-usage-archive", lambda of, _: {"id": s("1" + user), "user": s(of(user)), "blob": filling})
    app = "a" * (2_048 - len(spelled(user)) - 2)
    one.row(STORAGE, lambda of, _: {"PK": s(f"{spelled(of(user))}#{app}#"), "SK": s("k" * 1_024)}, stays=grows)


# --- rows of nobody or of many --------------------------------------------------------------------------------------------


def _admin(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    named = draw.sample(users, min(3, len(users)))

    def members(of: Of) -> Item:
        return {"L": _once([of(u) for u in named])}

    groups = {"L": [s(named[0])]}  # names of groups, whatever they look like
    one.row(ADMIN, lambda of, _: {"config_id": s("admins"), "data": members(of), "last_updated": s("1")})

    def team(of: Of) -> Item:
        return {"members": members(of), "createdBy": s(of(user)), "includeFromOtherGroups": groups}

    def flag(of: Of) -> Item:
        return {"userExceptions": members(of), "amplifyGroupExceptions": groups}

    one.row(ADMIN, lambda of, _: {"config_id": s("amplifyGroups"), "data": {"M": {"T": {"M": team(of)}}}})
    one.row(ADMIN, lambda of, _: {"config_id": s("featureFlags"), "data": {"M": {"pptx": {"M": flag(of)}}}})

    def group(of: Of, moved: bool) -> Item:
        read = {"M": {of(u): s("read") for u in named}}
        return {"group_id": s("g"), "createdBy": s(of(user)), "systemUsers": {"L": [s("App-1")]}, "members": read}

    one.row(GROUPS, group)


def _once(found: list[str]) -> list[Item]:
    return [s(one) for one in dict.fromkeys(found)]


def _whole_buckets(one: Deployment, draw: random.Random, user: str, users: list[str]) -> None:
    """What names no user and is copied whole, and the rows that point there."""
    one.object(GROUP_TALKS, "astgp/77/0f.txt", b"talk", "agentConversations/astgp/77/0f.txt")
    one.object(MANUALS, "ü b.yml", b"openapi", "apiDocumentation/ü b.yml")
    one.object(PDFS, "one.pdf", b"%PDF", "dataDisclosure/one.pdf")
    for bucket, name, home in ((MANUALS, "folder/", "apiDocumentation"), (GROUP_TALKS, "astgp/", "agentConversations")):
        one.object(bucket, name, b"", f"{home}/{name}")

    def talk(of: Of, moved: bool, bucket: str, name: str) -> Item:
        there = moved and name == "0f" and bucket != FOREIGN
        at = "agentConversations/astgp/77/0f.txt" if there else f"s3://{bucket}/astgp/77/{name}.txt"
        return {"conversationId": s(f"{name} in {bucket}"), "user": s(of(user)), "s3Location": s(at)}

    own = "amplify-v6-assistants-dev-group-conversations-content"
    for bucket, name in ((own, "0f"), (own, "gone"), (FOREIGN, "0f")):
        one.row(
            TALKS, lambda of, moved, bucket=bucket, name=name: talk(of, moved, bucket, name),  # type: ignore[misc]
            objects=[(GROUP_TALKS, f"astgp/77/{name}.txt")],
        )  # fmt: skip
    one.foreign += 1

    def version(of: Of, moved: bool) -> Item:
        home = "dataDisclosure/" if moved else ""
        bucket = "amplify-v6-lambda-dev-consolidation" if moved else "amplify-v6-data-disclosure-dev-storage"
        return {
            "key": s("latest"),
            "version": n(3),
            "pdf_id": s(f"{home}one.pdf"),
            "s3_reference": s(f"s3://{bucket}/{home}one.pdf"),
        }

    one.row(VERSIONS, version, objects=[(PDFS, "one.pdf")])
    one.blobs.append({"id": {"B": b"\x00\xff"}, "owner": s(user), "many": {"BS": [b"1", b"\x00"]}})


_FAMILIES = [
    _account, _access, _costs, _history, _tags, _identity, _alias, _rekeyed, _in_place, _large,
    content.conversation, content.outputs, content.session, content.artifact, content.workflow, content.task,
    content.shares, content.storage,
]  # fmt: skip
_CLASHING = [
    _account,
    _access,
    _costs,
    _history,
    _tags,
    _identity,
    _alias,
    _rekeyed,
    content.task,
    content.saved_settings,
]
_IN_TWO_PLACES = [content.shares, content.task]
_ONCE = [_admin, _whole_buckets]
