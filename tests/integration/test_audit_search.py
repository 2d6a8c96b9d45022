"""The audit trail as it is read: searched, exported, printed, and looked at in the admin."""

import io
import json
import uuid
from datetime import timedelta
from typing import Any
from unittest import mock

from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.audit import selectors
from apps.audit.models import Record
from apps.audit.selectors import Search
from apps.audit.services import record
from apps.audit.services.record import Attempt
from apps.common import clock
from apps.common.errors import Forbidden
from apps.compute.services import catalog
from apps.images.models import Image
from apps.images.services import images
from tests.support.admin import KEY, address, signed_in, user
from tests.support.cloud import Cloud, make_project
from tests.support.identity import make_actor, make_user
from tests.support.trail import write

# Searching and exporting


def found(**search: Any) -> list[str]:
    return list(selectors.records(Search(**search)).order_by("pk").values_list("name", flat=True))


def test_records_are_found_by_everything_that_they_say(cloud: Cloud) -> None:
    bob = make_actor(make_project(), user=make_user("bob"), address="192.0.2.9", request_id="req-9")
    write(1, actor=bob, name="a", project_id=cloud.project.pk)
    write(2, actor=bob, name="b", action="compute.instance.delete", project_id=bob.project_id)
    record.refused(Forbidden("policy.forbidden", "No."), Attempt(action="images.image.publish"), actor=bob)
    assert found(user="bob") == found(user=str(bob.user_id)) == ["a", "b", ""]
    assert found(user="bob", project_id=cloud.project.pk) == ["a"]
    assert found(user="bob", project_id=bob.project_id) == ["b", ""]
    assert found(user="bob", action="compute.instance") == ["a", "b"]
    assert found(user="bob", action="compute.instance.delete") == ["b"] == found(resource_type="instance", resource_id="2")
    assert found(user="bob", action="compute_instance") == found(user="bob", action="%") == []
    assert found(user="bob", decision="refused") == found(action="images.image.publish") == [""]
    assert found(request_id="req-9") == found(address="192.0.2.9") == ["a", "b", ""]
    assert found(request_id="req-8") == found(address="192.0.2.8") == found(user="eve") == []


def test_records_are_found_by_time(cloud: Cloud) -> None:
    early = write(1, name="early")
    late = write(2, name="late")
    assert found(since=late.at, action="compute.instance.update") == ["late"]
    assert found(until=late.at, action="compute.instance.update") == ["early"]
    assert found(since=early.at, until=late.at + timedelta(seconds=1), action="compute.instance.update") == ["early", "late"]
    far = clock.now().replace(year=9999, month=12, day=31), clock.now().replace(year=1)
    assert found(since=far[0]) == found(until=far[1]) == []
    assert "late" in found(since=far[1], until=far[0])


def test_an_export_reads_in_pieces_and_goes_on_where_it_ended(cloud: Cloud) -> None:
    for number in range(7):
        write(number, name=f"n{number}")
    rows = selectors.records(Search(action="compute.instance.update"))
    with CaptureQueriesContext(connection) as told:
        pieces = list(selectors.oldest_first(rows, step=3))
    assert [[row["name"] for row in piece] for piece in pieces] == [["n0", "n1", "n2"], ["n3", "n4", "n5"], ["n6"]]
    assert len(told) == 4
    after = pieces[1][0]["id"]
    assert [row["name"] for piece in selectors.oldest_first(rows, after=after, most=2) for row in piece] == ["n4", "n5"]
    assert list(selectors.oldest_first(rows, most=0)) == []


