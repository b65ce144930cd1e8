"""Every table and bucket of a deployment with its key schema, as the services deploy them, by service.

A table's id is `service/suffix`, its name `amplify-{dep}-{service}-{stage}-{suffix}` (the shares table has no suffix).
Key attributes are strings unless marked `:N`. The schemas are written out here, apart from the catalog of the engine,
so that a mistake there cannot hide behind the same mistake in the sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wizard.deployment import Deployment


@dataclass(frozen=True)
class Schema:
    """One table. `key` is `"hash"` or `"hash range"`; `indexes` maps index names to keys of the same form."""

    id: str
    key: str
    indexes: Mapping[str, str] = field(default_factory=dict, hash=False)
    stream: bool = False
    ttl: str = ""
    recovery: bool = True  # point-in-time recovery
    variable: str = ""  # the environment variable that holds its name in the service's serverless.yml

    @property
    def service(self) -> str:
        return self.id.split("/")[0]

    def name(self, deployment: Deployment) -> str:
        return resource_name(self.id, deployment)

    @property
    def logical_id(self) -> str:
        """`lambda/chat-usages` keeps the logical id of `lambda/chat-usage`, as the backend's template does."""
        suffix = self.id.split("/")[1].replace("chat-usages", "chat-usage") or "shares"
        return "".join(part.title() for part in suffix.split("-")) + "DynamoDbTable"

    def properties(self, name: str) -> dict[str, Any]:
        """The `Properties` of its `AWS::DynamoDB::Table`."""
        keys = [self.key, *self.indexes.values()]
        attributes = dict(sorted(_attribute(part) for key in keys for part in key.split()))
        made: dict[str, Any] = {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": a, "AttributeType": t} for a, t in attributes.items()],
            "KeySchema": _key_schema(self.key),
        }
        if self.indexes:
            made["GlobalSecondaryIndexes"] = [
                {"IndexName": index, "KeySchema": _key_schema(key), "Projection": {"ProjectionType": "ALL"}}
                for index, key in self.indexes.items()
            ]
        if self.stream:
            made["StreamSpecification"] = {"StreamViewType": "NEW_AND_OLD_IMAGES"}
        if self.ttl:
            made["TimeToLiveSpecification"] = {"AttributeName": self.ttl, "Enabled": True}
        if self.recovery:
            made["PointInTimeRecoverySpecification"] = {"PointInTimeRecoveryEnabled": True}
        return made


@dataclass(frozen=True)
class Bucket:
    """One bucket, named like a table."""

    id: str
    versioned: bool = False
    variable: str = ""

    @property
    def service(self) -> str:
        return self.id.split("/")[0]

    def name(self, deployment: Deployment) -> str:
        return resource_name(self.id, deployment)

    @property
    def logical_id(self) -> str:
        return "".join(part.title() for part in self.id.split("/")[1].split("-")) + "S3Bucket"

    def properties(self, name: str) -> dict[str, Any]:
        return {"BucketName": name} | ({"VersioningConfiguration": {"Status": "Enabled"}} if self.versioned else {})


def _attribute(part: str) -> tuple[str, str]:
    name, _, kind = part.partition(":")
    return name, kind or "S"


def _key_schema(key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": _attribute(part)[0], "KeyType": kind}
        for part, kind in zip(key.split(), ("HASH", "RANGE"), strict=False)
    ]


def resource_name(id_: str, deployment: Deployment) -> str:
    """`object-access/cognito-users` -> `amplify-v6-object-access-dev-cognito-users`."""
    service, suffix = id_.split("/")
    return deployment.fill(f"amplify-{{dep}}-{service}-{{stage}}" + (f"-{suffix}" if suffix else ""))


_USAGE = {"UserUsageTimeIndex": "user time", "DateIndex": "time"}
_BY_USER = {"UserIndex": "user"}
_BY_USER_NAME = {"UserIndex": "user", "UserNameIndex": "user name"}

