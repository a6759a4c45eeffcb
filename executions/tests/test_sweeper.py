"""The sweeper: when it sweeps, and what it says."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from django.utils import timezone
from structlog.testing import capture_logs

from conftest import N8nDatabase
from executions.ingest import catchup, sweeper
from executions.ingest.sweeper import Sweeper
from executions.models import Execution
from executions.tests.processes import until
from executions.tests.test_recording import create

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "n8n"])


def nobody() -> None:
    """Nobody wants to know."""


def actions(entries: Sequence[Mapping[str, object]]) -> list[object]:
    return [entry.get("action") for entry in entries]


def test_nothing_is_swept_before_it_is_asked(n8n: N8nDatabase) -> None:
    """LISTEN has to stand first: what commits between a sweep and LISTEN would be missed."""
    create(n8n)
    running = Sweeper(nobody)
    running.start()
    running.stop()
    running.join()
    assert Execution.objects.count() == 0


def test_a_sweep_that_finds_nothing_is_silent(n8n: N8nDatabase) -> None:
    with capture_logs() as logs:
        assert Sweeper(nobody).sweep(is_full=True).total == 0
    assert actions(logs) == []


def test_a_sweep_that_finds_something_says_so_and_wakes_the_worker(n8n: N8nDatabase) -> None:
    create(n8n)
    woken: list[bool] = []
    with capture_logs() as logs:
        Sweeper(lambda: woken.append(True)).sweep(is_full=False)
    assert actions(logs) == ["sweep.found"] and woken == [True]


def test_a_stuck_execution_is_reported_once(n8n: N8nDatabase) -> None:
    create(n8n)
    n8n.execute("""UPDATE execution_entity SET "createdAt" = now() - interval '2 hours'""")
    sweeping = Sweeper(nobody)
    with capture_logs() as logs:
        sweeping.sweep(is_full=True)
        sweeping.sweep(is_full=True)
    assert actions(logs).count("execution.stuck") == 1


def test_one_that_gets_going_and_stops_again_is_reported_again(n8n: N8nDatabase) -> None:
    Execution.objects.create(pk=1, workflow_id="other", status="running", n8n_created_at=timezone.now())
    sweeping, old = Sweeper(nobody), timezone.now() - timedelta(hours=2)
    with capture_logs() as logs:
        for created_at in (old, timezone.now(), old):
            Execution.objects.update(n8n_created_at=created_at)
            sweeping.sweep(is_full=False)
    assert actions(logs).count("execution.stuck") == 2


def test_a_failing_sweep_is_tried_again(n8n: N8nDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fail_once() -> catchup.Swept:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("a bug")
        return catchup.Swept()

    monkeypatch.setattr(catchup, "sweep_full", fail_once)
    monkeypatch.setattr(sweeper, "backoff", lambda failures: 0.01)
    running = Sweeper(nobody)
    running.start()
    running.request_full()
    until(lambda: len(calls) >= 2, "the second try")
    running.stop()
    running.join()
