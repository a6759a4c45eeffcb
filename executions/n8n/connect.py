"""Connections to PostgreSQL of our own, beside the ones that Django keeps: for LISTEN, and for n8n's triggers."""

import os
import socket
from contextlib import suppress
from typing import Any

import psycopg
from django.db import connections

Connection = psycopg.Connection

# Both ends give up on a dead peer within about 25 seconds instead of two hours. Without the server's half, the
# backend of a vanished listener would hold its advisory lock all that time.
CLIENT_KEEPALIVES = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
SERVER_KEEPALIVES = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"


def connect(
    url: str | None = None, *, alias: str = "n8n", application_name: str = "sai_dashboard"
) -> psycopg.Connection:
    """An autocommit connection to `url`, else to the database behind a Django alias.

    Autocommit always: a listening connection inside a transaction pins the notify queue of the whole server.
    Raises psycopg.OperationalError when the server cannot be reached within 5 seconds.
    """
    params: dict[str, Any] = {"conninfo": url} if url else _params(alias)
    options = f"{params.pop('options', '')} {SERVER_KEEPALIVES}".strip()
    if url:  # The address may bring options of its own, such as a search path.
        given = psycopg.conninfo.conninfo_to_dict(url).get("options")
        options = f"{given or ''} {SERVER_KEEPALIVES}".strip()
    params |= CLIENT_KEEPALIVES | {"connect_timeout": 5, "application_name": application_name, "options": options}
    return psycopg.connect(autocommit=True, **params)


def break_off(connection: psycopg.Connection) -> None:
    """Shut down a connection's socket from another thread; who waits on it gets an OperationalError at once."""
    with (
        suppress(OSError, psycopg.OperationalError),  # Closed in the meantime: nothing to do.
        socket.socket(fileno=os.dup(connection.fileno())) as copy,
    ):
        copy.shutdown(socket.SHUT_RDWR)


def _params(alias: str) -> dict[str, Any]:
    """What Django itself would connect with, less its own cursor classes and type adapters."""
    params = dict(connections[alias].get_connection_params())
    for name in ("cursor_factory", "context", "prepare_threshold", "client_encoding"):
        params.pop(name, None)
    return params
