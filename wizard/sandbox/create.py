"""Puts a deployment of some release into an empty embedded AWS: stacks with all they own, parameters, the user pool."""

from __future__ import annotations

from collections.abc import Iterable

from wizard.aws import Account
from wizard.deployment import Deployment
from wizard.sandbox.definitions import definition
from wizard.sandbox.releases import Release
from wizard.sandbox.schemas import SERVICES
from wizard.sandbox.seed.model import Person
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


def create_pool(account: Account, deployment: Deployment, everyone: Iterable[Person], prefix: str) -> str:
    """A Cognito user pool as a SAML provider fills it: usernames `{prefix}_{id}`; returns its id.

    `immutable_id` is set where an id changes, so that the services will compute the new one. Two users complete the
    picture: one without an e-mail address, and a native account with the address of a federated one.
    """
    pool: str = account.call(
        "cognito-idp",
        "create_user_pool",
        PoolName=f"amplify-{deployment.dep}-{deployment.stage}",
        Schema=[{"Name": "immutable_id", "AttributeDataType": "String", "Mutable": True}],
    )["UserPool"]["Id"]
    last: Person | None = None
    for person in everyone:
        attributes = {"email": person.email, "given_name": person.given, "family_name": person.family}
        if person.changes:
            attributes["custom:immutable_id"] = person.new
        _create_user(account, pool, f"{prefix}_{person.old}", attributes)
        last = person
    _create_user(account, pool, "monitor", {"name": "Monitor"})
    if last is not None:
        _create_user(account, pool, f"{last.given}-native".lower(), {"email": last.email})
    return pool


def _create_user(account: Account, pool: str, name: str, attributes: dict[str, str]) -> None:
    values = [{"Name": key, "Value": value} for key, value in attributes.items()]
    account.call("cognito-idp", "admin_create_user", UserPoolId=pool, Username=name, UserAttributes=values)


def api_id(account: Account, deployment: Deployment) -> str:
    """The id of the REST API that amplify-lambda's stack exports."""
    exports = account.call("cloudformation", "list_exports")["Exports"]
    return str(next(one["Value"] for one in exports if one["Name"] == f"{deployment.stage}-RestApiId"))
