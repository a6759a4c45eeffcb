"""The work queue in PostgreSQL: ask for extraction, claim it, say what became of it.

Every statement is conditional, so that none of these interleavings loses or repeats work:
  * two workers claim at once: SKIP LOCKED gives each row to one of them;
  * a worker dies: its lease runs out and `release_expired` makes the row due again. Only rows that it had begun
    count an attempt: what a poison execution took down with it is not to blame;
  * a worker is slow, loses its lease, another takes over, then the first one goes on: `begin`,
    `complete` and `fail` act only for the worker that holds the row;
  * an execution changes while a worker computes: `request` counts up, and `complete` leaves the row due again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

from django.conf import settings
from django.db import connection

from executions.models import QueueItem, QueuePhase, QueueStatus

LIVE, CATCH_UP, BACKFILL = 5, 7, 9

REQUEST = """
INSERT INTO etl_processing_queue (execution_id, phase, priority, max_attempts)
SELECT id, phase, %(priority)s, %(max_attempts)s FROM unnest(%(ids)s::bigint[], %(phases)s::text[]) AS due (id, phase)
ON CONFLICT (execution_id, phase) DO UPDATE SET
  requests = etl_processing_queue.requests + 1,
  status = CASE WHEN etl_processing_queue.status = 'processing' THEN 'processing' ELSE 'pending' END,
  attempts = CASE WHEN etl_processing_queue.status = 'processing' THEN etl_processing_queue.attempts ELSE 0 END,
  priority = LEAST(etl_processing_queue.priority, EXCLUDED.priority),
  available_at = LEAST(etl_processing_queue.available_at, now()),
  queued_at = now(), completed_at = NULL
"""

# READ COMMITTED re-checks `status` after waiting, but SKIP LOCKED never waits: a row is claimed once.
CLAIM = """
UPDATE etl_processing_queue q SET
  status = 'processing', worker = %(worker)s, started_at = NULL, lease_until = clock_timestamp() + %(lease)s
FROM (
  SELECT id FROM etl_processing_queue
  WHERE status = 'pending' AND available_at <= clock_timestamp()
  ORDER BY priority, available_at, id
  LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
) due
WHERE q.id = due.id
RETURNING q.id, q.execution_id, q.phase, q.attempts + 1, q.max_attempts, q.requests, q.priority,
  EXTRACT(EPOCH FROM clock_timestamp() - q.queued_at)::float8 AS age_s, q.worker
"""

BEGIN = """
UPDATE etl_processing_queue SET
  attempts = attempts + 1, started_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease)s
WHERE id = %(id)s AND status = 'processing' AND worker = %(worker)s
"""

COMPLETE = """
UPDATE etl_processing_queue SET
  status = CASE WHEN requests = %(requests)s THEN 'completed' ELSE 'pending' END,
  attempts = CASE WHEN requests = %(requests)s THEN attempts ELSE 0 END,
  completed_at = CASE WHEN requests = %(requests)s THEN clock_timestamp() END,
  processing_time_ms = EXTRACT(EPOCH FROM clock_timestamp() - started_at) * 1000,
  lease_until = NULL, last_error = NULL
WHERE id = %(id)s AND status = 'processing' AND worker = %(worker)s
"""

FAIL = """
UPDATE etl_processing_queue SET
  status = CASE WHEN attempts >= max_attempts AND requests = %(requests)s THEN 'failed' ELSE 'pending' END,
  completed_at = CASE WHEN attempts >= max_attempts AND requests = %(requests)s THEN clock_timestamp() END,
  attempts = CASE WHEN requests = %(requests)s THEN attempts ELSE 0 END,
  available_at = clock_timestamp() + %(delay)s, last_error = %(error)s, lease_until = NULL,
  processing_time_ms = EXTRACT(EPOCH FROM clock_timestamp() - started_at) * 1000
WHERE id = %(id)s AND status = 'processing' AND worker = %(worker)s
RETURNING status = 'failed'
"""

GIVE_BACK = """
UPDATE etl_processing_queue SET
  status = 'pending', attempts = attempts - CASE WHEN started_at IS NULL THEN 0 ELSE 1 END,
  lease_until = NULL, worker = NULL,
  available_at = clock_timestamp() + %(delay)s, last_error = COALESCE(%(error)s, last_error)
WHERE id = ANY(%(ids)s) AND status = 'processing' AND worker = %(worker)s
"""

RELEASE_EXPIRED = """
UPDATE etl_processing_queue SET
  status = CASE WHEN attempts >= max_attempts AND started_at IS NOT NULL THEN 'failed' ELSE 'pending' END,
  completed_at = CASE WHEN attempts >= max_attempts AND started_at IS NOT NULL THEN clock_timestamp() END,
  lease_until = NULL,
  last_error = CASE WHEN started_at IS NULL THEN last_error ELSE
    'The worker stopped answering while it had this in hand (attempt ' || attempts || ').' END
