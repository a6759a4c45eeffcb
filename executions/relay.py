"""From our database to the event streams of this web process.

django-eventstream tells only the clients of its own process. So each web process LISTENs on our database, on a
thread of its own, and puts every event into the queues of django-eventstream's listeners. A NOTIFY is only a hint:
when a connection breaks, all streams are told to read the table from where they are.
"""

import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from django.db import connection
from django_eventstream.event import Event as QueuedEvent
from django_eventstream.views import Listener, get_listener_manager

from executions import events
from executions.events import CHANNEL, NOTIFY_CHANNEL

log = structlog.get_logger()

PROBE_EVERY_S = 15.0
PROBE_PATIENCE_S = 5.0
LONGEST_BACK_OFF_S = 5.0
# Between two looks at whether to stop or to probe.
POLL_S = 0.5
LOAD = "SELECT eid, type, data FROM django_eventstream_event WHERE channel = %s AND eid = ANY(%s) ORDER BY eid"


class DeafConnection(psycopg.OperationalError):
    """A notification that was sent did not arrive: the listening connection looks alive, but is not."""


# --- Queues --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """What a queue held. Behind: it could not hold everything, so read the table. Ended: the process stops."""

    events: Sequence[events.Event]
    behind: bool
    ended: bool


def join() -> Listener:
    """A queue for one stream. Call it in the stream's own event loop; from now on it misses nothing."""
    listener = Listener()
    listener.channels = {CHANNEL}
    listener.assign_loop()
    get_listener_manager().add_listener(listener)
    start()
    return listener


def leave(listener: Listener) -> None:
    get_listener_manager().remove_listener(listener)


def take(listener: Listener) -> Taken:
    """Empty the queue."""
    with get_listener_manager().lock:
        queued, behind = listener.channel_items.get(CHANNEL, []), listener.overflow
        listener.aevent.clear()
        listener.channel_items = {}
        listener.overflow = False
    return Taken([events.Event(e.id, e.type, e.data) for e in queued], behind, bool(listener.error))


def _wake_all(*, ended: bool = False) -> None:
    """Let every stream read the table, as after an overflow of its queue, or end it."""
    manager = get_listener_manager()
    with manager.lock:
        for listener in manager.listeners_by_channel.get(CHANNEL, ()):
            listener.overflow = True
            listener.error = "ended" if ended else listener.error
            listener.wake_threadsafe()


# --- The thread ----------------------------------------------------------------------------------

_start_lock = threading.Lock()
_relay: "Relay | None" = None


def start() -> None:
    """Start this process's relay unless it runs. The first stream does; commands never need it."""
    global _relay
    with _start_lock:
        if _relay is None or not _relay.is_alive():
            _relay = Relay()
            _relay.start()


def stop() -> None:
    """End the relay and all streams, so that the process can end."""
    with _start_lock:
        if _relay is not None:
            _relay.stopping.set()
    _wake_all(ended=True)


class Relay(threading.Thread):
    """LISTENs until it is stopped; reconnects for ever."""

    def __init__(self) -> None:
        super().__init__(name="events-relay", daemon=True)
        self.stopping = threading.Event()
        self.failures = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.listen()
            except Exception as error:
                # Whatever it was: after the next LISTEN the streams read what they missed.
                self._back_off(error)

    def _back_off(self, error: Exception) -> None:
        self.failures += 1
        longest = min(LONGEST_BACK_OFF_S, 0.1 * 2**self.failures)
        wait_s = longest * random.uniform(0.5, 1)
        log.warning(
            "The relay of events lost its connection and opens a new one.",
            action="events.relay_lost",
            error=str(error).strip(),
            wait_s=round(wait_s, 2),
        )
        self.stopping.wait(wait_s)

    def listen(self) -> None:
        """Relay until stopped; raises when a connection breaks or goes deaf."""
        with _connect("sai_relay_listen") as listening, _connect("sai_relay_ask") as asking:
            listening.execute(f"LISTEN {NOTIFY_CHANNEL}")
            # What was committed before LISTEN was not notified.
            _wake_all()
            log.info("Relaying events.", action="events.relaying")
            probe = Probe(asking)
            while not self.stopping.is_set():
                probe.check()
                payloads = [n.payload for n in listening.notifies(timeout=POLL_S, stop_after=1)]
                _deliver(asking, [payload for payload in payloads if not probe.is_answer(payload)])
                self.failures = 0


@contextmanager
def _connect(name: str) -> Iterator["psycopg.Connection[Any]"]:
    """An autocommit connection to our database; a listener in a transaction would pin the server's queue."""
    params = connection.get_connection_params()
    for key in ("cursor_factory", "context", "prepare_threshold", "client_encoding"):
        params.pop(key, None)
    connected = psycopg.connect(**params | {"autocommit": True, "application_name": name})
    try:
        yield connected
    finally:
        connected.close()


class Probe:
    """A half-open socket looks alive for ever. Only a message that comes through proves that the line works."""

    def __init__(self, asking: "psycopg.Connection[Any]") -> None:
        self.asking = asking
        self.nonce = ""
        self.sent_at = time.monotonic()

    def check(self) -> None:
        """Send a message to ourselves from time to time; raises DeafConnection when it does not arrive."""
        age = time.monotonic() - self.sent_at
        if self.nonce and age > PROBE_PATIENCE_S:
            raise DeafConnection("A notification that was sent did not arrive.")
        if not self.nonce and age > PROBE_EVERY_S:
            self.nonce, self.sent_at = f"probe:{secrets.token_hex(8)}", time.monotonic()
            with _deadline(self.asking):
                self.asking.execute("SELECT pg_notify(%s, %s)", (NOTIFY_CHANNEL, self.nonce))

    def is_answer(self, payload: str) -> bool:
        """Whether this is a probe, ours or that of another process."""
        if payload == self.nonce:
            self.nonce = ""
        return payload.startswith("probe:")


@contextmanager
def _deadline(asking: "psycopg.Connection[Any]") -> Iterator[None]:
    """Break a connection whose server does not answer; nothing else ends such a query."""
    with socket.socket(fileno=socket.dup(asking.fileno())) as line:
        timer = threading.Timer(PROBE_PATIENCE_S, line.shutdown, [socket.SHUT_RDWR])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _deliver(asking: "psycopg.Connection[Any]", payloads: Sequence[str]) -> None:
    """Put the events that the payloads name into the queue of each stream of this process."""
    manager = get_listener_manager()
    ids = [int(payload.removeprefix(f"{CHANNEL}:")) for payload in payloads if payload.startswith(f"{CHANNEL}:")]
    if not ids or not manager.listeners_by_channel:
        return
    with _deadline(asking):
        rows = asking.execute(LOAD, (CHANNEL, ids)).fetchall()
    for eid, kind, data in rows:
        manager.add_to_queues(CHANNEL, QueuedEvent(CHANNEL, kind, data, id=eid))
