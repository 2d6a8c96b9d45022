"""Can a port talk to another one, or to an address? The page behind the link on a port's page; `manage.py network_trace` says the same."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common.admin import access, buttons, drawing
from apps.common.admin.pages import Section
from apps.common.context import Actor
from apps.common.errors import CloudError
from apps.network.admin.working import working_in
from apps.network.models import Port
from apps.network.selectors import trace
from apps.network.states import DeviceKind
from apps.network.trace import Hop, Trace

# So many other ports are proposed; any other may be typed.
_MOST_PROPOSED = 100
_VERDICTS = {"open": ("yes", "good"), "closed": ("no", "bad"), "unsure": ("perhaps", "warn")}
_MARKS = {True: ("ok", "good"), False: ("no", "bad"), None: ("?", "warn")}


class _Proposing(forms.TextInput):
    """A text field that proposes values, each with what it stands for."""

    proposals: tuple[tuple[str, str], ...] = ()

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        options = format_html_join("", '<option value="{}">{}</option>', self.proposals)
        field = super().render(name, value, {**(attrs or {}), "list": f"{name}-proposals", "autocomplete": "off"}, renderer)
        return format_html('{}<datalist id="{}-proposals">{}</datalist>', field, name, options)


class TalkForm(forms.Form):
    """What is asked."""

    other = forms.CharField(
        max_length=255, label="Other end", widget=_Proposing,
        help_text="A port of this project by name, instance's name, MAC or address; any port by id; or an address outside.",
    )
    asks = forms.ChoiceField(label="Who begins", choices=[("port", "this port"), ("other", "the other end")])
    protocol = forms.CharField(
        max_length=16, required=False, help_text="icmp, tcp, udp, sctp or a number. Empty: ping, or tcp where there is a port number."
    )
    port = forms.IntegerField(
        min_value=0, max_value=65535, required=False, label="Port number", help_text="At the end that is asked; of ICMP the type."
    )
    family = forms.TypedChoiceField(
        choices=[("", "what both have, IPv4 before IPv6"), (4, "IPv4"), (6, "IPv6")], coerce=int, empty_value=None, required=False
    )

    def __init__(self, port: Port, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        widget: Any = self.fields["other"].widget
        widget.proposals = tuple((_called(each), _told(each)) for each in _neighbours(port))


def answer(request: HttpRequest, port: Port, context: dict[str, Any]) -> HttpResponse:
    """The form, and what it finds. Raises PermissionDenied."""
    access.require(request, trace.PERMISSION)
    form = TalkForm(port, request.GET) if "other" in request.GET else TalkForm(port)
    sections = []
    if form.is_bound and form.is_valid():
        try:
            sections.append(Section("Answer", _drawn(_found(access.actor_of(request), port, form.cleaned_data))))
        except CloudError as error:
            access.refused(request, error)
            if error.field in ("source", "target"):
                error.field = "other"
            buttons.show_refusal(form, error)
    title = f"Can {_called(port)} talk to …?"
    return TemplateResponse(request, "admin/cloudsite/why.html", {**context, "title": title, "form": form, "sections": sections})


def _found(actor: Actor, port: Port, values: Mapping[str, Any]) -> Trace:
    other = trace.port_of(actor=working_in(actor, port.project_id), text=values["other"], field="other")
    source, target = (str(port.pk), other) if values["asks"] == "port" else (other, str(port.pk))
    wanted = {name: values[name] for name in ("protocol", "port", "family")}
    return trace.trace(actor=actor, source=source, target=target, **wanted)


def _neighbours(port: Port) -> list[Port]:
    rows = Port.objects.filter(project_id=port.project_id, device_kind=DeviceKind.INSTANCE).exclude(pk=port.pk)
    return list(rows.select_related("network").prefetch_related("fixed_ips").order_by("-pk")[:_MOST_PROPOSED])


def _called(port: Port) -> str:
    return port.dns_name or port.name or port.mac


def _told(port: Port) -> str:
    return ", ".join([port.network.name, *(str(ip.address) for ip in port.fixed_ips.all())])


def _drawn(found: Trace) -> SafeString:
    said = format_html("<p>{} {}</p>", drawing.badge(*_VERDICTS[found.verdict]), found.summary)
    return format_html("{}{}", said, drawing.table(("", "step", "what is there"), map(_line, found.hops)))


def _line(hop: Hop) -> tuple[object, ...]:
    detail = drawing.stack([hop.detail, drawing.quiet(hop.fix)]) if hop.fix else hop.detail
    return drawing.badge(*_MARKS[hop.ok]), drawing.quiet(hop.name), detail
