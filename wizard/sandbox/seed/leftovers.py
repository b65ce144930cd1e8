"""What a run of the old scripts leaves behind, in the release "half"."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from wizard.sandbox.seed.chats import share_key
from wizard.sandbox.seed.model import SECONDS, Object, Row, Seedling, World, body
from wizard.sandbox.seed.storage import NEW, OLD, dashed, entry, safe


def seedlings(world: World) -> Iterator[Seedling]:
    if not world.release.leftovers or not world.jane.changes:
        return
    for person in world.people[: max(2, len(world.people) // 2)]:
        # Its update used the user's id as an assistant's: a row of nothing but the two ids.
        yield Row("assistants/assistants", {"id": person.old, "user": person.new})
        # Copies under the new id, the old row left as it was; costs are counted twice from then on.
        yield Row("lambda/user-tags", {"user": person.new, "tags": {"research", "teaching"}})
        yield Row("lambda/cost-calculations", {
            "id": person.new, "accountInfo": "general_account#NA", "dailyCost": Decimal("0.42"),
            "monthlyCost": Decimal("12.7"), "hourlyCost": [Decimal("0")] * 24, "record_type": "cost",
        })  # fmt: skip
        # The copy of user storage changed the key's first part and nothing else.
        head = f"{safe(person.new)}#{dashed(person.old)}"
        yield entry(world, NEW, f"{head}-amplify-user-settings", "user-settings", "user-settings",
                    {"settings": {"theme": "light", "fontSize": 14}})  # fmt: skip
        # Content that it moved went to the table that is being abandoned.
        yield entry(world, OLD, f"{safe(person.new)}#amplify-artifacts", "artifact-content", "20250305/Game:v1",
                    {"name": "Game", "type": "html", "contents": [60]}, migrated_from_s3=True,
                    migration_timestamp=str(SECONDS))  # fmt: skip
        # An agent's pointer whose object it did not copy.
        yield Row("agent-loop/agent-state", {"user": person.new, "sessionId": "s-lost",
                                             "memory": {"key": f"agentState/{person.old}/s-lost/agent_state.json"}})  # fmt: skip
        conversation = world.conversation(person)
        yield Object("lambda/consolidation", f"conversations/{person.new}/{conversation}", body({"conversation": []}))
    # One user at a time: a share between two people was copied under either new id, never under both.
    jane, bob = world.jane, world.bob
    tail = share_key(world, jane, bob).split("/", 2)[2]
    for recipient, sharer in ((jane.new, bob.old), (jane.old, bob.new)):
        yield Object("lambda/consolidation", f"shares/{recipient}/{sharer}/{tail}", body({"sharedBy": bob.old}))
