from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "apps.identity"
    label = "identity"
    verbose_name = "Identity"

    def ready(self) -> None:
        from apps.common import vault
        from apps.identity import checks  # noqa: F401  (tells Django of them)

        vault.sealed("identity.Credential", "blob")
