"""Stage 1: what n8n's row says, recorded at once, together with the request for extraction.

Whoever notices an execution (a wake-up, a sweep, a backfill) calls `record`; there is no other way in.

Two recorders of one execution could read n8n in one order and write in the other, and so put an old status over a
new one. Therefore the order is: lock the id on our side, then read n8n, then write. What is read under the lock is
at least as new as what the previous holder wrote.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from executions import events
from executions.ingest import queue
from executions.models import FINAL_STATUSES, Execution, ExecutionStatus, QueuePhase
from executions.n8n import source

log = structlog.get_logger()

# Upper bits of the advisory lock's key, so that ids of executions share it with nothing else.
LOCK_SPACE = 0x5A1 << 48
# More than this at once are announced to browsers as one batch.
ANNOUNCE_SINGLY = 20

N8N_COLUMNS = (
    "execution_id",
    "workflow_id",
    "status",
    "mode",
    "retry_of",
    "n8n_created_at",
    "started_at",
    "completed_at",
    "duration_ms",
)
UPSERT = f"""
INSERT INTO sai_executions ({", ".join(N8N_COLUMNS)}, extraction_notes, created_at, updated_at)
SELECT *, '{{}}'::jsonb, now(), now() FROM unnest(
  %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::timestamptz[],
  %s::timestamptz[], %s::integer[])
ON CONFLICT (execution_id) DO UPDATE SET
  status = EXCLUDED.status,
  started_at = COALESCE(EXCLUDED.started_at, sai_executions.started_at),
  completed_at = EXCLUDED.completed_at,
  duration_ms = EXCLUDED.duration_ms,
  source_deleted_at = NULL,
  updated_at = now()
"""

# Django makes `ExecutionStatus.values` anew each time; a sweep asks a million times.
KNOWN_STATUSES = frozenset(ExecutionStatus.values)
UNKNOWN = ExecutionStatus.UNKNOWN.value

State = tuple[str, datetime | None, datetime | None]  # status, started_at, completed_at


@dataclass
class Recorded:
    """Ids by what `record` found out about them; `new` and `ended` overlap."""

    new: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    reused: list[int] = field(default_factory=list)


def record(execution_ids: Iterable[int], priority: int = queue.LIVE) -> Recorded:
    """Bring our rows of these executions up to n8n's in one transaction; same rows in, same rows out."""
    ids = sorted(set(execution_ids))
    if not ids:
        return Recorded()
    with transaction.atomic():
        _lock(ids)
        theirs = {row.execution_id: row for row in source.executions(ids) if is_watched(row)}
        recorded = _compare(ids, theirs, _known(ids))
        _report_reused(recorded.reused)
        written = [_columns(theirs[id_]) for id_ in sorted({*recorded.new, *recorded.changed})]
        _write(written)
        _mark_gone(recorded.gone)
        queue.request_each(_due(recorded), priority)
        _announce(written, set(recorded.new), priority)
    return recorded


def is_watched(row: source.SourceExecution) -> bool:
    """Runs from n8n's editor are no camera frames."""
    return row.workflow_id in settings.N8N_WORKFLOW_IDS and row.mode != "manual"


def state_of(status: str, started_at: datetime | None, stopped_at: datetime | None) -> State:
    """n8n's words as we store them. `stoppedAt` is also set while an execution waits: only a final status ends it."""
    known = status if status in KNOWN_STATUSES else UNKNOWN
    return known, started_at, stopped_at if known in FINAL_STATUSES else None


def _lock(ids: Sequence[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s | id) FROM unnest(%s::bigint[]) id ORDER BY id",
            (LOCK_SPACE, list(ids)),
        )


@dataclass(frozen=True)
class Known:
    """What our row of an execution says."""

    state: State
    created_at: datetime | None
    is_gone: bool


def _known(ids: Sequence[int]) -> dict[int, Known]:
    rows = Execution.objects.filter(pk__in=ids).values_list(
        "pk", "status", "started_at", "completed_at", "n8n_created_at", "source_deleted_at"
    )
    return {row[0]: Known(row[1:4], row[4], row[5] is not None) for row in rows}


def _compare(ids: Sequence[int], theirs: dict[int, source.SourceExecution], ours: dict[int, Known]) -> Recorded:
    recorded = Recorded()
    for id_ in ids:
        row, known = theirs.get(id_), ours.get(id_)
        if row is None:
            if known is not None and not known.is_gone:
                recorded.gone.append(id_)
            continue
        state = state_of(row.status, row.started_at, row.stopped_at)
        if known is None:
            recorded.new.append(id_)
        elif known.created_at not in (None, row.created_at):
            recorded.reused.append(id_)
            continue
        elif known.is_gone or known.state != state:
            recorded.changed.append(id_)
        else:
            continue
        if state[0] in FINAL_STATUSES and (known is None or known.state[::2] != state[::2]):
            recorded.ended.append(id_)
    return recorded


def _report_reused(ids: Sequence[int]) -> None:
    """n8n was restored from a backup and counts its ids again: what we hold is evidence of other frames."""
    for id_ in ids:
        log.error(
            f"n8n has given the id {id_} to another execution. It is not recorded: see docs/operations.md.",
            action="execution.id_reused",
            execution_id=id_,
        )


def _columns(row: source.SourceExecution) -> tuple[Any, ...]:
    """n8n's row as N8N_COLUMNS."""
    status, started_at, completed_at = state_of(row.status, row.started_at, row.stopped_at)
    return (
        row.execution_id,
        row.workflow_id,
        status,
        row.mode,
        row.retry_of,
        row.created_at,
        started_at,
        completed_at,
        _duration_ms(started_at, completed_at),
    )


def _write(rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(UPSERT, [list(column) for column in zip(*rows, strict=True)])


def _due(recorded: Recorded) -> list[tuple[int, str]]:
    """What to extract now: (id, phase)."""
    created = [(id_, QueuePhase.CREATED.value) for id_ in recorded.new]
    return created + [(id_, QueuePhase.COMPLETED.value) for id_ in recorded.ended]


def _duration_ms(started_at: datetime | None, completed_at: datetime | None) -> int | None:
    if started_at is None or completed_at is None or completed_at < started_at:
        return None
    return min(round((completed_at - started_at).total_seconds() * 1000), 2**31 - 1)


def _mark_gone(ids: Sequence[int]) -> None:
    if ids:
        Execution.objects.filter(pk__in=ids, source_deleted_at=None).update(source_deleted_at=timezone.now())


def _announce(written: Sequence[tuple[Any, ...]], new: set[int], priority: int) -> None:
    """Tell the browsers; last, because publishing holds a lock until the commit."""
    if not written:
        return
    if priority >= queue.BACKFILL or len(written) > ANNOUNCE_SINGLY:
        events.execution_batch(len(written), written[0][0], written[-1][0])
        return
    for row in written:
        execution = Execution(**dict(zip(N8N_COLUMNS, row, strict=True)))
        if execution.pk in new:
            events.execution_new(execution)
        if execution.is_final:
            events.execution_completed(execution)
        elif execution.pk not in new:  # Running now, or waiting: no event of its own, but pages show it.
            events.execution_batch(1, execution.pk, execution.pk)
