"""Access lists as tables."""

from django.utils.safestring import SafeString

from apps.common import ids
from apps.common.admin import drawing, references
from apps.objects.access.acl import ALL, AUTHENTICATED, Acl, spelled_out

_GROUPS = {ALL: ("everybody", "warn"), AUTHENTICATED: ("all users", "busy")}


def grants(acl: Acl | None, owner: str, bucket_owner: str) -> SafeString:
    """Who is given what; empty for a private thing. Owners by their canonical ids."""
    if not acl:
        return drawing.EMPTY
    return drawing.table(("To", "May"), [(_grantee(each), permission) for each, permission in spelled_out(acl, owner, bucket_owner)])


def _grantee(canonical: str) -> SafeString:
    if canonical in _GROUPS:
        return drawing.badge(*_GROUPS[canonical])
    known = ids.parse(canonical)
    return references.link("user", known) if known is not None else drawing.code(canonical)
