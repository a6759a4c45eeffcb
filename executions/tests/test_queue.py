"""The work queue: nothing is done twice by two workers, nothing is forgotten by a dead one."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from executions.ingest import queue
from executions.models import Execution, QueueItem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def executions() -> None:
    for pk in (1, 2, 3):
        Execution.objects.create(pk=pk, workflow_id="w", status="new")


def item(execution_id: int = 1, phase: str = "created") -> QueueItem:
    return QueueItem.objects.get(execution_id=execution_id, phase=phase)


def begun(worker: str = "anna", limit: int = 1) -> list[queue.Claim]:
    claims = queue.claim(worker, limit)
    assert all(queue.begin(claim) for claim in claims)
    return claims


def expire_leases() -> None:
    QueueItem.objects.update(lease_until=timezone.now() - timedelta(seconds=1))


def test_nothing_is_claimed_from_an_empty_queue() -> None:
    assert queue.claim("anna", 10) == []
    assert queue.seconds_to_next() is None
    assert queue.is_drained()


def test_what_is_due_later_is_not_claimed() -> None:
    queue.request([1], "created")
    QueueItem.objects.update(available_at=timezone.now() + timedelta(minutes=1))
    assert queue.claim("anna", 10) == []
    seconds = queue.seconds_to_next()
    assert seconds is not None and 50 < seconds <= 60


def test_a_claimed_row_is_not_claimed_again() -> None:
    queue.request([1], "created")
    assert len(queue.claim("anna", 10)) == 1
    assert queue.claim("bruno", 10) == []


def test_the_urgent_comes_first() -> None:
    queue.request([1], "created", queue.BACKFILL)
    queue.request([2], "created", queue.CATCH_UP)
    queue.request([3], "created", queue.LIVE)
    assert [claim.execution_id for claim in queue.claim("anna", 10)] == [3, 2, 1]


def test_asking_twice_is_one_row() -> None:
    queue.request([1, 1], "created")
    queue.request([1], "created")
    assert QueueItem.objects.count() == 1


def test_asking_more_urgently_makes_it_urgent() -> None:
    queue.request([1], "created", queue.BACKFILL)
    queue.request([1], "created", queue.LIVE)
    assert item().priority == queue.LIVE


def test_a_completed_row_stays_completed() -> None:
    queue.request([1], "created")
    (claim,) = begun()
    assert queue.complete(claim)
    assert item().status == "completed" and item().completed_at is not None
    assert queue.claim("anna", 10) == []


def test_asking_again_opens_a_completed_row() -> None:
    queue.request([1], "created")
    queue.complete(begun()[0])
    queue.request([1], "created")
    assert item().status == "pending" and item().attempts == 0


def test_what_changes_while_it_is_worked_on_stays_due() -> None:
    queue.request([1], "completed")
    (claim,) = begun()
    queue.request([1], "completed")
    assert item(phase="completed").status == "processing"
    queue.complete(claim)
    assert item(phase="completed").status == "pending"


def test_an_attempt_that_fails_is_due_again_later() -> None:
    queue.request([1], "created")
    assert queue.fail(begun()[0], "The disk is wet.") is False
    row = item()
    assert (row.status, row.attempts, row.last_error) == ("pending", 1, "The disk is wet.")
    assert row.available_at > timezone.now()


def test_the_last_attempt_that_fails_is_final() -> None:
    queue.request([1], "created")
    for _ in range(3):
        QueueItem.objects.update(available_at=timezone.now())
        failed = queue.fail(begun()[0], "The disk is wet.")
    assert failed and item().status == "failed"
    assert queue.is_drained()


def test_retry_is_for_failed_rows_only() -> None:
    queue.request([1, 2], "created")
    QueueItem.objects.filter(execution_id=1).update(status="failed", attempts=3, last_error="The disk is wet.")
    assert QueueItem.objects.all().retry() == 1
    assert (item().status, item().attempts) == ("pending", 0)


def test_giving_back_counts_no_attempt() -> None:
    queue.request([1], "created")
    queue.give_back(begun(), 0, "n8n is not ready.")
    assert (item().status, item().attempts, item().last_error) == ("pending", 0, "n8n is not ready.")


def test_a_dead_workers_row_is_due_again_and_counts() -> None:
    queue.request([1], "created")
    begun()
    assert queue.release_expired() == []
    expire_leases()
    assert queue.release_expired() == [queue.Expired(1, 1, False)]
    assert (item().status, item().attempts) == ("pending", 1)


def test_a_row_that_was_never_begun_is_not_to_blame() -> None:
    queue.request([1], "created")
    for _ in range(5):
        queue.claim("anna", 1)
        expire_leases()
        queue.release_expired()
    assert (item().status, item().attempts) == ("pending", 0)


def test_a_row_that_kills_every_worker_fails_with_a_reason() -> None:
    queue.request([1], "created")
    for _ in range(3):
        begun()
        expire_leases()
        queue.release_expired()
    assert item().status == "failed" and "stopped answering" in str(item().last_error)


def test_who_lost_the_lease_changes_nothing() -> None:
    queue.request([1], "created")
    (late,) = begun("anna")
    expire_leases()
    queue.release_expired()
    (current,) = begun("bruno")
    assert not queue.complete(late) and not queue.fail(late, "Too late.") and not queue.begin(late)
    assert item().worker == "bruno" and item().status == "processing"
    assert queue.complete(current)


def claim_all(worker: str, taken: list[int], start: threading.Barrier) -> None:
    start.wait()
    while claims := queue.claim(worker, 3):
        taken.extend(claim.execution_id for claim in claims)
    connection.close()


@pytest.fixture
def many() -> Iterator[None]:
    Execution.objects.bulk_create(Execution(pk=pk, workflow_id="w", status="new") for pk in range(100, 400))
    queue.request(range(100, 400), "created")
    yield


@pytest.mark.usefixtures("many")
def test_eight_workers_share_without_overlap() -> None:
    taken: list[int] = []
    start = threading.Barrier(8)
    threads = [threading.Thread(target=claim_all, args=(f"worker {n}", taken, start)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(100, 400))


def test_the_health_view_counts() -> None:
    queue.request([1, 2], "created")
    queue.complete(begun()[0])
    with connection.cursor() as cursor:
        cursor.execute("SELECT pending_count, processing_count, completed_count, failed_count FROM etl_queue_health")
        assert cursor.fetchone() == (1, 0, 1, 0)
