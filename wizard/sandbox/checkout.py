"""A backend checkout with the files that the steps read: serverless.yml files, var file, compose file, config.

The files carry the oddities of the real ones: comments between and behind variables, markers at another indentation,
CloudFormation tags on scalars, a compose entry without a directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from wizard.deployment import Deployment
from wizard.sandbox.definitions import Definition, definition
from wizard.sandbox.releases import Release
from wizard.sandbox.schemas import BASIC_OPS, SERVICES

_DIRECTORIES = {service: directory for service, (directory, _) in SERVICES.items()} | {
    BASIC_OPS: "amplify-lambda-basic-ops"
}
# The backend's compose file: amplify-lambda waits for assistants there, and the optimizer's directory is gone.
_DEPENDS_ON = {
    "amplify-assistants": "",
    "amplify-lambda": "amplify-assistants",
    "amplify-lambda-js": "amplify-assistants",
}
_GONE = "amplify-lambda-optimizer"


def write_checkout(folder: Path, deployment: Deployment, release: Release, shared: dict[str, str]) -> Path:
    """Write the checkout of a release into `folder`. `shared` is the content of `var/{stage}-var.yml`."""
    for service in release.services:
        place = folder / _DIRECTORIES[service]
        place.mkdir(parents=True, exist_ok=True)
        (place / "serverless.yml").write_text(serverless_yml(definition(service, release)), encoding="utf-8")
    for extra in ("scripts", "var", "misc_deployment_files"):
        (folder / extra).mkdir(exist_ok=True)
    var = folder / "var" / f"{deployment.stage}-var.yml"
    var.write_text(yaml.safe_dump(shared, sort_keys=False, allow_unicode=True), encoding="utf-8")
    (folder / "scripts" / "config.py").write_text(
        f'"""Names of the deployment that the scripts work on."""\n\nDEP_NAME = "{deployment.dep}"\n'
        f'STAGE = "{deployment.stage}"\n\nCONFIG = {{"DEP_NAME": DEP_NAME, "STAGE": STAGE}}\n',
        encoding="utf-8",
    )
    (folder / "serverless-compose.yml").write_text(yaml.safe_dump(_compose(), sort_keys=False), encoding="utf-8")
    return folder


def shared_values(deployment: Deployment, *, admins: str, pool_id: str = "us-east-1_sandbox") -> dict[str, str]:
    """Every shared value of the var file, filled in; `admins` is the comma-separated list of ids.

    The guardrail's two values are left to their defaults, as in the backend's example file.
    """
    layer = f"arn:aws:lambda:{deployment.region}:123456789012:layer:pandoc:1"
    secret = f"arn:aws:secretsmanager:{deployment.region}:123456789012:secret:{deployment.stage}-openai-endpoints"
    return {
        "DEP_NAME": deployment.dep,
        "ADMINS": admins,
        "CHANGE_SET_BOOLEAN": "false",
        "CUSTOM_API_DOMAIN": "api.example.edu",
        "DEP_REGION": deployment.region,
        "IDP_PREFIX": "example",
        "OAUTH_AUDIENCE": "https://api.example.edu",
        "OAUTH_ISSUER_BASE_URL": f"https://cognito-idp.{deployment.region}.amazonaws.com/{pool_id}",
        "PANDOC_LAMBDA_LAYER_ARN": layer,
        "ASSISTANTS_OPENAI_PROVIDER": "azure",
        "LLM_ENDPOINTS_SECRETS_NAME_ARN": secret,
        "AGENT_ENDPOINT": "https://agent.example.edu",
        "COGNITO_CLIENT_ID": "sandboxclient",
        "COGNITO_USER_POOL_ID": pool_id,
        "ORGANIZATION_EMAIL_DOMAIN": "example.edu",
        "API_VERSION": "2024-02-15-preview",
        "MAX_ACU": "8",
        "MIN_ACU": "0.5",
        "PRIVATE_SUBNET_ONE": "subnet-0aaaaaaaaaaaaaaaa",
        "PRIVATE_SUBNET_TWO": "subnet-0bbbbbbbbbbbbbbbb",
        "VPC_CIDR": "10.0.0.0/16",
        "VPC_ID": "vpc-0cccccccccccccccc",
    }


def serverless_yml(one: Definition) -> str:
    """The text of a serverless.yml, its environment in the two commented sections of the backend's files."""
    document = one.document()
    provider = document.pop("provider")
    environment = provider.pop("environment")
    gateway = provider.pop("apiGateway", None)
    head = {"service": document.pop("service"), "custom": document.pop("custom")}
    marker = " " * (2 if one.service == "admin" else 4)  # one file of the backend indents its marker less
    lines = [_dump(head), _dump({"provider": provider}).rstrip()]
    if gateway:
        lines += [
            "  apiGateway:",
            # Tags on scalars, as the backend writes them: parsers that do not know them fail on the whole file.
            f"    restApiId: !ImportValue {gateway['restApiId']['Fn::ImportValue']}",
            f"    restApiRootResourceId: !ImportValue {gateway['restApiRootResourceId']['Fn::ImportValue']}",
        ]
    lines += ["  environment:", f"{marker}# Locally Defined Variables"]
    for number, (name, value) in enumerate(one.local.items()):
        if number == 2:
            lines += ["", "    # names of tables and buckets below"]
        lines.append(f"    {name}: {value}")
    lines += ["", f"{marker}# Imported Variables"]
    lines += [f"    {name}: {value}" for name, value in environment.items() if name in one.imports]
    lines += ["", _dump(document)]
    return "\n".join(lines)


def _compose() -> dict[str, Any]:
    services: dict[str, Any] = {}
    for directory, name in [*SERVICES.values(), (_GONE, _GONE)]:
        if name:
            after = _DEPENDS_ON.get(name, "amplify-lambda")
            services[name] = {"path": directory} | ({"dependsOn": [after]} if after else {})
    return {"services": services}


def _dump(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=200, allow_unicode=True)
