from django.apps import AppConfig


class ImagesConfig(AppConfig):
    name = "apps.images"
    label = "images"

    def ready(self) -> None:
        from apps.identity.services import holdings
        from apps.images import kinds, selectors
        from apps.images.services import caches, members, uploads
        from apps.operations.kinds import observe_hosts, register
        from apps.operations.services import ticker
        from apps.quotas.registry import counted

        register(*kinds.KINDS)
        observe_hosts(caches.remember)
        counted(("images", "image_bytes"), selectors.usage)
        holdings.register_accounts(gone=members.forget_projects)
        ticker.DUTIES.append(ticker.Duty("image leftovers", 60.0, uploads.sweep, apart=True))
