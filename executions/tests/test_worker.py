"""The worker: whatever an extraction does, its row ends completed, due again or failed with a reason."""

import time
from collections.abc import Callable

import pytest
from django.db import OperationalError
from django_eventstream.models import Event

from executions.exceptions import ExtractionError, NotReadyYet, OutOfService
from executions.ingest import queue, worker
from executions.models import Execution, QueueItem

pytestmark = pytest.mark.django_db(transaction=True)

Extraction = Callable[[queue.Claim], None]


@pytest.fixture(autouse=True)
def execution() -> None:
    Execution.objects.create(pk=1, workflow_id="w", status="new")


@pytest.fixture
def extraction(monkeypatch: pytest.MonkeyPatch) -> Callable[[Extraction], None]:
    """Puts another function in the place of phase 1."""
    return lambda function: monkeypatch.setitem(worker.EXTRACT, "created", function)


def raising(error: Exception) -> Extraction:
    def extract(claim: queue.Claim) -> None:
        raise error

    return extract


def run(attempts: int = 1) -> QueueItem:
    queue.request([1], "created")
    for _ in range(attempts):
        QueueItem.objects.update(available_at="2026-01-01T00:00Z")
        assert worker.Worker(1).work_one() is True
    return QueueItem.objects.get()


def test_nothing_due_is_nothing_done() -> None:
    assert worker.Worker(1).work_one() is False


def test_data_that_is_not_there_yet_counts_no_attempt(extraction: Callable[[Extraction], None]) -> None:
    extraction(raising(NotReadyYet("n8n has not written it yet.", 0.1)))
    item = run()
    assert (item.status, item.attempts, item.last_error) == ("pending", 0, "n8n has not written it yet.")


def test_an_outage_counts_no_attempt_however_long_it_lasts(extraction: Callable[[Extraction], None]) -> None:
    extraction(raising(OutOfService("The disk is full.")))
    item = run(attempts=5)
    assert (item.status, item.attempts, item.last_error) == ("pending", 0, "The disk is full.")


def test_draining_ends_when_the_image_store_stays_away(extraction: Callable[[Extraction], None]) -> None:
    extraction(raising(OutOfService("The disk is full.")))
    Execution.objects.bulk_create(Execution(pk=pk, workflow_id="w", status="new") for pk in (2, 3, 4))
    queue.request([1, 2, 3, 4], "created")
    with pytest.raises(OutOfService, match="The disk is full"):
        worker.Worker(1).drain()
    assert set(QueueItem.objects.values_list("status", "attempts")) == {("pending", 0)}


def test_a_lost_database_counts_no_attempt_and_is_reported(extraction: Callable[[Extraction], None]) -> None:
    extraction(raising(OperationalError("server closed the connection")))
    queue.request([1], "created")
    with pytest.raises(OperationalError):
        worker.Worker(1).work_one()
    item = QueueItem.objects.get()
    assert (item.status, item.attempts) == ("pending", 0)


def test_three_failures_are_final_and_told_once(extraction: Callable[[Extraction], None]) -> None:
    extraction(raising(ExtractionError("There is no such file.")))
    item = run(attempts=3)
    assert (item.status, item.attempts, item.last_error) == ("failed", 3, "There is no such file.")
    events = list(Event.objects.filter(type="etl:stage2:failed"))
    assert len(events) == 1 and "There is no such file." in events[0].data


def test_a_bug_of_ours_names_itself_and_shows_no_inside(extraction: Callable[[Extraction], None]) -> None:
    extraction(raising(KeyError("SELECT password FROM secrets")))
    item = run(attempts=3)
    assert item.status == "failed"
    assert "KeyError" in str(item.last_error) and "SELECT" not in str(item.last_error)


def test_a_row_that_another_worker_took_over_is_left_alone(extraction: Callable[[Extraction], None]) -> None:
    done: list[int] = []
    extraction(lambda claim: done.append(claim.execution_id))
    queue.request([1], "created")
    slow = worker.Worker(1)
    slow._supply.extend(queue.claim(slow.name, 1))
    QueueItem.objects.update(worker="somebody else")
    slow.work_one()
    assert done == []


def test_a_stop_returns_what_was_claimed_and_not_begun() -> None:
    queue.request([1], "created")
    stopping = worker.Worker(1)
    stopping._supply.extend(queue.claim(stopping.name, 1))
    stopping.stop()
    item = QueueItem.objects.get()
    assert (item.status, item.attempts, item.worker) == ("pending", 0, None)


def test_a_wake_up_is_answered_sooner_than_the_poll(extraction: Callable[[Extraction], None]) -> None:
    def complete(claim: queue.Claim) -> None:
        queue.complete(claim)

    extraction(complete)
    running = worker.Worker(1)
    running.start()
    try:
        time.sleep(0.3)
        queue.request([1], "created")
        running.wake()
        end = time.monotonic() + 5
        while QueueItem.objects.get().status != "completed" and time.monotonic() < end:
            time.sleep(0.01)
        assert QueueItem.objects.get().status == "completed"
    finally:
        running.stop()


@pytest.mark.parametrize("failures", [1, 2, 5, 50, 5000])
def test_backing_off_has_a_limit_and_jitter(failures: int) -> None:
    pauses = {worker.backoff(failures) for _ in range(20)}
    assert all(0 < pause <= 30 for pause in pauses) and len(pauses) > 1
