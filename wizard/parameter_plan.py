"""Which parameters a checkout needs, how they compare with the stored ones, and whether every reference resolves. Pure.

Guide, steps 1 and 2. A service's variables go to `/amplify/{stage}/{service}/{NAME}`; shared ones to where the
references read them: `/amplify/{stage}/shared/{NAME}` in one release, `/amplify/{stage}/{NAME}` in the next.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from wizard.checkout import Checkout, Service
from wizard.deployment import Deployment
from wizard.events import Finding
from wizard.serverless_variables import Unanswered
from wizard.serverless_yaml import Reference, Variable
from wizard.text import plain, plural, without_secrets

Action = Literal["create", "update", "unchanged", "kept", "cannot", "skipped"]

SHARED = "shared"  # the group of what comes from the var file
ALIASES = "aliases"  # the group of what one service defines and others read under another service's path
LONGEST_VALUE = 4096  # bytes of a standard parameter
_LEVELS = 15
_LONGEST_NAME = 1011
_NAME = re.compile(r"/[A-Za-z0-9_.\-]+(/[A-Za-z0-9_.\-]+)*")

# Names that the backend's scripts take from the var file, by where that release reads them.
_COMMON = (
    "ADMINS", "CHANGE_SET_BOOLEAN", "CUSTOM_API_DOMAIN", "DEP_REGION", "IDP_PREFIX", "OAUTH_AUDIENCE",
    "OAUTH_ISSUER_BASE_URL", "PANDOC_LAMBDA_LAYER_ARN", "ASSISTANTS_OPENAI_PROVIDER",
    "LLM_ENDPOINTS_SECRETS_NAME_ARN", "BEDROCK_GUARDRAIL_ID", "BEDROCK_GUARDRAIL_VERSION", "COGNITO_CLIENT_ID",
    "COGNITO_USER_POOL_ID", "ORGANIZATION_EMAIL_DOMAIN", "API_VERSION", "MAX_ACU", "MIN_ACU", "PRIVATE_SUBNET_ONE",
    "PRIVATE_SUBNET_TWO", "VPC_CIDR", "VPC_ID",
)  # fmt: skip
_FROM_FILE = {
    True: (*_COMMON, "AGENT_ENDPOINT"),
    False: (*_COMMON, "API_GATEWAY_MAX_TIMEOUT_MS", "LOG_LEVEL", "EMBEDDING_DIM", "RAG_POSTGRES_DB_PORT"),
}
# AGENT_ENDPOINT may stay empty in a working deployment, yet is read without a default, and empty values are refused.
PLACEHOLDERS = {"AGENT_ENDPOINT": "none"}

_SECRET = re.compile(
    r"(?:^|_)(SECRETS?|PASSWORD|PASSWD|PASSPHRASE|TOKEN|CREDENTIALS?|PRIVATE_?KEY|API_?KEY|ACCESS_?KEY|SIGNING_?KEY)(?:_|$)"
)
_ABOUT_A_SECRET = re.compile(r"_(NAME|ARN|TABLE|BUCKET|QUEUE|URL|PARAMETER|ID|ENDPOINT|REGION|TTL|TOPIC|PATH)$")
# Names and values that are stored as they are wanted, and better not shown: rather one too many.
_HIDDEN_NAME = re.compile(r"PASS|PWD|SECRET|TOKEN(_|$)|CREDENTIAL|SALT|DSN|CONNECTION_?STRING|KEY(_|$)")
_HIDDEN_VALUE = re.compile(
    r"-----BEGIN |\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\beyJ[\w-]{8,}\.|\b[rs]k[-_]\w{4,}"
    r"|[?&](?:sig|signature|key|x-amz-signature|code)=|^[0-9a-f]{32,}$"
    r"|^(?=.*[0-9])(?=.*(?-i:[A-Z]))(?=.*(?-i:[a-z]))[a-z0-9+/]{32,}={0,2}$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Stored:
    """A parameter as Parameter Store has it. `value` is None when it could not be decrypted."""

    value: str | None
    type: str
    version: int


@dataclass(frozen=True)
class Wanted:
    """What should be stored, by `origin` (`file:line`).

    `refused` says why it cannot be stored, and `skipped` why it is nothing to store; both are empty for the others. A
    value that could not be told is "".
    """

    path: str
    value: str
    group: str
    origin: str
    refused: str = ""
    skipped: str = ""
    placeholder: bool = False

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def valueless(self) -> bool:
        """Whether the files have no value, so that one that is stored already is the better one."""
        return self.placeholder or (bool(self.refused) and not self.value)


@dataclass(frozen=True)
class Row:
    """A wanted parameter beside the stored one. `needed` holds the `file:line` that read it without a default."""

    action: Action
    wanted: Wanted
    stored: Stored | None
    type: str
    reason: str = ""
    needed: tuple[str, ...] = ()

    @property
    def secret(self) -> bool:
        """Whether name, type or value say that it is better not shown."""
        if "SecureString" in (self.type, self.stored.type if self.stored else "") or looks_secret(self.wanted.name):
            return True
        values = (self.wanted.value, self.stored.value if self.stored else None)
        if any(value and (_HIDDEN_VALUE.search(value) or without_secrets(value) != value) for value in values):
            return True
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.wanted.name).upper()
        return bool(_HIDDEN_NAME.search(words)) and not _ABOUT_A_SECRET.search(words)


@dataclass(frozen=True)
class Missing:
    """A reference without a default that nothing stored or to be stored answers."""

    path: str
    place: str
    reason: str


Readers = Mapping[str, list[tuple[str, Reference]]]


@dataclass(frozen=True)
class Plan:
    """Every row, in the order of writing (shared first), every reference, and what of them is left unresolved."""

    rows: tuple[Row, ...]
    unresolved: tuple[Missing, ...]
    findings: tuple[Finding, ...]
    read: Readers

    @property
    def pending(self) -> tuple[Missing, ...]:
        """References that resolve as soon as the plan is carried out, but do not now."""
        return tuple(
            Missing(row.wanted.path, place, "not stored yet")
            for row in self.rows
            if row.action == "create"
            for place in row.needed
        )

    @property
    def changes(self) -> list[Row]:
        return [row for row in self.rows if row.action in ("create", "update")]

    @property
    def blocked(self) -> bool:
        """Whether a service needs what cannot be stored, so that nothing may be written."""
        return bool(self.unresolved) or any(finding.level == "blocked" for finding in self.findings)

    def counts(self) -> dict[str, int]:
        return dict(Counter(row.action for row in self.rows))

    def groups(self) -> dict[str, list[Row]]:
        """The rows that are parameters, by service, shared and aliases."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            if row.action != "skipped":
                found[row.wanted.group].append(row)
        return dict(found)


