"""Every table of a deployment: one row each. The order of the rows is the order of apply.

Copies and content come first (user storage), then re-keyed tables, then tables in place, groups before admin-configs,
cognito-users last. Key schemas are those that the services deploy; at run time DescribeTable decides.
"""

from __future__ import annotations

from wizard.catalog import pointers
from wizard.catalog.merging import (
    add_numbers,
    fill_gaps,
    fill_gaps_keeping,
    highest,
    newest,
    newest_members,
    one_default,
    set_union,
    strongest,
    union,
    uniting_logs,
)
from wizard.catalog.model import IdPath, Ids, Item, Key, Table, pointer, prefix, storage_key, whole

# --- attributes set in addition ------------------------------------------------------------------------------------


def fill_email(old: Item, new: Item, ids: Ids) -> Item:
    """Rows of the old sync job have no `email`; the newest services resolve an address by it."""
    address = old["user_id"].get("S", "")
    return {"email": {"S": address}} if "email" not in old and "@" in address and address in ids.changed else {}


def own_the_file(old: Item, new: Item, ids: Ids) -> Item:
    """A file-key row without creator is taken to be its key's first segment, which would stay the old id."""
    user, found, _ = old["id"].get("S", "").partition("/")
    return (
        {"originalCreator": {"S": ids[user]}} if found and user in ids.changed and "originalCreator" not in old else {}
    )


def number_is_public(old: Item, new: Item, ids: Ids) -> Item:
    """TemplateIdPublicIndex needs a number; some rows hold a boolean or its text, which the index leaves out."""
    value = old.get("isPublic", {})
    truth = value.get("BOOL", value.get("S"))
    if truth is None or old.get("user", {}).get("S") not in (*ids, *ids.new):
        return {}
    return {"isPublic": {"N": "1" if str(truth).lower() in ("true", "1") else "0"}}


# --- paths shared by rows -------------------------------------------------------------------------------------------

USER = whole("user")
_FILE_KEYS = ("dataSources[].id", "dataSources[].key")

STORAGE_PATHS = (
    IdPath("PK", storage_key),
    IdPath("appId", storage_key),
    prefix("SK", "#", entityType="received"),
    prefix("SK", "#", before="shared-with-", entityType="artifact-content"),
    whole("data.sharedBy", entityType="received"),
    pointer("data.key", pointers.share, entityType="received"),
    whole("data.user", entityType="scheduled-task-logs"),
)
STORAGE_KEPT = ("UUID", "itemId", "original_path", "original_bucket", "original_user_id")  # scripts marked rows in both
STORAGE_CLASH = uniting_logs(newest("updatedAt", "createdAt"))

