"""`<var>/clouds.yaml`: how the `openstack` client and the SDK find this cloud, and who they are there."""

import json
import os
import shlex
from pathlib import Path

CLOUD = "cloudsite"
_TEXT = """\
# Made by `make up` at every start: the first operator in the first project, by the password of the installation.
{hint}
clouds:
  {cloud}:
    auth:
      auth_url: {auth_url}
      username: {user}
      password: {password}
      project_name: {project}
      user_domain_name: {domain}
      project_domain_name: {domain}
    region_name: {region}
    interface: public
    identity_api_version: 3
"""


def write(path: Path, *, public_url: str, user: str, password: str, project: str, domain: str, region: str) -> None:
    """Write it anew, for its owner's eyes only; a reader meanwhile sees the old one or the new one."""
    values = {
        "auth_url": f"{public_url}/identity/v3", "user": user, "password": password, "project": project, "domain": domain,
        "region": region,
    }
    quoted = {name: json.dumps(value) for name, value in values.items()}  # a text of JSON is one of YAML
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_TEXT.format(hint="\n".join(f"#   {line}" for line in hint(path)), cloud=CLOUD, **quoted))
    scratch.replace(path)


def hint(path: Path) -> list[str]:
    """What to type."""
    return [f"export OS_CLIENT_CONFIG_FILE={shlex.quote(str(path))}", f"openstack --os-cloud {CLOUD} token issue"]
