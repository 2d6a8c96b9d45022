from django.apps import AppConfig


class ComputeConfig(AppConfig):
    name = "apps.compute"
    label = "compute"

    def ready(self) -> None:
        from apps.compute import kinds, names, reconcile, selectors
        from apps.compute.services import catalog
        from apps.identity.services import holdings
        from apps.operations.kinds import observe_hosts, register
        from apps.quotas.registry import counted

        register(*kinds.KINDS)
        observe_hosts(reconcile.compare)
        counted(("instances", *names.SIZES), selectors.usage)
        holdings.register_users(catalog.forget_users)