def looks_secret(name: str) -> bool:
    """Whether a value is better not shown: `OAUTH_CLIENT_SECRET` yes, `SECRETS_ARN_NAME` and `API_KEYS_TABLE` no."""
    return bool(_SECRET.search(name.upper())) and not _ABOUT_A_SECRET.search(name.upper())


def shown(value: str | None, secret: bool) -> str:
    """A value for people: hidden when it may be a secret, one line, cut."""
    return "(hidden)" if secret or value is None else plain(value, 80)


def readers(checkout: Checkout) -> Readers:
    """Who reads which path of Parameter Store: path -> [(`file:line`, reference)], unresolved addresses included."""
    found: dict[str, list[tuple[str, Reference]]] = defaultdict(list)
    for service in checkout.services:
        for reference in service.references:
            if reference.type == "ssm":
                path = reference.address.partition("~")[0]  # `~true`, `~split` of older Serverless versions
                found[path].append((f"{service.file}:{reference.line}", reference))
    return found


def refusal(path: str, value: str) -> str:
    """Why Parameter Store would refuse a parameter, or "". Limits of standard parameters (PutParameter)."""
    if not _NAME.fullmatch(path) or path.count("/") > _LEVELS or len(path) > _LONGEST_NAME:
        return "its name is not one that Parameter Store takes"
    if not value:
        return "its value is empty, which Parameter Store refuses"
    if len(value.encode("utf-8", "surrogatepass")) > LONGEST_VALUE:
        return f"its value is larger than {LONGEST_VALUE:,} bytes"
    if "{{" in value:
        return "its value holds {{, which Parameter Store refuses"
    return "its value still holds ${…}" if "${" in value else ""


def wanted(checkout: Checkout, deployment: Deployment, read: Readers) -> list[Wanted]:
    """Every parameter that the checkout defines: shared ones first, then service by service."""
    found = _shared(checkout, deployment, read)
    for service in checkout.services:
        found += [_variable(service, variable, deployment.stage) for variable in service.variables]
    return found + _aliases(found, deployment, read)


def _variable(service: Service, variable: Variable, stage: str) -> Wanted:
    path, origin = f"/amplify/{stage}/{service.name}/{variable.name}", f"{service.file}:{variable.line}"
    if variable.skipped:
        return Wanted(path, "", service.name, origin, skipped=variable.skipped)
    if re.search(r"\$\{ssm[:(]", variable.text):
        return Wanted(path, "", service.name, origin, skipped="it is itself read from Parameter Store")
    try:
        value = service.definition.expand(variable.text)
    except Unanswered as error:
        return Wanted(path, "", service.name, origin, refused=f"{plain(error, 120)} leads to nothing that exists yet")
    return Wanted(path, value, service.name, origin, refused=refusal(path, value))


