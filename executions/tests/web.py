"""Rows, people and a real web server for tests of pages and streams."""

import http.client
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client

from executions.models import Camera, Execution, InferenceResult, MonitoringNode, Notification
from executions.tests import frames
from executions.tests.processes import Process, until

NOON = datetime(2026, 2, 19, 15, 0, tzinfo=UTC)  # 12:00 in Cordoba.
SMOKE = {"class": "smoke", "confidence": 0.873, "bbox": [0.25, 0.5, 0.125, 0.25]}


def ana(password: str | None = None) -> User:
    """Runs the system: staff, with every right. (Hashing a password takes longer than most tests.)"""
    return User.objects.create_superuser("ana", password=password)


def luis(password: str | None = None) -> User:
    """Of the fire crew: may see pages, not the admin."""
    return User.objects.create_user("luis", password=password)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def session_of(user: User) -> str:
    """A session's key, for processes and browsers."""
    return str(signed_in(user).cookies["sessionid"].value)


def camera(device: str = "sai-cam-node-01", name: str = "Molinari", camera_id: str = "cam1") -> Camera:
    node, _made = MonitoringNode.objects.get_or_create(device_id=device, defaults={"name": name})
    return Camera.objects.get_or_create(node=node, camera_id=camera_id)[0]


def execution(execution_id: int, **values: Any) -> Execution:
    """A row as stage 1 leaves it, unless values say more."""
    defaults = {"workflow_id": "w", "status": "running", "mode": "webhook", "n8n_created_at": NOON}
    return Execution.objects.create(execution_id=execution_id, **defaults | values)


def with_image(row: Execution, of: Camera | None = None) -> Execution:
    """As phase 1 leaves it, with real files in the store."""
    of = of or camera()
    for rendition, size in (("original", (640, 360)), ("webp", (640, 360)), ("thumb", (300, 169))):
        kind = "jpeg" if rendition == "original" else "webp"
        picture = frames.encoded(frames.landscape(*size, seed=row.pk), kind.upper())
        path = f"{rendition}/{row.pk // 1000}/{row.pk}.{kind}"
        storages["images"].save(path, ContentFile(picture))
        setattr(row, f"image_{rendition}_path", path)
    row.image_width, row.image_height, row.image_format, row.image_sha256 = 640, 360, "jpeg", f"{row.pk:064x}"
    row.image_size_bytes, row.captured_at, row.phase1_at = 1000, NOON, NOON
    row.camera, row.node = of, of.node
    row.save()
    return row


def with_result(row: Execution, **values: Any) -> Execution:
    """As phase 2 leaves it: smoke, high risk, and a message that was sent."""
    result = InferenceResult.objects.create(
        execution=row, **{"detections": [SMOKE], "risk_level": "high", "confidence_score": "0.8730"} | values
    )
    Notification.objects.create(execution=row, telegram_sent=True, telegram_sent_at=NOON)
    result.refresh_from_db()
    for name in ("risk_level", "alert_level", "confidence_score", "detection_count", "has_smoke", "has_fire"):
        setattr(row, name, getattr(result, name))
    row.status, row.completed_at, row.phase2_at, row.telegram_sent = "success", NOON, NOON, True
    row.save()
    return row


# --- Servers and streams -------------------------------------------------------------------------


class WebServer:
    """The web process as it runs in production, on a free port; use it in a `with` block."""

    def __init__(self, env: Mapping[str, str], log: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        arguments = ["--interface", "asgi", "--workers", "1", "--workers-kill-timeout", "5", "--port", str(self.port)]
        self.process = Process(["-m", "granian", *arguments, "sai_dashboard.asgi:application"], env, log)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "WebServer":
        try:
            until(self._answers, "the web server to answer")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *reason: Any) -> None:
        if self.process.is_running:
            self.process.terminate()  # A SIGKILL would leave its worker behind.
        self.process.__exit__(None, None, None)

    def _answers(self) -> bool:
        assert self.process.is_running, self.process.output()
        try:
            return self.get("/healthz").status == 200
        except OSError:
            return False

    def get(self, path: str, **headers: str) -> "Answer":
        return self.request("GET", path, **headers)

    def request(self, method: str, path: str, body: str | None = None, **headers: str) -> "Answer":
        """Header names are written with underscores: Last_Event_ID."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return answer

    def stream(self, session: str, last_event_id: str | None = None) -> "EventReader":
        return EventReader(self.port, session, last_event_id)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Received:
    """An event as it came over the wire."""

    kind: str
    id: str
    data: str


class EventReader:
    """A browser's event stream, read line by line; use it in a `with` block."""

    def __init__(self, port: int, session: str, last_event_id: str | None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        headers = {"Cookie": f"sessionid={session}"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        self.connection.request("GET", "/events/", headers=headers)
        self.response = self.connection.getresponse()

    def __enter__(self) -> "EventReader":
        assert next(self).kind == "stream-open"
        return self

    def __exit__(self, *reason: Any) -> None:
        self.response.close()
        self.connection.close()

    def __iter__(self) -> Iterator[Received]:
        return self

    def __next__(self) -> Received:
        fields: dict[str, str] = {}
        while line := self.response.readline().decode().rstrip("\n"):
            name, _colon, value = line.partition(":")
            fields[name] = value.strip()
        if not fields:
            raise StopIteration
        return Received(fields["event"], fields.get("id", ""), fields["data"])

    def take(self, count: int) -> list[Received]:
        return [next(self) for _ in range(count)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
