"""What the pair of triggers costs n8n for each execution: an INSERT and two UPDATEs, each a transaction.

The reference is a twin of n8n's table without triggers. The three variants take turns. Commits do not wait for the
disk here (synchronous_commit off): its waits are a hundred times what is measured, and the same for all three.
"""

import time
from collections.abc import Iterator

import psycopg

from executions.bench.databases import OTHER_WORKFLOW
from executions.bench.figures import Figure, median
from executions.bench.hearing import Ear
from executions.bench.lab import Lab, Options

INSERT = """
INSERT INTO {table} (finished, mode, status, "workflowId", "createdAt") VALUES (false, 'webhook', 'new', %s, now())
RETURNING id"""
START = """UPDATE {table} SET status = 'running', "startedAt" = now() WHERE id = %s"""
END = """UPDATE {table} SET status = 'success', finished = true, "stoppedAt" = now() WHERE id = %s"""
TWIN = """
CREATE TABLE bench_twin (LIKE execution_entity INCLUDING ALL);
ALTER TABLE bench_twin ADD FOREIGN KEY ("workflowId") REFERENCES workflow_entity (id)
"""


def run(lab: Lab, options: Options) -> Iterator[Figure]:
    lab.clear()
    number = max(50, round(options.seconds * 100))
    with psycopg.connect(lab.n8n, autocommit=True) as connection:
        _prepare(connection)
        with Ear(lab.n8n, "sai_execution_created"), Ear(lab.n8n, "sai_execution_completed"):
            times = _measure(connection, lab.workflow_id, number)
        connection.execute("DROP TABLE bench_twin")
    none = median(times["none"])
    for variant in ("watched", "unwatched"):
        cost = median(times[variant])
        note = f"the pair of triggers costs {cost - none:+.3f} ms; a listener is connected"
        yield Figure(
            "triggers", f"an execution of a workflow that is {variant}", cost, "ms", none, "without", note=note
        )


def _measure(connection: psycopg.Connection, workflow_id: str, number: int) -> dict[str, list[float]]:
    variants = {
        "none": ("bench_twin", workflow_id),
        "watched": ("execution_entity", workflow_id),
        "unwatched": ("execution_entity", OTHER_WORKFLOW),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(number):
        for name, (table, workflow) in variants.items():
            begun = time.perf_counter()
            _live(connection, table, workflow)
            times[name].append((time.perf_counter() - begun) * 1000)
    return times


def _live(connection: psycopg.Connection, table: str, workflow_id: str) -> None:
    row = connection.execute(INSERT.format(table=table).encode(), (workflow_id,)).fetchone()
    for statement in (START, END):
        connection.execute(statement.format(table=table).encode(), row)


def _prepare(connection: psycopg.Connection) -> None:
    connection.execute("SET synchronous_commit = off")
    connection.execute("DROP TABLE IF EXISTS bench_twin")
    connection.execute(TWIN.encode())
