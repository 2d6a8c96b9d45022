"""Decisions told to operators: hosts have names, and every miss says what would fix it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.placement.names import DISK_GB, MEMORY_MB, VCPU
from apps.scheduler.explain import kept
from apps.scheduler.explain.kept import FITS, Miss

if TYPE_CHECKING:
    from apps.scheduler.models import Decision

# Resource class → what it is called, and in which unit it is counted.
_CLASSES = {VCPU: ("vCPUs", ""), MEMORY_MB: ("memory", "MiB"), DISK_GB: ("disk", "GiB")}

_ORDER = {name: place for place, name in enumerate(_CLASSES)}


@dataclass(frozen=True)
class Advice:
    """A near miss: `text` says how near, `fix` what would help."""

    text: str
    fix: str


def noun(resource_class: str) -> str:
    return _CLASSES.get(resource_class, (resource_class, ""))[0]


def amount(resource_class: str, value: int) -> str:
    """`2 vCPUs`, `512 MiB of memory`, `3 CUSTOM_GPU`."""
    name, unit = _CLASSES.get(resource_class, (resource_class, ""))
    if unit:
        return f"{value} {unit} of {name}"
    return f"{value} {name.removesuffix('s') if value == 1 and resource_class == VCPU else name}"


def size(resource_class: str, value: int) -> str:
    """The same without the class: `2`, `512 MiB`."""
    unit = _CLASSES.get(resource_class, ("", ""))[1]
    return f"{value} {unit}" if unit else str(value)


def counted(number: int, thing: str) -> str:
    """`1 host`, `3 hosts`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def spoken(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = [*items] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def because(reason: str) -> str:
    """Finishes "refused, because …"."""
    from apps.scheduler.filters import WORDS  # with numpy, which most processes never need

    if reason in WORDS:
        return WORDS[reason]
    return f"too {'few' if reason == VCPU else 'little'} {noun(reason)} {'are' if reason == VCPU else 'is'} free"


def asked(request: Mapping[str, Any]) -> str:
    """A decision's request in a line."""
    amounts = request.get("amounts", {})
    # The database does not keep the order.
    parts = [amount(name, amounts[name]) for name in sorted(amounts, key=lambda name: (_ORDER.get(name, len(_ORDER)), name)) if amounts[name]]
    if request.get("zone"):
        parts.append(f"in zone {request['zone']}")
    for name, text in (("required_traits", "with {}"), ("forbidden_traits", "without {}"), ("wires", "plugged into {}")):
        if request.get(name):
            parts.append(text.format(spoken(request[name])))
    if request.get("host_metadata"):
        parts.append(f"on hosts with {spoken(f'{key}={value}' for key, value in request['host_metadata'].items())}")
    image = spoken(filter(None, (request.get("architecture", ""), request.get("hypervisor_type", ""))))
    if image:
        parts.append(f"for an image of {image}")
    if request.get("group"):
        parts.append(f"in a server group ({request['group']['policy']})")
    for name, text in (("hosts", "on one of {} named"), ("avoided_hosts", "not on {} named"), ("excluded", "not on {} where it failed before")):
        if request.get(name):
            parts.append(text.format(counted(len(request[name]), "host")))
    return ", ".join(parts) or "nothing"


def outcome(decision: Decision) -> str:
    """What came of it, in a sentence."""
    if decision.host_id is None:
        return "No host was chosen."
    verdicts = kept.verdicts_of(decision)
    if not verdicts:
        return f"{decision.host_name} was chosen: an earlier decision had left it for a retry."
    passing = sum(each.hosts for each in verdicts if each.reason == FITS)
    if passing == 1:
        return f"{decision.host_name} was chosen: it is the only one that fits."
    if decision.among > 1:
        return f"{decision.host_name} was chosen, at random among the {decision.among} that are nearly as good as the best; {passing} fit."
    return f"{decision.host_name} was chosen: it weighs most among the {passing} that fit."


def chosen(decision: Decision) -> str:
    """For an operation's timeline: `hv7: 3 of 40 hosts fit`."""
    passing = sum(each.hosts for each in kept.verdicts_of(decision) if each.reason == FITS)
    told = f"{passing} of {counted(decision.hosts, 'host')} fit" if passing else "left by the decision before"
    races = f"; lost races: {counted(len(decision.lost_races), 'host')}" if decision.lost_races else ""
    return f"{decision.host_name}: {told}{races}"


def nearest(decision: Decision) -> list[Advice]:
    """How near the nearest came, and what would help; empty if there was a host."""
    return [advice(miss, decision.request) for miss in kept.misses_of(decision)]


def advice(miss: Miss, request: Mapping[str, Any]) -> Advice:
    """One near miss."""
    lacking = [name for name in miss.filters if name in miss.amounts]
    others = [name for name in miss.filters if name not in miss.amounts]
    where = f"on {miss.names[0]} in zone {miss.zone}"
    fixes = [_fix_amount(name, miss) for name in lacking] + [_FIXES[name](miss, request) for name in others]
    if not others:
        return Advice(f"{'; '.join(_amount(name, miss) for name in lacking)} {where}", _together(fixes))
    hosts = counted(miss.hosts, "host")
    text = f"{hosts} with enough" if not lacking else hosts
    text += f" {spoken(_state(name, miss, request) for name in others)}: {_names(miss)}"
    if lacking:
        text += f" ({'; '.join(_amount(name, miss) for name in lacking)} {where})"
    return Advice(text, _together(fixes))


def _names(miss: Miss) -> str:
    return ", ".join(miss.names) + (f" and {miss.hosts - len(miss.names)} more" if miss.hosts > len(miss.names) else "")


def _together(fixes: Iterable[str]) -> str:
    return "; and ".join(fixes)


def _amount(name: str, miss: Miss) -> str:
    found = miss.amounts[name]
    told = f"{noun(name)}: needs {size(name, found['needs'])}"
    for key, words in (("most", "at most {} at once"), ("least", "no less than {} at once"), ("step", "only multiples of {}")):
        if key in found and found["free"] >= found["needs"]:
            return f"{told}, {words.format(found[key])}"
    return f"{told}, best free {size(name, found['free'])}"


def _fix_amount(name: str, miss: Miss) -> str:
    found = miss.amounts[name]
    if found["free"] >= found["needs"]:
        return f"ask for another amount of {noun(name)}, or change what the host's inventory gives at once"
    less = f", or take a flavor with at most {size(name, found['free'])}" if found["free"] else ""
    ratio = f"raise its ratio (manage.py inventory_set {miss.names[0]} {name} --ratio …)"
    return f"free {amount(name, found['needs'] - found['free'])} on {miss.names[0]}, {ratio}{less}"


def _state(name: str, miss: Miss, request: Mapping[str, Any]) -> str:
    """Finishes "3 hosts …"."""
    one = miss.hosts == 1
    be, have, lack, do = ("is", "has", "lacks", "does") if one else ("are", "have", "lack", "do")
    which = spoken(f"{what} ({count})" if count < miss.hosts else what for what, count in miss.which.get(name, {}).items())
    texts = {
        "down": f"{be} down", "disabled": f"{be} disabled", "zone disabled": f"{be} in a disabled zone ({which})",
        "zone": f"{be} in another zone ({which})", "not asked for": f"{be} not among the hosts asked for",
        "avoided": f"{be} to be avoided", "failed before": f"{have} failed to build it before",
        "project": f"{be} kept for other projects" + (f" by the aggregate {which}" if which else ""),
        "metadata": f"{be} in no aggregate with {which}", "image": f"{do} not run such images ({_image(request)})",
        "traits": f"{lack} {which}", "forbidden traits": f"{have} the forbidden {which}",
        "no networks": f"{have} an agent too old for networks", "wire": f"{be} not plugged into {which}",
        "affinity": f"{be} without the others of its server group", "anti-affinity": f"{have} others of its server group",
        "building": f"{have} enough builds under way",
    }
    return texts.get(name, f"{be} refused by the filter {name}")


def _image(request: Mapping[str, Any]) -> str:
    return spoken(filter(None, (request.get("architecture", ""), request.get("hypervisor_type", ""))))


def _first(miss: Miss, name: str) -> str:
    return next(iter(miss.which.get(name, {})), "")


_FIXES: dict[str, Callable[[Miss, Mapping[str, Any]], str]] = {
    "down": lambda miss, request: f"see why the agent of {miss.names[0]} is silent",
    "disabled": lambda miss, request: f"enable one: manage.py host_enable {miss.names[0]}",
    "zone disabled": lambda miss, request: f"enable the zone: manage.py zone_update {_first(miss, 'zone disabled')} --enable",
    "zone": lambda miss, request: f"ask for the zone {_first(miss, 'zone')}, or for none",
    "not asked for": lambda miss, request: "ask for no host by name, or for one of these",
    "avoided": lambda miss, request: "avoid fewer hosts",
    "failed before": lambda miss, request: "see in the timeline why it failed there, then create it again",
    "project": lambda miss, request: f"let the project in: manage.py aggregate_set {_first(miss, 'project') or 'NAME'} --project … (all that may)",
    "metadata": lambda miss, request: f"put one into an aggregate that has it: manage.py aggregate_add_host NAME {miss.names[0]}",
    "image": lambda miss, request: "use an image for these hosts, or hosts for this image",
    "traits": lambda miss, request: "do not require it, or give it to a host that has what it means: manage.py provider_trait_set",
    "forbidden traits": lambda miss, request: "do not forbid it",
    "no networks": lambda miss, request: "upgrade their agents",
    "wire": lambda miss, request: "plug one into it, or use another network",
    "affinity": lambda miss, request: "make room where the others are, or use a group with soft-affinity",
    "anti-affinity": lambda miss, request: "add hosts, or use a group with more members per host or with soft-anti-affinity",
    "building": lambda miss, request: "wait: it is tried again by itself (CLOUDSITE_SCHEDULER_BUILDS_PER_HOST)",
}
