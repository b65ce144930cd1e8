"""What each step says about itself: what it does, why, and what happens if it fails. In own words, from the guide."""

from __future__ import annotations

TITLES = {
    "0": "Choose the deployment",
    "1": "Populate Parameter Store",
    "2": "Verify Parameter Store",
    "3": "Check the definitions",
    "4": "Preflight and branch",
    "4a": "Back up user storage",
    "4b": "Free /user-data",
    "4c": "Deploy amplify-lambda",
    "4d": "Import user storage",
    "5": "Deploy other services",
    "V": "Verify the services",
    "6a": "User map",
    "6b": "Plan the migration",
    "6b'": "Safeguard the tables",
    "6c": "Apply the plan",
    "6d": "Verify the migration",
    "7": "Clean up, or keep",
}

GUIDANCE = {
    "0": (
        "Name, stage and region decide every table, bucket and stack name. Compare the account and what was found"
        " in it with what you expect before going on: everything after this acts there."
    ),
    "1": (
        "The new services read their configuration from Parameter Store. This stores what each serverless.yml"
        " defines under `# Locally Defined Variables`, and the shared values of the var file, where the services"
        " will read them. Only what differs is written, and what is overwritten is labelled so that it can be put"
        " back. Running services do not notice. If it stops, run it again: it goes on. Keep the var file,"
        " serverless.yml still reads it; ADMINS holds user ids, so mind it when ids change."
    ),
    "2": (
        "Every `${ssm:…}` reference of every service must lead to a parameter that exists. One that does not"
        " stops that service's deployment half way, so it is found here first. Nothing is changed."
    ),
    "3": (
        "No serverless.yml may read an output of basic-ops any more. And deploying must not rename a table that"
        " has data: CloudFormation replaces, and so deletes, a table whose name changes under the same logical id."
        " Nothing is changed."
    ),
    "4": (
        "Three things decide what follows: whether the basic-ops stack exists, whether the old user storage table"
        " has rows, and who owns the path /user-data. Only reads; repeat it as often as you like."
    ),
    "4a": (
        "Removing basic-ops deletes its tables. This saves every row of those that have any, the old user storage first,"
        " in files, without loss, then reads them back and compares them with the tables. 4b stays locked until that"
        " comparison holds. Let nobody write meanwhile; if rows changed, back up again. The tables themselves are not"
        " touched."
    ),
    "4b": (
        "basic-ops and amplify-lambda both define /user-data on one REST API, and only one stack can own it."
        " Gentlest: deploy basic-ops without its http event, so that its tables stay. Usual: remove the stack; its"
        " tables go with it, which is why the backup comes first. From here until 4c is done, user settings,"
        " shares and workflows do not work: do this in a maintenance window, right before 4c."
    ),
    "4c": (
        "amplify-lambda takes over /user-data and brings the consolidation bucket and the new user storage table."
        " It goes first because the others import its API. If CloudFormation refuses, its reason is shown, and the"
        " stack rolls back by itself; mend the cause and run it again."
    ),
    "4d": (
        "Puts the backed-up rows into the new table; rows that are there already are left alone, so it can be"
        " repeated. When user ids change, you may do 6a first and come back: each row then goes straight to its"
        " new key. Otherwise the plan moves the rows later."
    ),
    "5": (
        "Deploys the other services one after another with the `serverless` command, in the order of their"
        " dependencies. It stops at the first failure with CloudFormation's reason; run it again and it goes on"
        " there. Without the command the exact lines are shown and CloudFormation is watched. The new object-access"
        " also ends the e-mail sync job, which would re-create old ids."
    ),
    "V": (
        "Looks at stacks, functions, tables, roles and the logs since the deployment, and groups errors by cause."
        " Then try the main features by hand and tick what works; the next verification notes it. If something is"
        " broken, deploy the previous checkout again: Parameter Store can stay as it is, it does not disturb the old"
        " services."
    ),
    "6a": (
        "The map says, for each user, the old id and the new one: a CSV with the header `old_id,new_id`. Scenario"
        " A: ids change. Scenario B: both columns are the same, and only storage is consolidated; that map can be"
        " made for you. Every line is checked before it is used. Users who are not in the map are not touched."
    ),
    "6b": (
        "Reads each table once and lists each bucket once, and records every change that would be made. It"
        " changes nothing. Look at the result: counts per table, conflicts, users without a row, ids found where"
        " nobody expected any."
    ),
    "6b'": (
        "Each table that the plan changes should have point-in-time recovery or a backup, so that a mistake can"
        " be undone even outside of this program. This switches recovery on where it is off. What you do without,"
        " you waive by name."
    ),
    "6c": (
        "Makes exactly the planned changes, each on condition that the record is still what it was; anything else"
        " is listed as a conflict, never overwritten. Old records stay until cleanup. You can stop at any time:"
        " the same action goes on. Users should be logged out meanwhile."
    ),
    "6d": (
        "Reads everything back that was applied, and scans once more for old ids. Only what matches may be"
        " cleaned up later. Nothing is changed."
    ),
    "7": (
        "Apply left the old records beside the new ones. Deleting them is final, so it waits until the services"
        " have run without errors for a day or two and users have confirmed their data. Each one is deleted only"
        " if its verified copy exists at that moment. Keeping them, marked, is an equal choice. What can be checked is"
        " ticked already; the rest is yours."
    ),
}

