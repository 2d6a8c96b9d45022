from django.apps import AppConfig


class QuotasConfig(AppConfig):
    name = "apps.quotas"
    label = "quotas"

    def ready(self) -> None:
        from apps.identity.services import holdings
        from apps.quotas.services import accounts

        holdings.register(accounts.in_use)
        holdings.register_accounts(closing=accounts.close, gone=accounts.forget)
