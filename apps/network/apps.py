from django.apps import AppConfig


class NetworkConfig(AppConfig):
    name = "apps.network"
    label = "network"

    def ready(self) -> None:
        from apps.identity.services import holdings
        from apps.network import selectors
        from apps.network.services import defaults, groups, heard, routers, tell
        from apps.operations.services import intake, ticker
        from apps.quotas.registry import counted
        from contracts import topics
        from contracts.network import v2

        counted(("networks", "ports", "floating_ips", "security_groups"), selectors.usage)
        holdings.register(routers.in_use)
        holdings.register_defaults(unused=defaults.unused, drop=defaults.drop_unused)
        holdings.register_accounts(gone=routers.forget)
        holdings.register_accounts(gone=groups.forget)
        intake.greeters.append(heard.take_hello)
        intake.pulses.append(heard.take_beats)
        intake.listen(topics.NETWORK, v2.Told, heard.take_told)
        # Sealing what a thousand hosts are told takes its time, and holds up nothing.
        ticker.DUTIES.append(ticker.Duty("tell hosts", 1.0, tell.tell_overlooked, apart=True))
