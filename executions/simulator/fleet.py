"""The simulated cameras: where they stand, and what their nodes send beside the image."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zlib import crc32

CORDOBA = timezone(timedelta(hours=-3))


@dataclass(frozen=True, slots=True)
class Site:
    """A camera node (device) and where it stands, in degrees."""

    device_id: str
    location: str
    latitude: float
    longitude: float
    camera_type: str = "onvif"
    version: str = "0.2.36"


@dataclass(frozen=True, slots=True)
class SimulatedCamera:
    """One camera of a site; `azimuth` is where it looks, in degrees from north."""

    site: Site
    camera_id: str
    position: str
    azimuth: int

    @property
    def seed(self) -> int:
        """The same number for the same camera in every run: it always shows the same place."""
        return crc32(self.key.encode())

    @property
    def key(self) -> str:
        """Device and camera in one name."""
        return f"{self.site.device_id}:{self.camera_id}"

    def flat(self) -> dict[str, Any]:
        """Who and where it is, in the words of other deployments."""
        number, place = int(self.site.device_id[-2:]), {"lat": self.site.latitude, "lng": self.site.longitude}
        camera_id = f"CAM_NODE{number:03}_0{self.camera_id[-1]}"
        return {"camera_id": camera_id, "node_id": f"NODE_{number:03}", "gps": place}

    @property
    def label(self) -> str:
        """What the camera writes into its image."""
        return f"{self.site.location}  {self.camera_id}"


@dataclass(frozen=True, slots=True)
class Shot:
    """One image of one camera, as its node sends it. `captured_at` is an aware datetime."""

    camera: SimulatedCamera
    captured_at: datetime
    size: tuple[int, int]
    image: bytes
    brightness: float = 118.4

    @property
    def file_name(self) -> str:
        """The name of the image part."""
        return f"{self.camera.camera_id}_{self.local_time}.jpg"

    @property
    def local_time(self) -> str:
        """The device's clock, without a zone, as camera nodes write it."""
        return self.captured_at.astimezone(CORDOBA).strftime("%Y-%m-%d_%H-%M-%S")

    def metadata(self) -> dict[str, Any]:
        """The content of metadata.json."""
        site, camera = self.camera.site, self.camera
        utc = self.captured_at.astimezone(UTC).replace(tzinfo=None)
        return {
            "timestamp": self.local_time,
            "device_id": site.device_id,
            "camera_id": camera.camera_id,
            "location": site.location,
            "version": site.version,
            "camera_type": site.camera_type,
            "device": {
                "uptime_seconds": round(self.captured_at.timestamp() % 864_000, 1),
                "description": "SAI-Cam Edge Node",
            },
            "system": self._system(),
            "camera": {"capture_interval": 300, "position": camera.position, "resolution": list(self.size)},
            "image": {"brightness_avg": self.brightness, "dimensions": list(self.size)},
            "environment": {"capture_time_utc": utc.isoformat(timespec="microseconds") + "Z", "timezone": "-0300"},
        }

    def metadata_file(self) -> bytes:
        """The bytes of the metadata part."""
        return json.dumps(self.metadata(), ensure_ascii=False).encode()

    def _system(self) -> dict[str, float]:
        # Slow waves instead of chance, so that the same shot always has the same metadata.
        wave = (self.captured_at.timestamp() / 97 + self.camera.seed) % 10
        return {
            "cpu_percent": round(18 + wave, 1),
            "memory_percent": round(40 + wave / 5, 1),
            "disk_percent": 37.2,
            "cpu_temp": round(48 + wave, 1),
        }


SITES = (
    Site("sai-cam-node-01", "Molinari", -31.2190, -64.4815),
    Site("sai-cam-node-02", "Cerro Uritorco", -30.8450, -64.4830, "rtsp"),
    Site("sai-cam-node-03", "La Cumbre", -30.9820, -64.4910),
    Site("sai-cam-node-04", "Los Gigantes", -31.3960, -64.7830),
    Site("sai-cam-node-05", "Valle Hermoso", -31.1170, -64.4810, "rtsp", "0.2.31"),
    Site("sai-cam-node-06", "Ascochinga", -30.9550, -64.2710),
)
POSITIONS = (("cam1", "north", 0), ("cam2", "east", 90), ("cam3", "south", 180), ("cam4", "west", 270))
CAMERAS = tuple(SimulatedCamera(site, *position) for site in SITES for position in POSITIONS)
