"""The demo guest: a small bootable image, built out of Debian's own packages.

It boots in seconds even under software emulation, tells its serial console what the cloud gave it (host name,
instance id, address, keys, user data) and obeys the power button, so that an installation without any image of its own
can show a whole life of an instance. Plain Python: no Django here, `python -m apps.images.demo --help` runs alone.
"""

from apps.images.demo.build import COMMAND_LINE, DemoImage, build, existing
from apps.images.demo.errors import DemoImageError, PackagesUnknown

__all__ = ["COMMAND_LINE", "DemoImage", "DemoImageError", "PackagesUnknown", "build", "existing"]
