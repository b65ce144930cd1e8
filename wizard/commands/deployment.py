"""`amplify-migrate deployment`: every name, where it comes from, and what exists."""

from __future__ import annotations

import argparse
from dataclasses import asdict

import botocore.exceptions

from wizard.aws_errors import DENIED, code_of, explain
from wizard.context import Context
from wizard.deployment import discover
from wizard.errors import Blocked
from wizard.inventory import Resource, bucket_names, known_resources, table_names, unknown_names
from wizard.journey import Outcome
from wizard.text import plain, plural


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the `deployment` command."""
    parser = commands.add_parser(
        "deployment", parents=[common], help="every name, where it comes from, and what exists", description=__doc__
    )
    parser.set_defaults(run=run_deployment)


def run_deployment(arguments: argparse.Namespace, context: Context) -> Outcome:
    """List the deployment's tables and buckets. Raises Blocked when tables may not be listed."""
    deployment, notes = context.deployment, []
    try:
        tables = table_names(context.account)
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in DENIED:
            raise
        raise Blocked(f"The tables cannot be listed without dynamodb:ListTables: {explain(error)}.") from error
    buckets: list[str] | None
    try:
        buckets = bucket_names(context.account)
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in DENIED:
            raise
        buckets = None
        notes.append(f"Buckets cannot be listed without s3:ListAllMyBuckets: {explain(error)}.")
    resources = known_resources(deployment, tables, buckets or ())
    deployments = discover(tables, buckets or ())
    others = [dep for dep, _, _ in deployments]
    unknown = unknown_names(deployment, resources, tables, others)
    unknown_buckets = unknown_names(deployment, resources, buckets or (), others)
    if not any(resource.exists for resource in resources):
        shown = ", ".join(f"{dep}/{stage}" for dep, stage, _ in deployments) or "none"
        notes.append(f"Nothing of {deployment.label} exists. Deployments that names in this account show: {shown}.")

    def existence(resource: Resource) -> bool | None:
        return None if resource.kind == "bucket" and buckets is None else resource.exists

    details = {
        "deployment": {"dep_name": deployment.dep, "stage": deployment.stage, "region": deployment.region},
        "resources": [{**asdict(resource), "exists": existence(resource)} for resource in resources],
        "unknown_tables": unknown,
        "unknown_buckets": unknown_buckets,
        "deployments": [
            {
                "dep_name": dep,
                "stage": stage,
                "resources": count,
                "this": (dep, stage) == (deployment.dep, deployment.stage),
            }
            for dep, stage, count in deployments
        ],
        "notes": notes,
    }
    lines = [f"Deployment {deployment.label}: {_tally(resources, 'table')}, {_tally(resources, 'bucket')}."]
    words = {True: "exists", False: "absent", None: "not known"}
    for resource in resources:
        lines.append(
            f"  {words[existence(resource)]:9}  {resource.source:11}  {resource.name}  ({resource.config_key})"
        )
    for title, names in (("tables", unknown), ("buckets", unknown_buckets)):
        if names:
            lines += [
                f"Of this deployment by name, unknown to this program, {title}:",
                *(f"  {plain(name)}" for name in names),
            ]
    if deployments:
        lines.append("Deployments that names in this account show:")
        lines += [
            f"  {plain(f'{dep}/{stage}')}  {plural(count, 'table or bucket', 'tables and buckets')}"
            for dep, stage, count in deployments
        ]
    return Outcome(0, "\n".join([*lines, *notes]), details)


def _tally(resources: list[Resource], kind: str) -> str:
    these = [resource for resource in resources if resource.kind == kind]
    return f"{sum(resource.exists for resource in these)} of {plural(len(these), kind)} exist"
