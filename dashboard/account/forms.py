"""Forms of these pages. What is right is decided by the services; here is only what a browser must know."""

from datetime import timedelta
from typing import Any

from django import forms

from apps.common import clock

_LONGEST_PASSWORD = 4096


def _password(label: str, autocomplete: str, help_text: str = "") -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, widget=widget, strip=False, max_length=_LONGEST_PASSWORD, help_text=help_text)


class SignInForm(forms.Form):
    username = forms.CharField(
        label="User name", max_length=320, help_text="Users of another domain than the default one: domain/name.",
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "autofocus": True, "spellcheck": "false"}),
    )
    password = _password("Password", "current-password")


class CodeForm(forms.Form):
    code = forms.CharField(
        label="Code", max_length=16,
        widget=forms.TextInput(attrs={
            "autocomplete": "one-time-code", "inputmode": "numeric", "pattern": "[0-9 ]*", "autofocus": True, "class": "cs-code-input",
        }),
    )


class NewPasswordForm(forms.Form):
    new_password = _password("New password", "new-password")
    again = _password("Once more", "new-password")

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if again != self.cleaned_data.get("new_password", again):
            raise forms.ValidationError("The two are not the same.")
        return again


class ChangePasswordForm(NewPasswordForm):
    old_password = _password("Password of now", "current-password")
    field_order = ("old_password", "new_password", "again")


class ApplicationCredentialForm(forms.Form):
    name = forms.CharField(max_length=255, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    description = forms.CharField(max_length=255, required=False)
    roles = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, help_text="None chosen: all that you have in this project.",
    )
    permissions = forms.CharField(
        required=False, max_length=1000, help_text="Only these of what the roles give, such as compute.instance.* images.image.get; empty: all.",
    )
    days = forms.IntegerField(label="Good for days", required=False, min_value=1, max_value=3650, help_text="Empty: until it is deleted.")
    unrestricted = forms.BooleanField(required=False, label="May make further credentials and keys")

    def __init__(self, *args: Any, roles: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: Any = self.fields["roles"]
        choices.choices = [(role, role) for role in roles]

    def wanted(self) -> dict[str, Any]:
        """As the service takes it."""
        given = self.cleaned_data
        return {
            "name": given["name"], "description": given["description"], "roles": given["roles"] or None,
            "permissions": given["permissions"].replace(",", " ").split() or None, "unrestricted": given["unrestricted"],
            "expires_at": clock.now() + timedelta(days=given["days"]) if given["days"] else None,
        }


class AccessKeyForm(forms.Form):
    name = forms.CharField(max_length=64, required=False, help_text="To tell your keys apart.", widget=forms.TextInput(attrs={"autocomplete": "off"}))
