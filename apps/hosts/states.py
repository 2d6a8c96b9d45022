"""Whether a host is heard from. Whether it takes new instances is the separate flag `enabled`."""

import enum

from apps.common.states import table


class HostState(enum.StrEnum):
    """ENROLLED: its agent has never said hello."""

    ENROLLED = "enrolled"
    UP = "up"
    DOWN = "down"


MACHINE = table({HostState.ENROLLED: [HostState.UP], HostState.UP: [HostState.DOWN], HostState.DOWN: [HostState.UP]})
