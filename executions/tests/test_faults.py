"""Faults that lose nothing, with real processes on a real PostgreSQL.

After each of them: one row, three files, one result, an empty queue or a failure with its reason, and verify_capture
has nothing to say.
"""

import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from conftest import N8nDatabase
from executions.ingest import queue
from executions.ingest.recording import record
from executions.models import Execution, InferenceResult, Notification, QueueItem
from executions.n8n import triggers
from executions.simulator import Simulator
from executions.tests.killable import STEPS
from executions.tests.processes import Proxy, killed_after, manage, until

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True, databases=["default", "n8n"])]

Env = dict[str, str]


@pytest.fixture
def simulator(n8n: N8nDatabase) -> Iterator[Simulator]:
    triggers.install(n8n.connection, settings.N8N_WORKFLOW_IDS)
    with Simulator(n8n.url, seed=1) as simulator:
        yield simulator


@pytest.fixture
def env(process_env: Env) -> Env:
    """Fast sweeps and leases, so that recovery is seen within a test."""
    return process_env | {"ETL_SWEEP_SECONDS": "1", "ETL_TIMEOUT_MS": "2000"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "process.log"


def is_idle(count: int) -> bool:
    """`count` executions recorded, and nothing left to extract."""
    return Execution.objects.count() == count and queue.is_drained() and QueueItem.objects.count() == 2 * count


def assert_whole(image_root: Path, *ids: int) -> None:
    """One row, three files and one result of each execution; nothing else; n8n and we agree."""
    assert sorted(Execution.objects.values_list("pk", flat=True)) == sorted(ids)
    files = sorted(str(path.relative_to(image_root)) for path in image_root.rglob("*") if path.is_file())
    expected = [f"{kind}/{id_ // 1000}/{id_}.{ext}" for id_ in ids for kind, ext in KINDS]
    assert files == sorted(expected)
    assert InferenceResult.objects.count() == Notification.objects.count() == len(ids)
    assert not QueueItem.objects.exclude(status="completed").exists()
    call_command("verify_capture")


KINDS = (("original", "jpg"), ("webp", "webp"), ("thumb", "webp"))


@pytest.mark.parametrize("step", STEPS)
def test_sigkill_of_the_listener_after_each_step(
    step: str, simulator: Simulator, env: Env, log: Path, image_root: Path
) -> None:
    with killed_after(step, env, log, "listen_n8n") as listener:
        listener.wait_for_output("Listening to n8n.")
        id_ = simulator.run_one("smoke")
        assert listener.wait(30) == -signal.SIGKILL
    with manage(env, log, "listen_n8n"):
        until(lambda: is_idle(1), "the queue to be empty")
    assert_whole(image_root, id_)


WORKER_STEPS = [step for step in STEPS if step not in ("wake-up received", "row recorded")]


@pytest.mark.parametrize("step", WORKER_STEPS)
def test_sigkill_of_a_worker_after_each_step(
    step: str, simulator: Simulator, env: Env, log: Path, image_root: Path
) -> None:
    id_ = simulator.run_one("smoke")
    record([id_])
    with killed_after(step, env, log, "etl_worker", "--concurrency", "1") as worker:
        assert worker.wait(30) == -signal.SIGKILL
    with manage(env, log, "etl_worker"):
        until(lambda: is_idle(1), "the queue to be empty")
    assert_whole(image_root, id_)


def test_a_listener_that_starts_late_finds_what_it_missed(
    simulator: Simulator, env: Env, log: Path, image_root: Path
) -> None:
    ids = [simulator.run_one("smoke") for _ in range(3)]
    with manage(env, log, "listen_n8n"):
        until(lambda: is_idle(3), "three executions")
    assert_whole(image_root, *ids)


def test_sigterm_ends_the_listener_within_seconds(simulator: Simulator, env: Env, log: Path) -> None:
    with manage(env, log, "listen_n8n") as listener:
        listener.wait_for_output("Listening to n8n.")
        assert listener.terminate(10) == 0


def test_sigterm_returns_what_is_in_hand(simulator: Simulator, env: Env, log: Path, image_root: Path) -> None:
    ids = [simulator.run_one("smoke") for _ in range(12)]
    record(ids)
    with manage(env, log, "etl_worker", "--concurrency", "1") as worker:
        until(lambda: QueueItem.objects.filter(status="completed").exists(), "the first one done")
        assert worker.terminate(10) == 0
    assert not QueueItem.objects.filter(status="processing").exists()
    assert set(QueueItem.objects.filter(status="pending").values_list("attempts", flat=True)) <= {0}
    with manage(env, log, "etl_worker"):
        until(lambda: is_idle(12), "the rest")
    assert_whole(image_root, *ids)


def test_the_listeners_backend_is_terminated(
    simulator: Simulator, n8n: N8nDatabase, env: Env, log: Path, image_root: Path
) -> None:
    with manage(env, log, "listen_n8n") as listener:
        listener.wait_for_output("Listening to n8n.")
        n8n.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sai_listener'"
            " AND datname = current_database()"
        )
        id_ = simulator.run_one("smoke")
        listener.wait_for_output("Listening to n8n.", times=2)
        until(lambda: is_idle(1), "the execution")
    assert_whole(image_root, id_)


