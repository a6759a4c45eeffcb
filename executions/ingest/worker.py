"""The extraction worker: claims queue rows and runs their phase, in a few threads, until it is told to stop."""

import os
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connections, transaction

from executions import events
from executions.exceptions import ExtractionError, NotReadyYet, OutOfService
from executions.ingest import phase1, phase2, queue
from executions.models import QueuePhase

log = structlog.get_logger()

EXTRACT: dict[str, Callable[[queue.Claim], None]] = {
    QueuePhase.CREATED: phase1.extract,
    QueuePhase.COMPLETED: phase2.extract,
}
# Without a wake-up (another process enqueued) a row waits this long at most.
POLL_S = 0.5
RELEASE_EVERY_S = 5.0
OUT_OF_SERVICE_S = 10.0
# So many outages in a row end a command that has an end.
MOST_OUTAGES = 3


class Worker:
    """`threads` extraction threads that share one supply of claimed rows."""

    def __init__(self, threads: int) -> None:
        self.name = f"{socket.gethostname()[:60]}:{os.getpid()}:{random.randrange(16**6):06x}"
        self.threads = threads
        self._supply: deque[queue.Claim] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Condition()
        self._stopping = threading.Event()
        self._running: list[threading.Thread] = []
        self._released_at = 0.0

    def start(self) -> None:
        for number in range(self.threads):
            thread = threading.Thread(target=self._run, name=f"extract-{number}")
            thread.start()
            self._running.append(thread)

    def wake(self) -> None:
        """There may be something to do."""
        with self._wake:
            self._wake.notify_all()

    def stop(self) -> None:
        """Finish what is in hand, return the rest. Blocks until the threads have ended."""
        self._stopping.set()
        self.wake()
        for thread in self._running:
            thread.join()
        self._return_supply()

    def _return_supply(self) -> None:
        with self._lock:
            left = list(self._supply)
            self._supply.clear()
        if left:
            queue.give_back(left)
            log.info(f"Returned {len(left)} queue rows.", action="queue.returned", count=len(left))

    def drain(self) -> None:
        """Work in this thread until nothing is pending, waiting for rows that are due later.

        Raises OutOfService when something that every execution needs stays down: nobody waits for ever.
        """
        outages = 0
        while not queue.is_drained():
            queue.release_expired()
            claim = self._take()
            if claim is None:
                time.sleep(self._pause())
            elif queue.begin(claim):
                outage = process(claim)
                outages = outages + 1 if outage else 0
                if outage and outages >= MOST_OUTAGES:
                    self._return_supply()
                    raise outage

    def work_one(self) -> bool:
        """Extract one row; False when nothing is due."""
        claim = self._take()
        if claim is None:
            return False
        if queue.begin(claim):
            process(claim)
        return True

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._release()
                if not self.work_one():
                    self._sleep(self._pause())
                failures = 0
            except (OperationalError, InterfaceError) as error:
                failures += 1
                pause = backoff(failures)
                log.warning(
                    f"A database cannot be reached; trying again in {pause:.1f} s.",
                    action="worker.database_unreachable",
                    error=str(error).strip(),
                )
                close_old_connections()
                self._sleep(pause)
            except Exception:
                # Nothing that a queue row holds may end this thread; wait, so that a bug cannot burn a core.
                log.exception("The extraction thread met an unexpected error.", action="worker.unexpected_error")
                self._sleep(1.0)
        connections.close_all()

    def _take(self) -> queue.Claim | None:
        with self._lock:
            if not self._supply:
                self._supply.extend(queue.claim(self.name, settings.ETL_BATCH_SIZE))
            return self._supply.popleft() if self._supply else None

    def _release(self) -> None:
        """Now and then, make rows due again whose worker died."""
        with self._lock:
            if time.monotonic() - self._released_at < RELEASE_EVERY_S:
                return
            self._released_at = time.monotonic()
        for row in queue.release_expired():
            log.warning(
                f"The worker of execution {row.execution_id} stopped answering; it is due again."
                if not row.has_failed
                else f"Execution {row.execution_id} failed: its worker died {row.attempts} times with it in hand.",
                action="queue.lease_expired",
                execution_id=row.execution_id,
                has_failed=row.has_failed,
            )

    def _pause(self) -> float:
        due = queue.seconds_to_next()
        return POLL_S if due is None else min(max(due, 0.005), POLL_S)

    def _sleep(self, seconds: float) -> None:
        with self._wake:
            if not self._stopping.is_set():
                self._wake.wait(seconds)


def process(claim: queue.Claim) -> OutOfService | None:
    """Run the claimed phase; whatever happens, the row ends up completed, due again or failed with a reason.

    Returns the outage that kept it from being done, if that is why.
    """
    try:
        EXTRACT[claim.phase](claim)
    except NotReadyYet as error:
        queue.give_back([claim], error.retry_after_s, str(error))
    except OutOfService as error:
        log.error(str(error), action="extraction.out_of_service", execution_id=claim.execution_id)
        queue.give_back([claim], OUT_OF_SERVICE_S, str(error))
        return error
    except (OperationalError, InterfaceError):
        _give_back_after_outage(claim)
        raise
    except ExtractionError as error:
        _fail(claim, str(error))
    except Exception as error:
        log.exception("Extraction met an unexpected error.", action="extraction.unexpected_error", **_ids(claim))
        _fail(
            claim,
            f"An unexpected error of the dashboard itself ({type(error).__name__}); its log has the details.",
        )
    else:
        log.info(
            f"Extracted phase {claim.phase} of execution {claim.execution_id}.",
            action="extraction.done",
            **_ids(claim),
        )
    return None


def _give_back_after_outage(claim: queue.Claim) -> None:
    """A database went away. If ours answers, the row is due again soon; if not, its lease runs out by itself."""
    close_old_connections()
    with suppress(OperationalError, InterfaceError):
        queue.give_back([claim], 1.0, "A database could not be reached.")


def _fail(claim: queue.Claim, reason: str) -> None:
    with transaction.atomic():
        has_failed = queue.fail(claim, reason)
        if has_failed:
            events.stage2_failed(claim.execution_id, reason, claim.attempts)
    log.warning(
        f"Execution {claim.execution_id}, phase {claim.phase}: {reason}",
        action="extraction.failed" if has_failed else "extraction.attempt_failed",
        attempt=claim.attempts,
        **_ids(claim),
    )


def _ids(claim: queue.Claim) -> dict[str, object]:
    return {"execution_id": claim.execution_id, "phase": claim.phase}


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling up to 30, with jitter so that processes spread."""
    return min(0.25 * 2.0 ** min(failures, 10), 30.0) * random.uniform(0.5, 1.0)
