"""What an error of AWS means: gone, denied, throttled, expired, lost on the way, a clock that is off."""

from __future__ import annotations

import email.utils
import time

import botocore.exceptions

from wizard.text import plain

AWS_ERRORS = (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)  # all that a request can end with
THROTTLED = {
    "ProvisionedThroughputExceededException", "Throttling", "ThrottlingException", "ThrottledException",
    "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "TooManyRequestsException",
    "SlowDown", "BandwidthLimitExceeded", "LimitExceededException", "PriorRequestNotComplete",
    "TransactionInProgressException", "TransactionConflictException",  # another transaction has the item for a moment
    "503",  # the answer to a HEAD has no body, and so no code of its own
}  # fmt: skip
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
UNKNOWN_KEY = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
}  # expired only if known before
WITHOUT_CODE = {"400", "403"}  # a HEAD is refused without a body: for expired credentials, or because it is denied
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
SKEW_SECONDS = 300  # by how much AWS lets a clock be off


def code_of(error: BaseException) -> str:
    """The AWS error code of an exception, or the name of its class."""
    if isinstance(error, botocore.exceptions.ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__


def explain(error: BaseException) -> str:
    """One line for people: code and message of an AWS error, without a traceback."""
    if isinstance(error, botocore.exceptions.ClientError):
        detail = error.response.get("Error", {})
        return f"{detail.get('Code', 'Unknown')}: {_line(detail.get('Message', ''))} ({error.operation_name})"
    if isinstance(error, botocore.exceptions.ParamValidationError):  # its report quotes the values
        return f"{type(error).__name__}: the request was not sent, its parameters are not what AWS takes"
    return f"{type(error).__name__}: {_line(error)}"


def _line(message: object) -> str:
    """A message as one line; it may quote what others wrote."""
    return plain(" ".join(str(message).split()))


def throttled(error: botocore.exceptions.ClientError) -> bool:
    """Whether AWS asks for patience, as also by cancelling a transaction for lack of capacity or another one alone."""
    if code_of(error) in THROTTLED:
        return True
    reasons = {reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])} - {"None"}
    return bool(reasons) and reasons <= {"ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict"}


def in_transit(error: BaseException) -> bool:
    """Whether the way to AWS or AWS itself failed, rather than the request."""
    if isinstance(error, botocore.exceptions.ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500
    return isinstance(error, botocore.exceptions.ConnectionError | botocore.exceptions.HTTPClientError)


def clock_off(error: botocore.exceptions.ClientError) -> str | None:
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