CREDENTIALS = """\
Three ways to give credentials:
1. Environment: quit, export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… (and AWS_SESSION_TOKEN=…), come back
2. Credentials file: aws configure --profile NAME
3. Single sign-on: aws configure sso, then aws sso login --profile NAME"""

NOT_RENEWED = "The credentials were not renewed. Renew them, or choose another profile."

TRY_BY_HAND = {
    "login": "Log in as an ordinary user",
    "conversation": "Open an old conversation",
    "assistant": "Use an assistant",
    "shared": "Open a shared item",
    "upload": "Upload a file and ask about it",
    "api-key": "Call the API with an old key",
}

BEFORE_CLEANUP = {
    "deployed": "All services are deployed anew",
    "features": "Features tried with the new user ids",
    "quiet": "No errors in the logs for 24 to 48 h",
    "accepted": "Users have tested and accepted",
    "backups": "Backups were verified",
}

LIMITATIONS = (
    "Files made by the code interpreter in old conversations cannot be downloaded under a changed id.",
    "Code interpreter uploads of ids without an @ are not found under a changed id.",
    "Old files that were never processed cannot be deleted by their owner under a changed id.",
    "Costs of system API keys stay with the old user id.",
    "The text of old conversations and the audit logs keep the old ids (`--include-audit-logs` maps the user in"
    " admin, group and operation logs).",
    "Group detection of layered assistants goes by the old ids.",
    "An old record goes at cleanup although its new one has lost single members of a list: their user may have removed them.",
    "Until cleanup, a share of which only the sort key changed is listed twice, and rows of user storage share their"
    " UUID.",
)


def limitations(ids_change: bool) -> tuple[str, ...]:
    """What will not work, or only later, after an apply; all but the last come of a changed id."""
    return LIMITATIONS if ids_change else LIMITATIONS[-1:]


def rollback_plan(label: str) -> list[str]:
    """What to do when the new services do not work, for one deployment (guide, "Rollback Plan")."""
    return [
        f"Leave Parameter Store as it is: it does not disturb the services of {label} that ran before.",
        "Check out the commit that was deployed before, and deploy its services in the order of `services list`.",
        "Mind that deploying the older amplify-lambda removes user-data-storage: back it up first"
        " (`amplify-migrate storage backup --table …`).",
        "If user ids were migrated already, undo that first: `amplify-migrate rollback --dry-run`, then without.",
        "Find the cause before another attempt; the workspace keeps the plan, the logs and the backups.",
    ]
