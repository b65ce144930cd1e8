"""A stand-in for the `serverless` command, for the sandbox only: it deploys a checkout's services to the embedded AWS.

It understands `serverless NAME:deploy --stage S` (names of serverless-compose.yml), `serverless deploy` in a service's
directory or, for all of them, in the root, `remove` and `info` likewise, and `--version`. As the real command does, it
resolves `${…}` variables before it deploys, and fails on one without a value; what CloudFormation refuses is reported
with the reason of the resource. It speaks to a loopback endpoint and to nothing else.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.exceptions
import yaml

from wizard.aws import Account
from wizard.aws_errors import code_of
from wizard.errors import BadInput, Failed, MigrateError

VERSION = "Framework Core: 3.40.0 (stand-in of the sandbox)"
_VARIABLE = re.compile(r"\$\{((?:(?:self|sls|opt|ssm|cf):|file\()[^${}]*)\}")
_FILE = re.compile(r"^file\((?P<path>[^)]*)\)(?::(?P<key>.+))?$")
_DEFAULT = re.compile(r"^(?P<address>.*?),\s*'?(?P<default>[^']*)'?$")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags: `!Ref x` is `{"Ref": "x"}`, `!GetAtt a.b` is `{"Fn::GetAtt": ["a", "b"]}`."""


def _tag(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_scalar(node)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tag)


def load(path: Path) -> dict[str, Any]:
    """A serverless.yml or var file as a mapping."""
    with path.open(encoding="utf-8") as file:
        found = yaml.load(file, Loader=_Loader)  # noqa: S506 - a SafeLoader
    return found if isinstance(found, dict) else {}


def resolve(
    document: Mapping[str, Any], stage: str, read: Callable[[str, str], str | None], folder: Path | None = None
) -> dict[str, Any]:
    """`document` with every variable replaced.

    `read(source, address)` answers `ssm:` and `cf:`, None where there is nothing. Raises Failed for a variable that has
    neither a value nor a default.
    """

    def value_of(expression: str, place: str) -> Any:
        if file := _FILE.match(expression):
            content = load((folder or Path()) / file["path"])
            return _dig(content, file["key"].split("."), walk) if file["key"] else content
        source, _, rest = expression.partition(":")
        matched = _DEFAULT.match(rest)
        address, default = (matched["address"].strip(), matched["default"]) if matched else (rest.strip(), None)
        found: Any = None
        if source == "sls" or (source == "opt" and address == "stage"):
            found = stage if address == "stage" else None
        elif source == "self":
            found = _dig(document, address.split("."), walk)
        else:
            found = read(source, address)
        if found is None and default is None:
            reason = "Parameter not found" if source == "ssm" else "Value not found at the given address"
            raise Failed(f'Cannot resolve variable at "{place}": {reason}: ${{{expression}}}')
        return default if found is None else found

    def walk(value: Any, place: str = "") -> Any:
        if isinstance(value, dict):
            return {key: walk(one, f"{place}.{key}".lstrip(".")) for key, one in value.items()}
        if isinstance(value, list):
            return [walk(one, f"{place}.{number}") for number, one in enumerate(value)]
        while isinstance(value, str) and (found := _VARIABLE.search(value)):
            replacement = walk(value_of(found[1], place), place)
            whole = found.span() == (0, len(value))
            value = replacement if whole else value[: found.start()] + _text(replacement) + value[found.end() :]
        return value

    return {key: walk(value, key) for key, value in document.items()}


