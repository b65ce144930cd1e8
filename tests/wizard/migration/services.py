"""Services that write to rows of a drawn deployment while it is migrated, cleaned up or rolled back, and what they may ask.

Each write carries a token that stands nowhere else. What must become of a row follows from how it was drawn, from what
stood before, and from what the services did to it; not from what the engine made of it.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from tests.wizard.migration.drawn import (
    ANYTHING,
    HISTORY,
    OLD_STORAGE,
    SHARES,
    STORAGE,
    SUMMED,
    VERSIONS,
    Deployment,
    saved,
    stands,
)
from tests.wizard.migration.object_services import ObjectServices
from tests.wizard.migration.stage import Dump, Item, Place, Stage, n, s
from tests.wizard.migration.wrote import Wrote, again, fits, form, since_deleted, total
from wizard.aws import is_read
from wizard.migration.entry import Entry
from wizard.migration.ledger import Ledger
from wizard.wire import canonical, key_of

_NAMING = ("id", "key", "executionId")  # what tells the members of a list apart
_KNOWN_VALUES = ("isPublic", "permission_level")  # attributes that take no token
_LOCK = "amplify-migrate#lock"
_SAVED = 1_756_720_000  # when people save settings: later than any that are drawn


class Services:
    """What wrote, where, and which of its tokens must still stand."""

    def __init__(self, stage: Stage, one: Deployment, before: Dump, objects: ObjectServices, seed: int):
        self.stage, self.before, self.objects = stage, before, objects
        self.wrote: dict[Place, list[Wrote]] = {}
        self.tokens: dict[str, Place] = {}
        self._draw, self._lock, self._count = random.Random(f"services {seed}"), threading.Lock(), 0
        self._group: dict[Place, set[Place]] = {}  # rows of which one becomes of the others
        self._old: dict[Place, Item] = {}  # as drawn, with bytes
        self._new: dict[Place, Item] = {}
        self._sums = {stage.name(table): names for table, names in SUMMED.items()}
        self._twice = stage.name(HISTORY)
        self._homes: set[Place] = set()  # rows under the ids that count in the end
        self._joined: set[Place] = set()  # what two rows become together is not foretold
        self._open = {*self._sums, stage.name(VERSIONS)}  # of the one the sums are, the other follows as a whole or not
        # Whose row it is and of what never changes, and of a list of shares more than a name tells the members apart.
        self._quiet = {stage.name(SHARES): ("user", "name", "data")}
        self._quiet |= {
            stage.name(table): ("entityType",) for table in (STORAGE, OLD_STORAGE)
        }  # what its key is made of
        for table, old, _, new in one.expected:
            home = STORAGE if table == OLD_STORAGE else table
            here, there = stage.place(table, old), stage.place(home, new)
            self._old[here] = old
            if there in self._new:
                self._joined.add(there)
            self._new.setdefault(there, new)
            self._homes.add(there)
        for turn in one.turns:
            for table, old, _, new in turn.expected:
                self._tie(stage.place(table, old), stage.place(STORAGE if table == OLD_STORAGE else table, new))
            for (pk, sk), origin in turn.origins:
                self._tie(stage.place(STORAGE, {"PK": s(pk), "SK": s(sk)}), stage.place(*origin))
        for old, new in one.later:
            here, there = stage.place(STORAGE, old), stage.place(STORAGE, new)
            self._old[here] = old
            self._tie(here, there)
            self._joined.add(there)
            self._homes.add(there)
        self.expect(one)
        # Settings that stand in user storage win, whatever a service writes to those of the shares row.
        self._joined.update(place for place in self.settings if place not in self._made)

    def expect(self, one: Deployment) -> None:
        """What must be at the end, if services do not write."""
        stage = self.stage
        self._made = {stage.place(STORAGE, {"PK": s(pk), "SK": s(sk)}): data for (pk, sk), data in one.all_made.items()}
        wanted = stands(one, lambda table, item: canonical(stage.key(table, item)).decode())
        self._after = {
            (stage.name(table), text): item if item is ANYTHING else form(item)
            for (table, text), item in wanted.items()
        }

    def _tie(self, one: Place, other: Place) -> None:
        together = self._group.setdefault(one, {one}) | self._group.setdefault(other, {other})
        for place in together:
            self._group[place] = together

    @cached_property
    def groups(self) -> list[set[Place]]:
        return list({id(group): group for group in self._group.values()}.values())

    @cached_property
    def settings(self) -> list[Place]:
        """Rows that hold the settings of a user, or may."""
        return sorted(place for place in self._group if "#amplify-user-settings#" in place[1])

    def together(self, place: Place) -> set[Place]:
        """This row with those that are made of it or that it became of."""
        return self._group.get(place, {place})

    @property
    def any_wrote(self) -> bool:
        return bool(self.wrote or self.objects.wrote)

    def touched(self, place: Place) -> bool:
        """Whether a service wrote to this row, to one that is made of it or became of it, or to its objects."""
        return self._is_loose(place) or any(one in self.wrote for one in self.together(place))

    def _is_loose(self, place: Place) -> bool:
        """Whether what its objects are by now is not what was drawn."""
        return not self.objects.rows.isdisjoint(self.together(place))

    def excuse(self, told: Mapping[str, Any]) -> bool:
        """Whether what a command tells of a change, or of what it kept of a table, concerns rows that services wrote to."""
        if "id" not in told:
            rows = any(self.touched(place) for place in self._group if place[0] == told["place"])
            return rows or self.objects.touched_in(told["place"])
        entries = [entry for entry in self.stage.entries() if entry.id == told["id"]]
        rows = any(self.touched(place) for place in places_of(entries))
        return rows or any(self.objects.touched(where) for where in self.objects.of(entries))

    # --- writing -------------------------------------------------------------------------------------------------------

    def write(self, among: Iterable[Place] = (), most: int = 6) -> None:
        """A few writes to rows `among` these, or that these became of or are made into; to any rows without them."""
        with self._lock:
            pool = [place for place in among if place in self._group] or sorted(self._group)
            for place in self._draw.sample(pool, min(len(pool), self._draw.randint(1, most))):
                other = self._draw.choice(sorted(self._group[place]))
                self._write(self._draw.choice([place, place, other]))

    def _write(self, place: Place) -> None:
        self._count += 1
        token, (table, text) = f"token-{self._count}-", place
        key = json.loads(text)
        item = self.stage.db.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        wrote = self._draw_write(place, item, token)
        if wrote is None:
            return
        lost = ""
        try:
            if wrote.kind == "delete":
                answer = self.stage.db.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")
                lost = str(answer.get("Attributes", ""))
            elif wrote.kind == "save":
                answer = self.stage.db.put_item(TableName=table, Item=wrote.value, ReturnValues="ALL_OLD")
                lost = str(answer.get("Attributes", ""))
                earlier = self._group[place].intersection(self.settings)  # a user has no use for what he saved before
                lost += str([known for known, where in self.tokens.items() if where in earlier])
            elif wrote.kind == "create":
                self.stage.db.put_item(
                    TableName=table, Item=wrote.value, ConditionExpression="attribute_not_exists(#k)",
                    ExpressionAttributeNames={"#k": next(iter(key))},
                )  # fmt: skip
                wrote = Wrote("create", (), form(wrote.value))
            else:
                before, name = str(item.get(wrote.path[0], "")), wrote.path[0]
                after = str(self._set(table, key, name, item.get(name), wrote))
                lost = "".join(known for known in self.tokens if known in before and known not in after)
        except ClientError as error:  # the engine came first
            assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
            return
        for known in [known for known in self.tokens if known in lost]:
            del self.tokens[known]
        self.wrote.setdefault(place, []).append(wrote)
        if token in str(wrote.value):
            self.tokens[token] = place

    def _set(self, table: str, key: Item, name: str, before: Any, wrote: Wrote) -> Any:
        after = (wrote.on({name: before} if before is not None else {}, ()) or {})[name]
        old = {":o": before} if before is not None else {}
        self.stage.db.update_item(
            TableName=table, Key=key, UpdateExpression="SET #n = :n",
            ConditionExpression="#n = :o" if old else "attribute_exists(#k) AND attribute_not_exists(#n)",
            ExpressionAttributeNames={"#n": name, **({} if old else {"#k": next(iter(key))})},
            ExpressionAttributeValues={":n": after, **old},
        )  # fmt: skip
        return after

    def _draw_write(self, place: Place, item: Item | None, token: str) -> Wrote | None:
        draw, (table, text) = self._draw, place
        if place in self.settings:  # which are saved as a whole
            if item is not None and draw.random() < 0.15:
                return Wrote("delete")
            data = {"M": {"settings": {"M": {"theme": s(token)}}}}
            user, app, entity = json.loads(text)["PK"]["S"].split("#")
            at = {"updatedAt": n(_SAVED + self._count)}
            return Wrote("save", (), form({**saved(user, app, entity, entity, data), **at}))
        if item is None:
            whole = self._old.get(place, self._new.get(place))
            if whole is None or draw.random() < 0.5:
                return None
            return Wrote(
                "create",
                (),
                {
                    **whole,
                    **{name: _few(whole[name]) for name in self._sums.get(table, ())},
                    f"beside {token}": s(token),
                },
            )
        if draw.random() < 0.15:
            return Wrote("delete")
        if table in self._sums and draw.random() < 0.7:
            return Wrote("spend", (draw.choice(["dailyCost"]),), n(draw.randint(1, 9)))
        kind, name = draw.choice(["beside", "rewritten", "rewritten", "revert"]), self._rewritten(place, item)
        if kind == "beside" or name is None:
            return Wrote("set", (f"beside {token}",), s(token))
        old = self._old.get(place, {}).get(name)
        if kind == "revert" and old is not None:
            return Wrote("revert", (name,), old)
        return self._of_value((name,), item[name], old, token)

    def _rewritten(self, place: Place, item: Item) -> str | None:
        """An attribute that the migration gives another value, where there is one; else any that may change."""
        key = json.loads(place[1])
        old, new = self._old.get(place, {}), self._new.get(place, {})
        names = [name for name in item if name not in key and name not in self._sums.get(place[0], ())]
        names = [name for name in names if name not in (*_KNOWN_VALUES, *self._quiet.get(place[0], ()))]
        names = [name for name in names if name == "active" or not item[name].keys() & {"B", "N", "NS"}]
        differs = [name for name in names if name == "active" or (name in old and old.get(name) != new.get(name))]
        names = differs or [name for name in names if next(iter(item[name])) in ("S", "L", "M", "SS")]
        return self._draw.choice(names) if names else None

    def _of_value(self, path: tuple[str, ...], value: Any, old: Any, token: str) -> Wrote:
        """Another value in the place of one, or a member more, at some depth."""
        ((kind, content),) = value.items()
        if path == ("active",):
            return Wrote("set", path, n(1 - int(content)) if kind == "N" else n(1))
        if kind == "L" and path[0] != "hourlyCost":
            if content and "M" in content[0]:
                first = content[0]["M"]
                return Wrote(
                    "add",
                    path,
                    {"M": {**{name: s(token) for name in _NAMING if name in first}, "beside": s(token)}},
                )
            return Wrote("add", path, s(token))
        if kind == "SS":
            return Wrote("add", path, s(token))
        if kind == "M":
            names = [name for name in content if (old or {}).get("M", {}).get(name) != content[name]]
            if names and self._draw.random() < 0.8:
                name = self._draw.choice(names)
                return self._of_value((*path, name), content[name], (old or {}).get("M", {}).get(name), token)
            return Wrote("set", (*path, token), s(token))
        return Wrote("set", path, s(token))

    # --- what must be true -----------------------------------------------------------------------------------------------

    def all_tokens_stand(self, dump: Dump, *, cleaned: bool = False) -> None:
        """Nothing that a service wrote is lost, unless a service overwrote or deleted it.

        What could not be put back where it was taken is in the workspace. Of two rows of one key one may have lost; it is
        gone once `cleaned`.
        """
        folder = self.stage.folder / "workspace"
        with Ledger(folder / "ledger.sqlite", writable=False) as ledger:
            aside = [path.read_text() for path in (folder / "backups").glob("not-put-back-*")]
            text = f"{dump} {ledger.taken()} {aside}"
        lost = {token: place for token, place in self.tokens.items() if token not in text}
        lost = {token: place for token, place in lost.items() if not (cleaned and self._merges(self._group[place]))}
        assert not lost, {
            token: [(one, self.wrote[one]) for one in sorted(self._group[place]) if one in self.wrote]
            for token, place in lost.items()
        }

    def _merges(self, group: set[Place]) -> bool:
        created = (place for place in group if any(one.kind == "create" for one in self.wrote.get(place, ())))
        if any(one.kind == "save" for place in group for one in self.wrote.get(place, ())):
            return True  # and what was saved wins
        return not group.isdisjoint(self._joined) or any(place in self._new for place in created)

    def rolled_back(self, dump: Dump, left: Iterable[Entry]) -> None:
        """Each row is as before, with what services wrote on top, or it is listed; what none wrote to is as before."""
        self.all_tokens_stand(dump)
        listed = set(places_of(left))
        for group in self.groups:
            wrong = [place for place in group if not self._is_as_before(place, dump)]
            self._told(group, wrong, listed, dump, self.before)
            self._sums_hold(group, dump, told=bool(wrong))
        for table in dump:
            strange = {text for text in dump[table] if dump[table][text] != self.before[table].get(text)}
            strange |= self.before[table].keys() - dump[table].keys()
            assert all((table, text) in self._group for text in strange), (table, strange)

    def migrated(self, dump: Dump, listed: Collection[Place]) -> None:
        """Each row that services wrote to is as planned, with what they wrote on top, or it is listed."""
        self.all_tokens_stand(dump)
        self._last_saved_stand(dump, listed)
        for group in self.groups:
            if any(self.touched(place) for place in group):
                wrong = [place for place in group if not self._is_as_planned(place, dump)]
                self._told(group, wrong, listed, dump, None)
                self._sums_hold(group, dump, told=bool(wrong))

    def _last_saved_stand(self, dump: Dump, listed: Collection[Place]) -> None:
        """Of settings that were saved under both ids the last ones stand under the new id, unless they are listed."""
        for place in self._homes.intersection(self.settings).difference(listed):
            of_user = self._group[place].intersection(self.settings)
            writes = [one for each in of_user for one in self.wrote.get(each, ())]
            if writes and all(one.kind == "save" for one in writes):
                last = max((one.value for one in writes), key=lambda item: int(item["updatedAt"]["N"]))
                found = _at(dump, place)
                assert found is not None and found["data"] == last["data"], (place, found, writes)

    def _told(
        self, group: set[Place], wrong: list[Place], listed: Collection[Place], dump: Dump, before: Dump | None
    ) -> None:
        if not any(self.touched(place) for place in group):
            assert not wrong, [(place, _at(dump, place), _at(before or {}, place)) for place in wrong]
            assert not group & set(listed), group & set(listed)
        told = not wrong or group & set(listed)
        assert told, [
            (place, "is", _at(dump, place), "was", _at(self.before, place), "wrote", self.wrote.get(place))
            for place in sorted(group)
        ]

    def _is_as_before(self, place: Place, dump: Dump) -> bool:
        if place[0] in self._sums and any(one.kind == "delete" for one in self.wrote.get(place, ())):
            return True  # the engine itself removes rows that are summed, and puts them back
        return fits(_at(dump, place), [self._folded(place, _at(self.before, place), self.wrote.get(place, ()))])

    def _is_as_planned(self, place: Place, dump: Dump) -> bool:
        found, own = _at(dump, place), self.wrote.get(place, [])
        others = [one for other in self._group[place] - {place} for one in self.wrote.get(other, ())]
        if self._is_loose(place):
            return found is not None or place not in self._after or any(one.kind == "delete" for one in (*own, *others))
        if place in self._made:
            data = self._made[place]
            # Nothing is made of what is gone, or of content that nothing leads to any more.
            gone = any(one.kind == "delete" or one.path == ("s3Key",) for one in (*own, *others))
            if found is None or data is None or own or others:
                return found is not None or gone
            return bool(form({"": data})[""] == found["data"])
        # What becomes of the content that an item leads to changes nothing in the item.
        items = self._group[place] - self._made.keys()
        others = [one for other in items - {place} for one in self.wrote.get(other, ())]
        base = self._after.get(place)
        foretold = base is not ANYTHING and place not in self._joined and place[0] not in self._open
        if not foretold or any(one.kind == "create" for one in own):
            return True
        if base is not None:  # an old value that a service writes again is migrated again
            own, others = ([each for one in writes for each in again(one, base)] for writes in (own, others))
        candidates = [
            self._folded(place, base, writes)
            for extra in ([], others)
            for writes in ([*extra, *own], [*own, *extra], since_deleted(own), [*extra, *since_deleted(own)])
        ]
        twins = [_at(dump, other) for other in self._group[place] - {place}]
        if place in self._old and any(twin is not None and twin.get("active") == n(1) for twin in twins):
            # A task that a service switched on before it was moved is on in its copy, and off here.
            candidates += [{**one, "active": n(0)} for one in candidates if one is not None and "active" in one]
        if any(one.kind == "delete" for one in (*own, *others)):
            candidates.append(None)
        return fits(found, candidates)

    def _folded(self, place: Place, item: Item | None, writes: Iterable[Wrote]) -> Item | None:
        for one in writes:
            item = one.on(item, self._sums.get(place[0], ()))
        return item

    def _sums_hold(self, group: set[Place], dump: Dump, *, told: bool) -> None:
        """Of what was spent nothing is lost and nothing counts twice; `told`: the rows are listed."""
        table = next(iter(group))[0]
        writes = [one for place in group for one in self.wrote.get(place, ())]
        if table not in self._sums or any(one.kind == "delete" for one in writes):
            return
        spent = [one.value if one.kind == "spend" else one.value["dailyCost"] for one in writes
                 if one.kind in ("spend", "create")]  # fmt: skip
        stood = [item["dailyCost"] for place in group if (item := _at(self.before, place))]
        wanted, found = total([*spent, *stood]), {
            place: item["dailyCost"] for place in group if (item := _at(dump, place))
        }  # fmt: skip
        twice = self._twice == table  # an old row that was only copied stands beside its copy until cleanup
        new = total(amount for place, amount in found.items() if place in self._new)
        assert wanted == total(found.values()) or (twice and (told or wanted == new)), (wanted, found, writes)


def _at(dump: Mapping[str, Mapping[str, Item]], place: Place) -> Item | None:
    return dump.get(place[0], {}).get(place[1])


def _few(value: Any) -> Any:
    return {"L": [n(1) for _ in value["L"]]} if "L" in value else n(1)


def places_of(entries: Iterable[Entry]) -> Iterator[Place]:
    """The rows that changes concern."""
    for entry in entries:
        if entry.kind != "object":
            key = {name: value for name, value in entry.source_key.items() if name != "part"}
            yield entry.source_place, canonical(key).decode()
            yield entry.target_place, canonical(entry.target_key).decode()


def rows_of(params: Mapping[str, Any], keys: Mapping[str, tuple[str, ...]]) -> list[Place]:
    """The rows that a request of DynamoDB is about to write."""
    body = json.loads(params["body"])
    found = []
    for one in [next(iter(part.values())) for part in body.get("TransactItems", ())] or [body]:
        item = one.get("Key") or one.get("Item")
        if item and _LOCK not in str(item) and one["TableName"] in keys:
            found.append((one["TableName"], canonical(key_of(item, keys[one["TableName"]])).decode()))
    return found


class Meanwhile:
    """Lets services write to rows at the moment that a run of the engine writes to them."""

    def __init__(self, context: Any, services: Services, share: float, seed: int):
        self._services, self._share, self._draw = services, share, random.Random(seed)
        context.account.client("dynamodb").meta.events.register_first("before-call.dynamodb", self._before)

    def _before(self, model: Any, params: Any, **_: Any) -> None:
        if is_read(model.name) or self._draw.random() >= self._share:
            return
        if rows := rows_of(params, self._services.stage.keys):
            self._services.write(rows, most=2)
