"""An example of every operation: an address of something of the victim's, and a body that is right, so that a refusal is a
refusal. Most follow from the address and the OpenAPI document; the others are here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.api.isolation.expected import SYSTEM, Target
from tests.api.isolation.operations import Operation
from tests.api.isolation.world import IDLE_PROVIDER, MARK, PUBLIC_KEY
from tests.support.identity import PASSWORD

NEW_PASSWORD = "another correct horse"

# Part of an address, field of a body or parameter of a query → the kind of thing that it names.
PARTS = {
    "access_rule_id": "access_rule", "access_key_id": "access", "aggregate_id": "aggregate", "class_name": "class", "trait_name": "trait", "zone_id": "zone", "application_credential_id": "application_credential",
    "assignment_id": "assignment", "bucket_name": "bucket", "consumer": "consumer", "credential_id": "credential", "decision_id": "decision", "domain_id": "domain", "endpoint_id": "endpoint",
    "flavor_id": "flavor", "floating_ip_id": "floating_ip", "group_id": "group", "host_id": "host", "image_id": "image", "implied_id": "implied_role",
    "instance_id": "instance", "key_id": "access_key", "limit_id": "limit", "name": "key_pair", "network_id": "network",
    "operation_id": "operation", "owner_id": "project", "policy_id": "policy", "pool_id": "pool", "port_id": "port", "project_id": "project", "provider_id": "host",
    "region_id": "region", "registered_limit_id": "registered_limit", "role_id": "role", "router_id": "router", "rule_id": "access_rule",
    "security_group_id": "security_group", "security_group_rule_id": "security_group_rule", "server_group_id": "server_group", "service_id": "service", "subnet_id": "subnet", "token_id": "token", "trust_id": "trust", "user_id": "user",
    "wire_id": "wire",
}
# The same of what may be named beside: things that a stranger might try to draw in.
BESIDE = {
    "after": "instance", "default_project_id": "project", "device_id": "instance", "domain": "domain", "domain_id": "domain",
    "for_domain": "domain", "group.id": "group", "group_id": "group", "host": "host", "image": "image", "image_id": "image",
    "kernel_id": "image", "key_name": "key_pair", "marker": "project", "network_id": "network", "parent_id": "project",
    "port_id": "port", "project": "project", "project_id": "project", "ramdisk_id": "image", "redelegated_trust_id": "trust",
    "remote_group_id": "security_group", "resource_id": "instance", "router_id": "router", "security_group_id": "security_group",
    "server_group_id": "server_group", "subnet_id": "subnet",
    "role": "domain_role", "role.id": "domain_role", "role_id": "domain_role", "scope.domain.id": "domain",
    "scope.project.id": "project", "tenant_id": "project", "trustee_id": "user", "trustee_user_id": "user",
    "trustor_user_id": "user", "user": "user", "user.id": "user", "user_id": "user",
}
# A dialect takes no notice of parameters and fields that it does not know, so all are tried everywhere.
DIALECT_QUERIES = ("marker", *(name for name in BESIDE if name.endswith(("_id", ".id"))))
DIALECT_FIELDS = ("default_project_id", "domain_id", "parent_id", "project_id", "redelegated_trust_id")

VALUES: dict[str, Any] = {
    "name": "new", "username": "new", "password": NEW_PASSWORD, "old_password": PASSWORD, "code": "000000", "disk_format": "raw",
    "public_key": PUBLIC_KEY, "tags": ["new"], "roles": ["reader"], "description": "changed",
}


@dataclass(frozen=True, kw_only=True)
class Example:
    """`parts`: kinds of things in the address, where they are not those of PARTS; a text beginning with `=` is itself.
    `target`: the kind of thing that decides, or one of HERE and SYSTEM; default: that of the first part, else HERE.
    `body`, `headers`, `query`: with `{kind}` for keys of things. `strangers`: kinds of things that one need not know of to name them:
    who has the id may do that. `answers`: codes of refusals that also the rightful get. `permission`: what decides here,
    where it is another one than declared."""

    parts: Mapping[str, str] = field(default_factory=dict)
    target: str | Target = ""
    body: Any = None
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    strangers: frozenset[str] = frozenset()
    answers: tuple[str, ...] = ()
    permission: str = ""


def _new(thing: str, **fields: Any) -> Example:
    return Example(body={thing: {"name": "new", **fields}})


def _changed(thing: str, **fields: Any) -> Example:
    return Example(body={thing: fields or {"description": "changed"}})


_MEMBER = Example(parts={"image_id": "shared_image", "project_id": "other_project"})
_IDLE = Example(parts={"network_id": "idle_network"})
_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:GetObjectTorrent", "Resource": "*"}]}
_INSTANCE = {"name": "new", "flavor": "plain", "image": "public"}
_SIGN_IN = {"username": "mate", "password": PASSWORD, "domain": "{domain}", "project": "{project}"}
_EMPTY = (Example(answers=("project.in_use",)), Example(parts={"project_id": "empty_project"}))
_CLOSED = (Example(answers=("domain.enabled",)), Example(parts={"domain_id": "closed_domain"}))
_DOMAIN_ROLE = (Example(), Example(parts={"role_id": "domain_role"}))
_DOMAIN_ROLE_CHANGED = tuple(Example(parts=parts, body={"description": "changed"}) for parts in ({}, {"role_id": "domain_role"}))
_STRANGER = frozenset({"user", "group", "clerk"})
# Whoever has a token's secret could use it, and need not be kept from knowing that it exists.
_TOKEN = Example(headers={"X-Subject-Token": "{token_secret}"}, target="token_secret", strangers=frozenset({"token_secret"}))
_PROGRAM = Example(parts={"credential_id": "application_credential"})
_TAG = Example(parts={"tag": f"={MARK}-tag"})
_CONSUMER = "f00d0000-0000-4000-8000-000000000003"


def _placed(body: Any = None, query: str = "", target: str = "", version: str = "latest", **parts: str) -> Example:
    """In a version of Placement that has it."""
    return Example(
        body=body, query=query, target=target, headers={"OpenStack-API-Version": f"placement {version}"},
        parts={"provider_id": "idle_provider", **parts},
    )


def _claimed(**resources: int) -> dict[str, Any]:
    held = {IDLE_PROVIDER: {"resources": resources}} if resources else {}
    return {"allocations": held, "project_id": "new", "user_id": "new", "consumer_generation": None, "consumer_type": "NEW"}


GIVEN: dict[str, Example | tuple[Example, ...]] = {
    # The native API.
    "application_credentials_get": _PROGRAM,
    "application_credentials_delete": _PROGRAM,
    "buckets_create": Example(body={"name": "new-bucket"}, answers=("auth.project_needed",)),
    "buckets_delete": (Example(parts={"bucket_name": "idle_bucket"}), Example(answers=("bucket.not_empty",))),
    "buckets_get_policy": Example(answers=("bucket.no_policy",)),
    "buckets_set_policy": Example(body=_POLICY),
    "buckets_set_versioning": Example(body={"versioning": "enabled"}),
    "objects_delete": (Example(query="key={object}"), Example(query="key={object}&version=null")),
    "objects_list": (Example(), Example(query="prefix=a&delimiter=-")),
    "objects_presign": (
        Example(body={"key": "{object}"}, answers=("access_key.none",)),
        Example(body={"key": "new", "method": "PUT"}, permission="objects.object.create", answers=("access_key.none",)),
    ),
    "directory_sync": Example(answers=("directory.not_configured",)),
    "domains_delete": _CLOSED,
    "group_members_add": Example(strangers=_STRANGER),
    "aggregates_create": Example(body={"name": "new", "metadata": {"disk": "nvme"}}),
    "aggregates_delete": (Example(parts={"aggregate_id": "idle_aggregate"}), Example(answers=("aggregate.in_use",))),
    "aggregates_hosts_add": Example(parts={"aggregate_id": "idle_aggregate"}),
    "aggregates_update": Example(body={"name": "changed", "project_ids": ["{project}"]}, strangers=frozenset({"project"})),
    "hosts_action": Example(body={"action": "disable", "reason": "new"}),
    "hosts_update": Example(body={"enabled": False, "reason": "new"}),
    "zones_create": Example(body={"name": "new"}),
    "zones_delete": (Example(parts={"zone_id": "idle_zone"}), Example(answers=("zone.in_use",))),
    "image_members_add": Example(parts={"image_id": "shared_image"}, body={"project_id": "f00d0000-0000-4000-8000-00000000000a"}),
    "image_members_answer": Example(parts={"image_id": "offered_image"}, body={"status": "accepted"}),
    "image_members_get": _MEMBER,
    "image_members_list": Example(parts={"image_id": "shared_image"}),
    "image_members_remove": _MEMBER,
    "images_action": Example(parts={"image_id": "whole_image"}, body={"action": "deactivate"}),
    "images_download": Example(parts={"image_id": "whole_image"}, answers=("image.content_missing",)),
    "images_convert": Example(parts={"image_id": "whole_image"}, body={"disk_format": "raw"}),
    "images_import": (
        Example(body={"url": "https://images.example.org/disk.raw"}),
        Example(body={"bucket": "{bucket}", "key": "{object}"}),
    ),
    "images_blob": Example(query="expires=1&signature=none", answers=("image.signature",)),
    "images_save": Example(query="expires=1&signature=none", answers=("image.signature",)),
    "images_seed": Example(parts={"image_id": "whole_image"}, body={"hosts": ["{host}"]}, answers=("host.too_old", "host.down")),
    "instances_action": Example(body={"action": "stop"}),
    "instances_console_log": Example(answers=("host.silent",)),
    "instances_create": Example(body=_INSTANCE),
    "instances_interfaces_attach": Example(body={"network_id": "{network}"}),
    "instances_snapshot": Example(body={"name": "new"}, answers=("host.too_old",)),
    "instances_update": Example(body={"name": "changed"}),
    "key_pairs_create": Example(body={"name": "new", "public_key": PUBLIC_KEY}),
    "floating_ips_create": Example(body={"network_id": "{street}"}, answers=("auth.project_needed",)),
    "floating_ips_update": (
        Example(body={"port_id": None}), Example(body={"port_id": "{port}"}), Example(body={"description": "changed"}),
    ),
    "network_pools_create": Example(body={"kind": "vlan", "physical_network": f"{MARK}-wire", "first": 300, "last": 399}),
    "network_trace": (
        Example(query="source={port}&target={spare_port}&port=22", target="port"),
        Example(query="source={port}&target=198.51.100.77", target="port"),
        Example(query="source=203.0.113.5&target={spare_port}", target="spare_port"),
    ),
    "networks_create": (
        Example(body={"name": "new", "cidr": "10.5.0.0/24"}, answers=("auth.project_needed",)),
        Example(body={"name": "new", "kind": "vxlan", "shared": True}, target=SYSTEM, permission="network.network.provide"),
    ),
    "networks_create_whole": (
        Example(body={"name": "new"}, answers=("auth.project_needed",)),
        Example(body={"name": "new", "cidr": "10.5.0.0/24", "router_id": "{router}"}, target="router", answers=("auth.project_needed",)),
    ),
    "networks_delete": (_IDLE, Example(answers=("network.in_use",))),
    "networks_update": (Example(body={"name": "changed"}), Example(body={"mtu": 1400}, parts={"network_id": "idle_network"})),
    "physical_networks_create": Example(body={"name": "new"}),
    "physical_networks_delete": (Example(parts={"wire_id": "idle_wire"}), Example(answers=("wire.in_use",))),
    "ports_create": (
        Example(body={"network_id": "{network}"}, target="network", answers=("auth.project_needed",)),
        Example(
            body={
                "network_id": "{network}", "fixed": [{"subnet_id": "{subnet}", "address": "10.77.0.99"}], "security_groups": ["{security_group}"],
            },
            target="network", answers=("auth.project_needed",),
        ),
    ),
    "ports_delete": (Example(parts={"port_id": "spare_port"}), Example(answers=("port.in_use",))),
    "ports_update": (
        Example(body={"name": "changed", "security_groups": ["{security_group}"]}),
        Example(parts={"port_id": "spare_port"}, body={"fixed": [{"address": "10.77.0.98"}], "security_groups": []}),
    ),
    "routers_create": Example(body={"name": "new"}, answers=("auth.project_needed",)),
    "routers_delete": (Example(parts={"router_id": "idle_router"}), Example(answers=("router.in_use",))),
    "routers_interfaces_attach": Example(parts={"router_id": "idle_router"}, body={"subnet_id": "{idle_subnet}"}),
    "routers_interfaces_detach": Example(answers=("router.in_use",)),
    "routers_update": (Example(body={"name": "changed"}), Example(parts={"router_id": "idle_router"}, body={"external_network_id": "{street}"})),
    "security_group_rules_create": (
        Example(body={"security_group_id": "{security_group}", "direction": "ingress", "protocol": "udp"}, target="security_group"),
        Example(
            body={"security_group_id": "{security_group}", "direction": "ingress", "remote_group_id": "{idle_security_group}"},
            target="security_group",
        ),
    ),
    "security_groups_create": Example(body={"name": "new"}, answers=("auth.project_needed",)),
    "security_groups_delete": (
        Example(parts={"security_group_id": "idle_security_group"}), Example(answers=("security_group.in_use",)),
    ),
    "security_groups_update": Example(body={"name": "changed"}),
    "inventories_update": Example(body={"reserved": 0}, parts={"provider_id": "idle_provider", "resource_class": "=VCPU"}),
    "resource_classes_create": Example(body={"name": "CUSTOM_NEW"}),
    "resource_providers_set_traits": Example(body={"traits": ["HW_CPU_X86_AVX"]}, parts={"provider_id": "idle_provider"}),
    "traits_create": Example(body={"name": "CUSTOM_NEW"}),
    "scheduling_dry_run": (
        Example(body={"flavor_id": "{flavor}"}),
        Example(body={"flavor_id": "{flavor}", "network_ids": ["{network}"]}, target="network", answers=("network.not_found",)),
    ),
    "server_groups_create": Example(body={"name": "new", "policy": "affinity"}, answers=("auth.project_needed",)),
    "server_groups_delete": (
        Example(parts={"server_group_id": "idle_server_group"}), Example(answers=("server_group.in_use",)),
    ),
    "subnets_create": Example(body={"network_id": "{network}", "cidr": "10.79.0.0/24"}, target="network"),
    "subnets_delete": (Example(parts={"subnet_id": "idle_subnet"}), Example(answers=("subnet.in_use",))),
    "subnets_update": Example(body={"name": "changed", "dns": ["192.0.2.53"]}),
    "projects_delete": _EMPTY,
    "project_tags_add": Example(parts={"tag": "=new"}),
    "project_tags_remove": Example(parts={"tag": f"={MARK}-tag"}),
    "quotas_set": (
        Example(body={"instances": 3}),
        Example(body={"instances": 3}, parts={"owner_id": "domain"}, permission="quotas.default.set", target=SYSTEM),
    ),
    "quotas_defaults_set": Example(body={"instances": 3}),
    "role_assignments_create": (
        Example(body={"role": "plain", "user_id": "{user}", "project_id": "{project}"}, target="project", strangers=_STRANGER),
        Example(body={"role": "plain", "group_id": "{group}", "project_id": "{domain}"}, target="domain", strangers=_STRANGER),
        Example(body={"role": "plain", "user_id": "{user}"}, target=SYSTEM),
    ),
    "roles_delete": _DOMAIN_ROLE,
    "roles_get": _DOMAIN_ROLE,
    "roles_update": _DOMAIN_ROLE_CHANGED,
    "tokens_create": Example(body=_SIGN_IN),
    "tokens_revoke_all": Example(body={}),
    "totp_confirm": Example(answers=("totp.not_found",)),
    "totp_remove": Example(answers=("totp.not_found",)),
    "trusts_create": Example(body={"trustee_id": "{clerk}", "roles": ["reader"]}, strangers=_STRANGER),
    "users_totp_delete": Example(answers=("totp.not_found",)),
    "users_create": Example(body={"username": "new", "password": NEW_PASSWORD}),
    # Identity v3.
    "identity GET /v3/auth/tokens": _TOKEN,
    "identity DELETE /v3/auth/tokens": _TOKEN,
    "identity POST /v3/users": _new("user", password=NEW_PASSWORD),
    "identity PATCH /v3/users/{user_id}": _changed("user"),
    "identity POST /v3/users/{user_id}/password": Example(
        body={"user": {"original_password": PASSWORD, "password": NEW_PASSWORD}}
    ),
    "identity POST /v3/groups": _new("group"),
    "identity PATCH /v3/groups/{group_id}": _changed("group"),
    "identity PUT /v3/groups/{group_id}/users/{user_id}": Example(strangers=_STRANGER),
    "identity POST /v3/projects": _new("project"),
    "identity PATCH /v3/projects/{project_id}": _changed("project"),
    "identity DELETE /v3/projects/{project_id}": _EMPTY,
    "identity PUT /v3/projects/{project_id}/tags": Example(body={"tags": ["new"]}),
    "identity GET /v3/projects/{project_id}/tags/{tag}": _TAG,
    "identity PUT /v3/projects/{project_id}/tags/{tag}": Example(parts={"tag": "=new"}),
    "identity DELETE /v3/projects/{project_id}/tags/{tag}": _TAG,
    "identity POST /v3/domains": _new("domain"),
    "identity PATCH /v3/domains/{domain_id}": _changed("domain"),
    "identity DELETE /v3/domains/{domain_id}": _CLOSED,
    "identity POST /v3/roles": _new("role"),
    "identity GET /v3/roles/{role_id}": _DOMAIN_ROLE,
    "identity PATCH /v3/roles/{role_id}": (
        _changed("role"), Example(parts={"role_id": "domain_role"}, body={"role": {"description": "changed"}}),
    ),
    "identity DELETE /v3/roles/{role_id}": _DOMAIN_ROLE,
    "identity POST /v3/services": _new("service", type="new"),
    "identity PATCH /v3/services/{service_id}": _changed("service"),
    "identity POST /v3/endpoints": Example(
        body={"endpoint": {"service_id": "{service}", "interface": "public", "url": "http://cloud.example/"}}
    ),
    "identity PATCH /v3/endpoints/{endpoint_id}": _changed("endpoint", name="changed"),
    "identity POST /v3/regions": Example(body={"region": {"id": "new"}}),
    "identity PUT /v3/regions/{region_id}": Example(parts={"region_id": "=new"}, body={"region": {}}),
    "identity PATCH /v3/regions/{region_id}": _changed("region"),
    "identity POST /v3/policies": Example(body={"policy": {"blob": "new", "type": "text/plain"}}),
    "identity PATCH /v3/policies/{policy_id}": _changed("policy", blob="changed"),
    "identity POST /v3/registered_limits": Example(
        body={"registered_limits": [{"service_id": "{service}", "resource_name": "new", "default_limit": 1}]}
    ),
    "identity PATCH /v3/registered_limits/{registered_limit_id}": _changed("registered_limit", default_limit=5),
    "identity POST /v3/limits": (
        Example(
            body={"limits": [
                {"service_id": "{compute_service}", "resource_name": "idle-wheels", "resource_limit": 1, "project_id": "{project}"}
            ]},
            target="limit",
        ),
        Example(
            body={"limits": [
                {"service_id": "{compute_service}", "resource_name": "idle-wheels", "resource_limit": 1, "domain_id": "{domain}"}
            ]},
            target=SYSTEM, permission="quotas.default.set",
        ),
    ),
    "identity PATCH /v3/limits/{limit_id}": _changed("limit", resource_limit=8),
    "identity POST /v3/credentials": Example(
        body={"credential": {"user_id": "{user}", "type": "cert", "blob": "new"}}, target="user"
    ),
    "identity PATCH /v3/credentials/{credential_id}": _changed("credential", blob="changed"),
    "identity POST /v3/users/{user_id}/credentials/OS-EC2": Example(body={"tenant_id": "{project}"}),
    "identity POST /v3/users/{user_id}/application_credentials": _new("application_credential"),
    "identity POST /v3/OS-TRUST/trusts": Example(
        body={"trust": {
            "trustor_user_id": "{user}", "trustee_user_id": "{clerk}", "project_id": "{project}", "impersonation": False,
            "roles": [{"name": "reader"}],
        }},
        target="user", strangers=frozenset({"clerk"}),
    ),
    "identity GET /v3/OS-TRUST/trusts/{trust_id}/roles/{role_id}": Example(parts={"role_id": "reader_role"}),
    "identity POST /v3/ec2tokens": Example(
        body={"credentials": {"access": "{access}", "signature": "none", "verb": "GET", "host": "cloud", "path": "/", "params": {}}},
        target=SYSTEM, answers=("auth.signature",),
    ),
    "identity POST /v3/s3tokens": Example(
        body={"credentials": {"access": "{access}", "signature": "none", "token": "bm9uZQ=="}}, target=SYSTEM, answers=("auth.signature",)
    ),
    "identity POST /v3/auth/tokens": Example(
        body={"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"id": "{user}", "password": PASSWORD}}},
            "scope": {"project": {"id": "{project}"}},
        }}
    ),
}
_SEEN = {"resource_provider_generation": 1}
GIVEN |= {
    f"placement {name}": example for name, example in {
        "GET /": Example(),
        "GET /resource_providers": _placed(),
        "POST /resource_providers": _placed({"name": "new"}),
        "GET /resource_providers/{provider_id}": _placed(),
        "PUT /resource_providers/{provider_id}": _placed({"name": "changed"}),
        "DELETE /resource_providers/{provider_id}": _placed(),
        "GET /resource_providers/{provider_id}/inventories": _placed(),
        "POST /resource_providers/{provider_id}/inventories": _placed({"resource_class": "DISK_GB", "total": 1}),
        "PUT /resource_providers/{provider_id}/inventories": _placed({"inventories": {}, **_SEEN}),
        "DELETE /resource_providers/{provider_id}/inventories": _placed(),
        "GET /resource_providers/{provider_id}/inventories/{resource_class}": _placed(resource_class="=VCPU"),
        "PUT /resource_providers/{provider_id}/inventories/{resource_class}": _placed({"total": 4, **_SEEN}, resource_class="=VCPU"),
        "DELETE /resource_providers/{provider_id}/inventories/{resource_class}": _placed(resource_class="=VCPU"),
        "GET /resource_providers/{provider_id}/usages": _placed(provider_id="provider"),
        "GET /resource_providers/{provider_id}/allocations": _placed(provider_id="provider"),
        "GET /resource_providers/{provider_id}/aggregates": _placed(provider_id="host"),
        "PUT /resource_providers/{provider_id}/aggregates": _placed({"aggregates": [], **_SEEN}),
        "GET /resource_providers/{provider_id}/traits": _placed(),
        "PUT /resource_providers/{provider_id}/traits": _placed({"traits": ["CUSTOM_OLD"], **_SEEN}),
        "DELETE /resource_providers/{provider_id}/traits": _placed(),
        "GET /traits": _placed(),
        "GET /traits/{trait_name}": _placed(trait_name="=CUSTOM_OLD"),
        "PUT /traits/{trait_name}": _placed(trait_name="=CUSTOM_NEW"),
        "DELETE /traits/{trait_name}": _placed(trait_name="=CUSTOM_OLD"),
        "GET /resource_classes": _placed(),
        "POST /resource_classes": _placed({"name": "CUSTOM_NEW"}),
        "GET /resource_classes/{class_name}": _placed(class_name="=CUSTOM_OLD"),
        "PUT /resource_classes/{class_name}": _placed(class_name="=CUSTOM_NEW"),
        "DELETE /resource_classes/{class_name}": _placed(class_name="=CUSTOM_OLD"),
        "GET /allocation_candidates": _placed(query="resources=VCPU:1"),
        "POST /allocations": _placed({_CONSUMER: _claimed(VCPU=1)}),
        "GET /allocations/{consumer}": _placed(),
        "PUT /allocations/{consumer}": _placed({**_claimed(VCPU=1), "consumer_generation": 1}),
        "DELETE /allocations/{consumer}": _placed(),
        "GET /usages": _placed(query="project_id={project}", target="project"),
        "POST /reshaper": _placed({"inventories": {IDLE_PROVIDER: {"inventories": {}, **_SEEN}}, "allocations": {_CONSUMER: _claimed()}}),
    }.items()
}
for _method in ("GET", "PUT", "DELETE"):
    for _of, _heirs in (("users/{user_id}", {"user_id": "clerk"}), ("groups/{group_id}", {"group_id": "aides"})):
        for _start in (f"/v3/system/{_of}/roles", f"/v3/OS-INHERIT/domains/{{domain_id}}/{_of}/roles"):
            for _end in ("", "/{role_id}", "/inherited_to_projects", "/{role_id}/inherited_to_projects"):
                GIVEN[f"identity {_method} {_start}{_end}"] = Example(parts=_heirs)


def given(operation: Operation) -> tuple[Example, ...]:
    """As they are written down here; nothing special if they are not."""
    found = GIVEN.get(operation.name, Example())
    return found if isinstance(found, tuple) else (found,)
