from django.apps import AppConfig


class SchedulerConfig(AppConfig):
    name = "apps.scheduler"
    label = "scheduler"

    def ready(self) -> None:
        from apps.quotas.registry import counted
        from apps.scheduler import selectors

        counted(("server_groups", "server_group_members"), selectors.usage)
