"""The demo: every process of the dashboard, and a simulated n8n, on this machine; stopped together.

It has databases and images of its own (the embedded PostgreSQL below the data folder), whatever `.env` says: a demo
must never write into somebody's n8n.
"""

import ctypes
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sai_dashboard.embedded import EmbeddedPostgres

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
STOP_WITHIN_S = 15
PR_SET_PDEATHSIG = 1
# Enough for a full first page, quickly: frames are drawn once and sent again.
FIRST_EXECUTIONS = ("--count", "24", "--rate", "20", "--pool", "8")


class DemoError(Exception):
    """The demo cannot start or go on; the message says what to do."""


@dataclass(frozen=True)
class Accounts:
    """The demo's two log-ins. The passwords are made once and kept, so that a restart logs nobody out."""

    admin_password: str
    viewer_password: str

    @classmethod
    def load(cls, data_dir: Path) -> "Accounts":
        path = data_dir / "demo_passwords"
        if not path.exists():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{secrets.token_urlsafe(9)}\n{secrets.token_urlsafe(9)}\n")
        admin, viewer = path.read_text().split()
        return cls(admin, viewer)


class Demo:
    """Starts everything in order, restarts what dies, stops everything in order."""

    def __init__(self, data_dir: Path, port: int, rate: float, time_zone: str, say: Callable[[str], None]) -> None:
        self.data_dir = data_dir
        self.port = port
        self.rate = rate
        self.say = say
        self.postgres = EmbeddedPostgres(data_dir / "postgres")
        self.accounts: Accounts | None = None
        self.daylight = daylight(datetime.now(ZoneInfo(time_zone)).hour)
        self._stopping = threading.Event()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._stopping.set()

    def run(self, once: bool = False) -> None:
        """Everything up, then watch until `stop`. Raises DemoError, EmbeddedPostgresError."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self._alone(), self._postgres():
            self.port = free_port(self.port)
            self._prepare()
            try:
                self._start_all()
                self._say_where()
                while not self._stopping.wait(1.0) and not once:
                    self._restart_dead()
            finally:
                self._stop_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with open(self.data_dir / "demo.lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DemoError("The demo is running already, in another terminal.") from None
            yield

    @contextmanager
    def _postgres(self) -> Iterator[None]:
        self.say("Starting PostgreSQL ...")
        self.postgres.start()
        try:
            for name in ("sai", "n8n"):
                self.postgres.create_database(name)
            yield
        finally:
            self.say("Stopping PostgreSQL ...")
            self.postgres.stop()

    def _prepare(self) -> None:
        """Tables, a simulated n8n with some history, triggers and log-ins; the same again changes nothing."""
        self.accounts = Accounts.load(self.data_dir)
        self.say("Preparing the databases ...")
        self._manage("migrate", "--verbosity", "0")
        self._manage("simulate_n8n", "--create-schema", *FIRST_EXECUTIONS, *self.daylight)
        self._manage("install_n8n_triggers")
        passwords = f"{self.accounts.admin_password}\n{self.accounts.viewer_password}\n"
        self._manage("demo_accounts", stdin=passwords)

    def _start_all(self) -> None:
        manage = [sys.executable, str(ROOT / "manage.py")]
        server = ["-m", "granian", "--interface", "asgi", "--host", HOST, "--port", str(self.port)]
        server += ["--workers", "1", "--workers-kill-timeout", "5", "sai_dashboard.asgi:application"]
        self._commands = {
            "web": [sys.executable, *server],
            "listener": [*manage, "listen_n8n"],
            "worker": [*manage, "etl_worker", "--concurrency", "1"],
            "n8n": [*manage, "simulate_n8n", "--rate", str(self.rate), *self.daylight],
        }
        for name in self._commands:
            self._start(name)
        self._wait_for_web()

    def _start(self, name: str) -> None:
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                self._commands[name],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us alone; we stop the others in order.
                preexec_fn=_die_with_parent,
            )

    def _wait_for_web(self) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end and not self._stopping.is_set():
            if self._running["web"].poll() is not None:
                raise DemoError(f"The web server did not start; see {self._log('web')}.")
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(0.1)

    def _say_where(self) -> None:
        assert self.accounts is not None
        if self._stopping.is_set():
            return
        self.say(
            f"\n  SAI Dashboard     http://{HOST}:{self.port}/"
            f"\n  administrator     admin / {self.accounts.admin_password}"
            f"\n  viewer            viewer / {self.accounts.viewer_password}"
            f"\n  logs              {self._log('*')}"
            "\n\nA simulated n8n writes an execution every few seconds. Press Ctrl-C to stop everything."
        )

    def _restart_dead(self) -> None:
        for name, process in self._running.items():
            code = process.poll()
            if code is not None:
                self.say(f"{name} ended with code {code} and is started again; see {self._log(name)}.")
                self._start(name)

    def _stop_all(self) -> None:
        """n8n first, so that nothing new comes; then who reads it, then who shows it."""
        self.say("\nStopping ...")
        for name in ("n8n", "listener", "worker", "web"):
            process = self._running.get(name)
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.say(f"{name} did not stop within {STOP_WITHIN_S} s and is killed.")
                process.kill()
                process.wait()

    def _manage(self, *arguments: str, stdin: str = "") -> None:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self._environment(), input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise DemoError(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")

    def _environment(self) -> dict[str, str]:
        """Ours, but nothing of a real deployment that the environment or `.env` may name."""
        return os.environ | {
            "SAI_DATA_DIR": str(self.data_dir),
            "DATABASE_URL": self.postgres.url("sai"),
            "N8N_DATABASE_URL": self.postgres.url("n8n"),
            "N8N_ADMIN_DATABASE_URL": "",
            "N8N_WORKFLOW_IDS": "yDbfhooKemfhMIkC",
            "N8N_NODE_NAMES": "",
            "N8N_BINARY_DATA_PATH": "",
            "N8N_STORAGE_PATH": "",
            "IMAGE_ROOT": str(self.data_dir / "images"),
            "IMAGE_STORAGE": "",
            "ALLOWED_HOSTS": f"{HOST},localhost",
            "HTTPS": "0",
            "PYTHONUNBUFFERED": "1",
        }

    def _log(self, name: str) -> Path:
        folder = self.data_dir / "logs"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.log"


def daylight(hour: int) -> list[str]:
    """Options for the simulator: whoever looks at night wants to see something all the same."""
    return [] if 7 <= hour < 19 else ["--draw-hour", "17"]


def free_port(wanted: int) -> int:
    """The wanted port, or one of the next twenty. Raises DemoError when all are taken."""
    for port in range(wanted, wanted + 20):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise DemoError(f"The ports {wanted} to {wanted + 19} are all taken: choose another with --port.")


def _die_with_parent() -> None:
    """In the child: SIGTERM when the demo itself is killed, so that nothing is left behind. Linux only."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
