"""`clouds.yaml`, as the OpenStack client reads it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cloudsite.launcher import clouds


def written(path: Path, password: str = "secret") -> Any:
    clouds.write(
        path, public_url="http://cloud.example", user="admin", password=password, project="demo", domain="Default", region="RegionOne"
    )
    return yaml.safe_load(path.read_text())


def test_it_says_where_the_cloud_is_and_who_one_is_there(tmp_path: Path) -> None:
    cloud = written(tmp_path / "clouds.yaml")["clouds"]["cloudsite"]
    assert cloud["auth"] == {
        "auth_url": "http://cloud.example/identity/v3", "username": "admin", "password": "secret", "project_name": "demo",
        "user_domain_name": "Default", "project_domain_name": "Default",
    }
    assert cloud["region_name"] == "RegionOne"


def test_only_its_owner_reads_it_also_where_an_older_one_was_open(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_text("old")
    path.chmod(0o644)
    written(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("password", ['with "quotes"', "with: colon # and hash", "{curly}", "ü\\n", "123", "yes", "'"])
def test_any_password_survives(tmp_path: Path, password: str) -> None:
    assert written(tmp_path / "clouds.yaml", password)["clouds"]["cloudsite"]["auth"]["password"] == password


def test_the_hint_can_be_pasted(tmp_path: Path) -> None:
    first, second = clouds.hint(tmp_path / "my clouds.yaml")
    assert first == f"export OS_CLIENT_CONFIG_FILE='{tmp_path}/my clouds.yaml'"
    assert second == "openstack --os-cloud cloudsite token issue"
