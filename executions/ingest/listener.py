"""The listener: hears of every execution at once, and finds by itself what it did not hear of.

A wake-up is only a hint with an id. It is answered by `record`, which reads the row. Four things keep it honest:

  * LISTEN first, then sweep: what committed before LISTEN was never notified;
  * a nonce, sent from a second connection, has to come back (hearing.py): a half-open socket looks alive for ever;
  * sweeps on start, after each reconnect and every ETL_SWEEP_SECONDS;
  * one active listener (an advisory lock on the listening connection itself, so it goes when the connection goes);
    a second one waits as hot standby. Two active ones would only do the same work twice.
"""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connections

from executions.ingest.hearing import CHANNEL, Hearing
from executions.ingest.recording import record
from executions.ingest.sweeper import Sweeper
from executions.ingest.worker import Worker, backoff
from executions.n8n.connect import Connection, connect

log = structlog.get_logger()

CHANNELS = ("sai_execution_created", "sai_execution_completed")
APPLICATION = "sai_listener"
ADVISORY_LOCK = 0x5A15A1
# notifies() returns at least this often, so that a stop is never waited for longer.
TICK_S = 0.5
STANDBY_POLL_S = 2.0
# Wake-ups that arrive together are recorded together, up to this many.
BATCH = 200


@dataclass(frozen=True)
class WakeUp:
    """A hint from n8n's database: this execution was created, or has ended."""

    execution_id: int

    @classmethod
    def parse(cls, payload: str) -> "WakeUp | None":
        """None for what we did not send: anybody with a login to n8n's database can notify."""
        try:
            content = json.loads(payload)
        except (ValueError, RecursionError):
            return None
        execution_id = content.get("execution_id") if isinstance(content, dict) else None
        if type(execution_id) is not int or not 0 < execution_id < 2**63:
            return None
        return cls(execution_id)


class Listener:
    """Runs until `stop`; survives the loss of either database for any length of time."""

    def __init__(self, worker: Worker | None = None) -> None:
        self.worker = worker
        self.sweeper = Sweeper(self._wake_worker)
        self._stopping = threading.Event()
        self._backend: int | None = None

    def stop(self) -> None:
        self._stopping.set()
        self.sweeper.stop()

    def run(self) -> None:
        """Connect, listen, and begin again after every loss, for ever."""
        failures = 0
        self.sweeper.start()
        while not self._stopping.is_set():
            heard_since = time.monotonic()
            try:
                with connect(application_name=APPLICATION) as connection:
                    self._session(connection)
            except Exception as error:  # Whatever it was, to stop listening would be worse.
                close_old_connections()
                failures = 1 if time.monotonic() - heard_since > 60 else failures + 1
                self._report_loss(error, pause := backoff(failures))
                self._stopping.wait(pause)
        self.sweeper.join()
        connections.close_all()

    def _session(self, connection: Connection) -> None:
        """One connection's life: become the active listener, LISTEN, then sweep, then hear."""
        with Hearing(connection) as hearing:
            if not self._become_active(connection, hearing):
                return
            for channel in CHANNELS:
                connection.execute(f"LISTEN {channel}".encode())
            self._backend = connection.info.backend_pid
            log.info("Listening to n8n.", action="listener.listening", backend=self._backend)
            self.sweeper.request_full()
            while not self._stopping.is_set():
                self.hear(connection, hearing)

    def _become_active(self, connection: Connection, hearing: Hearing) -> bool:
        """Wait for the advisory lock; True once it is ours, False when told to stop.

        The backend of our own lost connection may still hold it: that one is ended.
        """
        announced = False
        while not self._stopping.is_set():
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (ADVISORY_LOCK,)).fetchone()
            if row and row[0]:
                return True
            if self._backend is not None:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND application_name = %s",
                    (self._backend, APPLICATION),
                )
                self._backend = None
            elif not announced:
                log.info("Another listener is active; this one stands by.", action="listener.standby")
                announced = True
            for notify in connection.notifies(timeout=STANDBY_POLL_S, stop_after=1):
                hearing.answer(notify.payload)
        return False

    def hear(self, connection: Connection, hearing: Hearing) -> None:
        """Take the wake-ups of one tick and record what they point at."""
        ids: set[int] = set()
        for notify in self._notifies(connection):
            if notify.channel == CHANNEL:
                hearing.answer(notify.payload)
            elif wake_up := WakeUp.parse(notify.payload):
                ids.add(wake_up.execution_id)
            else:
                log.warning(
                    "Ignored a wake-up that is not ours.",
                    action="listener.bad_wake_up",
                    channel=notify.channel,
                )
        if ids:
            self.on_wake_ups(ids)

    def _notifies(self, connection: Connection) -> Iterator[psycopg.Notify]:
        """What arrives within a tick: returns with the first wake-ups, and with all that came with them."""
        taken = 0
        for notify in connection.notifies(timeout=TICK_S, stop_after=1):
            yield notify
            taken += 1
        while 0 < taken < BATCH:
            more = list(connection.notifies(timeout=0, stop_after=BATCH - taken))
            yield from more
            taken = taken + len(more) if more else BATCH

    def on_wake_ups(self, ids: set[int]) -> None:
        """Record these executions. One that cannot be recorded is pushed aside: the sweep comes back to it."""
        try:
            record(ids)
        except (OperationalError, InterfaceError) as error:
            close_old_connections()
            log.warning(
                "Could not record at once; the sweep will.",
                action="listener.record_failed",
                error=str(error).strip(),
            )
            self.sweeper.request_full(delay_s=1.0)
        except Exception:
            log.exception("Could not record together; trying one by one.", action="listener.record_failed")
            for execution_id in sorted(ids):
                self._record_alone(execution_id)
        self._wake_worker()

    def _record_alone(self, execution_id: int) -> None:
        try:
            record([execution_id])
        except Exception:
            log.exception(
                f"Execution {execution_id} cannot be recorded.",
                action="listener.record_failed",
                execution_id=execution_id,
            )

    def _wake_worker(self) -> None:
        if self.worker is not None:
            self.worker.wake()

    def _report_loss(self, error: Exception, pause: float) -> None:
        if not isinstance(error, (psycopg.Error, DatabaseError)):
            log.error("The listener met an unexpected error.", action="listener.unexpected_error", exc_info=error)
        log.warning(
            f"Lost the connection to n8n; trying again in about {pause:.1f} s.",
            action="listener.lost",
            error=str(error).strip(),
        )
