"""What AWS says when it refuses may quote the request: what was to be written, and secrets, are taken out of it.

Below every client, so that it holds for logs, the ledger, reports and tracebacks alike.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.client import BaseClient

from wizard.text import without, without_secrets

_CONTENT = ("Item", "ExpressionAttributeValues", "TransactItems", "Value", "Body", "Metadata")  # of requests that write


def hide_what_was_written(client: BaseClient) -> None:
    """From now on no error of this client repeats a value of the request that led to it."""
    client.meta.events.register("before-parameter-build", _remember)
    client.meta.events.register_first("after-call", _hide)


def _remember(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["amplify_migrate_content"] = [params[name] for name in _CONTENT if name in params]


def _hide(parsed: dict[str, Any], context: Mapping[str, Any], **_: Any) -> None:
    error = parsed.get("Error") or {}
    if not (message := error.get("Message")):
        return
    error["Message"] = without_secrets(without(_values(context.get("amplify_migrate_content")), message))


def _values(content: Any) -> Iterator[str]:
    match content:
        case str():
            yield content
        case bytes() | bytearray():
            yield base64.b64encode(content).decode("ascii")
            yield content.decode("utf-8", "replace")
        case Mapping():
            for part in content.values():
                yield from _values(part)
        case list() | tuple() | set():
            for part in content:
                yield from _values(part)
