"""The buckets of a deployment: what is in each, where it goes, and what is left alone for which reason.

The order is the order of apply: copies of users' objects, split states, whole buckets, then what becomes items.
"""

from __future__ import annotations

from wizard.catalog.bucket_model import CONSOLIDATION, Bucket, Route

_INDEXED = (
    "its keys are ids of files in tables, conversations and the vector store, and a copy would be indexed once more"
)
_TRANSIENT = "what is converted or uploaded here lives for a day; the new services write elsewhere"
_EXPIRES = "expires after one day"

BUCKETS: tuple[Bucket, ...] = (
    # LastModified changes with a copy: clients that ask "changed since" download every conversation once more.
    Bucket(
        "S3_CONVERSATIONS_BUCKET_NAME",
        "amplify-{dep}-lambda-{stage}-user-conversations",
        routes=(Route("{user}/{rest}", "conversations/{user}/{rest}"),),
        skip=(("temp/", "temporary chunks of a download"),),
        pointer="conversation-metadata.s3_key",
    ),
    # Both ids are mapped at once; a share is copied when either of the two is mapped, so that every pointer resolves.
    Bucket(
        "S3_SHARE_BUCKET_NAME",
        "amplify-{dep}-lambda-{stage}-share",
        routes=(Route("{recipient}/{sharer}/{rest}", "shares/{recipient}/{sharer}/{rest}"),),
        pointer="user-data-storage received.data.key",
    ),
    # Conversation bodies keep the old keys (a known limitation).
    Bucket(
        "ASSISTANTS_CODE_INTERPRETER_FILES_BUCKET_NAME",
        "amplify-{dep}-assistants-{stage}-code-interpreter-files",
        routes=(Route("{user}/{rest}", "codeInterpreter/{user}/{rest}"),),
    ),
    # index.json of a session holds the old id as information; the whole tree of the user moves.
    Bucket(
        "AGENT_STATE_BUCKET",
        "amplify-{dep}-agent-loop-{stage}-agent-state",
        routes=(Route("{user}/{rest}", "agentState/{user}/{rest}"),),
        pointer="agent-state.memory",
    ),
    # Split states: what newer services wrote here under the old id before ids were migrated.
    Bucket(
        CONSOLIDATION,
        "amplify-{dep}-lambda-{stage}-consolidation",
        routes=(
            Route("conversations/{user}/{rest}", "conversations/{user}/{rest}"),
            Route("shares/{recipient}/{sharer}/{rest}", "shares/{recipient}/{sharer}/{rest}"),
            Route("codeInterpreter/{user}/{rest}", "codeInterpreter/{user}/{rest}"),
            Route("agentState/{user}/{rest}", "agentState/{user}/{rest}"),
            Route("scheduledTaskLogs/{user}/{rest}", "scheduledTaskLogs/{user}/{rest}"),
        ),
        skip=(
            ("agentConversations/", "names no user"),
            ("dataDisclosure/", "names no user"),
            ("apiDocumentation/", "names no user"),
            ("powerPointTemplates/", "names no user"),
            ("temp/", _EXPIRES),
            ("tempIntegrationFiles/", _EXPIRES),
            ("conversion/", _EXPIRES),  # and a copy into conversion/input/ would start the converter
        ),
    ),
    # astgp/… of groups and astp/… of tracked standalone assistants.
    Bucket(
        "S3_GROUP_ASSISTANT_CONVERSATIONS_BUCKET_NAME",
        "amplify-{dep}-assistants-{stage}-group-conversations-content",
        routes=(Route("{rest}", "agentConversations/{rest}"),),
        pointer="group-assistant-conversations.s3Location",
        standalone="group-conversations",
    ),
    Bucket(
        "S3_API_DOCUMENTATION_BUCKET",
        "amplify-{dep}-api-{stage}-documentation-bucket",
        routes=(Route("{rest}", "apiDocumentation/{rest}"),),
        standalone="api-documentation",
    ),
    # A new PDF under dataDisclosure/ becomes a new latest version, which everybody must accept again, unless a row of
    # versions names it already: the rows are written first.
    Bucket(
        "DATA_DISCLOSURE_STORAGE_BUCKET",
        "amplify-{dep}-data-disclosure-{stage}-storage",
        routes=(Route("{rest}", "dataDisclosure/{rest}"),),
        pointer="versions.pdf_id, versions.s3_reference",
        pointer_first=True,
        becomes_version=".pdf",
        standalone="data-disclosure",
    ),
    # A .pptx under powerPointTemplates/ rewrites its entry in admin-configs from the object's metadata, copied as well.
    Bucket(
        "S3_CONVERSION_OUTPUT_BUCKET_NAME",
        "amplify-{dep}-lambda-{stage}-document-conversion-output",
        routes=(
            Route("templates/{rest}", "powerPointTemplates/{rest}"),
            Route("{user}/{rest}", stays=_TRANSIENT),  # {uuid}.{format} and {uuid}.template
        ),
        pointer="admin-configs powerPointTemplates (names only)",
        standalone="conversion-templates",
        keep_source=True,  # the templates stay where the old converter looks
    ),
    Bucket(
        "SCHEDULED_TASKS_LOGS_BUCKET",
        "amplify-{dep}-agent-loop-{stage}-scheduled-tasks-logs",
        routes=(Route("{user}/{task_id}/logs/{execution_id}.json", content="task-log"),),
        pointer="scheduled-tasks.logs[].detailsKey",
    ),
    # The id is told by its place: an employee number of eight digits looks like the date behind it.
    Bucket(
        "S3_ARTIFACTS_BUCKET",
        "amplify-{dep}-artifacts-{stage}-bucket",
        routes=(Route("{user}/{date}/{name}", content="artifact"),),
        pointer="user-artifacts.artifacts[].key",
    ),
    Bucket(
        "WORKFLOW_TEMPLATES_BUCKET",
        "amplify-{dep}-agent-loop-{stage}-workflow-templates",
        routes=(Route("{user}/{template_id}.json", content="workflow"),),
        pointer="workflow-registry.s3Key",
    ),
    # --- never touched -----------------------------------------------------------------------------------------------
    Bucket(
        "S3_CONVERSION_INPUT_BUCKET_NAME",
        "amplify-{dep}-lambda-{stage}-document-conversion-input",
        layouts=("{user}/{uuid}-to-{format}.md",),
        untouched=_TRANSIENT,
    ),
    Bucket("S3_ZIP_FILE_BUCKET_NAME", "amplify-{dep}-lambda-{stage}-zip-files", untouched=_TRANSIENT),
    Bucket("TRACE_BUCKET_NAME", "amplify-{dep}-lambda-{stage}-chat-traces", untouched="tracing is off"),
    *(
        Bucket(
            config_key,
            pattern,
            layouts=("{user}/{date}/{uuid}.json",),
            pointer="files.id, object_access.object_id, hash-files.id, assistants.dataSources",
            untouched=_INDEXED,
        )
        for config_key, pattern in (
            ("S3_IMAGE_INPUT_BUCKET_NAME", "amplify-{dep}-lambda-{stage}-image-input"),
            ("S3_RAG_INPUT_BUCKET_NAME", "amplify-{dep}-lambda-{stage}-rag-input"),
        )
    ),
    Bucket(
        "S3_FILE_TEXT_BUCKET_NAME",
        "amplify-{dep}-lambda-{stage}-file-text",
        layouts=("global/{sha256}.content.json",),
        pointer="hash-files.textLocationKey",
        untouched=_INDEXED,
    ),
    Bucket("S3_RAG_CHUNKS_BUCKET_NAME", "amplify-{dep}-lambda-{stage}-rag-chunks", untouched=_INDEXED),
    Bucket("S3_ACCESS_LOGS_BUCKET_NAME", "amplify-{dep}-lambda-{stage}-access-logs", untouched="a record of the past"),
    Bucket(
        "JOB_RESULTS_BUCKET",
        "amplify-{dep}-assistants-api-{stage}-job-results",
        layouts=("{user}/{job_id}/result.json",),
        pointer="job-status.stored_result",
        untouched="job-status.stored_result keeps pointing here",
    ),
    Bucket("RAW_EMAILS_BUCKET", "amplify-{dep}-agent-loop-{stage}-raw-emails", untouched="mail that was dealt with"),
)

STANDALONE: dict[str, Bucket] = {row.standalone: row for row in BUCKETS if row.standalone}
