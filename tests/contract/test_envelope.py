"""The signed envelope: what was signed is what is read, by whom and for what it was meant."""

import base64
import json
import time
from typing import Any

import msgspec
import pytest

from contracts import envelope as wire
from contracts.compute import v1 as compute
from contracts.envelope import (
    BadSignature,
    Envelope,
    EnvelopeError,
    Kind,
    PublicKey,
    Sealer,
    WrongVersion,
    pack,
    peek,
    unpack,
)
from contracts.report import Outcome, Report

SEALER = Sealer.generate()
BODY = compute.Observe(instance_id="11111111-1111-4111-8111-111111111111")


def make(**fields: Any) -> Envelope:
    return Envelope(**{"topic": "compute.v1.observe", "host": "h", "body": pack(BODY), **fields})


def sealed(**fields: Any) -> str:
    return SEALER.seal(make(**fields), Kind.COMMAND)


def test_what_was_sealed_comes_out_as_it_went_in() -> None:
    sent = make(operation_id="o", step="s", generation=7, deadline=12.5, request_id="r")
    received = SEALER.public.open(SEALER.seal(sent, Kind.COMMAND), Kind.COMMAND)
    assert received == sent
    assert unpack(received, compute.Observe) == BODY
    assert peek(sealed(operation_id="o")).operation_id == "o"


def test_no_character_can_be_changed() -> None:
    text = sealed()
    # The last digit of a signature in base64 has bits to spare: another one may stand for the same signature.
    end = text.index(".", 17)
    for position in (*range(end - 3), *range(end, len(text))):
        other = "B" if text[position] != "B" else "C"
        with pytest.raises(EnvelopeError):
            SEALER.public.open(text[:position] + other + text[position + 1 :], Kind.COMMAND)


@pytest.mark.parametrize("cut", [0, 1, 16, 17, 60, 105, -1])
def test_nothing_can_be_cut_off(cut: int) -> None:
    with pytest.raises(EnvelopeError):
        SEALER.public.open(sealed()[:cut], Kind.COMMAND)


def test_nothing_can_be_added() -> None:
    for text in (sealed() + " ", " " + sealed(), sealed() + sealed()):
        with pytest.raises(EnvelopeError):
            SEALER.public.open(text, Kind.COMMAND)


def test_a_command_is_never_a_report() -> None:
    with pytest.raises(BadSignature):
        SEALER.public.open(sealed(), Kind.REPORT)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(BadSignature):
        Sealer.generate().public.open(sealed(), Kind.COMMAND)


def test_two_envelopes_of_the_same_content_differ() -> None:
    assert sealed() != sealed()
    assert peek(sealed()).nonce != peek(sealed()).nonce
    assert abs(peek(sealed()).issued_at - time.time()) < 60


def forged(payload: bytes) -> str:
    """Well signed, whatever it says."""
    signature = SEALER._key.sign(Kind.COMMAND.value.encode() + b"\n" + payload)
    return f"{SEALER.public.id}.{base64.urlsafe_b64encode(signature).decode()}.{payload.decode()}"


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"[]", b"{}", b'{"topic":1,"host":"h","body":{}}', b'{"topic":"t","host":"h"}', b'{"topic":"t"', b"\xc3\xa9"]
)
def test_what_is_signed_and_no_envelope_is_refused(payload: bytes) -> None:
    with pytest.raises(EnvelopeError):
        SEALER.public.open(forged(payload), Kind.COMMAND)


def test_an_envelope_of_another_version_says_so() -> None:
    with pytest.raises(WrongVersion) as caught:
        SEALER.public.open(sealed(v=2), Kind.COMMAND)
    assert caught.value.code == "envelope.version"


def test_fields_of_a_later_release_are_passed_over() -> None:
    """N-1 must read what N sends."""
    payload = json.loads(msgspec.json.encode(make())) | {"invented_later": 1}
    payload["body"]["invented_later"] = {"a": []}
    received = SEALER.public.open(forged(json.dumps(payload).encode()), Kind.COMMAND)
    assert unpack(received, compute.Observe) == BODY


def test_a_body_of_another_shape_is_refused_by_its_field() -> None:
    with pytest.raises(EnvelopeError, match="instance_id"):
        unpack(make(body=msgspec.Raw(b'{"instance_id": 7}')), compute.Observe)
    with pytest.raises(EnvelopeError, match="outcome"):
        unpack(make(), Report)


def test_a_body_nested_too_deep_is_refused() -> None:
    deep = b'{"outcome":"done","result":' + b"[" * 9000 + b"]" * 9000 + b"}"
    with pytest.raises(EnvelopeError):
        SEALER.public.open(sealed(body=msgspec.Raw(deep)), Kind.COMMAND)


@pytest.mark.parametrize("text", [None, 7, b"a.b.c", ["a"], "a.b", "", "x" * (wire.MAX_WIRE_BYTES + 1), "a.b.\ud800"])
def test_what_is_no_wire_text_is_refused(text: Any) -> None:
    with pytest.raises(EnvelopeError):
        SEALER.public.open(text, Kind.COMMAND)
    with pytest.raises(EnvelopeError):
        peek(text)


def test_keys_survive_being_written_down() -> None:
    again = Sealer.from_hex(f" {SEALER.private_hex()}\n")
    assert again.public.id == SEALER.public.id
    assert PublicKey.from_hex(SEALER.public.hex()).open(sealed(), Kind.COMMAND).host == "h"
    assert len(SEALER.public.id) == 16
    for bad in ("", "zz", "00" * 31, "00" * 33):
        with pytest.raises(ValueError, match=r"."):
            PublicKey.from_hex(bad)


def test_a_result_that_nobody_gave_is_null() -> None:
    assert msgspec.json.decode(Report(outcome=Outcome.DONE).result) is None