WHERE id IN (
  SELECT id FROM etl_processing_queue
  WHERE status = 'processing' AND lease_until < clock_timestamp()
  FOR UPDATE SKIP LOCKED
)
RETURNING execution_id, attempts, status = 'failed'
"""

NEXT_DUE = """
SELECT EXTRACT(EPOCH FROM min(available_at) - clock_timestamp())::float8
FROM etl_processing_queue WHERE status = 'pending'
"""


@dataclass(frozen=True)
class Claim:
    """One queue row in the hands of one worker."""

    id: int
    execution_id: int
    phase: str
    attempts: int
    max_attempts: int
    requests: int
    priority: int
    age_s: float
    worker: str

    @property
    def is_silent(self) -> bool:
        """Imported history is not announced to anybody."""
        return self.priority >= BACKFILL


@dataclass(frozen=True)
class Expired:
    """A row whose worker vanished, and whether that was its last attempt."""

    execution_id: int
    attempts: int
    has_failed: bool


def request(execution_ids: Iterable[int], phase: str, priority: int = LIVE) -> None:
    """Ask for one phase of these executions; see `request_each`."""
    request_each([(id_, phase) for id_ in execution_ids], priority)


def request_each(pieces: Iterable[tuple[int, str]], priority: int = LIVE) -> None:
    """Ask for extraction of these (execution, phase) pairs; call it in the transaction that makes it necessary.

    Asking again re-opens a row that has ended and keeps a row due that is being worked on.
    """
    ordered = sorted(set(pieces))  # One order for all, so that two requests cannot deadlock.
    if not ordered:
        return
    params: dict[str, Any] = {
        "ids": [id_ for id_, _ in ordered],
        "phases": [str(phase) for _, phase in ordered],
        "priority": priority,
        "max_attempts": settings.ETL_RETRY_ATTEMPTS,
    }
    with connection.cursor() as cursor:
        cursor.execute(REQUEST, params)


def claim(worker: str, limit: int) -> list[Claim]:
    """Take up to `limit` due rows, most urgent first, for ETL_TIMEOUT_MS."""
    with connection.cursor() as cursor:
        _execute(cursor, CLAIM, {"worker": worker, "limit": limit, "lease": _lease()})
        rows = cursor.fetchall()
    claims = [Claim(*row) for row in rows]
    return sorted(claims, key=lambda claim: (claim.priority, -claim.age_s))  # RETURNING has no order.


def begin(claim: Claim) -> bool:
    """Count the attempt and renew the lease before work starts. False when another worker has taken over."""
    return _update(BEGIN, {"id": claim.id, "worker": claim.worker, "lease": _lease()})


def complete(claim: Claim) -> bool:
    """The work is done; call it in the transaction that writes the result. False when the lease was lost."""
    return _update(COMPLETE, {"id": claim.id, "worker": claim.worker, "requests": claim.requests})


def fail(claim: Claim, error: str) -> bool:
    """An attempt failed, for the reason `error`; True when it was the last one."""
    delay = timedelta(seconds=min(2.0 ** (claim.attempts - 1), 60))
    with connection.cursor() as cursor:
        held = {"id": claim.id, "worker": claim.worker, "requests": claim.requests}
        _execute(cursor, FAIL, held | {"error": error, "delay": delay})
        row = cursor.fetchone()
    return bool(row and row[0])


def give_back(claims: Sequence[Claim], delay_s: float = 0, error: str | None = None) -> None:
    """Return rows that could not be worked on through no fault of theirs; the attempt does not count."""
    for worker in {claim.worker for claim in claims}:
        ids = [claim.id for claim in claims if claim.worker == worker]
        _update(GIVE_BACK, {"ids": ids, "worker": worker, "delay": timedelta(seconds=delay_s), "error": error})


def release_expired() -> list[Expired]:
    """Make rows due again whose worker died with them in hand."""
    with connection.cursor() as cursor:
        cursor.execute(RELEASE_EXPIRED)
        return [Expired(*row) for row in cursor.fetchall()]


def seconds_to_next() -> float | None:
    """How long until the next pending row is due (0 or less: now); None when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_DUE)
        row = cursor.fetchone()
    return None if row is None else row[0]


def is_drained() -> bool:
    """Whether nothing is left to do."""
    return not QueueItem.objects.filter(status__in=(QueueStatus.PENDING, QueueStatus.PROCESSING)).exists()


def request_both(execution_ids: Iterable[int], priority: int) -> None:
    """Ask for both phases."""
    request_each(product(execution_ids, QueuePhase.values), priority)


def _lease() -> timedelta:
    return timedelta(milliseconds=settings.ETL_TIMEOUT_MS)


def _update(sql: str, params: dict[str, Any]) -> bool:
    with connection.cursor() as cursor:
        _execute(cursor, sql, params)
        return bool(cursor.rowcount == 1)


def _execute(cursor: Any, sql: str, params: dict[str, Any]) -> None:
    """psycopg adapts timedelta and lists; the stubs of Django's cursor do not know."""
    cursor.execute(sql, params)
