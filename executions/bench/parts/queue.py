"""The work queue: claim, begin and complete for each item, beside one bare UPDATE of such a row."""

import time
from collections.abc import Iterator

import psycopg
from django.conf import settings
from django.db import transaction

from executions.bench.figures import Figure, median
from executions.bench.lab import Lab, Options
from executions.bench.seeding import history
from executions.ingest import queue
from executions.models import QueuePhase

UPDATE = "UPDATE etl_processing_queue SET status = 'completed', completed_at = now() WHERE id = %s"


def run(lab: Lab, options: Options) -> Iterator[Figure]:
    lab.clear()
    size = settings.ETL_BATCH_SIZE
    rounds = max(3, round(options.seconds * 5))
    history(lab, 1, size * rounds)
    ids = range(1, size * rounds + 1)
    with transaction.atomic():
        queue.request(ids, QueuePhase.CREATED)
        queue.request(ids, QueuePhase.COMPLETED, queue.BACKFILL)  # Behind the others: for the bare UPDATE.
    cycles, bare = [], []
    with psycopg.connect(lab.ours, autocommit=True) as connection:
        others = _others(connection)
        for index in range(rounds):
            cycles.append(_cycle(size))
            bare.append(_bare(connection, others[index * size : (index + 1) * size]))
    name = f"claim (by {size}), begin and complete, per item"
    note = "two transactions and a share of a third, on a disk that is waited for; the bare UPDATE is one"
    yield Figure("queue", name, median(cycles), "ms", median(bare), "one bare UPDATE", note=note)


def _others(connection: psycopg.Connection) -> list[int]:
    query = "SELECT id FROM etl_processing_queue WHERE phase = 'completed' ORDER BY id"
    return [id_ for (id_,) in connection.execute(query)]


def _cycle(size: int) -> float:
    """Milliseconds per item."""
    begun = time.perf_counter()
    claims = queue.claim("bench", size)
    for claim in claims:
        queue.begin(claim)
        with transaction.atomic():
            queue.complete(claim)
    return (time.perf_counter() - begun) * 1000 / len(claims)


def _bare(connection: psycopg.Connection, ids: list[int]) -> float:
    begun = time.perf_counter()
    for id_ in ids:
        connection.execute(UPDATE, (id_,))
    return (time.perf_counter() - begun) * 1000 / len(ids)
