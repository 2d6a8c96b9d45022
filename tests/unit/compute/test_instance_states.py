"""The life of an instance, as data."""

import pytest

from apps.common.errors import Invalid
from apps.compute.services.catalog import fingerprint_of
from apps.compute.services.reports import STATE_OF_POWER
from apps.compute.states import MACHINE, POWER_FROM, InstanceState
from contracts.compute.v1 import PowerAction, PowerState

S = InstanceState
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKJsBZlLBqHv5TjxgVqLTtiHhBx8n2jc0dbNTdNdQZ0x ann@laptop"


def reachable(start: InstanceState) -> set[str]:
    seen, waiting = {start.value}, [start.value]
    while waiting:
        for target in MACHINE[waiting.pop()]:
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def test_every_state_has_a_row() -> None:
    assert set(MACHINE) == {state.value for state in S}


def test_nothing_comes_back_from_deletion() -> None:
    assert MACHINE[S.DELETED] == frozenset()
    assert not MACHINE[S.DELETING] & {S.BUILD, S.ACTIVE, S.STOPPED}


@pytest.mark.parametrize("state", [state for state in S if state is not S.DELETED])
def test_every_living_state_can_be_deleted(state: InstanceState) -> None:
    assert S.DELETED in reachable(state)
    assert state is S.DELETING or S.DELETING in MACHINE[state]


def test_only_deleting_leads_to_deleted() -> None:
    assert [source for source, targets in MACHINE.items() if S.DELETED in targets] == [S.DELETING]


def test_nothing_becomes_a_build_again() -> None:
    assert not any(S.BUILD in targets for targets in MACHINE.values())


@pytest.mark.parametrize("state", [S.BUILD, S.DELETING])
def test_a_transient_state_can_end_in_error(state: InstanceState) -> None:
    assert S.ERROR in MACHINE[state]


def test_every_power_state_but_absent_has_an_instance_state() -> None:
    assert set(STATE_OF_POWER) == set(PowerState) - {PowerState.ABSENT}


def test_every_action_of_the_wire_has_its_states() -> None:
    assert set(POWER_FROM) == {action.value for action in PowerAction}
    assert all(not set(states) & {S.BUILD, S.DELETING, S.DELETED} for states in POWER_FROM.values())


def test_a_fingerprint_is_what_ssh_keygen_shows() -> None:
    assert fingerprint_of(KEY) == fingerprint_of(KEY.rsplit(" ", 1)[0])
    assert len(fingerprint_of(KEY)) == len("SHA256:") + 43


@pytest.mark.parametrize(
    "key",
    [
        "", "ssh-ed25519", "ssh-dss AAAA", KEY.replace("AAAAC3", "AAAAC4"), KEY.replace("ssh-ed25519", "ssh-rsa"), KEY + "\nssh-rsa x",
        "ssh-ed25519 not*base64", 'command="rm" ' + KEY, KEY[:25],
    ],
)
def test_what_is_no_public_key_is_refused(key: str) -> None:
    with pytest.raises(Invalid) as caught:
        fingerprint_of(key)
    assert (caught.value.code, caught.value.field) == ("key_pair.public_key", "public_key")
