"""Phases 1 and 2 on every recorded execution: the right row, image, boxes, Telegram state and reasons."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.forms.models import model_to_dict
from pytest_django.fixtures import Settings

from conftest import N8nDatabase
from executions.ingest import catchup, phase2, queue
from executions.ingest.recording import record
from executions.ingest.worker import Worker
from executions.models import Camera, Execution, InferenceResult, MonitoringNode, Notification, QueueItem
from executions.tests.expected_samples import EXPECTED, Expected
from executions.tests.samples import BINARY_FOLDERS, STORAGE_FOLDERS, Sample, all_samples, finish, insert, sample

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "n8n"])

EVERY_SAMPLE = pytest.mark.parametrize(
    ("n8n", "one"), [(one.version, one) for one in all_samples()], indirect=["n8n"], ids=map(str, all_samples())
)
NOT_AN_IMAGE = {("1.123.5", 11), ("1.123.5", 24)}


@pytest.fixture(autouse=True)
def folders(request: pytest.FixtureRequest, settings: Settings, image_root: Path) -> None:
    """n8n's folders of the version that the test is about."""
    version = request.getfixturevalue("n8n").version
    settings.N8N_BINARY_DATA_PATH = BINARY_FOLDERS.get(version)
    settings.N8N_STORAGE_PATH = STORAGE_FOLDERS.get(version)


def drain() -> None:
    Worker(1).drain()


def run_created(n8n: N8nDatabase, one: Sample) -> None:
    insert(n8n, one, phase="created")
    record([one.execution_id])
    drain()


def run_to_the_end(n8n: N8nDatabase, one: Sample) -> Execution:
    """Both phases in their order, as they happen live."""
    if one.created_text is None:  # Its data is a file, of which only the last state was recorded.
        insert(n8n, one)
    else:
        run_created(n8n, one)
        finish(n8n, one)
    record([one.execution_id])
    drain()
    assert not QueueItem.objects.exclude(status="completed").exists()
    return Execution.objects.get()


def expected_of(one: Sample) -> Expected:
    return EXPECTED[one.version][one.execution_id]


def check_the_row_and_the_image(execution: Execution, one: Sample, image_root: Path) -> None:
    expected = expected_of(one)
    assert execution.status == expected.status
    assert execution.phase1_at is not None and execution.phase2_at is not None
    notes = execution.extraction_notes["phase1"]
    if expected.image is None:
        assert execution.image_sha256 is None and (expected.image_reason or "image") in notes["image"]
    elif (one.version, one.execution_id) in NOT_AN_IMAGE:
        assert execution.image_sha256 is None and "no JPEG, PNG or WebP" in notes["image"]
    else:
        assert execution.image_sha256 == expected.image
        original = (image_root / str(execution.image_original_path)).read_bytes()
        assert sha256(original).hexdigest() == expected.image and len(original) == execution.image_size_bytes
        assert (image_root / str(execution.image_thumb_path)).stat().st_size > 0
        assert (image_root / str(execution.image_webp_path)).stat().st_size > 0


def check_the_camera_and_its_time(execution: Execution, one: Sample) -> None:
    expected = expected_of(one)
    if expected.camera is None:
        assert execution.camera is None and execution.captured_at is None
        return
    assert execution.camera is not None and execution.node is not None
    assert (execution.node.device_id, execution.camera.camera_id) == expected.camera
    assert execution.node.name == "Molinari" and execution.camera.expected_interval_s == 300
    assert execution.captured_at is not None and execution.camera_metadata is not None
    assert execution.camera_metadata["device_id"] == expected.camera[0]


def check_the_result_and_its_hot_copies(execution: Execution, one: Sample) -> None:
    expected = expected_of(one)
    assert execution.contract == expected.contract
    result = InferenceResult.objects.filter(pk=execution.pk).first()
    if expected.boxes is None:
        assert result is None
        assert (execution.has_smoke, execution.has_fire, execution.detection_count) == (None, None, None)
        return
    assert result is not None and result.detections is not None
    boxes = [(box["class"], box["confidence"], tuple(box["bbox"])) for box in result.detections]
    assert boxes == list(expected.boxes)
    assert (result.risk_level, result.alert_level) == (expected.risk, expected.alert)
    classes = {name for name, _, _ in expected.boxes}
    assert (result.has_smoke, result.has_fire) == ("smoke" in classes, "fire" in classes)
    for name in phase2.RESULT.hot_columns:
        assert getattr(execution, name) == getattr(result, name), name


