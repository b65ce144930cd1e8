"""The Cognito user pool: who is in it, which id the services will compute for them, and the map to their subs."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import botocore.exceptions

from wizard.aws import Account
from wizard.aws_errors import DENIED, code_of, explain
from wizard.context import Context
from wizard.errors import BadInput, Blocked
from wizard.events import Progress
from wizard.text import plural
from wizard.usermap import Complaint, MapRow, UserMap, listed, shown

log = logging.getLogger(__name__)

PAGE = 60  # the most that ListUsers gives at once
_NO_POOL = {"ResourceNotFoundException", "InvalidParameterException", "ParamValidationError"}


@dataclass(frozen=True)
class PoolUser:
    """One user of the pool; attributes that the user does not have are ""."""

    username: str
    sub: str = ""
    email: str = ""
    immutable_id: str = ""


def read_pool(account: Account, pool_id: str) -> Iterator[PoolUser]:
    """Every user of a pool, page by page.

    Raises BadInput when there is no such pool, Blocked when the credentials may not read it.
    """
    count = 0
    try:
        for page in account.pages("cognito-idp", "list_users", UserPoolId=pool_id, Limit=PAGE):
            for user in page["Users"]:
                values = {each["Name"]: each.get("Value", "").strip() for each in user.get("Attributes", ())}
                yield PoolUser(
                    user["Username"],
                    values.get("sub", ""),
                    values.get("email", ""),
                    values.get("custom:immutable_id") or values.get("immutable_id", ""),
                )
            count += len(page["Users"])
            account.feed.emit(Progress(f"user pool {pool_id}", count, unit="users"))
    except (botocore.exceptions.ClientError, botocore.exceptions.ParamValidationError) as error:
        code = code_of(error)
        if code in _NO_POOL:
            raise BadInput(
                f"There is no user pool {shown(pool_id)} in {account.region}; give --user-pool-id as the Cognito"
                " console shows it, like us-east-1_AbCdEfGhI."
            ) from error
        if code in DENIED:
            raise Blocked(f"The user pool cannot be read without cognito-idp:ListUsers: {explain(error)}.") from error
        raise


def idp_prefix(context: Context) -> str:
    """IDP_PREFIX of the deployment, from the environment or Parameter Store (either layout of it); or ""."""
    if given := os.environ.get("IDP_PREFIX", "").strip():
        return given
    stage = context.deployment.stage
    names = [f"/amplify/{stage}/IDP_PREFIX", f"/amplify/{stage}/shared/IDP_PREFIX"]
    try:
        found = context.account.call("ssm", "get_parameters", Names=names)["Parameters"]
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in DENIED:
            raise
        log.warning("IDP_PREFIX could not be read from Parameter Store: %s", explain(error))
        return ""
    values = {parameter["Name"]: str(parameter["Value"]).strip() for parameter in found}
    return next((values[name] for name in names if values.get(name)), "")


def without_prefix(username: str, prefix: str) -> str:
    """A federated username as an id: `{IDP_PREFIX}_jane@example.edu` -> `jane@example.edu`; case does not count."""
    start = f"{prefix}_"
    return username[len(start) :] if prefix and username.lower().startswith(start.lower()) else username


def computed_ids(user: PoolUser, new_id: str, prefix: str) -> set[str]:
    """What the services will take for this person's id once the map is applied.

    `immutable_id` where the person has one. Otherwise Node services take the username without the prefix, and Python
    services the `sub` if cognito-users has a row of it, as it will when the map says so, else the username too.
    """
    if user.immutable_id:
        return {user.immutable_id}
    bare = without_prefix(user.username, prefix)
    return {bare, user.sub} if new_id == user.sub else {bare}


def compare_with_pool(
    user_map: UserMap, users: Iterable[PoolUser], prefix: str, emails: Mapping[str, str]
) -> list[Complaint]:
    """How many rows name another id than the services will compute, and which. `emails` is old id -> known address."""
    by_name: dict[str, list[PoolUser]] = defaultdict(list)
    for user in users:
        for name in {user.email.lower(), without_prefix(user.username, prefix).lower(), user.sub.lower()} - {""}:
            by_name[name].append(user)

    def people(row: MapRow) -> list[PoolUser]:
        names = (row.old, emails.get(row.old, ""), row.new)
        return next((by_name[name.lower()] for name in names if name and name.lower() in by_name), [])

    differing: list[Complaint] = []
    absent: list[Complaint] = []
    for row in user_map.rows:
        found = people(row)
        others = sorted({name for user in found for name in computed_ids(user, row.new, prefix)} - {row.new})
        if not found:
            absent.append(Complaint("attention", row.line, f"Nobody in the user pool is {shown(row.old)}."))
        elif others:
            computed = " or ".join(shown(name) for name in others)
            differing.append(
                Complaint(
                    "attention",
                    row.line,
                    f"new_id is {shown(row.new)}, but the services will compute {computed} for {shown(row.old)}.",
                )
            )
    rows = plural(len(user_map.rows), "row")
    if not differing and not absent:
        return [Complaint("note", 0, f"Of {rows}, all name the id that the services will compute.")]
    summary = []
    if differing:
        summary.append(
            f"{len(differing):,} of {rows} name another id than the services will compute: these people would log in to"
            " an empty account. Correct the map or the claims of the user pool."
        )
    if absent:
        summary.append(f"{len(absent):,} of {rows} name nobody in the user pool.")
    return [
        *(Complaint("attention", 0, text) for text in summary),
        *listed(differing),
        *listed(absent),
    ]


def sub_pairs(users: Iterable[PoolUser], known: Iterable[str]) -> tuple[list[tuple[str, str]], list[Complaint]]:
    """(e-mail, sub) pairs, sorted, and who had to be left out.

    `known` has the ids of cognito-users: an e-mail is written as the data spells it, in whatever case, else in lower.
    """
    spelled: dict[str, set[str]] = defaultdict(set)
    for identity in known:
        spelled[identity.lower()].add(identity)
    by_email: dict[str, list[PoolUser]] = defaultdict(list)
    complaints: list[Complaint] = []
    for user in users:
        lacking = [name for name, value in (("e-mail address", user.email), ("sub", user.sub)) if not value]
        if lacking:
            text = f"User {shown(user.username)} has no {' and no '.join(lacking)} and is left out."
            complaints.append(Complaint("attention", 0, text))
        else:
            by_email[user.email.lower()].append(user)
    pairs: list[tuple[str, str]] = []
    for lower, same in sorted(by_email.items()):
        if len(same) > 1:
            names = ", ".join(shown(user.username) for user in same[:5])
            text = f"{plural(len(same), 'user')} of the pool have the e-mail address {shown(lower)}: {names}."
            complaints.append(Complaint("attention", 0, f"{text} None is written; add a row with the right sub."))
            continue
        in_data = sorted(spelled.get(lower, ()), key=lambda spelling: (spelling != same[0].email, spelling))
        if len(in_data) > 1:
            text = f"The data has both {' and '.join(shown(spelling) for spelling in in_data)}; only one can become"
            complaints.append(Complaint("attention", 0, f"{text} {shown(same[0].sub)}. Check the row."))
        pairs.append((in_data[0] if in_data else lower, same[0].sub))
    return sorted(pairs), complaints
