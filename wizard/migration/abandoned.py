"""Uploads in parts that runs of ours left open in the consolidation bucket: nobody sees their parts, which cost money."""

from __future__ import annotations

import logging

from wizard.aws_errors import AWS_ERRORS, explain
from wizard.context import Context
from wizard.migration.ledger import Ledger
from wizard.migration.targets import CONSOLIDATION, bucket_name
from wizard.text import plain

log = logging.getLogger(__name__)


def abandoned(context: Context, ledger: Ledger) -> list[dict[str, str]]:
    """Key and UploadId of each that this identity began for a target of the ledger. Only looks.

    S3 names who began an upload by the ARN that STS tells; one of a service may just be under way.
    """
    if not ledger.counts(where="kind = 'object'"):
        return []
    account, bucket = context.account, bucket_name(context.deployment, CONSOLIDATION)
    us, found = _without_session(account.identity["arn"]), list[dict[str, str]]()
    try:
        for page in account.pages("s3", "list_multipart_uploads", Bucket=bucket, ExpectedBucketOwner=account.id):
            for upload in page.get("Uploads", ()):
                begun_by = _without_session(upload.get("Initiator", {}).get("ID", ""))
                if begun_by == us and ledger.at_target(bucket, upload["Key"], "object"):
                    found.append({"Key": upload["Key"], "UploadId": upload["UploadId"]})
    except AWS_ERRORS as error:
        log.warning("%s: whether parts of a copy were left there could not be seen: %s", bucket, explain(error))
    return found


def abort_abandoned(context: Context, ledger: Ledger) -> None:
    """Abort them, once nothing of ours is under way. What cannot be aborted is told, and tried again by the next run."""
    account, bucket = context.account, bucket_name(context.deployment, CONSOLIDATION)
    for upload in abandoned(context, ledger):
        try:
            account.call("s3", "abort_multipart_upload", Bucket=bucket, ExpectedBucketOwner=account.id, **upload)
        except AWS_ERRORS as error:
            log.warning("%s: parts of a copy stay behind: %s: %s", bucket, plain(upload["Key"], 200), explain(error))


def _without_session(arn: str) -> str:
    """The role of an assumed role, whose sessions boto3 names anew for each process."""
    return arn.rsplit("/", 1)[0] if ":assumed-role/" in arn else arn
