"""What each service's serverless.yml says, as data: its variables, what it reads of others, functions, resources.

`checkout` writes these as files, `serverless` (the stand-in) deploys them; the first deployment of a sandbox does both
in memory. The numbers are those of the backend: 15 services with 83 variables of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wizard.sandbox.releases import Release
from wizard.sandbox.schemas import BASIC_OPS, SERVICES, Bucket, Schema

# Variables beside the names of tables and buckets. Trailing comments and spellings as the backend has them.
_OTHERS: Mapping[str, Mapping[str, str]] = {
    "lambda": {
        "RAG_CHUNK_DOCUMENT_QUEUE": "${self:service}-${sls:stage}-rag-chunk-document-queue   # name, not URL",
        "RAG_PROCESS_DOCUMENT_QUEUE": "${self:service}-${sls:stage}-rag-document-queue",
        "FILE_UPLOAD_MAX_MB": "100 # megabytes",
    },
    "assistants": {"CODE_INTERPRETER_MODEL": "gpt-4o"},
    "agent-loop": {
        # An output of the stack itself: nobody can tell it before the first deployment.
        "AGENT_FAT_CONTAINER_URL": "${cf:${self:service}-${sls:stage}.AgentRouterFnUrlContainerFatLambdaFunctionUrl}",
        "AGENT_QUEUE_NAME": "${self:service}-${sls:stage}-agent-queue",
    },
    "amplify-js": {"TRACING_ENABLED": "False"},
    "assistants-api": {"OP_TRACING_ENABLED": "false"},
    "data-disclosure": {"DATA_DISCLOSURE_QUEUE": "${self:service}-${sls:stage}-conversion"},
    "admin": {"ADMIN_SYNC_MINUTES": "3"},
    "artifacts": {"ARTIFACT_VERSIONS_KEPT": "10"},
    "chat-billing": {"BILLING_CURRENCY": "USD"},
    "embedding": {
        "RAG_POSTGRES_DB_CLUSTER": "${sls:stage}-${self:service}-rag-cluster",
        "EMBEDDING_CHUNKS_QUEUE": "${self:service}-${sls:stage}-embedding-chunks",
    },
    "api": {"API_DOCUMENTATION_FORMATS": "pdf,csv,json"},
    "lambda-ops": {"OPS_REGISTRY": "${self:service}-${self:provider.stage}"},
    "google": {"GOOGLE_API_PREFIX": "/google/integrations"},
    "office365": {"OFFICE365_API_PREFIX": "/microsoft/integrations"},
}

# Shared values that each service reads, from var/{stage}-var.yml by way of Parameter Store; the last two have defaults.
_SHARED_BY_ALL = ("OAUTH_AUDIENCE", "OAUTH_ISSUER_BASE_URL", "IDP_PREFIX", "API_VERSION", "APP_ARN_NAME")
_SHARED: Mapping[str, tuple[str, ...]] = {
    "lambda": ("ADMINS", "CUSTOM_API_DOMAIN", "PANDOC_LAMBDA_LAYER_ARN", "COGNITO_CLIENT_ID", "SECRETS_ARN_NAME"),
    "assistants": ("ASSISTANTS_OPENAI_PROVIDER", "SECRETS_ARN_NAME"),
    "amplify-js": ("AGENT_ENDPOINT", "LLM_ENDPOINTS_SECRETS_NAME", "BEDROCK_GUARDRAIL_ID", "BEDROCK_GUARDRAIL_VERSION"),
    "admin": ("ADMINS", "ORGANIZATION_EMAIL_DOMAIN", "LLM_ENDPOINTS_SECRETS_NAME_ARN"),
    "agent-loop": ("ORGANIZATION_EMAIL_DOMAIN", "LLM_ENDPOINTS_SECRETS_NAME"),
    "embedding": ("MAX_ACU", "MIN_ACU", "PRIVATE_SUBNET_ONE", "PRIVATE_SUBNET_TWO", "VPC_CIDR", "VPC_ID"),
    "object-access": ("COGNITO_USER_POOL_ID",),
    "chat-billing": ("DEP_NAME",),
    "api": ("CUSTOM_API_DOMAIN",),
}
DEFAULTS = {"BEDROCK_GUARDRAIL_ID": "NotApplicable", "BEDROCK_GUARDRAIL_VERSION": "DRAFT"}

# Variables of other services that each service reads; `BY_ALL` but by their owner.
_FOREIGN_BY_ALL = (("object-access", "API_KEYS_DYNAMODB_TABLE"), ("lambda", "ACCOUNTS_DYNAMO_TABLE"))
_FOREIGN: Mapping[str, tuple[tuple[str, str], ...]] = {
    "lambda": (
        ("object-access", "OBJECT_ACCESS_DYNAMODB_TABLE"), ("object-access", "COGNITO_USERS_DYNAMODB_TABLE"),
        ("object-access", "ASSISTANT_GROUPS_DYNAMO_TABLE"), ("admin", "AMPLIFY_ADMIN_DYNAMODB_TABLE"),
        ("assistants", "ASSISTANTS_ALIASES_DYNAMODB_TABLE"), ("amplify-js", "HISTORY_COST_CALCULATIONS_DYNAMO_TABLE"),
        ("assistants", "ASSISTANT_LOOKUP_DYNAMODB_TABLE"),
    ),
    "assistants": (
        ("lambda", "S3_CONSOLIDATION_BUCKET_NAME"), ("lambda", "FILES_DYNAMO_TABLE"),
        ("lambda", "S3_RAG_INPUT_BUCKET_NAME"), ("lambda", "SHARES_DYNAMODB_TABLE"),
        ("object-access", "OBJECT_ACCESS_DYNAMODB_TABLE"),
        ("chat-billing", "ADDITIONAL_CHARGES_TABLE"), ("lambda", "HASH_FILES_DYNAMO_TABLE"),
    ),
    "amplify-js": (
        ("assistants", "ASSISTANTS_DYNAMODB_TABLE"), ("assistants", "ASSISTANTS_ALIASES_DYNAMODB_TABLE"),
        ("lambda", "CHAT_USAGE_DYNAMO_TABLE"), ("lambda", "S3_FILE_TEXT_BUCKET_NAME"),
        ("lambda", "S3_RAG_CHUNKS_BUCKET_NAME"), ("lambda", "S3_IMAGE_INPUT_BUCKET_NAME"),
        ("chat-billing", "MODEL_RATE_TABLE"), ("admin", "AMPLIFY_ADMIN_DYNAMODB_TABLE"),
        ("assistants", "S3_GROUP_ASSISTANT_CONVERSATIONS_BUCKET_NAME"),
        ("assistants", "ASSISTANT_THREADS_DYNAMODB_TABLE"),
        ("assistants", "ASSISTANT_CODE_INTERPRETER_DYNAMODB_TABLE"),
    ),
    "admin": (
        ("object-access", "ASSISTANT_GROUPS_DYNAMO_TABLE"), ("lambda", "S3_CONVERSION_OUTPUT_BUCKET_NAME"),
        ("lambda", "S3_CONSOLIDATION_BUCKET_NAME"), ("lambda-ops", "OPS_DYNAMODB_TABLE"),
        ("chat-billing", "MODEL_RATE_TABLE"), ("embedding", "EMBEDDING_PROGRESS_TABLE"),
        ("artifacts", "S3_ARTIFACTS_BUCKET"),
    ),
    "agent-loop": (
        ("lambda", "S3_CONSOLIDATION_BUCKET_NAME"), ("lambda", "USER_STORAGE_TABLE"),
        ("lambda", "CHAT_USAGE_DYNAMO_TABLE"), ("lambda-ops", "OPS_DYNAMODB_TABLE"),
    ),
    "artifacts": (("lambda", "USER_STORAGE_TABLE"),),
    "chat-billing": (("lambda", "CHAT_USAGE_DYNAMO_TABLE"), ("amplify-js", "HISTORY_COST_CALCULATIONS_DYNAMO_TABLE")),
    "data-disclosure": (("lambda", "S3_CONSOLIDATION_BUCKET_NAME"),),
    "embedding": (
        ("lambda", "S3_FILE_TEXT_BUCKET_NAME"), ("lambda", "HASH_FILES_DYNAMO_TABLE"),
        ("lambda", "RAG_CHUNK_DOCUMENT_QUEUE"),
    ),
    "object-access": (("assistants", "ASSISTANTS_DYNAMODB_TABLE"), ("admin", "AMPLIFY_ADMIN_DYNAMODB_TABLE")),
    "assistants-api": (
        ("lambda", "DB_CONNECTIONS_TABLE"), ("lambda-ops", "OPS_DYNAMODB_TABLE"),
        ("agent-loop", "WORKFLOW_TEMPLATES_TABLE"), ("agent-loop", "SCHEDULED_TASKS_TABLE"),
    ),
    "api": (("lambda", "S3_CONSOLIDATION_BUCKET_NAME"),),
    "google": (("assistants-api", "OAUTH_USER_TABLE"),),
    "office365": (("assistants-api", "OAUTH_USER_TABLE"),),
}  # fmt: skip
COSTS = ("lambda", "COST_CALCULATIONS_DYNAMO_TABLE")  # read under amplify-lambda's name, defined by amplify-lambda-js

# Path of the API that each service serves.
_PATHS = {"lambda": "user-data", BASIC_OPS: "user-data", "assistants": "assistant", "object-access": "utilities"}


@dataclass(frozen=True)
class Definition:
    """One serverless.yml. `local` and `imports` make up `provider.environment`; values are not yet resolved."""

    service: str
    local: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    owns_api: bool = False

    def document(self) -> dict[str, Any]:
        """The file as a YAML mapping."""
        provider: dict[str, Any] = {
            "name": "aws",
            "runtime": "python3.11",
            "stage": "${opt:stage, 'dev'}",
            "environment": {**{key: _uncommented(value) for key, value in self.local.items()}, **self.imports},
        }
        if not self.owns_api:
            provider["apiGateway"] = {
                "restApiId": {"Fn::ImportValue": "${sls:stage}-RestApiId"},
                "restApiRootResourceId": {"Fn::ImportValue": "${sls:stage}-RestApiRootResourceId"},
            }
        if any("/amplify/" in value for value in self.imports.values()):
            actions = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
            statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
            provider["iam"] = {"role": {"statements": [statement]}}
        made: dict[str, Any] = {
            "service": "amplify-${self:custom.stageVars.DEP_NAME}-" + self.service,
            "custom": {"stageVars": "${file(../var/${sls:stage}-var.yml)}"},
            "provider": provider,
            "functions": {name: dict(value) for name, value in self.functions.items()},
            "resources": {"Resources": {name: dict(value) for name, value in self.resources.items()}},
        }
        if self.outputs:
            made["resources"]["Outputs"] = {name: dict(value) for name, value in self.outputs.items()}
        return made


def definition(service: str, release: Release) -> Definition:
    """What a release's serverless.yml of a service says."""
    tables, buckets = release.tables(service), release.buckets(service)
    everything: list[Schema | Bucket] = [*tables, *buckets]
    owns_api = service == "lambda"
    return Definition(
        service,
        local={
            **{one.variable: _name(one, service) for one in everything if one.variable},
            **_OTHERS.get(service, {}),
        },
        imports=_imports(service) if release.deployed and service in SERVICES else {},
        functions=_functions(service, release),
        resources={
            **{t.logical_id: _resource("AWS::DynamoDB::Table", t.properties(_reference(t, service))) for t in tables},
            **{b.logical_id: _bucket(b, service) for b in buckets},
        },
        outputs={
            "RestApiId": {"Value": {"Ref": "ApiGatewayRestApi"}, "Export": {"Name": "${sls:stage}-RestApiId"}},
            "RestApiRootResourceId": {
                "Value": {"Fn::GetAtt": ["ApiGatewayRestApi", "RootResourceId"]},
                "Export": {"Name": "${sls:stage}-RestApiRootResourceId"},
            },
        }
        if owns_api
        else {},
        owns_api=owns_api,
    )


