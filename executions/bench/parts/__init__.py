"""The benchmarks, one module each: `run(lab, options)` yields its figures. The order is that of the table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from executions.bench.figures import Figure
from executions.bench.lab import Lab, Options
from executions.bench.parts import backfill, history, memory4k, page, queue, record, sustained, triggers, visible

Run = Callable[[Lab, Options], Iterator[Figure]]


@dataclass(frozen=True)
class Part:
    """A benchmark by its name, and what it answers."""

    name: str
    about: str
    run: Run


PARTS = (
    Part("record", "how soon an execution is recorded after n8n's commit", record.run),
    Part("visible", "how soon the thumbnail is there, and how soon a browser hears of it and of the end", visible.run),
    Part("sustained", "frames of 1920x1080 per second, CPU per frame, memory meanwhile", sustained.run),
    Part("memory4k", "peak memory of a worker with frames of 3840x2160", memory4k.run),
    Part("backfill", "import of history without images", backfill.run),
    Part("triggers", "what the triggers cost n8n", triggers.run),
    Part("queue", "what the work queue costs for each item", queue.run),
    Part("page", "the live page with a full list of cards", page.run),
    Part("history", "the sweep and the live page's queries on a long history (--rows)", history.run),
)
