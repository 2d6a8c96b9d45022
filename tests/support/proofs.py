"""What people and programs bring to sign in, for tests: requests from an address, codes of a phone, application credentials."""

import base64
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.http import HttpRequest
from django.test import RequestFactory

from apps.common import clock
from apps.common.context import Actor
from apps.identity.models import Project, User
from apps.identity.services import application_credentials, signin, tokens, totp
from apps.identity.services.application_credentials import Made
from apps.identity.services.signin import Scope


def coming_from(address: str = "192.0.2.1") -> HttpRequest:
    """A request to sign in, from there."""
    return RequestFactory().post("/api/v1/tokens", REMOTE_ADDR=address)


def code_of(seed: str, *, steps: int = 0) -> str:
    """What the phone shows now, or so many steps later."""
    raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    return TOTP(raw, 6, SHA1(), 30).generate(int(clock.now().timestamp()) + 30 * steps).decode()


def with_second_factor(user: User) -> str:
    """Set up and confirmed with the code of the step before this one; returns the seed."""
    actor = tokens.actor_for(user_id=user.pk, place_id=None)
    seed = totp.enrol(actor=actor).seed
    # So that no step of the codes ends between the code and its check.
    with mock.patch.object(clock, "now", return_value=clock.now()):
        totp.confirm(actor=actor, code=code_of(seed, steps=-1))
    return seed


def make_credential(user: User, project: Project, name: str = "robot", **more: Any) -> Made:
    """An application credential of the user's for the project."""
    return application_credentials.create(actor=tokens.actor_for(user_id=user.pk, place_id=project.pk), name=name, **more)


def come_by(made: Made) -> tuple[Actor, str]:
    """A program signs in with it: its actor, and the secret of its token."""
    proof = signin.by_application_credential(credential_id=made.credential.pk, secret=made.secret)
    issued = signin.issue(proofs=[proof], scope=Scope())
    return tokens.check(secret=issued.secret, service="identity", method="GET", path="/v3").actor, issued.secret
