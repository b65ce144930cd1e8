"""YAML as nodes with their positions, for files with tags of anybody's. Pure.

PyYAML composes a text and nothing is constructed, so no tag of CloudFormation can fail and no alias is ever expanded.
Texts are what stands in the file: numbers keep their digits, and only `true` and `false` are booleans, as in YAML 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

import yaml

from wizard.errors import BadInput
from wizard.text import plain

LARGEST = 1_000_000  # bytes of a serverless.yml; the largest known has 40 KB
_DEEPEST = 100  # nested collections; libyaml's composer recurses without a limit of its own
# Without libyaml PyYAML quotes names, which may be a password that begins with * or !; not the kinds (`'<scalar>'`).
_QUOTED = re.compile(r"'[^'<]{2,}'|\"[^\"]{2,}\"")
_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MERGE = "tag:yaml.org,2002:merge"
_OWN_TAG = "tag:yaml.org,2002:"
# js-yaml, which reads these files at a deployment, allows tabs before a comment and on an empty line; PyYAML does not.
_TABS_BEFORE_NOTHING = re.compile(r"^[ \t]*\t[ \t]*(?=#|\r?$)", re.MULTILINE)

Mapped = yaml.MappingNode
Scalar = yaml.ScalarNode


def compose(text: str, place: str) -> Mapped:
    """The root mapping of a YAML text; raises BadInput that names `place` and the line for anything else."""
    if len(text) > LARGEST:
        raise BadInput(f"{place} is larger than {LARGEST:,} bytes; this is no serverless.yml.")
    try:
        root = _compose(text, place)
    except BadInput:
        spaced = _TABS_BEFORE_NOTHING.sub(lambda blank: " " * len(blank[0]), text)
        if spaced == text:
            raise
        root = _compose(spaced, place)
    if not isinstance(root, Mapped):
        raise BadInput(f"{place} is not a mapping of keys to values.")
    return root


def _compose(text: str, place: str) -> yaml.Node | None:
    try:
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise BadInput(f"{place} is nested more than {_DEEPEST} levels deep; this is no serverless.yml.")
        root: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = _QUOTED.sub("…", plain(getattr(error, "problem", None) or str(error).splitlines()[0], 200))
        if mark is not None and "cannot start any token" in problem and "\t" in text[mark.index : mark.index + 1]:
            problem = "a tab stands where YAML wants spaces"
        line = f":{mark.line + 1}" if mark is not None else ""
        raise BadInput(f"{place}{line} is not YAML: {problem}.") from None  # the error itself may quote the line
    except (ValueError, OverflowError, UnicodeError) as error:  # libyaml's complaints about lone surrogates and NUL
        raise BadInput(f"{place} is not YAML: {plain(error, 200)}.") from error
    return root


@lru_cache(maxsize=64)  # each `${self:…}` asks again, and a mapping may have tens of thousands of keys
def pairs(node: yaml.Node | None) -> Mapping[str, tuple[Scalar, yaml.Node]]:
    """The scalar keys of a mapping with their values, the last of equal names; `<<` is merged as YAML does."""
    found: dict[str, tuple[Scalar, yaml.Node]] = {}
    pending, seen = [node], set()
    while pending:  # own keys first, then what is merged in, which never replaces
        current = pending.pop(0)
        if isinstance(current, yaml.SequenceNode):
            pending += current.value if id(current) not in seen else []
        elif isinstance(current, Mapped) and id(current) not in seen:
            own = {}
            for key, value in current.value:
                if key.tag == MERGE:
                    pending.append(value)
                elif isinstance(key, Scalar):
                    own[key.value] = (key, value)
            found = {**own, **found}
        seen.add(id(current))
    return found


def at(root: yaml.Node | None, *path: str) -> yaml.Node | None:
    """The node under a path of keys, and of numbers from 0 where there is a list, or None."""
    node = root
    for name in path:
        if isinstance(node, yaml.SequenceNode):
            number = int(name) if re.fullmatch(r"[0-9]{1,6}", name) else len(node.value)
            node = node.value[number] if number < len(node.value) else None
        else:
            node = pairs(node).get(name, (None, None))[1]
    return node


def scalars(root: yaml.Node) -> Iterator[tuple[str, Scalar]]:
    """Every scalar value once with the key it stands under, in the order of the file."""
    seen: set[int] = set()
    pending: list[tuple[str, yaml.Node]] = [("", root)]
    while pending:
        key, node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Scalar):
            yield key, node
        elif isinstance(node, yaml.SequenceNode):
            pending += [(key, child) for child in reversed(node.value)]
        elif isinstance(node, Mapped):
            pending += [
                (name.value if isinstance(name, Scalar) else key, child) for name, child in reversed(node.value)
            ]


def tagged(node: yaml.Node) -> str:
    """The tag of a node that is not YAML's own (`!Ref`), or ""."""
    return "" if node.tag.startswith(_OWN_TAG) else str(node.tag)


def text_of(node: yaml.Node | None) -> str | None:
    """The text of an untagged scalar, `""` for null and lower case for true and false; None for anything else."""
    if not isinstance(node, Scalar) or tagged(node):
        return None
    if not node.style and node.tag == f"{_OWN_TAG}null":
        return ""
    value = str(node.value)
    return value.lower() if not node.style and value.lower() in ("true", "false") else value


def mappings(root: yaml.Node) -> Iterator[Mapped]:
    """Every mapping of a tree, once."""
    seen: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in seen or isinstance(node, Scalar):
            continue
        seen.add(id(node))
        if isinstance(node, Mapped):
            yield node
            pending += [child for pair in node.value for child in pair]
        else:
            pending += node.value


def repeated(root: yaml.Node) -> list[Scalar]:
    """The keys that stand again in their mapping, in the order of the file: the last counts here, js-yaml refuses them."""
    found = []
    for mapping in mappings(root):
        seen: set[str] = set()
        for key, _ in mapping.value:
            if isinstance(key, Scalar) and key.tag != MERGE:
                found += [key] if key.value in seen else []
                seen.add(key.value)
    return sorted(found, key=lambda key: key.start_mark.line)
