"""Where benchmarks are run: two databases, a folder, and the product's processes on them."""

import http.client
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

from executions.bench import databases
from executions.bench.feed import FULL_HD, Feed, Size, draw
from executions.bench.processes import Running, until

OURS = "sai_executions, etl_processing_queue, sai_inference_results, sai_notifications, django_eventstream_event"


@dataclass(frozen=True)
class Options:
    """How much to do: `seconds` of load for each part that has a load, `rows` of history where size matters."""

    seconds: float = 10
    rows: int = 200_000


@dataclass(frozen=True)
class Web:
    """A running web server: `host:port`, and the cookie of somebody who is signed in."""

    address: str
    cookie: str
    process: Running


@dataclass
class Lab:
    """`folder` is for files; `ours` and `n8n` are addresses of databases, `env` is the environment of processes."""

    folder: Path
    ours: str
    n8n: str
    env: dict[str, str]
    workflow_id: str
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def images(self) -> Path:
        return Path(self.env["IMAGE_ROOT"])

    def clear(self) -> None:
        """Both databases as they were at first, but for the workflow and the counter of events."""
        with psycopg.connect(self.ours, autocommit=True) as ours, psycopg.connect(self.n8n, autocommit=True) as n8n:
            ours.execute(f"TRUNCATE {OURS} CASCADE".encode())
            n8n.execute("TRUNCATE execution_entity, execution_data CASCADE")

    def path(self, name: str) -> Path:
        """A path in the folder that nothing has yet."""
        return self.folder / f"{next(self._numbers):03d}-{name}"

    def run(self, *arguments: str) -> Running:
        """A Python process: a script or -m module, and its arguments."""
        name = arguments[1] if arguments[0] in ("-m", "manage.py") else arguments[0]
        return Running(arguments, self.env, self.path(f"{name}.log"))

    @contextmanager
    def listener(self) -> Iterator[Running]:
        """A listener that hears, with ETL_MAX_CONCURRENT=2 extraction threads."""
        with self.run("manage.py", "listen_n8n") as process:
            process.wait_for("listener.listening")
            yield process

    @contextmanager
    def web(self) -> Iterator[Web]:
        """The web server as docs/operations.md starts it, and somebody signed in."""
        address = f"127.0.0.1:{_free_port()}"
        application = f"{os.environ['DJANGO_SETTINGS_MODULE'].rpartition('.')[0]}.asgi:application"
        arguments = ["--interface", "asgi", "--workers", "1", "--host", "127.0.0.1", "--port", address[10:]]
        with self.run("-m", "granian", *arguments, "--workers-kill-timeout", "5", application) as process:
            until(lambda: _answers(address), "the web server", 90, process)
            yield Web(address, f"{settings.SESSION_COOKIE_NAME}={signed_in().cookies[_cookie_name()].value}", process)

    def feed(self, size: Size = FULL_HD, frames: int = 3) -> Feed:
        """A simulated n8n in this process."""
        return Feed(self.n8n, self.frames(size, frames), self.workflow_id)

    def feeding(self, rate: float, number: int, workflow_id: str) -> Running:
        """A simulated n8n as a process of its own."""
        arguments = ["--rate", str(rate), "--count", str(number), "--workflow-id", workflow_id]
        return self.run("-m", "executions.bench.feed", str(self.frames(FULL_HD)), *arguments)

    def frames(self, size: Size, number: int = 3) -> Path:
        return draw(self.folder, size, number)

    def payloads(self, size: Size, number: int = 3) -> Path:
        """A folder with what n8n stores of ended executions with such frames, for the references."""
        target = self.folder / f"payloads-{size[0]}x{size[1]}"
        if not target.exists():
            with self.feed(size, number) as n8n:
                ids = [n8n.begin().finish() for _ in range(number)]
            query = 'SELECT data FROM execution_data WHERE "executionId" = ANY(%s)'
            with psycopg.connect(self.n8n, autocommit=True) as connection:
                texts = [text for (text,) in connection.execute(query, [ids])]
                connection.execute("DELETE FROM execution_entity WHERE id = ANY(%s)", [ids])
            target.mkdir()
            for index, text in enumerate(texts):
                (target / f"{index}.json").write_text(text)
        return target


@contextmanager
def lab() -> Iterator[Lab]:
    """A lab with everything in it; nothing of it remains. Raises BenchError when it cannot be had."""
    workflow_ids = list(settings.N8N_WORKFLOW_IDS)
    with databases.bench_databases(workflow_ids), tempfile.TemporaryDirectory(prefix="sai-bench-") as name:
        ours, n8n = databases.url("default"), databases.url("n8n")
        env = os.environ | {
            "DATABASE_URL": ours,
            "N8N_DATABASE_URL": n8n,
            "N8N_WORKFLOW_IDS": ",".join(workflow_ids),
            "SECRET_KEY": settings.SECRET_KEY,
            "IMAGE_ROOT": f"{name}/images",
            "IMAGE_STORAGE": "null",
            "ETL_MAX_CONCURRENT": "2",
            "LOG_JSON": "1",
            "LOG_LEVEL": "INFO",
            "PYTHONUNBUFFERED": "1",
        }
        yield Lab(Path(name), ours, n8n, env, workflow_ids[0])


def signed_in() -> Client:
    """Django's own client, signed in as somebody who may look at pages."""
    users = get_user_model().objects
    user = users.filter(username="bench").first() or users.create_user("bench")
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def result_of(process: Running) -> dict[str, float]:
    """What a process of a reference printed at its end."""
    process.finish()
    found: dict[str, float] = json.loads(process.output().splitlines()[-1])
    return found


def _cookie_name() -> str:
    return str(settings.SESSION_COOKIE_NAME)


def _answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
