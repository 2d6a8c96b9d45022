"""Networks of a simulated host: cards and the desired state are remembered, and nothing is done with them."""

import threading
from collections.abc import Callable

from agent.drivers.base import Outcome, PortBinding
from agent.network.desired import Desired
from contracts.network import v2 as network

BRIDGE = "simulated"


class SimulatedNetwork:
    """Tests script it: `problems` and `mended` are in the next outcome (what was mended, once); `hook` is called with what is
    converged to, and may raise or block."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._cards: dict[str, tuple[network.Card, str]] = {}
        self.desired = Desired()
        self.problems: list[network.Problem] = []
        self.mended: list[str] = []
        self.hook: Callable[[Desired], object] = lambda desired: None
        self.wake: Callable[[], object] = lambda: None

    def plug(self, card: network.Card, instance_id: str) -> PortBinding:
        with self._mutex:
            self._cards[card.id] = card, instance_id
        return PortBinding(port_id=card.id, bridge=BRIDGE, tap=f"sim{card.id[-11:]}", mac=card.mac, mtu=card.mtu)

    def plugged(self, card_id: str) -> None:
        """Nothing to bring up."""

    def unplug(self, card_id: str) -> None:
        with self._mutex:
            self._cards.pop(card_id, None)

    def cards_of(self, instance_id: str) -> list[network.Card]:
        with self._mutex:
            return [card for card, holder in self._cards.values() if holder == instance_id]

    def residue(self) -> dict[str, list[str]]:
        with self._mutex:
            return {holder: ["card"] for _, holder in self._cards.values()}

    def converge(self, desired: Desired) -> Outcome:
        self.hook(desired)
        self.desired = desired
        mended, self.mended = self.mended, []
        return Outcome(problems=list(self.problems), mended=mended)
