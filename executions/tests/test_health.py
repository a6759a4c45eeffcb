"""How the system does: counts of the queue, stuck executions, and which readers matched."""

from datetime import timedelta

import pytest
from django.utils import timezone

from executions import health
from executions.models import QueueItem
from executions.tests import web

pytestmark = pytest.mark.django_db


def ended(execution_id: int, contract: str | None, days_ago: float = 1) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    web.execution(execution_id, status="success", completed_at=at, phase2_at=at, contract=contract)


def test_an_empty_system_claims_nothing() -> None:
    state = health.read()
    assert (state.pending, state.failed, state.stuck) == (0, 0, 0)
    assert (state.last_execution_id, state.oldest_pending, state.avg_processing_time_ms) == (None, None, None)
    assert (list(state.readers), state.compliance) == ([], None)


def test_executions_of_other_weeks_and_unread_ones_do_not_count() -> None:
    ended(1, "structured", days_ago=health.COMPLIANCE_DAYS + 1)
    web.execution(2, status="success", completed_at=timezone.now())
    assert health.read().compliance is None


def test_readers_are_counted_the_most_frequent_first() -> None:
    for number in range(6):
        ended(number, "structured")
    ended(7, "by_name")
    ended(8, None)
    state = health.read()
    assert state.readers == [
        health.Reader("structured", 6, 0.75),
        health.Reader("by_name", 1, 0.125),
        health.Reader(None, 1, 0.125),
    ]
    assert state.compliance == 0.75


def test_nobody_complying_is_zero_and_not_unknown() -> None:
    ended(1, "by_type")
    assert health.read().compliance == 0


def test_the_queue_and_what_is_stuck_are_counted() -> None:
    row = web.execution(7, n8n_created_at=timezone.now() - timedelta(hours=5))
    waiting = QueueItem.objects.create(execution=row, phase="created")
    QueueItem.objects.create(execution=row, phase="completed", status="completed", processing_time_ms=88)
    state = health.read()
    assert (state.pending, state.processing, state.completed, state.failed) == (1, 0, 1, 0)
    assert (state.avg_processing_time_ms, state.oldest_pending) == (88.0, waiting.queued_at)
    assert (state.stuck, state.last_execution_id) == (1, 7)
