"""From NOTIFY into the queues of this process, through lost and half-open connections."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from executions import events, relay
from executions.tests.processes import Proxy, until
from sai_dashboard.embedded import EmbeddedPostgres

pytestmark = pytest.mark.django_db(transaction=True)


class Queue:
    """A stream's queue; `await take()` waits until there is something in it."""

    def __init__(self) -> None:
        self.listener = relay.join()

    async def __call__(self) -> relay.Taken:
        async with asyncio.timeout(15):
            await self.listener.aevent.wait()
        return relay.take(self.listener)


@pytest.fixture(autouse=True)
def ended(transactional_db: None) -> Iterator[None]:
    """Each test has a relay of its own, and none outlives its test."""
    yield
    thread = relay._relay
    relay.stop()
    if thread is not None:
        thread.join(10)
        assert not thread.is_alive()
    terminate("sai_relay_%")  # What a half-open connection left on the server's side.


def publish(number: int, *, many: int = 1) -> None:
    with transaction.atomic():
        for each in range(many):
            events.publish("system:stats", {"number": number + each})
    if threading.current_thread() is not threading.main_thread():
        connection.close()


def follow(scenario: Callable[[Queue], Coroutine[Any, Any, None]]) -> None:
    """Run the scenario with a queue that has joined, after the relay began to LISTEN."""

    async def run() -> None:
        take = Queue()
        try:
            assert (await take()).behind  # What came before LISTEN must be read.
            await scenario(take)
        finally:
            relay.leave(take.listener)

    asyncio.run(run())


def terminate(name: str) -> int:
    """Terminate the backends with this application name; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name LIKE %s AND datname = current_database()",
            [name],
        )
        count = len(cursor.fetchall())
    connection.close()
    return count


def test_what_is_rolled_back_reaches_nobody() -> None:
    def roll_back() -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            events.publish("system:stats", {"number": 0})
            raise ZeroDivisionError
        connection.close()

    async def scenario(take: Queue) -> None:
        await asyncio.to_thread(roll_back)
        await asyncio.to_thread(publish, 1)
        assert [event.data for event in (await take()).events] == ['{"number":1}']

    follow(scenario)


def test_an_event_reaches_the_queue_as_it_was_published() -> None:
    async def scenario(take: Queue) -> None:
        await asyncio.to_thread(publish, 7)
        taken = await take()
        assert taken == relay.Taken([events.Event(1, "system:stats", '{"number":7}')], behind=False, ended=False)

    follow(scenario)


def test_a_full_queue_says_that_the_table_must_be_read() -> None:
    async def scenario(take: Queue) -> None:
        await asyncio.to_thread(publish, 0, many=30)
        await asyncio.to_thread(until, lambda: take.listener.overflow, "the queue to overflow")
        taken = await take()
        assert taken.behind
        ids = [event.id for event in taken.events]
        assert ids == list(range(1, len(ids) + 1))

    follow(scenario)


def test_a_terminated_backend_is_replaced_and_the_table_is_read() -> None:
    async def scenario(take: Queue) -> None:
        assert await asyncio.to_thread(terminate, "sai_relay_listen") == 1
        assert (await take()).behind
        await asyncio.to_thread(publish, 1)
        assert [event.id for event in (await take()).events] == [1]

    follow(scenario)


def test_a_half_open_connection_is_noticed_and_replaced(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PROBE_EVERY_S", 0.3)
    monkeypatch.setattr(relay, "PROBE_PATIENCE_S", 0.5)
    with Proxy(postgres.url(str(connection.settings_dict["NAME"]))) as proxy:
        monkeypatch.setitem(connection.settings_dict, "PORT", proxy.url.rpartition(":")[2].partition("/")[0])

        async def scenario(take: Queue) -> None:
            proxy.freeze()
            assert (await take()).behind
            await asyncio.to_thread(publish, 1)
            assert [event.id for event in (await take()).events] == [1]

        follow(scenario)


def test_a_live_line_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "PROBE_EVERY_S", 0.1)
    monkeypatch.setattr(relay, "PROBE_PATIENCE_S", 2)

    async def scenario(take: Queue) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await take()  # Ten probes later nobody was told to read the table.

    follow(scenario)


def test_it_runs_once_however_many_streams_there_are() -> None:
    async def scenario(take: Queue) -> None:
        first = relay._relay
        relay.leave(relay.join())
        assert relay._relay is first
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("events-relay") == 1

    follow(scenario)


def test_stopping_ends_the_streams_and_the_thread() -> None:
    async def scenario(take: Queue) -> None:
        relay.stop()
        assert (await take()).ended

    follow(scenario)
    until(lambda: "events-relay" not in [thread.name for thread in threading.enumerate()], "the relay to end", 5)
