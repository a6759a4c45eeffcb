"""Who hears of what happens, and when: bare LISTEN, and a browser. All on the clock of this process (perf_counter)."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg

from executions.bench.figures import BenchError

TICK_S = 0.2


@dataclass(frozen=True)
class Heard:
    """Something that arrived: when, what kind (a channel, or a kind of event), and its content."""

    at: float
    kind: str
    content: str


class Hearing(threading.Thread):
    """A thread that notes what arrives, in a `with` block. Subclasses hear; `ready` is set once nothing is missed."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.heard: list[Heard] = []
        self.ready = threading.Event()
        self.stopping = threading.Event()
        self._changed = threading.Condition()

    def note(self, at: float, kind: str, content: str) -> None:
        with self._changed:
            self.heard.append(Heard(at, kind, content))
            self._changed.notify_all()

    def wait_for(self, wanted: Callable[[Heard], bool], what: str, timeout_s: float = 30) -> Heard:
        """The first thing heard that is wanted, also if it was heard before. Raises BenchError after `timeout_s`."""
        end, seen = time.monotonic() + timeout_s, 0
        with self._changed:
            while time.monotonic() < end:
                for heard in self.heard[seen:]:
                    seen += 1
                    if wanted(heard):
                        return heard
                self._changed.wait(0.1)
        raise BenchError(f"Waited {timeout_s:g} s in vain for {what}.")

    def __enter__(self) -> Self:
        self.start()
        if not self.ready.wait(30):
            raise BenchError(f"{type(self).__name__} could not connect within 30 s.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.join(5)


class Ear(Hearing):
    """Bare LISTEN on one channel: nothing hears of a commit earlier."""

    def __init__(self, url: str, channel: str) -> None:
        super().__init__()
        self.url, self.channel = url, channel

    def run(self) -> None:
        with psycopg.connect(self.url, autocommit=True, application_name="sai_bench_ear") as connection:
            connection.execute(f"LISTEN {self.channel}".encode())
            self.ready.set()
            while not self.stopping.is_set():
                for notify in connection.notifies(timeout=TICK_S):
                    self.note(time.perf_counter(), notify.channel, notify.payload)


class Browser(Hearing):
    """A client of `/events/`, as a browser's EventSource is one."""

    def __init__(self, address: str, cookie: str) -> None:
        super().__init__()
        self._connection = http.client.HTTPConnection(address, timeout=30)
        self._cookie = cookie

    def run(self) -> None:
        self._connection.request("GET", "/events/", headers={"Cookie": self._cookie, "Accept": "text/event-stream"})
        # Kept apart: the connection lets go of its socket once a response is the last.
        self._socket = self._connection.sock
        with self._connection.getresponse() as response:
            if response.status == http.client.OK:
                self._follow(response)
        self._connection.close()

    def _follow(self, response: http.client.HTTPResponse) -> None:
        kind = ""
        while line := response.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                kind = value
                if kind == "stream-open":
                    self.ready.set()
            elif name == "data":
                self.note(time.perf_counter(), kind, value)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # The server may have ended the stream before.
            self._socket.shutdown(socket.SHUT_RDWR)  # Ends the thread, which waits for the next line.
        super().__exit__(kind, error, trace)


def content(heard: Heard) -> dict[str, Any]:
    """The JSON object that a wake-up of n8n or an event to browsers carries."""
    found: dict[str, Any] = json.loads(heard.content)
    return found
