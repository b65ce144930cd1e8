"""What the catalog says that a deployment holds, beside what the account shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from wizard.aws import Account
from wizard.catalog.bucket_model import CONSOLIDATION
from wizard.catalog.buckets import BUCKETS
from wizard.catalog.tables import TABLES
from wizard.deployment import Deployment, Source, discover


@dataclass(frozen=True)
class Resource:
    """One table or bucket. `discovered`: not the name of the newest release, but one that exists in this account."""

    kind: Literal["table", "bucket"]
    config_key: str
    name: str
    source: Source
    exists: bool


def known_resources(deployment: Deployment, tables: Iterable[str], buckets: Iterable[str]) -> list[Resource]:
    """The catalog's tables, then its buckets, each with its name here and whether it is among the given names. Pure."""
    found: list[Resource] = []
    seen: set[tuple[str, str]] = set()

    def add(kind: Literal["table", "bucket"], key: str, name: str, source: Source, existing: set[str]) -> None:
        if (kind, name) not in seen:
            seen.add((kind, name))
            found.append(Resource(kind, key, name, source, name in existing))

    existing_tables, existing_buckets = set(tables), set(buckets)
    for table in TABLES:
        name = deployment.name(table.config_key, table.pattern)
        add("table", table.config_key, name.value, name.source, existing_tables)
        for other in map(deployment.fill, table.also):
            if other in existing_tables:
                add("table", table.config_key, other, "discovered", existing_tables)
    for bucket in BUCKETS:
        name = deployment.name(bucket.config_key, bucket.pattern)
        add("bucket", bucket.config_key, name.value, name.source, existing_buckets)
    return found


def unknown_names(
    deployment: Deployment, known: Iterable[Resource], names: Iterable[str], others: Iterable[str] = ()
) -> list[str]:
    """Names that are this deployment's by their form and that the catalog does not know, sorted."""
    listed, others = {resource.name for resource in known}, list(others)
    return sorted(name for name in names if name not in listed and deployment.owns(name, others))


def own_names(deployment: Deployment, names: Iterable[str], tables: Iterable[str] = ()) -> list[str]:
    """Those of the names that are the deployment's, not one's whose DEP_NAME only begins like it. Pure.

    `tables`: the account's, where `names` are those of buckets or functions; tables show which deployments there are.
    """
    names = list(names)
    others = [dep for dep, _, _ in discover(list(tables) or names)]
    return [name for name in names if deployment.owns(name, others)]


def legacy_buckets(deployment: Deployment) -> list[str]:
    """Names of the buckets whose content is moved elsewhere, in the order of the catalog. Pure."""
    moved = (row for row in BUCKETS if not row.untouched and row.config_key != CONSOLIDATION)
    return [deployment.name(row.config_key, row.pattern).value for row in moved]


def table_names(account: Account) -> list[str]:
    """Every table of the account's region."""
    return [name for page in account.pages("dynamodb", "list_tables") for name in page["TableNames"]]


def bucket_names(account: Account) -> list[str]:
    """Every bucket of the account."""
    return [bucket["Name"] for page in account.pages("s3", "list_buckets") for bucket in page.get("Buckets", ())]
