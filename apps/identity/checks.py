"""What `manage.py check` says of the directory: of the settings always, of the directory itself with `--deploy`."""

from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004

from apps.identity.directory import config, diagnosis

TAG = "directory"


@register(TAG)
def directory_settings(**_: Any) -> list[CheckMessage]:
    """Of this very process; asks nobody."""
    if not config.is_configured():
        return []
    if not config.is_installed():
        return [Error(
            "CLOUDSITE_LDAP_URL is set, but the Python packages for LDAP are not installed: nobody of the directory can sign in.",
            hint=config.INSTALL, id="identity.E001",
        )]
    if config.load().in_clear:
        return [Warning(
            "Passwords travel in clear text to the directory.", hint="Use ldaps:// in CLOUDSITE_LDAP_URL, or CLOUDSITE_LDAP_START_TLS=yes.",
            id="identity.W001",
        )]
    return []


@register(TAG, deploy=True)
def directory_answers(**_: Any) -> list[CheckMessage]:
    """Warnings only: a directory that is away is no reason to start nothing at all."""
    if not config.is_configured() or not config.is_installed():
        return []
    steps = [step for step in diagnosis.examine() if step.verdict != "ok" and step.name != "transport"]
    return [Warning(f"The directory: {step.what}.", hint=step.fix, id="identity.W002") for step in steps]
