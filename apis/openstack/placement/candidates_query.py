"""`GET /allocation_candidates?…` → what is asked for: groups by suffix, and what holds for all of them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from apis.openstack.common.microversions import Version
from apis.openstack.common.views import Call
from apis.openstack.placement import query
from apis.openstack.placement.service import version_of
from apps.common.errors import Invalid
from apps.placement.candidates.query import NONE, CandidateQuery, Group
from apps.placement.errors import BAD_VALUE, DUPLICATE_KEY, MISSING_VALUE

# Parameter → the first version that has it.
_WHOLE: Mapping[str, Version] = {"limit": (1, 16), "group_policy": (1, 25), "root_required": (1, 35), "same_subtree": (1, 36)}
_OF_GROUPS: Mapping[str, Version] = {"resources": (1, 10), "required": (1, 17), "member_of": (1, 21), "in_tree": (1, 31)}
_GRANULAR, _WORDS, _SUBTREES, _NESTED = (1, 25), (1, 33), (1, 36), (1, 29)
_NUMBERED = re.compile(rf"({'|'.join(_OF_GROUPS)})([1-9][0-9]*)?")
_NAMED = re.compile(rf"({'|'.join(_OF_GROUPS)})([a-zA-Z0-9_-]{{1,64}})?")
_LIMIT = re.compile(r"[1-9][0-9]{0,17}")
_POLICIES = ("none", "isolate")


def read(call: Call) -> CandidateQuery:
    """Raises Invalid."""
    version = version_of(call)
    names = _names(call, version)
    subtrees = _subtrees(call)
    limit, policy = query.first(call, "limit"), query.first(call, "group_policy")
    if limit is not None and not _LIMIT.fullmatch(limit):
        query.refuse(f"'{limit[:64]}' does not match '^[1-9][0-9]*$'")
    if policy is not None and policy not in _POLICIES:
        query.refuse(f"'{policy[:64]}' is not one of {list(_POLICIES)}")
    root_required, root_forbidden = _of_root(call, version)
    groups = _groups(call, names, version)
    _whole(groups, subtrees, version)
    if not policy and sum(bool(suffix) for suffix in groups) > 1:
        raise Invalid(
            "request.query", 'The "group_policy" parameter is required when specifying more than one "resources{N}" parameter.'
        )
    return CandidateQuery(
        groups=groups, group_policy=policy or NONE, limit=None if limit is None else int(limit), root_required=root_required,
        root_forbidden=root_forbidden, same_subtree=subtrees, nested=version >= _NESTED,
    )


def _names(call: Call, version: Version) -> dict[str, tuple[str, str]]:
    """Parameters that belong to groups: name → (what it says, suffix). Raises Invalid for one that there is not."""
    form = _NAMED if version >= _WORDS else _NUMBERED
    found, known = dict[str, tuple[str, str]](), {name for name, since in _WHOLE.items() if since <= version}
    for name in call.query:
        if (parts := form.fullmatch(name)) is None:
            continue
        what, suffix = parts[1], parts[2] or ""
        if version >= max(_OF_GROUPS[what], _GRANULAR if suffix else (1, 0)):
            found[name] = what, suffix
    query.parameters(call, {*found, *known})
    if version < _GRANULAR and "resources" not in found:
        query.refuse("'resources' is a required property")
    return found


def _groups(call: Call, names: Mapping[str, tuple[str, str]], version: Version) -> dict[str, Group]:
    fields: dict[str, dict[str, Any]] = {}
    for name, (what, suffix) in names.items():
        group = fields.setdefault(suffix, {})
        if what == "resources":
            group["resources"] = query.resources(call.query[name])
        elif what == "required":
            group["required"], group["forbidden"] = query.required(query.values(call, name), version)
        elif what == "member_of":
            group["member_of"], group["not_member_of"] = query.member_of(query.values(call, name), version, suffix)
        else:
            group["in_tree"] = query.identifier("in_tree", call.query[name])
    return {suffix: Group(**group) for suffix, group in fields.items()}


def _of_root(call: Call, version: Version) -> tuple[frozenset[str], frozenset[str]]:
    """What the roots of trees must have and may not. Raises Invalid."""
    given = query.values(call, "root_required")
    if not given:
        return frozenset(), frozenset()
    if len(given) > 1:
        raise Invalid(DUPLICATE_KEY, "Query parameter 'root_required' may be specified only once.", field="root_required")
    # Any-of is not spoken here, whatever the version.
    must, must_not = query.required(given, min(version, (1, 38)))
    names = frozenset(name for each in must for name in each)
    if both := names & must_not:
        told = f"Conflicting required and forbidden traits found in root_required: {', '.join(sorted(both))}"
        raise Invalid(BAD_VALUE, told, field="root_required")
    return names, must_not


def _subtrees(call: Call) -> list[frozenset[str]]:
    """Groups of suffixes. Raises Invalid."""
    found = [frozenset(part.strip() for part in text.split(",")) for text in query.values(call, "same_subtree")]
    if any("" in each for each in found):
        raise Invalid(BAD_VALUE, "Empty string (unsuffixed group) can not be specified in `same_subtree`", field="same_subtree")
    return found


def _whole(groups: Mapping[str, Group], subtrees: Iterable[frozenset[str]], version: Version) -> None:
    """Raises Invalid for groups that ask for nothing, or for what cannot be."""
    empty = sorted(suffix for suffix, group in groups.items() if not group.resources)
    if version >= _SUBTREES:
        _in_subtrees(groups, empty, frozenset[str]().union(*subtrees))
    elif not groups:
        raise Invalid("request.query", "At least one request group (`resources` or `resources{$S}`) is required.")
    elif empty:
        _orphans(groups, empty)
    conflicts = sorted(
        f"required{suffix}: ({', '.join(sorted(any_of))})"
        for suffix, group in groups.items() for any_of in group.required if any_of <= group.forbidden
    )
    if conflicts:
        raise Invalid(
            "request.query", f"Conflicting required and forbidden traits found in the following traits keys: {', '.join(conflicts)}"
        )


def _in_subtrees(groups: Mapping[str, Group], empty: list[str], named: frozenset[str]) -> None:
    """A group without resources is there to be above or below others, and says so."""
    if len(empty) == len(groups):
        raise Invalid(MISSING_VALUE, "There must be at least one resources or resources[$S] parameter.", field="resources")
    if lost := [suffix for suffix in empty if suffix not in named]:
        raise Invalid(
            BAD_VALUE, f"Resourceless suffixed group request should be specified in `same_subtree` query param: bad group(s) - {lost}.",
            field="same_subtree",
        )
    if unknown := sorted(named - groups.keys()):
        raise Invalid(
            BAD_VALUE, f"Real suffixes should be specified in `same_subtree`: {unknown} not found in {sorted(groups)}.",
            field="same_subtree",
        )


def _orphans(groups: Mapping[str, Group], empty: list[str]) -> None:
    if traits := [f"required{suffix}" for suffix in empty if groups[suffix].required]:
        raise Invalid(
            "request.query",
            f"All traits parameters must be associated with resources. Found the following orphaned traits keys: {', '.join(traits)}",
        )
    if aggregates := [f"member_of{suffix}" for suffix in empty if groups[suffix].member_of or groups[suffix].not_member_of]:
        raise Invalid(
            "request.query",
            f"All member_of parameters must be associated with resources. Found the following orphaned member_of keys: {', '.join(aggregates)}",
        )
    raise Invalid("request.query", "All request groups must specify resources.")
