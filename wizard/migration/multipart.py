"""The copy of an object above 5 GB: in parts, within S3, with everything that a plain copy would have carried over."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from wizard.aws import Account
from wizard.aws_errors import AWS_ERRORS
from wizard.parallel import each

GIB = 1024**3


@dataclass(frozen=True)
class Limits:
    """In bytes: the largest object of one CopyObject (S3: 5 GB) and the usual part (S3: 5 MB to 5 GB, 10,000 parts)."""

    single: int = 5 * GIB
    part: int = GIB // 2
    parts_at_once: int = 8


LIMITS = Limits()

_PARTS = 10_000
_CARRIED = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Expires", "Metadata",
    "StorageClass", "WebsiteRedirectLocation",
)  # fmt: skip
_ENCRYPTION = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")


def under_kms(head: Mapping[str, Any]) -> bool:
    return str(head.get("ServerSideEncryption", "")).startswith("aws:kms")


def encryption(source: Mapping[str, Any], *, by_default: bool) -> dict[str, Any]:
    """What a copy asks for to be encrypted as its source is.

    `by_default`: S3 encrypts every object under a key of its own, or as the target bucket says; other servers only
    where a request asks for it.
    """
    names = _ENCRYPTION if under_kms(source) else () if by_default else _ENCRYPTION[:1]
    return {name: source[name] for name in names if source.get(name)}


def part_ranges(size: int, part: int) -> Iterator[tuple[int, str]]:
    """(part number, `bytes=first-last`) of an object of `size` bytes, with larger parts where 10,000 would not do."""
    step = max(part, -(-size // _PARTS))
    for number, start in enumerate(range(0, size, step), 1):
        yield number, f"bytes={start}-{min(start + step, size) - 1}"


def copy_parts(
    account: Account,
    bucket: str,
    key: str,
    source: Mapping[str, Any],
    target: Mapping[str, str],
    encrypted: Mapping[str, Any],
    limits: Limits = LIMITS,
) -> dict[str, Any]:
    """Copy `bucket`/`key`, whose HEAD is `source`, to `target` (Bucket, Key, ExpectedBucketOwner), `encrypted` so.

    Each part is taken on condition of the source's ETag, the whole is put on condition that nothing stands there.
    Whatever ends the copy early aborts the upload, so that no unseen parts stay behind and cost; of a killed run the next
    one does (`abandoned.py`). Returns the answer of
    CompleteMultipartUpload; raises what botocore raises, and Interrupted.
    """
    owner = account.id
    upload = account.call(
        "s3", "create_multipart_upload", **target, **_created_with(account, bucket, key, source), **encrypted
    )
    place = {**target, "UploadId": upload["UploadId"]}

    def copy_part(task: tuple[int, str]) -> dict[str, Any]:
        number, span = task
        answer = account.call(
            "s3", "upload_part_copy", **place, PartNumber=number, CopySourceRange=span,
            CopySource={"Bucket": bucket, "Key": key}, CopySourceIfMatch=source["ETag"],
            ExpectedSourceBucketOwner=owner,
        )["CopyPartResult"]  # fmt: skip
        return {"PartNumber": number} | {
            name: value for name, value in answer.items() if name == "ETag" or name.startswith("Checksum")
        }

    try:
        spans = part_ranges(source["ContentLength"], limits.part)
        copied = each(copy_part, spans, workers=limits.parts_at_once, control=account.control)
        parts = sorted((part for _, part in copied), key=lambda part: int(part["PartNumber"]))
        return account.call(
            "s3", "complete_multipart_upload", **place, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )
    except BaseException:
        # Below `account.call`, which would refuse it after a cancel; the first error is the one to report.
        with contextlib.suppress(*AWS_ERRORS):
            account.client("s3").abort_multipart_upload(**place)
            name = {"service": "s3", "operation": "AbortMultipartUpload"}
            account.audit({"time": time.time(), **name, "result": "ok", "Bucket": place["Bucket"], "Key": place["Key"]})
        raise


def _created_with(account: Account, bucket: str, key: str, source: Mapping[str, Any]) -> dict[str, Any]:
    created = {name: source[name] for name in _CARRIED if source.get(name)}
    if source.get("ChecksumType") == "FULL_OBJECT":
        # The same algorithm over the whole object, so that both can be compared whatever the parts.
        algorithm = next(name for name in source if name.startswith("Checksum") and name != "ChecksumType")
        if algorithm in ("ChecksumCRC64NVME", "ChecksumCRC32", "ChecksumCRC32C"):
            created |= {"ChecksumAlgorithm": algorithm.removeprefix("Checksum"), "ChecksumType": "FULL_OBJECT"}
    tags = account.call("s3", "get_object_tagging", Bucket=bucket, Key=key, ExpectedBucketOwner=account.id)["TagSet"]
    if tags:
        created["Tagging"] = urlencode({tag["Key"]: tag["Value"] for tag in tags})
    return created
