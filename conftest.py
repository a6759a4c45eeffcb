"""What all test modules share: an n8n database as n8n makes it, an image folder, and real processes beside them."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connections
from pytest_django import Settings

from sai_dashboard.embedded import EmbeddedPostgres
from sai_dashboard.pytest_postgres import SERVER

SAMPLES = Path(__file__).parent / "executions" / "tests" / "n8n_samples"
DEFAULT_VERSION = "1.123.5"
WORKFLOW_ID = "yDbfhooKemfhMIkC"


class N8nDatabase:
    """n8n's side of a test: every statement is committed at once, so that other processes see it.

    `version` is the version of n8n whose tables it holds, `url` the address for processes.
    """

    def __init__(self, url: str, version: str) -> None:
        self.url = url
        self.version = version
        self._connection: psycopg.Connection | None = None

    @property
    def connection(self) -> psycopg.Connection:
        """An autocommit connection; a new one when the server or a test closed the last."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.url, autocommit=True)
        return self._connection

    def execute(self, sql: str, params: Sequence[Any] | None = None) -> psycopg.Cursor:
        """Run a statement; without params, several of them, and % needs no escape."""
        return self.connection.execute(sql.encode(), params)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever uses the n8n database gets both databases, with real commits."""
    for item in items:
        if "n8n" in getattr(item, "fixturenames", ()) and item.get_closest_marker("django_db") is None:
            item.add_marker(pytest.mark.django_db(transaction=True, databases=["default", "n8n"]))


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> EmbeddedPostgres:
    """The server of this run."""
    return pytestconfig.stash[SERVER]


@pytest.fixture(scope="session")
def n8n_schema() -> Callable[[str], str]:
    """The statements that make the tables of one version of n8n, as its own dump has them."""
    loaded: dict[str, str] = {}

    def load(version: str) -> str:
        if version not in loaded:
            loaded[version] = (SAMPLES / version / "schema.sql").read_text()
        return loaded[version]

    return load


@pytest.fixture
def n8n(
    request: pytest.FixtureRequest,
    transactional_db: None,
    postgres: EmbeddedPostgres,
    n8n_schema: Callable[[str], str],
) -> Iterator[N8nDatabase]:
    """A fresh n8n database with one workflow.

    `@pytest.mark.parametrize("n8n", ["1.60.1", "2.41.1"], indirect=True)` asks for the tables of other versions.
    """
    version = getattr(request, "param", DEFAULT_VERSION)
    database = N8nDatabase(database_url(postgres, "n8n"), version)
    connections["n8n"].close()
    make_n8n_tables(database.url, n8n_schema(version))
    yield database
    database.close()


def make_n8n_tables(url: str, schema: str) -> None:
    """On a connection of its own, because the dump changes the session's settings."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    with psycopg.connect(url, autocommit=True) as connection:
        # What an earlier test left connected could hold a lock for ever.
        connection.execute(f"{others} AND pid <> pg_backend_pid()")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        connection.execute(schema.encode())
        connection.execute(
            """INSERT INTO public.workflow_entity (id, name, active, nodes, connections, "versionId")
               VALUES (%s, 'Fire watch', true, '[]', '{}', gen_random_uuid())""",
            (WORKFLOW_ID,),
        )


@pytest.fixture
def image_root(tmp_path: Path, settings: Settings) -> Path:
    """The image store of this test: a folder of its own. (Django drops cached storages when STORAGES changes.)"""
    folder = tmp_path / "images"
    images = {**django_settings.STORAGES["images"], "OPTIONS": {"location": str(folder)}}
    settings.STORAGES = {**django_settings.STORAGES, "images": images}
    settings.IMAGE_ROOT = folder
    return folder


@pytest.fixture
def process_env(postgres: EmbeddedPostgres, transactional_db: None, image_root: Path) -> dict[str, str]:
    """The environment in which `manage.py` as a process works on the databases and images of this test."""
    return {
        **os.environ,
        "DATABASE_URL": database_url(postgres, "default"),
        "N8N_DATABASE_URL": database_url(postgres, "n8n"),
        "IMAGE_ROOT": str(image_root),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def restart_postgres(postgres: EmbeddedPostgres) -> Callable[[], None]:
    """Stops and starts the server, on the same port; every connection to it breaks."""

    def restart() -> None:
        postgres.restart()
        connections.close_all()

    return restart


def database_url(server: EmbeddedPostgres, alias: str) -> str:
    """The address of the test database behind a Django alias."""
    return server.url(str(connections[alias].settings_dict["NAME"]))
