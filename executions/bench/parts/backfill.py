"""Import of history without images: `record` as `backfill_executions` calls it, beside COPY of the same rows.

COPY writes rows that are in memory already into a table with the same indexes, in transactions of the same size. The
product reads them from n8n, compares, and asks for extraction of both phases of each.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from executions.bench.figures import Figure, Target
from executions.bench.lab import Lab, Options
from executions.bench.seeding import in_n8n
from executions.ingest import queue
from executions.ingest.catchup import CHUNK, in_chunks
from executions.ingest.recording import record

Seconds = tuple[float, float]  # wall, CPU of this process


def run(lab: Lab, options: Options) -> Iterator[Figure]:
    lab.clear()
    number = CHUNK * max(1, round(options.seconds))
    in_n8n(lab, 1, number)
    ours: list[Seconds] = []
    copy: list[Seconds] = []
    with psycopg.connect(lab.ours, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_copy (LIKE sai_executions INCLUDING ALL)")
        for chunk in in_chunks(range(1, number + 1)):
            begun = time.perf_counter(), time.process_time()
            record(chunk, queue.BACKFILL)
            ours.append(_since(begun))
            copy.append(_copy(connection, chunk))
        connection.execute("DROP TABLE bench_copy")
    (wall, cpu), (copy_wall, copy_cpu) = map(_sum, (ours, copy))
    target = Target("ratio", 0.25, at_least=True)
    yield Figure("backfill", "rows per second", number / wall, "/s", number / copy_wall, "bare COPY", target)
    micro = 1_000_000 / number
    yield Figure("backfill", "CPU per row (client)", cpu * micro, "µs", copy_cpu * micro, "bare COPY")


def _copy(connection: psycopg.Connection, chunk: Sequence[int]) -> Seconds:
    """Write the rows that were just recorded into the twin table."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT * FROM sai_executions WHERE execution_id = ANY(%s)", (list(chunk),)
    ).fetchall()
    described = connection.execute("SELECT * FROM sai_executions LIMIT 0").description or []
    json_columns = [index for index, column in enumerate(described) if column.type_display == "jsonb"]
    rows = [
        tuple("{}" if index in json_columns and value is not None else value for index, value in enumerate(row))
        for row in rows
    ]
    begun = time.perf_counter(), time.process_time()
    with connection.cursor() as cursor, cursor.copy("COPY bench_copy FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    return _since(begun)


def _since(begun: Seconds) -> Seconds:
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def _sum(all_: Sequence[Seconds]) -> Seconds:
    return sum(each[0] for each in all_), sum(each[1] for each in all_)
