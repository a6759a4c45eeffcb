"""`/events/`: whoever may follow gets each event once and in order, whatever happens in between."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http import StreamingHttpResponse
from django.test import AsyncRequestFactory
from pytest_django import Settings

from executions import events, relay, stream
from executions.tests import web
from executions.tests.processes import until
from executions.tests.web import WebServer
from sai_dashboard.embedded import EmbeddedPostgres

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def server(
    postgres: EmbeddedPostgres, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebServer]:
    """One for all tests here: it keeps nothing between requests."""
    env = {**os.environ, "DATABASE_URL": postgres.url(str(connection.settings_dict["NAME"]))}
    with WebServer(env, tmp_path_factory.mktemp("web") / "web.log") as running:
        yield running


@pytest.fixture
def session() -> str:
    return web.session_of(web.luis())


@pytest.fixture
def reader() -> Iterator[None]:
    """For streams in this process: its threads and connections end with the test."""
    yield
    thread = relay._relay
    relay.stop()
    if thread is not None:
        thread.join(10)
    # The name means another connection in each thread.
    stream._reader.submit(lambda: connection.close()).result()


def publish(count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            events.publish("system:stats", {"number": number})


# --- Who may not -----------------------------------------------------------------------------------


def test_nobody_follows_without_signing_in(server: WebServer) -> None:
    answer = server.get("/events/")
    assert answer.status == 401
    assert answer.body == b"Sign in to follow events."
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_deactivated_user_follows_nothing(server: WebServer, session: str) -> None:
    User.objects.update(is_active=False)
    assert server.get("/events/", Cookie=f"sessionid={session}").status == 401


@pytest.mark.parametrize("last", ["error", "17", "incidents:17", "executions:x", "executions:" + "9" * 30])
def test_an_id_that_is_none_is_refused(server: WebServer, session: str, last: str) -> None:
    answer = server.get("/events/", Cookie=f"sessionid={session}", Last_Event_ID=last)
    assert (answer.status, answer.body) == (400, b"Last-Event-ID must look like executions:17.")


def test_nobody_can_post(server: WebServer, session: str) -> None:
    assert server.request("POST", "/events/", "", Cookie=f"sessionid={session}").status in (403, 405)


def test_one_client_too_many_is_asked_to_come_back(reader: None, settings: Settings) -> None:
    settings.SSE_MAX_CLIENTS = 1
    luis = web.luis()

    async def scenario() -> None:
        first = await opened(luis)
        parts = pieces(first)
        assert "stream-open" in await anext(parts)
        second = await opened(luis)
        assert (second.status_code, second["Retry-After"]) == (503, str(stream.RETRY_AFTER_S))
        await parts.aclose()
        third = await opened(luis)
        assert third.status_code == 200
        await pieces(third).aclose()

    asyncio.run(scenario())


async def opened(user: User) -> Any:
    """The view's answer in this process, without what the test client wraps around a stream."""
    request = AsyncRequestFactory().get("/events/")
    request.user = user
    return await stream.stream(request)


def pieces(response: Any) -> Any:
    assert isinstance(response, StreamingHttpResponse)
    return response._iterator  # type: ignore[attr-defined]


# --- What is sent ----------------------------------------------------------------------------------


def test_the_answer_is_passed_on_at_once_by_proxies_and_open_to_no_other_site(server: WebServer, session: str) -> None:
    with server.stream(session) as following:
        headers = following.response.headers
    assert headers["Content-Type"] == "text/event-stream"
    assert (headers["X-Accel-Buffering"], headers["Cache-Control"]) == ("no", "no-cache, no-transform")
    assert "Access-Control-Allow-Origin" not in headers


def test_without_an_id_the_past_is_not_sent(server: WebServer, session: str) -> None:
    publish(2)
    with server.stream(session) as following:
        publish(1)
        assert [event.id for event in following.take(1)] == ["executions:3"]


def test_a_returning_browser_gets_exactly_what_it_missed_and_then_what_happens(server: WebServer, session: str) -> None:
    publish(5)
    with server.stream(session, "executions:2") as following:
        assert [event.id for event in following.take(3)] == ["executions:3", "executions:4", "executions:5"]
        publish(1)
        assert next(following).id == "executions:6"


