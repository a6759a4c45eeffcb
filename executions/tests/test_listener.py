"""The listener's parts; what it does as a process stands in test_faults.py."""

import threading
from collections.abc import Iterator

import psycopg
import pytest

from conftest import N8nDatabase
from executions.ingest import listener as module
from executions.ingest import recording
from executions.ingest.hearing import Hearing
from executions.ingest.listener import Listener, WakeUp
from executions.models import Execution
from executions.tests.test_recording import create

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "n8n"])


@pytest.fixture
def connection(n8n: N8nDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(n8n.url, autocommit=True) as connection:
        for channel in module.CHANNELS:
            connection.execute(f"LISTEN {channel}".encode())
        yield connection


def notify(n8n: N8nDatabase, payload: str, channel: str = "sai_execution_created") -> None:
    n8n.execute("SELECT pg_notify(%s, %s)", (channel, payload))


@pytest.mark.parametrize(
    "payload",
    ["", "null", "[]", "5", '"5"', "{}", '{"execution_id": null}', '{"execution_id": "5"}', '{"execution_id": 5.5}']
    + [
        '{"execution_id": true}',
        '{"execution_id": 0}',
        '{"execution_id": -1}',
        f'{{"execution_id": {2**63}}}',
        "[" * 9000,
    ],
)
def test_what_is_no_wake_up_of_ours_is_none(payload: str) -> None:
    assert WakeUp.parse(payload) is None


def test_a_wake_up_carries_an_id() -> None:
    assert WakeUp.parse('{"execution_id": 7, "workflow_id": "x", "more": 1}') == WakeUp(7)


def test_silence_records_nothing(n8n: N8nDatabase, connection: psycopg.Connection) -> None:
    Listener().hear(connection, Hearing(connection))
    assert Execution.objects.count() == 0


def test_wake_ups_that_come_together_are_recorded_together(
    n8n: N8nDatabase, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[set[int]] = []
    monkeypatch.setattr(Listener, "on_wake_ups", lambda self, ids: batches.append(ids))
    with n8n.connection.transaction():
        for number in range(1, 6):
            notify(n8n, f'{{"execution_id": {number}}}')
    Listener().hear(connection, Hearing(connection))
    assert batches == [{1, 2, 3, 4, 5}]


def test_one_that_cannot_be_recorded_does_not_keep_the_others_back(
    n8n: N8nDatabase, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, good = create(n8n), create(n8n)

    def record_or_fail(ids: list[int] | set[int]) -> object:
        if poison in ids:
            raise ValueError("poison")
        return recording.record(ids)

    monkeypatch.setattr(module, "record", record_or_fail)
    Listener().on_wake_ups({poison, good})
    assert list(Execution.objects.values_list("pk", flat=True)) == [good]


def test_the_second_listener_stands_by_until_told_to_stop(n8n: N8nDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STANDBY_POLL_S", 0.01)
    with psycopg.connect(n8n.url, autocommit=True) as first, psycopg.connect(n8n.url, autocommit=True) as second:
        assert Listener()._become_active(first, Hearing(first)) is True
        standby = Listener()
        threading.Timer(0.3, standby.stop).start()
        assert standby._become_active(second, Hearing(second)) is False