def _dig(document: Any, parts: list[str], walk: Callable[[Any, str], Any]) -> Any:
    for number, part in enumerate(parts):
        if isinstance(document, str):
            document = walk(document, ".".join(parts[:number]))
        if not isinstance(document, dict) or part not in document:
            return None
        document = document[part]
    return document


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def template(resolved: Mapping[str, Any], stage: str, region: str, account_id: str) -> dict[str, Any]:
    """The CloudFormation template that a resolved serverless.yml comes to."""
    service, provider = str(resolved["service"]), resolved.get("provider", {})
    given = resolved.get("resources") or {}
    resources: dict[str, Any] = dict(given.get("Resources") or {})
    gateway = provider.get("apiGateway") or {}
    api, root = gateway.get("restApiId"), gateway.get("restApiRootResourceId")
    if api is None:
        resources["ApiGatewayRestApi"] = {
            "Type": "AWS::ApiGateway::RestApi",
            "Properties": {"Name": f"{stage}-{service}"},
        }
        api, root = {"Ref": "ApiGatewayRestApi"}, {"Fn::GetAtt": ["ApiGatewayRestApi", "RootResourceId"]}
    functions = resolved.get("functions") or {}
    if functions:
        statements = (((provider.get("iam") or {}).get("role") or {}).get("statements")) or []
        resources["IamRoleLambdaExecution"] = _role(f"{service}-{stage}-{region}-lambdaRole", statements)
    environment = {key: _text(value) for key, value in (provider.get("environment") or {}).items()}
    for key, function in functions.items():
        logical, name = _logical(key), f"{service}-{stage}-{key}"
        resources[f"{logical}LogGroup"] = _of("AWS::Logs::LogGroup", LogGroupName=f"/aws/lambda/{name}")
        resources[f"{logical}LambdaFunction"] = _of(
            "AWS::Lambda::Function",
            FunctionName=name,
            Runtime=provider.get("runtime", "python3.11"),
            Handler=function["handler"],
            Role={"Fn::GetAtt": ["IamRoleLambdaExecution", "Arn"]},
            Code={"ZipFile": "def route(event, context):\n    return {}\n"},
            Environment={"Variables": environment},
        )
        arn = f"arn:aws:lambda:{region}:{account_id}:function:{name}"
        for event in function.get("events") or []:
            if "schedule" in event:
                resources[f"{logical}EventsRuleSchedule1"] = _rule(f"{name}-schedule", event["schedule"], arn)
            if "http" in event:
                resources |= _http(event["http"], api, root, region, arn)
    return {"Resources": resources} | ({"Outputs": given["Outputs"]} if given.get("Outputs") else {})


def _of(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def _role(name: str, statements: list[Any]) -> dict[str, Any]:
    logs = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
    service = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [logs, *statements]}
    return _of(
        "AWS::IAM::Role",
        RoleName=name,
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [service]},
        Policies=[{"PolicyName": "lambda", "PolicyDocument": document}],
    )


def _rule(name: str, schedule: Mapping[str, Any], arn: str) -> dict[str, Any]:
    state = "ENABLED" if schedule.get("enabled", True) else "DISABLED"
    return _of(
        "AWS::Events::Rule",
        Name=name,
        ScheduleExpression=schedule["rate"],
        State=state,
        Targets=[{"Id": "function", "Arn": arn}],
    )


