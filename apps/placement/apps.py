from django.apps import AppConfig


class PlacementConfig(AppConfig):
    name = "apps.placement"
    label = "placement"

    def ready(self) -> None:
        from apps.hosts.services import aggregates as aggregates_of_hosts
        from apps.operations.services import intake
        from apps.placement.services import aggregates, heard

        intake.greeters.append(heard.take_hello)
        aggregates_of_hosts.followers.append(aggregates.sync)
