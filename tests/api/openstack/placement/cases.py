"""How each parameter of the reference is tried: a request that works, a value that shows, a value that is refused.

`{host}` and the like are ids of the world in which they are tried.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

from tests.api.openstack.placement.reference import OPERATIONS

Content = Any
Cases = dict[tuple[str, str], "Case"]
NOWHERE = "0badc0de-0000-4000-8000-000000000000"


@dataclass
class Example:
    """A request that is answered well in the operation's newest version."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One parameter. `at`: where it is in the body, if not on top under its own name. `reads`: where its effect is seen, if not in
    the answer; `seen`: at which place there, as `value` or as what was sent; `shows` where that says too little; `silent`: it is
    taken, and changes nothing. `beside`: what else is asked, for it to mean something. `refusal` 200: it is nobody's, and so empty.
    """

    good: Any = None
    wrong: Any = None
    needed: bool = False
    at: tuple[Any, ...] | None = None
    alias: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)
    reads: str = ""
    seen: tuple[Any, ...] = ()
    value: Any = None
    shows: Callable[[Content, Mapping[str, str]], bool] | None = None
    silent: bool = False
    refusal: int = 400
    code: str = "placement.undefined_code"

    def place(self, name: str) -> tuple[Any, ...]:
        return (name,) if self.at is None else self.at


# Shown values, by name: of what kind they are.
KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("versions", "links", "resource_providers", "resource_classes", "allocation_requests", "aggregates", "traits"), list),
    **dict.fromkeys(("id", "min_version", "max_version", "status", "uuid", "name", "root_provider_uuid", "consumer_type", "project_id", "user_id"), str),
    **dict.fromkeys(
        (
            "generation", "resource_provider_generation", "consumer_generation", "max_unit", "min_unit", "reserved", "step_size", "total", "capacity",
            "used", "consumer_count", "VCPU",
        ),
        int,
    ),
    **dict.fromkeys(("inventories", "usages", "resources", "provider_summaries", "mappings", "resource_provider", "INSTANCE"), dict),
    "parent_provider_uuid": (str, NoneType), "allocation_ratio": float, "allocations": (dict, list),
}

_OWNER = {"project_id": "p", "user_id": "u"}
_LISTED = {"allocations": [{"resource_provider": {"uuid": "{idle}"}, "resources": {"VCPU": 1}}], **_OWNER}
_CLAIM = {"allocations": {"{idle}": {"resources": {"VCPU": 1}}}, **_OWNER, "consumer_generation": None, "consumer_type": "T"}
_SEEN = {"resource_provider_generation": 1}
_STOCK = {"inventories": {"VCPU": {"total": 4}}, **_SEEN}
# Operations of which nothing but the path is said.
_HOST, _IDLE, _NEW = {"uuid": "{host}"}, {"uuid": "{idle}"}, {"consumer_uuid": "{free}"}

EXAMPLES: dict[str, Example] = {
    "GET /": Example(),
    "GET /resource_providers": Example(),
    "POST /resource_providers": Example(body={"name": "new"}),
    "POST /resource_providers 1.0-1.19": Example(body={"name": "new"}),
    "GET /resource_providers/{uuid}": Example(_HOST),
    "PUT /resource_providers/{uuid}": Example(_IDLE, body={"name": "idle"}),
    "DELETE /resource_providers/{uuid}": Example(_IDLE),
    "GET /resource_classes": Example(),
    "POST /resource_classes": Example(body={"name": "CUSTOM_NEW"}),
    "GET /resource_classes/{name}": Example({"name": "VCPU"}),
    "PUT /resource_classes/{name}": Example({"name": "CUSTOM_NEW"}),
    "PUT /resource_classes/{name} 1.2-1.6": Example({"name": "CUSTOM_FPGA"}, body={"name": "CUSTOM_NEW"}),
    "DELETE /resource_classes/{name}": Example({"name": "CUSTOM_FPGA"}),
    "GET /resource_providers/{uuid}/inventories": Example(_HOST),
    "PUT /resource_providers/{uuid}/inventories": Example(_IDLE, body=_STOCK),
    "POST /resource_providers/{uuid}/inventories": Example(_IDLE, body={"resource_class": "DISK_GB", "total": 4}),
    "DELETE /resource_providers/{uuid}/inventories": Example(_IDLE),
    "GET /resource_providers/{uuid}/inventories/{resource_class}": Example({**_HOST, "resource_class": "VCPU"}),
    "PUT /resource_providers/{uuid}/inventories/{resource_class}": Example({**_IDLE, "resource_class": "VCPU"}, body={"total": 4, **_SEEN}),
    "DELETE /resource_providers/{uuid}/inventories/{resource_class}": Example({**_IDLE, "resource_class": "VCPU"}),
    "GET /resource_providers/{uuid}/aggregates": Example(_HOST),
    "PUT /resource_providers/{uuid}/aggregates": Example(_IDLE, body={"aggregates": [], **_SEEN}),
    "PUT /resource_providers/{uuid}/aggregates 1.1-1.18": Example(_IDLE, body=[]),
    "GET /traits": Example(),
    "GET /traits/{name}": Example({"name": "HW_CPU_X86_AVX2"}),
    "PUT /traits/{name}": Example({"name": "CUSTOM_NEW"}),
    "DELETE /traits/{name}": Example({"name": "CUSTOM_BLUE"}),
    "GET /resource_providers/{uuid}/traits": Example(_HOST),
    "PUT /resource_providers/{uuid}/traits": Example(_IDLE, body={"traits": [], **_SEEN}),
    "DELETE /resource_providers/{uuid}/traits": Example(_IDLE),
    "POST /allocations": Example(body={"{free}": _CLAIM}),
    "GET /allocations/{consumer_uuid}": Example({"consumer_uuid": "{holder}"}),
    "PUT /allocations/{consumer_uuid}": Example(_NEW, body=_CLAIM),
    "PUT /allocations/{consumer_uuid} 1.0-1.11": Example(_NEW, body=_LISTED),
    "DELETE /allocations/{consumer_uuid}": Example({"consumer_uuid": "{holder}"}),
    "GET /resource_providers/{uuid}/allocations": Example(_HOST),
    "GET /resource_providers/{uuid}/usages": Example(_HOST),
    "GET /usages": Example(query={"project_id": "{red}"}),
    "GET /usages 1.9-1.37": Example(query={"project_id": "{red}"}),
    "GET /allocation_candidates": Example(query={"resources": "VCPU:1"}),
    "GET /allocation_candidates 1.10-1.11": Example(query={"resources": "VCPU:1"}),
    "POST /reshaper": Example(body={"inventories": {"{idle}": _STOCK}, "allocations": {"{free}": _CLAIM}}),
}


def _providers(*names: str) -> Callable[[Content, Mapping[str, str]], bool]:
    return lambda content, _: {each["name"] for each in content["resource_providers"]} == set(names)


def _among(*names: str) -> Callable[[Content, Mapping[str, str]], bool]:
    """All candidates together use these providers."""
    return lambda content, ids: {key for each in content["allocation_requests"] for key in each["allocations"]} == {ids[name] for name in names}


def _record(at: tuple[str, ...], seen: tuple[str, ...], reads: str = "") -> Cases:
    """The fields of an inventory, wherever the operation has them."""
    def one(name: str, good: Any, wrong: Any, *, needed: bool = False) -> Case:
        return Case(good=good, wrong=wrong, needed=needed, at=(*at, name), seen=(*seen, name), reads=reads)

    return {
        ("body", "total"): one("total", 9, 0, needed=True), ("body", "reserved"): one("reserved", 2, -1), ("body", "min_unit"): one("min_unit", 2, 0),
        ("body", "max_unit"): one("max_unit", 3, 2**31), ("body", "step_size"): one("step_size", 2, 0),
        ("body", "allocation_ratio"): one("allocation_ratio", 2.5, "2.5"),
    }


def _claim(at: tuple[str, ...], *, generation: bool = True) -> Cases:
    """The fields of a consumer's claim, wherever the operation has them."""
    reads, held = "allocations/{free}", ("allocations", "{idle}")
    found: Cases = {
        ("body", name): Case(good="someone", wrong="", needed=True, at=(*at, name), reads=reads, seen=(name,)) for name in ("project_id", "user_id")
    }
    found |= {
        ("body", "consumer_type"): Case(good="MIGRATION", wrong="migration", needed=True, at=(*at, "consumer_type"), reads=reads, seen=("consumer_type",)),
        ("body", "consumer_generation"): Case(
            good=None, wrong="1", needed=True, at=(*at, "consumer_generation"), reads=reads, seen=("consumer_generation",), value=1,
        ),
        ("body", "resources"): Case(
            good={"VCPU": 3}, wrong={}, needed=True, at=(*at, *held, "resources"), reads=reads, seen=(*held, "resources"),
        ),
        ("body", "mappings"): Case(good={"": ["{idle}"]}, wrong={}, at=(*at, "mappings"), silent=True),
    }
    if generation:
        found["body", "generation"] = Case(good=1, wrong="1", at=(*at, *held, "generation"), silent=True)
    return found


