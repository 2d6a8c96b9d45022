from django.apps import AppConfig


class PlacementConfig(AppConfig):
    name = "apps.placement"
    label = "placement"

    def ready(self) -> None:
        from apps.operations.services import intake
        from apps.placement.services import inventories

        intake.greeters.append(inventories.take_hello)
