"""Whether and why two ports can talk, hop by hop: decided from rows alone, as the hosts' switches and routers decide it.

Pure, without Django: `selectors.trace` reads the facts. What is not in the database (the switch between the hosts, the guest's
own firewall) it cannot know.
"""

from apps.network.trace.facts import Facts, Hop, Trace, Traffic
from apps.network.trace.follow import follow

__all__ = ["Facts", "Hop", "Trace", "Traffic", "follow"]
