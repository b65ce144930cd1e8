"""What one serverless.yml says: its locally defined variables, everything it reads, its service and its tables. Pure."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import yaml

from wizard.errors import BadInput
from wizard.serverless_variables import Expansion, Source, Unanswered, alternatives, expressions
from wizard.yaml_nodes import MERGE, Mapped, Scalar, at, compose, mappings, pairs, scalars, tagged, text_of

SECTION = "# Locally Defined Variables"
_IMPORTED = "# Imported Variables"
_MOST = 1000  # variables of a section: Lambda gives an environment 4 KB, and each is asked for in Parameter Store


@dataclass(frozen=True)
class Variable:
    """One line of the section: `text` as YAML reads it. `skipped` says why it is nothing to store, or is empty."""

    name: str
    line: int
    text: str
    skipped: str = ""


@dataclass(frozen=True)
class Reference:
    """A `${type:address}` that something reads. `default` is the text after the comma; None without one.

    `unless` are the alternatives before it in the same variable: it is read only if none of those has an answer.
    `address` is expanded; when it cannot be, it is the text as written. `unresolved` says why it cannot be looked up
    here, or is empty.
    """

    type: str
    address: str
    line: int
    key: str
    default: str | None = None
    unresolved: str = ""
    unless: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableName:
    """A DynamoDB table of the resources: `name` is empty when it cannot be told (`unresolved` says why).

    `key` has the attributes of its key, hash first; () when they cannot be told.
    """

    logical_id: str
    name: str
    line: int
    unresolved: str = ""
    key: tuple[str, ...] = ()
    retained: bool = False  # UpdateReplacePolicy: a table of another name leaves the old one in place


@dataclass(frozen=True)
class Answers:
    """What a file cannot answer itself. `known` maps `type:address` (`cf:stack.Output`, `ssm:/path`) to values."""

    dep: str
    stage: str
    region: str
    variables: Mapping[str, str] = field(default_factory=dict)  # var/{stage}-var.yml
    known: Mapping[str, str] = field(default_factory=dict)


def section(text: str, root: Mapped) -> list[Variable]:
    """The variables between `# Locally Defined Variables` and its end; [] without such a section.

    It ends at `# Imported Variables`, at a comment with the word `Variables`, at a bare `#`, and in any case with the
    mapping that its first variable belongs to. A later duplicate of a name wins.
    """
    comments = _outside_scalars(text, root)
    begin = next((number for number, line in comments if SECTION in line), None)
    if begin is None:
        return []
    end = next((number for number, line in comments if number > begin and _ends(line)), len(text) + 1)
    inside = [
        (key, value, mapping)
        for mapping in mappings(root)
        for key, value in mapping.value
        if isinstance(key, Scalar) and begin < key.start_mark.line < end and key.start_mark.column >= 4
    ]
    if not inside:
        return []
    owner = min(inside, key=lambda entry: (entry[0].start_mark.line, entry[0].start_mark.column))[2]
    found = {key.value: _variable(key, value) for key, value, mapping in inside if mapping is owner}
    return list(found.values())


def _variable(key: Scalar, value: yaml.Node) -> Variable:
    line = key.start_mark.line + 1
    if key.tag == MERGE:
        return Variable(key.value, line, "", "a merge of other keys, not a variable")
    text = text_of(value)
    if text is None:
        written = tagged(value) or next(iter(pairs(value)), "a list")
        return Variable(key.value, line, "", f"its value ({written}) is known to CloudFormation only")
    return Variable(key.value, line, text)


def _ends(line: str) -> bool:
    comment = line.strip()
    return _IMPORTED in line or comment == "#" or bool(re.match(r"#.*\bVariables\b", comment))


def _outside_scalars(text: str, root: Mapped) -> list[tuple[int, str]]:
    """The lines that hold comments, by number from 0: a `#` within a block of text is none."""
    within: set[int] = set()
    for _, node in scalars(root):
        first, last = node.start_mark.line + 1, node.end_mark.line + (node.end_mark.column > 0)
        if node.style in ("|", ">", "'", '"'):
            within.update(range(first, last))
    # str.splitlines would also split at characters that YAML does not count as line ends
    lines = enumerate(re.split(r"\r\n|[\r\n\x85\u2028\u2029]", text))
    return [(number, line) for number, line in lines if "#" in line and number not in within]


class ServerlessFile:
    """One composed serverless.yml with the answers that its variables may be expanded with."""

    def __init__(self, text: str, place: str, answers: Answers):
        self.root = compose(text, place)
        self.variables = section(text, self.root)
        if len(self.variables) > _MOST:
            raise BadInput(
                f"{place}:{self.variables[0].line} begins {len(self.variables):,} locally defined variables, of which the"
                f" 4 KB of a function's environment hold {_MOST:,} at most; this is no serverless.yml."
            )
        self._answers = answers

    def answered(self, known: Mapping[str, str]) -> ServerlessFile:
        """The same file with more answers."""
        other = copy.copy(self)
        other._answers = replace(self._answers, known={**self._answers.known, **known})
        return other

    @property
    def service(self) -> str:
        """The service's name, expanded; "" when there is none, or when it cannot be expanded."""
        node = at(self.root, "service")
        written = text_of(at(node, "name") if isinstance(node, Mapped) else node)
        try:
            return self.expand(written or "")
        except Unanswered:
            return ""

    @property
    def stack(self) -> str:
        """The CloudFormation stack: `provider.stackName`, else `{service}-{stage}`."""
        try:
            given = self.expand(text_of(at(self.root, "provider", "stackName")) or "")
        except Unanswered:
            given = ""
        return given or f"{self.service}-{self._answers.stage}"

    @property
    def region(self) -> str:
        """Where serverless deploys without `--region`: `provider.region`, else us-east-1; "" when it cannot be told."""
        written = text_of(at(self.root, "provider", "region"))
        alone = copy.copy(self)
        alone._answers = replace(self._answers, region="")
        try:
            return alone.expand(written) if written else "us-east-1"
        except Unanswered:
            return ""

    def expand(self, text: str) -> str:
        """`text` with every variable replaced; raises Unanswered."""
        return Expansion(self._answer).text(text)

    def references(self, types: frozenset[str] = frozenset({"ssm", "cf"})) -> list[Reference]:
        """Every variable of these types that any value of the file reads."""
        return [
            reference
            for key, node in scalars(self.root)
            if "${" in node.value
            for reference in self._references(node.value, key, node.start_mark.line + 1, types, 0)
        ]

    def unanswered_outputs(self) -> list[Reference]:
        """The `${cf:…}` without a default that have no answer: serverless stops on each."""
        known = self._answers.known
        return [
            one
            for one in self.references(frozenset({"cf"}))
            if one.default is None and (one.unresolved or f"cf:{one.address}" not in known)
        ]

    def included(self) -> list[tuple[int, str]]:
        """Line and path of the other files that its values come from, the var file apart."""
        found = []
        for _, node in scalars(self.root):
            for match in re.finditer(r"\$\{file\(([^()]*)\)", node.value):
                name = match[1].strip()
                with contextlib.suppress(Unanswered):
                    name = self.expand(name)
                if not name.endswith(f"{self._answers.stage}-var.yml"):
                    found.append((node.start_mark.line + 1, name))
        return found

    def environment(self, function: str) -> set[str]:
        """The names of the variables that a function gets, by the key that it has under `functions`."""
        return {
            name
            for block in (at(self.root, "provider"), at(self.root, "functions", function))
            for name, (_, value) in pairs(at(block, "environment")).items()
            if text_of(value) != ""  # a null takes a variable away
        }

    def tables(self) -> list[TableName]:
        """The DynamoDB tables that the resources define."""
        found = []
        for block in self._resources():
            for logical_id, (key, resource) in pairs(at(block, "Resources")).items():
                if text_of(at(resource, "Type")) != "AWS::DynamoDB::Table":
                    continue
                node = at(resource, "Properties", "TableName")
                line = (node or key).start_mark.line + 1
                written = text_of(node)
                try:
                    name = self.expand(written) if written is not None else ""
                    how = "left to" if node is None else "computed by"
                    unresolved = "" if name else f"its name is {how} CloudFormation"
                except Unanswered as error:
                    name, unresolved = "", str(error)
                schema = self._key(at(resource, "Properties", "KeySchema"))
                retained = text_of(at(resource, "UpdateReplacePolicy")) == "Retain"
                found.append(TableName(logical_id, name, line, unresolved, schema, retained))
        return found

    def _key(self, schema: yaml.Node | None) -> tuple[str, ...]:
        parts = schema.value if isinstance(schema, yaml.SequenceNode) else []
        try:
            named = {
                self.expand(text_of(at(part, "KeyType")) or ""): self.expand(text_of(at(part, "AttributeName")) or "")
                for part in parts
            }
        except Unanswered:
            return ()
        return tuple(named[kind] for kind in ("HASH", "RANGE") if named.get(kind)) if len(named) == len(parts) else ()

    @property
    def whole(self) -> bool:
        """Whether all resources stand in this file, none in a `${file(…)}`."""
        blocks = self._resources()
        return not any(isinstance(node, Scalar) for block in blocks for node in (block, at(block, "Resources")))

    def _resources(self) -> list[yaml.Node]:
        blocks = at(self.root, "resources")
        found = blocks.value if isinstance(blocks, yaml.SequenceNode) else [blocks]
        return [block for block in found if block is not None]

    def _references(self, text: str, key: str, line: int, types: frozenset[str], depth: int) -> Iterator[Reference]:
        if depth > 20:
            return
        for start, end in expressions(text):
            parts = alternatives(text[start:end])
            earlier: list[str] = []
            for index, part in enumerate(parts):
                head = part.partition(":")[0].partition("(")[0]
                if head not in types:
                    # what a variable inside of an address or of a fallback reads is read as well
                    for inner in self._references(part, key, line, types, depth + 1):
                        yield Reference(
                            inner.type, inner.address, line, key, inner.default, inner.unresolved,
                            (*earlier, *inner.unless),
                        )  # fmt: skip
                        earlier.append(inner.address)
                    continue
                default = ", ".join(parts[index + 1 :]) if index + 1 < len(parts) else None
                try:
                    source = Expansion(self._answer).source(part)
                    address, unresolved = (source.address, self._elsewhere(source)) if source else (part, "no address")
                except Unanswered as error:
                    address, unresolved = part, f"{error} has no answer"
                yield Reference(head, address, line, key, default, unresolved, tuple(earlier))
                earlier.append(address)

    def _elsewhere(self, source: Source) -> str:
        """Why a source is not this region's (`${cf(eu-west-1):…}`), or ""."""
        region = re.search(r"\b[a-z]{2}(-[a-z]+)+-\d\b", source.parameter)
        return (
            f"it is read in {region[0]}, where nothing is looked up"
            if region and region[0] != self._answers.region
            else ""
        )

    def _answer(self, source: Source, expansion: Expansion) -> str | None:
        answers = self._answers
        match source.type, source.address:
            case "sls" | "opt", "stage":
                return answers.stage
            case "opt" | "aws", "region":
                return answers.region or None
            case "self", address:
                return self._self(address.split("."), expansion)
            case "file", name if source.parameter.rpartition("/")[2] == f"{answers.stage}-var.yml":
                return self._shared(name)
        return None if self._elsewhere(source) else answers.known.get(f"{source.type}:{source.address}")

    def _self(self, path: list[str], expansion: Expansion) -> str | None:
        """`${self:a.b.c}`: what the file has there, through variables that stand for a whole mapping."""
        node: yaml.Node | None = self.root
        for index, name in enumerate(path):
            node = at(node, name)
            rest = path[index + 1 :]
            written = text_of(node)
            if rest and written is not None and written.startswith("${"):
                return self._through(written, rest, expansion)
        if node is None:
            return self._implied(path)
        if path == ["service"] and isinstance(node, Mapped):
            node = at(node, "name")
        written = text_of(node)
        return None if written is None else expansion.text(written)

    def _through(self, written: str, rest: list[str], expansion: Expansion) -> str | None:
        """`${file(../var/dev-var.yml)}` or `${self:custom.x}` where `rest` of an address leads into its content."""
        for alternative in alternatives(written):
            source = expansion.source(alternative)
            if source is not None and source.type in ("file", "self"):
                address = ".".join(part for part in (source.address, *rest) if part)
                return expansion.ask(Source(source.type, source.parameter, address))
        return None

    def _implied(self, path: list[str]) -> str | None:
        """What Serverless, or the backend's custom, has by default where a file does not say it."""
        match path:
            case ["provider", "stage"]:
                return self._answers.stage
            case ["provider", "region"]:
                return self._answers.region
            case ["custom", "depName"]:
                return self._answers.dep
            case ["custom", "stageVars", name]:
                return self._shared(name)
        return None

    def _shared(self, name: str) -> str | None:
        # The name given by the operator is what everything else of this run uses; a different one is a finding.
        return self._answers.dep if name == "DEP_NAME" else self._answers.variables.get(name)


def read_variables(text: str, place: str) -> tuple[dict[str, str], list[str]]:
    """A var file: its names with their texts, and the names of lists and mappings, which have none; raises BadInput."""
    found = {name: text_of(node) for name, (_, node) in pairs(compose(text, place)).items()}
    return (
        {name: value for name, value in found.items() if value is not None},
        [name for name, value in found.items() if value is None],
    )
