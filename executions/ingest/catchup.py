"""What was missed: compares what n8n holds with what we recorded, and records the difference.

Sets of ids are compared, never "newer than the newest we have": a transaction that took a lower id may commit later.
Both sides are streamed in the order of ids, so memory stays flat whatever n8n keeps.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from executions.ingest import queue
from executions.ingest.recording import State, record, state_of
from executions.models import Execution
from executions.n8n import source

Item = TypeVar("Item")

CHUNK = 500
# A periodic sweep looks this many ids back. An id that commits after 10,000 later ones is left to the full sweep.
RECENT_IDS = 10_000


@dataclass(frozen=True)
class Window:
    """Which executions to compare: ids from `since_id`, created in n8n within [created_after, created_before)."""

    since_id: int | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class Difference:
    """One execution on which n8n and we disagree: `missing` here, `changed` in n8n, or `gone` from n8n."""

    execution_id: int
    kind: str


@dataclass
class Swept:
    """How many executions a sweep recorded, by what was wrong with them."""

    missing: int = 0
    changed: int = 0
    gone: int = 0

    @property
    def total(self) -> int:
        return self.missing + self.changed + self.gone


def sweep_recent() -> Swept:
    """Record what differs among the newest ids: quick, for every ETL_SWEEP_SECONDS."""
    newest = source.now_ids(settings.N8N_WORKFLOW_IDS)[1]
    return _record(differences(Window(since_id=max((newest or 0) - RECENT_IDS, 0))))


def sweep_full() -> Swept:
    """Record everything that differs; only what was missed longer than ETL_CATCH_UP_HOURS ago is left to a backfill."""
    oldest = timezone.now() - timedelta(hours=settings.ETL_CATCH_UP_HOURS)
    first = next(source.states(settings.N8N_WORKFLOW_IDS, created_after=oldest), None)
    return _record(
        difference
        for difference in differences(Window())
        if difference.kind != "missing" or (first is not None and difference.execution_id >= first[0])
    )


def differences(window: Window) -> Iterator[Difference]:
    """Walk both sides in the order of ids and yield where they disagree.

    The two are not read at one instant: what looks gone or changed may just be newer. That is why `record` reads
    each execution again before it writes.
    """
    theirs, ours = _theirs(window), _ours(window)
    row, mine = next(theirs, None), next(ours, None)
    while row is not None or mine is not None:
        if mine is None or (row is not None and row[0] < mine[0]):
            assert row is not None
            yield Difference(row[0], "missing")
            row = next(theirs, None)
        elif row is None or mine[0] < row[0]:
            yield Difference(mine[0], "gone")
            mine = next(ours, None)
        else:
            if mine[1] != row[1]:
                yield Difference(row[0], "changed")
            row, mine = next(theirs, None), next(ours, None)


def in_chunks(items: Iterable[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    """Lists of at most `size` items."""
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _theirs(window: Window) -> Iterator[tuple[int, State]]:
    rows = source.states(
        settings.N8N_WORKFLOW_IDS,
        since_id=window.since_id,
        created_after=window.created_after,
        created_before=window.created_before,
    )
    for execution_id, status, started_at, stopped_at in rows:
        yield execution_id, state_of(status, started_at, stopped_at)


def _ours(window: Window) -> Iterator[tuple[int, State]]:
    """Our rows within the window, less those that we know to be gone: if n8n has one again, it shows as missing."""
    rows: QuerySet[Any] = Execution.objects.filter(source_deleted_at=None, workflow_id__in=settings.N8N_WORKFLOW_IDS)
    if window.since_id is not None:
        rows = rows.filter(pk__gte=window.since_id)
    if window.created_after is not None or window.created_before is not None:
        # n8n 1.60 has no createdAt; there and in source.states the start stands for it.
        rows = rows.annotate(created=Coalesce("n8n_created_at", "started_at"))
    if window.created_after is not None:
        rows = rows.filter(created__gte=window.created_after)
    if window.created_before is not None:
        rows = rows.filter(created__lt=window.created_before)
    columns = rows.order_by("pk").values_list("pk", "status", "started_at", "completed_at")
    for pk, status, started_at, completed_at in columns.iterator(chunk_size=CHUNK):
        yield pk, (status, started_at, completed_at)


def _record(found: Iterable[Difference]) -> Swept:
    swept = Swept()
    for chunk in in_chunks(found):
        recorded = record([difference.execution_id for difference in chunk], queue.CATCH_UP)
        swept.missing += len(recorded.new)
        swept.changed += len(recorded.changed)
        swept.gone += len(recorded.gone)
    return swept
