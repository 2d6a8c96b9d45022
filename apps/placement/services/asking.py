"""Allocation candidates for clients: whoever may ask, about what there is."""

from apps.common.context import Actor
from apps.common.errors import Invalid
from apps.identity import policy
from apps.placement import selectors
from apps.placement.candidates.find import find
from apps.placement.candidates.query import CandidateQuery, Found


def candidates(*, actor: Actor, wanted: CandidateQuery) -> Found:
    """Raises Forbidden, Invalid for traits and resource classes that there are not, and as `find` does."""
    policy.require(actor, "placement.candidate.list")
    groups = wanted.groups.values()
    classes = {name for group in groups for name in group.resources}
    if missing := selectors.unknown_classes(classes):
        raise Invalid("resource_class.unknown", f"Invalid resource class in resources parameter: {', '.join(missing)}.", field="resources")
    traits = {name for group in groups for names in (*group.required, group.forbidden) for name in names}
    if missing := selectors.unknown_traits(traits | wanted.root_required | wanted.root_forbidden):
        raise Invalid("trait.unknown", f"No such trait(s): {', '.join(missing)}.", field="required")
    return find(actor=actor, wanted=wanted)
