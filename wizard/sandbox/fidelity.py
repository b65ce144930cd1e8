"""What moto does not do as AWS does, taught to it: without it, freeing `/user-data` could not be shown.

- Two API resources of the same name under one parent are refused, as API Gateway does; a method may have no backend.
- A stack takes its API resources with it, and refuses to go while one of its buckets holds objects.
- A failed create or update ends in ROLLBACK_COMPLETE or UPDATE_ROLLBACK_COMPLETE with the reason among its events;
  what a template no longer has goes last.
- Recovery, expiry and versioning of a template are applied; a table of another name replaces the old one; an update
  of a function or role changes its environment or policies, which can be read, and a stack knows when it was updated.
- A change set is executed as a creation or an update is, outputs, exports and failures included: osls deploys by them.
- `ListImports` answers.
- DynamoDB is asked one thing at a time: moto undoes a cancelled transaction by putting back the whole table as it was
  before, and takes with it what others wrote meanwhile.
"""

from __future__ import annotations

import functools
import json
import threading
from typing import Any

TAKEN = "Another resource with the same parent already has this name: {name}"


@functools.cache
def teach() -> None:
    """Apply to the moto of this process; a second call does nothing."""
    _api_resources()
    _tables()
    _buckets()
    _functions()
    _stacks()
    _change_sets()
    _imports()
    _transactions()


def _give(owner: Any, **attributes: Any) -> None:
    for name, value in attributes.items():
        setattr(owner, name, value)


def _api_resources() -> None:
    from moto.apigateway import models as gateway
    from moto.apigateway.exceptions import ConflictException

    create_resource = gateway.APIGatewayBackend.create_resource

    def create_unique(self: Any, function_id: str, parent_resource_id: str, path_part: str) -> Any:
        siblings = self.get_rest_api(function_id).resources.values()
        if any(one.parent_id == parent_resource_id and one.path_part == path_part for one in siblings):
            raise ConflictException(TAKEN.format(name=path_part))
        return create_resource(self, function_id, parent_resource_id, path_part)

    def delete_with_children(self: Any, account_id: str, region_name: str) -> None:
        resources = gateway.apigateway_backends[account_id][region_name].get_rest_api(self.api_id).resources
        for resource in [one for one in resources.values() if one.parent_id == self.id] + [self]:
            resources.pop(resource.id, None)

    create_method = gateway.Method.create_from_cloudformation_json

    def create_mock(
        cls: Any, /, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **options: Any
    ) -> Any:
        properties = cloudformation_json["Properties"]  # the OPTIONS method of `cors: true` has no backend to call
        integration = {"IntegrationHttpMethod": None, "Uri": None, **properties["Integration"]}
        definition = {**cloudformation_json, "Properties": {**properties, "Integration": integration}}
        return create_method(resource_name, definition, account_id, region_name, **options)

    _give(gateway.APIGatewayBackend, create_resource=create_unique)
    _give(gateway.Resource, delete=delete_with_children)
    _give(gateway.Method, create_from_cloudformation_json=classmethod(create_mock))


