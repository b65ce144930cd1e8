"""Faults below the client: AWS's answers replaced by botocore events, so that the real error handling runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from wizard.aws import Account


def answer(account: Account, service: str, operation: str, code: str, message: str, status: int = 400) -> None:
    """Every call of an operation (`ListTables`; `*`: any) of a service is answered with this error."""
    client = account.client(service)
    name = client.meta.service_model.service_id.hyphenize()

    def refuse(**_: Any) -> Any:
        error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return SimpleNamespace(status_code=status, headers={}), error

    client.meta.events.register_last(f"before-call.{name}" + ("" if operation == "*" else f".{operation}"), refuse)


def deny(account: Account, service: str, operation: str = "*", message: str = "no") -> None:
    """The operation is not permitted."""
    answer(account, service, operation, "AccessDeniedException", message, 403)
