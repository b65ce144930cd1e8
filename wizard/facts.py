"""What a read-only look at the account and the workspace found. Steps branch on facts; `unknown` is never `absent`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["ok", "attention", "blocked", "unknown"]
WORST_FIRST: tuple[Verdict, ...] = ("blocked", "attention", "unknown", "ok")


@dataclass(frozen=True)
class Fact:
    """One finding. `value` is what later steps branch on (None while unknown); `found` and `todo` are for people."""

    name: str
    verdict: Verdict
    title: str
    found: str
    todo: str = ""
    value: Any = None


@dataclass(frozen=True)
class Facts:
    """All facts of one look, by name. Names and values:

    Where we are:
    system              {"platform": str, "screens": bool}: whether a full-screen face can start
    sandbox             whether this is the embedded AWS
    identity            {"account", "arn"}
    region              "us-east-1"
    permissions         actions of the policy that are missing
    names               {"basic_ops_stack", "lambda_stack", "old_user_storage", "new_user_storage", "consolidation"}
    deployment          number of tables found under the deployment's names (0: nothing is deployed here)
    overrides           {config key: name} from the environment
    generation          "0.8", "2025-10" or "2026-06": the release whose tables are deployed; "" while none is
    export_owner        the stack that exports `{stage}-RestApiId`, "" while none does
    checkout            {"root": str, "services": int}; root "" without a checkout
    var_file            its path, or ""
    serverless          the command as an argument list, [] where there is none
    disk                free bytes where the workspace is

    What stands in the account:
    basic_ops_stack     CloudFormation status of the basic-ops stack, or "absent"
    lambda_stack        CloudFormation status of amplify-lambda's stack, or "absent"
    lambda_deployment   seconds that the last deployment of amplify-lambda took, None where that is not known
    old_user_storage    {"exists": bool, "rows": int}
    basic_ops_tables    {"tables": [with rows, of the basic-ops stack], "unsaved": [those without a verified backup]}
    new_user_storage    {"exists": bool, "rows": int}
    buckets             {"present": [names], "absent": [names]} of the catalog's buckets; "legacy": those present whose
                        content is moved elsewhere
    consolidation       whether the consolidation bucket exists and is this account's
    user_data_owner     "basic-ops", "amplify-lambda", "orphan", "nobody", or another stack's name
    user_ids            {"ids": number looked at, "emails": how many of them look like e-mail addresses} of cognito-users
    sync_job            whether the e-mail sync rule is enabled
    services            {service: status, "absent" or "outdated"} of the services other than amplify-lambda
    recovery            tables of the deployment without point-in-time recovery
    parameters          {"root": bool, "missing": [names], "different": [names], "total": int}
    references          {"root": bool, "unresolved": [names]}
    definitions         {"root": bool, "basic_ops": [file:line], "renamed": [table names]}

    What only the workspace knows:
    backup              {"verified": bool, "rows": int, "file": path} of the newest backup of the old table, or {}
    import              {"missing": rows of the backup that are not yet in the new table}, {} without a backup
    verified_services   whether step V found nothing wrong since the last deployment
    quiet_logs          whether step V found no error a day or more after the last deployment and apply
    user_map            {"rows": int, "scenario": "a" | "b", "errors": int, "digest": str, "file": path}, or {}
    tried               names of `TRY_BY_HAND` that were ticked at step V
    waivers             names that the operator decided to do without
    kept                whether the operator chose to keep the old records
    cut_off             {"step": id, or "rollback"} of the last command, if it did not come to its end; else {}
    plan                {"id": int, "changes": open ones, "fresh": bool, "counts": {state: int},
                        "undone": whether a rollback of it began,
                        "made": changes that rollback would undo, also where verify found it wrong,
                        "still_to_put_back": items that a deletion took and that do not stand again,
                        "still_to_remove": old rows of sums, at zero, that apply could not remove,
                        "estimate": {"seconds", "dollars", "basis"} of applying what is planned,
                        "not_in_map": users with data who are not in the map,
                        "unknown_references": paths with old ids that the catalog does not name} or {}
    safeguard           {"waived": bool, "missing": [tables of the plan without recovery or a backup]} or {}
    verification        {"clean": bool}: everything applied was verified since the last apply; {} without a plan
    retained            number of old records that stand beside their verified copies
    """

    by_name: Mapping[str, Fact] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Fact]:
        return iter(self.by_name.values())

    def known(self, name: str) -> bool:
        """Whether the fact was found out."""
        fact = self.by_name.get(name)
        return fact is not None and fact.verdict != "unknown"

    def causes(self) -> str:
        """Why some could not be found out, as sentences to follow another one; "" when all are known."""
        told = dict.fromkeys(fact.found for fact in self if fact.verdict == "unknown")  # often one cause of them all
        return f" What it depends on could not be seen: {' '.join(told)}" if told else ""

    def value(self, name: str, default: Any = None) -> Any:
        """The value of a known fact, else `default`."""
        return self.by_name[name].value if self.known(name) else default
