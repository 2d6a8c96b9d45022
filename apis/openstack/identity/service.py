"""What Identity has of its own: where it is, how it refuses, and the base of its views."""

from typing import Any

from apis.openstack.common import errors, views
from apis.openstack.common.api import Api
from apis.openstack.common.faults import Fault

_UNAUTHENTICATED = "The request you have made requires authentication."
_FORBIDDEN = "You are not authorized to perform the requested action"
# Who gets these has shown to know the password, or asked too often, or named a method that there is not.
_TOLD = frozenset({"auth.second_factor", "auth.password_expired", "auth.locked", "auth.method_unknown"})


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
    return content


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
