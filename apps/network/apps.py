from django.apps import AppConfig


class NetworkConfig(AppConfig):
    name = "apps.network"
    label = "network"

    def ready(self) -> None:
        from apps.network import selectors
        from apps.quotas.registry import counted

        counted(("networks", "ports"), selectors.usage)
