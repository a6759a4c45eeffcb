"""The two databases of a bench: made for it, on the servers of ours and of n8n, and dropped after it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote, urlencode

import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from executions.bench.figures import BenchError
from executions.n8n import triggers
from executions.n8n.connect import connect
from executions.simulator import create_schema
from executions.simulator.guard import DEFAULT_VERSION, ensure_workflow

NAMES = {"default": "sai_bench", "n8n": "n8n_bench"}
# n8n runs other workflows too, which are none of ours.
OTHER_WORKFLOW = "bench-nobody-watches"
# Only a database with this comment is ever dropped.
MARK = "Made by manage.py bench, which drops it."
HOW = (
    "Without a server of your own, run it on a temporary one: "
    "python -m sai_dashboard.embedded run -- .venv/bin/python manage.py bench"
)


@contextmanager
def bench_databases(workflow_ids: list[str]) -> Iterator[None]:
    """Both databases, complete and empty; Django's aliases point at them meanwhile. Raises BenchError."""
    with ExitStack() as stack:
        for alias, name in NAMES.items():
            stack.enter_context(_database(alias, name))
        for alias, name in NAMES.items():
            stack.enter_context(_pointed_at(alias, name))
        call_command("migrate", verbosity=0)
        with connect(alias="n8n") as n8n:
            create_schema(n8n)
            for workflow_id in (*workflow_ids, OTHER_WORKFLOW):
                ensure_workflow(n8n, DEFAULT_VERSION, workflow_id)
            triggers.install(n8n, workflow_ids)
        yield


def url(alias: str, name: str = "") -> str:
    """The address of the database that an alias points at now, or of another one beside it, for other processes."""
    known = connections.settings[alias]
    login = quote(known.get("USER") or "", safe="")
    if known.get("PASSWORD"):
        login += f":{quote(known['PASSWORD'], safe='')}"
    host = quote(known.get("HOST") or "", safe="") + (f":{known['PORT']}" if known.get("PORT") else "")
    options = {name: value for name, value in known.get("OPTIONS", {}).items() if isinstance(value, str | int)}
    return f"postgresql://{login}@{host}/{name or known['NAME']}" + (f"?{urlencode(options)}" if options else "")


def server_version() -> str:
    with connect(alias="default") as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]) if row else "unknown"


@contextmanager
def _database(alias: str, name: str) -> Iterator[None]:
    """A new database beside the one that the alias points at."""
    try:
        with _server(alias) as server:
            _make_way(server, name)
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            server.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(MARK)))
            try:
                yield
            finally:
                if server.closed:
                    raise BenchError(f"The server went away; drop the database {name} yourself.")
                server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise BenchError(f"The role may not create databases: {_first_line(error)}. {HOW}") from error
    except psycopg.OperationalError as error:
        raise BenchError(f"The server of the database {alias!r} cannot be used: {_first_line(error)}. {HOW}") from error


def _server(alias: str) -> psycopg.Connection:
    """A connection to the server; its own database may not have been made yet, that of administrators always is."""
    try:
        return connect(alias=alias)
    except psycopg.OperationalError as error:
        try:
            return connect(url(alias, "postgres"))
        except psycopg.OperationalError:
            raise error from None


def _make_way(server: psycopg.Connection, name: str) -> None:
    """Drop what an aborted bench left behind; refuse to touch anything else."""
    query = """SELECT shobj_description(oid, 'pg_database'),
                      (SELECT count(*) FROM pg_stat_activity WHERE datname = pg_database.datname)
               FROM pg_database WHERE datname = %s"""
    row = server.execute(query, (name,)).fetchone()
    if row is None:
        return
    comment, in_use = row
    if comment != MARK:
        raise BenchError(f"There is a database {name} that no bench made. Rename it, or drop it if it is of no use.")
    if in_use:
        raise BenchError(f"{in_use} connections use the database {name}: another bench runs, or was killed. Stop it.")
    server.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


@contextmanager
def _pointed_at(alias: str, name: str) -> Iterator[None]:
    """Django's own connections go to this database meanwhile, as its test runner does it."""
    known = connections.settings[alias]
    before = known["NAME"]
    connections[alias].close()
    known["NAME"] = name
    try:
        yield
    finally:
        connections[alias].close()
        known["NAME"] = before


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
