"""Nodes and cameras: they appear from what cameras send, and what people wrote stays."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from executions.ingest.registry import Registered, node_time_zone, register
from executions.models import Camera, MonitoringNode
from executions.n8n.payload import CameraFacts

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 2, 19, 12, tzinfo=UTC)
NOBODY = CameraFacts(None, None, None, None, None, None, None, None, None)


def facts(device_id: str | None = "sai-cam-node-01", camera_id: str | None = "cam1", **more: object) -> CameraFacts:
    values: dict[str, object] = {
        "device_id": device_id,
        "camera_id": camera_id,
        "location": "Molinari",
        "camera_type": "onvif",
        "software_version": "0.2.36",
        "facing": "north",
        "capture_interval_s": 300,
        "latitude": None,
        "longitude": None,
    }
    return CameraFacts(**(values | more))  # type: ignore[arg-type]


def test_a_camera_that_does_not_say_who_it_is_makes_nothing() -> None:
    assert register(NOBODY, NOON) == Registered(None, None)
    assert MonitoringNode.objects.count() == Camera.objects.count() == 0


def test_registering_again_makes_nothing_new() -> None:
    assert register(facts(), NOON) == register(facts(), NOON)
    assert MonitoringNode.objects.count() == Camera.objects.count() == 1


def test_a_camera_appears_with_what_it_says() -> None:
    register(facts(), NOON)
    camera = Camera.objects.select_related("node").get()
    assert camera.node is not None
    assert (camera.node.device_id, camera.node.name, camera.node.software_version) == (
        "sai-cam-node-01",
        "Molinari",
        "0.2.36",
    )
    assert (camera.camera_id, camera.camera_type, camera.facing, camera.expected_interval_s) == (
        "cam1",
        "onvif",
        "north",
        300,
    )
    assert camera.azimuth_deg is None and camera.node.latitude is None


def test_the_same_camera_id_on_two_devices_is_two_cameras() -> None:
    first, second = register(facts("device-1"), NOON), register(facts("device-2"), NOON)
    assert first.camera_pk != second.camera_pk and Camera.objects.count() == 2


def test_an_id_of_digits_is_a_string() -> None:
    register(facts("007", "1"), NOON)
    assert list(Camera.objects.values_list("node__device_id", "camera_id")) == [("007", "1")]


def test_a_camera_without_a_device_is_one_camera() -> None:
    assert register(facts(None), NOON) == register(facts(None), NOON)
    assert Camera.objects.get().node is None


def test_what_people_wrote_stays() -> None:
    register(facts(), NOON)
    MonitoringNode.objects.update(name="Cerro Uritorco", latitude=-30.85)
    Camera.objects.update(facing="north-west", expected_interval_s=60)
    register(facts(latitude=1.0, longitude=2.0), NOON)
    node, camera = MonitoringNode.objects.get(), Camera.objects.get()
    assert (node.name, node.latitude, node.longitude) == ("Cerro Uritorco", -30.85, 2.0)
    assert (camera.facing, camera.expected_interval_s) == ("north-west", 60)


def test_late_news_moves_no_time_back() -> None:
    register(facts(), NOON)
    register(facts(software_version="0.2.30"), NOON - timedelta(days=1))
    node = MonitoringNode.objects.get()
    assert (node.first_seen_at, node.last_seen_at) == (NOON - timedelta(days=1), NOON)
    assert node.software_version == "0.2.36"


def test_hostile_lengths_are_cut() -> None:
    register(facts("d" * 5000, "c" * 5000, location="l" * 5000, facing="f" * 5000), NOON)
    assert len(MonitoringNode.objects.get().device_id) == 100 and len(Camera.objects.get().camera_id) == 100


def test_a_zone_counts_once_somebody_entered_it() -> None:
    assert node_time_zone("sai-cam-node-01") is None
    register(facts(), NOON)
    assert node_time_zone("sai-cam-node-01") is None
    MonitoringNode.objects.update(time_zone="America/Santiago")
    assert node_time_zone("sai-cam-node-01") == "America/Santiago"


def test_eight_workers_at_once_make_one_node_and_four_cameras() -> None:
    start = threading.Barrier(8)

    def run(number: int) -> None:
        start.wait()
        for turn in range(20):
            register(facts(camera_id=f"cam{(number + turn) % 4}"), NOON)
        connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert MonitoringNode.objects.count() == 1 and Camera.objects.count() == 4