def test_listen_is_lost_but_the_connection_stands(
    simulator: Simulator, n8n: N8nDatabase, env: Env, log: Path, image_root: Path
) -> None:
    """A pooler in between may swallow every notification: the sweep alone then finds the executions."""
    n8n.execute("DROP TRIGGER sai_execution_created_trigger ON execution_entity")
    n8n.execute("DROP TRIGGER sai_execution_completed_trigger ON execution_entity")
    with manage(env, log, "listen_n8n") as listener:
        listener.wait_for_output("Listening to n8n.")
        id_ = simulator.run_one("smoke")
        until(lambda: is_idle(1), "the execution")
    assert_whole(image_root, id_)


def test_a_half_open_socket_is_noticed(
    simulator: Simulator, n8n: N8nDatabase, env: Env, log: Path, image_root: Path
) -> None:
    with Proxy(n8n.url) as proxy, manage(env | {"N8N_DATABASE_URL": proxy.url}, log, "listen_n8n") as listener:
        listener.wait_for_output("Listening to n8n.")
        first = simulator.run_one("smoke")  # Now every thread has its connection.
        until(lambda: is_idle(1), "the first execution")
        proxy.freeze()  # Connections made so far stay open and say nothing; new ones work.
        second = simulator.run_one("smoke")
        listener.wait_for_output("Nothing is heard any more")
        listener.wait_for_output("Listening to n8n.", times=2)
        until(lambda: is_idle(2), "the second execution", timeout=40)
    assert_whole(image_root, first, second)


