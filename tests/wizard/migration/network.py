"""Faults between the client and AWS, by botocore's `before-send` event: the retries and our own handling are real."""

from __future__ import annotations

import io
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from wizard.aws import Account

SERVICES = ("dynamodb", "s3")
Fault = Callable[[Any], AWSResponse]  # takes the request that does not get through


class _Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.read()


def reply(request: Any, status: int, code: str, message: str = "injected") -> AWSResponse:
    """An error as the service of the request would send it: to a HEAD without a body, and so without a code."""
    if request.method == "HEAD":
        body = b""
    elif "X-Amz-Target" in request.headers:
        body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}).encode()
    else:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        form = "urlencoded" in str(request.headers.get("Content-Type", ""))  # STS and CloudFormation
        body = (f"<ErrorResponse>{error}</ErrorResponse>" if form else error).encode()
    return AWSResponse(request.url, status, {"Content-Length": str(len(body))}, _Raw(body))


def answer(request: Any, document: Any) -> AWSResponse:
    """What DynamoDB would say in the place of the server."""
    body = json.dumps(document).encode()
    return AWSResponse(request.url, 200, {"Content-Length": str(len(body))}, _Raw(body))


def throttled(request: Any) -> AWSResponse:
    return (
        reply(request, 400, "ThrottlingException")
        if "X-Amz-Target" in request.headers
        else reply(request, 503, "SlowDown")
    )


def broken(request: Any) -> AWSResponse:
    return reply(request, 500, "InternalServerError")


def reset(request: Any) -> AWSResponse:
    """The connection dies before the request arrives."""
    raise ConnectionClosedError(endpoint_url=request.url)


def lost(request: Any) -> AWSResponse:
    """The request arrives and is carried out; the answer does not come back."""
    URLLib3Session(timeout=20).send(request)
    raise ConnectionClosedError(endpoint_url=request.url)


def truncated(request: Any) -> AWSResponse:
    """The request is carried out; half of the answer comes back."""
    answer = URLLib3Session(timeout=20).send(request)
    body = answer.content
    return AWSResponse(request.url, answer.status_code, dict(answer.headers), _Raw(body[: len(body) // 2]))


def skewed(request: Any) -> AWSResponse:
    """The clock of the client is not AWS's."""
    return reply(
        request,
        403,
        "InvalidSignatureException" if "X-Amz-Target" in request.headers else "RequestTimeTooSkewed",
        "Signature expired: 20260131T100000Z is now earlier than 20260131T103000Z (20260131T103500Z - 5 min.)",
    )


class Weather:
    """Lets `fault` happen to a share of requests, in an order that `seed` fixes; the same request fails twice at most."""

    def __init__(self, account: Account, fault: Fault, *, share: float, seed: int = 1):
        self.injected: Counter[str] = Counter()
        self._fault, self._share = fault, share
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._hit: Counter[bytes] = Counter()
        for service in SERVICES:
            account.client(service).meta.events.register_first(f"before-send.{service}", self._send)

    def _send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rsplit(".", 1)[-1]
        with self._lock:
            body = request.body if isinstance(request.body, bytes) else b""
            name = operation.encode() + request.url.encode() + body
            if self._random.random() >= self._share or self._hit[name] >= 2:
                return None
            self._hit[name] += 1
            self.injected[operation] += 1
        return self._fault(request)


def deny(account: Account, table: str, *operations: str) -> Callable[[], None]:
    """Refuse operations on one table; the function that is returned lifts it."""
    refused = set(operations)

    def refuse(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        denied = event_name.rsplit(".", 1)[-1] in refused and f'"{table}"'.encode() in request.body
        return reply(request, 400, "AccessDeniedException") if denied else None

    account.client("dynamodb").meta.events.register_first("before-send.dynamodb", refuse)
    return refused.clear
