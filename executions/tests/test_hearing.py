"""The watchdog: a listener that hears is left alone, one that does not is broken off."""

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connections

from conftest import N8nDatabase
from executions.ingest import hearing as module
from executions.ingest.hearing import Hearing
from executions.n8n import source
from executions.tests.processes import until

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "n8n"])


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.1)
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 1.0)


@pytest.fixture
def connection(n8n: N8nDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(n8n.url, autocommit=True) as connection:
        yield connection


def hear(connection: psycopg.Connection, hearing: Hearing, seconds: float) -> int:
    """Answer what is heard; how many nonces it was."""
    heard = 0
    for notify in connection.notifies(timeout=seconds):
        hearing.answer(notify.payload)
        heard += 1
    return heard


def test_a_listener_that_answers_is_left_alone(connection: psycopg.Connection) -> None:
    with Hearing(connection) as hearing:
        assert hear(connection, hearing, 2.5) > 3
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_listener_that_does_not_hear_is_broken_off(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError), Hearing(connection):
        connection.execute(f"UNLISTEN {module.CHANNEL}".encode())
        list(connection.notifies(timeout=10))


def test_somebody_elses_nonce_proves_nothing(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError), Hearing(connection) as hearing:
        for _ in connection.notifies(timeout=10):
            hearing.answer("somebody else's")


def test_queries_that_hang_elsewhere_are_ended_too(connection: psycopg.Connection) -> None:
    """A worker that waits for n8n on a dead connection is woken by the same watchdog."""
    source.executions([1])
    (used,) = [each for each in source._used if not each.closed]
    with Hearing(connection):
        connection.execute(f"UNLISTEN {module.CHANNEL}".encode())
        until(lambda: is_broken(used), "the other connection to break", timeout=10)
    connections["n8n"].close()


def is_broken(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_after_the_block_nothing_is_watched(connection: psycopg.Connection) -> None:
    with Hearing(connection):
        pass
    connection.execute(f"UNLISTEN {module.CHANNEL}".encode())
    list(connection.notifies(timeout=2))
    assert connection.execute("SELECT 1").fetchone() == (1,)
