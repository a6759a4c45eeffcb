"""Stage 1: n8n's row becomes ours, once, in any order, and never goes back in time."""

import json
import threading

import pytest
from django.db import connections
from django_eventstream.models import Event
from structlog.testing import capture_logs

from conftest import N8nDatabase
from executions.ingest import queue
from executions.ingest.recording import record
from executions.models import Execution, QueueItem

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "n8n"])

VERSIONS = ["1.60.1", "1.123.5", "2.41.1"]
WORKFLOW = "yDbfhooKemfhMIkC"


def create(n8n: N8nDatabase, status: str = "new", mode: str = "webhook", workflow_id: str = WORKFLOW) -> int:
    sql = """INSERT INTO execution_entity (finished, mode, status, "workflowId", "startedAt")
             VALUES (false, %s, %s, %s, date_trunc('second', now())) RETURNING id"""
    row = n8n.execute(sql, (mode, status, workflow_id)).fetchone()
    assert row is not None
    return int(row[0])


def end(n8n: N8nDatabase, execution_id: int, status: str = "success") -> None:
    sql = """UPDATE execution_entity SET status = %s, "stoppedAt" = "startedAt" + interval '1.5 s' WHERE id = %s"""
    n8n.execute(sql, (status, execution_id))


def due() -> list[tuple[int, str]]:
    return sorted(QueueItem.objects.filter(status="pending").values_list("execution_id", "phase"))


def test_an_id_that_n8n_does_not_know_records_nothing(n8n: N8nDatabase) -> None:
    recorded = record([4711])
    assert recorded.new == recorded.gone == [] and Execution.objects.count() == 0


def test_manual_runs_and_other_workflows_are_not_recorded(n8n: N8nDatabase) -> None:
    n8n.execute(
        """INSERT INTO workflow_entity (name, active, nodes, connections, id, "versionId")
           VALUES ('x', true, '[]', '{}', 'other', 'v')"""
    )
    record([create(n8n, mode="manual"), create(n8n, workflow_id="other")])
    assert Execution.objects.count() == 0