def test_an_id_that_is_unknown_resets_the_page_and_goes_on_from_there(server: WebServer, session: str) -> None:
    publish(2)
    with server.stream(session, "executions:99") as following:
        reset = next(following)
        assert (reset.kind, reset.id) == ("stream-reset", "executions:2")
        publish(1)
        assert next(following).id == "executions:3"


def test_a_burst_reaches_every_browser_whole_and_in_order(server: WebServer, session: str) -> None:
    with server.stream(session) as first, server.stream(session) as second:
        with transaction.atomic():  # All at once, which no queue holds.
            publish(400)
        expected = [f"executions:{number}" for number in range(1, 401)]
        assert [event.id for event in first.take(400)] == expected
        assert [event.id for event in second.take(400)] == expected


def test_more_streams_need_no_more_connections(server: WebServer, session: str) -> None:
    with ExitStack() as stack:
        stack.enter_context(server.stream(session, "executions:0"))
        until(lambda: "sai_relay_listen" in connected(), "the relay to connect")
        before = connected()
        for _ in range(12):
            stack.enter_context(server.stream(session, "executions:0"))
        assert connected() == before


def connected() -> list[str]:
    """The names of the connections to our database but this one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT application_name FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY 1"
        )
        return [name for (name,) in cursor.fetchall()]


def test_silence_is_broken_by_keep_alives(reader: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "KEEP_ALIVE_S", 0.1)
    luis = web.luis()

    async def scenario() -> None:
        parts = pieces(await opened(luis))
        received = [await anext(parts) for _ in range(3)]
        await parts.aclose()
        assert received[1:] == [stream.KEEP_ALIVE] * 2

    asyncio.run(scenario())


def test_a_stream_ends_in_time_so_that_the_next_one_asks_again_who_it_is(
    reader: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "KEEP_ALIVE_S", 0.05)
    monkeypatch.setattr(stream, "STREAM_S", 0.3)
    luis = web.luis()

    async def scenario() -> None:
        parts = pieces(await opened(luis))
        async with asyncio.timeout(5):
            assert len([part async for part in parts]) > 1

    asyncio.run(scenario())


# --- The process ------------------------------------------------------------------------------------


def test_a_signal_stops_the_server_while_a_stream_is_open(
    process_env: dict[str, str], tmp_path: Path, session: str
) -> None:
    with WebServer(process_env, tmp_path / "web.log") as own, own.stream(session) as following:
        assert own.process.terminate(timeout=4) == 0
        assert list(following) == []
    assert "refused to gracefully stop" not in own.process.output()


def test_a_terminated_listener_of_the_server_costs_no_event(server: WebServer, session: str) -> None:
    with server.stream(session) as following:
        publish(1)
        assert next(following).id == "executions:1"
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        publish(3)
        assert [event.id for event in following.take(3)] == [f"executions:{number}" for number in (2, 3, 4)]


def test_pages_and_style_sheets_come_from_the_same_port(server: WebServer) -> None:
    login = server.get("/login/")
    assert (login.status, b"Sign in" in login.body) == (200, True)
    style = server.get("/static/css/base.css")
    assert (style.status, style.body) == (200, (django_settings.BASE_DIR / "static/css/base.css").read_bytes())
    assert server.get("/static/admin/css/base.css").status == 200


def test_forms_can_be_sent(server: WebServer) -> None:
    web.luis("los-gigantes")
    token = server.get("/login/").headers["set-cookie"].partition("csrftoken=")[2].partition(";")[0]
    form = f"username=luis&password=los-gigantes&csrfmiddlewaretoken={token}"
    headers = {"Cookie": f"csrftoken={token}", "Content_Type": "application/x-www-form-urlencoded"}
    answer = server.request("POST", "/login/", form, **headers)
    assert (answer.status, answer.headers["location"]) == (302, "/")


def test_browsers_that_left_give_their_places_back(process_env: dict[str, str], tmp_path: Path, session: str) -> None:
    env = process_env | {"SSE_MAX_CLIENTS": "2"}
    with WebServer(env, tmp_path / "web.log") as own:
        with own.stream(session), own.stream(session):
            assert own.get("/events/", Cookie=f"sessionid={session}").status == 503

        publish(1)  # Writing to a browser is how the server learns that it left.
        until(lambda: _is_accepted(own, session), "a free place", 10)


def _is_accepted(server: WebServer, session: str) -> bool:
    following = server.stream(session)
    status = following.response.status
    following.__exit__()
    return status == 200