def _imports(service: str) -> dict[str, str]:
    read = {name: f"${{ssm:/amplify/${{sls:stage}}/shared/{name}}}" for name in _SHARED_BY_ALL}
    for name in _SHARED.get(service, ()):
        default = f", '{DEFAULTS[name]}'" if name in DEFAULTS else ""
        read[name] = f"${{ssm:/amplify/${{sls:stage}}/shared/{name}{default}}}"
    costs = () if service == "amplify-js" else (COSTS,)
    for owner, name in (*_FOREIGN_BY_ALL, *costs, *_FOREIGN.get(service, ())):
        if owner != service or (owner, name) == COSTS:
            path = f"/amplify/${{sls:stage}}/amplify-${{self:custom.stageVars.DEP_NAME}}-{owner}/{name}"
            read[name] = f"${{ssm:{path}}}"
    return read


def _functions(service: str, release: Release) -> dict[str, dict[str, Any]]:
    events: list[dict[str, Any]] = []
    path = _PATHS.get(service)
    # Before the migration /user-data is served by basic-ops, after it by amplify-lambda.
    served_here = path != "user-data" or (service == "lambda") == release.deployed
    if path and served_here:
        events.append({"http": {"path": f"/{path}/{{proxy+}}", "method": "POST", "cors": True}})
    if service in ("memory", "se", "custom"):
        return {}
    name = "user_data_router" if path == "user-data" else "router"
    made = {name: {"handler": "service/router.route", **({"events": events} if events else {})}}
    if service == "object-access":
        schedule = [{"schedule": {"rate": "rate(5 minutes)", "enabled": True}}] if release.sync_rule else []
        made["sync_cognito_users"] = {
            "handler": "cognito/sync.handler",
            **({"events": schedule} if schedule else {}),
        }
    return made


def _name(resource: Schema | Bucket, service: str) -> str:
    own, suffix = resource.id.split("/")
    head = "${self:service}" if own == service else "amplify-${self:custom.stageVars.DEP_NAME}-" + own
    return f"{head}-${{sls:stage}}" + (f"-{suffix}" if suffix else "")


def _reference(resource: Schema | Bucket, service: str) -> str:
    """The name in `resources:`; by the environment where it has a variable, as the backend does."""
    return f"${{self:provider.environment.{resource.variable}}}" if resource.variable else _name(resource, service)


def _resource(kind: str, properties: Mapping[str, Any], *, retain: bool = False) -> dict[str, Any]:
    return {"Type": kind, **({"DeletionPolicy": "Retain"} if retain else {}), "Properties": dict(properties)}


def _bucket(bucket: Bucket, service: str) -> dict[str, Any]:
    retain = bucket.id in ("artifacts/bucket", "assistants/group-conversations-content")
    return _resource("AWS::S3::Bucket", bucket.properties(_reference(bucket, service)), retain=retain)


def _uncommented(value: str) -> str:
    return value.split(" #")[0].rstrip()
