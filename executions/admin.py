"""The admin: what machines wrote can be read; what people know better can be changed; what failed can be retried."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, BaseDialogForm, UserChangeForm, UserCreationForm

from executions import cards
from executions.models import (
    Camera,
    Execution,
    ExecutionQuerySet,
    InferenceResult,
    MonitoringNode,
    Notification,
    QueueItem,
    QueueItemQuerySet,
    QueueStatus,
)
from executions.paginator import EstimatingPaginator

RECENT = timedelta(hours=24)


def _labels(**colours: str) -> dict[str, str]:
    """Colours of a label by code; Unfold shows the bare code where it finds none."""
    return defaultdict(lambda: "default", colours)


RISK_LABELS = _labels(critical="danger", high="warning", medium="warning", low="info", none="success")
STATUS_LABELS = _labels(success="success", error="danger", crashed="danger", running="info")
QUEUE_LABELS = _labels(completed="success", failed="danger", processing="info")
TELEGRAM_LABELS = _labels(sent="success", failed="danger", unknown="warning")


class ReadOnly:
    """For what machines write: everybody on the staff with the right to see it sees it, nobody changes it."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# --- Executions ----------------------------------------------------------------------------------


class StuckFilter(admin.SimpleListFilter):
    title = _("stuck")
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("Yes, not ended after the limit"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.stuck() if self.value() else queryset


class InferenceResultInline(ReadOnly, StackedInline):
    model = InferenceResult
    exclude = ["raw_response_hash"]


class NotificationInline(ReadOnly, StackedInline):
    model = Notification


class QueueItemInline(ReadOnly, TabularInline):
    model = QueueItem
    fields = ["phase", "status", "attempts", "last_error", "queued_at", "completed_at"]
    extra = 0
    show_change_link = True


@admin.register(Execution)
class ExecutionAdmin(ReadOnly, ModelAdmin):
    list_display = ["execution_id", "thumbnail", "camera_name", "frame_at", "state", "detection", "delivery"]
    list_filter = [StuckFilter, "status", "risk_level", "has_smoke", "telegram_sent", "node"]
    search_fields = ["camera__camera_id"]
    search_help_text = _("Number of the execution, or a part of the camera's or monitoring node's name.")
    ordering = ["-execution_id"]
    sortable_by = ["execution_id"]
    list_per_page = 50
    paginator = EstimatingPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    inlines = [InferenceResultInline, NotificationInline, QueueItemInline]
    readonly_fields = ["picture"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Execution]":
        rows: ExecutionQuerySet = super().get_queryset(request)
        return rows.for_cards()

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Execution]", search_term: str
    ) -> tuple["QuerySet[Execution]", bool]:
        """By primary key or by camera: both are cheap. A number may be either, but then all of it."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isascii() and term.isdecimal():
            named, number = Q(camera_id=term), int(term)
            wanted = Q(pk=number) if number < 2**63 else Q()
        else:
            named = Q(camera_id__icontains=term) | Q(node__device_id__icontains=term) | Q(node__name__icontains=term)
            wanted = Q()
        return queryset.filter(wanted | Q(camera__in=Camera.objects.filter(named))), False

    def get_fields(self, request: HttpRequest, obj: Execution | None = None) -> list[str]:
        hidden = {"id", "image_webp_path", "image_thumb_path"}
        return ["picture", *(field.name for field in Execution._meta.fields if field.name not in hidden)]

    @display(description=_("image"))
    def thumbnail(self, execution: Execution) -> SafeString | str:
        address = cards.image_url(execution, "thumb")
        if address is None:
            return "–"
        return format_html(
            '<img src="{}" width="96" height="54" alt="" loading="lazy" class="rounded max-w-none">', address
        )

    @display(description=_("image"))
    def picture(self, execution: Execution) -> SafeString:
        page = reverse("execution", args=[execution.pk])
        address = cards.image_url(execution, "webp")
        if address is None:
            return format_html('<a href="{}">{}</a>', page, _("Open the page of this execution"))
        return format_html('<a href="{}"><img src="{}" width="480" alt="{}"></a>', page, address, _("image"))

    @display(description=_("camera"))
    def camera_name(self, execution: Execution) -> str:
        return str(execution.camera) if execution.camera else "–"

    @display(description=_("time"), ordering="execution_id")
    def frame_at(self, execution: Execution) -> str:
        shown = cards.moment(execution.frame_at)
        return shown.text if shown else "–"

    @display(description=_("status"), label=STATUS_LABELS)
    def state(self, execution: Execution) -> tuple[str, str]:
        return execution.status, execution.get_status_display()

    @display(description=_("detection"), label=RISK_LABELS)
    def detection(self, execution: Execution) -> tuple[str, str]:
        card = cards.card(execution)
        found = ", ".join(finding.text for finding in card.findings)
        seen = " · ".join(filter(None, [card.level.text, found]))
        return card.level.code, seen or Truncator(card.result_note).chars(40)

    @display(description=_("Telegram"), label=TELEGRAM_LABELS)
    def delivery(self, execution: Execution) -> tuple[str, str]:
        telegram = cards.card(execution).telegram
        return telegram.code, telegram.text or "–"


# --- Registry ------------------------------------------------------------------------------------


def recent_images(**reference: OuterRef) -> Coalesce:
    """Images of the last 24 hours of each row, as one subquery over the index by time."""
    since = timezone.now() - RECENT
    counted = Execution.objects.filter(captured_at__gte=since, **reference).order_by().values(*reference)
    counts = Subquery(counted.annotate(n=Count("pk")).values("n"), output_field=IntegerField())
    return Coalesce(counts, 0)


class CameraInline(TabularInline):
    model = Camera
    fields = ["camera_id", "camera_type", "azimuth_deg", "field_of_view_deg", "expected_interval_s", "is_active"]
    readonly_fields = ["camera_id", "camera_type"]
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(MonitoringNode)
class MonitoringNodeAdmin(ModelAdmin):
    list_display = ["device_id", "name", "has_position", "recent", "last_seen_at"]
    search_fields = ["device_id", "name"]
    inlines = [CameraInline]
    fieldsets = [
        (None, {"fields": ["device_id", "name", "description", "time_zone"]}),
        (_("Position"), {"fields": ["latitude", "longitude", "elevation_m"]}),
        (_("What the device says"), {"fields": ["software_version", "first_seen_at", "last_seen_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[MonitoringNode]":
        rows: QuerySet[MonitoringNode] = super().get_queryset(request)
        return rows.annotate(recent_count=recent_images(node=OuterRef("pk")))

    def get_readonly_fields(self, request: HttpRequest, obj: MonitoringNode | None = None) -> list[str]:
        machine = ["software_version", "first_seen_at", "last_seen_at"]
        return machine if obj is None else ["device_id", *machine]

    @display(description=_("position"), boolean=True)
    def has_position(self, node: MonitoringNode) -> bool:
        return node.latitude is not None and node.longitude is not None

    @display(description=_("images in 24 h"), ordering="recent_count")
    def recent(self, node: Any) -> int:
        return int(node.recent_count)


@admin.register(Camera)
class CameraAdmin(ModelAdmin):
    list_display = ["camera_id", "node", "azimuth_deg", "field_of_view_deg", "is_active", "recent", "last_seen_at"]
    list_filter = ["is_active", "node"]
    list_select_related = ["node"]
    search_fields = ["camera_id", "node__device_id", "node__name"]
    fieldsets = [
        (None, {"fields": ["node", "camera_id", "is_active", "expected_interval_s"]}),
        (_("View"), {"fields": ["azimuth_deg", "field_of_view_deg"]}),
        (_("What the camera says"), {"fields": ["camera_type", "facing", "first_seen_at", "last_seen_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Camera]":
        rows: QuerySet[Camera] = super().get_queryset(request)
        return rows.annotate(recent_count=recent_images(camera=OuterRef("pk")))

    def get_readonly_fields(self, request: HttpRequest, obj: Camera | None = None) -> list[str]:
        machine = ["camera_type", "facing", "first_seen_at", "last_seen_at"]
        return machine if obj is None else ["node", "camera_id", *machine]

    @display(description=_("images in 24 h"), ordering="recent_count")
    def recent(self, camera: Any) -> int:
        return int(camera.recent_count)


# --- Queue ---------------------------------------------------------------------------------------


class StateFilter(admin.SimpleListFilter):
    """Unless asked for, what is completed stays away: it is nearly everything, and nobody has to act on it."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*QueueStatus.choices, ("all", _("All"))]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": _("Not completed")}, *others]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "all":
            return queryset
        if self.value() in QueueStatus.values:
            return queryset.filter(status=self.value())
        return queryset.exclude(status=QueueStatus.COMPLETED)