_GENERATION = Case(good=1, wrong="1", needed=True, seen=("resource_provider_generation",), value=2)
_NAME = Case(good="other", wrong=7, needed=True, seen=("name",))
_PARENT = Case(good="{host}", wrong="host", seen=("parent_provider_uuid",))
_NEW_PROVIDER: Cases = {("body", "name"): _NAME, ("body", "uuid"): Case(good="{new}", wrong="new", seen=("uuid",)), ("body", "parent_provider_uuid"): _PARENT}
_SILENT_PROVIDER: Cases = {
    ("body", "name"): Case(good="other", wrong=7, needed=True, reads="resource_providers?name=other", shows=_providers("other")),
    ("body", "uuid"): Case(good="{new}", wrong="new", reads="resource_providers?uuid={new}", shows=_providers("new")),
    ("body", "parent_provider_uuid"): Case(good="{host}", wrong="host", reads="resource_providers?in_tree={host}", shows=_providers("host", "card", "new")),
}
_AGGREGATES = Case(good=["{aggregate}"], wrong=["x"], needed=True, seen=("aggregates",))
_USER = Case(good="{user}", wrong="", seen=("usages", "INSTANCE", "VCPU"), shows=lambda content, _: set(content["usages"]) == {"INSTANCE"})
_BOTH = {"resources1": "VCPU:1"}

