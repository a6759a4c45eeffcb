"""Catch-up: compares sets, so that nothing hides behind a higher id."""

from datetime import timedelta

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from conftest import N8nDatabase
from executions.ingest import catchup
from executions.ingest.recording import record
from executions.models import Execution, QueueItem
from executions.tests.test_recording import create, end

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "n8n"])

VERSIONS = ["1.60.1", "1.123.5", "2.41.1"]
EVERYTHING = catchup.Window()


@pytest.mark.parametrize("n8n", VERSIONS, indirect=True)
def test_an_empty_n8n_differs_in_nothing(n8n: N8nDatabase) -> None:
    assert catchup.sweep_full().total == 0
    assert catchup.sweep_recent().total == 0


@pytest.mark.parametrize("n8n", VERSIONS, indirect=True)
def test_what_is_the_same_is_left_alone(n8n: N8nDatabase) -> None:
    ids = [create(n8n) for _ in range(3)]
    end(n8n, ids[1])
    record(ids)
    assert list(catchup.differences(EVERYTHING)) == []


@pytest.mark.parametrize("n8n", VERSIONS, indirect=True)
def test_missing_changed_and_gone_are_found(n8n: N8nDatabase) -> None:
    missing_low, changed, gone, missing_high = (create(n8n) for _ in range(4))
    record([changed, gone])
    end(n8n, changed)
    n8n.execute("DELETE FROM execution_entity WHERE id = %s", (gone,))
    swept = catchup.sweep_full()
    assert (swept.missing, swept.changed, swept.gone) == (2, 1, 1)
    assert {missing_low, missing_high} < set(Execution.objects.values_list("pk", flat=True))
    assert list(catchup.differences(EVERYTHING)) == []


def test_a_lower_id_that_commits_later_is_found(n8n: N8nDatabase) -> None:
    """The high-water-mark trap: 'newer than the newest we have' would never see it."""
    with psycopg.connect(n8n.url) as slow:
        sql = """INSERT INTO execution_entity (finished, mode, status, "workflowId")
                 VALUES (false, 'webhook', 'new', 'yDbfhooKemfhMIkC') RETURNING id"""
        row = slow.execute(sql).fetchone()
        later = create(n8n)
        catchup.sweep_recent()
        assert list(Execution.objects.values_list("pk", flat=True)) == [later]
    catchup.sweep_recent()
    assert row is not None and Execution.objects.filter(pk=row[0]).exists()


def test_manual_runs_are_no_difference(n8n: N8nDatabase) -> None:
    create(n8n, mode="manual")
    assert list(catchup.differences(EVERYTHING)) == []


def test_pruned_rows_are_marked(n8n: N8nDatabase) -> None:
    ids = [create(n8n) for _ in range(3)]
    record(ids)
    n8n.execute("DELETE FROM execution_entity WHERE id < %s", (ids[2],))
    assert catchup.sweep_full().gone == 2
    assert list(Execution.objects.filter(source_deleted_at=None).values_list("pk", flat=True)) == [ids[2]]


def test_a_row_that_comes_back_is_unmarked(n8n: N8nDatabase) -> None:
    id_ = create(n8n)
    record([id_])
    n8n.execute("ALTER TABLE execution_entity RENAME TO away; CREATE TABLE execution_entity (LIKE away)")
    assert catchup.sweep_recent().gone == 1
    n8n.execute("DROP TABLE execution_entity; ALTER TABLE away RENAME TO execution_entity")
    catchup.sweep_recent()
    assert Execution.objects.get().source_deleted_at is None


def test_what_was_missed_long_ago_is_left_to_a_backfill(n8n: N8nDatabase) -> None:
    old, new = create(n8n), create(n8n)
    n8n.execute("""UPDATE execution_entity SET "createdAt" = now() - interval '20 days' WHERE id = %s""", (old,))
    assert catchup.sweep_full().missing == 1
    assert Execution.objects.get().pk == new


def test_a_window_of_time_does_not_call_the_rest_gone(n8n: N8nDatabase) -> None:
    old, new = create(n8n), create(n8n)
    record([old, new])
    n8n.execute("""UPDATE execution_entity SET "createdAt" = now() - interval '3 days' WHERE id = %s""", (old,))
    Execution.objects.filter(pk=old).update(n8n_created_at=timezone.now() - timedelta(days=3))
    window = catchup.Window(created_after=timezone.now() - timedelta(days=5))
    assert list(catchup.differences(window)) == []
    window = catchup.Window(created_before=timezone.now() - timedelta(days=1))
    assert list(catchup.differences(window)) == []


def test_more_than_one_chunk(n8n: N8nDatabase) -> None:
    n8n.execute(
        """INSERT INTO execution_entity (finished, mode, status, "workflowId")
           SELECT false, 'webhook', 'new', 'yDbfhooKemfhMIkC' FROM generate_series(1, 1203)"""
    )
    assert catchup.sweep_full().missing == 1203
    assert QueueItem.objects.filter(phase="created").count() == 1203


def test_verify_capture_says_what_is_missing(n8n: N8nDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    id_ = create(n8n)
    with pytest.raises(CommandError, match="differ"):
        call_command("verify_capture")
    assert f"recorded in n8n but not here: {id_}" in capsys.readouterr().out
    record([id_])
    call_command("verify_capture")


def test_backfill_is_dry_without_yes(n8n: N8nDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    create(n8n)
    call_command("backfill_executions")
    assert "1 executions would be imported" in capsys.readouterr().out
    assert Execution.objects.count() == 0


def test_backfill_imports_a_limited_number_and_goes_on(n8n: N8nDatabase) -> None:
    for _ in range(5):
        create(n8n)
    call_command("backfill_executions", "--limit", "2", "--yes")
    assert Execution.objects.count() == 2
    call_command("backfill_executions", "--yes")
    assert Execution.objects.count() == 5
    assert set(QueueItem.objects.values_list("priority", flat=True)) == {9}


def test_backfill_takes_a_period(n8n: N8nDatabase) -> None:
    old, _ = create(n8n), create(n8n)
    n8n.execute("""UPDATE execution_entity SET "createdAt" = '2026-02-10T12:00Z' WHERE id = %s""", (old,))
    call_command("backfill_executions", "--from", "2026-02-10", "--to", "2026-02-11", "--yes")
    assert list(Execution.objects.values_list("pk", flat=True)) == [old]


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "12"])
def test_a_wrong_date_is_explained(text: str) -> None:
    with pytest.raises(CommandError, match="is no date"):
        call_command("backfill_executions", "--from", text)


def test_reprocess_asks_for_what_it_was_told(n8n: N8nDatabase) -> None:
    with pytest.raises(CommandError, match="Say which"):
        call_command("reprocess_executions")
    with pytest.raises(CommandError, match="Not recorded here: 5"):
        call_command("reprocess_executions", "--ids", "5")
    ids = [create(n8n), create(n8n)]
    end(n8n, ids[0])
    record(ids)
    QueueItem.objects.update(status="completed")
    call_command("reprocess_executions", "--ids", *map(str, ids))
    assert QueueItem.objects.filter(status="pending").count() == 3
