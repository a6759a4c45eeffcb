"""Whether the listener still hears: a watchdog in a thread of its own.

A half-open socket looks alive for ever: waiting on it returns nothing, and a query on it never returns. So a nonce is
sent from another connection now and then. When the listening loop does not report it back in time, be it that the
network or the loop itself is stuck, every connection to n8n is broken off, and the listener begins anew.
"""

import threading
from secrets import token_hex
from types import TracebackType

import structlog

from executions.n8n import source
from executions.n8n.connect import Connection, break_off, connect

log = structlog.get_logger()

CHANNEL = "sai_listener_probe"
PROBE_EVERY_S = 10.0
ANSWER_WITHIN_S = 5.0


class Hearing:
    """Watches one listening connection for the length of a `with` block."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._nonce: str | None = None
        self._ended = threading.Event()
        self._answered = threading.Event()

    def __enter__(self) -> "Hearing":
        self._connection.execute(f"LISTEN {CHANNEL}".encode())
        threading.Thread(target=self._watch, name="hearing", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def answer(self, payload: str) -> None:
        """The listening loop heard this on CHANNEL; another listener's nonce proves nothing."""
        if payload == self._nonce:
            self._answered.set()

    def _watch(self) -> None:
        while not self._ended.wait(PROBE_EVERY_S):
            if not self.probe():
                if not self._ended.is_set():
                    log.warning("Nothing is heard any more from n8n; connecting anew.", action="listener.deaf")
                    break_off(self._connection)
                    source.break_off_connections()
                return

    def probe(self) -> bool:
        """Send a nonce; whether it came back in time."""
        self._answered.clear()
        self._nonce = token_hex(8)
        # In a thread of its own again: with the network gone, sending may hang as well.
        threading.Thread(target=self._send, args=(self._nonce,), name="probe", daemon=True).start()
        return self._answered.wait(ANSWER_WITHIN_S)

    def _send(self, nonce: str) -> None:
        try:
            with connect(application_name="sai_probe") as other:
                other.execute("SELECT pg_notify(%s, %s)", (CHANNEL, nonce))
        except Exception as error:  # Not sent is not answered: the watchdog draws the conclusion.
            log.warning("The probe could not be sent.", action="listener.probe_failed", error=str(error).strip())
