"""The questions that models answer, and what the database itself guarantees."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from executions.models import Camera, Execution, InferenceResult, MonitoringNode, QueueItem

pytestmark = pytest.mark.django_db

OLD = timezone.now() - timedelta(hours=2)


def execution(pk: int = 1, status: str = "new", **more: Any) -> Execution:
    return Execution.objects.create(pk=pk, workflow_id="w", status=status, **more)


def result(**values: Any) -> InferenceResult:
    execution()
    InferenceResult.objects.create(execution_id=1, **values)
    return InferenceResult.objects.get()


@pytest.mark.parametrize("status", ["success", "error", "crashed", "canceled"])
def test_what_has_ended_is_not_stuck(status: str) -> None:
    execution(status=status, n8n_created_at=OLD)
    assert not Execution.objects.stuck().exists()


def test_what_is_young_waits_or_was_deleted_is_not_stuck() -> None:
    execution(1, "running", n8n_created_at=timezone.now())
    execution(2, "waiting", n8n_created_at=OLD)
    execution(3, "running", n8n_created_at=OLD, source_deleted_at=OLD)
    assert not Execution.objects.stuck().exists()


@pytest.mark.parametrize("status", ["new", "running", "unknown"])
def test_what_does_not_end_is_stuck(status: str) -> None:
    execution(status=status, n8n_created_at=OLD)
    assert Execution.objects.stuck().count() == 1


def test_without_a_time_of_creation_our_own_counts() -> None:
    execution()
    assert not Execution.objects.stuck().exists()
    Execution.objects.update(created_at=OLD)
    assert Execution.objects.stuck().count() == 1


SMOKE, FIRE = {"class": "smoke"}, {"class": "fire"}


@pytest.mark.parametrize(
    ("detections", "flags", "count", "has_smoke", "has_fire"),
    [
        (None, None, None, None, None),  # Nobody said anything: not "no fire".
        ([], None, 0, False, False),
        ([SMOKE], None, 1, True, False),
        ([SMOKE, FIRE, FIRE], None, 3, True, True),
        (None, {"smoke": True}, None, True, None),
        (None, {"smoke": False, "fire": False}, None, False, False),
        ([], {"fire": True}, 0, False, True),
        ([], {"fire": "yes"}, 0, False, False),
        (None, {"fire": "yes"}, None, None, None),
        (None, {"vehicle": True}, None, None, None),
    ],
)
def test_smoke_and_fire_follow_from_boxes_and_flags(
    detections: Any, flags: Any, count: int | None, has_smoke: bool | None, has_fire: bool | None
) -> None:
    row = result(detections=detections, flags=flags)
    assert (row.detection_count, row.has_smoke, row.has_fire) == (count, has_smoke, has_fire)


@pytest.mark.parametrize(
    "values", [{"risk_level": "severe"}, {"confidence_score": "1.01"}, {"confidence_score": "-0.1"}]
)
def test_values_outside_their_range_are_refused_by_the_database(values: dict[str, str]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        result(**values)


def test_an_unknown_status_is_refused_by_the_database() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        execution(status="done")


def test_a_camera_without_device_is_unique_too() -> None:
    Camera.objects.create(camera_id="cam1")
    with pytest.raises(IntegrityError), transaction.atomic():
        Camera.objects.create(camera_id="cam1")


@pytest.mark.parametrize("values", [{"azimuth_deg": 360}, {"azimuth_deg": -1}, {"field_of_view_deg": 0}])
def test_impossible_angles_are_refused_by_the_database(values: dict[str, float]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Camera.objects.create(camera_id="cam1", **values)


def test_impossible_positions_are_refused_by_the_database() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        MonitoringNode.objects.create(device_id="d", latitude=91)


def test_failed_work_is_listed_first() -> None:
    for pk, status in ((1, "completed"), (2, "pending"), (3, "failed"), (4, "processing")):
        execution(pk)
        QueueItem.objects.create(execution_id=pk, phase="created", status=status)
    ordered = QueueItem.objects.all().failed_first()
    assert [item.status for item in ordered] == ["failed", "processing", "pending", "completed"]


def test_a_frames_time_is_the_cameras_else_n8ns() -> None:
    row = execution(started_at=OLD)
    assert row.frame_at == OLD
    row.n8n_created_at = OLD - timedelta(minutes=1)
    assert row.frame_at == row.n8n_created_at
    row.captured_at = OLD - timedelta(minutes=2)
    assert row.frame_at == row.captured_at
