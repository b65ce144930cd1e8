"""The way to AWS: session, clients, identity, patience, budget, and the one place that lets a write through.

`Account.call` makes every request. A request that changes something passes the gate first: dry runs refuse it, a
pause holds it, the lock must still be ours, the write budget must allow it, and the audit log gets a line.
"""

from __future__ import annotations

import email.utils
import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import boto3
import botocore.exceptions
import botocore.session
from botocore.client import BaseClient
from botocore.config import Config

from wizard.answers import refuse_broken_answers
from wizard.errors import BadInput, Blocked, Failed, MigrateError
from wizard.events import Control, Feed, Paused, Question, Resumed
from wizard.spending import Budget, Costs

log = logging.getLogger(__name__)

THROTTLED = {
    "ProvisionedThroughputExceededException", "Throttling", "ThrottlingException", "ThrottledException",
    "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "TooManyRequestsException",
    "SlowDown", "BandwidthLimitExceeded", "LimitExceededException", "PriorRequestNotComplete",
    "TransactionInProgressException", "503",  # the answer to a HEAD has no body, and so no code of its own
}  # fmt: skip
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
UNKNOWN_KEY = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
}  # expired only if known before
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"}
SKEWED = {"RequestTimeTooSkewed", "RequestInTheFuture"}
ABSENT = {
    "ResourceNotFoundException",
    "NoSuchBucket",
    "NoSuchKey",
    "404",
    "NotFound",
    "NotFoundException",
    "ParameterNotFound",
}

# Operations that change nothing. What is not named here counts as a write: a new operation is refused by dry runs.
_READS = ("Get", "List", "Describe", "Head", "Scan", "Query", "BatchGet", "Lookup", "Filter", "Simulate", "TransactGet")
SKEW_SECONDS = 300  # by how much AWS lets a clock be off
SKEW_TRIES = 3  # a process that was asleep between signing and sending is taken the next time
READ_AGAIN = (0.5, 1.0, 2.0)  # seconds before a read that botocore gave up is tried once more
PATIENCE_SECONDS = 1_800.0  # how long one request may be throttled before it counts as failed


class WriteRefused(Blocked):
    """A write was tried while only reading is allowed."""