@admin.register(QueueItem)
class QueueItemAdmin(ReadOnly, ModelAdmin):
    list_display = ["execution_link", "phase", "state", "attempts", "last_error", "available_at", "completed_at"]
    list_display_links = ["phase"]
    list_filter = [StateFilter, "phase"]
    search_fields = ["=execution__pk"]
    search_help_text = _("Number of the execution.")
    sortable_by = ()
    list_per_page = 50
    paginator = EstimatingPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ["retry_selected"]
    actions_detail = ["retry_this"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[QueueItem]":
        # Not super's, which orders by `rank` before there is one.
        return QueueItem.objects.failed_first()

    def get_ordering(self, request: HttpRequest) -> list[str]:
        if request.GET.get(StateFilter.parameter_name) in ("all", QueueStatus.COMPLETED):
            return ["-pk"]  # Nearly the whole table: only an index can order it.
        return ["rank", "-queued_at", "-pk"]

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[QueueItem]", search_term: str
    ) -> tuple["QuerySet[QueueItem]", bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        is_id = term.isascii() and term.isdecimal() and len(term) < 19
        return (queryset.filter(execution=int(term)) if is_id else queryset.none()), False

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("executions.change_queueitem")

    @display(description=_("execution"))
    def execution_link(self, item: QueueItem) -> SafeString:
        address = reverse("admin:executions_execution_change", args=[item.execution_id])
        return format_html('<a href="{}">{}</a>', address, item.execution_id)

    @display(description=_("state"), label=QUEUE_LABELS)
    def state(self, item: QueueItem) -> tuple[str, str]:
        return item.status, item.get_status_display()

    @action(description=_("Retry"), permissions=["retry"])
    def retry_selected(self, request: HttpRequest, queryset: QueueItemQuerySet) -> None:
        # The list's own filters and ordering may join; an update by id does not.
        self._retry(request, QueueItem.objects.filter(pk__in=queryset.values("pk")))

    @action(
        description=_("Retry"),
        permissions=["retry"],
        url_path="retry",
        icon="replay",
        dialog={
            "title": _("Retry this extraction?"),
            "description": _("It is tried again at once, with all its attempts. Only what has failed is retried."),
            "form_class": None,
            "form_submit_text": _("Retry"),
        },
    )
    def retry_this(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        self._retry(request, QueueItem.objects.filter(pk=object_id))
        address = reverse("admin:executions_queueitem_change", args=[object_id])
        if "HX-Request" in request.headers:
            return HttpResponse(headers={"HX-Redirect": address})
        return HttpResponseRedirect(address)

    def _retry(self, request: HttpRequest, items: QueueItemQuerySet) -> None:
        count = items.retry()
        if count == 0:
            self.message_user(request, _("Nothing to retry: only what has failed can be retried."), messages.WARNING)
            return
        text = ngettext("%(count)s extraction is due again.", "%(count)s extractions are due again.", count)
        self.message_user(request, text % {"count": count}, messages.SUCCESS)


# --- People: registered anew, so that their pages look like the others -----------------------------

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass
