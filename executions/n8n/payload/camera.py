"""Who the camera is and when it took the image, out of what it said of itself."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from executions.n8n.payload import values

UTC_FIELDS = (("environment", "capture_time_utc"), ("capture_time_utc",), ("captured_at_utc",))
TIME_FIELDS = ("timestamp", "captured_at", "capture_time", "datetime")
ZONE_FIELDS = (("environment", "timezone"), ("timezone",), ("time_zone",))
DEVICE_FIELDS = (("device_id",), ("node_id",), ("deviceId",), ("nodeId",), ("device", "id"), ("device",))
CAMERA_FIELDS = (("camera_id",), ("cameraId",), ("camera", "id"), ("camera",))
POSITION_FIELDS = (("gps",), ("location",), ("coordinates",), ())
A_WEEK_S = 7 * 24 * 3600


@dataclass(frozen=True)
class CameraFacts:
    """What a camera says of itself. Identity is (device, camera): `cam1` exists on every device."""

    device_id: str | None = None
    camera_id: str | None = None
    location: str | None = None
    camera_type: str | None = None
    software_version: str | None = None
    facing: str | None = None
    capture_interval_s: int | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True)
class CaptureTime:
    """When the image was taken: in UTC and by which field, or as the camera's wall clock showed it."""

    at: datetime | None = None
    source: str | None = None
    local: datetime | None = None


def read_camera(said: dict[str, Any]) -> tuple[CameraFacts, dict[str, str]]:
    """The facts, and notes on what was stated but makes no sense."""
    notes: dict[str, str] = {}
    device_id, camera_id = _identity(said)
    if said and camera_id is None:
        notes["camera"] = "The camera did not say which camera it is."
    latitude, longitude = _position(said)
    return (
        CameraFacts(
            device_id=device_id,
            camera_id=camera_id,
            location=values.text(said.get("location"), 200),
            camera_type=values.text(said.get("camera_type"), 50),
            software_version=values.text(said.get("version"), 50),
            facing=values.text(_at(said, "camera", "position"), 50) or values.text(said.get("facing"), 50),
            capture_interval_s=values.whole(_at(said, "camera", "capture_interval"), 1, A_WEEK_S),
            latitude=latitude,
            longitude=longitude,
        ),
        notes,
    )


def capture_time(said: dict[str, Any], file_name: str | None) -> tuple[CaptureTime, dict[str, str]]:
    """The camera's own time: its UTC field, else local time with the zone that it states, else local time alone."""
    for path in UTC_FIELDS:
        if (moment := values.instant(_at(said, *path), UTC)) is not None:
            return CaptureTime(moment, ".".join(path)), {}
    zone = next((found for path in ZONE_FIELDS if (found := values.zone(_at(said, *path))) is not None), None)
    for name in TIME_FIELDS:
        if (moment := values.instant(said.get(name), zone)) is not None:
            return CaptureTime(moment, name), {}
        if (local := values.local_time(said.get(name))) is not None:
            return CaptureTime(source=name, local=local), {"captured_at": f"{name} states no time zone."}
    if (local := _time_in(file_name)) is not None:
        return CaptureTime(source="file name", local=local), {"captured_at": "Only the file name states a time."}
    return CaptureTime(), {"captured_at": "The camera stated no time."}


def _time_in(file_name: str | None) -> datetime | None:
    """The local time in a name such as `cam1_2026-02-19_07-19-06.jpg`."""
    match = values.DEVICE_TIME.search(file_name or "")
    return values.local_time(match[0]) if match else None


def _identity(said: dict[str, Any]) -> tuple[str | None, str | None]:
    """Device and camera; an id such as `device:camera` states both."""
    device_id = _first_identifier(said, DEVICE_FIELDS)
    camera_id = _first_identifier(said, CAMERA_FIELDS)
    if camera_id and ":" in camera_id:
        before, _, after = camera_id.partition(":")
        if before and after and device_id in (None, before):
            return before, after
    return device_id, camera_id


def _first_identifier(said: dict[str, Any], fields: tuple[tuple[str, ...], ...]) -> str | None:
    found = (values.identifier(_at(said, *path)) for path in fields)
    return next((value for value in found if value is not None), None)


def _position(said: dict[str, Any]) -> tuple[float | None, float | None]:
    """Latitude and longitude, both or neither. A receiver without a fix says 0, 0: that is no position."""
    for path in POSITION_FIELDS:
        place = _at(said, *path)
        if not isinstance(place, dict):
            continue
        latitude = _first_number(place, ("lat", "latitude"), 90)
        longitude = _first_number(place, ("lng", "lon", "longitude"), 180)
        if latitude is not None and longitude is not None and (latitude, longitude) != (0, 0):
            return latitude, longitude
    return None, None


def _first_number(place: dict[str, Any], keys: tuple[str, ...], limit: float) -> float | None:
    found = (values.number(place.get(key), -limit, limit) for key in keys)
    return next((value for value in found if value is not None), None)


def _at(said: Any, *path: str) -> Any:
    for step in path:
        said = said.get(step) if isinstance(said, dict) else None
    return said
