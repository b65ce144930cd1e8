"""The way to AWS: session, clients, identity, patience, budget, and the one place that lets a write through.

`Account.call` makes a request with patience; the few that must not wait (the lock's, a renewal's) go by a client of it.
A request that changes something passes the gate first: dry runs refuse it, a
pause holds it, the lock must still be ours, the write budget must allow it, and the audit log gets a line.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
import botocore.session
from botocore.client import BaseClient
from botocore.config import Config

from wizard.answers import refuse_broken_answers
from wizard.aws_errors import AWS_ERRORS, EXPIRED, UNKNOWN_KEY, WITHOUT_CODE, code_of
from wizard.errors import BadInput, Blocked, Failed, MigrateError, NoCredentials
from wizard.events import Control, Feed, Paused, Question, Resumed
from wizard.patience import Patience
from wizard.refusals import hide_what_was_written
from wizard.renewal import how_to_renew, why_expired
from wizard.spending import Budget, Costs
from wizard.text import plain

log = logging.getLogger(__name__)

# Operations that change nothing. What is not named here counts as a write: a new operation is refused by dry runs.
_READS = ("Get", "List", "Describe", "Head", "Scan", "Query", "BatchGet", "Lookup", "Filter", "Simulate", "TransactGet")
# What botocore raises where it can no longer get credentials from SSO, `aws login`, a process or a container.
_LAPSED = (
    botocore.exceptions.TokenRetrievalError,
    botocore.exceptions.SSOError,
    botocore.exceptions.LoginError,
    botocore.exceptions.CredentialRetrievalError,
)
_TAKEN_SECONDS = 5.0  # how long it is believed that a refusal without a code was not for expired credentials


class WriteRefused(Blocked):
    """A write was tried while only reading is allowed."""


def unending(what: str) -> botocore.exceptions.PaginationError:
    """The error of a list that would be read for ever, or taken for whole where it is not."""
    return botocore.exceptions.PaginationError(message=f"{what}; run it again, or ask who runs what answers here")


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
        self._taken: dict[str, float] = {}  # when STS was asked after a refusal with this status, and found nothing
        self._accepted = False  # whether AWS has taken these credentials once
        self._refused: MigrateError | None = None  # why no request may be made with the renewed ones
        self._naming = threading.Lock()
        self._key_names: dict[str, list[str]] = {}  # by table, for the audit log
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
        """The shared client of a service.

        Without gate for the lease, which a run that just looks must keep, and for what a deletion took and is put back.
        """
        name = service if gated else f"{service} without gate"
        with self._lock:
            if name not in self._clients:
                client = self._new_client(service)
                refuse_broken_answers(client)
                hide_what_was_written(client)
                if gated:
                    client.meta.events.register_first("before-call", self._gate)
                    client.meta.events.register_first("before-send", self._still_held)
                self._clients[name] = client
            return self._clients[name]

    def _new_client(self, service: str) -> Any:
        try:
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
            _ = urlsplit(client.meta.endpoint_url).port
        except botocore.exceptions.BotoCoreError:
            raise
        except ValueError:  # which quotes the address, and with it what may be half a password
            raise BadInput(
                f"The endpoint of {service} is no address: give AWS_ENDPOINT_URL, or endpoint_url of the profile, as"
                " https://host:port, without a password."
            ) from None
        return client

    def _gate(self, model: Any, **_: Any) -> None:
        # Below every client call, s3transfer's included: a dry run cannot write by any way.
        if self.read_only and not is_read(model.name):
            raise WriteRefused(f"{model.name} was refused: this run only looks.")

    def _still_held(self, event_name: str, **_: Any) -> None:
        # Each attempt: the SDK repeats a request of itself, and the machine may have slept since the one before.
        if not self.read_only and not is_read(event_name.rpartition(".")[2]):
            self.lock_held()

    @contextlib.contextmanager
    def only_looking(self) -> Iterator[None]:
        """Meanwhile every write is refused, by whatever way it is tried."""
        was, self.read_only = self.read_only, True
        try:
            yield
        finally:
            self.read_only = was

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

        Expired credentials pause the run and ask for renewal. Raises Blocked where there are none that AWS takes, or where
        it refuses the clock, and what botocore raises for everything else that `Patience` does not outlast.
        """
        name = "".join(part.title() for part in operation.split("_"))
        write = not is_read(name)
        patience = Patience(name, write=write)
        if service == "dynamodb" and operation in _REPORTS_CAPACITY:
            parameters.setdefault("ReturnConsumedCapacity", "TOTAL")
        while True:
            self._let_through(service, write)
            generation = self._generation
            try:
                response = cast(dict[str, Any], getattr(self.client(service), operation)(**parameters))
            except AWS_ERRORS as error:
                if self._expired(error, generation):
                    self.renew(generation, error)
                    continue
                if (delay := patience.delay(error)) is not None:
                    self.control.sleep(delay)
                    continue
                self._audit(write, service, name, parameters, code_of(error), getattr(error, "response", None))
                raise
            self._accepted = True
            self._account_for(service, operation, write, response)
            self._audit(write, service, name, parameters, "ok", response)
            return response

    def _let_through(self, service: str, write: bool) -> None:
        """Wait until the next request may go; raises Interrupted after a cancel, Blocked when the lock was lost."""
        self.control.check()
        budget = self.writes if write else self.reads
        while service == "dynamodb" and (pause := budget.wait_seconds()):
            self.control.sleep(pause)
        if write and not self.read_only:
            self.lock_held()

    def _expired(self, error: BaseException, generation: int) -> bool:
        """Whether renewing the credentials helps. Raises NoCredentials where there are none, or none that AWS knows."""
        if isinstance(error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError):
            raise NoCredentials(
                "No AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run"
                " `aws configure`, or `aws sso login` and give --profile."
            ) from error
        if isinstance(error, botocore.exceptions.MissingDependencyException):  # a profile of `aws login`
            raise Blocked(
                f"The credentials cannot be read: {plain(error)} Install it where amplify-migrate is installed, or give"
                " another --profile."
            ) from error
        if isinstance(error, _LAPSED):
            return True
        code = code_of(error)
        if self._credentials is None and code in WITHOUT_CODE and _is_head(error):
            return self._refused_by_sts(code, generation)
        if self._credentials is not None or code not in EXPIRED | UNKNOWN_KEY:
            return False
        if code in UNKNOWN_KEY and not self._accepted:
            raise NoCredentials(
                f"AWS does not know these credentials ({code}): check the access key, or the profile, and run again."
            ) from error
        return True

    def _refused_by_sts(self, status: str, generation: int) -> bool:
        """Whether a HEAD was refused for expired credentials: its answer has no code, that of STS has one.

        STS is asked again after a few seconds only: thousands of objects may be denied.
        """
        with self._renewing:
            if generation != self._generation:  # renewed meanwhile: worth another try
                return True
            if time.monotonic() < self._taken.get(status, -_TAKEN_SECONDS) + _TAKEN_SECONDS:
                return False
            try:
                self.client("sts").get_caller_identity()
            except _LAPSED:
                return True
            except AWS_ERRORS as error:
                if code_of(error) in EXPIRED | UNKNOWN_KEY:
                    return True  # else it could not tell
            self._taken[status] = time.monotonic()
            return False

    def pages(self, service: str, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The pages of a list operation, each through `call`; the tokens are those of botocore's paginator model.

        Raises PaginationError, as botocore's own paginator does, for a list that does not go on or is cut off.
        """
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
            if not tokens and more:
                raise unending(f"{operation} says that there is more, and not where")
            if not tokens:
                return
            if tokens.items() <= parameters.items():
                raise unending(f"{operation} leads to the same page again")
            parameters = {**parameters, **tokens}

    def _account_for(self, service: str, operation: str, write: bool, response: Mapping[str, Any]) -> None:
        consumed = response.get("ConsumedCapacity")
        entries = consumed if isinstance(consumed, list) else [consumed] if consumed else []
        units = sum(float(entry.get("CapacityUnits") or 0) for entry in entries)
        self.costs.add(f"{service}.{operation}", 0 if write else units, units if write else 0)
        if operation == "describe_table":
            self._remember_key(response)
        if units:
            (self.writes if write else self.reads).spend(units)

    def _remember_key(self, described: Mapping[str, Any]) -> None:
        table = described["Table"]
        self._key_names[table["TableName"]] = [part["AttributeName"] for part in table["KeySchema"]]

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
        """The key of an item that is put; {} where the table may not be described."""
        with self._naming:
            if put["TableName"] not in self._key_names:
                with contextlib.suppress(*AWS_ERRORS):
                    self._remember_key(self.client("dynamodb").describe_table(TableName=put["TableName"]))
                self._key_names.setdefault(put["TableName"], [])
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
            text = f"The AWS credentials have expired{why_expired(error)}. {how_to_renew(self._session, error)}"
            if not self.feed.answers:
                raise Blocked(text) from error
            self.feed.emit(Paused(text))
            while True:
                self.feed.ask(Question(text), self.control)
                session = self._new_session()
                try:
                    now = session.client("sts", endpoint_url=self.endpoint_url).get_caller_identity()["Account"]
                    break
                except AWS_ERRORS as still:
                    text = f"AWS does not take the credentials yet ({code_of(still)}). {how_to_renew(self._session, still)}"
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


def _is_head(error: BaseException) -> bool:
    return isinstance(error, botocore.exceptions.ClientError) and error.operation_name.startswith("Head")


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
