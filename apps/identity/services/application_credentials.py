"""Application credentials: passwords for programs, for one project, that can do at most what their owner can."""

import difflib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common import clock
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, InvalidState
from apps.identity import access_rules, hashing, policy
from apps.identity.access_rules import Rule
from apps.identity.fields import check_text
from apps.identity.models import AccessRule, ApplicationCredential, Role
from apps.identity.selectors import delegated
from apps.identity.services import ceilings
from apps.identity.services.ceilings import Ceiling

_MOST_SECRET = 255
_MOST_RULES = 50


@dataclass(frozen=True)
class Made:
    """A new application credential; `secret` is shown once and never again."""

    credential: ApplicationCredential
    secret: str


def create(
    *, actor: Actor, name: str, secret: str = "", description: str = "", roles: Sequence[str] | None = None,
    permissions: Sequence[str] | None = None, unrestricted: bool = False, expires_at: datetime | None = None,
    rules: Sequence[Rule | uuid.UUID] = (), user_id: uuid.UUID | None = None,
) -> Made:
    """A credential for the project that the actor works in. `user_id`: whose it is to be, which can only be the actor itself.

    `secret`: made, unless one is given. `roles`: names or ids, by default all that the actor has there. `permissions`:
    patterns such as `compute.*` that it is limited to. `unrestricted`: may make further credentials. `rules`: the only
    requests that it may make; ids name rules that there are.
    Raises Forbidden, Invalid (`application_credential.…`, `access_rule.…`), Conflict `application_credential.exists`.
    """
    policy.require(actor, "identity.application_credential.create", user_id=user_id or actor.user_id)
    project_id = policy.in_project(actor)
    check_name(name)
    check_text(description)
    user_id = ceilings.user_of(actor)
    ceiling = ceilings.of(actor, project_id)
    role_ids = _roles(roles, ceiling)
    _check_permissions(permissions, ceiling)
    _check_end(expires_at, ceiling)
    wanted = _rules(actor, rules, ceiling)
    kept, secret = _kept(secret)
    try:
        with transaction.atomic():
            made = ApplicationCredential.objects.create(
                user_id=user_id, project_id=project_id, name=name, description=description, secret=kept,
                permissions=list(permissions) if permissions is not None else None, unrestricted=unrestricted, expires_at=expires_at,
            )
            made.roles.set(Role.objects.filter(pk__in=role_ids))
            made.access_rules.set(_rule_rows(user_id, wanted))
            _record(actor, "create", made, sorted(policy.role_names(role_ids, ceiling.version)))
    except IntegrityError:
        if ApplicationCredential.objects.filter(user_id=user_id, name=name).exists():
            raise Conflict("application_credential.exists", f"You have one named {name!r} already.", field="name") from None
        raise Conflict("application_credential.vanished", "A role or rule of it was deleted at this moment: try again.") from None
    return Made(made, secret)


def delete(*, actor: Actor, credential_id: uuid.UUID, user_id: uuid.UUID | None = None) -> None:
    """Delete it; its tokens and access keys are void at once. `user_id`: only if it is that user's. Raises NotFound, Forbidden."""
    permission = "identity.application_credential.delete"
    found = delegated.application_credential(actor=actor, credential_id=credential_id, user_id=user_id, permission=permission)
    with transaction.atomic():
        _record(actor, "delete", found, None)
        ApplicationCredential.objects.filter(pk=found.pk).delete()


def delete_rule(*, actor: Actor, rule_id: uuid.UUID, user_id: uuid.UUID | None = None) -> None:
    """Delete an access rule that no credential has. Raises NotFound, Forbidden, InvalidState `access_rule.in_use`."""
    permission = "identity.application_credential.delete"
    found = delegated.access_rule(actor=actor, rule_id=rule_id, user_id=user_id, permission=permission)
    in_use = InvalidState("access_rule.in_use", "May not delete access rule in use: delete the application credentials with it first.")
    try:
        with transaction.atomic():
            # One statement, without Django's cascade: it would take the rule away from a credential that gets it at this
            # moment, and a credential that has lost its last rule may do everything.
            rows = AccessRule.objects.filter(pk=found.pk, application_credentials=None)
            if not AccessRule.objects.filter(pk__in=rows.values("pk"))._raw_delete(using=rows.db):
                raise in_use
            record.write(actor, permission, "access_rule", rule_id, name=str(found))
    except IntegrityError:
        raise in_use from None