TABLES: tuple[Schema, ...] = (
    Schema("object-access/cognito-users", "user_id", variable="COGNITO_USERS_DYNAMODB_TABLE"),
    Schema(
        "object-access/object-access", "object_id principal_id", {"PrincipalIdIndex": "principal_id"},
        variable="OBJECT_ACCESS_DYNAMODB_TABLE",
    ),
    Schema("object-access/api-keys", "api_owner_id", {"ApiKeyIndex": "apiKey"}, variable="API_KEYS_DYNAMODB_TABLE"),
    Schema("object-access/amplify-groups", "group_id", variable="ASSISTANT_GROUPS_DYNAMO_TABLE"),
    Schema("object-access/amplify-group-logs", "log_id", variable="AMPLIFY_GROUP_LOGS_DYNAMODB_TABLE"),
    Schema("admin/admin-configs", "config_id", stream=True, variable="AMPLIFY_ADMIN_DYNAMODB_TABLE"),
    Schema("admin/admin-logs", "log_id", variable="AMPLIFY_ADMIN_LOGS_DYNAMODB_TABLE"),
    Schema(
        "admin/critical-errors", "error_id",
        {"status-timestamp-index": "status timestamp", "error-fingerprint-index": "error_fingerprint"},
        stream=True, ttl="ttl",
    ),
    Schema("lambda/", "id", _BY_USER_NAME, variable="SHARES_DYNAMODB_TABLE"),
    Schema("lambda/accounts", "user", variable="ACCOUNTS_DYNAMO_TABLE"),
    Schema(
        "lambda/user-files", "id",
        {
            "createdBy": "createdBy id", "createdByAndAt": "createdBy createdAt",
            "createdByAndType": "createdBy type", "createdByAndName": "createdBy name",
        },
        variable="FILES_DYNAMO_TABLE",
    ),
    Schema("lambda/hash-files", "id", {"TextLocationIndex": "textLocationKey"}, variable="HASH_FILES_DYNAMO_TABLE"),
    Schema("lambda/user-tags", "user", recovery=False, variable="USER_TAGS_DYNAMO_TABLE"),
    Schema("lambda/chat-usage", "id", _USAGE, stream=True, variable="CHAT_USAGE_DYNAMO_TABLE"),
    Schema("lambda/chat-usages", "id", _USAGE, stream=True, variable="CHAT_USAGE_DYNAMO_TABLE"),
    Schema("lambda/chat-usage-archive", "id", _USAGE),
    Schema("lambda/assistants", "id", _BY_USER_NAME),
    Schema(
        "lambda/conversation-metadata", "user_id conversation_id", {"TimestampIndex": "user_id last_modified:N"},
        recovery=False, variable="CONVERSATION_METADATA_TABLE",
    ),
    Schema("lambda/db-connections", "id", _BY_USER, variable="DB_CONNECTIONS_TABLE"),
    Schema("lambda/env-vars-tracking", "service_var_key", {"ServiceIndex": "service_name"},
           variable="ENV_VARS_TRACKING_TABLE"),
    Schema("lambda/user-data-storage", "PK SK", {"UUID-index": "UUID"}, variable="USER_STORAGE_TABLE"),
    Schema(
        "lambda/poll-status", "requestId user",
        {"user-createdAt-index": "user createdAt", "status-index": "status"}, ttl="ttl",
    ),
    # The two cost tables carry amplify-lambda's name and are defined by amplify-lambda-js: see SERVICE_OF.
    Schema("lambda/cost-calculations", "id accountInfo", {"record-type-user-index": "record_type id"},
           variable="COST_CALCULATIONS_DYNAMO_TABLE"),
    Schema("lambda/history-cost-calculations", "userDate accountInfo",
           {"record-type-user-index": "record_type userDate"}, variable="HISTORY_COST_CALCULATIONS_DYNAMO_TABLE"),
    Schema("amplify-js/request-state", "user requestId", ttl="ttl", variable="REQUEST_STATE_DYNAMO_TABLE"),
    Schema("amplify-js/datasource-registry", "type", variable="DATASOURCE_REGISTRY_DYNAMO_TABLE"),
    Schema("amplify-js/skills", "id", {"user-index": "user", "public-skills-index": "isPublic"}),
    Schema("amplify-js/skill-shares", "shareId", {"sharedWith-index": "sharedWith", "skillId-index": "skillId"},
           ttl="ttl"),
    Schema("assistants/assistants", "id", {**_BY_USER_NAME, "AssistantIdIndex": "assistantId version:N"},
           variable="ASSISTANTS_DYNAMODB_TABLE"),
    Schema("assistants/assistant-aliases", "user assistantId",
           {"AssistantIdIndex": "assistantId user", "UserIndex": "user createdAt"},
           variable="ASSISTANTS_ALIASES_DYNAMODB_TABLE"),
    Schema("assistants/assistant-lookup", "astPath", {"AssistantIdIndex": "assistantId"},
           variable="ASSISTANT_LOOKUP_DYNAMODB_TABLE"),
    Schema("assistants/code-interpreter-assistants", "id", _BY_USER,
           variable="ASSISTANT_CODE_INTERPRETER_DYNAMODB_TABLE"),
    Schema("assistants/assistant-threads", "id", _BY_USER_NAME, variable="ASSISTANT_THREADS_DYNAMODB_TABLE"),
    Schema("assistants/assistant-thread-runs", "id", _BY_USER, variable="ASSISTANT_THREAD_RUNS_DYNAMODB_TABLE"),
    Schema("assistants/group-assistant-conversations", "conversationId", {"AssistantIdIndex": "assistantId"},
           variable="GROUP_ASSISTANT_CONVERSATIONS_DYNAMO_TABLE"),
    Schema("assistants/layered-assistants", "assistantId", {"CreatedByIndex": "createdBy updatedAt"}),
    Schema("agent-loop/agent-state", "user sessionId", variable="AGENT_STATE_DYNAMODB_TABLE"),
    Schema("agent-loop/agent-event-templates", "user tag", variable="AGENT_EVENT_TEMPLATES_DYNAMODB_TABLE"),
    Schema("agent-loop/workflow-registry", "user templateId", {"TemplateIdPublicIndex": "templateId isPublic:N"},
           variable="WORKFLOW_TEMPLATES_TABLE"),
    Schema("agent-loop/email-allowed-senders", "email tag", variable="EMAIL_SETTINGS_DYNAMO_TABLE"),
    Schema("agent-loop/scheduled-tasks", "user taskId", {"ActiveTasksIndex": "active:N taskId"},
           variable="SCHEDULED_TASKS_TABLE"),
    Schema("artifacts/user-artifacts", "user_id", variable="ARTIFACTS_DYNAMODB_TABLE"),
    Schema("assistants-api/oauth-state", "state", variable="OAUTH_STATE_TABLE"),
    Schema("assistants-api/user-oauth-integrations", "user_integration", variable="OAUTH_USER_TABLE"),
    Schema("assistants-api/op-log", "user timestamp", variable="OP_LOG_DYNAMO_TABLE"),
    Schema("assistants-api/job-status", "user job_id", variable="JOB_STATUS_TABLE"),
    Schema("lambda-ops/ops", "user tag", variable="OPS_DYNAMODB_TABLE"),
    Schema("chat-billing/model-rates", "ModelID", variable="MODEL_RATE_TABLE"),
    Schema("chat-billing/additional-charges", "id", variable="ADDITIONAL_CHARGES_TABLE"),
    Schema("chat-billing/history-usage", "id userDateComposite"),
    Schema("data-disclosure/acceptance", "user", variable="DATA_DISCLOSURE_ACCEPTANCE_TABLE"),
    Schema("data-disclosure/versions", "key version:N", variable="DATA_DISCLOSURE_VERSIONS_TABLE"),
    Schema("embedding/embedding-progress", "object_id", variable="EMBEDDING_PROGRESS_TABLE"),
    Schema("lambda-basic-ops/user-storage", "PK SK", {"UUID-index": "UUID"}, variable="USER_STORAGE_TABLE"),
    Schema("lambda-basic-ops/work-sessions", "username session_id:N", recovery=False, variable="WORK_SESSIONS_TABLE"),
    Schema("lambda-basic-ops/work-records", "session_id:N record_id:N", recovery=False,
           variable="WORK_RECORDS_TABLE"),
    Schema("lambda-basic-ops/dynamic-code", "uuid", {"CreatorIndex": "creator uuid"},
           variable="DYNAMO_DYNAMIC_CODE_TABLE"),
    # Services that are not in the public tree; their tables stand alone here.
    Schema("memory/memory", "id", _BY_USER),
    Schema("memory/projects", "id", _BY_USER),
    Schema("se/ops-common-data", "PK SK"),
    Schema("se/ai-code", "uuid", {"CreatorIndex": "creator uuid"}),
    Schema("custom/notes", "id"),  # nobody's catalog knows it: the unknown-reference report must
)  # fmt: skip

