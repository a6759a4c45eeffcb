"""How capture and extraction are doing, for the system page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count
from django.utils import timezone

from executions.models import Execution

COMPLIANCE_DAYS = 7
COMPLIANT = "structured"


@dataclass(frozen=True)
class Reader:
    """How many executions a payload reader matched; `name` is None where nothing could be read."""

    name: str | None
    count: int
    share: float


@dataclass(frozen=True)
class Health:
    """Counts are of queue items; `oldest_pending` is when the longest waiting one was queued."""

    pending: int
    processing: int
    completed: int
    failed: int
    avg_processing_time_ms: float | None
    oldest_pending: datetime | None
    stuck: int
    last_recorded_at: datetime | None
    last_execution_id: int | None
    readers: Sequence[Reader]

    @property
    def compliance(self) -> float | None:
        """The share of executions that kept to the structured contract, 0 to 1; None when there were none."""
        if not self.readers:
            return None
        return sum(reader.share for reader in self.readers if reader.name == COMPLIANT)


def read() -> Health:
    last = Execution.objects.latest_first().values("pk", "created_at").first()
    return Health(
        *_queue(),
        stuck=Execution.objects.stuck().count(),
        last_recorded_at=last and last["created_at"],
        last_execution_id=last and last["pk"],
        readers=_readers(),
    )


def _queue() -> tuple[int, int, int, int, float | None, datetime | None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pending_count, processing_count, completed_count, failed_count, avg_processing_time_ms::float8,"
            " oldest_pending FROM etl_queue_health"
        )
        row: tuple[int, int, int, int, float | None, datetime | None] = cursor.fetchone()
    return row


def _readers() -> list[Reader]:
    """Which payload readers matched the executions that ended within COMPLIANCE_DAYS, the most frequent first."""
    since = timezone.now() - timedelta(days=COMPLIANCE_DAYS)
    counted = (
        Execution.objects.filter(completed_at__gte=since, phase2_at__isnull=False)
        .order_by()
        .values_list("contract")
        .annotate(Count("pk"))
    )
    rows = sorted(counted, key=lambda row: (-row[1], row[0] is None, row[0]))
    total = sum(count for _name, count in rows)
    return [Reader(name, count, count / total) for name, count in rows]
