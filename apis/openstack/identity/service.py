"""What Identity has of its own: where it is, how it refuses, and the base of its views."""

from typing import Any

from apis.openstack.common import errors, views
from apis.openstack.common.api import Api
from apis.openstack.common.faults import Fault

_UNAUTHENTICATED = "The request you have made requires authentication."
_FORBIDDEN = "You are not authorized to perform the requested action"
# Who gets these has shown to know the password, or asked too often, or named a method that there is not.
_TOLD = frozenset({"auth.second_factor", "auth.password_expired", "auth.locked", "auth.method_unknown"})
# By code, where the thing has another name on the wire than in our codes.
_THINGS = {
    "application_credential": "Application Credential", "access_rule": "Access Rule", "access_key": "credential",
    "tag": "project tag",
}
# By code; filled with what the address names, and with our own text.
_TEXTS = {
    "assignment.not_found": "Could not find role assignment with role: {role_id}, user or group: {user_id}{group_id}, project,"
    " domain, or system: {project_id}{domain_id}{system}.",
    "application_credential.role": "Invalid application credential: Cannot create an application credential with unassigned role."
    " {message}",
    "limit.not_found": "Could not find limit for {limit_id}.",
    "registered_limit.not_found": "Could not find registered limit for {registered_limit_id}.",
    "limit.unregistered": "Unable to create a limit that has no corresponding registered limit. {message}",
    "group.no_member": "User '{user_id}' not found in group '{group_id}'.",
    "project.has_children": "Cannot delete the project {project_id} since it is not a leaf in the hierarchy. Use the cascade"
    " option if you want to delete a whole subtree.",
    "user.password": "The password does not match the requirements: {message}",
}


def error(fault: Fault) -> dict[str, Any]:
    """Identity's texts where clients know them: who fails to sign in is not told what was wrong."""
    content = errors.titled(fault)
    if fault.status == 401 and fault.code not in _TOLD:
        content["error"]["message"] = _UNAUTHENTICATED
    if fault.code == "auth.method_unknown":
        content["error"]["identity"] = {"methods": fault.facts["methods"]}
    elif fault.code == "auth.second_factor":
        content["required_auth_methods"] = fault.facts["required_auth_methods"]
    elif fault.code == "policy.forbidden":
        content["error"]["message"] = f"{_FORBIDDEN}: {fault.facts.get('permission', 'unknown')}. {fault.message}"
    else:
        content["error"]["message"] = _text(fault, content["error"]["message"])
    return content


class _Named(dict[str, Any]):
    """Only one of user and group, of project, domain and system is in an address."""

    def __missing__(self, name: str) -> str:
        return ""


def _text(fault: Fault, message: str) -> str:
    """What clients and tests know by heart; all else is told in our own words."""
    if known := _TEXTS.get(fault.code):
        return known.format_map(_Named(fault.named, message=message))
    thing, _, what = fault.code.partition(".")
    if what == "not_found" and (asked := fault.named.get(f"{thing}_id") or fault.named.get(thing)):
        return f"Could not find {_THINGS.get(thing, thing)}: {asked}."
    if what == "exists":
        return f"Conflict occurred attempting to store {thing} - {message}"
    return message


API = Api(
    type="identity",
    path="/identity",
    version="v3",
    error=error,
    # Something that exists but is not in a state for this (a domain that is enabled, a rule in use): 403 here, 409 elsewhere.
    statuses={"invalid_state": 403},
)


class View(views.View):
    """The base of Identity's views."""

    api = API
