"""The embedded PostgreSQL: a server of our own below `.data/postgres`, for one machine and without an administrator.

    server = EmbeddedPostgres(Path(".data/postgres"))
    server.start()
    server.create_database("sai")
    server.url("sai")  # postgresql://sai:…@127.0.0.1:41235/sai

It listens on 127.0.0.1 only and asks for a random password. The settings import this package, so nothing here
imports Django; psycopg is used to create databases. On the command line: `python -m sai_dashboard.embedded --help`.
"""

from sai_dashboard.embedded.connection import database_url, secret_key
from sai_dashboard.embedded.errors import EmbeddedPostgresError
from sai_dashboard.embedded.server import EmbeddedPostgres, temporary_server

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "database_url", "secret_key", "temporary_server"]
