"""What is said to those who cannot prove who they are. Pure, no Django."""

from collections.abc import Sequence

from apps.common.errors import Unauthenticated


def failed() -> Unauthenticated:
    """The one answer to all that is wrong with name, domain, password, code or secret: nobody learns which users exist."""
    return Unauthenticated("auth.failed", "Unknown user or wrong password.")


def locked(wait_s: float) -> Unauthenticated:
    """The answer while a lock holds, also to the right password. Fact: retry_after_s."""
    told = f"{wait_s / 60:.0f} minutes" if wait_s > 90 else f"{max(wait_s, 1):.0f} s"
    return Unauthenticated(
        "auth.locked", f"Too many wrong passwords or codes: wait {told} before you try again.", retry_after_s=round(wait_s, 1)
    )


def second_factor(rules: Sequence[Sequence[str]], text: str = "") -> Unauthenticated:
    """The password was right, and is not enough. Fact: the lists of methods of which one is needed as a whole."""
    told = " or ".join(" and ".join(rule) for rule in rules)
    text = text or f"The password is right, but a second proof is needed as well: {told}."
    return Unauthenticated("auth.second_factor", text, required_auth_methods=[list(rule) for rule in rules])


def password_expired() -> Unauthenticated:
    """The password was right, but is too old."""
    return Unauthenticated("auth.password_expired", "This password has expired: change it, then sign in with the new one.")


def scope() -> Unauthenticated:
    """Where the token should work, it cannot: there is no such place, it is disabled, or one has no role there."""
    return Unauthenticated("auth.scope", "You have no role there, or it is disabled.")
