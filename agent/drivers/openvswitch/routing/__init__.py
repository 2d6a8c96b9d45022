"""Routing domains on a host: namespaces with gateways, ways out, NAT and floating addresses.

    guests ── bridge ── csg<network> ═ gw<network> [cs-<router>] up0 ═ cst<router> ──…

    …── the host ── world                                            (external network of kind host)
    …── [csx-<network>] ext0 ═ csx<network> ── bridge ── wire        (other kinds)

Between its networks a router keeps no state, as the answers may come by another host's router. Outward, packets are
translated twice: in the router's namespace, because tenants' ranges overlap, and where its transit ends, because nobody
in the world knows the transit's range. `plan` computes what should be there, `space` applies what differs.
"""

from agent.drivers.openvswitch.routing.routing import Routing
from agent.drivers.openvswitch.routing.settings import deafen

__all__ = ["Routing", "deafen"]
