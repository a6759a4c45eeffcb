"""n8n's tables are read the same way in all three versions, and while n8n is being upgraded."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from conftest import N8nDatabase
from executions.n8n import source
from executions.n8n.binary_data import BinaryUnavailable
from executions.tests.samples import (
    STORAGE_FOLDERS,
    VERSIONS,
    WORKFLOW_ID,
    binary_rows,
    finish,
    insert,
    sample,
    samples,
)

EVERY_VERSION = pytest.mark.parametrize("n8n", VERSIONS, indirect=True)
NEWEST = pytest.mark.parametrize("n8n", ["2.41.1"], indirect=True)
IN_FILE = sample("2.41.1", 33)


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def ids(**bounds: Any) -> list[int]:
    return [row[0] for row in source.states([WORKFLOW_ID], **bounds)]


def test_nothing_is_found_where_nothing_is(n8n: N8nDatabase) -> None:
    assert source.executions([]) == source.executions([1]) == []
    assert source.execution_data(1, "db", None) is None
    assert list(source.states([WORKFLOW_ID])) == []
    assert source.now_ids([WORKFLOW_ID]) == (None, None)
    assert source.binary_row("a54b82a4-a2fb-4576-b6be-a0ee6af55ee9", 10) is None


@EVERY_VERSION
def test_a_row_is_read_as_n8n_wrote_it(n8n: N8nDatabase) -> None:
    one = samples(n8n.version)[0]
    insert(n8n, one)
    (row,) = source.executions([one.execution_id, 999])
    assert (row.execution_id, row.workflow_id, row.status, row.mode) == (1, WORKFLOW_ID, "success", "webhook")
    assert row.created_at == moment(one.entity.get("createdAt"))
    assert row.started_at == moment(one.entity["startedAt"])
    assert row.stopped_at == moment(one.entity["stoppedAt"])
    assert (row.retry_of, row.deleted_at, row.stored_at) == (None, None, "db")


@EVERY_VERSION
def test_data_is_read_first_as_created_and_then_as_ended(n8n: N8nDatabase) -> None:
    one = samples(n8n.version)[0]
    insert(n8n, one, phase="created")
    assert source.executions([1])[0].status == "new"
    created = source.execution_data(1, "db", None)
    assert created is not None and created.text == one.created_text
    finish(n8n, one)
    ended = source.execution_data(1, "db", None)
    assert ended == source.SourceData(one.text, one.workflow)
    assert source.executions([1])[0].stopped_at == moment(one.entity["stoppedAt"])


@pytest.mark.parametrize("said, expected", [("28", 28), ("", None), ("x", None), ("9" * 30, None), (None, None)])
def test_what_is_retried_is_text_in_n8n_and_a_number_here(
    n8n: N8nDatabase, said: str | None, expected: int | None
) -> None:
    insert(n8n, sample("1.123.5", 12))
    n8n.execute('UPDATE execution_entity SET "retryOf" = %s', (said,))
    assert source.executions([12])[0].retry_of == expected


def test_a_status_that_nobody_knows_yet_passes_through(n8n: N8nDatabase) -> None:
    insert(n8n, sample("1.123.5", 12))
    n8n.execute("UPDATE execution_entity SET status = 'paused'")
    assert source.executions([12])[0].status == "paused"


@pytest.mark.parametrize("n8n", ["1.60.1"], indirect=True)
def test_an_upgrade_of_n8n_while_we_are_connected_is_noticed(n8n: N8nDatabase) -> None:
    insert(n8n, sample("1.60.1", 5))
    assert source.executions([5])[0].created_at is None
    assert ids(created_after=datetime(2026, 11, 1, tzinfo=UTC)) == [5]
    n8n.execute("ALTER TABLE execution_entity ADD \"createdAt\" timestamptz(3) NOT NULL DEFAULT '2026-10-01Z'")
    n8n.execute("ALTER TABLE execution_entity ADD \"storedAt\" varchar(2) NOT NULL DEFAULT 'fs'")
    (row,) = source.executions([5])
    assert (row.created_at, row.stored_at) == (datetime(2026, 10, 1, tzinfo=UTC), "fs")
    assert ids(created_after=datetime(2026, 11, 1, tzinfo=UTC)) == []


@EVERY_VERSION
def test_states_leave_out_manual_runs_and_other_workflows(n8n: N8nDatabase) -> None:
    for one in samples(n8n.version):
        insert(n8n, one)
    everything = [one.execution_id for one in samples(n8n.version)]
    assert ids() == everything
    n8n.execute("UPDATE execution_entity SET mode = 'manual' WHERE id = 1")
    assert ids() == everything[1:]
    assert list(source.states(["another"])) == []
    assert source.now_ids([WORKFLOW_ID]) == (everything[1], everything[-1])


@EVERY_VERSION
def test_states_are_bounded_by_id_and_by_time(n8n: N8nDatabase) -> None:
    for one in samples(n8n.version):
        insert(n8n, one)
    row = source.executions([5])[0]
    created = row.created_at or row.started_at
    assert created is not None
    assert ids(since_id=6) == [one.execution_id for one in samples(n8n.version) if one.execution_id >= 6]
    assert ids(created_before=created) == [i.execution_id for i in samples(n8n.version) if i.execution_id < 5]
    assert ids(created_after=created, created_before=created + timedelta(milliseconds=1)) == [5]


def test_states_say_when_it_began_and_stopped(n8n: N8nDatabase) -> None:
    one = sample("1.123.5", 12)
    insert(n8n, one)
    began, stopped = moment(one.entity["startedAt"]), moment(one.entity["stoppedAt"])
    assert list(source.states([WORKFLOW_ID])) == [(12, "error", began, stopped)]


def test_a_sweep_of_many_rows_holds_no_transaction_open(n8n: N8nDatabase) -> None:
    n8n.execute(
        'INSERT INTO execution_entity (id, finished, mode, status, "workflowId")'
        " SELECT i, true, 'webhook', 'success', %s FROM generate_series(1, 5000) i",
        (WORKFLOW_ID,),
    )
    rows = source.states([WORKFLOW_ID])
    assert next(rows)[0] == 1
    assert not connections["n8n"].in_atomic_block
    assert sum(1 for _ in rows) == 4_999
    sql = "SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    assert n8n.execute(sql).fetchall() == []


@NEWEST
def test_a_bundle_file_is_read_where_n8n_keeps_no_row(n8n: N8nDatabase) -> None:
    insert(n8n, IN_FILE)
    (row,) = source.executions([33])
    assert row.stored_at == "fs"
    data = source.execution_data(33, row.stored_at, STORAGE_FOLDERS["2.41.1"])
    assert data == source.SourceData(IN_FILE.text, IN_FILE.workflow)


@NEWEST
def test_a_bundle_that_is_not_there_yet_is_no_error(n8n: N8nDatabase, tmp_path: Path) -> None:
    insert(n8n, IN_FILE)
    assert source.execution_data(33, "fs", tmp_path) is None
    assert source.execution_data(34, "fs", STORAGE_FOLDERS["2.41.1"]) is None


def test_an_unset_folder_is_named(n8n: N8nDatabase) -> None:
    with pytest.raises(source.DataUnavailable, match="Set N8N_STORAGE_PATH"):
        source.execution_data(33, "fs", None)


@pytest.mark.parametrize("stored_at", ["s3", "az", "??"])
def test_a_storage_that_we_cannot_read_is_named(n8n: N8nDatabase, stored_at: str) -> None:
    with pytest.raises(source.DataUnavailable) as raised:
        source.execution_data(1, stored_at, None)
    assert stored_at in str(raised.value)
    assert not raised.value.retryable


@NEWEST
@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"data": 7}), ""])
def test_a_broken_bundle_is_a_reason(n8n: N8nDatabase, tmp_path: Path, content: str) -> None:
    insert(n8n, IN_FILE)
    folder = tmp_path / f"workflows/{WORKFLOW_ID}/executions/33/execution_data"
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text(content)
    with pytest.raises(source.DataUnavailable, match="bundle"):
        source.execution_data(33, "fs", tmp_path)


@NEWEST
def test_a_bundle_outside_the_folder_is_refused(n8n: N8nDatabase, tmp_path: Path) -> None:
    insert(n8n, IN_FILE)
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (outside / "executions/33/execution_data").mkdir(parents=True)
    (outside / "executions/33/execution_data/bundle.json").write_text('{"data": "[1]"}')
    (inside / "workflows").mkdir(parents=True)
    (inside / "workflows" / WORKFLOW_ID).symlink_to(outside)
    with pytest.raises(source.DataUnavailable, match="outside the configured folder"):
        source.execution_data(33, "fs", inside)


def test_data_of_absurd_size_is_not_fetched(n8n: N8nDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(n8n, sample("1.123.5", 12))
    monkeypatch.setattr(source, "MAX_DATA_BYTES", 100)
    with pytest.raises(source.DataUnavailable, match="at most 100"):
        source.execution_data(12, "db", None)


@NEWEST
def test_a_file_in_the_database_is_read(n8n: N8nDatabase) -> None:
    insert(n8n, sample("2.41.1", 31))
    for file_id, row in binary_rows().items():
        assert source.binary_row(file_id, 100_000) == row["data"]


@NEWEST
def test_a_file_in_the_database_that_is_too_large_is_refused_with_its_size(n8n: N8nDatabase) -> None:
    insert(n8n, sample("2.41.1", 31))
    with pytest.raises(BinaryUnavailable, match="77,793 bytes; at most 1,000"):
        source.binary_row("a54b82a4-a2fb-4576-b6be-a0ee6af55ee9", 1000)


def test_a_file_id_that_is_none_is_refused(n8n: N8nDatabase) -> None:
    with pytest.raises(BinaryUnavailable, match="no UUID"):
        source.binary_row("1'; DROP TABLE binary_data", 10)


@pytest.mark.parametrize("n8n", ["1.60.1"], indirect=True)
def test_a_version_without_a_table_for_files_says_so(n8n: N8nDatabase) -> None:
    with pytest.raises(BinaryUnavailable, match="binary_data does not exist"):
        source.binary_row("a54b82a4-a2fb-4576-b6be-a0ee6af55ee9", 10)
    assert source.executions([1]) == []  # The connection is still of use.