def code_of(error: BaseException) -> str:
    """The AWS error code of an exception, or the name of its class."""
    if isinstance(error, botocore.exceptions.ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__


def explain(error: BaseException) -> str:
    """One line for people: code and message of an AWS error, without a traceback."""
    if isinstance(error, botocore.exceptions.ClientError):
        detail = error.response.get("Error", {})
        return f"{detail.get('Code', 'Unknown')}: {detail.get('Message', '')} ({error.operation_name})"
    return f"{type(error).__name__}: {error}"


def is_read(operation: str) -> bool:
    """Whether an API operation (`PutItem`) only reads."""
    return operation.startswith(_READS)


class Account:
    """An AWS account as one run sees it. Clients are made once per service and shared by all threads.

    Args:
        profile, region: as boto3 takes them; None leaves the choice to boto3.
        endpoint_url, credentials: for the sandbox only, whatever the environment says (key id, secret).
        workers: size of the connection pools.
        max_read_units, max_write_units: DynamoDB capacity units per second; 0 is unlimited.
    """

    def __init__(
        self,
        profile: str | None = None,
        region: str | None = None,
        *,
        endpoint_url: str | None = None,
        credentials: tuple[str, str] | None = None,
        workers: int = 16,
        max_read_units: float = 0,
        max_write_units: float = 0,
        feed: Feed | None = None,
        control: Control | None = None,
    ):
        self.profile = profile
        self.endpoint_url = endpoint_url
        self._credentials = credentials
        self._wanted_region = region
        self._workers = workers
        self.feed = feed or Feed(lambda event: None)
        self.control = control or Control()
        self.reads = Budget(max_read_units)
        self.writes = Budget(max_write_units)
        self.costs = Costs()
        self.read_only = False
        self.audit: Callable[[dict[str, Any]], None] = lambda entry: None
        self.lock_held: Callable[[], None] = lambda: None  # raises Blocked when the lock was lost
        self._lock = threading.Lock()
        self._clients: dict[str, BaseClient] = {}
        self._identity: dict[str, str] | None = None
        self._renewing = threading.Lock()
        self._generation = 0
        self._accepted = False  # whether AWS has taken these credentials once
        self._refused: MigrateError | None = None  # why no request may be made with the renewed ones
        self._key_names: dict[str, list[str]] = {}  # of the tables that were described, for the audit log
        self._session = self._new_session()
        self.region = self._session.region_name or ""
        if not self.region:
            raise BadInput("No region: give --region, or set AWS_DEFAULT_REGION or a region in the profile.")

    def _new_session(self) -> boto3.Session:
        key, secret = self._credentials or (None, None)
        try:
            return boto3.Session(
                profile_name=None if self._credentials else self.profile,
                region_name=self._wanted_region,
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                botocore_session=_apart() if self._credentials else None,
            )
        except botocore.exceptions.ProfileNotFound as error:
            raise BadInput(f"{error}; give --profile one of those in ~/.aws/config.") from error

    def environment(self) -> dict[str, str]:
        """The environment for a command that shall work on the same account and region as this run."""
        chosen = {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        if self.profile and not self._credentials:
            chosen["AWS_PROFILE"] = self.profile
        if self.endpoint_url:
            chosen["AWS_ENDPOINT_URL"] = self.endpoint_url
        if self._credentials:
            chosen["AWS_ACCESS_KEY_ID"], chosen["AWS_SECRET_ACCESS_KEY"] = self._credentials
        dropped = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN") if self._credentials else ()
        return {name: value for name, value in os.environ.items() if name not in dropped} | chosen

    def client(self, service: str, *, gated: bool = True) -> Any:
        """The shared client of a service. Only the lease, which a run that just looks must keep, takes one without gate."""
        name = service if gated else f"{service} without gate"
        with self._lock:
            if name not in self._clients:
                client = self._session.client(
                    cast(Any, service),
                    endpoint_url=self.endpoint_url,
                    config=Config(
                        retries={"mode": "standard", "max_attempts": 6},
                        max_pool_connections=max(10, 2 * self._workers),
                        connect_timeout=10,
                        read_timeout=60,
                        user_agent_extra="amplify-migrate",
                    ),
                )
                refuse_broken_answers(client)
                if gated:
                    client.meta.events.register_first("before-call", self._gate)
                self._clients[name] = client
            return self._clients[name]

    def _gate(self, model: Any, **_: Any) -> None:
        # Below every client call, s3transfer's included: a dry run cannot write by any way.
        if self.read_only and not is_read(model.name):
            raise WriteRefused(f"{model.name} was refused: this run only looks.")

    @property
    def identity(self) -> dict[str, str]:
        """`{"account": …, "arn": …}` from STS; asked once."""
        if self._identity is None:
            answer = self.call("sts", "get_caller_identity")
            self._identity = {"account": answer["Account"], "arn": answer["Arn"]}
        return self._identity

    @property
    def access_key(self) -> str:
        """The id of the access key in use, "" without credentials."""
        credentials = self._session.get_credentials()
        return credentials.access_key if credentials is not None else ""

    @property
    def id(self) -> str:
        """The 12-digit account id."""
        return self.identity["account"]

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """One request (`operation` in snake case), with patience and, for writes, through the gate.

        Throttling waits and goes on for up to half an hour; a read that got no answer is tried a few times more, a write
        is left to the caller, who knows what it was made on condition of. Expired credentials pause the run and ask for
        renewal; a clock that AWS refuses raises Blocked. Raises what botocore raises for everything else.
        """
        name = "".join(part.title() for part in operation.split("_"))
        write = not is_read(name)
        started, attempt, skewed = time.monotonic(), 0, 0
        again = iter(() if write else READ_AGAIN)
        if service == "dynamodb" and operation in _REPORTS_CAPACITY:
            parameters.setdefault("ReturnConsumedCapacity", "TOTAL")
        while True:
            self.control.check()
            budget = self.writes if write else self.reads
            while service == "dynamodb" and (pause := budget.wait_seconds()):
                self.control.sleep(pause)
            if write and not self.read_only:
                self.lock_held()
            generation = self._generation
            try:
                response = cast(dict[str, Any], getattr(self.client(service), operation)(**parameters))
            except botocore.exceptions.BotoCoreError as error:
                if isinstance(error, botocore.exceptions.TokenRetrievalError | botocore.exceptions.SSOError):
                    self.renew(generation, error)
                    continue
                if isinstance(
                    error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError
                ):
                    raise Blocked(
                        "No AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run"
                        " `aws configure`, or `aws sso login` and give --profile."
                    ) from error
                if _in_transit(error) and (delay := next(again, None)):
                    log.warning("%s got no answer (%s); trying again", name, code_of(error))
                    self.control.sleep(delay)
                    continue
                self._audit(write, service, name, parameters, code_of(error), None)
                raise
            except botocore.exceptions.ClientError as error:
                code = code_of(error)
                if self._credentials is None and (code in EXPIRED or (code in UNKNOWN_KEY and self._accepted)):
                    self.renew(generation, error)
                    continue
                if self._credentials is None and code in UNKNOWN_KEY:
                    raise Blocked(
                        f"AWS does not know these credentials ({code}): check the access key, or the profile, and run again."
                    ) from error
                if (off := _clock_off(error)) is not None:
                    skewed += 1
                    if skewed < SKEW_TRIES:
                        self.control.sleep(1.0)
                        continue
                    raise Blocked(
                        f"AWS refuses the clock of this machine ({code}){off}: set it, then run the same command again;"
                        " it goes on from here."
                    ) from error
                if (
                    code in THROTTLED or _throttled_transaction(error)
                ) and time.monotonic() - started < PATIENCE_SECONDS:
                    attempt += 1
                    delay = min(20.0, 0.2 * 2 ** min(attempt, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
                    log.warning("%s is throttled (%s); waiting %.1f s", name, code, delay)
                    self.control.sleep(delay)
                    continue
                if _in_transit(error) and (delay := next(again, None)):
                    log.warning("%s failed (%s); trying again", name, code)
                    self.control.sleep(delay)
                    continue
                self._audit(write, service, name, parameters, code, error.response)
                raise
            self._accepted = True
            self._account_for(service, operation, write, response)
            self._audit(write, service, name, parameters, "ok", response)
            return response

    def pages(self, service: str, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The pages of a list operation, each through `call`; the tokens are those of botocore's paginator model."""
        paginator = self.client(service).get_paginator(operation)
        config = paginator._pagination_cfg  # the published model; botocore has no public accessor
        given, wanted = _as_list(config["input_token"]), _as_list(config["output_token"])
        while True:
            page = self.call(service, operation, **parameters)
            yield page
            more = config.get("more_results")
            if more and not page.get(more):
                return
            tokens = {key: page.get(source.split(" || ")[0]) for key, source in zip(given, wanted, strict=True)}
            tokens = {key: value for key, value in tokens.items() if value}
            if not tokens:
                return
            parameters = {**parameters, **tokens}

    def _account_for(self, service: str, operation: str, write: bool, response: Mapping[str, Any]) -> None:
        consumed = response.get("ConsumedCapacity")
        entries = consumed if isinstance(consumed, list) else [consumed] if consumed else []
        units = sum(float(entry.get("CapacityUnits") or 0) for entry in entries)
        self.costs.add(f"{service}.{operation}", 0 if write else units, units if write else 0)
        if operation == "describe_table":
            table = response["Table"]
            self._key_names[table["TableName"]] = [part["AttributeName"] for part in table["KeySchema"]]
        if units:
            (self.writes if write else self.reads).spend(units)

    def _audit(
        self, write: bool, service: str, name: str, parameters: Mapping[str, Any], result: str, response: Any
    ) -> None:
        if write and not self.read_only:
            self.record(service, name, parameters, result, response)

    def record(
        self, service: str, name: str, parameters: Mapping[str, Any], result: str, response: Mapping[str, Any] | None
    ) -> None:
        """One line of the audit log: where a write went and how it ended (an error code or "ok")."""
        entry: dict[str, Any] = {"time": time.time(), "service": service, "operation": name, "result": result}
        # Only where a write went, never what was written: items and parameters may hold secrets.
        for key in ("TableName", "Key", "Bucket", "Name", "StackName", "restApiId", "resourceId", "PartNumber"):
            if key in parameters:
                entry[key] = parameters[key]
        if "Item" in parameters:
            entry["Key"] = self._key_of(parameters)
        if "TransactItems" in parameters:
            entry["items"] = [
                {"kind": kind, "TableName": body["TableName"], "Key": body.get("Key") or self._key_of(body)}
                for write in parameters["TransactItems"]
                for kind, body in write.items()
            ]
        entry["request_id"] = ((response or {}).get("ResponseMetadata") or {}).get("RequestId", "")
        self.audit(entry)

    def _key_of(self, put: Mapping[str, Any]) -> dict[str, Any]:
        """The key of an item that is put; {} for a table that this run has not described."""
        return {name: put["Item"][name] for name in self._key_names.get(put["TableName"], ()) if name in put["Item"]}

    def renew(self, generation: int, error: BaseException) -> None:
        """Pause until the operator has renewed the credentials, then open a new session; once for all threads.

        Raises Blocked where nobody can be asked, Failed for credentials of another account: no thread goes on with those.
        """
        with self._renewing:
            if self._refused is not None:
                raise self._refused
            if generation != self._generation:
                return
            text = f"The AWS credentials have expired ({code_of(error)}). {self._how_to_renew()}"
            if not self.feed.answers:
                raise Blocked(text) from error
            self.feed.emit(Paused(text))
            while True:
                self.feed.ask(Question(text, "renew"), self.control)
                session = self._new_session()
                try:
                    now = session.client("sts", endpoint_url=self.endpoint_url).get_caller_identity()["Account"]
                    break
                except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as still:
                    text = f"AWS does not take the credentials yet ({code_of(still)}). {self._how_to_renew()}"
            if self._identity is not None and now != self._identity["account"]:
                self._refused = Failed(
                    f"The renewed credentials are of account {now}, not {self._identity['account']}; nothing more was done."
                    " Renew those of the right account and run the same command again."
                )
                raise self._refused from error
            with self._lock:
                self._session = session
                self._clients.clear()
                self._generation += 1
            self.feed.emit(Resumed())

    def _how_to_renew(self) -> str:
        name = self._session.profile_name
        option = f" --profile {name}" if name and name != "default" else ""
        try:
            credentials = self._session.get_credentials()
        except botocore.exceptions.BotoCoreError:  # a token that was never there
            credentials = None
        method = credentials.method if credentials is not None else "sso"
        command = f"aws sso login{option}"
        if method in ("shared-credentials-file", "config-file"):
            command = f"put the new ones in with `aws configure{option}`, or in ~/.aws/credentials"
        text = f"Renew them ({command}), then continue."
        if method == "env":
            text += (
                " They come from environment variables, which do not change under a running program: if they cannot be"
                " made valid again, stop, set new ones and run the same command; it goes on from here."
            )
        return text


def _throttled_transaction(error: botocore.exceptions.ClientError) -> bool:
    """Whether a transaction was cancelled for lack of capacity alone."""
    reasons = {reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])} - {"None"}
    return bool(reasons) and reasons <= {"ThrottlingError", "ProvisionedThroughputExceeded"}


def _in_transit(error: BaseException) -> bool:
    """Whether the way to AWS or AWS itself failed, rather than the request."""
    if isinstance(error, botocore.exceptions.ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500
    return isinstance(error, botocore.exceptions.ConnectionError | botocore.exceptions.HTTPClientError)


def _clock_off(error: botocore.exceptions.ClientError) -> str | None:
    """By how much this machine's clock is off, for people, when that is why AWS refused; else None."""
    detail, answer = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, message = str(detail.get("Code")), str(detail.get("Message"))
    try:
        theirs = email.utils.parsedate_to_datetime(answer.get("HTTPHeaders", {})["date"]).timestamp()
        off = time.time() - theirs
    except (KeyError, ValueError):
        off = 0.0
    expired = "Signature" in code and ("Signature expired" in message or "not yet current" in message)
    # A HEAD is answered without a code: there the time of the answer tells.
    if code not in SKEWED and not expired and not (code == "403" and abs(off) > SKEW_SECONDS):
        return None
    return f", which is {abs(off) / 60:.0f} minutes {'fast' if off > 0 else 'slow'}" if abs(off) > 60 else ""


def _apart() -> botocore.session.Session:
    """A session that knows no profile and no configuration file, whatever the environment names."""
    nowhere = (None, None, os.devnull, None)
    return botocore.session.Session(
        {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    )


_REPORTS_CAPACITY = {
    "get_item", "put_item", "update_item", "delete_item", "query", "scan", "batch_get_item", "batch_write_item",
    "transact_write_items",
}  # fmt: skip


def _as_list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def json_line(entry: Mapping[str, Any]) -> str:
    """An audit entry as one line of JSON; binary keys in base64."""
    import base64

    return json.dumps(entry, default=lambda value: base64.b64encode(bytes(value)).decode("ascii"), ensure_ascii=True)
