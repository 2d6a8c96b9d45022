"""Lists: read-only, cheap on big tables, with the names of opaque ids found for a whole page at once."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from apps.common.admin import access, references
from apps.common.ids import parse

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _ModelAdmin = admin.ModelAdmin
    _Paginator = Paginator


class BoundedPaginator(_Paginator):
    """Counts no further than `MOST` rows: neither count nor offset ever walks a whole table."""

    MOST = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        found: int = rows.order_by().values("pk")[: self.MOST].count()
        return found


class Changes(ChangeList):
    """A page of rows, on which the admin class may do something set-wise before it is drawn."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        admin_class: Any = self.model_admin
        admin_class.prepare(request, rows)
        self.result_list = rows

    @property
    def is_cut(self) -> bool:
        """Whether there may be more rows than can be paged to."""
        return bool(self.result_count >= BoundedPaginator.MOST)


class ReadOnlyAdmin(_ModelAdmin):
    """Services own these rows: the admin looks, and changes nothing by itself.

    `permission`: who may look. `references`: field with an opaque id → kind of thing (see `references`). `search_ids`:
    fields that a search for a UUID looks into; any other text goes to `search_fields`. `entries`: further pages for the
    start page: name, and address below the list's.
    """

    permission: ClassVar[str]
    entries: ClassVar[Sequence[tuple[str, str]]] = ()
    references: ClassVar[Mapping[str, str]] = {}
    search_ids: ClassVar[tuple[str, ...]] = ("pk",)
    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    sortable_by: ClassVar[tuple[str, ...]] = ()
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/cloudsite/change_list.html"

    class Media:
        css: ClassVar = {"all": ["dashboard/cloudsite.css"]}

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access.may(request, self.permission)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list, under its own name instead of “Select … to view”."""
        if any("\0" in value for values in request.GET.lists() for value in values[1]):
            return HttpResponseRedirect(request.path)  # PostgreSQL knows no NUL in text
        return super().changelist_view(
            request, {"title": capfirst(self.opts.verbose_name_plural), **(extra_context or {})}
        )

    def label(self, row: Any) -> str:
        """What to call a row where others choose it from a list."""
        return str(row)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Changes

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Find the names behind opaque ids: one query per kind of thing."""
        by_kind: dict[str, set[uuid.UUID]] = {}
        for field, kind in self.references.items():
            by_kind.setdefault(kind, set()).update(v for row in rows if (v := getattr(row, field)) is not None)
        found = {kind: references.names(kind, ids) for kind, ids in by_kind.items()}
        for row in rows:
            row.reference_names = {
                field: found[kind].get(getattr(row, field), "") for field, kind in self.references.items()
            }

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """An id is looked up as such; never as text in columns that cannot hold it."""
        wanted = parse(search_term.strip())
        if wanted is None or not self.search_ids:
            return super().get_search_results(request, queryset, search_term)
        matches = Q()
        for field in self.search_ids:
            matches |= Q(**{field: wanted})
        return queryset.filter(matches), False


def reference(field: str, kind: str, title: str) -> Callable[[Any, Model], SafeString]:
    """A column with the thing that an opaque id means; `field` is among the class's `references`, or costs a query."""

    @admin.display(description=title)
    def column(self: Any, row: Any) -> SafeString:
        known: Mapping[str, str] = getattr(row, "reference_names", {})
        return references.link(kind, getattr(row, field), known.get(field))

    return column
