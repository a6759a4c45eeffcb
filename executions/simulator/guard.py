"""Whether a database may be written to by the simulator, which n8n's tables it has, and how to make them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from executions.simulator import workflows

VERSIONS = ("1.60.1", "1.123.5", "2.41.1")
DEFAULT_VERSION = "1.123.5"
TABLES = ("execution_entity", "execution_data", "workflow_entity")
# Tables that n8n has and the simulator never makes.
REAL_TABLES = ("user", "credentials_entity", "settings", "shared_workflow", "migrations")


class NotASimulatedDatabase(Exception):
    """The database looks like a real n8n's, or cannot be written to as one; the message says why and what to do."""


def detect_version(connection: psycopg.Connection[Any]) -> str:
    """The n8n version whose tables the database has. Raises NotASimulatedDatabase when they are not n8n's."""
    missing = [table for table in TABLES if not _columns(connection, table)]
    if missing:
        raise NotASimulatedDatabase(
            f"The database has no table {', '.join(missing)}. Run again with --create-schema to make n8n's tables."
        )
    entity = _columns(connection, "execution_entity")
    if "storedAt" in entity:
        return "2.41.1"
    return "1.123.5" if "createdAt" in entity else "1.60.1"


def create_schema(connection: psycopg.Connection[Any], version: str = DEFAULT_VERSION) -> bool:
    """Make n8n's tables in an empty database. Returns whether they had to be made.

    Tables that are there already must have the shape of `version`; otherwise raises NotASimulatedDatabase.
    """
    script = (Path(__file__).parent / "schema" / f"{version}.sql").read_text("utf-8")
    present = [table for table in TABLES if _columns(connection, table)]
    if not present:
        with connection.transaction():
            connection.execute(script)
        return True
    if len(present) < len(TABLES) or detect_version(connection) != version:
        raise NotASimulatedDatabase(
            f"The database already has {', '.join(present)}, but not in the shape of n8n {version}. "
            "Use an empty database, or leave --create-schema out."
        )
    return False


def refuse_real_n8n(connection: psycopg.Connection[Any]) -> None:
    """Raises NotASimulatedDatabase when the database looks like that of a real n8n."""
    tables = [table for table in REAL_TABLES if _columns(connection, table)]
    if tables:
        raise NotASimulatedDatabase(_refusal(f"it has n8n's table {_listed(tables)}"))
    if not _columns(connection, "workflow_entity"):
        return
    foreign = connection.execute(
        "SELECT id FROM workflow_entity WHERE coalesce(meta::text, '') NOT LIKE %s LIMIT 3",
        (f"%{workflows.MARKER['simulatedBy']}%",),
    ).fetchall()
    if foreign:
        raise NotASimulatedDatabase(
            _refusal(f"it has workflow {_listed(row[0] for row in foreign)}, not of the simulator")
        )


def ensure_workflow(connection: psycopg.Connection[Any], version: str, workflow_id: str) -> None:
    """The workflow row that executions refer to, marked as the simulator's. An existing one is left as it is."""
    stored = workflows.content(version, "multipart")
    columns = {
        "id": workflow_id,
        "name": stored["name"],
        "active": True,
        "nodes": workflows.dumps(stored["nodes"]),
        "connections": workflows.dumps(stored["connections"]),
        "settings": workflows.dumps(stored["settings"]),
        "versionId": workflows.VERSION_ID,
        "meta": workflows.dumps(workflows.MARKER),
    }
    query = sql.SQL("INSERT INTO workflow_entity ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(", ").join(sql.Placeholder() * len(columns))
    )
    with connection.transaction():
        connection.execute(query, list(columns.values()))


def _columns(connection: psycopg.Connection[Any], table: str) -> set[str]:
    """The columns of a table on the search path; empty when there is none."""
    query = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
    return {row[0] for row in connection.execute(query, (f'"{table}"',))}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _refusal(reason: str) -> str:
    return (
        f"This looks like the database of a real n8n: {reason}. Simulated executions would mix with real ones. "
        "Point N8N_DATABASE_URL at another database, or add --yes-this-is-a-test-database."
    )
