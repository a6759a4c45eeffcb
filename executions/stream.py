"""`/events/`: server-sent events for signed-in people.

A stream sends event n + 1 after n, and reads the table whenever its queue offers anything else. So each browser gets
each event once and in order, whatever happened to notifications, queues and connections. The stock view of
django-eventstream keeps a database connection for each client; here all streams read on one thread with one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import ParamSpec, TypeVar
from weakref import WeakSet

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from executions import events, relay
from executions.events import CHANNEL, Event

log = structlog.get_logger()
P = ParamSpec("P")
T = TypeVar("T")

# A browser hears from us at least this often, and so notices a dead line; proxies keep the line open.
KEEP_ALIVE_S = 15.0
# A stream ends after this long. The browser opens the next one at once, as whoever is signed in by then.
STREAM_S = 1800.0
RETRY_AFTER_S = 15

OPENING = "retry: 1000\nevent: stream-open\ndata:\n\n"
KEEP_ALIVE = "event: keep-alive\ndata:\n\n"

_reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="events-reader")


class Place:
    """One of the SSE_MAX_CLIENTS."""


# Weak, because a client may vanish at any step between the view and the first piece of its stream.
_taken: "WeakSet[Place]" = WeakSet()


@require_GET
async def stream(request: HttpRequest) -> HttpResponseBase:
    """What happens from now on, or after the event that Last-Event-ID (else ?lastEventId=) names.

    An id that cannot be replayed is answered with the event `stream-reset`: read the page anew. 401 when signed out,
    400 for an id that is none, 503 with Retry-After when SSE_MAX_CLIENTS are connected.
    """
    try:
        last = requested_id(request)
    except ValueError as error:
        return _refuse(HTTPStatus.BAD_REQUEST, str(error))
    if len(_taken) >= settings.SSE_MAX_CLIENTS:
        log.warning("Refused an event stream: SSE_MAX_CLIENTS are connected.", action="events.full")
        return _refuse(HTTPStatus.SERVICE_UNAVAILABLE, _("Too many pages follow events. Try again soon."))
    try:
        if not await _read(_is_signed_in, request):
            return _refuse(HTTPStatus.UNAUTHORIZED, _("Sign in to follow events."))
        return _respond(await _read(events.current_id) if last is None else last)
    except (DatabaseError, InterfaceError):
        log.exception("The database did not answer a new event stream.", action="events.database_failed")
        return _refuse(HTTPStatus.SERVICE_UNAVAILABLE, _("The database does not answer. Try again soon."))


def requested_id(request: HttpRequest) -> int | None:
    """The event after which to go on: `executions:17` as a header, else as a parameter; ValueError for others."""
    text = request.headers.get("Last-Event-ID") or request.GET.get("lastEventId")
    if not text:
        return None
    number = text.removeprefix(f"{CHANNEL}:")
    if number == text or not (number.isascii() and number.isdecimal()) or len(number) > 18:
        raise ValueError(_("Last-Event-ID must look like executions:17."))
    return int(number)


def _is_signed_in(request: HttpRequest) -> bool:
    return request.user.is_authenticated and request.user.is_active


def _respond(last: int) -> StreamingHttpResponse:
    # Proxies must pass on each event as it comes.
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    place = Place()
    _taken.add(place)
    return StreamingHttpResponse(_stream(place, last), content_type="text/event-stream", headers=headers)


def _refuse(status: HTTPStatus, sentence: str) -> HttpResponse:
    response = HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_S)
    return response


async def _stream(place: Place, last: int) -> AsyncIterator[str]:
    # Queued from here on; what came before is read, and what comes while reading is recognised as known.
    listener = relay.join()
    ends_at = time.monotonic() + STREAM_S
    behind = True
    try:
        yield OPENING
        while time.monotonic() < ends_at:
            while behind:
                missed = await _read(events.missed_after, last)
                last, text = _replay(missed, last)
                if text:
                    yield text
                behind = missed.more
            if not await _within(KEEP_ALIVE_S, listener.aevent):
                yield KEEP_ALIVE
                continue
            taken = relay.take(listener)
            if taken.ended:
                return
            last, text, gap = _continue(taken.events, last)
            behind = taken.behind or gap
            if text:
                yield text
    except (DatabaseError, InterfaceError):
        # The browser comes back with the id of the last event it got.
        log.warning("Ended an event stream: the database does not answer.", action="events.database_failed")
    finally:
        relay.leave(listener)
        _taken.discard(place)


def _replay(missed: events.Missed, last: int) -> tuple[int, str]:
    """The id of the last event after sending this text."""
    if missed.reset_to is not None:
        return missed.reset_to, encode(Event(missed.reset_to, "stream-reset", "{}"))
    return (missed.events[-1].id if missed.events else last), "".join(map(encode, missed.events))


def _continue(queued: Iterable[Event], last: int) -> tuple[int, str, bool]:
    """The same for what was queued, and whether something is missing between."""
    text = ""
    for event in queued:
        if event.id > last + 1:
            return last, text, True
        if event.id == last + 1:
            last, text = event.id, text + encode(event)
    return last, text, False


def encode(event: Event) -> str:
    return f"event: {event.kind}\nid: {CHANNEL}:{event.id}\ndata: {event.data}\n\n"


async def _within(seconds: float, flag: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await flag.wait()
    except TimeoutError:
        return False


async def _read(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it on the reading thread, which keeps one connection for all streams."""

    def call() -> T:
        # Drops a connection that broke since the last call; Django does this only around its own requests.
        close_old_connections()
        return function(*args, **kwargs)

    return await asyncio.get_running_loop().run_in_executor(_reader, call)
