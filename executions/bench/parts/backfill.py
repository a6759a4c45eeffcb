"""Import of history without images: `record` as `backfill_executions` calls it, beside COPY of the same rows.

COPY writes rows that are in memory already into twin tables with the same indexes, in transactions of the same size.
The product reads them from n8n, compares, and asks for extraction of both phases of each: three rows for each
execution. So there are two references: COPY of the executions alone, and of all that is written.
"""

import time
from collections.abc import Iterator, Sequence

import psycopg

from executions.bench.figures import Figure, Target
from executions.bench.lab import Lab, Options
from executions.bench.seeding import in_n8n
from executions.ingest import queue
from executions.ingest.catchup import CHUNK, in_chunks
from executions.ingest.recording import record

Seconds = tuple[float, float]  # wall, CPU of this process
TABLES = ("sai_executions", "etl_processing_queue")


def run(lab: Lab, options: Options) -> Iterator[Figure]:
    lab.clear()
    number = CHUNK * max(1, round(options.seconds))
    in_n8n(lab, 1, number)
    ours: list[Seconds] = []
    copies: dict[str, list[Seconds]] = {table: [] for table in TABLES}
    with psycopg.connect(lab.ours, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(f"CREATE TABLE bench_{table} (LIKE {table} INCLUDING ALL)".encode())
        for chunk in in_chunks(range(1, number + 1)):
            begun = time.perf_counter(), time.process_time()
            record(chunk, queue.BACKFILL)
            ours.append(_since(begun))
            for table, taken in copies.items():
                taken.append(_copy(connection, table, chunk))
        for table in TABLES:
            connection.execute(f"DROP TABLE bench_{table}".encode())
    yield from _figures(number, _sum(ours), *map(_sum, copies.values()))


def _figures(number: int, ours: Seconds, executions: Seconds, requests: Seconds) -> Iterator[Figure]:
    rate, micro = number / ours[0], 1_000_000 / number
    target = Target("ratio", 0.25, at_least=True)
    yield Figure("backfill", "executions per second", rate, "/s", number / executions[0], "bare COPY", target)
    all_of_it = "bare COPY, with the two requests of each"
    yield Figure("backfill", "executions per second", rate, "/s", number / (executions[0] + requests[0]), all_of_it)
    cpu = executions[1] + requests[1]
    yield Figure("backfill", "CPU per execution (client)", ours[1] * micro, "µs", cpu * micro, all_of_it)


def _copy(connection: psycopg.Connection, table: str, chunk: Sequence[int]) -> Seconds:
    """Write the rows that were just recorded into the twin table."""
    cursor = connection.execute(f"SELECT * FROM {table} WHERE execution_id = ANY(%s)".encode(), (list(chunk),))
    # What is JSON comes as Python's own types; here it is empty or NULL.
    is_json = [column.type_display == "jsonb" for column in cursor.description or []]
    rows = [
        ["{}" if json and value is not None else value for json, value in zip(is_json, row, strict=True)]
        for row in cursor
    ]
    begun = time.perf_counter(), time.process_time()
    with connection.cursor() as writer, writer.copy(f"COPY bench_{table} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)
    return _since(begun)


def _since(begun: Seconds) -> Seconds:
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def _sum(all_: Sequence[Seconds]) -> Seconds:
    return sum(each[0] for each in all_), sum(each[1] for each in all_)
