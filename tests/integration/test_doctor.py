"""The doctor: each illness is found, with its cure, and an illness that stops one check stops no other."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest import mock
from urllib.error import HTTPError, URLError

import pytest
from django.conf import settings
from django.db import OperationalError, connection

from apps.common import clock
from apps.network.models import HostNetwork
from apps.operations.models import Lease, Operation
from cloudsite import doctor
from cloudsite.doctor import Finding
from tests.support.cloud import Cloud
from tests.support.commands import as_json, run


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    with mock.patch("urllib.request.build_opener"):
        yield


def found(name: str) -> list[Finding]:
    return [finding for finding in doctor.examine() if finding.check == name]


def test_a_young_installation_is_told_what_it_lacks(cloud: Cloud) -> None:
    assert found("database")[0].verdict == "ok" and found("migrations")[0].verdict == "ok"
    assert (found("broker")[0].verdict, found("ticker")[0].verdict, found("hosts")[0].verdict) == ("fault", "fault", "fault")
    assert "host_enroll" in found("hosts")[0].fix
    code, text = run("doctor")
    assert code == 1 and "✘ ticker" in text and "→" in text
    assert {"check", "verdict", "what", "fix"} == as_json("doctor", code=1)[0].keys()


def test_a_ticker_that_died_is_missed(cloud: Cloud) -> None:
    Lease.objects.create(name="sweep", holder="x", until=clock.after(5))
    assert found("ticker")[0].verdict == "ok"
    Lease.objects.update(until=clock.now() - timedelta(seconds=30))
    assert re.match(r"not running for 3\d s", found("ticker")[0].what)


def test_hosts_that_are_away_are_named_and_many_are_counted(cloud: Cloud) -> None:
    hosts = [cloud.host(f"hv{number}") for number in range(8)]
    assert [finding.verdict for finding in found("hosts")] == ["ok"]
    hosts[0].heartbeat(hypervisor_ok=False, hypervisor_error="libvirtd is away")
    assert "hv0: libvirtd is away" in found("hosts")[1].what
    from apps.hosts.models import Host

    Host.objects.exclude(name="hv0").update(state="down")
    texts = [finding.what for finding in found("hosts")]
    assert "1 of 8 up" in texts[0] and "and 2 more are not up" in texts
    assert "no host takes new instances" in texts


def test_hosts_that_are_late_or_in_trouble_with_their_networks_are_named(cloud: Cloud) -> None:
    hosts = [cloud.host(f"hv{number}") for number in range(8)]
    rows = HostNetwork.objects.filter(host_id__in=[host.id for host in hosts])
    rows.update(speaks=True, behind_since=clock.now())
    assert [finding.verdict for finding in found("networks")] == ["ok"]
    problem = {"code": "wire.missing", "message": "It is not plugged into blue.", "object": ""}
    HostNetwork.objects.filter(host_id=hosts[0].id).update(problems=[problem], lacking=[problem])
    HostNetwork.objects.filter(host_id=hosts[1].id).update(behind_since=clock.after(-60))
    first, second = found("networks")
    assert first.what == "hv0: It is not plugged into blue. (and 1 more)" and "network_hosts" in first.fix
    assert second.what.startswith("hv1: has done nothing since ")
    rows.update(lacking=[problem])
    assert found("networks")[-1].what == "and 3 more hosts"


def test_refused_reports_and_late_work_are_mentioned(cloud: Cloud) -> None:
    from apps.operations.services import intake

    host = cloud.host("hv1")
    for _ in range(2):
        intake.reject("report.clock", host.name, "issued an hour ago")
    assert "2 refused in the last hour: report.clock hv1" in found("reports")[0].what
    cloud.boot()
    Operation.objects.update(deadline=clock.now() - timedelta(seconds=90))
    assert "1 operations are past their deadline (instance.build)" in found("work")[0].what


def test_a_database_that_is_away_ends_only_the_checks_that_need_it(cloud: Cloud) -> None:
    with mock.patch.object(connection, "cursor", side_effect=OperationalError("connection refused")):
        findings = list(doctor.examine())
    assert (findings[0].check, findings[0].verdict) == ("database", "fault")
    names = {finding.check for finding in findings}
    assert "secrets" in names and "disk" in names and "ticker" not in names and "hosts" not in names


def test_secrets_that_others_can_read_are_a_fault(cloud: Cloud) -> None:
    assert found("secrets")[0].verdict == "ok"
    path: Path = settings.ENV.secrets / "control.key"
    os.chmod(path, 0o644)
    try:
        finding = found("secrets")[0]
    finally:
        os.chmod(path, 0o600)
    assert finding.verdict == "fault" and str(path) in finding.what and "chmod" in finding.fix


@pytest.mark.parametrize(
    ("listen", "url", "debug", "expected"),
    [
        ("127.0.0.1:8600", "http://127.0.0.1:8600", False, set()),
        ("127.0.0.1:8600", "http://127.0.0.1:8600", True, {("debug", "warning")}),
        ("0.0.0.0:8600", "http://127.0.0.1:8600", True, {("debug", "fault"), ("transport", "warning")}),
        ("[::1]:8600", "https://cloud.example", False, {("addresses", "fault"), ("transport", "fault")}),
        ("127.0.0.1:8600", "http://cloud.example", False, {("addresses", "fault"), ("transport", "warning")}),
    ],
)
def test_what_others_can_reach_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, listen: str, url: str, debug: bool, expected: set[tuple[str, str]]
) -> None:
    import dataclasses

    monkeypatch.setattr(settings, "ENV", dataclasses.replace(settings.ENV, listen=listen, public_url=url))
    monkeypatch.setattr(settings, "DEBUG", debug)
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["localhost", "127.0.0.1"])
    assert {(finding.check, finding.verdict) for finding in doctor._public()} == expected


def _with(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    import dataclasses

    monkeypatch.setattr(settings, "ENV", dataclasses.replace(settings.ENV, **values))  # type: ignore[arg-type]
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["*"])


def test_a_proxy_that_nobody_trusts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, public_url="https://cloud.example")
    (finding,) = doctor._public()
    assert finding.verdict == "fault" and finding.fix.startswith("CLOUDSITE_TRUSTED_PROXIES=")
    _with(monkeypatch, public_url="https://cloud.example", trusted_proxies=("127.0.0.1/32",))
    assert list(doctor._public()) == []


def test_files_with_passwords_elsewhere_are_looked_at_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "database-url"
    path.write_text("sqlite:///x")
    monkeypatch.setenv("CLOUDSITE_DATABASE_URL_FILE", str(path))
    path.chmod(0o644)
    assert [(finding.verdict, str(path) in finding.what) for finding in doctor._secrets()][1:] == [("warning", True)]
    path.chmod(0o600)
    assert [finding.verdict for finding in doctor._secrets()] == ["ok"]


def test_no_password_of_an_address_is_in_a_finding(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, broker_url="redis://:hunter2@127.0.0.1:1/0")
    with mock.patch.object(connection, "cursor", side_effect=OperationalError("no route to postgresql://me:hunter2@db/x")):
        told = " ".join(finding.what for finding in doctor.examine())
    assert "hunter2" not in told and "postgresql://me:***@db/x" in told and "redis://127.0.0.1" in told


def test_a_check_that_breaks_is_a_finding(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", mock.Mock(side_effect=RuntimeError("boom")))
    (finding,) = found("disk")
    assert finding.verdict == "fault" and "boom" in finding.what


@pytest.mark.parametrize(
    ("answer", "verdict", "what", "fix"),
    [
        (URLError(ConnectionRefusedError("refused")), "warning", "does not answer (refused): S3 clients", "log/s3.log"),
        (HTTPError("", 503, "", {"x-amz-request-id": "1"}, None), "fault", "answers 503", "database"),  # type: ignore[arg-type]
        (HTTPError("", 404, "", {}, None), "fault", "another program answers at 127.0.0.1:8610", "CLOUDSITE_S3_LISTEN"),  # type: ignore[arg-type]
        ({}, "fault", "another program answers at 127.0.0.1:8610", "CLOUDSITE_S3_LISTEN"),
        ({"x-amz-request-id": "1"}, "ok", "http://127.0.0.1:8610", ""),
    ],
    ids=["nobody", "not ready", "another refuses", "another", "ready"],
)
def test_the_object_store_s_process_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, answer: Exception | dict[str, str], verdict: str, what: str, fix: str
) -> None:
    _with(monkeypatch, s3_listen="127.0.0.1:8610", s3_url="http://127.0.0.1:8610")
    opened = mock.MagicMock()
    if isinstance(answer, Exception):
        opened.side_effect = answer
    else:
        opened.return_value.__enter__.return_value.headers = answer
    with mock.patch("urllib.request.build_opener", return_value=mock.Mock(open=opened)):
        (finding,) = doctor._s3()
    assert finding.verdict == verdict and what in finding.what and fix in finding.fix
