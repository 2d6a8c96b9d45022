from django.apps import AppConfig


class ComputeConfig(AppConfig):
    name = "apps.compute"
    label = "compute"

    def ready(self) -> None:
        from apps.compute import kinds, reconcile
        from apps.operations.kinds import observe_hosts, register

        register(*kinds.KINDS)
        observe_hosts(reconcile.compare)
