"""The demo: one command starts everything, and one signal stops everything."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from sai_dashboard.demo import Accounts, DemoError, daylight, free_port
from sai_dashboard.embedded import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[2]


class RunningDemo:
    """`manage.py demo` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.log = folder / "demo.log"
        # What a real deployment may have set; the demo must not touch it.
        foreign = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/real", "N8N_DATABASE_URL": ""}
        env = os.environ | foreign | {"SAI_DATA_DIR": str(self.data_dir), "PYTHONUNBUFFERED": "1"}
        with self.log.open("w") as log:
            command = [sys.executable, "manage.py", "demo", "--port", "8450", "--rate", "2"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)

    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, seconds: float = 120) -> None:
        self.until(lambda: text in self.output(), text, seconds)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end and self.process.poll() is None, f"{what}: {self.output()}"
            time.sleep(0.1)

    def url(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+/", self.output())
        assert found is not None
        return found[0]

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningDemo]:
    running = RunningDemo(tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.wait(60)
    EmbeddedPostgres(running.data_dir / "postgres").stop()


@pytest.mark.faults
def test_it_works_survives_a_killed_process_and_stops_cleanly(demo: RunningDemo) -> None:
    demo.wait_for("Press Ctrl-C")
    with urlopen(f"{demo.url()}readyz", timeout=10) as response:
        assert response.status == 200
    images = demo.data_dir / "images"
    demo.until(lambda: len(list(images.rglob("*.webp"))) > 10, "images")
    children = demo.children()
    os.kill(children[-1], signal.SIGKILL)
    demo.wait_for("is started again")
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0
    assert "killed" not in demo.output() and "Stopped." in demo.output()
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert not EmbeddedPostgres(demo.data_dir / "postgres").is_running()


def test_a_taken_port_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) > port


def test_when_all_ports_are_taken_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("taken")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(DemoError, match="--port"):
        free_port(8000)


def test_passwords_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    accounts = Accounts.load(tmp_path)
    assert Accounts.load(tmp_path) == accounts and accounts.admin_password != accounts.viewer_password
    assert (tmp_path / "demo_passwords").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("hour", "is_drawn_as_day"), [(3, True), (6, True), (7, False), (18, False), (19, True)])
def test_at_night_the_demo_shows_a_day(hour: int, is_drawn_as_day: bool) -> None:
    assert bool(daylight(hour)) == is_drawn_as_day
