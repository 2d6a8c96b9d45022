"""Users: made, changed, deleted; their passwords."""

import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, TypedDict, Unpack

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common import clock, context
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Forbidden, Invalid, NotFound
from apps.identity import builtin, lockout, policy, selectors
from apps.identity.fields import OF_USERS, USER_NAME, check_email, check_text, merged
from apps.identity.models import Project, User
from apps.identity.services import administrators, factors, holdings, proofs, tokens, totp

# What comes from the directory is changed there.
_OF_DIRECTORY = ("username", "email")
_MOST_PASSWORD = 4096
_SET_PASSWORD = "identity.user.set_password"


class UserChanges(TypedDict, total=False):
    """What may be changed; `options` are put over those that there are, null takes one away."""

    username: str
    email: str
    description: str
    enabled: bool
    default_project_id: uuid.UUID | None
    options: Mapping[str, Any]
    password: str | None


def create_user(
    *, actor: Actor, username: str, password: str | None = None, email: str = "", description: str = "",
    domain_id: uuid.UUID | None = None, enabled: bool = True, default_project_id: uuid.UUID | None = None,
    options: Mapping[str, Any] | None = None,
) -> User:
    """A user of a domain (the actor's, else the default one); without a password it cannot sign in with one.

    Raises Forbidden, Invalid (a field; `user.password`, `user.default_project`), NotFound (domain), Conflict (`user.exists`).
    """
    policy.require(actor, "identity.user.create")
    domain_id = owner_of(actor, "identity.user.create", domain_id)
    _check_fields({"username": username, "email": email, "description": description, "default_project_id": default_project_id})
    user = User(
        username=username, email=email, description=description, domain_id=domain_id, is_active=enabled,
        default_project_id=default_project_id, options=merged({}, options or {}, OF_USERS),
    )
    _new_password(user, password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            record.write(actor, "identity.user.create", "user", user.pk, project_id=domain_id, name=username)
    except IntegrityError:
        raise _not_made(username, domain_id) from None
    return user


def ensure_user(*, actor: Actor, username: str, password: str) -> tuple[User, bool]:
    """The user of that name in the default domain; made with that password if there was none. Returns user and whether made."""
    found = User.objects.filter(username=username, domain_id=builtin.DEFAULT_DOMAIN_ID).first()
    if found is not None:
        return found, False
    return create_user(actor=actor, username=username, password=password), True


def update_user(*, actor: Actor, user_id: uuid.UUID, **changes: Unpack[UserChanges]) -> User:
    """Change what is given. Whoever is disabled is out at once, and signs in anew when enabled again; with another password
    all its tokens end.

    Raises NotFound, Forbidden (also `user.read_only`, `user.on_system`), Invalid, Conflict (`user.exists`), InvalidState
    (`identity.last_admin`).
    """
    _check_fields(changes)
    fresh = _with_password(actor, user_id, changes["password"]) if "password" in changes else None
    try:
        with transaction.atomic(), nullcontext() if changes.get("enabled", True) else administrators.last_one_stays():
            user = selectors.user(actor=actor, user_id=user_id, permission="identity.user.update", lock=True)
            administrators.require_over_user(actor, "identity.user.update", user)
            changed = _changed(user, changes)
            if user.source != "database" and (field := next((name for name in _OF_DIRECTORY if name in changed), None)):
                raise read_only(user, field)
            _save(actor, user, changed)
            if fresh is not None:
                _put_password(actor, fresh)
                user.password_changed_at, user.password_expires_at = fresh.password_changed_at, fresh.password_expires_at
    except IntegrityError:
        raise _exists(changes.get("username", "")) from None
    return user


def set_password(*, actor: Actor, user_id: uuid.UUID, password: str | None) -> None:
    """Give a user another password, or none; all its tokens end. Raises NotFound, Forbidden (also `user.read_only`,
    `user.on_system`), Invalid (`user.password`)."""
    fresh = _with_password(actor, user_id, password)
    with transaction.atomic():
        _put_password(actor, fresh)


def _with_password(actor: Actor, user_id: uuid.UUID, password: str | None) -> User:
    """A user whose new password is not written yet: to hash it takes its time, so that is done before the transaction."""
    user = selectors.user(actor=actor, user_id=user_id, permission=_SET_PASSWORD)
    administrators.require_over_user(actor, _SET_PASSWORD, user)
    if user.source != "database":
        raise read_only(user, "password")
    _new_password(user, password)
    return user


def _put_password(actor: Actor, user: User) -> None:
    _write_password(user)
    tokens.revoke_all_of([user.pk])
    record.write(actor, _SET_PASSWORD, "user", user.pk, project_id=user.domain_id, name=user.username)


def change_password(
    *, user_id: uuid.UUID, old: str, new: str, actor: Actor | None = None, code: str = "", request: Any = None
) -> None:
    """One's own password for another one, in exchange for the old one; all other tokens end.

    Without an actor the old password is the proof of who asks, and `code` that of who has a second factor. `request`: for the
    lockout. Raises Unauthenticated (`auth.failed`: wrong password or unknown user; `auth.locked`, `auth.second_factor`),
    Forbidden (`user.read_only`, `user.password_locked`), Invalid (`user.password`, `user.password_same`).
    """
    permission = "identity.password.change"
    if actor is not None:
        policy.require(actor, permission, user_id=user_id)
    user = proofs.by_password(password=old, user_id=user_id, request=request, even_expired=True).user
    if actor is None:
        # Without a token the password would be the only proof, which is not enough for who has a second factor.
        if code:
            totp.prove(user=user, code=code, request=request)
        factors.require(user, ["password", "totp"] if code else ["password"])
    lockout.succeeded(request, lockout.name_of(user.username, user.domain_id))
    if new == old:
        raise Invalid("user.password_same", "The new password is the old one.", field="password")
    _replace_password(user, new, actor, request)


def replace_expired(*, user_id: uuid.UUID, new: str, request: Any = None) -> None:
    """A new password in the place of one that has expired, for who has just shown to know that one. Raises NotFound, Forbidden,
    Invalid (`user.password`, `user.password_same`)."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound("user.not_found", "This user was deleted at this moment.", field="user_id")
    if user.check_password(new):
        raise Invalid("user.password_same", "The new password is the old one.", field="password")
    _replace_password(user, new, None, request)


def _replace_password(user: User, new: str, actor: Actor | None, request: Any) -> None:
    if user.source != "database":
        raise read_only(user, "password")
    if user.options.get("lock_password"):
        raise Forbidden("user.password_locked", "Your password is set by an administrator only.", field="password")
    _new_password(user, new)
    who = actor or Actor(
        user_id=user.pk, user_name=user.username, project_id=None, request_id=context.request_id.get(),
        address=context.address_of(request),
    )
    with transaction.atomic():
        _write_password(user)
        tokens.revoke_all_of([user.pk], except_token=who.token_id)
        record.write(who, "identity.password.change", "user", user.pk, project_id=user.domain_id, name=user.username)


def delete_user(*, actor: Actor, user_id: uuid.UUID) -> None:
    """Delete a user with its roles, tokens and credentials. What it made in projects stays, under its plain id.

    Raises NotFound, Forbidden (also `user.oneself`, `user.on_system`), InvalidState (`identity.last_admin`).
    """
    permission = "identity.user.delete"
    with transaction.atomic():
        user = selectors.user(actor=actor, user_id=user_id, permission=permission)
        if user.pk == actor.user_id:
            raise Forbidden("user.oneself", "You cannot delete yourself; somebody else must.")
        administrators.require_over_user(actor, permission, user)
        with administrators.last_one_stays():
            # Whoever gives it a role at this moment waits for this lock, and finds nobody.
            if User.objects.select_for_update().filter(pk=user.pk).first() is None:
                raise NotFound("user.not_found", f"There is no user {user_id} of yours.", field="user_id")
            holdings.forget_users([user.pk])
            record.write(actor, permission, "user", user.pk, project_id=user.domain_id, name=user.username)
            User.objects.filter(pk=user.pk).delete()


def owner_of(actor: Actor, permission: str, domain_id: uuid.UUID | None) -> uuid.UUID:
    """The domain in which something is to be made: the one given, the actor's, or the default one. Raises NotFound."""
    key = domain_id or actor.domain_id or builtin.DEFAULT_DOMAIN_ID
    if not policy.allows(actor, permission, domain_id=key) or not Project.objects.filter(pk=key, is_domain=True).exists():
        raise NotFound("domain.not_found", f"There is no domain {key} of yours.", field="domain_id")
    return key


def read_only(user: User, field: str) -> Forbidden:
    """For what comes from the directory."""
    return Forbidden("user.read_only", f"{user.username} comes from the directory: change its {field} there.", field=field)


def _check_fields(given: Mapping[str, Any]) -> None:
    if "username" in given:
        check_name(given["username"], field="username", most=USER_NAME)
    if "email" in given:
        check_email(given["email"])
    if "description" in given:
        check_text(given["description"])
    project_id = given.get("default_project_id")
    if project_id is not None and Project.objects.filter(pk=project_id, is_domain=True).exists():
        raise Invalid(
            "user.default_project", f"User's default project ID cannot be a domain ID: {project_id}", field="default_project_id"
        )


def _changed(user: User, changes: Mapping[str, Any]) -> dict[str, list[Any]]:
    wanted = {name: changes[name] for name in ("username", "email", "description", "default_project_id") if name in changes}
    if "enabled" in changes:
        wanted["is_active"] = changes["enabled"]
        if user.directory_state:
            if changes["enabled"]:
                raise Forbidden("user.read_only", f"{user.username} is {user.directory_state} in the directory: let it in there.", field="enabled")
            wanted["directory_state"] = ""  # disabled here too, so the directory alone does not let it in again
    if "options" in changes:
        wanted["options"] = merged(user.options, changes["options"], OF_USERS)
    return record.changed(user, **wanted)


def _save(actor: Actor, user: User, changed: Mapping[str, list[Any]]) -> None:
    if not changed:
        return
    for field, (_, value) in changed.items():
        setattr(user, field, value)
    user.save(update_fields=list(changed))
    if not user.is_active:
        tokens.revoke_all_of([user.pk])
    shown = {"enabled" if name == "is_active" else name: value for name, value in changed.items()}
    record.write(actor, "identity.user.update", "user", user.pk, project_id=user.domain_id, name=user.username, changes=shown)


def _new_password(user: User, password: str | None) -> None:
    if password is not None:
        if len(password) > _MOST_PASSWORD:
            raise Invalid("user.password", f"password: expected at most {_MOST_PASSWORD} characters.", field="password")
        _check("user.password", "password", lambda: validate_password(password, user))
    user.set_password(password)
    now, days = clock.now(), settings.ENV.password_expires_days
    user.password_changed_at, user.password_expires_at = now, now + timedelta(days=days) if days and password is not None else None


def _write_password(user: User) -> None:
    changed = User.objects.filter(pk=user.pk).update(
        password=user.password, password_changed_at=user.password_changed_at, password_expires_at=user.password_expires_at
    )
    if not changed:
        raise NotFound("user.not_found", "This user was deleted at this moment.", field="user_id")


def _not_made(username: str, domain_id: uuid.UUID) -> Conflict | NotFound:
    if not Project.objects.filter(pk=domain_id).exists():
        return NotFound("domain.not_found", f"There is no domain {domain_id} of yours.", field="domain_id")
    return _exists(username)


def _exists(username: str) -> Conflict:
    return Conflict("user.exists", f"There is a user named {username!r} in this domain already.", field="username")


def _check(code: str, field: str, validate: Callable[[], None]) -> None:
    try:
        validate()
    except ValidationError as error:
        raise Invalid(code, f"{field}: {' '.join(error.messages)}", field=field) from None
