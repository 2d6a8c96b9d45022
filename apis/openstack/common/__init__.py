"""What all OpenStack services share: calls, bodies, lists, links, errors, versions, microversions."""
