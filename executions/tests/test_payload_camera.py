"""Who the camera is and when it took the image."""

from datetime import UTC, datetime
from typing import Any

import pytest

from executions.n8n.payload.camera import CameraFacts, CaptureTime, capture_time, read_camera

METADATA = {
    "timestamp": "2026-02-19_07-19-06",
    "device_id": "sai-cam-node-01",
    "camera_id": "cam1",
    "location": "Molinari",
    "version": "0.2.36",
    "camera_type": "onvif",
    "camera": {"capture_interval": 300, "position": "north", "resolution": [1920, 1080]},
    "environment": {"capture_time_utc": "2026-02-19T10:19:06.123456Z", "timezone": "-0300"},
}
AT = datetime(2026, 2, 19, 10, 19, 6, tzinfo=UTC)
LOCAL = datetime(2026, 2, 19, 7, 19, 6)


def facts(said: dict[str, Any]) -> CameraFacts:
    return read_camera(said)[0]


def time(said: dict[str, Any], file_name: str | None = None) -> CaptureTime:
    return capture_time(said, file_name)[0]


def test_a_silent_camera_has_no_facts() -> None:
    assert read_camera({}) == (CameraFacts(), {})
    assert capture_time({}, None) == (CaptureTime(), {"captured_at": "The camera stated no time."})


def test_a_current_node_says_all_but_its_position() -> None:
    expected = CameraFacts("sai-cam-node-01", "cam1", "Molinari", "onvif", "0.2.36", "north", 300)
    assert read_camera(METADATA) == (expected, {})


def test_an_older_node_says_less() -> None:
    older = {
        key: METADATA[key] for key in ("timestamp", "device_id", "camera_id", "location", "version", "camera_type")
    }
    assert facts(older) == CameraFacts("sai-cam-node-01", "cam1", "Molinari", "onvif", "0.2.36")
    assert time(older) == CaptureTime(source="timestamp", local=LOCAL)


def test_a_node_that_knows_no_direction_says_an_empty_object() -> None:
    assert facts({"camera_id": "cam1", "camera": {"position": {}, "capture_interval": "often"}}) == CameraFacts(
        camera_id="cam1"
    )


@pytest.mark.parametrize(
    "said, device, camera",
    [
        ({"camera_id": "CAM_NODE001_01", "node_id": "NODE_001"}, "NODE_001", "CAM_NODE001_01"),
        ({"camera_id": "sai-cam-node-01:cam1"}, "sai-cam-node-01", "cam1"),
        ({"camera_id": "node:cam1", "device_id": "node"}, "node", "cam1"),
        ({"camera_id": "other:cam1", "device_id": "node"}, "node", "other:cam1"),
        ({"camera_id": ":cam1"}, None, ":cam1"),
        ({"camera_id": 42, "device_id": "0007"}, "0007", "42"),
        ({"camera": "cam1", "device": {"id": "node"}}, "node", "cam1"),
        ({"camera": {"id": "cam1"}}, None, "cam1"),
    ],
)
def test_device_and_camera_are_read_in_every_notation(said: dict[str, Any], device: str | None, camera: str) -> None:
    assert (facts(said).device_id, facts(said).camera_id) == (device, camera)


def test_a_camera_that_does_not_say_who_it_is_gets_a_note() -> None:
    assert "which camera" in read_camera({"device_id": "node"})[1]["camera"]


@pytest.mark.parametrize(
    "said",
    [
        {"gps": {"lat": -31.2, "lng": -64.4}},
        {"location": {"latitude": -31.2, "longitude": -64.4}},
        {"lat": -31.2, "lon": -64.4},
    ],
)
def test_a_position_is_read_in_every_notation(said: dict[str, Any]) -> None:
    assert (facts(said).latitude, facts(said).longitude) == (-31.2, -64.4)


@pytest.mark.parametrize(
    "gps", [{"lat": 91, "lng": 0}, {"lat": 1}, {"lat": "1", "lng": "2"}, {"lat": 0, "lng": 0.0}, "here", None]
)
def test_half_a_position_and_no_fix_are_no_position(gps: Any) -> None:
    assert (facts({"gps": gps}).latitude, facts({"gps": gps}).longitude) == (None, None)


def test_the_utc_field_comes_first() -> None:
    at = AT.replace(microsecond=123456)
    assert capture_time(METADATA, "cam1_2020-01-01_00-00-00.jpg") == (
        CaptureTime(at, "environment.capture_time_utc"),
        {},
    )


def test_local_time_with_a_stated_zone_comes_second() -> None:
    said = METADATA | {"environment": {"capture_time_utc": "broken", "timezone": "-0300"}}
    assert time(said) == CaptureTime(AT, "timestamp")
    assert time(said | {"environment": {}, "timezone": "America/Argentina/Cordoba"}) == CaptureTime(AT, "timestamp")
    assert time({"timestamp": "2026-02-19T07:19:06-03:00"}) == CaptureTime(AT, "timestamp")
    assert time({"timestamp": AT.timestamp()}) == CaptureTime(AT, "timestamp")


def test_local_time_alone_is_left_to_the_caller() -> None:
    found, notes = capture_time({"timestamp": "2026-02-19_07-19-06"}, None)
    assert found == CaptureTime(source="timestamp", local=LOCAL)
    assert "no time zone" in notes["captured_at"]


def test_the_file_name_comes_last() -> None:
    found, notes = capture_time({"timestamp": "broken"}, "cam1_2026-02-19_07-19-06.jpg")
    assert found == CaptureTime(source="file name", local=LOCAL)
    assert "file name" in notes["captured_at"]
    assert time({}, "cam1_2026-99-19_07-19-06.jpg") == CaptureTime()
