"""Monitoring nodes and cameras appear from what cameras send; what people wrote is never overwritten."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from executions.n8n.payload import CameraFacts

# COALESCE(NULLIF(ours, ''), theirs): a value of ours stays, whoever entered it.
NODE = """
INSERT INTO monitoring_nodes (device_id, name, description, latitude, longitude, time_zone, software_version,
                              first_seen_at, last_seen_at)
VALUES (%(device_id)s, %(location)s, '', %(latitude)s, %(longitude)s, '', %(software_version)s, %(seen)s, %(seen)s)
ON CONFLICT (device_id) DO UPDATE SET
  name = COALESCE(NULLIF(monitoring_nodes.name, ''), EXCLUDED.name),
  latitude = COALESCE(monitoring_nodes.latitude, EXCLUDED.latitude),
  longitude = COALESCE(monitoring_nodes.longitude, EXCLUDED.longitude),
  software_version = CASE WHEN EXCLUDED.software_version <> ''
                           AND EXCLUDED.last_seen_at >= monitoring_nodes.last_seen_at
                     THEN EXCLUDED.software_version ELSE monitoring_nodes.software_version END,
  first_seen_at = LEAST(monitoring_nodes.first_seen_at, EXCLUDED.first_seen_at),
  last_seen_at = GREATEST(monitoring_nodes.last_seen_at, EXCLUDED.last_seen_at)
RETURNING id
"""

CAMERA = """
INSERT INTO node_cameras (node_id, camera_id, camera_type, facing, expected_interval_s, is_active,
                          first_seen_at, last_seen_at)
VALUES (%(node)s, %(camera_id)s, %(camera_type)s, %(facing)s, %(interval)s, true, %(seen)s, %(seen)s)
ON CONFLICT (node_id, camera_id) DO UPDATE SET
  camera_type = COALESCE(NULLIF(node_cameras.camera_type, ''), EXCLUDED.camera_type),
  facing = COALESCE(NULLIF(node_cameras.facing, ''), EXCLUDED.facing),
  expected_interval_s = COALESCE(node_cameras.expected_interval_s, EXCLUDED.expected_interval_s),
  first_seen_at = LEAST(node_cameras.first_seen_at, EXCLUDED.first_seen_at),
  last_seen_at = GREATEST(node_cameras.last_seen_at, EXCLUDED.last_seen_at)
RETURNING id
"""


@dataclass(frozen=True)
class Registered:
    """The primary keys of an execution's monitoring node and camera, as far as the camera said who it is."""

    node_pk: int | None
    camera_pk: int | None


def register(facts: CameraFacts, seen_at: datetime | None) -> Registered:
    """Find or make the node and camera that these facts name; two workers doing so at once make one of each.

    Always the node first, then the camera: everybody takes the two row locks in one order.
    """
    node_pk = _upsert(NODE, _node_values(facts, seen_at)) if facts.device_id else None
    camera_pk = _upsert(CAMERA, _camera_values(facts, node_pk, seen_at)) if facts.camera_id else None
    return Registered(node_pk, camera_pk)


def node_time_zone(device_id: str | None) -> str | None:
    """The zone that a person configured for this device's clock, if any."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT time_zone FROM monitoring_nodes WHERE device_id = %s", [device_id])
        row = cursor.fetchone()
    return row[0] or None if row else None


def _node_values(facts: CameraFacts, seen_at: datetime | None) -> dict[str, Any]:
    return {
        "device_id": _cut(facts.device_id, 100),
        "location": _cut(facts.location, 200),
        "latitude": facts.latitude,
        "longitude": facts.longitude,
        "software_version": _cut(facts.software_version, 50),
        "seen": seen_at,
    }


def _camera_values(facts: CameraFacts, node_pk: int | None, seen_at: datetime | None) -> dict[str, Any]:
    return {
        "node": node_pk,
        "camera_id": _cut(facts.camera_id, 100),
        "camera_type": _cut(facts.camera_type, 50),
        "facing": _cut(facts.facing, 50),
        "interval": facts.capture_interval_s,
        "seen": seen_at,
    }


def _cut(text: str | None, length: int) -> str:
    return (text or "")[:length]


def _upsert(sql: str, values: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        (pk,) = cursor.fetchone()
    return int(pk)
