from django.apps import AppConfig


class ImagesConfig(AppConfig):
    name = "apps.images"
    label = "images"

    def ready(self) -> None:
        from apps.images import selectors
        from apps.quotas.registry import counted

        counted(("images", "image_bytes"), selectors.usage)
