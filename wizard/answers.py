"""Answers that did not arrive whole count as lost: botocore takes half a JSON document, or none, for an empty answer.

To it a cut-off GetItem is "no such item", and a cut-off Scan the end of the table; half an error has no code. Here such an
answer becomes an error that botocore repeats like any other lost one. Streamed bodies are checked as they are read.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient
from botocore.model import OperationModel

# A code that botocore repeats; with status 500 a write that ends so may have been made.
CODE, STATUS = "RequestTimeout", 500
_TEXT = "the answer did not arrive whole"
_ERRORS = {
    "json": f'{{"__type": "{CODE}", "message": "{_TEXT}"}}',
    "rest-json": f'{{"code": "{CODE}", "message": "{_TEXT}"}}',
    "query": f"<ErrorResponse><Error><Code>{CODE}</Code><Message>{_TEXT}</Message></Error></ErrorResponse>",
    "rest-xml": f"<Error><Code>{CODE}</Code><Message>{_TEXT}</Message></Error>",
}
_NEVER_EMPTY = ("dynamodb", "s3", "sts")
_ROOT = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?<([A-Za-z0-9:_.-]+)")


def refuse_broken_answers(client: BaseClient) -> None:
    """From now on an answer to this client that is cut short is asked for again, and is an error in the end."""
    client.meta.events.register_first("before-parse", _look)
    client.meta.events.register_first("after-call", _raise_in_the_end)


def _look(operation_model: OperationModel, response_dict: dict[str, Any], **_: Any) -> None:
    protocol = operation_model.service_model.resolved_protocol
    error = response_dict["status_code"] >= 300
    if protocol not in _ERRORS or (operation_model.has_streaming_output and not error):
        return
    if error and not response_dict["body"].lstrip().startswith((b"{", b"<?xml", b"<Error")):
        return  # without a body, or not of AWS: the status has to tell
    if not _is_whole(operation_model, protocol, response_dict["headers"], response_dict["body"]):
        response_dict.update(status_code=STATUS, body=_ERRORS[protocol].encode())


def _raise_in_the_end(http_response: Any, parsed: Mapping[str, Any], **_: Any) -> None:
    # botocore raises by the status that came, and gives up repeating after a while.
    if parsed.get("Error", {}).get("Message") == _TEXT:
        http_response.status_code = STATUS


def _is_whole(model: OperationModel, protocol: str, headers: Mapping[str, str], body: bytes) -> bool:
    if model.http.get("method") == "HEAD":
        return True
    encoded = "content-encoding" in headers
    if not encoded and int(headers.get("content-length") or len(body)) != len(body):
        return False
    if not body:
        return not (model.service_model.service_name in _NEVER_EMPTY and _has_a_body(model))
    if not protocol.endswith("json"):
        root = _ROOT.match(body)
        return root is not None and body.rstrip().endswith((b"</" + root[1] + b">", b"/>"))
    if not encoded and headers.get("x-amz-crc32", "").isdigit():
        return zlib.crc32(body) == int(headers["x-amz-crc32"])
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


def _has_a_body(model: OperationModel) -> bool:
    """Whether something of the answer stands in its body rather than in headers."""
    members = model.output_shape.members.values() if model.output_shape else ()
    return any("location" not in member.serialization for member in members)
