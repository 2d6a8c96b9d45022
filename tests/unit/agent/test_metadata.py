"""What the metadata service says to whom, without a network."""

import base64
import json
import uuid
from pathlib import Path

import msgspec
import pytest

from agent.metadata import ec2
from agent.metadata.answers import TOKEN, TTL, Request, Response, answer
from agent.metadata.facts import Facts
from agent.metadata.tokens import Tokens, kept_key
from contracts.compute import v2 as compute
from contracts.compute.v1 import DiskFormat, Image
from contracts.network import v2 as network

NOW = 1_800_000_000.0
TOKENS = Tokens(b"k" * 32)
CARDS = [
    network.Card(
        id="p1",
        network="n1",
        mac="fa:16:3e:00:00:01",
        mtu=1450,
        addresses=[
            network.CardAddress(address="10.64.0.5", prefix_length=20),
            network.CardAddress(address="fd64::5", prefix_length=64, mode="dhcpv6"),
        ],
    ),
    network.Card(id="p2", network="n2", mac="fa:16:3e:00:00:02", mtu=1450),
]
BUILD = compute.Build(
    instance_id=str(uuid.UUID(int=1)),
    project_id=str(uuid.UUID(int=2)),
    name="Web Server",
    vcpus=1,
    memory_mb=128,
    disk_gb=1,
    image=Image(id="an-image", url="", sha256="", size_bytes=0, disk_format=DiskFormat.RAW),
    cards=CARDS,
    user_data=base64.b64encode(b"#!/bin/sh\n\xff").decode(),
    public_keys={"mine": "ssh-ed25519 AAAA me\n", "yours": "ssh-rsa BBBB you"},
    metadata={"role": "wéb", "a/b": "1", "a b": "2"},
    zone="west",
)
FACTS = Facts(build=BUILD, public={"10.64.0.5": "203.0.113.9"})
OTHER = Facts(build=msgspec.structs.replace(BUILD, instance_id=str(uuid.UUID(int=9))))


def ask(
    path: str,
    method: str = "GET",
    *,
    facts: Facts = FACTS,
    now: float = NOW,
    required: bool = False,
    headers: dict[str, str] | None = None,
) -> Response:
    return answer(
        Request(method=method, path=path, headers=headers or {}), facts, TOKENS, tokens_required=required, now=now
    )


def text(path: str) -> str:
    response = ask(path)
    assert response.status == 200, path
    return response.body.decode()


@pytest.mark.parametrize("version", ec2.VERSIONS)
def test_every_version_that_is_listed_is_answered(version: str) -> None:
    assert version in text("/").split("\n")
    assert text(f"/{version}/meta-data/instance-id") == BUILD.instance_id
    assert text(f"/{version}/meta-data/placement/availability-zone") == "west"


def test_versions_that_are_not_listed_are_not_there() -> None:
    for path in ("/2030-01-01/meta-data/instance-id", "/openstack/2030-01-01/meta_data.json", "/favicon.ico"):
        assert ask(path).status == 404


def test_what_a_folder_lists_can_be_read_down_to_the_last_value() -> None:
    """As cloud-init crawls: a line with a slash is a folder."""

    def crawl(path: str) -> int:
        found = 0
        for line in text(path).split("\n"):
            name = line.partition("=")[0] + "/" if "=" in line else line
            if name.endswith("/"):
                found += crawl(f"{path}{name}")
            else:
                assert ask(f"{path}{name.replace(' ', '%20')}").status == 200
                found += 1
        return found

    assert crawl("/latest/meta-data/") > 25


def test_keys_are_listed_with_their_names_and_read_by_number() -> None:
    assert text("/latest/meta-data/public-keys/") == "0=mine\n1=yours"
    assert text("/latest/meta-data/public-keys/0/openssh-key") == "ssh-ed25519 AAAA me"


def test_cards_are_told_by_mac() -> None:
    base = "/latest/meta-data/network/interfaces/macs/"
    assert text(base) == "fa:16:3e:00:00:01/\nfa:16:3e:00:00:02/"
    assert text(f"{base}fa:16:3e:00:00:01/local-ipv4s") == "10.64.0.5"
    assert text(f"{base}fa:16:3e:00:00:01/ipv6s") == "fd64::5"
    assert text(f"{base}fa:16:3e:00:00:01/subnet-ipv4-cidr-block") == "10.64.0.0/20"
    assert text(f"{base}fa:16:3e:00:00:01/ipv4-associations/203.0.113.9") == "10.64.0.5"
    assert text(f"{base}fa:16:3e:00:00:02/device-number") == "1"
    assert text("/latest/meta-data/public-ipv4") == "203.0.113.9"


