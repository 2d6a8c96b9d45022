"""Admin pages of this context; Django's autodiscovery imports this."""

from apps.identity.admin import (
    assignments,
    catalog,
    credentials,
    directory,
    groups,
    names,
    projects,
    roles,
    tokens,
    users,
    ways_in,
)

__all__ = ["assignments", "catalog", "credentials", "directory", "groups", "names", "projects", "roles", "tokens", "users", "ways_in"]