def _roles(asked: Sequence[str] | None, ceiling: Ceiling) -> frozenset[uuid.UUID]:
    """With all that they imply, so that its owner may lose the higher one and it keeps the lower."""
    found = ceiling.roles
    if asked is not None:
        given, strange = ceilings.roles_named(asked, ceiling.roles, ceiling.version)
        if strange:
            text = f"roles: you do not have {strange[0][:80]!r} in this project, so no credential of yours can."
            raise Invalid("application_credential.role", text, field="roles")
        found = policy.closure(given, ceiling.version) & ceiling.roles
    if not found:
        raise Invalid("application_credential.role", "roles: expected at least one role that you have in this project.", field="roles")
    return found


def _check_permissions(patterns: Sequence[str] | None, ceiling: Ceiling) -> None:
    everything = frozenset(settings.POLICY)
    for pattern in patterns or ():
        if not policy.matching(everything, [pattern]):
            near = difflib.get_close_matches(pattern, everything, 1)
            text = f"permissions: there is none like {pattern[:80]!r}{f'; did you mean {near[0]}?' if near else '.'}"
            raise Invalid("application_credential.permission", text, field="permissions")
    if ceiling.permissions is None:
        return
    allowed = policy.matching(everything, ceiling.permissions)
    if patterns is None or not policy.matching(everything, patterns) <= allowed:
        text = f"permissions: the credential that you came by is limited to {', '.join(ceiling.permissions)}; this one must be, too."
        raise Invalid("application_credential.permission", text, field="permissions")


def _check_end(expires_at: datetime | None, ceiling: Ceiling) -> None:
    if expires_at is not None and expires_at <= clock.now():
        raise Invalid("application_credential.expiry", "expires_at: expected a time to come.", field="expires_at")
    if ceiling.expires_at is not None and (expires_at is None or expires_at > ceiling.expires_at):
        text = f"expires_at: the credential that you came by ends at {ceiling.expires_at:%Y-%m-%d %H:%M:%S} UTC; this one cannot outlive it."
        raise Invalid("application_credential.expiry", text, field="expires_at")


def _rules(actor: Actor, asked: Sequence[Rule | uuid.UUID], ceiling: Ceiling) -> frozenset[Rule]:
    if len(asked) > _MOST_RULES:
        raise Invalid("access_rule.too_many", f"access_rules: expected at most {_MOST_RULES}.", field="access_rules")
    found: set[Rule] = set()
    for each in asked:
        if isinstance(each, Rule):
            access_rules.check(each)
            found.add(each)
        else:
            row = delegated.access_rule(actor=actor, rule_id=each)
            found.add(Rule(row.service, row.method, row.path))
    if ceiling.rules and not found:
        return ceiling.rules
    if ceiling.rules and not found <= ceiling.rules:
        text = "access_rules: the credential that you came by has rules; this one can have some of them and no others."
        raise Invalid("access_rule.beyond_own", text, field="access_rules")
    return frozenset(found)


def _rule_rows(user_id: uuid.UUID, rules: frozenset[Rule]) -> list[AccessRule]:
    """The rows of these rules, each made if there was none."""
    return [
        AccessRule.objects.get_or_create(user_id=user_id, service=rule.service, method=rule.method, path=rule.path)[0]
        for rule in sorted(rules)
    ]


def _kept(given: str) -> tuple[str, str]:
    """What is stored of the secret, and the secret."""
    if not given:
        secret = hashing.made()
        return hashing.of_made(secret), secret
    least = settings.ENV.password_length
    if not least <= len(given) <= _MOST_SECRET or "\x00" in given:
        text = f"secret: expected {least} to {_MOST_SECRET} characters, or none, to have one made."
        raise Invalid("application_credential.secret", text, field="secret")
    return hashing.of_chosen(given), given


def _record(actor: Actor, verb: str, row: ApplicationCredential, roles: Sequence[str] | None) -> None:
    changes = None
    if roles is not None:
        changes = {"roles": tuple(roles), "unrestricted": row.unrestricted, "expires_at": row.expires_at}
    record.write(
        actor, f"identity.application_credential.{verb}", "application_credential", row.pk, project_id=row.project_id, name=row.name,
        changes=changes,
    )