def test_the_identity_document_names_the_instance() -> None:
    document = json.loads(text("/latest/dynamic/instance-identity/document"))
    assert (document["instanceId"], document["privateIp"]) == (BUILD.instance_id, "10.64.0.5")
    assert (document["accountId"], document["imageId"]) == (BUILD.project_id, "an-image")


def test_user_data_are_given_as_they_are_and_not_at_all_when_there_are_none() -> None:
    bare = Facts(build=msgspec.structs.replace(BUILD, user_data=""))
    for path in ("/latest/user-data", "/openstack/latest/user_data"):
        assert ask(path).body == b"#!/bin/sh\n\xff"
        assert ask(path, facts=bare).status == 404
    assert "user-data" not in ask("/latest/", facts=bare).body.decode()


def test_openstacks_documents() -> None:
    assert "meta_data.json" in text("/openstack/latest/").split("\n")
    assert "latest" in text("/openstack").split("\n")
    found = json.loads(text("/openstack/latest/meta_data.json"))
    assert (found["uuid"], found["availability_zone"], found["meta"]["role"]) == (BUILD.instance_id, "west", "wéb")
    assert json.loads(text("/openstack/2018-08-27/vendor_data.json")) == {}
    assert len(json.loads(text("/openstack/latest/network_data.json"))["links"]) == 2
    assert ask("/openstack/latest/meta_data.json/x").status == 404


def token(ttl: str = "60", facts: Facts = FACTS) -> str:
    response = ask("/latest/api/token", "PUT", facts=facts, headers={TTL: ttl})
    assert (response.status, response.headers[TTL], response.near) == (200, ttl, True)
    return response.body.decode()


def test_a_token_counts_for_its_time_and_its_instance() -> None:
    mine = token("60")
    path = "/latest/meta-data/instance-id"
    assert ask(path, headers={TOKEN: mine}).status == 200
    assert ask(path, now=NOW + 59.9, headers={TOKEN: mine}).status == 200
    assert ask(path, now=NOW + 60, headers={TOKEN: mine}).status == 401
    assert ask(path, facts=OTHER, headers={TOKEN: mine}).status == 401


@pytest.mark.parametrize("forged", ["", "x", "AAAA" * 20, "é" * 40, "=" * 40])
def test_a_token_that_was_never_issued_is_refused(forged: str) -> None:
    assert ask("/latest/meta-data/", headers={TOKEN: forged}).status == 401


def test_a_token_that_was_changed_is_refused() -> None:
    raw = base64.urlsafe_b64decode(token())
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        assert ask("/latest/meta-data/", headers={TOKEN: base64.urlsafe_b64encode(changed).decode()}).status == 401


@pytest.mark.parametrize("ttl", ["", "0", "21601", "-1", "1.5", "x", "٣", "9" * 100])
def test_a_time_that_is_none_is_refused(ttl: str) -> None:
    assert ask("/latest/api/token", "PUT", headers={TTL: ttl}).status == 400


def test_the_longest_and_the_shortest_time_are_not() -> None:
    assert token("1") and token("21600")


def test_no_token_is_given_through_a_proxy() -> None:
    assert ask("/latest/api/token", "PUT", headers={TTL: "60", "x-forwarded-for": "10.0.0.1"}).status == 403


def test_where_tokens_are_required_nothing_is_read_without() -> None:
    for path in ("/", "/latest/meta-data/", "/latest/user-data", "/openstack/latest/meta_data.json"):
        assert ask(path, required=True).status == 401
        assert ask(path, required=True, headers={TOKEN: token()}).status == 200


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS", "FOO"])
def test_other_methods_are_refused(method: str) -> None:
    assert ask("/latest/meta-data/", method).status == 405


def test_putting_elsewhere_and_reading_a_token_is_refused() -> None:
    assert ask("/latest/meta-data/", "PUT", headers={TTL: "60"}).status == 405
    assert ask("/latest/api/token").status == 405


@pytest.mark.parametrize("path", ["//latest///meta-data//instance-id", "/latest/meta-data/instance-id?x=1"])
def test_slashes_and_queries_change_nothing(path: str) -> None:
    assert text(path) == BUILD.instance_id


@pytest.mark.parametrize("path", ["/latest/meta-data/../user-data", "/latest/%2e%2e/x", "/latest/meta-data/ami-id/x"])
def test_there_is_no_way_up_or_below_a_value(path: str) -> None:
    assert ask(path).status == 404


def test_the_key_of_tokens_is_kept_and_roots_own(tmp_path: Path) -> None:
    path = tmp_path / "network" / "metadata.key"
    first = kept_key(path)
    assert (kept_key(path), len(first), path.stat().st_mode & 0o777) == (first, 32, 0o600)
    path.write_bytes(b"short")
    assert kept_key(path) != first
