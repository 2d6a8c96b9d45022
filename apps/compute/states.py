"""The life of an instance, as data. What is being done to it at the moment is its open operation."""

import enum

from apps.common.states import table


class InstanceState(enum.StrEnum):
    """What the database holds true of an instance."""

    BUILD = "BUILD"
    ACTIVE = "ACTIVE"
    STOPPED = "STOPPED"
    ERROR = "ERROR"
    DELETING = "DELETING"
    DELETED = "DELETED"


_S = InstanceState
MACHINE = table(
    {
        _S.BUILD: [_S.ACTIVE, _S.ERROR, _S.DELETING],
        _S.ACTIVE: [_S.ACTIVE, _S.STOPPED, _S.ERROR, _S.DELETING],
        _S.STOPPED: [_S.ACTIVE, _S.STOPPED, _S.ERROR, _S.DELETING],
        _S.ERROR: [_S.ACTIVE, _S.STOPPED, _S.ERROR, _S.DELETING],
        _S.DELETING: [_S.DELETED, _S.ERROR],
        _S.DELETED: [],
    }
)

# In which states each power action makes sense.
POWER_FROM = {
    "start": (_S.STOPPED, _S.ERROR),
    "stop": (_S.ACTIVE,),
    "reboot_soft": (_S.ACTIVE,),
    "reboot_hard": (_S.ACTIVE, _S.STOPPED, _S.ERROR),
}