BUCKETS: tuple[Bucket, ...] = (
    Bucket("lambda/user-conversations", variable="S3_CONVERSATIONS_BUCKET_NAME"),
    Bucket("lambda/share", variable="S3_SHARE_BUCKET_NAME"),
    Bucket("lambda/document-conversion-input", variable="S3_CONVERSION_INPUT_BUCKET_NAME"),
    Bucket("lambda/document-conversion-output", variable="S3_CONVERSION_OUTPUT_BUCKET_NAME"),
    Bucket("lambda/rag-input", variable="S3_RAG_INPUT_BUCKET_NAME"),
    Bucket("lambda/image-input", variable="S3_IMAGE_INPUT_BUCKET_NAME"),
    Bucket("lambda/rag-chunks", variable="S3_RAG_CHUNKS_BUCKET_NAME"),
    Bucket("lambda/file-text", variable="S3_FILE_TEXT_BUCKET_NAME"),
    Bucket("lambda/zip-files", variable="S3_ZIP_FILE_BUCKET_NAME"),
    Bucket("lambda/access-logs", variable="S3_ACCESS_LOGS_BUCKET_NAME"),
    Bucket("lambda/consolidation", versioned=True, variable="S3_CONSOLIDATION_BUCKET_NAME"),
    Bucket("lambda/assistant-uploads"),
    Bucket("lambda/chat-traces", variable="TRACE_BUCKET_NAME"),
    Bucket("assistants/code-interpreter-files", variable="ASSISTANTS_CODE_INTERPRETER_FILES_BUCKET_NAME"),
    Bucket("assistants/group-conversations-content", variable="S3_GROUP_ASSISTANT_CONVERSATIONS_BUCKET_NAME"),
    Bucket("agent-loop/agent-state", variable="AGENT_STATE_BUCKET"),
    Bucket("agent-loop/workflow-templates", variable="WORKFLOW_TEMPLATES_BUCKET"),
    Bucket("agent-loop/scheduled-tasks-logs", variable="SCHEDULED_TASKS_LOGS_BUCKET"),
    Bucket("api/documentation-bucket", variable="S3_API_DOCUMENTATION_BUCKET"),
    Bucket("artifacts/bucket", variable="S3_ARTIFACTS_BUCKET"),
    Bucket("assistants-api/job-results", variable="JOB_RESULTS_BUCKET"),
    Bucket("data-disclosure/storage", variable="DATA_DISCLOSURE_STORAGE_BUCKET"),
    Bucket("lambda-basic-ops/work-record-attachments", variable="ATTACHMENT_BUCKET"),
    Bucket("lambda-basic-ops/dynamic-code", variable="DYNAMIC_CODE_BUCKET"),
)

