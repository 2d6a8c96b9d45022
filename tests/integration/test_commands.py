"""Management commands: what they print for people and for programs, and their exit codes."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class

from apps.common.commands import CloudCommand
from apps.compute.models import Instance
from apps.hosts.models import Host
from apps.identity.models import Project, User
from apps.identity.services import tokens
from apps.images.models import Image
from apps.operations.models import Operation
from tests.support.cloud import Cloud
from tests.support.commands import as_json, run
from tests.support.identity import give, make_actor

# All but the process of the ticker, which says nothing.
OURS = {name for name, app in get_commands().items() if app.startswith(("apps.", "cloudsite"))} - {"run_ticker"}


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MEDIA_ROOT", tmp_path / "images")


@pytest.fixture
def demo(cloud: Cloud) -> Cloud:
    """The cloud with its project named as the commands expect it."""
    Project.objects.filter(pk=cloud.project.pk).update(name="demo")
    return cloud


@pytest.fixture
def working(demo: Cloud) -> Any:
    """Scheduler and hosts work in a thread, as they would in their processes."""
    stop = threading.Event()

    def work() -> None:
        from django.db import connection

        while not stop.is_set():
            demo.run()
            time.sleep(0.01)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield demo
    stop.set()
    thread.join()


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_explains_itself_and_speaks_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = load_command_class(get_commands()[name], name)
    assert isinstance(command, CloudCommand)
    command.print_help("manage.py", name)
    text = capsys.readouterr().out
    assert "--json" in text and "examples:" in text and f"manage.py {name}" in text.split("examples:")[1]
    assert command.help.rstrip().endswith((".", "scripts.", "use in scripts."))


def test_instances_are_made_shown_and_deleted(working: Cloud) -> None:
    working.host("hv1")
    code, text = run("instance_create", "--name", "web", "--flavor", working.flavor.name, "--image", "demo", "--count", "2", "--wait")
    assert code == 0 and text.count("ACTIVE") == 2 and "web-1" in text and "hv1" in text
    listed = as_json("instance_list")
    assert [each["name"] for each in listed] == ["web-2", "web-1"] and listed[0]["host_name"] == "hv1"
    assert "web-2" in run("instance_list", "--all", "--state", "ACTIVE", "--host", "hv1")[1]
    assert "There is no instance" in run("instance_list", "--state", "ERROR")[1]

    code, text = run("instance_show", "web-1")
    assert code == 0 and "hv1 was chosen: it is the only one that fits." in text and "accepted" in text and "host chosen" in text
    shown = as_json("instance_show", listed[1]["id"])
    assert shown["scheduling"][0]["verdicts"] and shown["timeline"][-1]["name"] == "finished"

    assert run("instance_console", "web-1")[1] == "hello\n"
    assert as_json("instance_console", "web-1")["text"] == "hello\n"

    assert run("instance_delete", "web-1", "nothing")[0] == 3
    assert Instance.objects.filter(state="ACTIVE").count() == 2  # a typing error deletes nothing
    code, text = run("instance_delete", "web-1", listed[0]["id"], "--wait")
    assert code == 0 and text.count("deleted") == 2
    assert "DELETED" in run("instance_show", listed[0]["id"])[1]


def test_an_instance_that_fits_nowhere_fails_the_command(working: Cloud) -> None:
    code, text = run("instance_create", "--name", "web", "--flavor", working.flavor.name, "--image", "demo", "--wait")
    assert code == 1 and "No host is enrolled yet." in text


def test_waiting_too_long_has_an_exit_code_of_its_own(demo: Cloud) -> None:
    code, text = run(
        "instance_create", "--name", "web", "--flavor", demo.flavor.name, "--image", "demo", "--wait", "--timeout", "0.1"
    )
    assert code == 5 and "still queued" in text


def test_user_data_keys_and_metadata_are_passed_on(demo: Cloud, tmp_path: Path) -> None:
    from apps.compute.services import catalog

    user = User.objects.create_user(username="ann", password="x")
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann"
    catalog.create_key_pair(actor=make_actor(demo.project, user=user), name="laptop", public_key=key)
    (tmp_path / "data").write_bytes(b"#cloud-config\n\xff")
    made = as_json(
        "instance_create", "--name", "web", "--flavor", demo.flavor.name, "--image", "demo", "--network", "default", "--key", "laptop",
        "--user", "ann", "--user-data", str(tmp_path / "data"), "--metadata", "a=b=c", "--metadata", "x=", "--zone", "west",
    )
    assert made["instances"][0]["metadata"] == {"a": "b=c", "x": ""}
    instance = Instance.objects.get()
    assert (instance.public_key, instance.zone, instance.user_id) == (key, "west", user.pk)
    assert instance.user_data == "I2Nsb3VkLWNvbmZpZwr/"
    base = ["instance_create", "--name", "x", "--flavor", demo.flavor.name, "--image", "demo"]
    for more, code in (
        (["--user-data", str(tmp_path / "none")], 2), (["--metadata", "=x"], 2), (["--network", "none"], 3), (["--key", "none"], 3),
        (["--user", "nobody"], 3), (["--project", "nowhere"], 3), (["--name", "x" * 300], 2),
    ):
        assert run(*base, *more)[0] == code, more
    assert Instance.objects.count() == 1


def test_names_that_are_not_unique_are_refused(demo: Cloud) -> None:
    for _ in range(2):
        run("instance_create", "--name", "twin", "--flavor", demo.flavor.name, "--image", "demo")
    code, text = run("instance_delete", "twin")
    assert code == 4 and "instance.ambiguous" in text
    assert as_json("instance_delete", "twin", code=4)["error"]["code"] == "instance.ambiguous"


@pytest.mark.django_db
def test_a_host_is_told_its_wires_and_its_tunnel_address_at_enrolment() -> None:
    wires = ("--wire", "physnet1=br-ex:eth1", "--wire", "lab net=br-lab")
    printed = json.loads(run("host_enroll", "hv1", *wires, "--tunnel-address", "10.9.0.7", "--vxlan-port", "4790")[1])
    assert (printed["tunnel_address"], printed["vxlan_port"]) == ("10.9.0.7", 4790)
    assert printed["physical"] == {
        "physnet1": {"bridge": "br-ex", "interface": "eth1"}, "lab net": {"bridge": "br-lab", "interface": ""},
    }
    for wrong in (("--wire", "physnet1"), ("--wire", "a=b/c"), ("--tunnel-address", "10.9.0.700")):
        code, text = run("host_enroll", "hv2", *wrong)
        assert code and "expected" in text
    assert not Host.objects.filter(name="hv2").exists()


def test_zones_are_made_closed_and_deleted_and_hosts_move_between_them(demo: Cloud) -> None:
    assert run("zone_create", "west", "--description", "room 2")[0] == 0
    assert as_json("zone_create", "east", "--disabled")["enabled"] is False
    assert run("zone_create", "east")[0] == 4
    assert {each["name"]: each["enabled"] for each in as_json("zone_list")}.items() >= {"west": True, "east": False}.items()
    assert "room 2" in run("zone_list")[1]
    assert as_json("zone_update", "east", "--enable")["enabled"] is True
    assert "no new instances" in run("zone_update", "east", "--disable")[1]
    demo.host("hv1")
    assert "west and takes new" in run("host_update", "hv1", "--zone", "west")[1]
    moved = as_json("host_update", "hv1", "--disable", "--reason", "new disk")
    assert (moved["zone"], moved["enabled"], moved["disabled_reason"]) == ("west", False, "new disk")
    assert run("host_update", "hv1", "--zone", "nowhere")[0] == 2
    code, text = run("zone_delete", "west")
    assert code == 4 and "hv1" in text
    assert run("zone_delete", "east")[0] == 0 and run("zone_delete", "east")[0] == 3


def test_aggregates_are_made_filled_changed_and_deleted(demo: Cloud) -> None:
    for name in ("hv1", "hv2"):
        demo.host(name)
    made = as_json("aggregate_create", "fast", "--metadata", "disk=nvme", "--project", "demo")
    assert (made["metadata"], made["project_ids"]) == ({"disk": "nvme"}, [str(demo.project.pk)])
    assert run("aggregate_create", "near", "--metadata", "disk")[0] == 2
    assert run("aggregate_add_host", "fast", "hv1", "hv9")[0] == 3
    assert as_json("aggregate_list")[0]["host_ids"] == []  # a typing error adds none
    assert len(as_json("aggregate_add_host", "fast", "hv1", "hv2")["host_ids"]) == 2
    assert "hv1, hv2" in run("aggregate_list")[1]
    assert as_json("aggregate_set", "fast", "rack=7", "--unset", "disk", "--everybody").items() >= {
        "metadata": {"rack": "7"}, "project_ids": [], "name": "fast"}.items()
    assert "quick" in run("aggregate_set", "fast", "--rename", "quick")[1]
    assert as_json("aggregate_list")[0]["metadata"] == {"rack": "7"}
    assert run("aggregate_delete", "quick")[0] == 4
    assert run("aggregate_remove_host", "quick", "hv1", "hv2")[0] == 0
    assert run("aggregate_delete", "quick")[0] == 0 and run("aggregate_delete", "quick")[0] == 3


def test_flavors_are_made_listed_and_deleted(demo: Cloud) -> None:
    size = ("--vcpus", "2", "--memory-mb", "512", "--disk-gb", "5")
    made = as_json("flavor_create", "fast", *size, "--trait", "HW_CPU_X86_AVX2", "--forbid", "STORAGE_DISK_HDD", "--host-metadata", "a=b")
    assert made.items() >= {"vcpus": 2, "required_traits": ["HW_CPU_X86_AVX2"], "host_metadata": {"a": "b"}}.items()
    assert run("flavor_create", "slow", *size, "--trait", "NOBODY_KNOWS")[0] == 2
    assert run("flavor_create", "fast", *size)[0] == 4
    assert "HW_CPU_X86_AVX2" in run("flavor_list")[1]
    assert run("flavor_delete", "fast", "nothing")[0] == 3
    assert run("flavor_delete", "fast")[0] == 0
    assert "fast" not in {each["name"] for each in as_json("flavor_list")}


def test_hosts_are_enrolled_listed_and_disabled(demo: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    assert run("host_enroll", "lab", "--zone", "west")[0] == 2  # there is no such zone yet
    assert run("zone_create", "west")[0] == 0
    code, text = run("host_enroll", "lab", "--simulate", "3", "--zone", "west", "--out", str(path), "--latency-ms", "5")
    assert code == 0 and "3 hosts enrolled" in text
    config = json.loads(path.read_text())
    assert [each["name"] for each in config["hosts"]] == ["lab-1", "lab-2", "lab-3"]
    assert (config["driver"], config["simulated"]) == ("simulated", {"latency_ms": 5.0})
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("host_enroll", "lab", "--simulate", "4", "--out", str(path))[0] == 4
    assert Host.objects.count() == 3  # all or none
    before = Host.objects.get(name="lab-1").key_id
    assert run("host_enroll", "lab", "--simulate", "3", "--renew", "--out", str(path))[0] == 0
    assert Host.objects.get(name="lab-1").key_id != before
    printed = json.loads(run("host_enroll", "hv1", "--state-dir", "/var/lib/agent", "--emulate", "yes")[1])
    assert (printed["driver"], printed["state_dir"], printed["emulate"]) == ("libvirt", "/var/lib/agent", True)
    assert run("host_enroll", "bad name")[0] == 2 and run("host_enroll", "hv2", "--zone", "x" * 70)[0] == 2

    assert run("host_disable", "hv1", "--reason", "new disk")[0] == 0
    assert as_json("host_disable", "hv1", "--reason", "new disk")["disabled_reason"] == "new disk"
    code, text = run("host_list")
    assert code == 0 and "no: new disk" in text and text.count("enrolled") == 4
    assert as_json("host_enable", "hv1")["enabled"] is True
    assert run("host_enable", "hv9")[0] == 3
    assert len(as_json("host_list", "--zone", "west")) == 3
    assert run("host_list", "--check")[0] == 1
    demo.host("hv5")
    assert as_json("host_list", "--state", "up", "--check")[0]["inventories"][0]["resource_class"] == "DISK_GB"


def test_what_an_agent_reads_is_what_is_written(demo: Cloud, tmp_path: Path) -> None:
    from agent.config import load

    path = tmp_path / "agent.json"
    run(
        "host_enroll", "lab", "--simulate", "2", "--out", str(path), "--failure-rate", "0.5", "--bridge", "br-x", "--threads", "4",
        "--emulate", "no", "--libvirt-uri", "test:///default", "--ca-file", "/etc/ca.pem",
    )
    config = load(path)
    assert (config.driver, len(config.hosts), config.simulated.failure_rate) == ("simulated", 2, 0.5)
    assert (config.bridge, config.threads, config.emulate, config.ca_file) == ("br-x", 4, False, "/etc/ca.pem")


def test_images_are_imported_and_listed(demo: Cloud, tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(b"kernel")
    (tmp_path / "disk").write_bytes(b"\0" * 5000)
    kernel = as_json("image_import", str(tmp_path / "vmlinuz"), "--name", "k", "--format", "kernel")
    made = as_json(
        "image_import", str(tmp_path / "disk"), "--name", "d", "--format", "raw", "--public", "--kernel", kernel["id"],
        "--kernel-args", "quiet", "--min-memory-mb", "64",
    )
    assert (made["state"], made["visibility"], made["kernel_id"], made["size_bytes"]) == ("active", "public", kernel["id"], 5000)
    assert run("image_import", str(tmp_path / "disk"), "--name", "d", "--format", "qcow2")[0] == 2
    assert run("image_import", str(tmp_path / "none"), "--name", "d", "--format", "raw")[0] == 2
    assert Image.objects.exclude(state="deleted").count() == 3
    assert {each["name"] for each in as_json("image_list")} == {"demo", "k", "d"}
    code, text = run("image_list", "--all")
    assert code == 0 and "0.0 MiB" in text


def test_a_token_is_printed_alone(demo: Cloud) -> None:
    user = User.objects.create_user(username="ann", password="x")
    assert run("token_create", "ann")[0] == 4
    give(user, "reader", demo.project)
    code, text = run("token_create", "ann", "--hours", "1", "--name", "ci")
    assert code == 0
    held = tokens.check(secret=text.strip())
    assert (held.actor.roles, held.bearer.name) == (("reader",), "ci")
    assert as_json("token_create", "ann", "--project", "demo")["project_name"] == "demo"
    assert run("token_create", "nobody")[0] == 3 and run("token_create", "ann", "--hours", "0")[0] in (1, 2)


def test_operations_are_listed_and_shown(demo: Cloud) -> None:
    demo.host("hv1")
    instance, _ = demo.active()
    demo.power(instance, "stop")
    (under_way,) = as_json("operation_list", "--open")
    assert under_way["kind"] == "instance.stop" and "message" not in under_way
    assert len(as_json("operation_list", "--resource", str(instance.pk), "--host", "hv1")) == 2
    assert "No such operation" in run("operation_list", "--state", "failed")[1]
    code, text = run("operation_show", under_way["id"])
    assert code == 0 and "instance.stop" in text and "accepted" in text
    assert run("operation_show", under_way["id"], "--wait", "--timeout", "0.05")[0] == 5
    built = Operation.objects.get(kind="instance.build")
    assert as_json("operation_show", str(built.pk), "--wait")["events"][0]["name"] == "accepted"
    assert run("operation_show", "01900000-0000-7000-8000-000000000000")[0] == 3


def test_the_audit_ends_with_1_as_long_as_something_is_left(demo: Cloud) -> None:
    from apps.images import store

    path = store.path_of(demo.image.sha256)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert run("audit") == (0, "Nothing leaks.\n")
    host = demo.host()
    instance, _ = demo.active()
    Instance.objects.update(addresses=[])
    code, text = run("audit")
    assert code == 1 and "instance.addresses" in text and "--fix" in text
    (finding,) = as_json("audit", code=1)["findings"]
    assert (finding["code"], finding["subject"], finding["repairable"]) == ("instance.addresses", str(instance.pk), True)
    code, text = run("audit", "--fix")
    assert code == 0 and "1 found, 0 left." in text
    path.unlink()
    assert as_json("audit", "--fix", code=1)["left"][0]["code"] == "image.content_missing"
    assert host.domains


def test_the_settings_table_knows_every_setting(tmp_path: Path) -> None:
    path = tmp_path / "settings.md"
    assert run("settings_table", "--check", "--out", str(path))[0] == 1
    assert run("settings_table", "--out", str(path))[0] == 0
    text = path.read_text()
    assert "`CLOUDSITE_LISTEN`" in text and "`CLOUDSITE_MAX_BATCH`" in text
    path.write_text(f"# Ours\n\n{text.split('# Settings')[1]}\nAfter.\n")
    assert run("settings_table", "--check", "--out", str(path))[0] == 0  # what stands around the table is ours
    assert len(json.loads(run("settings_table", "--json", "--check", "--out", str(path))[1])) > 20


def test_the_table_in_the_documentation_is_up_to_date() -> None:
    assert run("settings_table", "--check")[0] == 0, "run manage.py settings_table"
