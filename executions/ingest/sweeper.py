"""The sweeper: a thread beside the listener that finds what no wake-up told of; no wake-up waits for a sweep."""

import threading
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connections

from executions.ingest import catchup
from executions.ingest.worker import backoff
from executions.models import Execution

log = structlog.get_logger()

FULL_SWEEP_EVERY_S = 3600.0


class Sweeper:
    """Sweeps recent ids every ETL_SWEEP_SECONDS, and everything when asked and once an hour."""

    def __init__(self, on_found: Callable[[], None]) -> None:
        self._on_found = on_found
        self._changed = threading.Condition()
        self._is_stopping = False
        self._full_due_at = float("inf")  # Nothing is swept before LISTEN stands: ask with request_full.
        self._recent_due_at = float("inf")
        self._thread = threading.Thread(target=self._run, name="sweeper")
        self._stuck: set[int] = set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def join(self) -> None:
        self._thread.join()

    def request_full(self, delay_s: float = 0) -> None:
        """Sweep everything as soon as possible, or after a delay."""
        with self._changed:
            self._full_due_at = min(self._full_due_at, time.monotonic() + delay_s)
            self._changed.notify_all()

    def _run(self) -> None:
        failures = 0
        while (is_full := self._wait()) is not None:
            try:
                self.sweep(is_full=is_full)
                failures = 0
            except (OperationalError, InterfaceError) as error:
                failures += 1
                close_old_connections()
                self._report_failure(error, backoff(failures))
                self.request_full(backoff(failures))
            except Exception:
                failures += 1
                log.exception("A sweep met an unexpected error.", action="sweep.unexpected_error")
                self.request_full(backoff(failures))
        connections.close_all()

    def _wait(self) -> bool | None:
        """Sleep until a sweep is due: True for a full one, False for a recent one, None when told to stop."""
        with self._changed:
            while not self._is_stopping:
                now = time.monotonic()
                if self._full_due_at <= now:
                    self._full_due_at = now + FULL_SWEEP_EVERY_S
                    self._recent_due_at = now + settings.ETL_SWEEP_SECONDS
                    return True
                if self._recent_due_at <= now:
                    self._recent_due_at = now + settings.ETL_SWEEP_SECONDS
                    return False
                due = min(self._full_due_at, self._recent_due_at)
                self._changed.wait(None if due == float("inf") else due - now)
        return None

    def sweep(self, *, is_full: bool) -> catchup.Swept:
        """One sweep; says what it found, and which executions are stuck."""
        begun = time.monotonic()
        swept = catchup.sweep_full() if is_full else catchup.sweep_recent()
        if swept.total:
            self._on_found()
            log.info(
                f"A sweep found {swept.missing} missed, {swept.changed} changed and {swept.gone} deleted executions.",
                action="sweep.found",
                missing=swept.missing,
                changed=swept.changed,
                gone=swept.gone,
                ms=round((time.monotonic() - begun) * 1000),
            )
        self._report_stuck()
        return swept

    def _report_stuck(self) -> None:
        """Say once of each execution that it does not end."""
        stuck = set(Execution.objects.stuck().values_list("pk", flat=True)[:1000])
        for execution_id in sorted(stuck - self._stuck):
            log.warning(
                f"Execution {execution_id} has not ended after {settings.ETL_STUCK_MINUTES} minutes.",
                action="execution.stuck",
                execution_id=execution_id,
            )
        self._stuck = stuck

    def _report_failure(self, error: Exception, pause: float) -> None:
        log.warning(
            f"A sweep could not be made; trying again in about {pause:.1f} s.",
            action="sweep.failed",
            error=str(error).strip(),
        )
