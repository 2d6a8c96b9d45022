"""UEFI firmware is found by what packages say of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.drivers.libvirt import firmware


def describe(folder: Path, name: str, *, features: tuple[str, ...] = (), arch: str = "x86_64", interfaces: tuple[str, ...] = ("uefi",), **mapping: Any) -> Path:
    """As Debian's package does; returns the code's path."""
    folder.mkdir(exist_ok=True)
    code, template = folder / f"{name}.code.fd", folder / f"{name}.vars.fd"
    code.write_bytes(b"code")
    template.write_bytes(b"variables")
    machines = ["pc-i440fx-*", "pc-q35-*"] if arch == "x86_64" else ["virt-*"]
    content = {
        "description": name, "interface-types": list(interfaces), "features": list(features), "tags": [],
        "mapping": {
            "device": "flash", "executable": {"filename": str(code), "format": "raw"},
            "nvram-template": {"filename": str(template), "format": "raw"}, **mapping,
        },
        "targets": [{"architecture": arch, "machines": machines}],
    }
    (folder / f"{name}.json").write_text(json.dumps(content))
    return code


def test_the_first_that_fits_is_taken(tmp_path: Path) -> None:
    describe(tmp_path, "40-secure", features=("requires-smm", "secure-boot", "enrolled-keys"))
    plain = describe(tmp_path, "60-plain", features=("acpi-s3", "verbose-dynamic"))
    describe(tmp_path, "70-other")
    found = firmware.find("x86_64", [tmp_path])
    assert found is not None and found.code == plain


@pytest.mark.parametrize(
    "unfit", [{"arch": "aarch64"}, {"interfaces": ("bios",)}, {"device": "memory"}, {"mode": "stateless"}], ids=str
)
def test_what_does_not_fit_is_passed_over(tmp_path: Path, unfit: dict[str, Any]) -> None:
    describe(tmp_path, "50-unfit", **unfit)
    assert firmware.find("x86_64", [tmp_path]) is None


def test_the_operators_descriptions_hide_those_of_packages(tmp_path: Path) -> None:
    describe(tmp_path / "packages", "60-plain")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "60-plain.json").write_text("")
    folders = [tmp_path / "own", tmp_path / "packages"]
    assert firmware.find("x86_64", folders) is None
    own = describe(tmp_path / "own", "60-plain")
    found = firmware.find("x86_64", folders)
    assert found is not None and found.code == own


def test_nonsense_and_missing_files_are_no_firmware(tmp_path: Path) -> None:
    describe(tmp_path, "50-gone").unlink()
    (tmp_path / "60-list.json").write_text("[]")
    (tmp_path / "70-half.json").write_text('{"mapping": {}}')
    assert firmware.find("x86_64", [tmp_path, tmp_path / "nowhere"]) is None


def test_a_guest_keeps_its_variables(tmp_path: Path) -> None:
    describe(tmp_path, "60-plain")
    found = firmware.find("x86_64", [tmp_path])
    assert found is not None
    owner = (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    firmware.ensure_variables(tmp_path, found, owner=owner)
    (tmp_path / firmware.VARIABLES).write_bytes(b"changed by the guest")
    firmware.ensure_variables(tmp_path, found, owner=owner)
    assert (tmp_path / firmware.VARIABLES).read_bytes() == b"changed by the guest"
    assert (tmp_path / firmware.VARIABLES).stat().st_mode & 0o777 == 0o600
