"""What to say of credentials that have expired: why they count as that, and how they are renewed."""

from __future__ import annotations

import boto3
import botocore.exceptions

from wizard.aws_errors import WITHOUT_CODE, code_of, explain
from wizard.text import plain


def why_expired(error: BaseException) -> str:
    """Why the credentials count as expired: the code of AWS, or what botocore says that could not get any."""
    if isinstance(error, botocore.exceptions.BotoCoreError):
        return f", or could not be had: {plain(explain(error), 300).rstrip('.')}"
    return "" if code_of(error) in WITHOUT_CODE else f" ({code_of(error)})"


def how_to_renew(session: boto3.Session, error: BaseException) -> str:
    """What the operator does about credentials that have expired, by where the session has them from."""
    name = session.profile_name
    option = f" --profile {name}" if name and name != "default" else ""
    try:
        credentials = session.get_credentials()
    except botocore.exceptions.BotoCoreError as missing:  # a token that was never there
        error, credentials = missing, None
    method = credentials.method if credentials is not None else "sso"
    if isinstance(error, botocore.exceptions.LoginError):
        method = "login"
    elif isinstance(error, botocore.exceptions.CredentialRetrievalError):
        method = error.kwargs.get("provider", method)
    command = f"aws sso login{option}"
    if method == "login":
        command = f"aws login{option}"
    elif method == "custom-process":
        command = "whatever the credential_process of the profile needs, a login for instance"
    elif method in ("shared-credentials-file", "config-file"):
        command = f"put the new ones in with `aws configure{option}`, or in ~/.aws/credentials"
    text = f"Renew them ({command}), then continue."
    if method == "env":
        text += (
            " They come from environment variables, which do not change under a running program: if they cannot be"
            " made valid again, stop, set new ones and run the same command; it goes on from here."
        )
    return text
