"""Which IAM actions an API operation needs, by AWS's Service Authorization Reference. Pure."""

from __future__ import annotations

# Most actions are named as the operation. S3's are older than its operations, API Gateway's are HTTP methods.
_S3 = {
    "ListBuckets": ("ListAllMyBuckets",),
    "HeadBucket": ("ListBucket",),
    "ListObjectsV2": ("ListBucket",),
    "ListObjectVersions": ("ListBucketVersions",),
    "ListMultipartUploads": ("ListBucketMultipartUploads",),
    "GetBucketEncryption": ("GetEncryptionConfiguration",),
    "GetBucketNotificationConfiguration": ("GetBucketNotification",),
    "HeadObject": ("GetObject",),
    "CopyObject": ("GetObject", "GetObjectTagging", "PutObject", "PutObjectTagging"),
    "CreateMultipartUpload": ("PutObject", "PutObjectTagging"),
    "UploadPart": ("PutObject",),
    "UploadPartCopy": ("GetObject", "PutObject"),
    "CompleteMultipartUpload": ("PutObject",),
    "ListParts": ("ListMultipartUploadParts",),
}
_METHODS = {"Get": "GET", "Delete": "DELETE", "Create": "POST", "Put": "PUT", "Update": "PATCH"}


def actions(service: str, operation: str) -> tuple[str, ...]:
    """`("s3", "HeadObject")` -> `("s3:GetObject",)`. The service is boto3's name, the operation the API's."""
    if service == "s3":
        return tuple(f"s3:{action}" for action in _S3.get(operation, (operation,)))
    if service == "apigateway":
        return tuple(f"apigateway:{method}" for start, method in _METHODS.items() if operation.startswith(start))
    if (service, operation) == ("dynamodb", "TransactWriteItems"):
        return tuple(f"dynamodb:{action}" for action in ("PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"))
    return (f"{service}:{operation}",)
