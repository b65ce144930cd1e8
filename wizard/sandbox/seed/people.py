"""Who is in the sandbox: a dozen people whose ids each pose a question, then as many ordinary ones as are wanted."""

from __future__ import annotations

import random

from wizard.errors import BadInput
from wizard.sandbox.seed.model import Person

_SPECIAL = (
    ("jane.doe@example.edu", "doej1", "Jane", "Doe"),
    ("bob@example.edu", "smithb", "Bob", "Smith"),
    ("ann@example.edu", "ann", "Ann", "Lee"),  # a new id that begins another one, and a very short one
    ("anna@example.edu", "anna", "Anna", "Lind"),
    ("omar.haddad@example.edu", "20250305", "Omar", "Haddad"),  # eight digits, like the date in an artifact's key
    ("10482233", "garciam", "Maria", "Garcia"),  # an employee number as the old id
    ("kim", "parkk", "Kim", "Park"),  # an old id that begins another one, without an @
    ("kimberly", "stonek", "Kimberly", "Stone"),
    ("Maria.Rossi@example.edu", "rossim", "Maria", "Rossi"),  # mixed case; share bodies hold it in lower case
    ("sean.o'brien@example.edu", "obriens", "Sean", "O'Brien"),  # characters that the services replace by a dash
    ("pat+lab@example.edu", "labp1", "Pat", "Lab"),
    ("li_wei@example.edu", "weil3", "Li", "Wei"),
)
_GIVEN = ("Ada", "Ben", "Carla", "Dev", "Eva", "Finn", "Gita", "Hugo", "Ines", "Jon", "Kofi", "Lena", "Milo", "Nora")
_FAMILY = ("Abbott", "Baker", "Chen", "Diaz", "Evans", "Fischer", "Gupta", "Hansen", "Ito", "Jensen", "Kaur", "Lopez")

UNMAPPED = (
    Person("visitor@example.edu", "visitor@example.edu", "Vic", "Visitor", "visitor@example.edu", mapped=False),
    Person("emeritus@example.edu", "emeritus@example.edu", "Em", "Eritus", "emeritus@example.edu", mapped=False),
)


def people(count: int, scenario: str, seed: int) -> tuple[Person, ...]:
    """`count` people of the map; in scenario "b" nobody's id changes. Raises BadInput below two or for another scenario."""
    if count < 2:
        raise BadInput(f"--users {count} is too few: sharing takes two.")
    if scenario not in ("a", "b"):
        raise BadInput(f"--scenario {scenario!r} is neither a (ids change) nor b (ids stay the same).")
    made = [_special(*one) for one in _SPECIAL[:count]]
    source = random.Random(seed)  # noqa: S311 - made-up people
    for number in range(len(made) + 1, count + 1):
        given, family = source.choice(_GIVEN), source.choice(_FAMILY)
        old = f"{given}.{family}{number}@example.edu".lower()
        made.append(Person(old, f"{family[:5]}{given[0]}{number}".lower(), given, family, old))
    return tuple(made if scenario == "a" else [_unchanged(person) for person in made])


def _special(old: str, new: str, given: str, family: str) -> Person:
    email = old if "@" in old else f"{given}.{family}@example.edu"
    return Person(old, new, given, family, email.lower())


def _unchanged(person: Person) -> Person:
    return Person(person.old, person.old, person.given, person.family, person.email)
