"""Errors in plain words: what a stable code means for an operator, and where to look next."""

from typing import Any

from django.utils.safestring import SafeString

from apps.common.admin import drawing

# By code, or by its part before the dot.
ADVICE = {
    "scheduler.no_host": "No host could take it. The verdict below says for each host why. "
    "Make room, enable a host, or use a smaller flavor, then create it again.",
    "scheduler.timeout": "No scheduler process answered. Is one running? `manage.py doctor` tells.",
    "network.full": "All addresses of the network are taken. Delete instances there, or use another network.",
    "host.silent": "The host's agent did not answer. See on the host's page when it was last heard of.",
    "build.timeout": "The host took longer than a build may take. Its timeline shows at which step; the setting is "
    "CLOUDSITE_BUILD_TIMEOUT_S.",
    "delete.timeout": "The host did not finish the deletion. It goes on when the host is heard of again.",
    "power.timeout": "The host did not finish in time. The instance is shown as it truly is; try again.",
    "instance.lost": "Somebody or something removed the guest from its host behind our back. "
    "Its disk is most likely gone.",
    "operation.superseded": "Something more important took its place.",
    "hypervisor": "The hypervisor of the host does not do what it was asked. "
    "The agent's log on the host has the details.",
    "image": "The image could not be fetched or used on the host. Is it intact, and can the host reach this server?",
    "simulated": "A simulated host was told to fail now and then.",
    "agent": "The agent itself went wrong. Its log on the host has the details.",
}


def advice(code: str) -> str:
    """What to do about an error; empty if there is nothing to add to its message."""
    return ADVICE.get(code) or ADVICE.get(code.partition(".")[0], "")


def error_panel(error: dict[str, Any] | None) -> SafeString:
    """The reason as the row has it, and what it means."""
    if not error:
        return drawing.EMPTY
    code = str(error.get("code", ""))
    return drawing.panel("bad", error.get("message", "No reason was given."), advice(code), drawing.code(code))
