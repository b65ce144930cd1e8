"""The states of a deployment that the sandbox can show (`--release`), from an old one to one half migrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wizard.errors import BadInput
from wizard.sandbox.schemas import BASIC_OPS, BUCKETS, SERVICES, TABLES, Bucket, Schema, owner

# What the services of the target release create and older ones lack.
_TARGET_ONLY = {"lambda/env-vars-tracking", "lambda/user-data-storage", "s3:lambda/consolidation"}
# What only releases before the target deploy, or later ones that the target does not know yet.
_OLD_ONLY = {
    "lambda/assistants", "lambda/chat-usage-archive", "chat-billing/history-usage", "s3:lambda/assistant-uploads",
}  # fmt: skip
_LATER = {
    "admin/critical-errors", "lambda/poll-status", "amplify-js/skills", "amplify-js/skill-shares",
    "assistants/layered-assistants",
}  # fmt: skip
_NOT_IN_V07 = {
    "agent-loop/agent-state", "agent-loop/agent-event-templates", "agent-loop/workflow-registry",
    "agent-loop/email-allowed-senders", "agent-loop/scheduled-tasks", "s3:agent-loop/agent-state",
    "s3:agent-loop/workflow-templates", "s3:agent-loop/scheduled-tasks-logs", "assistants/assistant-lookup",
    "lambda/conversation-metadata", "lambda/db-connections", "assistants-api/oauth-state",
    "assistants-api/user-oauth-integrations", "assistants-api/op-log", "assistants-api/job-status",
    "s3:assistants-api/job-results",
}  # fmt: skip


@dataclass(frozen=True)
class Release:
    """What is deployed. Steps 1 to 5 of the journey are done where `deployed`."""

    name: str
    about: str
    usage: str = "chat-usage"  # how the release spells the usage table
    deployed: bool = False  # new tables, consolidation bucket, parameters; amplify-lambda owns /user-data
    basic_ops: bool = True
    sync_rule: bool = False  # the job that re-creates rows keyed by e-mail address
    leftovers: bool = False  # rows and copies that a run of the old scripts leaves
    absent: frozenset[str] = frozenset()

    def has(self, resource: Schema | Bucket) -> bool:
        """Whether this release deploys a table or bucket."""
        id_ = f"s3:{resource.id}" if isinstance(resource, Bucket) else resource.id
        if resource.id in ("lambda/chat-usage", "lambda/chat-usages"):
            return resource.id == f"lambda/{self.usage}"
        if resource.service == BASIC_OPS:
            return self.basic_ops
        return id_ not in self.absent

    def tables(self, service: str | None = None) -> list[Schema]:
        return [table for table in TABLES if self.has(table) and service in (None, owner(table))]

    def buckets(self, service: str | None = None) -> list[Bucket]:
        return [bucket for bucket in BUCKETS if self.has(bucket) and service in (None, owner(bucket))]

    @property
    def services(self) -> list[str]:
        """Every service with a stack, amplify-lambda first: the others import its REST API."""
        return [*SERVICES, *([BASIC_OPS] if self.basic_ops else [])]


RELEASES: Mapping[str, Release] = {
    release.name: release
    for release in (
        Release(
            "v0.8.1",
            "the release most deployments migrate from: basic-ops, no consolidation bucket, sync job enabled",
            sync_rule=True,
            absent=frozenset(_TARGET_ONLY | _LATER | {"lambda/chat-usage-archive"}),
        ),
        Release(
            "v0.7",
            "an older one with fewer tables: no agents, no OAuth, no conversation metadata",
            absent=frozenset(_TARGET_ONLY | _LATER | _NOT_IN_V07),
        ),
        Release(
            "current",
            "the services that the guide describes, before their first deployment with the new storage",
            usage="chat-usages",
            absent=frozenset(_TARGET_ONLY | _LATER | _OLD_ONLY),
        ),
        Release(
            "deployed",
            "steps 1 to 5 are done: new storage is there and in use, basic-ops is kept without its endpoint",
            usage="chat-usages",
            deployed=True,
        ),
        Release(
            "half",
            "like deployed, after a run of the old scripts",
            usage="chat-usages",
            deployed=True,
            leftovers=True,
        ),
    )
}
DEFAULT = "v0.8.1"
# What the stand-in for `serverless` deploys: the release that the migration leads to.
TARGET = Release(
    "target", "the services that the migration leads to", deployed=True, basic_ops=False,
    absent=frozenset(_OLD_ONLY | _LATER),
)  # fmt: skip


def release(name: str) -> Release:
    """A release by name; raises BadInput for an unknown one."""
    try:
        return RELEASES[name]
    except KeyError:
        raise BadInput(f"--release {name!r} is not one of {', '.join(RELEASES)}.") from None
