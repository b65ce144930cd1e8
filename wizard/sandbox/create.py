"""Puts a deployment of some release into an empty embedded AWS: stacks with all they own, and the user pool."""

from __future__ import annotations

from wizard.aws import Account
from wizard.deployment import Deployment
from wizard.sandbox.definitions import definition
from wizard.sandbox.releases import Release
from wizard.sandbox.schemas import SERVICES
from wizard.sandbox.serverless import push, reader, resolve, template

OUTSIDE = ("memory", "se", "custom")  # services that are not in the public tree


def create_stacks(account: Account, deployment: Deployment, release: Release) -> None:
    """Deploy every service of a release, as its own serverless.yml would, without its Parameter Store references.

    The tables, buckets, functions and API resources belong to their stacks: who owns `/user-data` shows in
    `ListStackResources`, and deleting a stack takes its tables with it.
    """
    for service in (*release.services, *OUTSIDE):
        document = definition(service, release).document()
        document["custom"] = {"stageVars": {"DEP_NAME": deployment.dep}}
        resolved = resolve(document, deployment.stage, reader(account))
        body = template(resolved, deployment.stage, deployment.region, account.id)
        if body["Resources"]:
            push(account, deployment.stack(service), body)


def put_parameters(account: Account, deployment: Deployment, release: Release, shared: dict[str, str]) -> int:
    """Parameter Store as step 1 leaves it, for releases that have it; returns the number of parameters."""
    stage = deployment.stage
    values = {f"/amplify/{stage}/shared/{name}": value for name, value in shared.items()}
    values |= {
        f"/amplify/{stage}/shared/LLM_ENDPOINTS_SECRETS_NAME": f"{stage}-openai-endpoints",
        f"/amplify/{stage}/shared/SECRETS_ARN_NAME": f"{stage}-amplify-app-secrets",
        f"/amplify/{stage}/shared/APP_ARN_NAME": f"{stage}-amplify-app-vars",
    }
    for service in SERVICES:
        one = definition(service, release)
        document = {**one.document(), "custom": {"stageVars": {"DEP_NAME": deployment.dep}}}
        own = {name: document["provider"]["environment"][name] for name in one.local}
        document["provider"] = {"stage": stage, "environment": own}
        environment = resolve(document, stage, lambda source, address: "pending")["provider"]["environment"]
        head = f"/amplify/{stage}/amplify-{deployment.dep}-{service}"
        values |= {f"{head}/{name}": str(value) for name, value in environment.items()}
    costs = "COST_CALCULATIONS_DYNAMO_TABLE"  # 14 services read it under amplify-lambda's name
    head = f"/amplify/{stage}/amplify-{deployment.dep}"
    values[f"{head}-lambda/{costs}"] = values[f"{head}-amplify-js/{costs}"]
    for name, value in values.items():
        account.call("ssm", "put_parameter", Name=name, Value=value, Type="String", Overwrite=True)
    return len(values)
