"""The admin's page of a port that says whether it can talk to another one, hop by hop, as `network_trace` does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from apps.common.context import SYSTEM, Actor
from apps.identity.services import roles
from apps.network.models import Port
from apps.network.selectors.trace import trace
from apps.network.services import groups
from tests.support.admin import address, signed_in, user
from tests.support.bus import FakeBus
from tests.support.cloud import make_project
from tests.support.identity import give, make_actor
from tests.support.routing import inside, plug
from tests.support.telling import Site, settle

pytestmark = pytest.mark.django_db(transaction=True)
Ask = Callable[..., str]


@dataclass
class Ends:
    """Two ports of one network and one host, in a group that lets nobody in yet."""

    actor: Actor
    host: Site
    web: Port
    db: Port

    def let_in(self, **rule: Any) -> None:
        group = self.db.memberships.get().group
        groups.add_rule(actor=self.actor, group_id=group.pk, direction="ingress", family=4, **rule)
        self.told()

    def told(self) -> None:
        settle([self.host])
        self.host.told()


@pytest.fixture
def ends(bus: FakeBus) -> Ends:
    project, host = make_project(), Site(bus, "hv1").start()
    actor = make_actor(project)
    network, (subnet,) = inside(project, "10.5.0.0/24", name="lan")
    group = groups.create(actor=actor, name="web")
    ports = [
        plug(network, (subnet, at), host_id=host.id, dns_name=name) for name, at in (("web-1", "10.5.0.11"), ("db-1", "10.5.0.12"))
    ]
    for port in ports:
        groups.set_of_port(actor=actor, port_id=port.pk, group_ids=[group.pk])
    made = Ends(actor, host, *ports)
    made.told()
    return made


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return signed_in(user("root", is_superuser=True))


@pytest.fixture
def ask(operator: Client) -> Ask:
    """`ask(port, other="db-1", …)`: the page with its answer."""

    def asked(port: Port, /, **values: Any) -> str:
        answer = operator.get(address(port, "talk"), {"asks": "port", **values})
        assert answer.status_code == 200
        return answer.content.decode()

    return asked


def test_the_page_of_a_port_leads_to_the_question_which_proposes_the_ports_of_its_project(ends: Ends, operator: Client) -> None:
    stranger, (subnet,) = inside(make_project(), "10.5.0.0/24", name="theirs")
    plug(stranger, (subnet, "10.5.0.13"), dns_name="not-ours")
    assert f'href="{address(ends.web, "talk")}"' in operator.get(address(ends.web, "change")).content.decode()
    page = operator.get(address(ends.web, "talk")).content.decode()
    assert "Can web-1 talk to …?" in page and "Answer" not in page
    assert '<option value="db-1">lan, 10.5.0.12</option>' in page
    assert "not-ours" not in page and 'value="web-1"' not in page


def test_it_says_the_same_as_the_command_hop_by_hop_with_what_to_do(ends: Ends, ask: Ask) -> None:
    found = trace(actor=SYSTEM, source=str(ends.web.pk), target=str(ends.db.pk), port=5432)
    page = ask(ends.web, other="db-1", port="5432")
    assert found.verdict == "closed" and '<span class="cs-badge cs-bad" title="">no</span>' in page
    for hop in found.hops:
        for text in (found.summary, hop.name, hop.detail, hop.fix):
            assert escape(text) in page
    ends.let_in(protocol="tcp", first=5432)
    page = ask(ends.web, other="db-1", port="5432")
    assert '<span class="cs-badge cs-good" title="">yes</span>' in page and "cs-badge cs-bad" not in page


def test_the_other_end_may_begin_and_goes_by_name_mac_address_or_id(ends: Ends, ask: Ask) -> None:
    ends.let_in(protocol="tcp", first=443, cidr="10.5.0.12/32")  # db-1 alone, so web-1 may not ask db-1
    for other in ("db-1", ends.db.mac, "10.5.0.12", str(ends.db.pk)):
        assert ">yes<" in ask(ends.web, other=other, asks="other", port="443")
        assert ">no<" in ask(ends.web, other=other, asks="port", port="443")


def test_what_the_database_cannot_tell_is_perhaps(ends: Ends, ask: Ask) -> None:
    ends.let_in(protocol="icmp")
    assert ">yes<" in ask(ends.web, other="db-1")
    groups.add_rule(actor=ends.actor, group_id=ends.db.memberships.get().group_id, direction="ingress", family=4, protocol="udp", first=53)
    page = ask(ends.web, other="db-1")
    assert '<span class="cs-badge cs-warn" title="">perhaps</span>' in page and ">?<" in page


@pytest.mark.parametrize(
    ("asked", "field", "code"),
    [
        ({"other": "nobody"}, "other", "trace.end"), ({"other": "web-1"}, "other", "trace.same"),
        ({"other": "00000000-0000-7000-8000-000000000000"}, "other", "port.not_found"),
        ({"other": "db-1", "protocol": "carrier-pigeon"}, "protocol", "trace.protocol"),
        ({"other": "db-1", "protocol": "tcp", "port": "0"}, "port", "trace.port"),
    ],
)
def test_a_refusal_stands_beside_the_field_that_it_is_about(ends: Ends, operator: Client, asked: dict[str, str], field: str, code: str) -> None:
    for asks in ("port", "other"):
        answer = operator.get(address(ends.web, "talk"), {"asks": asks, **asked})
        assert list(answer.context["form"].errors) == [field] and f"({code})" in answer.context["form"].errors[field][0]


def test_a_name_of_several_ports_is_refused_with_their_ids(ends: Ends, ask: Ask) -> None:
    subnet = ends.db.fixed_ips.get().subnet
    again = plug(ends.db.network, (subnet, "10.5.0.13"), dns_name="db-1")
    page = ask(ends.web, other="db-1")
    assert "(trace.ambiguous)" in page and str(again.pk) in page and str(ends.db.pk) in page


def test_who_may_see_ports_but_not_explain_them_gets_neither_link_nor_answer(ends: Ends) -> None:
    roles.create_role(actor=SYSTEM, name="counter", permissions=["network.port.list"])
    who = user("cora")
    give(who, "counter")
    client = signed_in(who)
    page = client.get(address(ends.web, "change"))
    assert page.status_code == 200 and "Can it talk" not in page.content.decode()
    assert client.get(address(ends.web, "talk"), {"other": "db-1", "asks": "port"}).status_code == 403


def test_a_port_that_is_gone_leads_back_to_the_list(ends: Ends, operator: Client) -> None:
    page = address(ends.web, "talk")
    Port.objects.filter(pk=ends.web.pk).delete()
    assert operator.get(page, follow=True).redirect_chain == [(address(Port), 302)]
