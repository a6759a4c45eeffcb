"""Tell browsers that something changed. An event is a hint with ids; the page then asks for its part anew.

An event is stored and notified in the transaction that makes it true, so nobody hears of what was rolled back
and nobody misses what was committed. Publishing locks the channel's counter until the commit: ids follow the
order of commits without gaps, which is what makes replay exact. Therefore verbs publish last.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from django.db import connection
from django.db.transaction import TransactionManagementError
from django.utils import timezone
from django_eventstream.models import Event as StoredEvent
from django_eventstream.models import EventCounter

from executions.models import Execution

CHANNEL = "executions"
# The NOTIFY channel in our own database. Its payload is `executions:17`: channel and event id, never data.
NOTIFY_CHANNEL = "sai_events"
KINDS = frozenset(
    {
        "execution:new",
        "execution:completed",
        "execution:batch",
        "etl:stage2:complete",
        "etl:stage2:failed",
        "alert:critical",
        "incident:new",
        "incident:updated",
        "review:assigned",
        "review:updated",
        "camera:health",
        "system:stats",
        "system:health",
    }
)
# A browser that was away for longer reads the page anew instead of replaying.
KEPT_HOURS = 24
# Old events are removed with each so many-th new one: a few milliseconds, and no schedule to forget.
TRIM_EVERY = 1000
# How many events are read at once for a browser that was away.
PAGE = 100

# The tables are django-eventstream's; its own way of writing them takes five statements and loses the race
# for a channel's first event. The clock is read under the lock, so that age follows the order of ids.
STORE = """
WITH counter AS (
    INSERT INTO django_eventstream_eventcounter AS counter (name, value, updated)
    VALUES (%(channel)s, 1, now())
    ON CONFLICT (name) DO UPDATE SET value = counter.value + 1, updated = now() RETURNING value
), event AS (
    INSERT INTO django_eventstream_event (channel, type, data, eid, created)
    SELECT %(channel)s, %(kind)s, %(data)s, value, clock_timestamp() FROM counter RETURNING eid
)
SELECT eid, pg_notify(%(notify)s, %(channel)s || ':' || eid) FROM event
"""
# By id, not by age: what remains must be without gaps, whatever the clock did.
TRIM = """
DELETE FROM django_eventstream_event WHERE channel = %(channel)s AND eid <= (
    SELECT max(eid) FROM django_eventstream_event
    WHERE channel = %(channel)s AND created < now() - make_interval(hours => %(hours)s))
"""


class ExecutionNew(TypedDict):
    execution_id: int
    status: str
    created_at: str | None
    timestamp: str


class ExecutionCompleted(TypedDict):
    execution_id: int
    status: str
    duration_ms: int | None
    timestamp: str


class ExecutionBatch(TypedDict):
    count: int
    first_id: int
    last_id: int
    timestamp: str


class ExtractedData(TypedDict):
    """What is known of the execution now; null is unknown, never false or 0."""

    has_smoke: bool | None
    alert_level: str | None
    detection_count: int | None
    has_image: bool | None
    telegram_sent: bool | None


class Stage2Complete(TypedDict):
    execution_id: int
    stage: Literal["stage2"]
    processing_time_ms: int
    extracted_data: ExtractedData
    timestamp: str


class Stage2Failed(TypedDict):
    execution_id: int
    stage: Literal["stage2"]
    error: str
    retry_count: int
    timestamp: str


# What stage2_complete reads of an execution; who writes with SQL returns these.
STAGE2_COLUMNS = ("has_smoke", "alert_level", "detection_count", "telegram_sent", "image_original_path", "phase1_at")


def publish(kind: str, data: Mapping[str, Any]) -> None:
    """Store the event and notify every web process, in the transaction at hand; call it last there.

    Raises ValueError for a kind that the contract does not name, TransactionManagementError outside of a
    transaction.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of event. Add it to the contract and to KINDS first.")
    if not connection.in_atomic_block:
        raise TransactionManagementError("Publish inside the transaction that makes the event true.")
    with connection.cursor() as cursor:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        values = {"channel": CHANNEL, "kind": kind, "data": text, "notify": NOTIFY_CHANNEL}
        cursor.execute(STORE, values)
        if cursor.fetchone()[0] % TRIM_EVERY == 0:
            trim()


