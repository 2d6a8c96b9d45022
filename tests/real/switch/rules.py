"""What the tests of the switch have in common."""

from contracts.network.v2 import Rule
from tests.real.switchyard import Guest, Yard

EGRESS = (Rule(ingress=False, family=4), Rule(ingress=False, family=6))
PINGS = (Rule(ingress=True, family=4, protocol=1), Rule(ingress=True, family=6, protocol=58))
ANYTHING = (Rule(ingress=True, family=4), Rule(ingress=True, family=6))


def tcp(port: int, **more: object) -> Rule:
    return Rule(ingress=True, family=4, protocol=6, first=port, last=port, **more)  # type: ignore[arg-type]


def ready(yard: Yard, *guests: Guest) -> None:
    yard.converge()
    assert [(host.findings.problems, host.findings.mended) for host in yard.hosts] == [([], [])] * len(yard.hosts)
    for guest in guests:
        guest.configure()
