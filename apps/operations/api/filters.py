"""Query parameters."""

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import PageQuery, Query
from apps.operations.states import OpState

LONGEST_WAIT_S = 60


class WaitQuery(Query):
    """`wait`: answer when the operation is closed, at the latest after so many seconds."""

    wait = fields.Seconds(
        min_value=0, max_value=LONGEST_WAIT_S, default=0.0,
        help_text="Answer when the operation is closed, at the latest after so many seconds; ask again if it is still open.",
    )


class OperationQuery(PageQuery):
    state = fields.Choice(choices=[state.value for state in OpState], required=False)
    kind = serializers.CharField(max_length=48, required=False)
    resource_id = serializers.UUIDField(required=False)
    request_id = serializers.CharField(max_length=64, required=False)
    all_projects = serializers.BooleanField(default=False, help_text="For operators.")


class RejectionQuery(PageQuery):
    code = serializers.CharField(max_length=48, required=False)
    host_name = serializers.CharField(max_length=63, required=False)