CASES: dict[str, Cases] = {
    "GET /resource_providers": {
        ("query", "name"): Case(good="host", wrong="%00", shows=_providers("host")),
        ("query", "uuid"): Case(good="{host}", wrong="host", shows=_providers("host")),
        ("query", "member_of"): Case(good="{aggregate}", wrong="x", shows=_providers("host", "store")),
        ("query", "resources"): Case(good="VCPU:5", wrong="VCPU", shows=_providers("host")),
        ("query", "in_tree"): Case(good="{card}", wrong="card", shows=_providers("host", "card")),
        ("query", "required"): Case(good="CUSTOM_RED", wrong="NOTHING", shows=_providers("card")),
    },
    "POST /resource_providers": _NEW_PROVIDER,
    "POST /resource_providers 1.0-1.19": _SILENT_PROVIDER,
    "PUT /resource_providers/{uuid}": {("body", "name"): _NAME, ("body", "parent_provider_uuid"): _PARENT},
    "POST /resource_classes": {
        ("body", "name"): Case(good="CUSTOM_OTHER", wrong="OTHER", needed=True, reads="resource_classes/CUSTOM_OTHER", seen=("name",)),
    },
    "PUT /resource_classes/{name} 1.2-1.6": {("body", "name"): Case(good="CUSTOM_OTHER", wrong="OTHER", needed=True, seen=("name",))},
    "PUT /resource_providers/{uuid}/inventories": {
        ("body", "resource_provider_generation"): _GENERATION,
        ("body", "inventories"): Case(good={"DISK_GB": {"total": 1}}, wrong=[], needed=True, seen=("inventories", "DISK_GB", "total"), value=1),
        **_record(("inventories", "VCPU"), ("inventories", "VCPU")),
    },
    "PUT /resource_providers/{uuid}/inventories/{resource_class}": {("body", "resource_provider_generation"): _GENERATION, **_record((), ())},
    "POST /resource_providers/{uuid}/inventories": {
        ("body", "resource_class"): Case(
            good="CUSTOM_FPGA", wrong="fpga", needed=True, reads="resource_providers/{idle}/inventories", seen=("inventories", "CUSTOM_FPGA", "total"), value=4,
        ),
        ("body", "resource_provider_generation"): Case(good=1, wrong="1", silent=True),
        **_record((), ()),
    },
    "PUT /resource_providers/{uuid}/aggregates": {("body", "aggregates"): _AGGREGATES, ("body", "resource_provider_generation"): _GENERATION},
    "PUT /resource_providers/{uuid}/aggregates 1.1-1.18": {
        ("body", "aggregates"): Case(good=["{aggregate}"], wrong=["x"], needed=True, at=(), seen=("aggregates",)),
    },
    "GET /traits": {
        ("query", "name"): Case(good="in:CUSTOM_RED", wrong="CUSTOM_RED", seen=("traits",), value=["CUSTOM_RED"]),
        ("query", "associated"): Case(
            good="true", wrong="1", seen=("traits",), value=["CUSTOM_RED", "HW_CPU_X86_AVX2", "MISC_SHARES_VIA_AGGREGATE"],
        ),
    },
    "PUT /resource_providers/{uuid}/traits": {
        ("body", "traits"): Case(good=["CUSTOM_RED"], wrong=["NOTHING"], needed=True, seen=("traits",)),
        ("body", "resource_provider_generation"): Case(good=1, wrong="1", needed=True, silent=True),
    },
    "POST /allocations": {
        ("body", "consumer_uuid"): Case(good={"{free}": _CLAIM}, wrong={"x": _CLAIM}, needed=True, at=(), reads="allocations/{free}", seen=("project_id",), value="p"),
        ("body", "allocations"): Case(
            good={"{idle}": {"resources": {"VCPU": 2}}}, wrong=[], needed=True, at=("{free}", "allocations"), reads="allocations/{free}",
            seen=("allocations", "{idle}", "resources", "VCPU"), value=2,
        ),
        **_claim(("{free}",)),
    },
    "PUT /allocations/{consumer_uuid}": {
        ("body", "allocations"): Case(
            good={"{idle}": {"resources": {"VCPU": 2}}}, wrong=[], needed=True, reads="allocations/{free}",
            seen=("allocations", "{idle}", "resources", "VCPU"), value=2,
        ),
        **_claim(()),
    },
    "PUT /allocations/{consumer_uuid} 1.0-1.11": {
        **{("body", name): Case(good="someone", wrong="", needed=True, reads="allocations/{free}", seen=(name,)) for name in _OWNER},
        ("body", "allocations"): Case(
            good=[{"resource_provider": {"uuid": "{idle}"}, "resources": {"VCPU": 2}}], wrong=[], needed=True, reads="allocations/{free}",
            seen=("allocations", "{idle}", "resources", "VCPU"), value=2,
        ),
        ("body", "resources"): Case(
            good={"VCPU": 3}, wrong={}, needed=True, at=("allocations", 0, "resources"), reads="allocations/{free}",
            seen=("allocations", "{idle}", "resources"),
        ),
        ("body", "resource_provider"): Case(
            good={"uuid": "{host}"}, wrong={}, needed=True, at=("allocations", 0, "resource_provider"), reads="allocations/{free}",
            seen=("allocations", "{host}", "resources", "VCPU"), value=1,
        ),
        ("body", "uuid"): Case(
            good="{host}", wrong="host", needed=True, at=("allocations", 0, "resource_provider", "uuid"), reads="allocations/{free}",
            seen=("allocations", "{host}", "resources", "VCPU"), value=1,
        ),
    },
    "GET /usages": {
        ("query", "project_id"): Case(good="{red}", wrong="", needed=True, seen=("usages", "INSTANCE", "VCPU"), value=1),
        ("query", "user_id"): _USER,
        ("query", "consumer_type"): Case(good="INSTANCE", wrong="instance", shows=_USER.shows),
    },
    "GET /usages 1.9-1.37": {
        ("query", "project_id"): Case(good="{red}", wrong="", needed=True, seen=("usages", "VCPU"), value=1),
        ("query", "user_id"): Case(good="{user}", wrong="", seen=("usages",), value={"VCPU": 1}),
    },
    "GET /allocation_candidates": {
        ("query", "resources"): Case(good="VCPU:5", wrong="VCPU:0", needed=True, shows=_among("host")),
        ("query", "required"): Case(good="HW_CPU_X86_AVX2", wrong="NOTHING", shows=_among("host")),
        ("query", "member_of"): Case(good="{aggregate}", wrong="x", shows=_among("host")),
        ("query", "in_tree"): Case(good="{card}", wrong="card", shows=_among("host")),
        ("query", "resourcesN"): Case(good="SRIOV_NET_VF:1", wrong="SRIOV_NET_VF:x", alias="resources1", shows=_among("host", "card")),
        ("query", "requiredN"): Case(good="HW_CPU_X86_AVX2", wrong="NOTHING", alias="required1", beside=_BOTH, shows=_among("host")),
        ("query", "member_ofN"): Case(good="{aggregate}", wrong="x", alias="member_of1", beside=_BOTH, shows=_among("host")),
        ("query", "in_treeN"): Case(good="{card}", wrong="card", alias="in_tree1", beside=_BOTH, shows=_among("host")),
        ("query", "group_policy"): Case(
            good="isolate", wrong="alone", needed=True, beside={"resources1": "VCPU:1", "resources2": "VCPU:1"}, shows=_among(),
        ),
        ("query", "limit"): Case(good="1", wrong="0", shows=lambda content, _: len(content["allocation_requests"]) == 1),
        ("query", "root_required"): Case(good="!HW_CPU_X86_AVX2", wrong="NOTHING", shows=_among("idle")),
        # A group without resources is only there to be above or below another.
        ("query", "same_subtree"): Case(
            good="_A,_B", wrong="_A,_C", code="placement.query.bad_value", needed=True, beside={"resources_A": "SRIOV_NET_VF:1", "required_B": "HW_CPU_X86_AVX2", "group_policy": "none"},
            shows=_among("host", "card"),
        ),
    },
    "GET /allocation_candidates 1.10-1.11": {
        ("query", "resources"): Case(
            good="VCPU:5", wrong="VCPU:0", needed=True,
            shows=lambda content, ids: [each["allocations"][0]["resource_provider"]["uuid"] for each in content["allocation_requests"]] == [ids["host"]],
        ),
    },
    "POST /reshaper": {
        ("body", "inventories"): Case(
            good={"{idle}": {"inventories": {"VCPU": {"total": 6}}, **_SEEN}}, wrong={}, needed=True, reads="resource_providers/{idle}/inventories",
            seen=("inventories", "VCPU", "total"), value=6,
        ),
        ("body", "resource_provider_generation"): Case(
            good=1, wrong="1", needed=True, at=("inventories", "{idle}", "resource_provider_generation"), silent=True,
        ),
        ("body", "inventories of one"): Case(
            good={"VCPU": {"total": 7}}, wrong=[], needed=True, at=("inventories", "{idle}", "inventories"),
            reads="resource_providers/{idle}/inventories", seen=("inventories", "VCPU", "total"), value=7,
        ),
        ("body", "allocations"): Case(good={}, wrong=[], needed=True, reads="allocations/{free}", seen=("allocations",)),
        ("body", "allocations of one"): Case(
            good={}, wrong=[], needed=True, at=("allocations", "{free}", "allocations"), reads="allocations/{free}", seen=("allocations",),
        ),
        **_claim(("allocations", "{free}"), generation=False),
    },
}