def test_recording_again_changes_nothing(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    record([id_])
    before = Execution.objects.values().get()
    recorded = record([id_, id_])
    assert recorded.new == recorded.changed == []
    assert Execution.objects.values().get() == before


@pytest.mark.parametrize("n8n", VERSIONS, indirect=True)
def test_a_new_execution_is_recorded_and_its_extraction_is_due(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    assert record([id_]).new == [id_]
    execution = Execution.objects.get()
    assert (execution.pk, execution.status, execution.workflow_id, execution.mode) == (id_, "new", WORKFLOW, "webhook")
    assert (execution.n8n_created_at is None) == (n8n.version == "1.60.1")
    assert execution.completed_at is None and execution.camera_metadata is None
    assert due() == [(id_, "created")]


def test_an_unset_start_stays_unset(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    n8n.execute('UPDATE execution_entity SET "startedAt" = NULL')
    record([id_])
    assert Execution.objects.get().started_at is None


def test_the_end_is_recorded_with_its_duration(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    record([id_])
    end(n8n, id_)
    assert record([id_]).ended == [id_]
    execution = Execution.objects.get()
    assert (execution.status, execution.duration_ms) == ("success", 1500)
    assert due() == [(id_, "completed"), (id_, "created")]


def test_an_execution_that_is_already_over_is_due_for_both_phases(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    end(n8n, id_, "crashed")
    record([id_])
    assert due() == [(id_, "completed"), (id_, "created")]


def test_waiting_is_no_end_although_n8n_sets_a_stop_time(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    end(n8n, id_, "waiting")
    record([id_])
    execution = Execution.objects.get()
    assert (execution.status, execution.completed_at, execution.duration_ms) == ("waiting", None, None)
    assert due() == [(id_, "created")]


def test_a_final_status_that_changes_again_is_extracted_again(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    end(n8n, id_, "canceled")
    record([id_])
    QueueItem.objects.update(status="completed")
    end(n8n, id_, "error")
    record([id_])
    assert due() == [(id_, "completed")]


def test_a_status_of_a_later_n8n_is_unknown_not_an_error(n8n: N8nDatabase) -> None:
    record([create(n8n, status="paused")])
    assert Execution.objects.get().status == "unknown"


def test_a_row_that_n8n_deleted_is_marked_once_and_kept(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    record([id_])
    n8n.execute("DELETE FROM execution_entity")
    assert record([id_]).gone == [id_]
    marked = Execution.objects.get()
    assert marked.source_deleted_at is not None and marked.status == "new"
    assert record([id_]).gone == []


def test_a_retry_names_the_execution_it_retries(n8n: N8nDatabase) -> None:
    first, second = create(n8n), create(n8n, mode="retry")
    n8n.execute('UPDATE execution_entity SET "retryOf" = %s WHERE id = %s', (str(first), second))
    record([first, second])
    assert Execution.objects.get(pk=second).retry_of == first


def test_many_recorders_of_one_execution_make_one_row(n8n: N8nDatabase) -> None:
    ids = [create(n8n) for _ in range(20)]
    start = threading.Barrier(6)

    def run() -> None:
        start.wait()
        for _ in range(3):
            record(ids, queue.LIVE)
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Execution.objects.count() == 20 and QueueItem.objects.count() == 20
    assert set(QueueItem.objects.values_list("requests", flat=True)) == {1}


def test_an_older_reading_never_overwrites_a_newer_one(n8n: N8nDatabase) -> None:
    """While one recorder holds the lock, another reads n8n only after it: the status cannot go back."""
    id_ = create(n8n, status="running")
    statuses = []

    def run() -> None:
        for _ in range(30):
            record([id_])
            statuses.append(Execution.objects.values_list("status", flat=True).get(pk=id_))
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    end(n8n, id_)
    for thread in threads:
        thread.join()
    assert Execution.objects.get().status == "success"
    assert due() == [(id_, "completed"), (id_, "created")]
    assert QueueItem.objects.get(phase="completed").requests == 1


def test_an_id_that_n8n_gives_again_takes_nothing_of_the_first_one(n8n: N8nDatabase) -> None:
    """After n8n was restored from an older backup its ids start again below the ones that we hold."""
    id_ = create(n8n)
    record([id_])
    n8n.execute("""UPDATE execution_entity SET status = 'error', "createdAt" = "createdAt" + interval '1 day'""")
    with capture_logs() as logs:
        recorded = record([id_])
    assert (recorded.changed, recorded.reused) == ([], [id_])
    assert Execution.objects.get().status == "new"
    assert [entry["action"] for entry in logs] == ["execution.id_reused"]


def published() -> list[tuple[str, int]]:
    """(kind, id or count) of what browsers were told, in order."""
    events = Event.objects.order_by("eid").values_list("type", "data")
    told = [(kind, json.loads(data)) for kind, data in events]
    return [(kind, data.get("execution_id") or data["count"]) for kind, data in told]


def test_nothing_new_is_told_to_nobody(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    record([id_])
    Event.objects.all().delete()
    record([id_])
    n8n.execute("DELETE FROM execution_entity")
    record([id_])
    assert published() == []


def test_browsers_are_told_of_the_beginning_and_the_end(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    record([id_])
    end(n8n, id_)
    record([id_])
    assert published() == [("execution:new", id_), ("execution:completed", id_)]


def test_a_change_in_between_is_no_end(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    record([id_])
    n8n.execute("UPDATE execution_entity SET status = 'running'")
    record([id_])
    assert published() == [("execution:new", id_), ("execution:batch", 1)]


def test_many_at_once_are_one_event(n8n: N8nDatabase) -> None:
    record([create(n8n) for _ in range(21)])
    assert published() == [("execution:batch", 21)]


def test_imported_history_is_never_announced_as_new(n8n: N8nDatabase) -> None:
    record([create(n8n)], queue.BACKFILL)
    assert published() == [("execution:batch", 1)]
