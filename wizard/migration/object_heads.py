"""What S3 tells of an object without its body, and whether two objects are the same by it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import botocore.exceptions

from wizard.aws import Account
from wizard.aws_errors import ABSENT, code_of
from wizard.migration.multipart import under_kms

_MD5 = re.compile(r"^[0-9a-f]{32}$")
_CHECKSUMS = ("ChecksumCRC64NVME", "ChecksumSHA256", "ChecksumSHA1", "ChecksumCRC32C", "ChecksumCRC32")
_SAMPLE = 1024 * 1024  # bytes read at the start, the middle and the end where nothing else can be compared
_PIECE = 8 * 1024 * 1024  # bytes of each object that are held at once to compare them in full


def same_object(
    source_size: int, source_etag: str, target_size: int, target_etag: str, *, etags_tell: bool = True
) -> bool:
    """Whether two lines of listings show the same object: equal size and, where both ETags are MD5, equal ETag.

    A multipart ETag depends on the parts and one under a KMS key on the key: `etags_tell` False leaves ETags out.
    """
    if source_size != target_size:
        return False
    source, target = source_etag.strip('"'), target_etag.strip('"')
    return source == target or not (etags_tell and _MD5.match(source) and _MD5.match(target))


def contents_equal(source: Mapping[str, Any], target: Mapping[str, Any]) -> bool | None:
    """By a checksum over the whole object, else by ETags that are MD5; None where neither can tell."""
    for name in _CHECKSUMS:
        one, other = source.get(name, ""), target.get(name, "")
        if one and other and "-" not in one + other:  # "-3": a checksum of the parts' checksums
            return bool(one == other)
    one, other = etag_of(source), etag_of(target)
    if one == other:
        return True
    comparable = _MD5.match(one) and _MD5.match(other) and not under_kms(source) and not under_kms(target)
    return False if comparable else None


def samples_equal(account: Account, size: int, *objects: tuple[str, str]) -> bool:
    """Whether start, middle and end of two objects of `size` bytes, each (bucket, key), are the same bytes."""
    places = sorted({0, max(0, size // 2 - _SAMPLE // 2), max(0, size - _SAMPLE)})
    for start in places if size else ():
        bodies = [
            account.call(
                "s3", "get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{start + _SAMPLE - 1}",
                ExpectedBucketOwner=account.id,
            )["Body"].read()
            for bucket, key in objects
        ]  # fmt: skip
        if bodies[0] != bodies[1]:
            return False
    return True


def bodies_equal(account: Account, size: int, *objects: tuple[str, str, str]) -> bool:
    """Whether two objects of `size` bytes, each (bucket, key, ETag), are the same bytes, read in full a piece at a time.

    Raises what botocore raises, also when one of them is changed meanwhile.
    """
    for start in range(0, size, _PIECE):
        span = f"bytes={start}-{min(start + _PIECE, size) - 1}"
        bodies = [
            account.call(
                "s3", "get_object", Bucket=bucket, Key=key, Range=span, IfMatch=f'"{etag}"',
                ExpectedBucketOwner=account.id,
            )["Body"].read()
            for bucket, key, etag in objects
        ]  # fmt: skip
        if bodies[0] != bodies[1]:
            return False
    return True


def head(account: Account, bucket: str, key: str, **more: str) -> dict[str, Any] | None:
    """What S3 says of an object, None for one that is not there. Raises what botocore raises, but for absence."""
    try:
        return account.call(
            "s3", "head_object", Bucket=bucket, Key=key, ChecksumMode="ENABLED", ExpectedBucketOwner=account.id, **more
        )
    except botocore.exceptions.ClientError as error:
        # A HEAD has no body: a missing key, a missing bucket and a deleted version all say 404.
        if code_of(error) in ABSENT:
            return None
        raise


def etag_of(answer: Mapping[str, Any]) -> str:
    """The ETag of an answer without its quotes, "" for none."""
    return str(answer.get("ETag", "")).strip('"')