def _shared(checkout: Checkout, deployment: Deployment, read: Readers) -> list[Wanted]:
    stage, dep = deployment.stage, deployment.dep
    pattern = re.compile(rf"/amplify/{re.escape(stage)}/(?P<under>{SHARED}/)?(?P<name>[^/]+)")
    places: dict[str, list[bool]] = defaultdict(list)  # name -> whether it is read under shared/
    for path, entries in read.items():
        if match := pattern.fullmatch(path):
            places[match["name"]] += [bool(match["under"])] * len(entries)
    every = Counter(under for found in places.values() for under in found)
    usual = every[True] >= every[False]
    computed = {
        "LLM_ENDPOINTS_SECRETS_NAME": f"{stage}-openai-endpoints",
        "SECRETS_ARN_NAME": f"{stage}-amplify-app-secrets",
        "APP_ARN_NAME": f"{stage}-amplify-app-vars",
        "DEP_NAME": dep,
    }
    if not usual:
        computed["OAUTH_ENCRYPTION_PARAMETER"] = f"/amplify-{dep}-assistants-api/{stage}/oauth/integrations/encryption"
    found = []
    for name in dict.fromkeys([*computed, *_FROM_FILE[usual], *sorted(places)]):
        needed = _needed(read, [_at(stage, name, under) for under in (True, False)])
        value = computed.get(name, checkout.variables.get(name))
        placeholder = not value and needed and name in PLACEHOLDERS
        if value is None and not placeholder:
            continue
        origin = "the deployment's names" if name in computed else checkout.var_file
        for under in sorted(set(places.get(name, [usual])), reverse=True):
            path, text = _at(stage, name, under), PLACEHOLDERS[name] if placeholder else str(value)
            found.append(Wanted(path, text, SHARED, origin, refusal(path, text), placeholder=bool(placeholder)))
    return found


def _at(stage: str, name: str, under: bool) -> str:
    return f"/amplify/{stage}/{SHARED}/{name}" if under else f"/amplify/{stage}/{name}"


def _aliases(found: Iterable[Wanted], deployment: Deployment, read: Readers) -> list[Wanted]:
    """What is read under a service that does not define it while exactly one value of that name is defined elsewhere.

    `COST_CALCULATIONS_DYNAMO_TABLE` is defined by amplify-js and read by everybody under the lambda service.
    """
    defined = {entry.path for entry in found if not entry.skipped}
    owners: dict[str, list[Wanted]] = defaultdict(list)
    for entry in found:
        if not (entry.refused or entry.skipped or entry.group == SHARED):
            owners[entry.name].append(entry)
    aliases = []
    for path in read:
        parts = path.split("/")
        if path in defined or len(parts) != 5 or parts[1:3] != ["amplify", deployment.stage] or parts[3] == SHARED:
            continue
        same = owners.get(parts[4], [])
        if len({entry.value for entry in same}) == 1 and _needed(read, [path]):
            origin = f"{same[0].path} ({same[0].origin})"
            aliases.append(Wanted(path, same[0].value, ALIASES, origin, refusal(path, same[0].value)))
    return aliases