def test_a_full_disk_delays_and_loses_nothing(simulator: Simulator, env: Env, log: Path, image_root: Path) -> None:
    """The process may write small files only, as on a disk without room for an image, until there is room again."""
    with manage(env, log, "listen_n8n") as listener:
        listener.wait_for_output("Listening to n8n.")
        resource.prlimit(listener.pid, resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
        ids = [simulator.run_one("smoke", size=(1920, 1080)) for _ in range(2)]
        listener.wait_for_output("The image store cannot be written", times=2)
        waiting = QueueItem.objects.get(execution_id=ids[0], phase="created")
        assert (waiting.status, waiting.attempts) == ("pending", 0)
        assert "tried again by itself" in str(waiting.last_error)
        resource.prlimit(listener.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda: is_idle(2), "both images")
    assert_whole(image_root, *ids)


def test_two_listeners_at_once(simulator: Simulator, env: Env, log: Path, tmp_path: Path, image_root: Path) -> None:
    with manage(env, log, "listen_n8n") as first, manage(env, tmp_path / "second.log", "listen_n8n") as second:
        until(lambda: "stands by" in first.output() + second.output(), "one of them standing by")
        ids = [simulator.run_one("smoke") for _ in range(4)]
        until(lambda: is_idle(4), "four executions")
        active, standby = (second, first) if "stands by" in first.output() else (first, second)
        active.kill()
        standby.wait_for_output("Listening to n8n.")
        ids.append(simulator.run_one("smoke"))
        until(lambda: is_idle(5), "the one after the change")
    assert_whole(image_root, *ids)


def test_the_same_wake_up_five_times(
    simulator: Simulator, n8n: N8nDatabase, env: Env, log: Path, image_root: Path
) -> None:
    with manage(env, log, "listen_n8n") as listener:
        listener.wait_for_output("Listening to n8n.")
        id_ = simulator.run_one("smoke")
        for number in range(5):
            payload = f'{{"execution_id": {id_}, "n": {number}}}'
            n8n.execute("SELECT pg_notify('sai_execution_completed', %s)", (payload,))
        for hostile in ("", "null", "[1]", '{"execution_id": "1; DROP TABLE"}', '{"execution_id": true}', "{" * 7000):
            n8n.execute("SELECT pg_notify('sai_execution_created', %s)", (hostile,))
        listener.wait_for_output("Ignored a wake-up", times=6)
        until(lambda: is_idle(1), "the execution")
    assert_whole(image_root, id_)


def test_phases_in_the_wrong_order(simulator: Simulator, env: Env, log: Path, image_root: Path) -> None:
    id_ = simulator.run_one("smoke")
    record([id_])
    QueueItem.objects.filter(phase="completed").update(priority=1)
    with manage(env, log, "etl_worker", "--concurrency", "1"):
        until(lambda: is_idle(1), "both phases")
    execution = Execution.objects.get()
    assert execution.phase1_at is not None and execution.phase2_at is not None
    assert execution.phase2_at < execution.phase1_at
    assert_whole(image_root, id_)


def test_pruning_between_the_phases(simulator: Simulator, n8n: N8nDatabase, env: Env, log: Path) -> None:
    id_ = simulator.begin("smoke").execution_id
    with manage(env, log, "listen_n8n"):
        until(lambda: Execution.objects.filter(phase1_at__isnull=False).exists(), "phase 1")
        n8n.execute("DELETE FROM execution_entity WHERE id = %s", (id_,))
        until(lambda: Execution.objects.filter(source_deleted_at__isnull=False).exists(), "the mark")
        until(queue.is_drained, "an empty queue")
    execution = Execution.objects.get()
    assert execution.image_sha256 is not None and not hasattr(execution, "inference_result")
    call_command("verify_capture")


def test_a_poison_execution_among_good_ones(simulator: Simulator, n8n: N8nDatabase, env: Env, log: Path) -> None:
    """Data that no reader understands, and an image that decodes to nothing, stop nobody else."""
    ids = [simulator.run_one("smoke") for _ in range(5)]
    n8n.execute('UPDATE execution_data SET data = %s WHERE "executionId" = %s', ("[" * 50_000, ids[1]))
    n8n.execute("UPDATE execution_data SET data = 'null' WHERE \"executionId\" = %s", (ids[2],))
    with manage(env, log, "listen_n8n"):
        until(lambda: is_idle(5), "all five")
    assert InferenceResult.objects.count() == 3
    for poisoned in ids[1:3]:
        assert "payload" in Execution.objects.get(pk=poisoned).extraction_notes["phase1"]
    call_command("verify_capture")


def test_an_execution_that_kills_every_worker_fails_alone(
    simulator: Simulator, env: Env, log: Path, image_root: Path
) -> None:
    poison, *others = (simulator.run_one("smoke") for _ in range(3))
    record([poison, *others])
    QueueItem.objects.filter(execution_id=poison, phase="created").update(priority=1)
    for _ in range(3):
        with killed_after("image file written", env, log, "etl_worker", "--concurrency", "1") as worker:
            worker.wait(30)
        until(lambda: bool(queue.release_expired()) or queue.is_drained(), "the lease to run out", timeout=10)
    failed = QueueItem.objects.get(status="failed")
    assert (failed.execution_id, failed.phase) == (poison, "created") and "stopped answering" in str(failed.last_error)
    assert QueueItem.objects.filter(status="failed").retry() == 1
    with manage(env, log, "etl_worker"):
        until(lambda: is_idle(3), "the rest, and the poison once it is none any more")
    assert_whole(image_root, poison, *others)


def test_postgresql_is_restarted(
    simulator: Simulator, n8n: N8nDatabase, restart_postgres: Callable[[], None], env: Env, log: Path, image_root: Path
) -> None:
    """Both databases go away together, which holds the case that one of them does."""
    with manage(env, log, "listen_n8n") as listener:
        listener.wait_for_output("Listening to n8n.")
        first = simulator.run_one("smoke")
        until(lambda: is_idle(1), "the first execution")
        restart_postgres()
        with Simulator(n8n.url, seed=2) as again:
            second = again.run_one("smoke")
        listener.wait_for_output("Listening to n8n.", times=2)
        until(lambda: is_idle(2), "the second execution")
        assert listener.is_running
    assert_whole(image_root, first, second)
