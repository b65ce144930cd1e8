"""How the services spell the keys of user storage: ids and apps become key parts by replacing what is not allowed.

`PK = {user}#{app}#{entity type}` and `appId = {user}#{app}`, both parts sanitised: the user keeps A-Z a-z 0-9 @ . _ -,
the app keeps A-Z a-z 0-9 -, and every other character becomes one -.
"""

from __future__ import annotations

import re

_NOT_USER = re.compile(r"[^A-Za-z0-9@._-]")
_NOT_APP = re.compile(r"[^A-Za-z0-9-]")


def sanitise_user(user: str) -> str:
    """An id as it stands first in a storage key: `o'neil@example.edu` -> `o-neil@example.edu`."""
    return _NOT_USER.sub("-", user)


def sanitise_app(app: str) -> str:
    """An app as it stands second in a storage key: `amplify_shares` -> `amplify-shares`."""
    return _NOT_APP.sub("-", app)


def dashed(user: str) -> str:
    """An id as older services repeat it inside the app: `jane.doe@example.edu` -> `jane-doe-example-edu`."""
    return sanitise_app(user)


def plain_key(user: str, app: str, entity: str = "") -> str:
    """The plain spelling of a partition key, or of an `appId` where `entity` is empty."""
    hash_part = f"{sanitise_user(user)}#{sanitise_app(app)}"
    return f"{hash_part}#{entity}" if entity else hash_part