TABLES: tuple[Table, ...] = (
    # --- user storage ----------------------------------------------------------------------------------------------
    Table(
        # The old table goes with its stack: every row is copied, nothing in it is changed or cleaned.
        "OLD_USER_STORAGE_TABLE",
        "amplify-{dep}-lambda-basic-ops-{stage}-user-storage",
        Key("PK", "SK"),
        ids=STORAGE_PATHS,
        keep=STORAGE_KEPT,
        clash=STORAGE_CLASH,
        copy_to="USER_DATA_STORAGE_TABLE",
    ),
    Table(
        "USER_DATA_STORAGE_TABLE",
        "amplify-{dep}-lambda-{stage}-user-data-storage",
        Key("PK", "SK"),
        ids=STORAGE_PATHS,
        keep=STORAGE_KEPT,
        clash=STORAGE_CLASH,
    ),
    # --- content -----------------------------------------------------------------------------------------------------
    Table(
        # One row holds a user's received shares and settings; both move, the row is the retained original.
        "SHARES_DYNAMODB_TABLE",
        "amplify-{dep}-lambda-{stage}",
        Key("id"),
        keep=("id", "user", "data[].sharedBy", "data[].key"),
        content=("shares", "settings"),
        consists_of=("id", "user", "name", "createdAt", "updatedAt", "data", "settings"),
    ),
    Table(
        "ARTIFACTS_DYNAMODB_TABLE",
        "amplify-{dep}-artifacts-{stage}-user-artifacts",
        Key("user_id"),
        ids=(whole("user_id"), pointer("artifacts[].key", pointers.artifact), whole("artifacts[].sharedBy")),
        clash=union("artifacts", "key"),
        content=("artifacts",),
    ),
    Table(
        "WORKFLOW_TEMPLATES_TABLE",
        "amplify-{dep}-agent-loop-{stage}-workflow-registry",
        Key("user", "templateId"),
        ids=(USER, pointer("s3Key", pointers.workflow_template)),
        fixes=(number_is_public,),
        clash=fill_gaps_keeping,
        content=("workflows",),
    ),
    Table(
        # The processor polls active tasks every 3 minutes: a second active copy would run each task twice.
        "SCHEDULED_TASKS_TABLE",
        "amplify-{dep}-agent-loop-{stage}-scheduled-tasks",
        Key("user", "taskId"),
        ids=(USER, pointer("logs[].detailsKey", pointers.task_log)),
        keep=("notifyEmailAddresses[]", "apiKeyId"),
        clash=union("logs", "executionId", keeps_loser=True),
        retire="deactivate",
        content=("logs",),
    ),
    # --- re-keyed ----------------------------------------------------------------------------------------------------
    Table(
        "CONVERSATION_METADATA_TABLE",
        "amplify-{dep}-lambda-{stage}-conversation-metadata",
        Key("user_id", "conversation_id"),
        ids=(whole("user_id"), pointer("s3_key", pointers.conversation, unread=True)),
        keep=("code_interpreter_assistant_id",),  # conversation bodies refer to it by the old id
        clash=newest("last_modified", "updated_at", "cached_at", keeps_loser=False),  # a cache that is rebuilt
    ),
    Table(
        "AGENT_STATE_DYNAMODB_TABLE",
        "amplify-{dep}-agent-loop-{stage}-agent-state",
        Key("user", "sessionId"),
        ids=(
            USER,
            pointer("memory.key", pointers.agent_state, bucket=pointers.memory_bucket),
            pointer("memory.bucket", pointers.agent_state_bucket, bucket=pointers.memory_bucket),
            pointer("memory", pointers.agent_state_typed, typed=True, bucket=pointers.memory_bucket),
        ),
        keep=("memory.*.S", "memory.M.*.S"),  # of that form, where it is another user's
        clash=newest("lastUpdated", "timestamp"),
    ),
    Table(
        "AGENT_EVENT_TEMPLATES_DYNAMODB_TABLE",
        "amplify-{dep}-agent-loop-{stage}-agent-event-templates",
        Key("user", "tag"),
        ids=(USER,),
        keep=("apiKeyId",),
        clash=fill_gaps_keeping,
    ),
    Table(
        # Older services look rows up by the real address, newer ones by the id: both rows are right until cleanup.
        "EMAIL_SETTINGS_DYNAMO_TABLE",
        "amplify-{dep}-agent-loop-{stage}-email-allowed-senders",
        Key("email", "tag"),
        ids=(whole("email"),),
        keep=("allowedSenders[]",),  # real addresses and regular expressions
        clash=union("allowedSenders"),
    ),
    Table(
        "ACCOUNTS_DYNAMO_TABLE",
        "amplify-{dep}-lambda-{stage}-accounts",
        Key("user"),
        ids=(USER,),
        clash=one_default(union("accounts", "id"), "accounts", "isDefault"),
    ),
    Table(
        "USER_TAGS_DYNAMO_TABLE",
        "amplify-{dep}-lambda-{stage}-user-tags",
        Key("user"),
        ids=(USER,),
        clash=set_union("tags"),
    ),
    Table(
        "OPS_DYNAMODB_TABLE",
        "amplify-{dep}-lambda-ops-{stage}-ops",
        Key("user", "tag"),
        ids=(USER,),
        clash=union("ops", "id", "url"),
    ),
    Table(
        "OBJECT_ACCESS_DYNAMODB_TABLE",
        "amplify-{dep}-object-access-{stage}-object-access",
        Key("object_id", "principal_id"),
        ids=(whole("principal_id"),),
        keep=("object_id",),  # the S3 key of an uploaded file
        clash=strongest("permission_level", "owner", "write", "read"),
    ),
    Table(
        "ASSISTANTS_ALIASES_DYNAMODB_TABLE",
        "amplify-{dep}-assistants-{stage}-assistant-aliases",
        Key("user", "assistantId"),
        ids=(USER,),
        clash=highest("currentVersion"),
    ),
    Table(
        "OAUTH_USER_TABLE",
        "amplify-{dep}-assistants-api-{stage}-user-oauth-integrations",
        Key("user_integration"),
        ids=(prefix("user_integration", "/"),),
        clash=newest_members("integrations", "last_updated"),
        secret=("integrations",),
    ),
    Table(
        "JOB_STATUS_TABLE",
        "amplify-{dep}-assistants-api-{stage}-job-status",
        Key("user", "job_id"),
        ids=(USER,),
        keep=("stored_result.key",),  # the object stays where it is
        clash=newest("updated_at", keeps_loser=False),
    ),
    Table(
        "DATA_DISCLOSURE_ACCEPTANCE_TABLE",
        "amplify-{dep}-data-disclosure-{stage}-acceptance",
        Key("user"),
        ids=(USER,),
        clash=highest("documentVersion"),
    ),
    Table(
        # The daily reset walks all rows: an old row beside its copy would be counted twice.
        "COST_CALCULATIONS_DYNAMO_TABLE",
        "amplify-{dep}-lambda-{stage}-cost-calculations",
        Key("id", "accountInfo"),
        ids=(whole("id"),),
        keep=("accountInfo",),
        clash=add_numbers("dailyCost", "monthlyCost", "hourlyCost"),
        retire="remove",
    ),
    Table(
        "HISTORY_COST_CALCULATIONS_DYNAMO_TABLE",
        "amplify-{dep}-lambda-{stage}-history-cost-calculations",
        Key("userDate", "accountInfo"),
        ids=(prefix("userDate", "#"),),
        keep=("accountInfo",),
        clash=add_numbers("dailyCost", "monthlyCost"),
        retire="remove on clash",
    ),
    Table(
        "HISTORY_USAGE_TABLE",
        "amplify-{dep}-chat-billing-{stage}-history-usage",
        Key("id", "userDateComposite"),
        skip="usage history of releases up to v0.8.1; the newer chat-billing removes the table",
    ),
    Table(
        # Two records of one instant both stay: neither stands for the other.
        "OP_LOG_DYNAMO_TABLE",
        "amplify-{dep}-assistants-api-{stage}-op-log",
        Key("user", "timestamp"),
        ids=(USER,),
        keep=("resultMessage", "actionPayload", "operationDefinition", "metadata", "result"),
        audit=True,
    ),
    Table(
        # The schema of the private service is not public: DescribeTable decides whether the row applies.
        "COMMON_DATA_DYNAMO_TABLE",
        "amplify-{dep}-se-{stage}-ops-common-data",
        Key("PK", "SK"),
        ids=(IdPath("PK", storage_key), IdPath("app_id", storage_key), IdPath("appId", storage_key), USER),
    ),
    # --- in place ----------------------------------------------------------------------------------------------------
    Table(
        "DYNAMO_DYNAMIC_CODE_TABLE",
        "amplify-{dep}-se-{stage}-ai-code",
        Key("uuid"),
        ids=(whole("creator"), USER, whole("mapped_by")),
        keep=("s3Key",),
    ),
    Table(
        # Goes with the basic-ops stack; kept right for as long as it stands.
        "DYNAMIC_CODE_TABLE",
        "amplify-{dep}-lambda-basic-ops-{stage}-dynamic-code",
        Key("uuid"),
        skip="goes with the basic-ops stack; saved by `storage backup --table`",
    ),
    Table(
        "WORK_SESSIONS_TABLE",
        "amplify-{dep}-lambda-basic-ops-{stage}-work-sessions",
        Key("username", "session_id", "N"),
        skip="goes with the basic-ops stack; saved by `storage backup --table`",
    ),
    Table(
        "WORK_RECORDS_TABLE",
        "amplify-{dep}-lambda-basic-ops-{stage}-work-records",
        Key("session_id", "record_id", "N"),
        skip="goes with the basic-ops stack; saved by `storage backup --table`",
    ),
    Table(
        "API_KEYS_DYNAMODB_TABLE",
        "amplify-{dep}-object-access-{stage}-api-keys",
        Key("api_owner_id"),
        ids=(whole("owner"), whole("delegate")),
        keep=("api_owner_id", "systemId"),  # referred to by tasks, costs and usage
        secret=("apiKey",),
    ),
    Table(
        "ASSISTANTS_DYNAMODB_TABLE",
        "amplify-{dep}-assistants-{stage}-assistants",
        Key("id"),
        ids=(USER,),
        keep=("id", *_FILE_KEYS),
    ),
    Table(
        "ASSISTANT_LOOKUP_DYNAMODB_TABLE",
        "amplify-{dep}-assistants-{stage}-assistant-lookup",
        Key("astPath"),
        ids=(whole("createdBy"), whole("pathHistory[].changedBy"), whole("accessTo.users[]")),
        keep=("astPath",),
    ),
    Table(
        # Conversation bodies and threads remember these ids; services check `user`, not the id.
        "ASSISTANT_CODE_INTERPRETER_DYNAMODB_TABLE",
        "amplify-{dep}-assistants-{stage}-code-interpreter-assistants",
        Key("id"),
        ids=(USER,),
        keep=("id", "fileKeys[]"),
    ),
    Table(
        "ASSISTANT_THREADS_DYNAMODB_TABLE",
        "amplify-{dep}-assistants-{stage}-assistant-threads",
        Key("id"),
        ids=(USER,),
        keep=("id",),
    ),
    Table(
        "ASSISTANT_THREAD_RUNS_DYNAMODB_TABLE",
        "amplify-{dep}-assistants-{stage}-assistant-thread-runs",
        Key("id"),
        ids=(USER,),
        keep=("id", "thread_key", "assistant_key"),
    ),
    Table(
        "GROUP_ASSISTANT_CONVERSATIONS_DYNAMO_TABLE",
        "amplify-{dep}-assistants-{stage}-group-assistant-conversations",
        Key("conversationId"),
        ids=(USER, pointer("s3Location", pointers.group_conversation, bucket=pointers.location_bucket)),
    ),
    Table(
        "LAYERED_ASSISTANTS_DYNAMODB_TABLE",
        "amplify-{dep}-assistants-{stage}-layered-assistants",
        Key("assistantId"),
        ids=(whole("createdBy"),),
    ),
    Table(
        "CHAT_USAGE_DYNAMO_TABLE",
        "amplify-{dep}-lambda-{stage}-chat-usages",
        Key("id"),
        ids=(USER,),
        keep=("details.api_key_id",),
        also=("amplify-{dep}-lambda-{stage}-chat-usage",),
    ),
    Table(
        "CHAT_USAGE_ARCHIVE_TABLE",
        "amplify-{dep}-lambda-{stage}-chat-usage-archive",
        Key("id"),
        ids=(USER,),
        keep=("details.api_key_id",),
    ),
    Table(
        "ADDITIONAL_CHARGES_TABLE",
        "amplify-{dep}-chat-billing-{stage}-additional-charges",
        Key("id"),
        ids=(USER,),
        keep=("id",),
    ),
    Table(
        "DB_CONNECTIONS_TABLE",
        "amplify-{dep}-lambda-{stage}-db-connections",
        Key("id"),
        ids=(USER,),
        keep=("username", "schema", "host", "database", "connection_name"),  # of the database, not of Amplify
        secret=("password", "username"),
    ),
    Table(
        "FILES_DYNAMO_TABLE",
        "amplify-{dep}-lambda-{stage}-user-files",
        Key("id"),
        ids=(whole("createdBy"), whole("updatedBy")),
        keep=("id",),  # the S3 key of the file, and its id in the vector store
    ),
    Table(
        "HASH_FILES_DYNAMO_TABLE",
        "amplify-{dep}-lambda-{stage}-hash-files",
        Key("id"),
        ids=(whole("originalCreator"),),
        keep=("id", "textLocationKey"),
        fixes=(own_the_file,),
    ),
    Table(
        "EMBEDDING_PROGRESS_TABLE",
        "amplify-{dep}-embedding-{stage}-embedding-progress",
        Key("object_id"),
        ids=(whole("originalCreator"),),
        keep=("object_id",),
    ),
    Table(
        # `memory_type_id` is an assistant or project for other memory types.
        "MEMORY_DYNAMO_TABLE",
        "amplify-{dep}-memory-{stage}-memory",
        Key("id"),
        ids=(USER, whole("memory_type_id", memory_type="user")),
    ),
    Table(
        "MEMORY_PROJECTS_TABLE",
        "amplify-{dep}-memory-{stage}-projects",
        Key("id"),
        ids=(USER,),
    ),
    Table(
        "SKILLS_DYNAMODB_TABLE",
        "amplify-{dep}-amplify-js-{stage}-skills",
        Key("id"),
        ids=(USER,),
    ),
    Table(
        "SKILL_SHARES_DYNAMODB_TABLE",
        "amplify-{dep}-amplify-js-{stage}-skill-shares",
        Key("shareId"),
        ids=(whole("sharedBy"), whole("sharedWith")),
    ),
    Table(
        # Also a pointer, but the one whose row is written first: see `data-disclosure` in buckets.py.
        "DATA_DISCLOSURE_VERSIONS_TABLE",
        "amplify-{dep}-data-disclosure-{stage}-versions",
        Key("key", "version", "N"),
        content=("disclosures",),
    ),
    Table(
        "AMPLIFY_ADMIN_LOGS_DYNAMODB_TABLE",
        "amplify-{dep}-admin-{stage}-admin-logs",
        Key("log_id"),
        ids=(USER,),
        keep=("log_id", "details", "configuration"),
        audit=True,
    ),
    Table(
        "AMPLIFY_GROUP_LOGS_DYNAMODB_TABLE",
        "amplify-{dep}-object-access-{stage}-amplify-group-logs",
        Key("log_id"),
        ids=(USER,),
        keep=("log_id", "details"),
        audit=True,
    ),
    # --- groups before admin-configs: a job copies group members into the feature flags every 3 minutes -------------
    Table(
        "ASSISTANT_GROUPS_DYNAMO_TABLE",
        "amplify-{dep}-object-access-{stage}-amplify-groups",
        Key("group_id"),
        ids=(whole("createdBy"), whole("members{}"), whole("systemUsers[]")),
        keep=("group_id", "inactive_old_keys[]", "assistants[].id", "assistants[].assistantId"),
    ),
    Table(
        "AMPLIFY_ADMIN_DYNAMODB_TABLE",
        "amplify-{dep}-admin-{stage}-admin-configs",
        Key("config_id"),
        ids=(
            whole("data[]", config_id="admins"),
            whole("data.*.members[]", config_id="amplifyGroups"),
            whole("data.*.createdBy", config_id="amplifyGroups"),
            whole("data.*.userExceptions[]", config_id="featureFlags"),
        ),
        keep=(
            "data.email",  # of emailSupport: a real address
            "data.*.includeFromOtherGroups[]",
            "data.*.amplifyGroupExceptions[]",
        ),
    ),
    # --- identities last ---------------------------------------------------------------------------------------------
    Table(
        # While the old row exists an address still resolves to the old id: cleanup takes this table first.
        "COGNITO_USERS_DYNAMODB_TABLE",
        "amplify-{dep}-object-access-{stage}-cognito-users",
        Key("user_id"),
        ids=(whole("user_id"),),
        keep=("email",),
        fixes=(fill_email,),
        clash=fill_gaps,
        identities=True,
    ),
    # --- left alone --------------------------------------------------------------------------------------------------
    Table(
        "OAUTH_STATE_TABLE",
        "amplify-{dep}-assistants-api-{stage}-oauth-state",
        Key("state"),
        skip="valid for minutes",
    ),
    Table(
        "REQUEST_STATE_DYNAMO_TABLE",
        "amplify-{dep}-amplify-js-{stage}-request-state",
        Key("user", "requestId"),
        skip="valid for a day",
    ),
    Table(
        "POLL_STATUS_TABLE",
        "amplify-{dep}-lambda-{stage}-poll-status",
        Key("requestId", "user"),
        skip="valid for minutes",
    ),
    Table(
        "DATASOURCE_REGISTRY_DYNAMO_TABLE",
        "amplify-{dep}-amplify-js-{stage}-datasource-registry",
        Key("type"),
        skip="endpoint configuration without users",
    ),
    Table("MODEL_RATE_TABLE", "amplify-{dep}-chat-billing-{stage}-model-rates", Key("ModelID"), skip="prices"),
    Table(
        "ENV_VARS_TRACKING_TABLE",
        "amplify-{dep}-lambda-{stage}-env-vars-tracking",
        Key("service_var_key"),
        skip="names of variables, no users",
    ),
    Table(
        "LEGACY_ASSISTANTS_TABLE",
        "amplify-{dep}-lambda-{stage}-assistants",
        Key("id"),
        skip="not read by any service since v0.8",
    ),
    Table(
        "ACCOUNTING_DYNAMO_TABLE",
        "amplify-{dep}-lambda-{stage}-accounting",
        Key("id"),
        skip="of releases up to v0.8.0, read by no later one",
    ),
    Table(
        "CRITICAL_ERRORS_DYNAMODB_TABLE",
        "amplify-{dep}-admin-{stage}-critical-errors",
        Key("error_id"),
        skip="a record that expires by itself",
    ),
)

BY_KEY = {table.config_key: table for table in TABLES}
