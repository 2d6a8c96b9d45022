"""Shapes of flavors, key pairs and instances: what comes in is checked here, what goes out is documented here."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.compute.models import Flavor, KeyPair
from apps.compute.services import cards, needs
from apps.compute.states import POWER_FROM, InstanceState
from apps.operations.api.serializers import ErrorSerializer, OperationSerializer
from apps.scheduler.api import decision_shapes
from contracts.compute.v1 import PowerState

USER_DATA_BYTES = 64 * 1024
STATES = [state.value for state in InstanceState]


class CreateFlavor(Input):
    name = fields.Name(max_length=64)
    vcpus = fields.Whole(min_value=1, max_value=65_536)
    memory_mb = fields.Whole(min_value=1, max_value=1024**3, help_text="MiB")
    disk_gb = fields.Whole(min_value=0, max_value=1024**2 * 16, help_text="GiB; 0: the image's own size")
    required_traits = serializers.ListField(
        child=fields.Line(max_length=255), max_length=64, required=False, help_text="That its hosts have: standard ones, or custom ones that are there."
    )
    forbidden_traits = serializers.ListField(child=fields.Line(max_length=255), max_length=64, required=False, help_text="That they have not.")
    host_metadata = fields.TextMap(required=False, help_text="That one of their aggregates each has.")


class FlavorSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    vcpus = serializers.IntegerField()
    memory_mb = serializers.IntegerField()
    disk_gb = serializers.IntegerField()
    required_traits = serializers.ListField(child=serializers.CharField(), help_text="That its hosts have.")
    forbidden_traits = serializers.ListField(child=serializers.CharField(), help_text="That they have not.")
    host_metadata = serializers.DictField(child=serializers.CharField(), help_text="That one of their aggregates each has.")


class CreateKeyPair(Input):
    name = fields.PathName(max_length=64)
    public_key = fields.Text(max_length=16_384, help_text="One line as in `~/.ssh/id_ed25519.pub`.")


class KeyPairSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    fingerprint = serializers.CharField()
    public_key = serializers.CharField()
    created_at = serializers.DateTimeField()


class WantedCard(Input):
    """One network card: a new port in a network, or a port that is there."""

    network_id = fields.Id(required=False, help_text="Any address of each family that the network has.")
    port_id = fields.Id(required=False, help_text="A port of the project that nothing has; it outlives the instance.")
    address = fields.Line(max_length=45, required=False, help_text="Exactly this one, of a network's subnet.")
    security_groups = serializers.ListField(
        child=fields.Line(max_length=64), max_length=16, required=False, help_text="Names or ids; for this card only."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("network_id" in attrs) == ("port_id" in attrs):
            raise serializers.ValidationError({"network_id": "give either network_id or port_id"}, code="either")
        return attrs


class CreateInstance(Input):
    """One instance, or with `count` several equal ones, numbered from 1."""

    name = fields.Name()
    flavor_id = fields.Id(required=False)
    flavor = fields.Name(max_length=64, required=False, help_text="The flavor's name, instead of its id.")
    image_id = fields.Id(required=False)
    image = fields.Name(required=False, help_text="The image's name, instead of its id.")
    count = fields.Whole(min_value=1, required=False, help_text="How many; default 1.")
    network_id = fields.Id(required=False, allow_null=True, help_text="Default: the project's default network.")
    networks = WantedCard(many=True, required=False, help_text="Its network cards in order, instead of `network_id`.")
    security_groups = serializers.ListField(
        child=fields.Line(max_length=64), max_length=16, required=False,
        help_text="Names or ids, for all cards that name none. Default: the project's default group.",
    )
    key_name = fields.Line(max_length=64, required=False, allow_blank=True, help_text="One of one's key pairs.")
    user_data = fields.Base64(most_bytes=USER_DATA_BYTES, required=False, help_text="For cloud-init, as base64.")
    metadata = fields.TextMap(required=False)
    zone = fields.Line(max_length=64, required=False, allow_blank=True)
    server_group_id = fields.Id(required=False, allow_null=True, help_text="That it becomes a member of.")
    required_traits = serializers.ListField(
        child=fields.Line(max_length=255), max_length=needs.MOST_TRAITS, required=False,
        help_text="That its host must have, beside those of flavor and image.",
    )
    hosts = serializers.ListField(
        child=fields.Line(max_length=63), max_length=needs.MOST_HOSTS, required=False, help_text="On one of these only: names or ids. For operators.",
    )
    avoided_hosts = serializers.ListField(
        child=fields.Line(max_length=63), max_length=needs.MOST_HOSTS, required=False, help_text="On none of these: names or ids. For operators.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for what in ("flavor", "image"):
            if (what in attrs) == (f"{what}_id" in attrs):
                raise serializers.ValidationError({f"{what}_id": f"give either {what}_id or {what} (its name)"}, code="either")
        if "networks" in attrs:
            attrs["networks"] = [cards.WantedCard(**card) for card in attrs["networks"]]
        return attrs


class UpdateInstance(Input):
    name = fields.Name(required=False)
    metadata = fields.TextMap(required=False, help_text="Replaces all of it.")


class InstanceAction(Input):
    action = fields.Choice(choices=list(POWER_FROM))


class AddressSerializer(serializers.Serializer[Any]):
    address = serializers.IPAddressField()
    family = serializers.ChoiceField(choices=[4, 6])
    mac = serializers.CharField()
    network_id = serializers.UUIDField()
    port_id = serializers.UUIDField()


class TaskSerializer(serializers.Serializer[Any]):
    """What is being done to it at the moment."""

    operation_id = serializers.UUIDField()
    kind = serializers.CharField()


class InstanceSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    power_state = serializers.ChoiceField(choices=["", *(state.value for state in PowerState)])
    task = TaskSerializer(allow_null=True)
    project_id = serializers.UUIDField()
    user_id = serializers.UUIDField(allow_null=True)
    zone = serializers.CharField()
    flavor_id = serializers.UUIDField()
    flavor_name = serializers.CharField()
    vcpus = serializers.IntegerField()
    memory_mb = serializers.IntegerField()
    disk_gb = serializers.IntegerField()
    image_id = serializers.UUIDField()
    image_name = serializers.CharField()
    network_id = serializers.UUIDField()
    key_name = serializers.CharField()
    server_group_id = serializers.UUIDField(allow_null=True, help_text="That it is a member of.")
    addresses = AddressSerializer(many=True)
    metadata = serializers.DictField(child=serializers.CharField())
    error = ErrorSerializer(allow_null=True)
    created_at = serializers.DateTimeField()
    launched_at = serializers.DateTimeField(allow_null=True)
    host_id = serializers.UUIDField(required=False, allow_null=True, help_text="For operators.")
    host_name = serializers.CharField(required=False, help_text="For operators.")


class CreatedSerializer(serializers.Serializer[Any]):
    """`instance` and `operation` are null when several were asked for."""

    instance = InstanceSerializer(allow_null=True)
    operation = OperationSerializer(allow_null=True)
    instances = InstanceSerializer(many=True)
    operations = OperationSerializer(many=True)


class AcceptedSerializer(serializers.Serializer[Any]):
    operation = OperationSerializer()


class AttachedSerializer(AcceptedSerializer):
    """`addresses`: of the new card."""

    port_id = serializers.UUIDField()
    addresses = AddressSerializer(many=True)


class ConsoleSerializer(serializers.Serializer[Any]):
    instance_id = serializers.UUIDField()
    text = serializers.CharField()
    truncated = serializers.BooleanField(help_text="Older text was left out.")


class SchedulingSerializer(serializers.Serializer[Any]):
    instance_id = serializers.UUIDField()
    decisions = decision_shapes.DecisionSerializer(many=True, help_text="The newest first.")


def flavor(row: Flavor) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "vcpus": row.vcpus, "memory_mb": row.memory_mb, "disk_gb": row.disk_gb,
        "required_traits": row.required_traits, "forbidden_traits": row.forbidden_traits, "host_metadata": row.host_metadata,
    }


def key_pair(row: KeyPair) -> dict[str, Any]:
    return {"name": row.name, "fingerprint": row.fingerprint, "public_key": row.public_key, "created_at": row.created_at}