def check_the_telegram_message(execution: Execution, one: Sample) -> None:
    expected = expected_of(one)
    message = Notification.objects.filter(pk=execution.pk).first()
    if expected.telegram is None:
        assert message is None and execution.telegram_sent is None
        return
    assert message is not None and execution.telegram_sent == message.telegram_sent
    if isinstance(expected.telegram, int):
        assert (message.telegram_sent, message.telegram_message_id) == (True, expected.telegram)
    else:
        assert (message.telegram_sent, message.telegram_error) == (False, expected.telegram)


def check_no_secret_is_stored(execution: Execution) -> None:
    rows: list[Any] = [execution, *InferenceResult.objects.all(), *Notification.objects.all(), *QueueItem.objects.all()]
    stored = repr([model_to_dict(row) for row in rows] + [Execution.objects.values().get()])
    for secret in ("Bearer", "stub-token", "resumeToken", "/9j/", "host"):
        assert secret not in stored.replace("ghost", "")


@EVERY_SAMPLE
def test_every_recording_gives_what_was_checked_by_hand(n8n: N8nDatabase, one: Sample, image_root: Path) -> None:
    """One run through both phases, looked at from all sides; then once more, which changes nothing."""
    execution = run_to_the_end(n8n, one)
    check_the_row_and_the_image(execution, one, image_root)
    check_the_camera_and_its_time(execution, one)
    check_the_result_and_its_hot_copies(execution, one)
    check_the_telegram_message(execution, one)
    check_no_secret_is_stored(execution)
    check_running_both_again_changes_nothing(execution, one)


def check_running_both_again_changes_nothing(execution: Execution, one: Sample) -> None:
    before = facts(execution)
    queue.request_both([one.execution_id], queue.LIVE)
    drain()
    assert facts(Execution.objects.get()) == before
    assert MonitoringNode.objects.count() <= 1 and Camera.objects.count() <= 1


def facts(execution: Execution) -> dict[str, Any]:
    """All that is known of an execution, without the times at which we wrote it."""
    row: dict[str, Any] = dict(Execution.objects.values().get(pk=execution.pk))
    result: dict[str, Any] = dict(InferenceResult.objects.filter(pk=execution.pk).values().first() or {})
    message: dict[str, Any] = dict(Notification.objects.filter(pk=execution.pk).values().first() or {})
    ours = {"phase1_at", "phase2_at", "updated_at", "created_at", "extraction_notes"}
    return {key: value for key, value in (row | result | message).items() if key not in ours}


@pytest.mark.parametrize("n8n", ["1.60.1"], indirect=True)
def test_a_cancel_that_cuts_the_data_takes_nothing_away(n8n: N8nDatabase) -> None:
    """1.60.1: the final data holds 1,196 of 106,432 characters, and neither image nor camera."""
    one = sample("1.60.1", 26)
    run_created(n8n, one)
    before = Execution.objects.get()
    assert before.image_sha256 is not None
    finish(n8n, one)
    record([one.execution_id])
    queue.request([one.execution_id], "created")
    drain()
    after = Execution.objects.get()
    assert (after.image_sha256, after.camera_id, after.captured_at) == (
        before.image_sha256,
        before.camera_id,
        before.captured_at,
    )


def test_a_known_result_is_not_replaced_by_none(n8n: N8nDatabase) -> None:
    one = sample("1.123.5", 1)
    before = facts(run_to_the_end(n8n, one))
    n8n.execute("UPDATE execution_data SET data = %s", (one.created_text,))
    QueueItem.objects.update(queued_at="2026-01-01T00:00Z")
    queue.request([1], "completed")
    QueueItem.objects.update(queued_at="2026-01-01T00:00Z")
    drain()
    assert facts(Execution.objects.get()) == before


def test_the_first_image_is_evidence_and_stays(n8n: N8nDatabase, image_root: Path) -> None:
    one, other = sample("1.123.5", 1), sample("1.123.5", 3)
    before = run_to_the_end(n8n, one)
    n8n.execute("UPDATE execution_data SET data = %s", (other.text,))
    queue.request([1], "created")
    drain()
    after = Execution.objects.get()
    assert after.image_sha256 == before.image_sha256
    assert "first one is kept" in after.extraction_notes["phase1"]["image"]
    stored = (image_root / str(after.image_original_path)).read_bytes()
    assert sha256(stored).hexdigest() == before.image_sha256


