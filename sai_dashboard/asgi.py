"""One process, one port: the event stream on Django's ASGI application, all else on its WSGI one.

A request through Django's ASGI handler costs four to ten times the CPU, so only what must stay open goes there:

    granian --interface asgi --workers 1 --workers-kill-timeout 5 sai_dashboard.asgi:application
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from a2wsgi import WSGIMiddleware
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sai_dashboard.settings")
streams: Any = get_asgi_application()

from executions import relay  # noqa: E402  Django must be set up first.
from sai_dashboard import wsgi  # noqa: E402

# The three packages spell these types differently; the protocol is the same.
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Pages at the same time; each thread keeps one database connection.
THREADS = 8
pages: Any = WSGIMiddleware(wsgi.application, workers=THREADS)  # type: ignore[arg-type]


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """The ASGI entry point."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http" and scope["path"] == "/events/":
        await streams(scope, receive, send)
    else:
        await pages(scope, _as_coroutine(receive), send)


def _as_coroutine(receive: Receive) -> Receive:
    """What granian returns is awaitable but no coroutine; a2wsgi can hand only those to the loop from its threads."""

    async def receive_one() -> Message:
        return await receive()

    return receive_one


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            _end_streams_on(signal.SIGTERM, signal.SIGINT)
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            relay.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


def _end_streams_on(*signals: signal.Signals) -> None:
    """Servers wait for open responses before they announce the shutdown, and a stream never ends by itself."""
    loop = asyncio.get_running_loop()

    def chain(previous: Any) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            # Not here: the signal may have interrupted this very thread while it holds a lock that stop() needs.
            loop.call_soon_threadsafe(relay.stop)
            if callable(previous):
                previous(number, frame)

        return handle

    for number in signals:
        signal.signal(number, chain(signal.getsignal(number)))
