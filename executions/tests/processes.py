"""Real processes under test: start a command of manage.py, wait for what it does, kill it at a chosen step."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psycopg

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """A running command. Always used in a `with` block, so that nothing outlives its test."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, env=dict(env), stdout=output, stderr=output
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text: str, times: int = 1) -> None:
        until(lambda: self.output().count(text) >= times, f"{text!r} in the log:\n{self.output()[-3000:]}")

    def terminate(self, timeout: float = 20) -> int:
        """SIGTERM, then the exit code."""
        self._popen.terminate()
        return self._popen.wait(timeout)

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def wait(self, timeout: float = 60) -> int:
        return self._popen.wait(timeout)


def manage(env: Mapping[str, str], log: Path, *arguments: str) -> Process:
    """`manage.py <arguments>` as a process of its own."""
    return Process(["manage.py", *arguments], env, log)


def killed_after(step: str, env: Mapping[str, str], log: Path, *arguments: str, call: int = 1) -> Process:
    """`manage.py <arguments>` that kills itself with SIGKILL when `step` has been done for the n-th time."""
    return Process(["-m", "executions.tests.killable", step, str(call), *arguments], env, log)


def until(condition: Callable[[], bool], what: str, timeout: float = 30) -> None:
    """Wait for a condition, at most `timeout` seconds; then fail, saying what was waited for."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(0.05)


class Proxy:
    """A TCP proxy in front of PostgreSQL that can turn every open connection into a half-open one."""

    def __init__(self, url: str) -> None:
        info = psycopg.conninfo.conninfo_to_dict(url)
        self._target = (str(info["host"]), int(str(info["port"])))
        self._server = socket.create_server(("127.0.0.1", 0))
        port = self._server.getsockname()[1]
        self.url = f"postgresql://{info['user']}:{info['password']}@127.0.0.1:{port}/{info['dbname']}"
        self._frozen: set[int] = set()
        self._sockets: list[socket.socket] = []
        self._count = 0

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        for each in self._sockets:
            each.close()

    def freeze(self) -> None:
        self._frozen = set(range(self._count))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            number, self._count = self._count, self._count + 1
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target, number), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, number: int) -> None:
        try:
            while data := source.recv(65536):
                while number in self._frozen:
                    time.sleep(0.1)
                target.sendall(data)
        except OSError:
            pass
