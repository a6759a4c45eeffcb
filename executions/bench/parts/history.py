"""What a long history costs: the queries of the live page, and the sweep that compares all ids with n8n's."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from executions.bench import machine
from executions.bench.figures import BenchError, Figure, Target, median
from executions.bench.lab import Lab, Options
from executions.bench.seeding import history
from executions.ingest import catchup
from executions.models import Execution

FEW, MORE = 5_000, 10_000
REPEATS = 15


@dataclass(frozen=True)
class Sweep:
    """A sweep that finds nothing: how long it took, and how much memory it took at most."""

    seconds: float
    memory_mb: float


def run(lab: Lab, options: Options) -> Iterator[Figure]:
    lab.clear()
    many = max(options.rows, 20)
    few, more = min(FEW, many // 4), min(MORE, many // 2)
    history(lab, 1, few)
    newest_few, older_few = _query_ms(many // 100), _query_ms(few // 2)
    history(lab, few + 1, more)
    sweep_more = _sweep()
    history(lab, more + 1, many)
    newest_many, older_many = _query_ms(0), _query_ms(many // 2)
    sweep_many = _sweep()
    rows, beside = f"{many:,} rows", f"{few:,} rows"
    target = Target("ratio", 1.5)
    yield Figure("history", f"query of the live page, {rows}", newest_many, "ms", newest_few, beside, target)
    yield Figure("history", f"query of an older page, {rows}", older_many, "ms", older_few, beside, target)
    beside = f"{more:,} ids"
    yield Figure("history", f"full sweep of {many:,} ids", sweep_many.seconds, "s", sweep_more.seconds, beside)
    name = f"memory of a full sweep of {many:,} ids"
    yield Figure("history", name, sweep_many.memory_mb, "MB", sweep_more.memory_mb, beside)


def _query_ms(before: int) -> float:
    """PostgreSQL's own time for the rows of the live page (`before`: 0), or of the page before that id."""
    rows = Execution.objects.latest_first().for_cards()
    if before:
        rows = rows.filter(pk__lt=before)
    return median([_execution_ms(rows[:49].explain(analyze=True)) for _ in range(REPEATS)])


def _execution_ms(plan: str) -> float:
    found = re.search(r"Execution Time: ([\d.]+) ms", plan)
    assert found is not None
    return float(found[1])


def _sweep() -> Sweep:
    begun = time.perf_counter()
    swept = None

    def sweep() -> None:
        nonlocal swept
        swept = catchup.sweep_full()

    memory = machine.growth_mb(sweep)
    if swept is None or swept.total:
        raise BenchError(f"The sweep found differences where none are: {swept}.")
    return Sweep(time.perf_counter() - begun, memory)