# What a path names is not there, or cannot be.
_WRONG_PATHS: dict[str, tuple[str, int]] = {"uuid": (NOWHERE, 404), "resource_class": ("DISK_GB", 404), "name": ("CUSTOM_NOTHING", 404), "consumer_uuid": ("x", 404)}
_OTHER_PATHS: dict[tuple[str, str], tuple[str, int]] = {
    ("PUT /resource_providers/{uuid}/inventories/{resource_class}", "resource_class"): ("DISK_GB", 400),
    ("PUT /resource_classes/{name}", "name"): ("NEW", 400), ("PUT /traits/{name}", "name"): ("NEW", 400),
    ("GET /allocations/{consumer_uuid}", "consumer_uuid"): (NOWHERE, 200), ("PUT /allocations/{consumer_uuid}", "consumer_uuid"): ("x", 400),
    ("PUT /allocations/{consumer_uuid} 1.0-1.11", "consumer_uuid"): ("x", 400),
}
for _title, _operation in OPERATIONS.items():
    for _where, _name in _operation.parameters:
        if _where == "path":
            _wrong, _refusal = _OTHER_PATHS.get((_title, _name), _WRONG_PATHS[_name])
            CASES.setdefault(_title, {})[_where, _name] = Case(wrong=_wrong, refusal=_refusal)
