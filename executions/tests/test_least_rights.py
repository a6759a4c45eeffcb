"""The rights that docs/operations.md grants are enough for the real listener, and allow nothing more."""

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings

from conftest import N8nDatabase
from executions.models import Execution, QueueItem
from executions.n8n import triggers
from executions.simulator import Simulator
from executions.tests.processes import manage, until

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
ROLE, PASSWORD = "sai_reader", "change-me"
VERSIONS = ["1.60.1", "1.123.5", "2.41.1"]
WITH_BINARY_TABLE = VERSIONS[1:]
FORBIDDEN = [
    "UPDATE execution_entity SET status = 'error'",
    "DELETE FROM execution_data",
    "INSERT INTO binary_data SELECT * FROM binary_data",
    "TRUNCATE execution_entity CASCADE",
    "BEGIN; LOCK TABLE execution_entity IN SHARE MODE",
    "DROP TRIGGER sai_execution_created_trigger ON execution_entity",
    "ALTER TABLE execution_entity ADD COLUMN x int",
    "CREATE TABLE x (y int)",
    "CREATE TEMPORARY TABLE x (y int)",
    "SELECT * FROM credentials_entity",
    "SELECT * FROM workflow_entity",
]

Env = dict[str, str]


def documented_grants(database: str, has_binary_table: bool) -> list[str]:
    """The statements that the page gives for n8n's database, for a database of another name."""
    (block,) = (sql for sql in re.findall(r"```sql\n(.*?)```", OPERATIONS.read_text(), re.DOTALL) if ROLE in sql)
    statements = [part.strip() for part in re.sub(r"--.*", "", block).split(";") if part.strip()]
    wanted = [part for part in statements if has_binary_table or "binary_data" not in part]
    return [part.replace("ON DATABASE n8n TO", f'ON DATABASE "{database}" TO') for part in wanted]


@pytest.fixture
def reader_url(n8n: N8nDatabase) -> Iterator[str]:
    """The address of n8n's database for the documented role, without what PostgreSQL gives to everybody."""
    parts = urlsplit(n8n.url)
    database = parts.path.lstrip("/")
    n8n.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
    n8n.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    for statement in documented_grants(database, has_binary_table=n8n.version in WITH_BINARY_TABLE):
        n8n.execute(statement)
    yield urlunsplit(parts._replace(netloc=f"{ROLE}:{PASSWORD}@{parts.netloc.rpartition('@')[2]}"))
    n8n.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'")
    n8n.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
    n8n.execute(f'GRANT CONNECT, TEMPORARY ON DATABASE "{database}" TO PUBLIC')


@pytest.fixture
def env(process_env: Env, reader_url: str) -> Env:
    """Sweeps are far away, so that what is recorded was heard."""
    return process_env | {"N8N_DATABASE_URL": reader_url, "N8N_ADMIN_DATABASE_URL": "", "ETL_SWEEP_SECONDS": "600"}


def test_the_page_grants_what_it_says_and_nothing_to_others() -> None:
    grants = documented_grants("n8n", has_binary_table=True)
    assert [grant.split()[0] for grant in grants] == ["CREATE", "ALTER", "GRANT", "GRANT", "GRANT", "GRANT"]
    assert all(grant.endswith(f"TO {ROLE}") for grant in grants[2:])
    assert not re.search(r"INSERT|UPDATE|DELETE|ALL|SUPERUSER|OWNER|CREATE(?! ROLE)", "".join(grants))


@pytest.mark.parametrize("n8n", VERSIONS, indirect=True)
def test_the_listener_records_and_extracts_with_exactly_these_rights(
    n8n: N8nDatabase, env: Env, tmp_path: Path, image_root: Path
) -> None:
    triggers.install(n8n.connection, settings.N8N_WORKFLOW_IDS)
    log = tmp_path / "listener.log"
    with manage(env, log, "listen_n8n") as listener, Simulator(n8n.url, seed=1) as simulator:
        listener.wait_for_output("Listening to n8n.")
        ids = [simulator.run_one("smoke"), simulator.run_one("smoke_json")]
        until(lambda: QueueItem.objects.filter(status="completed").count() == 4, "both extracted")
        assert listener.terminate() == 0
    assert {row.execution_id for row in Execution.objects.exclude(image_sha256=None)} == set(ids)
    assert "permission denied" not in log.read_text()


@pytest.mark.parametrize("n8n", WITH_BINARY_TABLE, indirect=True)
def test_images_in_n8ns_database_are_read(n8n: N8nDatabase, env: Env, tmp_path: Path) -> None:
    with Simulator(n8n.url, binary_mode="database", seed=1) as simulator:
        id_ = simulator.run_one("smoke")
    (content,) = n8n.execute("""SELECT data FROM binary_data WHERE "mimeType" LIKE 'image/%'""").fetchone() or [b""]
    with manage(env, tmp_path / "once.log", "listen_n8n", "--once") as once:
        assert once.wait() == 0
    row = Execution.objects.get(pk=id_)
    assert row.image_sha256 == sha256(content).hexdigest() and row.phase2_at is not None


def test_the_reader_can_check_the_triggers_but_not_install_them(n8n: N8nDatabase, env: Env, tmp_path: Path) -> None:
    with manage(env, tmp_path / "install.log", "install_n8n_triggers") as install:
        assert install.wait() == 1
    assert "Set N8N_ADMIN_DATABASE_URL" in install.output()
    with manage(env | {"N8N_ADMIN_DATABASE_URL": n8n.url}, tmp_path / "owner.log", "install_n8n_triggers") as install:
        assert install.wait() == 0
    with manage(env, tmp_path / "check.log", "install_n8n_triggers", "--check") as check:
        assert check.wait() == 0, check.output()


def test_everything_else_is_refused(n8n: N8nDatabase, reader_url: str) -> None:
    triggers.install(n8n.connection, settings.N8N_WORKFLOW_IDS)
    n8n.execute("CREATE TABLE credentials_entity (data text)")
    assert [statement for statement in FORBIDDEN if is_allowed(statement, reader_url)] == []


def is_allowed(statement: str, url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
        # Anybody can switch that off; what counts are the rights.
        connection.execute("SET default_transaction_read_only = off")
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True
