from django.apps import AppConfig


class SchedulerConfig(AppConfig):
    name = "apps.scheduler"
    label = "scheduler"

    def ready(self) -> None:
        from apps.operations.services import ticker
        from apps.quotas.registry import counted
        from apps.scheduler import selectors
        from apps.scheduler.services import decisions

        counted(("server_groups", "server_group_members"), selectors.usage)
        # There may be many of them, and nothing waits for their end.
        ticker.DUTIES.append(ticker.Duty("prune decisions", 600.0, decisions.prune, apart=True))
