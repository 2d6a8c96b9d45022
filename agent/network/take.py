"""Desired states and changes as they come in: who signed them, for whom, when; then to the converger.

They belong to no operation and are not journaled: their own generation fences them, and what is lost is asked for.
"""

import time
from collections import Counter
from typing import Final

import structlog

from agent.network.converger import Converger
from agent.network.parts import Parts
from agent.runtime import Agent
from contracts import topics
from contracts.envelope import EnvelopeError, unpack
from contracts.network import v2 as network

log = structlog.get_logger(__name__)

_SHAPES: Final[dict[str, type[network.State] | type[network.Change]]] = {
    topics.NETWORK_STATE: network.State,
    topics.NETWORK_CHANGE: network.Change,
}


class Intake:
    """Any thread may call."""

    def __init__(self, agent: Agent, converger: Converger) -> None:
        self._agent = agent
        self._converger = converger
        self._parts = Parts()
        self.refused: Counter[str] = Counter()

    def take(self, topic: str, wires: list[str]) -> None:
        """Hand one message to the converger. Never raises."""
        for wire in wires if isinstance(wires, list) else [""]:
            try:
                self._take(topic, wire)
            except EnvelopeError as error:
                self.refused[error.code] += 1
                log.warning("network.state_refused", topic=topic, code=error.code, reason=str(error))
            except Exception:
                log.exception("network.state_failed", topic=topic)

    def _take(self, topic: str, wire: str) -> None:
        host, envelope = self._agent.admit(topic, wire)
        late_s = time.time() - envelope.deadline
        if late_s > 0:
            log.info("network.state_expired", host=host.name, topic=topic, late_s=round(late_s, 1))
            self._converger.ask(host.id)
            return
        body = self._parts.add(host.id, unpack(envelope, _SHAPES[topic]), envelope.issued_at)
        if isinstance(body, network.State):
            self._converger.replace(host.id, body)
        elif isinstance(body, network.Change):
            self._converger.change(host.id, body)
