"""The form of a step: which fields its actions ask for, what they start with, and what is wrong with a value. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wizard.facts import Facts
from wizard.journey import Action, Field, Values


def fields(actions: Iterable[Action]) -> list[Field]:
    """The fields of several actions, each name once, in order."""
    named: dict[str, Field] = {}
    for action in actions:
        for field in action.fields:
            named.setdefault(field.name, field)
    return list(named.values())


def filled(action: Action, given: Mapping[str, str], facts: Facts) -> Values:
    """The values of an action's own fields: those given, else the defaults; an emptied field that is needed, too."""
    return {field.name: value_of(field, given, facts).strip() for field in action.fields}


def value_of(field: Field, given: Mapping[str, str], facts: Facts) -> str:
    """What was given, else the default, to which a needed field falls back when it is emptied."""
    value = given.get(field.name)
    return field.default(facts) if value is None or (field.required and not is_tick(field) and not value) else value


def is_tick(field: Field) -> bool:
    """Whether a field is answered by yes or not yes: a box to tick."""
    return "yes" in field.choices and set(field.choices) <= {"yes", "no", ""}


def unticked(field: Field) -> str:
    """How a box that is not ticked is spelled."""
    return "no" if "no" in field.choices else ""


def complaint(field: Field, value: str) -> str:
    """What is wrong with a value, as a sentence; "" when it will do."""
    spelled = f" ({field.option})" if field.option else ""
    if not_confirmed(field, value):
        return f"“{field.label}” must be confirmed first."
    if field.required and not value:
        return f"{field.label}{spelled} is needed."
    if value and field.choices and value not in field.choices:
        return f"{field.label}{spelled} is one of: {', '.join(field.choices)}."
    return ""


def not_confirmed(field: Field, value: str) -> bool:
    """Whether a box that must be ticked is not."""
    return field.required and is_tick(field) and value != "yes"


def wrong(action: Action, values: Values) -> list[Field]:
    """The fields that an action asks for and whose value will not do, in order."""
    return [field for field in action.fields if field.asked(values) and complaint(field, values.get(field.name, ""))]


def complaints(action: Action, values: Values) -> list[str]:
    """All complaints about the values that an action asks for; one for all boxes that are to be ticked."""
    found = [(field, values.get(field.name, "")) for field in wrong(action, values)]
    boxes = [f"“{field.label}”" for field, value in found if not_confirmed(field, value)]
    others = [complaint(field, value) for field, value in found if not not_confirmed(field, value)]
    return [*([f"{', '.join(boxes)} must be confirmed first."] if boxes else []), *others]
