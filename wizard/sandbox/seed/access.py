"""Users, groups, permissions, keys and the administrators' settings (services object-access and admin)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wizard.sandbox.seed.model import STAMP, Person, Row, Seedling, World


def seedlings(world: World) -> Iterator[Seedling]:
    yield from _users(world)
    yield from _permissions(world)
    yield from _keys(world)
    yield from _groups(world)
    yield from _settings(world)
    yield from _logs(world)


def _users(world: World) -> Iterator[Row]:
    without_row = world.people[-1] if len(world.people) > 4 else None
    for number, person, _ in world.each():
        if person != without_row:
            yield Row("object-access/cognito-users", _user(number, person))
    if world.jane.changes:  # the first login under the new id left a richer row
        row = {"amplify_groups": ["Team A", "Team C"], "custom:vu_groups": '["A","B"]', "version": 7}
        yield Row("object-access/cognito-users", {**_names(world.jane), "user_id": world.jane.new, **row,
                                                  "email": world.jane.email, "updated_at": "2025-11-20T08:00:00"})  # fmt: skip


def _names(person: Person) -> dict[str, Any]:
    return {"user_id": person.old, "family_name": person.family, "given_name": person.given, "updated_at": STAMP}


def _user(number: int, person: Person) -> dict[str, Any]:
    if number % 3 == 0:  # as the sync job writes it: no e-mail attribute
        return {**_names(person), "custom:saml_groups": ["StaffGroup"]}
    if number % 3 == 1:
        rest = {"custom:saml_groups": '["StaffGroup","Faculty"]', "amplify_groups": ["Team A"], "version": 3}
        return {**_names(person), "email": person.email, **rest}
    return {**_names(person), "email": person.email, "custom:saml_groups": "[StaffGroup]", "custom:vu_groups": '["A"]'}


def _permissions(world: World) -> Iterator[Row]:
    for _, person, other in world.each():
        file, assistant = world.file_key(person), world.assistant(person)
        yield _permission(file, person.old, "datasource", "owner", policy="")
        yield _permission(file, other.old, "datasource", "read", policy="")
        yield _permission(assistant, person.old, "assistant", "owner")
        yield _permission(assistant, other.old, "assistant", "write" if other.mapped else "read")
        yield _permission(assistant, world.group, "assistant", "read", principal_type="group")
    jane, bob = world.jane, world.bob
    if jane.changes:  # a clash in each direction: the stronger permission must win
        yield _permission(world.file_key(jane), jane.new, "datasource", "read")
        yield _permission(world.assistant(jane), bob.new, "assistant", "owner")


def _permission(object_id: str, principal: str, kind: str, level: str, **more: str) -> Row:
    item = {"object_id": object_id, "principal_id": principal, "principal_type": "user", "object_type": kind}
    return Row("object-access/object-access", {**item, "permission_level": level, **more})


def _keys(world: World) -> Iterator[Row]:
    for number, person, other in world.each():
        yield _key(world, world.key_of(person), owner=person.old)
        if number % 3 == 0:  # one person acts for another
            id_ = f"{other.old}/delegateKey/{world.uid('delegate', person.old)}"
            yield _key(world, id_, owner=person.old, delegate=other.old, expirationDate="2026-09-01")
        if number % 4 == 0:
            yield _key(world, f"DailyDigest/ownerKey/{world.uid('agent key', person.old)}", owner=person.old,
                       purpose="scheduled_task")  # fmt: skip
    name, uid = world.group.split("_", 1)
    yield _key(world, f"{name}/systemKey/{uid}", owner=world.group, systemId=world.group, purpose="group")
    yield _key(world, f"{world.jane.old}/systemKey/{world.uid('system')}", owner=world.jane.old, systemId=world.system)


def _key(world: World, id_: str, *, owner: str, **more: Any) -> Row:
    item = {
        "api_owner_id": id_, "owner": owner, "delegate": None, "systemId": None, "apiKey": f"fake-{world.uid(id_)}",
        "active": True, "createdAt": STAMP, "expirationDate": None, "accessTypes": ["full_access", "chat"],
        "account": {"id": "12345.6789", "name": "Dept COA"}, "rateLimit": {"period": "Unlimited", "rate": None},
        "applicationName": "Notebook", "applicationDescription": "Sandbox key",
    }  # fmt: skip
    return Row("object-access/api-keys", {**item, **more})


def _groups(world: World) -> Iterator[Row]:
    jane, bob, visitor = world.jane, world.bob, world.visitor
    everyone = {person.old: ("read", "write", "admin")[number % 3] for number, person, _ in world.each()}
    yield _group(world, world.group, "Team A", jane, {**everyone, jane.old: "admin"})
    # Created by somebody who is not in the map, with members who are.
    yield _group(world, f"TeamB_{world.uid('group', 'b')}", "Team B", visitor, {visitor.old: "admin", bob.old: "write"})
    both = {jane.old: "read", jane.new: "admin", bob.old: "write"}
    yield _group(world, f"TeamC_{world.uid('group', 'c')}", "Team C", bob, both)


def _group(world: World, id_: str, name: str, creator: Person, members: dict[str, str]) -> Row:
    prefix = name.replace(" ", "")
    item = {
        "group_id": id_, "groupName": name, "members": members, "createdBy": creator.old, "createdAt": STAMP,
        "assistants": [{"id": world.group_assistant.replace("astgp", "astg"), "assistantId": world.group_assistant}],
        "groupTypes": ["Staff"], "amplifyGroups": [name], "systemUsers": [world.system], "isPublic": False,
        "supportConvAnalysis": True, "inactive_old_keys": [f"{prefix}/systemKey/{world.uid('retired', name)}"],
    }  # fmt: skip
    return Row("object-access/amplify-groups", item)


def _settings(world: World) -> Iterator[Row]:
    jane, bob, visitor = world.jane, world.bob, world.visitor
    last = world.people[-1]
    configs: dict[str, Any] = {
        "admins": [jane.old, visitor.old, bob.old],
        "amplifyGroups": {
            "Team A": {
                "groupName": "Team A", "members": [person.old for person in world.everyone],
                "createdBy": jane.old, "includeFromOtherGroups": ["Team B"],
            },
            "Team B": {"groupName": "Team B", "members": [bob.old, last.old], "createdBy": "JIT_PROVISIONER"},
            "Team C": {"groupName": "Team C", "members": [jane.old, jane.new], "createdBy": "Cognito_Sync"},
        },
        "featureFlags": {
            "pptx": {"enabled": False, "userExceptions": [bob.old, last.old], "amplifyGroupExceptions": ["Team A"]},
            "assistantAdminInterface": {"enabled": False, "userExceptions": [jane.old], "amplifyGroupExceptions": []},
            "legacyFlag": True,  # not the shape of the others
        },
        "emailSupport": {"isActive": True, "email": jane.email},
        "powerPointTemplates": [{"name": "Example Deck.pptx", "isAvailable": True, "amplifyGroups": ["Team A"]}],
        "rateLimit": {"period": "Daily", "rate": 5},
    }  # fmt: skip
    for name, data in configs.items():
        yield Row("admin/admin-configs", {"config_id": name, "data": data, "last_updated": STAMP})


def _logs(world: World) -> Iterator[Row]:
    for person in (world.jane, world.bob, world.visitor):
        id_ = f"{person.old}/{world.uid('log', person.old)}"
        details = f"{person.old} added {world.bob.old} to Team A"
        yield Row("admin/admin-logs", {"log_id": id_, "timestamp": STAMP, "configuration": "amplifyGroups",
                                       "user": person.old, "details": details})  # fmt: skip
        yield Row("object-access/amplify-group-logs", {"log_id": id_, "group_id": world.group, "timestamp": STAMP,
                                                       "action": "ADD_MEMBER", "user": person.old,
                                                       "details": f"{{'{person.old}': 'admin'}}"})  # fmt: skip
    yield Row("admin/critical-errors", {
        "error_id": world.uid("error"), "status": "ACTIVE", "timestamp": STAMP, "error_fingerprint": "f0",
        "current_user": world.jane.old, "affected_users": {world.jane.old: 2, "__MANY_USERS__": 1}, "ttl": 1_900_000_000,
    })  # fmt: skip