# The command


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("audit_trail", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_tells_people_and_programs(cloud: Cloud) -> None:
    actor = make_actor(cloud.project, user=make_user("bea"), address="192.0.2.7")
    catalog.create_key_pair(actor=actor, name="laptop", public_key=KEY)
    record.refused(Forbidden("policy.forbidden", "This needs the role operator."), Attempt(action="hosts.host.list"), actor=actor)
    told = run("--user", "bea")
    lines = told.splitlines()
    assert len(lines) == 3 and "refused: This needs the role operator." in lines[1] and "key_pair laptop" in lines[2]
    assert "192.0.2.7" in lines[2] and "fingerprint SHA256:" in lines[2]
    assert len(run("--user", "bea", "--refused").splitlines()) == 2
    assert [row["action"] for row in json.loads(run("--user", "bea", "--json"))] == ["hosts.host.list", "compute.key_pair.create"]
    for project in (cloud.project.name, str(cloud.project.pk)):
        assert "laptop" in run("--project", project, "--action", "compute.key_pair", "--since", "1h", "--until", "2999-01-01")
    assert "There is no such record." in run("--until", "1h", "--user", "bea")
    assert len(json.loads(run("--limit", "1", "--json"))) == 1


def test_the_command_exports_json_lines_oldest_first(cloud: Cloud) -> None:
    for number in range(3):
        write(number, name=f"n{number}")
    lines = [json.loads(line) for line in run("--jsonl", "--action", "compute.instance.update").splitlines()]
    assert [line["name"] for line in lines] == ["n0", "n1", "n2"]
    assert list(lines[0]) == list(selectors.COLUMNS)
    rest = run("--jsonl", "--after", lines[0]["id"], "--limit", "1")
    assert json.loads(rest)["name"] == "n1"


# The admin


def test_the_admin_shows_refusals_and_changes(cloud: Cloud) -> None:
    operator = signed_in(user("root", is_superuser=True, is_staff=True))
    changed = write(uuid.uuid4(), name="<b>web</b>", changes={"name": ["<i>old</i>", "new"], "size": [None, 5]}, project_id=cloud.project.pk)
    record.refused(Forbidden("policy.forbidden", "This needs the role operator."), Attempt(action="hosts.host.list"), actor=cloud.actor)
    refused = Record.objects.get(decision="refused")
    listed = operator.get(address(Record)).content.decode()
    assert "cs-bad" in listed and "cs-good" in listed and "&lt;b&gt;web" in listed and "<b>web" not in listed
    page = operator.get(address(changed, "change")).content.decode()
    assert "&lt;i&gt;old&lt;/i&gt;" in page and "→" in page and cloud.project.name in page
    page = operator.get(address(refused, "change")).content.decode()
    assert "This needs the role operator." in page and "policy.forbidden" in page
    for query, there in (("decision__exact=refused", False), ("hours=1", True), ("about=compute", True), ("about=images", False)):
        assert (str(changed.pk) in operator.get(f"{address(Record)}?{query}").content.decode()) is there, query
    for text in (changed.resource_id, str(changed.pk), "system", "compute.instance.upd"):
        assert str(changed.pk) in operator.get(f"{address(Record)}?q={text}").content.decode(), text
    assert str(changed.pk) not in operator.get(f"{address(Record)}?q=nobody").content.decode()


def test_the_page_of_a_thing_leads_to_its_records(cloud: Cloud) -> None:
    operator = signed_in(user("root", is_superuser=True, is_staff=True))
    trail = f"{address(Record)}?q={cloud.network.pk}"
    assert f'href="{trail}"' in operator.get(address(cloud.network, "change")).content.decode()
    assert "network.network.create" in operator.get(trail).content.decode()


def test_the_admin_offers_no_way_to_change_a_record(cloud: Cloud) -> None:
    operator = signed_in(user("root", is_superuser=True, is_staff=True))
    kept = write(1, name="kept")
    assert operator.post(address(kept, "delete"), {"post": "yes"}).status_code == 403
    assert operator.post(address(kept, "change"), {"name": "x"}).status_code in (403, 405)
    assert operator.get(address(Record, "add")).status_code == 403
    assert Record.objects.get(pk=kept.pk).name == "kept"


def test_what_is_refused_to_a_button_is_recorded(cloud: Cloud) -> None:
    image = Image.objects.get(pk=cloud.image.pk)
    client = signed_in(user("root", is_superuser=True, is_staff=True))
    with mock.patch.object(images, "delete", side_effect=Forbidden("policy.forbidden", "Not even you.", permission="images.image.delete")):
        page = client.post(address(image, "do", "delete"), {"confirmed": "1"}, follow=True).content.decode()
    assert "Not even you." in page
    last = Record.objects.get(decision="refused")
    assert (last.action, last.user_name, last.method) == ("images.image.delete", "root", "POST")
    assert last.path == address(image, "do", "delete")