def _needed(read: Readers, paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(place for path in paths for place, reference in read.get(path, ()) if reference.default is None)


def compare(checkout: Checkout, entries: list[Wanted], stored: Mapping[str, Stored], read: Readers) -> Plan:
    """The plan: what would be created, changed, kept or cannot be stored, and the closure over all references."""
    rows = [_row(entry, stored.get(entry.path), read) for entry in entries]
    why = {row.wanted.path: row.reason for row in rows if row.action in ("cannot", "skipped")}
    answered = {row.wanted.path for row in rows if row.wanted.path not in why}
    # What is stored under a refused value's path is not the value that the service needs.
    there = answered | (set(stored) - {row.wanted.path for row in rows if row.action == "cannot"})
    unresolved = []
    for path, uses in read.items():
        for place, reference in uses:
            if reference.default is not None or there.intersection(reference.unless):
                continue
            if reference.unresolved:
                unresolved.append(Missing(path, place, reference.unresolved))
            elif path not in there:
                unresolved.append(Missing(path, place, why.get(path) or _undefined(path, checkout)))
    return Plan(tuple(rows), tuple(unresolved), (*checkout.findings, *_findings(checkout, rows, read)), read)


def _row(entry: Wanted, stored: Stored | None, read: Readers) -> Row:
    needed = _needed(read, [entry.path])
    # `${ssm:}` of a service may not decrypt, so what one reads stays a String.
    secure = looks_secret(entry.name) and entry.path not in read
    kind = stored.type if stored else "SecureString" if secure else "String"
    if entry.skipped:
        return Row("skipped", entry, stored, kind, entry.skipped, needed)
    if stored is not None and stored.value is None:
        return Row("kept", entry, stored, kind, "it may not be decrypted (kms:Decrypt), so it was not compared", needed)
    if stored is not None and entry.valueless and stored.value != entry.value:
        return Row("kept", entry, stored, kind, entry.refused or "the file has no value for it", needed)
    if entry.refused:
        return Row("cannot", entry, stored, kind, entry.refused, needed)
    if stored is None:
        return Row("create", entry, None, kind, "", needed)
    if stored.value == entry.value:
        return Row("unchanged", entry, stored, kind, "", needed)
    if entry.group == ALIASES:  # nobody's file says that this is its value, so somebody's hand put it there
        return Row("kept", entry, stored, kind, f"it was stored with another value than {entry.origin}", needed)
    return Row("update", entry, stored, kind, "", needed)


def _undefined(path: str, checkout: Checkout) -> str:
    """Why nothing answers a path that no row is for."""
    nowhere = "and Parameter Store does not have it"
    parts = path.split("/")
    if parts[:2] != ["", "amplify"]:
        return "it is none of this deployment's paths, and Parameter Store does not have it"
    if len(parts) != 5 or parts[3] == SHARED:
        return f"it is not in {checkout.var_file}, {nowhere}"
    names = {service.name: {variable.name for variable in service.variables} for service in checkout.services}
    if parts[3] not in names:
        return f"no service of this checkout is called {parts[3]}, {nowhere}"
    owners = sorted(name for name, defined in names.items() if parts[4] in defined)
    several = f"; {', '.join(owners)} define it with different values" if len(owners) > 1 else ""
    return f"{parts[3]} does not define {parts[4]}, {nowhere}{several}"


def _findings(checkout: Checkout, rows: list[Row], read: Readers) -> list[Finding]:
    found = [
        _output(service, reference)
        for service in checkout.services
        for reference in service.definition.unanswered_outputs()
    ]
    for row in rows:
        path, origin = plain(row.wanted.path), row.wanted.origin
        if row.action == "cannot" and not row.needed:
            text = f"{path} is left out: {row.reason}. No service needs it now."
            found.append(Finding("attention", origin, text, "Run populate again once it has a value."))
        elif row.action == "kept":
            found.append(Finding("attention", origin, f"{path} stays as it is stored: {row.reason}."))
        elif row.wanted.placeholder:
            text = f"{path} has no value, yet {_some(row.needed)} read it: `{row.wanted.value}` is stored in its place."
            found.append(Finding("attention", origin, text, "Set it in the var file if this deployment has one."))
        if looks_secret(row.wanted.name) and row.action != "skipped":
            found.append(_secret(row, read))
        if row.action == "update" and row.wanted.group == SHARED and row.wanted.name == "DEP_NAME" and row.stored:
            text = f"{path} holds {shown(row.stored.value, False)}: another deployment shares this stage's parameters."
            found.append(Finding("attention", path, text, "Make sure that nobody deploys that one any more."))
    return found


def _output(service: Service, reference: Reference) -> Finding:
    """An output that does not exist yet; one of the service's own stack cannot before its first deployment."""
    stack, output = reference.address.partition(".")[::2]
    text = f"The output {plain(output, 80)} of {plain(stack, 80)} does not exist yet: serverless stops on reading it."
    own = f"A first deployment of {service.stack} needs a default there: `${{cf:…, ''}}`."
    todo = own if stack == service.stack else f"Deploy {plain(stack, 80)} before this service."
    return Finding("attention", f"{service.file}:{reference.line}", text, todo)


def _secret(row: Row, read: Readers) -> Finding:
    path = plain(row.wanted.path)
    if row.stored is not None and row.stored.type != "SecureString" and row.wanted.path not in read:
        text = f"{path} looks secret but is stored as {row.stored.type}; a stored parameter cannot change its type."
        return Finding(
            "attention", path, text, f"Delete it and run populate again: aws ssm delete-parameter --name {path}"
        )
    if row.type == "SecureString":
        return Finding("note", path, f"{path} looks secret and is stored as SecureString.")
    places = _some([place for place, _ in read[row.wanted.path]])
    return Finding("attention", path, f"{path} looks secret but is a String: {places} read it with a plain ${{ssm:}}.")


def _some(places: Iterable[str]) -> str:
    every = list(dict.fromkeys(places))
    return ", ".join(every[:3]) + (f" and {plural(len(every) - 3, 'more place')}" if len(every) > 3 else "")
