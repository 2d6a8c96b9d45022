"""Admin page of scheduling decisions: which hosts were looked at, and why each was refused."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.scheduler.admin import picture
from apps.scheduler.models import Decision


@admin.register(Decision)
class DecisionAdmin(RecordAdmin):
    """Verdicts, newest first. The picture of one is on its page and on the instance's."""

    permission = "compute.instance.explain"
    list_display = ("time", "instance", "chosen", "summary", "operation", "took")
    search_fields = ("=host_name",)
    search_ids = ("pk", "instance_id", "operation_id", "host_id")
    search_help_text = "an id (decision, instance, operation, host), or exactly a host's name"
    references = {"instance_id": "instance", "operation_id": "operation", "host_id": "host"}
    instance = reference("instance_id", "instance", "instance")
    operation = reference("operation_id", "operation", "operation")
    host = reference("host_id", "host", "host")
    facts = (("Facts", ("instance", "operation", "host", "asked", "summary", "took", "races", "age")),)
    pictures = (("Verdict", "drawn"),)

    def headline(self, decision: Decision) -> SafeString:
        return drawing.badge("placed", "good") if decision.host_id else drawing.badge("no host", "bad")

    @admin.display(description="at")
    def time(self, decision: Decision) -> str:
        return f"{decision.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="chosen")
    def chosen(self, decision: Decision) -> SafeString:
        return format_html("{}", self.host(decision)) if decision.host_id else drawing.badge("no host", "bad")

    @admin.display(description="asked")
    def asked(self, decision: Decision) -> str:
        return picture.asked(decision)

    @admin.display(description="verdict")
    def drawn(self, decision: Decision) -> SafeString:
        return picture.draw(decision)

    @admin.display(description="took")
    def took(self, decision: Decision) -> str:
        return drawing.duration(decision.took_ms / 1000)

    @admin.display(description="races lost on")
    def races(self, decision: Decision) -> str:
        return ", ".join(decision.lost_races)

    @admin.display(description="made")
    def age(self, decision: Decision) -> SafeString:
        return drawing.ago(decision.at)
