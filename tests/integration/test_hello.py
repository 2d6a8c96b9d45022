"""What an agent's hello sets going."""

import pytest

from tests.support.bus import FakeBus
from tests.support.cloud import Cloud


@pytest.mark.parametrize(("repeated", "sent_again"), [(False, 1), (True, 0)])
def test_only_the_first_hello_of_a_life_has_open_commands_sent_again(
    cloud: Cloud, bus: FakeBus, repeated: bool, sent_again: int
) -> None:
    host = cloud.host()
    cloud.placed()
    before = len(host.commands())
    host.hello(repeated=repeated)
    assert len(host.commands()) - before == sent_again
