"""The journey of this program: each step's text, its rules and its actions.

An action is a command line. The wizard shows that line, and runs it through the parser of the command line itself, so
that a screen cannot do anything else than the command it shows.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wizard import rules
from wizard.estimate import duration
from wizard.facts import Facts
from wizard.guidance import BEFORE_CLEANUP, GUIDANCE, TITLES, TRY_BY_HAND, limitations
from wizard.journey import Action, Effect, Field, Journey, Outcome, Step, Values
from wizard.second_look import per_table, stop_and_think
from wizard.text import plural

if TYPE_CHECKING:
    from wizard.context import Context

Words = Callable[[Values], list[str]]
A_FILE = "writes a file"  # here; it changes nothing in the account


def action(id: str, label: str, effect: Effect, words: Words, **more: Any) -> Action:
    """An action that is the command `amplify-migrate WORDS…`."""

    def run(context: Context, values: Values) -> Outcome:
        from wizard.cli import run_words  # the commands need boto3; the first screen does not

        return run_words(words(values), context)

    return Action(id, label, effect, run, lambda values: shlex.join(["amplify-migrate", *words(values)]), **more)


def fixed(*words: str) -> Words:
    """A command line that no value changes."""
    return lambda values: list(words)


def option(values: Values, name: str, spelling: str) -> list[str]:
    """`--spelling VALUE` where the value is given."""
    return [spelling, values[name]] if values.get(name) else []


def ticks(items: dict[str, str], option: str, checked: Mapping[str, rules.Rule]) -> tuple[Field, ...]:
    """One field per line of a checklist; all must say yes. `checked` tells of some whether the facts say so already; the
    sandbox has nobody to ask."""

    def default(name: str) -> Callable[[Facts], str]:
        told = checked.get(name, rules.never)
        return lambda facts: "yes" if facts.value("sandbox") is True or told(facts) else ""

    return tuple(Field(name, text, option, default(name), ("yes", "no"), required=True) for name, text in items.items())


def name_of(which: str) -> Callable[[Facts], str]:
    """A name of the deployment from the facts."""
    return lambda facts: str((facts.value("names") or {}).get(which, ""))


# Steps 4a and 4b


def _tables_to_save(facts: Facts) -> str:
    old = name_of("old_user_storage")(facts)
    return " ".join(dict.fromkeys([*([old] if rules.old_rows(facts) else []), *rules.doomed(facts)]))


TABLES = Field(
    "tables", "Tables", "--table", _tables_to_save, required=True,
    help="separated by blanks; every table with rows that goes with the basic-ops stack",
)  # fmt: skip

HOW = Field(
    "how", "How", "--how", lambda facts: "stack" if facts.value("user_data_owner") == "basic-ops" else "resource",
    ("stack", "serverless", "resource"),
    help="stack: delete the basic-ops stack with its tables. serverless: remove it with the serverless command from its"
    " checkout. resource: delete only the API Gateway resource.",
    required=True,
)  # fmt: skip


OLD_ROOT = Field(
    "old", "Old checkout", "--old-root", lambda facts: str((facts.value("checkout") or {}).get("old", "")),
    help="for serverless only: the folder of the release that basic-ops was deployed from",
    asked=lambda values: values.get("how") == "serverless",
)  # fmt: skip


def _free(values: Values) -> list[str]:
    old = option(values, "old", "--old-root") if values["how"] == "serverless" else []
    return ["endpoint", "free", "--how", values["how"], *old]


def _free_word(facts: Facts) -> str:
    return name_of("basic_ops_stack")(facts)


def _free_warning(facts: Facts, values: Values) -> Sequence[str]:
    rows, lost = rules.old_rows(facts) or 0, rules.doomed(facts)
    gone = [f"The stack's tables go with it; with rows are: {', '.join(lost)}."] if lost else []
    gone += [f"The old user storage has {plural(rows, 'row')}, which are in the verified backup."] if rows else []
    return [
        *(gone if values.get("how") != "resource" else []),
        "User settings, shares and workflows do not work from now until amplify-lambda is deployed (4c):"
        f" if you go on at once, {_lambda_time(facts)}.",
        "Users see errors when they save settings, share, or open shared items; chats go on. Nothing needs to be stopped.",
    ]


# Steps 4c and 5


def _lambda_time(facts: Facts) -> str:
    """How long the deployment of amplify-lambda will take, and how that is known."""
    took = facts.value("lambda_deployment")
    if took:
        return f"{duration(took)} (as long as its last deployment took)"
    return "some 5 to 15 minutes (its last deployment left no times)"


def _lambda_warning(facts: Facts, values: Values) -> Sequence[str]:
    down = ["User settings, shares and workflows do not work until it is done; then they are back."]
    return [
        f"It takes {_lambda_time(facts)}, and each resource can be watched in the log.",
        *(down if facts.value("user_data_owner") != "amplify-lambda" else []),
        "Users may see single errors meanwhile. Nothing needs to be stopped.",
        "If CloudFormation refuses, its reason is shown and the stack rolls back by itself to what it is now.",
    ]


def _services_warning(facts: Facts, values: Values) -> Sequence[str]:
    return [
        "One service after another, some minutes each, and each resource can be watched in the log.",
        "Until the last one is deployed, old and new services stand side by side: users may see errors in what is not"
        " deployed yet. Do it in the maintenance window; nothing needs to be stopped.",
        "It stops at the first failure with CloudFormation's reason; that stack rolls back by itself, the others stay.",
    ]


# Step 4d

FILE = Field(
    "file", "Backup", "FILE", lambda facts: str((facts.value("backup") or {}).get("file", "")), required=True,
    help="a backup of this program, an export of DynamoDB, or the CSV of the old script",
)  # fmt: skip


def _map_file(facts: Facts) -> str:
    return str((facts.value("user_map") or {}).get("file", ""))


IMPORT_MAP = Field(
    "csv", "User map", "--csv-file", lambda facts: _map_file(facts) if rules.scenario(facts) == "a" else "",
    help="when ids change: rows go straight to their new key; empty leaves that to the plan",
)  # fmt: skip


def _import(values: Values) -> list[str]:
    return ["storage", "import", values["file"], *option(values, "csv", "--csv-file")]


# Step V


def _ticked_before(name: str) -> Callable[[Facts], str]:
    return lambda facts: "yes" if name in (facts.value("tried") or ()) else ""


TRIED = tuple(
    Field(name, f"Tried: {text[0].lower()}{text[1:]}", "--tried", _ticked_before(name), ("", "yes"))
    for name, text in TRY_BY_HAND.items()
)


def _verify_services(values: Values) -> list[str]:
    tried = [name for name in TRY_BY_HAND if values.get(name) == "yes"]
    return ["services", "verify", *(word for name in tried for word in ("--tried", name))]


# Step 6

CSV = Field("csv", "User map", "FILE", _map_file, required=True, help="a CSV with the header old_id,new_id")
ANY_CSV = replace(CSV, required=False)  # without one, everybody who has data is missing
MAP_OUTPUT = Field("output", "Write to", "--output", lambda facts: "migration_users.csv", required=True)
POOL = Field("pool", "User pool id", "--user-pool-id", help="compares new_id with the ids that users log in with")
ONLY = Field("only", "Only", "--only", choices=("", "tables", "buckets"), help="empty: tables and buckets in one plan")
AUDIT = Field("audit", "Map audit logs too", "--include-audit-logs", lambda facts: "no", ("no", "yes"))


def _made_map(outcome: Outcome) -> Values:
    return {"csv": str(outcome.details["output"])} if outcome.code == 0 and "output" in outcome.details else {}


def _plan(values: Values) -> list[str]:
    audit = ["--include-audit-logs"] if values.get("audit") == "yes" else []
    return ["migrate", "plan", "--csv-file", values["csv"], *option(values, "only", "--only"), *audit]


def _unsafe(facts: Facts) -> str:
    return " ".join((facts.value("safeguard") or {}).get("missing", ()))


def _second_look(outcome: Outcome) -> Sequence[str]:
    """What to think about after a plan; nothing where none was made."""
    summary = outcome.details
    if outcome.code or not summary.get("plan"):
        return ()
    return [
        *stop_and_think(summary),
        "",
        f"{plural(summary['changes'], 'change')} planned; nothing is written yet:",
        *(f"  {line}" for line in per_table(summary)),
        "",
        "If something here surprises you, look at the single changes, mend the map (6a) and plan again.",
    ]


def _safe_warning(facts: Facts, values: Values) -> Sequence[str]:
    return [
        f"Point-in-time recovery is switched on, and stays on, for: {_unsafe(facts).replace(' ', ', ') or 'no table'}.",
        "It costs some $0.20 a month for each GB of them. Nothing goes down or slower, and users notice nothing.",
    ]


UNSAFE = Field("tables", "Tables", "NAME", _unsafe, required=True, help="tables without recovery, separated by blanks")


def _apply_warning(facts: Facts, values: Values) -> Sequence[str]:
    plan = facts.value("plan") or {}
    guess = plan.get("estimate") or {}
    stay = rules.scenario(facts) == "b"
    seconds, dollars = guess.get("seconds"), float(guess.get("dollars", 0))
    how_long = f"in {duration(seconds)} ({guess['basis']})" if seconds is not None else "in a time not measured yet"
    sync = ["Stop first: the e-mail sync job is enabled and re-creates old ids; deploy object-access (step 5)."]
    unsafe = [] if rules.safeguard_done(facts) else _unsafe(facts).split()
    risk = [f"Without recovery or a backup so far (step 6b'): {', '.join(unsafe)}."] if unsafe else []
    return [
        f"{plural(int(plan.get('changes', 0)), 'change')} are made, {how_long}, for about ${max(0.01, dollars):,.2f} of"
        " requests.",
        *(sync if facts.value("sync_job") is True else []),
        *risk,
        "Stop first: scheduled tasks of users, and scripts of your own that write to these tables.",
        f"Users should be logged out until it is done{'' if stay else '; then they log in under the new id'}. Their"
        " conversations are loaded anew once. The services stay up, slower while it runs; `--max-write-units` holds it back.",
        *limitations(ids_change=not stay),
    ]


def _undo_warning(facts: Facts, values: Values) -> Sequence[str]:
    login = "" if rules.scenario(facts) == "b" else "; then they log in under the old id"
    return [
        "Every copy and change of this migration is taken back, the last one first; the old records count again.",
        "What services changed under the new ids since then is left as it is, and listed. Users should be logged out"
        f" until it is done{login}.",
    ]


def _undo() -> list[Action]:
    """Taking back what was applied: after an apply, and after a verification that is not what was hoped for."""
    return [
        action("rollback-dry-run", "Show what an undo would do", "read", fixed("rollback", "--dry-run"),
               applies=rules.something_to_undo, undo=True),
        action("rollback", "Undo what was applied", "destroy", fixed("rollback"), word=lambda facts: "ROLLBACK",
               warning=_undo_warning, preview="rollback-dry-run", applies=rules.something_to_undo, undo=True),
    ]  # fmt: skip


def _report() -> Action:
    """The report in the workspace, of what was done so far; each step that offers it has its own."""
    return action("report", "Write the report", "read", fixed("report"), does=A_FILE)


# Step 7


def _cleanup_warning(facts: Facts, values: Values) -> Sequence[str]:
    objects = (
        "Source objects in S3 are deleted as well; the buckets themselves stay."
        if values.get("objects") == "yes"
        else "Source objects in S3 stay: “Source objects in S3 too” is not ticked."
    )
    left = int(facts.value("retained") or 0)
    some = f"{plural(left, 'old record')} of tables at most are deleted"
    records = some if left else "No old record of a table is left to delete"
    return [
        f"{records}; each thing goes only if its verified copy exists at that moment. Nothing goes down, and users notice"
        " nothing.",
        objects,
        "Afterwards `rollback` is not possible: only the tables' own recovery or a backup brings an old record back.",
    ]


def _keep_warning(facts: Facts, values: Values) -> Sequence[str]:
    return [
        f"{plural(int(facts.value('retained') or 0), 'old record')} at most are marked `migration_retained`; nothing is"
        " deleted. This ends the migration; the old records can still be deleted later, or the migration undone.",
        "As long as they stand, a share of which only the sort key changed is listed twice.",
    ]


# Lines of the checklist that the facts can tell; whether features work with the new ids, only people.
CHECKED = {"deployed": rules.services_done, "quiet": rules.logs_quiet, "backups": rules.safeguard_done}
OBJECTS = Field(
    "objects", "Source objects in S3 too", "--objects", lambda facts: "no", ("no", "yes"),
    help="otherwise they stay; this can be done later as well",
)  # fmt: skip


def _cleanup_apply(values: Values) -> list[str]:
    return ["cleanup", "apply", "--objects" if values.get("objects") == "yes" else "--no-objects"]


def _step(
    id: str, skip: rules.Rule, done: rules.Rule, locked: rules.Rule, actions: Sequence[Action], *needs: str,
    tells: tuple[str, ...] = (),
) -> Step:  # fmt: skip
    return Step(id, TITLES[id], GUIDANCE[id], skip, done, locked, tuple(actions), needs, tells)


JOURNEY = Journey(
    (
        _step("0", rules.never, rules.deployment_done, rules.never, [
            action("deployment", "Show every name", "read", fixed("deployment")),
        ], "deployment", tells=("identity", "region", "generation")),
        _step("1", rules.parameters_skip, rules.parameters_done, rules.never, [
            action("dry-run", "Show what would be stored", "read", fixed("parameters", "populate", "--dry-run")),
            action("populate", "Store the parameters", "write", fixed("parameters", "populate"), preview="dry-run"),
        ], "parameters"),
        _step("2", rules.parameters_skip, rules.references_done, rules.never, [
            action("verify", "Check every reference", "read", fixed("parameters", "verify")),
        ], "references"),
        _step("3", rules.parameters_skip, rules.definitions_done, rules.never, [
            action("check", "Check the definitions", "read", fixed("services", "check")),
        ], "definitions"),
        _step("4", rules.never, rules.branch, rules.never, [
            action("preflight", "Look again", "read", fixed("preflight")),
        ], "basic_ops_stack", "old_user_storage", "user_data_owner", tells=("basic_ops_tables", "sync_job", "recovery")),
        _step("4a", rules.backup_skip, rules.backup_done, rules.never, [
            action("backup", "Back up and verify", "read",
                   lambda values: ["storage", "backup", "--table", *values["tables"].split()], fields=(TABLES,),
                   does=A_FILE),
        ], "old_user_storage", "basic_ops_tables"),
        _step("4b", rules.never, rules.endpoint_done, rules.endpoint_locked, [
            action("show", "Show who owns it", "read", fixed("endpoint", "show")),
            action("wait", "Wait: I free it by hand", "read", fixed("endpoint", "free", "--how", "wait"),
                   does="looks, waits"),
            action("dry-run", "Show what would be removed", "read",
                   lambda values: [*_free(values), "--dry-run"], fields=(HOW, OLD_ROOT)),
            action("free", "Free /user-data", "destroy", _free, fields=(HOW, OLD_ROOT),
                   word=_free_word, preview="dry-run", warning=_free_warning),
        ], "user_data_owner"),
        _step("4c", rules.lambda_skip, rules.lambda_done, rules.lambda_locked, [
            action("list", "Show what would be deployed", "read", fixed("services", "list", "amplify-lambda")),
            action("deploy", "Deploy amplify-lambda", "write", fixed("services", "deploy", "amplify-lambda"),
                   preview="list", warning=_lambda_warning),
        ], "lambda_stack", "new_user_storage", "consolidation"),
        _step("4d", rules.import_skip, rules.import_done, rules.import_locked, [
            action("dry-run", "Show what would be imported", "read", lambda values: [*_import(values), "--dry-run"],
                   fields=(FILE, IMPORT_MAP)),
            action("import", "Import the rows", "write", _import, fields=(FILE, IMPORT_MAP), preview="dry-run"),
        ], "backup", "import", "old_user_storage"),
        _step("5", rules.services_skip, rules.services_done, rules.services_locked, [
            action("list", "Show order and state", "read", fixed("services", "list")),
            action("deploy", "Deploy the services", "write", fixed("services", "deploy", "--all"), preview="list",
                   warning=_services_warning),
        ], "services"),
        _step("V", rules.never, rules.verified_done, rules.never, [
            action("follow", "Follow the logs", "read", fixed("services", "verify", "--follow"),
                   does="looks, until stopped"),
            action("verify", "Verify the services", "read", _verify_services,
                   fields=TRIED),
        ], "verified_services", tells=("tried",)),
        _step("6a", rules.never, rules.map_done, rules.never, [
            action("missing", "Who is missing in it", "read",
                   lambda values: ["users", "missing", *option(values, "csv", "--csv-file")], fields=(ANY_CSV,)),
            action("same", "Make a map, ids stay", "read",
                   lambda values: ["users", "generate", "--no-id-change", "--output", values["output"]],
                   fields=(MAP_OUTPUT,), offers=_made_map, does=A_FILE),
            action("sub", "Make a map from the pool", "read",
                   lambda values: ["users", "generate", "--use-sub", *option(values, "pool", "--user-pool-id"),
                                   "--output", values["output"]], fields=(POOL, MAP_OUTPUT), offers=_made_map,
                   does=A_FILE),
            action("check", "Check the map and use it", "read",
                   lambda values: ["users", "check", values["csv"], *option(values, "pool", "--user-pool-id")],
                   fields=(CSV, POOL)),
        ], "user_map", tells=("user_ids",)),
        _step("6b", rules.never, rules.plan_done, rules.map_locked, [
            action("plan", "Make the plan", "read", _plan, fields=(CSV, ONLY, AUDIT), review=_second_look),
        ], "plan"),
        _step("6b'", rules.safeguard_skip, rules.safeguard_done, rules.safeguard_locked, [
            action("show", "Show what is safe", "read", fixed("backup", "show")),
            action("waive", "Do without, by name", "read",
                   lambda values: ["backup", "waive", *values["tables"].split()], fields=(UNSAFE,), does="notes it here"),
            action("create", "Make the tables safe", "write", fixed("backup", "create"), preview="show",
                   warning=_safe_warning),
        ], "safeguard"),
        _step("6c", rules.never, rules.apply_done, rules.apply_locked, [
            action("status", "Show the status", "read", fixed("migrate", "status")),
            *_undo(),
            action("dry-run", "Show what would be applied", "read", fixed("migrate", "apply", "--dry-run")),
            action("apply", "Apply the plan", "write", fixed("migrate", "apply"), preview="dry-run",
                   warning=_apply_warning),
        ], "plan", tells=("sync_job",)),
        _step("6d", rules.never, rules.verify_done, rules.verify_locked, [
            action("status", "Show the status", "read", fixed("migrate", "status")),
            _report(),
            *_undo(),
            action("verify", "Verify", "read", fixed("migrate", "verify")),
        ], "plan", "verification"),
        _step("7", rules.never, rules.cleanup_done, rules.cleanup_locked, [
            action("plan", "Show what would be deleted", "read",
                   lambda values: ["cleanup", "plan", *(["--objects"] if values.get("objects") == "yes" else [])],
                   fields=(OBJECTS,)),
            action("verify", "Check the cleanup", "read", fixed("cleanup", "verify")),
            _report(),
            action("keep-dry-run", "Show what would be marked", "read", fixed("cleanup", "mark", "--dry-run")),
            action("keep", "Keep old records", "write", fixed("cleanup", "mark"), preview="keep-dry-run",
                   warning=_keep_warning),
            action("apply", "Delete old records", "destroy", _cleanup_apply, word=lambda facts: "DELETE",
                   fields=(OBJECTS, *ticks(BEFORE_CLEANUP, "checklist", CHECKED)), preview="plan",
                   warning=_cleanup_warning),
        ], "plan", "retained"),
    )
)  # fmt: skip