def test_phase_2_before_phase_1(n8n: N8nDatabase) -> None:
    one = sample("1.123.5", 16)
    insert(n8n, one)
    record([one.execution_id])
    QueueItem.objects.filter(phase="completed").update(priority=1)
    drain()
    execution = Execution.objects.get()
    assert execution.phase2_at is not None and execution.phase1_at is not None
    assert execution.phase2_at < execution.phase1_at
    assert execution.image_sha256 == expected_of(one).image and execution.has_smoke is True


@pytest.mark.parametrize("n8n", ["1.60.1"], indirect=True)
def test_data_that_n8n_has_not_written_yet_is_waited_for(n8n: N8nDatabase) -> None:
    """1.60.1 inserts the row first and the data 29 to 83 ms later."""
    one = sample("1.60.1", 1)
    insert(n8n, one, phase="created")
    n8n.execute("CREATE TABLE later AS SELECT * FROM execution_data; DELETE FROM execution_data")
    record([1])
    assert Worker(1).work_one() is True
    item = QueueItem.objects.get()
    assert (item.status, item.attempts) == ("pending", 0) and "not written" in str(item.last_error)
    n8n.execute("INSERT INTO execution_data SELECT * FROM later")
    drain()
    assert Execution.objects.get().image_sha256 == expected_of(one).image


def test_data_that_never_comes_is_said_so(n8n: N8nDatabase) -> None:
    insert(n8n, sample("1.123.5", 1), phase="created")
    n8n.execute("DELETE FROM execution_data")
    record([1])
    QueueItem.objects.update(queued_at="2026-01-01T00:00Z")
    drain()
    execution = Execution.objects.get()
    assert "never wrote" in execution.extraction_notes["phase1"]["payload"]
    assert execution.camera_metadata is None and execution.image_sha256 is None


def test_phase_1_comes_again_when_the_final_data_can_be_read(n8n: N8nDatabase) -> None:
    one = sample("1.123.5", 1)
    test_data_that_never_comes_is_said_so(n8n)
    n8n.execute('INSERT INTO execution_data ("executionId", "workflowData", data) VALUES (1, %s, %s)', ("{}", one.text))
    finish(n8n, one)
    catchup.sweep_recent()
    drain()
    assert Execution.objects.get().image_sha256 == expected_of(one).image


def test_a_deleted_execution_is_marked_and_its_extraction_ends(n8n: N8nDatabase) -> None:
    insert(n8n, sample("1.123.5", 1))
    record([1])
    n8n.execute("DELETE FROM execution_entity")
    drain()
    execution = Execution.objects.get()
    assert execution.source_deleted_at is not None
    assert "deleted" in execution.extraction_notes["phase1"]["payload"]


def test_renditions_are_made_again_when_n8n_has_forgotten(n8n: N8nDatabase, image_root: Path) -> None:
    execution = run_to_the_end(n8n, sample("1.123.5", 1))
    n8n.execute("DELETE FROM execution_entity")
    thumb = image_root / str(execution.image_thumb_path)
    thumb.unlink()
    queue.request([1], "created")
    drain()
    assert thumb.stat().st_size > 0


@pytest.mark.parametrize("n8n", ["1.123.5"], indirect=True)
def test_an_unset_folder_fails_loudly_and_a_retry_repairs(n8n: N8nDatabase, settings: Settings) -> None:
    settings.N8N_BINARY_DATA_PATH = None
    settings.ETL_RETRY_ATTEMPTS = 1
    one = sample("1.123.5", 30)
    insert(n8n, one)
    record([one.execution_id])
    drain()
    failed = QueueItem.objects.get(status="failed")
    assert "N8N_BINARY_DATA_PATH" in str(failed.last_error)
    assert Execution.objects.get().status == "success"
    settings.N8N_BINARY_DATA_PATH = BINARY_FOLDERS["1.123.5"]
    QueueItem.objects.filter(status="failed").retry()
    drain()
    assert Execution.objects.get().image_sha256 == expected_of(one).image
