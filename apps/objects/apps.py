from django.apps import AppConfig


class ObjectsConfig(AppConfig):
    name = "apps.objects"
    label = "objects"
    verbose_name = "Object store"

    def ready(self) -> None:
        from apps.objects.selectors import buckets
        from apps.objects.services import sweep
        from apps.operations.services import ticker
        from apps.quotas.registry import counted

        counted(("buckets", "object_bytes"), buckets.usage)
        # A slow disk, or a server elsewhere, holds up nothing else.
        ticker.DUTIES.append(ticker.Duty("object leftovers", 5.0, sweep.sweep, apart=True))