def _http(event: Mapping[str, Any], api: Any, root: Any, region: str, arn: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    parent, path = root, ""
    for part in str(event["path"]).strip("/").split("/"):
        path += _part(part)
        made[f"ApiGatewayResource{path}"] = _of(
            "AWS::ApiGateway::Resource", RestApiId=api, ParentId=parent, PathPart=part
        )
        parent = {"Ref": f"ApiGatewayResource{path}"}
    uri = f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    for method in (str(event["method"]).upper(), *(["OPTIONS"] if event.get("cors") else [])):
        made[f"ApiGatewayMethod{path}{method.title()}"] = _of(
            "AWS::ApiGateway::Method",
            RestApiId=api,
            ResourceId=parent,
            HttpMethod=method,
            AuthorizationType="NONE",
            Integration={"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": uri},
        )
    return made


def _part(part: str) -> str:
    """Serverless's logical id of a path part: `user-data` is `UserDashdata`, `{proxy+}` is `ProxyVar`."""
    if part.startswith("{"):
        return part.strip("{+}").capitalize() + "Var"
    return (part[0].upper() + part[1:]).replace("-", "Dash")


def _logical(key: str) -> str:
    return (key[0].upper() + key[1:]).replace("_", "Underscore").replace("-", "Dash")


def push(account: Account, stack: str, body: Mapping[str, Any]) -> str:
    """Create or update a stack and return its status; raises Failed with the reason that CloudFormation gives."""
    request = {"StackName": stack, "TemplateBody": json.dumps(body), "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    exists = status_of(account, stack) is not None
    if exists and _deployed(account, stack) == body:
        return "unchanged"
    try:
        account.call("cloudformation", "update_stack" if exists else "create_stack", **request)
    except botocore.exceptions.ClientError as error:
        raise Failed(f"Stack {stack} failed to deploy: {error.response['Error']['Message']}") from error
    status = status_of(account, stack) or "absent"
    if "ROLLBACK" in status or status.endswith("FAILED"):
        raise Failed(_reason(account, stack))
    return status


def _deployed(account: Account, stack: str) -> Any:
    """The template of a stack whose last deployment stands, None of one that was rolled back."""
    if "ROLLBACK" in (status_of(account, stack) or ""):
        return None
    found = account.call("cloudformation", "get_template", StackName=stack)["TemplateBody"]
    return json.loads(found) if isinstance(found, str) else json.loads(json.dumps(found))


def status_of(account: Account, stack: str) -> str | None:
    """The status of a stack, None when there is none."""
    try:
        found = account.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"]
    except botocore.exceptions.ClientError as error:
        if code_of(error) == "ValidationError":
            return None
        raise
    return str(found[0]["StackStatus"]) if found else None


def _reason(account: Account, stack: str) -> str:
    for event in account.call("cloudformation", "describe_stack_events", StackName=stack)["StackEvents"]:
        if event["ResourceStatus"].endswith("_FAILED"):
            status, resource = event["ResourceStatus"], event["LogicalResourceId"]
            return f"{status}: {resource} - {event.get('ResourceStatusReason', '')}"
    return f"The stack {stack} was rolled back."


def reader(account: Account) -> Callable[[str, str], str | None]:
    """Answers `ssm:` and `cf:` variables from an account."""

    def read(source: str, address: str) -> str | None:
        try:
            if source == "ssm":
                return str(account.call("ssm", "get_parameter", Name=address)["Parameter"]["Value"])
            stack, _, output = address.partition(".")
            outputs = account.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"][0].get("Outputs", [])
        except botocore.exceptions.ClientError:
            return "pending" if source == "cf" else None  # an output of a stack that is only now deployed
        return next((one["OutputValue"] for one in outputs if one["OutputKey"] == output), "pending")

    return read


def _deploy(account: Account, folder: Path, stage: str) -> None:
    resolved = resolve(load(folder / "serverless.yml"), stage, reader(account), folder)
    service = resolved["service"]
    print(f"Deploying {service} to stage {stage} ({account.region})", flush=True)  # noqa: T201 - a command's output
    body = template(resolved, stage, account.region, account.id)
    status = push(account, f"{service}-{stage}", body)
    done = "No changes to deploy. Deployment skipped." if status == "unchanged" else status
    print(f"✔ Service deployed to stack {service}-{stage} ({done})", flush=True)  # noqa: T201


def _remove(account: Account, folder: Path, stage: str) -> None:
    service = resolve({"service": load(folder / "serverless.yml")["service"], **_custom(folder)}, stage,
                      reader(account), folder)["service"]  # fmt: skip
    stack = f"{service}-{stage}"
    if status_of(account, stack) is None:
        raise Failed(f"Stack {stack} does not exist.")
    account.call("cloudformation", "delete_stack", StackName=stack)
    if status_of(account, stack) == "DELETE_FAILED":
        raise Failed(_reason(account, stack))
    print(f"✔ Service {service} has been successfully removed", flush=True)  # noqa: T201


def _info(account: Account, folder: Path, stage: str) -> None:
    service = resolve({"service": load(folder / "serverless.yml")["service"], **_custom(folder)}, stage,
                      reader(account), folder)["service"]  # fmt: skip
    status = status_of(account, f"{service}-{stage}") or "not deployed"
    print(f"service: {service}\nstage: {stage}\nstack: {service}-{stage} ({status})")  # noqa: T201


def _custom(folder: Path) -> dict[str, Any]:
    return {"custom": load(folder / "serverless.yml").get("custom", {})}


_COMMANDS = {"deploy": _deploy, "remove": _remove, "info": _info}


def folders(command: str, here: Path) -> tuple[str, list[Path]]:
    """What a command line's first word means in a directory: the command, and the service directories it is for."""
    name, _, verb = command.rpartition(":")
    if verb not in _COMMANDS:
        raise BadInput(f'Serverless command "{command}" not found.')
    compose = here / "serverless-compose.yml"
    if not name and (here / "serverless.yml").exists():
        return verb, [here]
    if not compose.exists():
        raise BadInput(f"No serverless.yml or serverless-compose.yml found in {here}.")
    services = load(compose).get("services", {})
    if name and name not in services:
        raise BadInput(f'Component "{name}" was not found in serverless-compose.yml.')
    wanted = [here / str(services[one]["path"]) for one in ([name] if name else services)]
    for folder in wanted:
        if not (folder / "serverless.yml").exists():
            raise BadInput(f"The path {folder} of serverless-compose.yml has no serverless.yml.")
    return verb, wanted


def main(arguments: list[str]) -> int:
    """The command line; the exit status of the real command is 0 or 1."""
    if "--version" in arguments or "-v" in arguments:
        print(VERSION)  # noqa: T201
        return 0
    words = [word for word in arguments if not word.startswith("-")]
    stage = arguments[arguments.index("--stage") + 1] if "--stage" in arguments[:-1] else "dev"
    try:
        if urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname != "127.0.0.1":
            raise BadInput("This stand-in works on the sandbox only: AWS_ENDPOINT_URL is not a loopback address.")
        verb, places = folders(words[0] if words else "", Path.cwd())
        account = Account(endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        for place in places:
            _COMMANDS[verb](account, place, stage)
    except MigrateError as error:
        print(f"✖ {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
