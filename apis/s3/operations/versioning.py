"""Versioning of buckets."""

from apis.s3 import xml
from apis.s3.answers import Answer, document
from apis.s3.call import Call
from apis.s3.errors import Refused
from apps.objects.selectors import buckets as reads
from apps.objects.services import buckets
from apps.objects.states import Versioning

_STATES = {"Enabled": Versioning.ENABLED, "Suspended": Versioning.SUSPENDED}
_WORDS = {state.value: word for word, state in _STATES.items()}


def get(call: Call) -> Answer:
    """GetBucketVersioning."""
    row = reads.bucket(actor=call.actor, name=call.bucket, action="s3:GetBucketVersioning", context=call.context)
    return document("VersioningConfiguration", [("Status", _WORDS.get(row.versioning))])


def put(call: Call) -> Answer:
    """PutBucketVersioning."""
    root = call.document("VersioningConfiguration")
    if (xml.text(root, "MfaDelete") or "Disabled") != "Disabled":
        raise Refused("NotImplemented", "There is no MFA delete.")
    state = _STATES.get(xml.text(root, "Status") or "")
    if state is None:
        raise Refused("IllegalVersioningConfigurationException")
    buckets.put_versioning(actor=call.actor, name=call.bucket, versioning=state, context=call.context)
    return Answer()
