"""What may be done to users: the forms, and the services behind the buttons of their pages."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms

from apps.common.admin import drawing
from apps.common.admin.buttons import Button
from apps.common.context import Actor
from apps.identity import backends, lockout
from apps.identity.admin.forms import DESCRIPTION, DomainChoice, GiveForm, JoinForm
from apps.identity.builtin import DEFAULT_DOMAIN_ID
from apps.identity.models import User
from apps.identity.services import assignments, groups, tokens, totp, unlocking, users
from apps.identity.services.assignments import Given


class UserForm(forms.Form):
    """What may be changed of a user."""

    username = forms.CharField(max_length=255)
    email = forms.CharField(max_length=254, required=False)
    description = forms.CharField(max_length=DESCRIPTION, required=False, widget=forms.Textarea(attrs={"rows": 3}))


class PasswordForm(forms.Form):
    """A password, twice; the service checks how good it is."""

    password = forms.CharField(max_length=4096, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))
    again = forms.CharField(
        max_length=4096, strip=False, label="Once more", widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def clean_again(self) -> str:
        if self.cleaned_data["again"] != self.cleaned_data.get("password"):
            raise forms.ValidationError("These are two different passwords.")
        return str(self.cleaned_data["again"])


class NewUserForm(UserForm, PasswordForm):
    """And its domain, for life."""

    domain = DomainChoice(initial=DEFAULT_DOMAIN_ID)
    field_order = ("domain", "username", "password", "again", "email", "description")

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        for name in ("password", "again"):
            self.fields[name].required = False
        self.fields["password"].help_text = "Empty: it cannot sign in with a password."

    def clean_again(self) -> str:
        return super().clean_again() if self.cleaned_data.get("password") else ""


def create(actor: Actor, values: Mapping[str, Any]) -> User:
    return users.create_user(
        actor=actor, username=values["username"], password=values["password"] or None, email=values["email"],
        description=values["description"], domain_id=values["domain"].pk,
    )


def _change(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    changed = users.update_user(
        actor=actor, user_id=user.pk, username=values["username"], email=values["email"], description=values["description"]
    )
    return f"The user {changed} is changed."


def _set_password(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    users.set_password(actor=actor, user_id=user.pk, password=values["password"])
    return f"{user} has a new password, and no token any more."


def _switch(*, on: bool) -> Callable[[Actor, User, Mapping[str, Any]], str]:
    def run(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
        users.update_user(actor=actor, user_id=user.pk, enabled=on)
        return f"{user} is {'enabled' if on else 'disabled'}."

    return run


def _delete(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    users.delete_user(actor=actor, user_id=user.pk)
    return f"The user {user} is deleted."


def _revoke(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    count = tokens.revoke_all(actor=actor, user_id=user.pk)
    return f"{count} token{'' if count == 1 else 's'} of {user} revoked."


def _remove_factor(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    totp.remove_of(actor=actor, user_id=user.pk)
    return f"{user} has no second factor any more."


def _unlock(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    found = unlocking.unlock(actor=actor, user_id=user.pk)
    return f"{found.failures} wrong password{'' if found.failures == 1 else 's'} or codes of {user} are forgotten."


def failures(user: Any) -> lockout.Failures | None:
    """Wrong passwords and codes that count; found for a whole list at once, or for this one."""
    if not hasattr(user, "failures"):
        name = lockout.name_of(user.username, user.domain_id)
        user.failures = lockout.failures([name]).get(name)
    found: lockout.Failures | None = user.failures
    return found


def is_locked(user: User) -> bool:
    """Whether its password would be refused from somewhere, right as it may be."""
    found = failures(user)
    return found is not None and found.locked and not (user.options or {}).get("ignore_lockout_failure_attempts")


def _give(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    place = values["project"]
    given = Given(role_id=values["role"].pk, user_id=user.pk, place_id=place.pk if place else None, inherited=values["inherited"])
    assignments.give(actor=actor, given=given)
    return f"{user} has the role {values['role']} {'in ' + str(place) if place else 'on the system'}."


def _join(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    groups.add_member(actor=actor, group_id=values["group"].pk, user_id=user.pk)
    return f"{user} is in the group {values['group']}."


def _leave(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    groups.remove_member(actor=actor, group_id=values["group"].pk, user_id=user.pk)
    return f"{user} is not in the group {values['group']} any more."


def is_ours(user: User) -> bool:
    return user.source == "database"


def _what_goes(user: User) -> object:
    return drawing.facts(
        (
            ("roles given to it", user.assignments.count()), ("application credentials", user.application_credentials.count()),
            ("access keys", user.credentials.filter(type="ec2").count()), ("trusts", user.trusts_given.filter(deleted_at=None).count()),
        )
    )


_SET_PASSWORD = "identity.user.set_password"
BUTTONS = (
    Button(
        name="give", label="Give a role", question="Give {rows} a role", permission="identity.assignment.create", run=_give, form=GiveForm, bulk=False,
        warning="It counts from the next request on.",
    ),
    Button(
        name="join", label="Put into a group", question="Put {rows} into a group", permission="identity.group.members", run=_join, form=JoinForm,
        warning="It has all roles of the group from the next request on.",
    ),
    Button(
        name="leave", label="Take out of a group", question="Take {rows} out of a group", permission="identity.group.members", run=_leave, form=JoinForm, bulk=False,
        in_table=True, warning="It loses the roles that it has by this group with the next request.",
    ),
    Button(
        name="change", label="Change", permission="identity.user.update", run=_change, form=UserForm, bulk=False,
        initial=lambda user: {"username": user.username, "email": user.email, "description": user.description},
        warning="Name, address and description. Name and address of users from the directory are changed there.",
    ),
    Button(
        name="password", label="Set password", question="Set the password of {rows}", permission=_SET_PASSWORD, run=_set_password, form=PasswordForm, bulk=False, offered=is_ours,
        warning="All its tokens end. Its application credentials and access keys go on working.",
    ),
    Button(
        name="revoke", label="Revoke all tokens", question="Revoke all tokens of {rows}?", permission="identity.token.revoke", run=_revoke,
        warning="Whatever uses a token of this user is refused at once; it may sign in again.",
    ),
    Button(
        name="unlock", label="Unlock", permission=_SET_PASSWORD, run=_unlock, offered=lambda user: failures(user) is not None, bulk=False,
        warning="Its wrong passwords and codes are forgotten, so it may try again at once. So may who guessed.",
    ),
    Button(
        name="factor", label="Remove second factor", question="Remove the second factor of {rows}?", permission=_SET_PASSWORD,
        run=_remove_factor, offered=backends.has_second_factor, bulk=False, dangerous=True,
        warning="For a phone that is lost. Until a new one is set up, the password alone is enough.",
    ),
    Button(
        name="enable", label="Enable", permission="identity.user.update", run=_switch(on=True), offered=lambda user: not user.is_active,
        warning="The user may sign in again.",
    ),
    Button(
        name="disable", label="Disable", permission="identity.user.update", run=_switch(on=False), dangerous=True,
        offered=lambda user: user.is_active,
        warning="It is out at once: tokens, application credentials and access keys open nothing any more. What it made stays.",
    ),
    Button(
        name="delete", label="Delete", permission="identity.user.delete", run=_delete, bulk=False, dangerous=True, gone=True,
        notice=_what_goes, warning="With its roles, tokens and credentials. What it made in projects stays, without its name.",
    ),
)
