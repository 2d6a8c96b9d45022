"""Every method of every OpenStack view says which permission it needs, or that it is for anybody."""

import pytest
from django.urls import URLPattern

from apis.openstack.common.views import View
from apis.openstack.identity import urls as identity
from apis.openstack.placement import urls as placement
from apps.identity.permissions import TABLE


def methods() -> list[tuple[str, type[View], str]]:
    found = []
    for pattern in [*identity.v3, *placement.resources]:
        view: type[View] = pattern.callback.view_class  # type: ignore[attr-defined]
        assert isinstance(pattern, URLPattern)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if hasattr(view, method.lower()):
                found.append((str(pattern.pattern), view, method))
    return found


@pytest.mark.parametrize(("address", "view", "method"), methods())
def test_a_method_says_what_it_needs(address: str, view: type[View], method: str) -> None:
    assert method in view.permissions or method in view.public, address
    assert view.permissions.get(method, "") in {"", *TABLE}


def test_no_permission_is_said_of_a_method_that_there_is_not() -> None:
    assert not [
        (address, method) for address, view, _ in methods() for method in view.permissions if not hasattr(view, method.lower())
    ]
