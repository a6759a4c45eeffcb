"""From n8n's commit to the recorded row, at five executions a second with real frames being extracted meanwhile.

Bare LISTEN on the trigger's own channel is the reference: nothing can know of the commit earlier. The row is seen by
LISTEN on our database, since `execution:new` is notified by the transaction that writes the row and so arrives with
its commit; polling for the row would load the machine and be no sooner. Both are heard by the process that commits, by
one clock, which starts when COMMIT returns to the writer: a bare listener may hear a little before that.
"""

import time
from collections import deque
from collections.abc import Iterator

import psycopg

from executions.bench.feed import Feed
from executions.bench.figures import BenchError, Figure, Target, percentile
from executions.bench.hearing import Ear, content
from executions.bench.lab import Lab, Options
from executions.bench.processes import until
from executions.events import NOTIFY_CHANNEL
from executions.simulator import Run

RATE = 5
# The first ones open connections.
WARM_UP = 3


def run(lab: Lab, options: Options) -> Iterator[Figure]:
    lab.clear()
    number = max(10, round(RATE * options.seconds))
    bare, ear = Ear(lab.n8n, "sai_execution_created"), Ear(lab.ours, NOTIFY_CHANNEL)
    with lab.feed() as n8n, lab.listener(), bare, ear:
        committed = feed_and_note(n8n, number)
        until(lambda: _recorded(lab) == number, f"{number} recorded executions")
        time.sleep(0.2)  # What was notified last is on its way.
    heard = {int(content(each)["execution_id"]): each.at for each in bare.heard}
    recorded = arrivals(lab, {each.content: each.at for each in ear.heard}, "execution:new")
    ids = sorted(committed)[WARM_UP:]
    if missing := [id_ for id_ in ids if id_ not in heard or id_ not in recorded]:
        raise BenchError(f"Nobody was told of the executions {missing}.")
    ours, reference = ([(at[id_] - committed[id_]) * 1000 for id_ in ids] for at in (recorded, heard))
    targets = {50: Target("difference", 10), 99: Target("value", 100)}
    for percent, target in targets.items():
        name, beside = f"commit to row recorded, p{percent}", f"bare LISTEN, p{percent}"
        yield Figure("record", name, percentile(ours, percent), "ms", percentile(reference, percent), beside, target)


def feed_and_note(n8n: Feed, number: int) -> dict[int, float]:
    """Begin five executions a second and end each a second later; id -> when the INSERT was committed."""
    committed: dict[int, float] = {}
    begun: deque[Run] = deque()
    start = time.perf_counter()
    for index in range(number):
        time.sleep(max(0.0, start + index / RATE - time.perf_counter()))
        run = n8n.begin()
        committed[run.execution_id] = time.perf_counter()
        begun.append(run)
        if len(begun) > RATE:
            # In the middle between two commits, so that its work does not disturb their measurement.
            time.sleep(max(0.0, start + (index + 0.5) / RATE - time.perf_counter()))
            begun.popleft().finish()
    for run in begun:
        run.finish()
    return committed


def arrivals(lab: Lab, notified: dict[str, float], kind: str) -> dict[int, float]:
    """Execution id -> when the first event of this kind was notified; a notification holds only the event's number."""
    query = "SELECT channel || ':' || eid, data::json->>'execution_id' FROM django_eventstream_event WHERE type = %s"
    with psycopg.connect(lab.ours) as connection:
        rows = connection.execute(query + " ORDER BY eid DESC", (kind,)).fetchall()
    return {int(execution_id): notified[event] for event, execution_id in rows if event in notified}


def _recorded(lab: Lab) -> int:
    with psycopg.connect(lab.ours) as connection:
        row = connection.execute("SELECT count(*) FROM sai_executions").fetchone()
    return int(row[0]) if row else 0
