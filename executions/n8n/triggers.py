"""The two triggers that we own in n8n's database: install, verify, remove.

The SQL stands in triggers.sql. Installing needs the owner of n8n's tables; reading later does not (docs/operations.md).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

TEMPLATE = (Path(__file__).parent / "triggers.sql").read_text()
WORKFLOW_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
# CREATE TRIGGER locks n8n's table against writers while it waits: give up early rather than make n8n wait.
LOCK_TIMEOUT_MS = 3000


class TriggerError(Exception):
    """The triggers cannot be installed or inspected; the message says what to do."""


@dataclass(frozen=True)
class Expected:
    """One trigger as it has to be. `type_bits` is pg_trigger.tgtype: 1 row, 4 insert, 16 update; AFTER is no bit."""

    trigger: str
    function: str
    type_bits: int


EXPECTED = (
    Expected("sai_execution_created_trigger", "sai_notify_execution_created", 1 | 4),
    Expected("sai_execution_completed_trigger", "sai_notify_execution_completed", 1 | 16),
)

# tgqual and tgattr: a WHEN clause or a column list that somebody added would swallow wake-ups.
STATE = """
SELECT t.tgname, t.tgenabled, t.tgtype, t.tgqual IS NOT NULL OR t.tgattr::text <> '' AS is_narrowed,
       p.proname, p.prosrc, p.proconfig IS NOT NULL OR p.prosecdef AS is_reconfigured
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = %s::regclass AND NOT t.tgisinternal
"""


def sql(workflow_ids: Sequence[str]) -> str:
    """The statements that install the triggers for these workflows.

    Raises TriggerError for an id that n8n could not have made: it would end up in SQL.
    """
    if not workflow_ids:
        raise TriggerError("No workflow to watch: set N8N_WORKFLOW_IDS to the ids of your n8n workflows.")
    for workflow_id in workflow_ids:
        if not WORKFLOW_ID.fullmatch(workflow_id):
            raise TriggerError(
                f"{workflow_id!r} in N8N_WORKFLOW_IDS is not an n8n workflow id: up to 36 letters, digits, - or _."
            )
    quoted = ", ".join(f"'{workflow_id}'" for workflow_id in workflow_ids)
    return TEMPLATE.replace("{workflow_ids}", quoted)


def check(connection: psycopg.Connection, workflow_ids: Sequence[str]) -> list[str]:
    """What is wrong with the installed triggers, one sentence each; empty when all is as it should be."""
    bodies = _bodies(sql(workflow_ids))
    with connection.cursor(row_factory=dict_row) as cursor:
        found = {row["tgname"]: row for row in cursor.execute(STATE, (_table(connection),))}
    problems = []
    for expected in EXPECTED:
        row = found.get(expected.trigger)
        if row is None:
            problems.append(f"{expected.trigger} is missing.")
            continue
        if row["tgenabled"] not in ("O", "A"):
            problems.append(f"{expected.trigger} is disabled.")
        if row["tgtype"] != expected.type_bits or row["is_narrowed"] or row["proname"] != expected.function:
            problems.append(f"{expected.trigger} was altered: it does not fire as it should.")
        elif row["prosrc"].strip() != bodies[expected.function] or row["is_reconfigured"]:
            problems.append(f"The function of {expected.trigger} was altered, or is for other workflows.")
    return problems


def install(connection: psycopg.Connection, workflow_ids: Sequence[str]) -> bool:
    """Install or repair the triggers in one transaction; False when there was nothing to do."""
    if not check(connection, workflow_ids):
        return False
    with connection.transaction():
        _set_timeout(connection)
        _enter_schema(connection)
        connection.execute(sql(workflow_ids).encode())
    return True


def remove(connection: psycopg.Connection) -> bool:
    """Remove everything of ours; False when nothing was there."""
    schema = _schema(connection)
    with connection.transaction():
        _set_timeout(connection)
        _enter_schema(connection)
        names = [expected.function for expected in EXPECTED]
        query = "SELECT count(*) FROM pg_catalog.pg_proc WHERE proname = ANY(%s) AND pronamespace = %s::regnamespace"
        row = connection.execute(query, (names, schema)).fetchone()
        for expected in EXPECTED:
            connection.execute(f"DROP TRIGGER IF EXISTS {expected.trigger} ON execution_entity".encode())
            connection.execute(f"DROP FUNCTION IF EXISTS {expected.function}()".encode())
    return bool(row and row[0])


def _bodies(statements: str) -> dict[str, str]:
    """Function name -> body, as pg_proc.prosrc will hold it."""
    pattern = r"FUNCTION (\w+)\(\) RETURNS trigger LANGUAGE plpgsql AS \$sai\$(.*?)\$sai\$"
    return {name: body.strip() for name, body in re.findall(pattern, statements, re.DOTALL)}


def _table(connection: psycopg.Connection) -> str:
    """The qualified name of n8n's table: n8n may live in a schema of its own."""
    row = connection.execute("SELECT to_regclass('execution_entity')::oid::regclass::text").fetchone()
    if row is None or row[0] is None:
        raise TriggerError(
            "This database has no table execution_entity: N8N_DATABASE_URL does not point at n8n's database,"
            " or n8n uses a schema of its own (add ?options=-csearch_path%3Dthe_schema to the address)."
        )
    return str(row[0])


def _schema(connection: psycopg.Connection) -> str:
    _table(connection)
    query = "SELECT relnamespace::regnamespace::text FROM pg_catalog.pg_class WHERE oid = 'execution_entity'::regclass"
    row = connection.execute(query).fetchone()
    assert row is not None  # _table() has just seen the table
    return str(row[0])


def _enter_schema(connection: psycopg.Connection) -> None:
    """Functions go where n8n's table is, whatever the role's search path begins with."""
    connection.execute(f"SET LOCAL search_path TO {_schema(connection)}".encode())


def _set_timeout(connection: psycopg.Connection) -> None:
    connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}".encode())
