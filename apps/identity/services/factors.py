"""How many proofs a user must bring: one, or those that the user's rules or second factor ask for."""

from collections.abc import Collection, Sequence

from apps.identity import backends, errors
from apps.identity.models import User

METHODS = ("password", "totp", "token", "application_credential")
# These stand for a sign-in that was complete, or for a program that its owner let in.
_ENOUGH = frozenset({"token", "application_credential", "ec2credential", "shell"})
_BOTH = (("password", "totp"),)


def rules_of(user: User) -> Sequence[Sequence[str]]:
    """The lists of methods of which one is needed as a whole; empty: any method is enough.

    The option `multi_factor_auth_rules` says it if `multi_factor_auth_enabled` is set; else whoever has a second factor needs
    it beside the password.
    """
    options = user.options or {}
    if options.get("multi_factor_auth_enabled"):
        rules = [[method for method in rule if method in METHODS] for rule in options.get("multi_factor_auth_rules") or []]
        if rules := [rule for rule in rules if rule]:
            return rules
    return _BOTH if backends.has_second_factor(user) else ()


def require(user: User, methods: Collection[str]) -> None:
    """Raises Unauthenticated unless these methods are enough: `auth.second_factor` to whoever knew the password."""
    if _ENOUGH.intersection(methods):
        return
    rules = rules_of(user)
    if not rules or any(set(rule) <= set(methods) for rule in rules):
        return
    raise errors.second_factor(rules) if "password" in methods else errors.failed()