# Resources whose service is not the one in their name.
SERVICE_OF = {
    "lambda/cost-calculations": "amplify-js",
    "lambda/history-cost-calculations": "amplify-js",
    "lambda/chat-traces": "amplify-js",
}

# Directory of each service in a backend checkout, and its name in serverless-compose.yml ("" when it is not there).
SERVICES: Mapping[str, tuple[str, str]] = {
    "lambda": ("amplify-lambda", "amplify-lambda"),
    "assistants": ("amplify-assistants", "amplify-assistants"),
    "amplify-js": ("amplify-lambda-js", "amplify-lambda-js"),
    "admin": ("amplify-lambda-admin", "amplify-lambda-admin"),
    "api": ("amplify-lambda-api", "amplify-lambda-api"),
    "artifacts": ("amplify-lambda-artifacts", "amplify-lambda-artifacts"),
    "lambda-ops": ("amplify-lambda-ops", "amplify-lambda-ops"),
    "chat-billing": ("chat-billing", "chat-billing"),
    "data-disclosure": ("data-disclosure", "data-disclosure"),
    "embedding": ("embedding", "amplify-embedding"),
    "object-access": ("object-access", "amplify-object-access"),
    "agent-loop": ("amplify-agent-loop-lambda", ""),
    "assistants-api": ("amplify-lambda-assistants-api", ""),
    "google": ("amplify-lambda-assistants-api-google", ""),
    "office365": ("amplify-lambda-assistants-api-office365", ""),
}
BASIC_OPS = "lambda-basic-ops"


def owner(resource: Schema | Bucket) -> str:
    """The service whose stack holds a table or bucket."""
    return SERVICE_OF.get(resource.id, resource.service)
