"""The admin site as a whole: its names, the templates of its own pages, and what its start page lists."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse

from apps.common.admin.lists import ReadOnlyAdmin


class _Autocomplete(AutocompleteJsonView):
    """Choices by the names that tell them apart, such as a project with its domain."""

    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, str]:
        shown = super().serialize_result(obj, to_field_name)
        of_rows = self.model_admin
        return {**shown, "text": of_rows.label(obj)} if isinstance(of_rows, ReadOnlyAdmin) else shown


class Site(admin.AdminSite):
    """Operators' pages; what each shows and offers follows from the policy."""

    site_header = "Cloudsite"
    site_title = "Cloudsite"
    index_title = "Overview"
    site_url = None
    index_template = "admin/cloudsite/index.html"
    app_index_template = "admin/cloudsite/app_index.html"

    def login(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The one page on which everybody signs in; Django's own knows no second factor."""
        from dashboard.account.signing_in import SignIn

        return SignIn.as_view()(request)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The one on which everybody changes it."""
        return redirect("account-password")

    def autocomplete_view(self, request: HttpRequest) -> Any:
        return _Autocomplete.as_view(admin_site=self)(request)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Beside the lists of rows also the further pages that they name."""
        apps: list[Any] = super().get_app_list(request, app_label)
        for app in apps:
            app["models"] = sorted(
                [*app["models"], *(more for listed in app["models"] for more in self._further(listed))],
                key=lambda each: str(each["name"]).lower(),
            )
        return apps

    def _further(self, listed: dict[str, Any]) -> list[dict[str, Any]]:
        pages = self._registry.get(listed["model"])
        if not isinstance(pages, ReadOnlyAdmin):
            return []
        start = reverse(f"admin:{pages.opts.app_label}_{pages.opts.model_name}_changelist")
        return [
            {
                **listed, "name": name, "object_name": f"{listed['object_name']}-{name}", "admin_url": start + address,
                "add_url": None, "view_only": True,
            }
            for name, address in pages.entries
        ]