def trim() -> None:
    """Remove the events that are older than a reconnecting browser may ask for."""
    with connection.cursor() as cursor:
        cursor.execute(TRIM, {"channel": CHANNEL, "hours": KEPT_HOURS})


def execution_new(execution: Execution) -> None:
    """An execution was recorded for the first time."""
    event: ExecutionNew = {
        "execution_id": execution.pk,
        "status": str(execution.status),
        "created_at": _iso(execution.n8n_created_at),
        "timestamp": _now(),
    }
    publish("execution:new", event)


def execution_completed(execution: Execution) -> None:
    """The status of a known execution changed, as a rule to a final one."""
    event: ExecutionCompleted = {
        "execution_id": execution.pk,
        "status": str(execution.status),
        "duration_ms": execution.duration_ms,
        "timestamp": _now(),
    }
    publish("execution:completed", event)


def execution_batch(count: int, first_id: int, last_id: int) -> None:
    """So many executions changed at once that pages read their list again; ids are inclusive."""
    event: ExecutionBatch = {
        "count": count,
        "first_id": first_id,
        "last_id": last_id,
        "timestamp": _now(),
    }
    publish("execution:batch", event)


def stage2_complete(execution: Execution, processing_time_ms: int) -> None:
    """A phase of extraction was recorded; `execution` carries the values as just written."""
    event: Stage2Complete = {
        "execution_id": execution.pk,
        "stage": "stage2",
        "processing_time_ms": processing_time_ms,
        "extracted_data": {
            "has_smoke": execution.has_smoke,
            "alert_level": execution.alert_level,
            "detection_count": execution.detection_count,
            "has_image": _has_image(execution),
            "telegram_sent": execution.telegram_sent,
        },
        "timestamp": _now(),
    }
    publish("etl:stage2:complete", event)


def stage2_failed(execution_id: int, error: str, retry_count: int) -> None:
    """An attempt of extraction failed. `error` is a sentence for people, never SQL."""
    event: Stage2Failed = {
        "execution_id": execution_id,
        "stage": "stage2",
        "error": error,
        "retry_count": retry_count,
        "timestamp": _now(),
    }
    publish("etl:stage2:failed", event)


@dataclass(frozen=True)
class Event:
    """An event as browsers get it; `data` is JSON text on one line."""

    id: int
    kind: str
    data: str


@dataclass(frozen=True)
class Missed:
    """What was published after an event; `reset_to` is set when that cannot be said, and is the id to go on with."""

    events: Sequence[Event] = ()
    reset_to: int | None = None

    @property
    def more(self) -> bool:
        return len(self.events) == PAGE


def current_id() -> int:
    """The id of the newest event. A page carries it, so that its stream starts where its content ends."""
    return EventCounter.objects.filter(name=CHANNEL).values_list("value", flat=True).first() or 0


def missed_after(last: int) -> Missed:
    """At most PAGE events after the one with this id, without a gap; a reset when some of them are gone."""
    current = current_id()
    rows = StoredEvent.objects.filter(channel=CHANNEL, eid__gt=last).order_by("eid")[:PAGE]
    events = tuple(Event(row.eid, row.type, row.data) for row in rows)
    if (events and events[0].id != last + 1) or (not events and current != last):
        return Missed(reset_to=current)
    return Missed(events)


def _has_image(execution: Execution) -> bool | None:
    """Unknown until phase 1 looked for it."""
    if execution.image_original_path:
        return True
    return None if execution.phase1_at is None else False


def _now() -> str:
    return timezone.now().astimezone(UTC).isoformat(timespec="milliseconds")


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None
