"""Emptying the database between tests that really commit."""

from functools import cache

from django.apps import apps
from django.db import connection

from apps.audit import triggers
from apps.identity import policy
from apps.identity.services import bootstrap, tokens
from apps.network.services import bootstrap as network_bootstrap

# Made by migrations and signals, the same for every test.
_KEPT = {"django_content_type", "auth_permission", "django_migrations"}


@cache
def _tables() -> tuple[str, ...]:
    models = apps.get_models(include_auto_created=True)
    return tuple(sorted({model._meta.db_table for model in models if model._meta.managed} - _KEPT))


def wipe() -> None:
    """Delete all rows, whatever refers to what, and make the built-in ones anew."""
    _delete()
    bootstrap.ensure()
    network_bootstrap.ensure()
    if policy.definitions.cache_info().currsize > 1:
        # The number of the version starts anew, and roles of that number were others.
        for cached in (policy.definitions, policy.grants, policy.role_names, tokens._grants):
            cached.cache_clear()


def _delete() -> None:
    quoted = [connection.ops.quote_name(table) for table in _tables()]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # One round trip; `replica`, which takes a superuser, leaves foreign keys unchecked and triggers aside.
            deletes = "; ".join(f"DELETE FROM {table}" for table in quoted)
            cursor.execute(f"BEGIN; SET LOCAL lock_timeout = '20s'; SET LOCAL session_replication_role = replica; {deletes}; COMMIT")
            return
        cursor.execute("PRAGMA foreign_keys=OFF")
        try:
            cursor.execute("BEGIN IMMEDIATE")
            # The audit trail lets go of its records for nobody: it is opened, and closed again in this transaction.
            emptied = [f"DELETE FROM {table}" for table in quoted]
            for statement in (*triggers.REMOVE["sqlite"], *emptied, *triggers.INSTALL["sqlite"]):
                cursor.execute(statement)
            cursor.execute("COMMIT")
        finally:
            cursor.execute("PRAGMA foreign_keys=ON")