def _tables() -> None:
    from moto.dynamodb.models import dynamodb_backends
    from moto.dynamodb.models.table import Table

    create_table = Table.create_from_cloudformation_json

    def create(
        cls: Any, /, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **options: Any
    ) -> Any:
        table = create_table(resource_name, cloudformation_json, account_id, region_name, **options)
        backend, properties = dynamodb_backends[account_id][region_name], cloudformation_json["Properties"]
        if expiry := properties.get("TimeToLiveSpecification"):
            backend.update_time_to_live(resource_name, expiry)
        if recovery := properties.get("PointInTimeRecoverySpecification"):
            backend.update_continuous_backups(resource_name, recovery)
        return table

    def update(
        cls: Any,
        /,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Any:
        name = cloudformation_json["Properties"]["TableName"]
        if name == original_resource.name:
            return original_resource
        table = create(cls, name, cloudformation_json, account_id, region_name)
        dynamodb_backends[account_id][region_name].delete_table(original_resource.name)
        return table

    _give(Table, create_from_cloudformation_json=classmethod(create))
    _give(Table, update_from_cloudformation_json=classmethod(update))


def _buckets() -> None:
    from moto.s3 import models as s3

    create_bucket = s3.FakeBucket.create_from_cloudformation_json

    def create(
        cls: Any, /, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **options: Any
    ) -> Any:
        bucket = create_bucket(resource_name, cloudformation_json, account_id, region_name, **options)
        if versioning := cloudformation_json["Properties"].get("VersioningConfiguration"):
            s3.s3_backends[account_id]["aws"].put_bucket_versioning(resource_name, versioning["Status"])
        return bucket

    def delete(cls: Any, /, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str) -> None:
        backend = s3.s3_backends[account_id]["aws"]
        if resource_name in backend.buckets and backend.delete_bucket(resource_name) is None:
            raise ValueError("The bucket you tried to delete is not empty (Service: S3, Status Code: 409)")

    _give(s3.FakeBucket, create_from_cloudformation_json=classmethod(create))
    _give(s3.FakeBucket, delete_from_cloudformation_json=classmethod(delete))


def _functions() -> None:
    from moto.awslambda.models import LambdaFunction
    from moto.iam.models import Role

    def update_function(
        cls: Any, /, original_resource: Any, new_resource_name: str, cloudformation_json: Any, **_: Any
    ) -> Any:
        original_resource.update_configuration(cloudformation_json["Properties"])
        return original_resource

    def update_role(
        cls: Any, /, original_resource: Any, new_resource_name: str, cloudformation_json: Any, **_: Any
    ) -> Any:
        for policy in cloudformation_json["Properties"].get("Policies", []):
            original_resource.put_policy(policy["PolicyName"], policy["PolicyDocument"])
        return original_resource

    put_policy = Role.put_policy

    def put_text(self: Any, policy_name: str, policy_json: Any) -> None:
        text = policy_json if isinstance(policy_json, str) else json.dumps(policy_json, default=str)
        put_policy(self, policy_name, text)

    _give(Role, put_policy=put_text)
    _give(LambdaFunction, update_from_cloudformation_json=classmethod(update_function))
    _give(Role, update_from_cloudformation_json=classmethod(update_role))


def _stacks() -> None:
    from moto.cloudformation import models as formation
    from moto.core.utils import utcnow

    create_resources, update_stack, delete_stack = (
        formation.Stack.create_resources,
        formation.Stack.update,
        formation.Stack.delete,
    )

    def create(self: Any) -> None:
        try:
            create_resources(self)
        except Exception as error:
            failed = _unmade(self)
            self.resource_map.delete()
            _rolled_back(self, "ROLLBACK", failed, error)

    def update(self: Any, template: str, *arguments: Any, **options: Any) -> None:
        before, made = self.template, set(self.resource_map._parsed_resources)
        self.last_updated_time = utcnow()
        wanted = self.parse_template(template)
        everything = {**self.template_dict["Resources"], **wanted["Resources"]}
        try:
            update_stack(self, json.dumps({**wanted, "Resources": everything}), *arguments, **options)
            update_stack(self, template, *arguments, **options)
        except Exception as error:
            failed = _unmade(self)
            resources = self.resource_map
            for logical_id in set(resources._parsed_resources) - made:
                if (resource := resources._parsed_resources.pop(logical_id)) is not None:
                    resources._delete_resource(resource, resources._resource_json_map[logical_id])
            self.template = before
            self._parse_template()
            resources._template, resources._resource_json_map = self.template_dict, self.template_dict["Resources"]
            _rolled_back(self, "UPDATE_ROLLBACK", failed, error)

    def delete(self: Any) -> None:
        try:
            delete_stack(self)
        except Exception as error:
            self.status = "DELETE_FAILED"
            self._add_stack_event("DELETE_FAILED", resource_status_reason=_message(error))

    delete_named = formation.CloudFormationBackend.delete_stack

    def delete_unless_stuck(self: Any, name_or_stack_id: str) -> None:
        exports = dict(self.exports)
        delete_named(self, name_or_stack_id)
        for stack_id, stack in list(self.deleted_stacks.items()):
            if stack.status == "DELETE_FAILED":
                self.stacks[stack_id] = self.deleted_stacks.pop(stack_id)
                self.exports.update({one.name: one for one in stack.exports if one.name in exports})

    _give(formation.Stack, create_resources=create)
    _give(formation.Stack, update=update)
    _give(formation.Stack, delete=delete)
    _give(formation.CloudFormationBackend, delete_stack=delete_unless_stuck)


def _change_sets() -> None:
    from moto.cloudformation import models as formation
    from moto.cloudformation.exceptions import ValidationError

    def execute(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
        named = (one for id_, one in self.change_sets.items() if change_set_name in (id_, one.change_set_name))
        chosen = next((one for one in named if stack_name in (None, one.stack_name, one.stack_id)), None)
        if chosen is None:
            raise ValidationError(stack_name)
        stack = self.stacks[chosen.stack_id]
        stack.cross_stack_resources = stack.resource_map.cross_stack_resources = self.exports
        if chosen.change_set_type == "CREATE":
            stack.template, stack.parameters = chosen.template, chosen.parameters
            stack._parse_template()
            stack.resource_map, stack.output_map = stack._create_resource_map(), stack._create_output_map()
            stack._add_stack_event("CREATE_IN_PROGRESS", resource_status_reason="User Initiated")
            stack.create_resources()
        else:
            stack.update(chosen.template, chosen.role_arn, chosen.parameters, chosen.tags)
        self.exports.update({one.name: one for one in stack.exports})
        chosen.execution_status = "EXECUTE_COMPLETE"

    _give(formation.CloudFormationBackend, execute_change_set=execute)


def _imports() -> None:
    from moto.cloudformation.exceptions import ValidationError
    from moto.cloudformation.responses import CloudFormationResponse
    from moto.core.responses import ActionResult

    def list_imports(self: Any) -> Any:
        name = self._get_param("ExportName")
        stacks = self.cloudformation_backend.stacks.values()
        importing = [stack.name for stack in stacks if name in imported(stack.template_dict)]
        if not importing:
            raise ValidationError(message=f"Export '{name}' is not imported by any stack.")
        return ActionResult({"Imports": importing})

    _give(CloudFormationResponse, list_imports=list_imports)


def _transactions() -> None:
    from moto.dynamodb.responses import DynamoHandler

    call_action, alone = DynamoHandler.call_action, threading.RLock()

    def call(self: Any) -> Any:
        with alone:
            return call_action(self)

    _give(DynamoHandler, call_action=call)


def imported(template: Any) -> set[str]:
    """The export names that a template imports."""
    if isinstance(template, dict):
        own = {template["Fn::ImportValue"]} if isinstance(template.get("Fn::ImportValue"), str) else set()
        return own.union(*(imported(value) for value in template.values()))
    if isinstance(template, list):
        return set().union(*(imported(value) for value in template))
    return set()


def _message(error: Exception) -> str:
    return str(getattr(error, "message", "") or error)


def _unmade(stack: Any) -> tuple[str, str]:
    """(logical id, type) of the first resource of the template that was not made."""
    made = stack.resource_map._parsed_resources
    wanted = stack.resource_map._resource_json_map
    return next(((key, value["Type"]) for key, value in wanted.items() if key not in made), ("", ""))


def _rolled_back(stack: Any, how: str, failed: tuple[str, str], error: Exception) -> None:
    from moto.cloudformation.models import Event

    stack.events.append(
        Event(
            stack_id=stack.stack_id,
            stack_name=stack.name,
            logical_resource_id=failed[0],
            physical_resource_id="",
            resource_type=failed[1],
            resource_status="CREATE_FAILED",
            resource_status_reason=_message(error),
            resource_properties=None,
        )
    )
    stack.status = f"{how}_COMPLETE"
    reason = f"The following resource(s) failed to create: [{failed[0]}]."
    stack._add_stack_event(f"{how}_IN_PROGRESS", resource_status_reason=reason)
    stack._add_stack_event(f"{how}_COMPLETE")
