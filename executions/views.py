"""Pages and images for signed-in people, and two addresses for machines that watch the process."""

from http import HTTPStatus
from mimetypes import guess_type
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.files.storage import storages
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_safe

from executions import cards, events, health
from executions.models import Execution, QueueStatus

PAGE_SIZE = 48
# More cards than this at once are a page, not an update.
MOST_CARDS = 50
LARGEST_ID = 2**63 - 1
RENDITIONS = ("original", "webp", "thumb")
YEAR_S = 31_536_000


class BadParameter(ValueError):
    """The sentence says what to send instead."""


@require_safe
@login_required
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """`/`: the newest executions, kept up to date; `?before=<id>`: those before one, as they are."""
    try:
        before = _id(request.GET["before"]) if "before" in request.GET else None
    except BadParameter as error:
        return _sentence(str(error), HTTPStatus.BAD_REQUEST)
    # Read before the rows: what happens in between is then sent again, never missed.
    last_event = events.current_id()
    rows = Execution.objects.latest_first()
    shown = cards.load((rows if before is None else rows.filter(pk__lt=before))[: PAGE_SIZE + 1])
    context = {
        "cards": shown[:PAGE_SIZE],
        "older_than": shown[PAGE_SIZE - 1].id if len(shown) > PAGE_SIZE else None,
        "before": before,
        "last_event_id": f"{events.CHANNEL}:{last_event}",
        "time_zone": settings.SAI_TIME_ZONE,
    }
    return render(request, "executions/live.html", context)


@require_GET
@login_required
@never_cache
def card_list(request: HttpRequest) -> HttpResponse:
    """`/executions/cards/?ids=1,2,3`: these cards as on the live page, newest first, without unknown ids."""
    try:
        ids = _ids(request.GET.get("ids", ""))
    except BadParameter as error:
        return _sentence(str(error), HTTPStatus.BAD_REQUEST)
    shown = cards.load(Execution.objects.filter(pk__in=ids).latest_first())
    return render(request, "executions/_cards.html", {"cards": shown})


@require_safe
@login_required
@never_cache
def detail(request: HttpRequest, execution_id: int) -> HttpResponse:
    """`/executions/<id>/`: all that is known of one execution."""
    execution = get_object_or_404(Execution.objects.for_cards().prefetch_related("queue_items"), pk=execution_id)
    items = list(execution.queue_items.all())
    failed = [item for item in items if item.status == QueueStatus.FAILED]
    is_stuck = Execution.objects.stuck().filter(pk=execution_id).exists()
    context: dict[str, Any] = {
        "card": cards.card(execution, failed_items=failed, is_stuck=is_stuck),
        "queue_items": items,
        "execution": execution,
        "result": getattr(execution, "inference_result", None),
        "notification": getattr(execution, "notification", None),
        "notes": cards.all_notes(execution),
        "time_zone": settings.SAI_TIME_ZONE,
    }
    return render(request, "executions/detail.html", context)


@require_safe
@login_required
def image(request: HttpRequest, execution_id: int, rendition: str) -> HttpResponseBase:
    """A stored image. The address names the content, so a browser may keep it; proxies may not."""
    row = Execution.objects.filter(pk=execution_id).values_list(f"image_{rendition}_path", "image_sha256").first()
    path, sha256 = row or (None, None)
    if not path:
        return _sentence(_("This execution has no such image."), HTTPStatus.NOT_FOUND)
    etag = f'"{sha256}-{rendition}"'
    response = get_conditional_response(request, etag=etag) or _file(path)
    if response.status_code in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED):
        response["ETag"] = etag
        response["Cache-Control"] = (
            f"private, max-age={YEAR_S}, immutable" if "v" in request.GET else "private, no-cache"
        )
    return response


def _file(path: str) -> HttpResponseBase:
    try:
        file = storages["images"].open(path)
    except FileNotFoundError:
        return _sentence(_("The image's file is missing from the store."), HTTPStatus.NOT_FOUND)
    content_type = guess_type(path)[0] or "application/octet-stream"
    response = FileResponse(file, content_type=content_type, filename=path.rsplit("/", 1)[-1])
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_safe
@login_required
@never_cache
def system(request: HttpRequest) -> HttpResponse:
    """`/system/`: whether capture and extraction keep up."""
    state = health.read()
    labels = {
        "structured": _("the structured contract"),
        "by_name": _("names of workflow nodes"),
        "by_type": _("types of workflow nodes"),
        None: _("nobody: there was nothing to read"),
    }
    context = {
        "health": state,
        "compliance": cards.percent(state.compliance),
        "readers": [(labels.get(r.name, r.name), r.count, cards.percent(r.share)) for r in state.readers],
        "time_zone": settings.SAI_TIME_ZONE,
    }
    return render(request, "executions/system.html", context)


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return _sentence("ok", HTTPStatus.OK)


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Our database answers and has the tables that this version needs."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return _sentence("The database cannot be reached.", HTTPStatus.SERVICE_UNAVAILABLE)
    if missing:
        return _sentence("The database lacks migrations: run manage.py migrate.", HTTPStatus.SERVICE_UNAVAILABLE)
    return _sentence("ok", HTTPStatus.OK)


def _sentence(text: str, status: HTTPStatus) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")


def _id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= LARGEST_ID):
        raise BadParameter(_("An execution's id is a whole number, for example 4711."))
    return int(text)


def _ids(text: str) -> list[int]:
    ids = [_id(part) for part in text.split(",")]
    if len(ids) > MOST_CARDS:
        raise BadParameter(_("Ask for at most %(most)s cards at once.") % {"most": MOST_CARDS})
    return ids
