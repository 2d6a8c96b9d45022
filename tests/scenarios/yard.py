"""Throw-away things of a running installation, made over HTTP when they are asked for: what a test may change and delete."""

import contextlib
import itertools
import json
from collections.abc import Callable
from typing import Any

import requests

PASSWORD = "correct horse battery"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqfJ7Oh3sTqCPBdx1e0cXKxQpRV9xA5VtJtMrxHLhNn"

_NUMBERS = itertools.count(1)


class Refused(Exception):
    """The API said no."""

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:300]}")
        self.status = answer.status_code


class Client:
    """Calls below /api/v1 with a token."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self.session = url, requests.Session()
        self.session.trust_env = False
        self.token = token

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """The body of the answer. Raises Refused."""
        data = None if body is None else json.dumps(body)
        headers = {**self.headers, "Content-Type": "application/json"}
        answer = self.session.request(method, f"{self.url}/api/v1/{path}", data=data, headers=headers, timeout=60)
        if answer.status_code >= 400:
            raise Refused(answer)
        return answer.json() if answer.content else None


class Yard:
    """`key(kind)`: a thing of that kind, the same until `used_up`. Made by `mine` if that may, else by `operator`."""

    def __init__(self, mine: Client, operator: Client) -> None:
        self.mine, self.operator = mine, operator
        self._known: dict[str, str] = {}
        self._selves: dict[str, dict[str, str]] = {}
        self._makers: dict[str, Callable[[], str]] = {
            "access_key": self._access_key,
            "aggregate": self._aggregate,
            "idle_aggregate": lambda: self._id("aggregates", {"name": self._name()}),
            "zone": lambda: self._id("zones", {"name": self._name()}),
            "idle_zone": lambda: self._id("zones", {"name": self._name()}),
            "access_rule": self._access_rule,
            "application_credential": lambda: self._id("application-credentials", {"name": self._name()}),
            "assignment": lambda: self._id("role-assignments", {**self._role(), "user_id": self.key("user"), "project_id": self.key("project")}),
            "bucket": lambda: str(self._made("buckets", {"name": self._name()})["name"]),
            "idle_bucket": lambda: str(self._made("buckets", {"name": self._name()})["name"]),
            "object": lambda: "object",
            "class": lambda: self._custom("resource-classes"),
            "clerk": lambda: self._user("clerk"),
            "decision": lambda: str(self.mine("GET", f"instances/{self.key('instance')}/scheduling")["decisions"][0]["id"]),
            "domain": lambda: self._id("domains", {"name": self._name()}),
            "closed_domain": lambda: self._id("domains", {"name": self._name(), "enabled": False}),
            "flavor": lambda: self._id("flavors", {"name": self._name(), "vcpus": 1, "memory_mb": 1, "disk_gb": 0}),
            "group": lambda: self._id("groups", {"name": self._name()}),
            "host": lambda: str(self.operator("GET", "hosts")["items"][0]["id"]),
            "idle_provider": lambda: self.key("host"),
            "idle_network": lambda: self._id("networks", {"name": self._name()}),
            "floating_ip": lambda: self._id("floating-ips", {"network_id": self.key("street")}),
            "idle_router": lambda: self._id("routers", {"name": self._name(), "external_network_id": None}),
            "idle_security_group": lambda: self._id("security-groups", {"name": self._name()}),
            "idle_server_group": lambda: self._id("server-groups", {"name": self._name(), "policy": "affinity"}),
            "idle_subnet": lambda: self._subnet("idle_network"),
            "idle_wire": lambda: self._id("physical-networks", {"name": self._name()}),
            "pool": self._pool,
            "port": lambda: self._id("ports", {"network_id": self.key("network")}),
            "router": lambda: self._id("routers", {"name": self._name()}),
            "security_group": lambda: self._id("security-groups", {"name": self._name()}),
            "security_group_rule": self._rule,
            "server_group": lambda: self._id("server-groups", {"name": self._name(), "policy": "soft-anti-affinity"}),
            "spare_port": lambda: self._id("ports", {"network_id": self.key("network")}),
            "street": self._street,
            "subnet": lambda: self._subnet("network"),
            "wire": lambda: self._id("physical-networks", {"name": self._name()}),
            "image": lambda: self._id("images", {"name": self._name(), "disk_format": "raw"}),
            "idle_image": lambda: self._id("images", {"name": self._name(), "disk_format": "raw"}),
            "other_project": lambda: self._id("projects", {"name": self._name()}),
            "offered_image": lambda: self._shared_image(self.operator, "project"),
            "shared_image": lambda: self._shared_image(self.mine, "other_project"),
            "whole_image": self._whole_image,
            "implied_role": lambda: self._id("roles", {"name": self._name()}),
            "instance": self._instance,
            "key_pair": lambda: str(self._made("key-pairs", {"name": self._name(), "public_key": PUBLIC_KEY})["name"]),
            "network": lambda: self._id("networks", {"name": self._name(), "cidr": "10.77.0.0/24"}),
            "operation": lambda: str(self.mine("GET", f"instances/{self.key('instance')}/operations")["items"][0]["id"]),
            "project": lambda: self._id("projects", {"name": self._name(), "tags": ["tag"]}),
            "empty_project": lambda: self._id("projects", {"name": self._name()}),
            "role": lambda: self._id("roles", {"name": self._name()}),
            "domain_role": lambda: self._id("roles", {"name": self._name(), "domain_id": self.key("domain")}),
            "token": lambda: self.oneself()[1],
            "trait": lambda: self._custom("traits"),
            "trust": lambda: self._id("trusts", {"trustee_id": self.key("clerk"), "roles": ["reader"]}),
            "user": lambda: self._user(self._name()),
        }

    def _aggregate(self) -> str:
        """One that the host is in."""
        made = self._id("aggregates", {"name": self._name()})
        self.operator("PUT", f"aggregates/{made}/hosts/{self.key('host')}")
        return made

    def __contains__(self, kind: object) -> bool:
        return kind in self._makers

    def key(self, kind: str) -> str:
        """The id (of a key pair: the name)."""
        if kind not in self._known:
            self._known[kind] = self._makers[kind]()
        return self._known[kind]

    def used_up(self, kind: str) -> None:
        """It is no more; the next one is another one."""
        self._known.pop(kind, None)

    def oneself(self, what: str = "token") -> tuple[str, str]:
        """The secret and the id of a new token, for what is done to oneself: of a user who is there for `what` alone.

        The same user as long as one can sign in, because a user costs two hashes of a password and a token costs one.
        """
        if what in self._selves:
            with contextlib.suppress(Refused):
                return self._signed_in(what)
        name = self._name()
        user = self.operator("POST", "users", {"username": name, "password": PASSWORD})
        project = self.operator("POST", "projects", {"name": name})
        self.operator("POST", "role-assignments", {"role": "member", "user_id": user["id"], "project_id": project["id"]})
        self._selves[what] = {"username": name, "password": PASSWORD, "project": project["id"]}
        return self._signed_in(what)

    def somebody_else(self, what: str) -> None:
        """From now on another user is there for it."""
        self._selves.pop(what, None)

    def _signed_in(self, what: str) -> tuple[str, str]:
        made = self.operator("POST", "tokens", self._selves[what])
        return str(made["secret"]), str(made["id"])

    def _name(self) -> str:
        return f"thing-{next(_NUMBERS)}"

    def _custom(self, path: str) -> str:
        """A name is all that it is."""
        return str(self._made(path, {"name": f"CUSTOM_{next(_NUMBERS)}"})["name"])

    def _made(self, path: str, body: Any) -> Any:
        try:
            return self.mine("POST", path, body)
        except Refused as refused:
            if refused.status != 403:
                raise
            return self.operator("POST", path, body)

    def _id(self, path: str, body: Any) -> str:
        return str(self._made(path, body)["id"])

    def _role(self) -> dict[str, str]:
        return {"role": self.key("role")}

    def _user(self, name: str) -> str:
        return self._id("users", {"username": f"{name}-{next(_NUMBERS)}", "password": PASSWORD})

    def _instance(self) -> str:
        """On the host, which others may have disabled, or kept for another project, by now."""
        host = self.key("host")
        self.operator("PATCH", f"hosts/{host}", {"enabled": True})
        for aggregate in self.operator("GET", "aggregates?limit=200")["items"]:
            if host in aggregate["host_ids"]:
                self.operator("DELETE", f"aggregates/{aggregate['id']}/hosts/{host}")
        body = {"name": self._name(), "flavor": "tiny", "image": "demo"}
        return str(self._made("instances?wait=60", body)["instance"]["id"])

    def _shared_image(self, owner: Client, project: str) -> str:
        body = {"name": self._name(), "disk_format": "raw", "visibility": "shared"}
        made = str(owner("POST", "images", body)["id"])
        owner("POST", f"images/{made}/members", {"project_id": self.key(project)})
        return made

    def _whole_image(self) -> str:
        """An active one of its own."""
        made = self._id("images", {"name": self._name(), "disk_format": "raw"})
        headers = {**self.operator.headers, "Content-Type": "application/octet-stream"}
        url = f"{self.operator.url}/api/v1/images/{made}/file"
        answer = self.operator.session.put(url, data=b"\0" * 512, headers=headers, timeout=60)
        if answer.status_code >= 400:
            raise Refused(answer)
        return made

    def _subnet(self, network: str) -> str:
        number = next(_NUMBERS)
        return self._id("subnets", {"network_id": self.key(network), "cidr": f"10.{100 + number // 250 % 100}.{number % 250}.0/24"})

    def _street(self) -> str:
        made = self.operator("POST", "networks", {"name": self._name(), "kind": "vxlan", "external": True})
        self.operator("POST", "subnets", {"network_id": made["id"], "cidr": "198.51.100.0/24"})
        return str(made["id"])

    def _pool(self) -> str:
        wire = self.operator("POST", "physical-networks", {"name": self._name()})
        body = {"kind": "vlan", "physical_network": wire["name"], "first": 1, "last": 9, "for_tenants": False}
        return str(self.operator("POST", "network-pools", body)["id"])

    def _rule(self) -> str:
        port = next(_NUMBERS)
        body = {"security_group_id": self.key("security_group"), "direction": "ingress", "protocol": "tcp", "first": port, "last": port}
        return self._id("security-group-rules", body)

    def _access_key(self) -> str:
        """There are not many of them at most."""
        for each in self.mine("GET", "access-keys")["items"]:
            self.mine("DELETE", f"access-keys/{each['id']}")
        return self._id("access-keys", {"name": self._name()})

    def _access_rule(self) -> str:
        rule = {"service": "compute", "method": "GET", "path": f"/{self._name()}"}
        made = self._made("application-credentials", {"name": self._name(), "access_rules": [rule]})
        self.mine("DELETE", f"application-credentials/{made['id']}")
        return str(made["access_rules"][0]["id"])
