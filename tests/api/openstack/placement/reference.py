"""Every parameter of the public API reference of Placement: what an operation takes and what it shows, and since which version.

An operation that takes or shows something else in older versions is there once more, with the range of these versions. The one
operation that the reference has left out (POST of one inventory) is the last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Version = tuple[int, int]
NEWEST: Version = (1, 39)

# An operation and its versions; below it, where its parameters are, and their names; behind a name, its first version.
TEXT = """
GET / 1.0
    shows: versions, id, min_version, max_version, status, links

GET /resource_providers 1.0
    query: name, uuid, member_of 1.3, resources 1.4, in_tree 1.14, required 1.18
    shows: resource_providers, generation, uuid, links, name, parent_provider_uuid 1.14, root_provider_uuid 1.14
POST /resource_providers 1.20
    body: name, uuid, parent_provider_uuid
    header: Location
    shows: generation, uuid, links, name, parent_provider_uuid, root_provider_uuid
POST /resource_providers 1.0-1.19
    body: name, uuid, parent_provider_uuid 1.14
    header: Location
GET /resource_providers/{uuid} 1.0
    path: uuid
    shows: generation, uuid, links, name, parent_provider_uuid 1.14, root_provider_uuid 1.14
PUT /resource_providers/{uuid} 1.0
    path: uuid
    body: name, parent_provider_uuid 1.14
    shows: generation, uuid, links, name, parent_provider_uuid 1.14, root_provider_uuid 1.14
DELETE /resource_providers/{uuid} 1.0
    path: uuid

GET /resource_classes 1.2
    shows: resource_classes, links, name
POST /resource_classes 1.2
    body: name
    header: Location
GET /resource_classes/{name} 1.2
    path: name
    shows: name, links
PUT /resource_classes/{name} 1.7
    path: name
    header: Location
PUT /resource_classes/{name} 1.2-1.6
    path: name
    body: name
    shows: name, links
DELETE /resource_classes/{name} 1.2
    path: name

GET /resource_providers/{uuid}/inventories 1.0
    path: uuid
    shows: inventories, resource_provider_generation, allocation_ratio, max_unit, min_unit, reserved, step_size, total
PUT /resource_providers/{uuid}/inventories 1.0
    path: uuid
    body: resource_provider_generation, inventories, total, allocation_ratio, max_unit, min_unit, reserved, step_size
    shows: inventories, resource_provider_generation, allocation_ratio, max_unit, min_unit, reserved, step_size, total
DELETE /resource_providers/{uuid}/inventories 1.5
    path: uuid
GET /resource_providers/{uuid}/inventories/{resource_class} 1.0
    path: uuid, resource_class
    shows: resource_provider_generation, allocation_ratio, max_unit, min_unit, reserved, step_size, total
PUT /resource_providers/{uuid}/inventories/{resource_class} 1.0
    path: uuid, resource_class
    body: resource_provider_generation, total, allocation_ratio, max_unit, min_unit, reserved, step_size
    shows: resource_provider_generation, allocation_ratio, max_unit, min_unit, reserved, step_size, total
DELETE /resource_providers/{uuid}/inventories/{resource_class} 1.0
    path: uuid, resource_class

GET /resource_providers/{uuid}/aggregates 1.1
    path: uuid
    shows: aggregates, resource_provider_generation 1.19
PUT /resource_providers/{uuid}/aggregates 1.19
    path: uuid
    body: aggregates, resource_provider_generation
    shows: aggregates, resource_provider_generation
PUT /resource_providers/{uuid}/aggregates 1.1-1.18
    path: uuid
    body: aggregates
    shows: aggregates

GET /traits 1.6
    query: name, associated
    shows: traits
GET /traits/{name} 1.6
    path: name
PUT /traits/{name} 1.6
    path: name
    header: Location
DELETE /traits/{name} 1.6
    path: name
GET /resource_providers/{uuid}/traits 1.6
    path: uuid
    shows: traits, resource_provider_generation
PUT /resource_providers/{uuid}/traits 1.6
    path: uuid
    body: traits, resource_provider_generation
    shows: traits, resource_provider_generation
DELETE /resource_providers/{uuid}/traits 1.6
    path: uuid

POST /allocations 1.13
    body: consumer_uuid, consumer_generation 1.28, consumer_type 1.38, project_id, user_id, allocations, generation, resources, mappings 1.34
GET /allocations/{consumer_uuid} 1.0
    path: consumer_uuid
    shows: allocations, generation, resources, consumer_generation 1.28, consumer_type 1.38, project_id 1.12, user_id 1.12
PUT /allocations/{consumer_uuid} 1.12
    path: consumer_uuid
    body: allocations, resources, consumer_generation 1.28, consumer_type 1.38, project_id, user_id, generation, mappings 1.34
PUT /allocations/{consumer_uuid} 1.0-1.11
    path: consumer_uuid
    body: allocations, resources, resource_provider, uuid, project_id 1.8, user_id 1.8
DELETE /allocations/{consumer_uuid} 1.0
    path: consumer_uuid
GET /resource_providers/{uuid}/allocations 1.0
    path: uuid
    shows: allocations, resources, resource_provider_generation, consumer_generation 1.28
GET /resource_providers/{uuid}/usages 1.0
    path: uuid
    shows: resource_provider_generation, usages
GET /usages 1.38
    query: project_id, user_id, consumer_type
    shows: usages, INSTANCE, consumer_count, VCPU
GET /usages 1.9-1.37
    query: project_id, user_id
    shows: usages, VCPU

GET /allocation_candidates 1.12
    query: resources, required 1.17, member_of 1.21, in_tree 1.31, resourcesN 1.25, requiredN 1.25, member_ofN 1.25, in_treeN 1.31
    query: group_policy 1.25, limit 1.16, root_required 1.35, same_subtree 1.36
    shows: allocation_requests, provider_summaries, allocations, resources, capacity, used, traits 1.17, mappings 1.34
    shows: parent_provider_uuid 1.29, root_provider_uuid 1.29
GET /allocation_candidates 1.10-1.11
    query: resources
    shows: allocation_requests, provider_summaries, allocations, resource_provider, uuid, resources, capacity, used
POST /reshaper 1.30
    body: inventories, resource_provider_generation, inventories of one, allocations, allocations of one, resources, project_id, user_id
    body: mappings 1.34, consumer_generation, consumer_type 1.38

POST /resource_providers/{uuid}/inventories 1.0
    path: uuid
    body: resource_class, resource_provider_generation, total, allocation_ratio, max_unit, min_unit, reserved, step_size
    header: Location
    shows: resource_provider_generation, allocation_ratio, max_unit, min_unit, reserved, step_size, total
"""


@dataclass(frozen=True)
class Operation:
    """`parameters`: (where, name) → first version."""

    method: str
    path: str
    since: Version
    until: Version
    parameters: dict[tuple[str, str], Version] = field(default_factory=dict)


def version(text: str) -> Version:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _read() -> Mapping[str, Operation]:
    found: dict[str, Operation] = {}
    for line in filter(str.strip, TEXT.splitlines()):
        if not line.startswith(" "):
            method, path, versions = line.split()
            since, _, until = versions.partition("-")
            operation = Operation(method, path, version(since), version(until) if until else NEWEST)
            found[line if until else f"{method} {path}"] = operation
            continue
        where, _, names = line.strip().partition(": ")
        for each in names.split(", "):
            name, _, since = each.rpartition(" ") if each.rpartition(" ")[2][0].isdigit() else (each, "", "")
            operation.parameters[where, name] = version(since) if since else operation.since
    return found


OPERATIONS = _read()
