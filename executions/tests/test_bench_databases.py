"""A bench works on databases of its own and touches no other."""

from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from pytest_django import DjangoDbBlocker

from executions.bench import databases
from executions.bench.figures import BenchError
from sai_dashboard.embedded import EmbeddedPostgres

OURS = databases.NAMES["default"]


@pytest.fixture
def server(postgres: EmbeddedPostgres, django_db_blocker: DjangoDbBlocker) -> Iterator[psycopg.Connection]:
    """A connection to the test's server, on which no bench has been."""
    with django_db_blocker.unblock(), psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        yield connection
        for name in databases.NAMES.values():
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def make_and_drop() -> None:
    with databases.bench_databases(["w1"]):
        pass


def names(server: psycopg.Connection) -> set[str]:
    return {name for (name,) in server.execute("SELECT datname FROM pg_database")}


def test_a_database_that_no_bench_made_is_refused_and_kept(server: psycopg.Connection) -> None:
    server.execute(f"CREATE DATABASE {OURS}".encode())
    with pytest.raises(BenchError, match=f"a database {OURS} that no bench made"):
        make_and_drop()
    assert OURS in names(server)


def test_a_database_that_another_bench_uses_is_refused(server: psycopg.Connection, postgres: EmbeddedPostgres) -> None:
    server.execute(f"CREATE DATABASE {OURS}".encode())
    server.execute(f"COMMENT ON DATABASE {OURS} IS '{databases.MARK}'".encode())
    with psycopg.connect(postgres.url(OURS)), pytest.raises(BenchError, match="another bench runs"):
        make_and_drop()
    assert OURS in names(server)


def test_a_server_that_is_not_there_is_explained(server: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    connections["n8n"].close()
    monkeypatch.setitem(connections.settings["n8n"], "PORT", 1)
    with pytest.raises(BenchError, match=r"server of the database 'n8n' cannot be used.*embedded run -- "):
        make_and_drop()
    assert not {*databases.NAMES.values()} & names(server)


def test_a_role_that_may_not_create_databases_is_told(
    server: psycopg.Connection, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.execute("CREATE ROLE poor LOGIN PASSWORD 'poor'")
    connections["default"].close()
    monkeypatch.setitem(connections.settings["default"], "USER", "poor")
    monkeypatch.setitem(connections.settings["default"], "PASSWORD", "poor")
    try:
        with pytest.raises(BenchError, match="may not create databases"):
            make_and_drop()
    finally:
        server.execute("DROP ROLE poor")


def test_what_a_killed_bench_left_behind_is_replaced(server: psycopg.Connection, postgres: EmbeddedPostgres) -> None:
    server.execute(f"CREATE DATABASE {OURS}".encode())
    server.execute(f"COMMENT ON DATABASE {OURS} IS '{databases.MARK}'".encode())
    with psycopg.connect(postgres.url(OURS)) as left:
        left.execute("CREATE TABLE left_behind ()")
    with databases.bench_databases(["w1"]), psycopg.connect(databases.url("default")) as ours:
        assert ours.execute("SELECT to_regclass('left_behind'), to_regclass('sai_executions') IS NULL").fetchone() == (
            None,
            False,
        )


def test_both_databases_are_there_meanwhile_and_gone_afterwards(server: psycopg.Connection) -> None:
    before = {alias: connections.settings[alias]["NAME"] for alias in databases.NAMES}
    with databases.bench_databases(settings.N8N_WORKFLOW_IDS):
        assert {*databases.NAMES.values()} <= names(server)
        for alias, name in databases.NAMES.items():
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT current_database()")
                assert cursor.fetchone() == (name,)
    assert not {*databases.NAMES.values()} & names(server)
    assert {alias: connections.settings[alias]["NAME"] for alias in databases.NAMES} == before


def test_the_address_for_processes_leads_to_the_same_database(server: psycopg.Connection) -> None:
    with databases.bench_databases(["w1"]), psycopg.connect(databases.url("n8n")) as connection:
        assert connection.info.dbname == databases.NAMES["n8n"]


def test_a_password_and_a_socket_folder_survive_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    settings_of = {"USER": "a b", "PASSWORD": "p@/s:", "HOST": "/run/pg", "PORT": "", "NAME": "x"}
    monkeypatch.setitem(connections.settings, "default", settings_of | {"OPTIONS": {"sslmode": "disable"}})
    found = psycopg.conninfo.conninfo_to_dict(databases.url("default"))
    assert found == {"user": "a b", "password": "p@/s:", "host": "/run/pg", "dbname": "x", "sslmode": "disable"}
