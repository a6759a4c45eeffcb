"""Frames of 1920x1080 end to end: how many a second on this machine, what each costs, and the memory meanwhile.

Live segments: a simulated n8n, another process on the same cores, writes frames faster than they can be taken, and the
product takes them. The references run beside an n8n that writes as fast, for a workflow that nobody watches; so CPU
and caches are contended alike. A simulated n8n and its PostgreSQL take a third of two cores, which a real one would
take elsewhere. Therefore backlog segments too: the frames are in n8n already, and the product has the cores alone.
All kinds of segments take turns.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from executions.bench import feed, machine
from executions.bench.databases import OTHER_WORKFLOW
from executions.bench.figures import Figure, Target
from executions.bench.lab import Lab, Options, result_of
from executions.bench.processes import Running, until

OFFERED = 11.0
THREADS = 2
ROUNDS = 2


@dataclass
class Cost:
    """What some frames cost: CPU, and the time in which they were done, in seconds."""

    frames: float = 0
    cpu_s: float = 0
    wall_s: float = 0

    def add(self, frames: float, cpu_s: float, wall_s: float) -> None:
        self.frames, self.cpu_s, self.wall_s = self.frames + frames, self.cpu_s + cpu_s, self.wall_s + wall_s

    @property
    def ms(self) -> float:
        """CPU per frame."""
        return self.cpu_s / self.frames * 1000

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.frames / self.wall_s


@dataclass
class Costs:
    """By kind of segment; memory in MB."""

    live: Cost = field(default_factory=Cost)
    live_bare: Cost = field(default_factory=Cost)
    live_sharp: Cost = field(default_factory=Cost)
    backlog: Cost = field(default_factory=Cost)
    backlog_bare: Cost = field(default_factory=Cost)
    peak_mb: float = 0
    pss_mb: float = 0


def run(lab: Lab, options: Options) -> Iterator[Figure]:
    lab.clear()
    lab.payloads(feed.FULL_HD)
    costs, rounds = Costs(), ROUNDS if options.seconds >= 2 else 1
    frames = max(4, round(OFFERED * options.seconds / rounds))
    for _ in range(rounds):
        _live(lab, costs, frames)
        with _beside(lab):
            _reference(lab, "bare", costs.live_bare, frames // 2)
            _reference(lab, "sharp", costs.live_sharp, max(2, frames // 5))
        _backlog(lab, costs, frames)
        _reference(lab, "bare", costs.backlog_bare, frames)
    yield from _figures(costs)


def _figures(costs: Costs) -> Iterator[Figure]:
    live, bare, sharp = costs.live, costs.live_bare, costs.live_sharp
    two, job = f"bare library calls, {THREADS} threads", "the job in use today (with Pillow)"
    note = f"{OFFERED:g}/s offered; n8n writes on the same cores, also beside the reference"
    at_least_ten = Target("value", 10, at_least=True)
    alone = costs.backlog.rate, "/s", costs.backlog_bare.rate, two, at_least_ten
    yield Figure("sustained", "frames per second, n8n elsewhere (backlog)", *alone)
    yield Figure("sustained", "frames per second beside n8n", live.rate, "/s", bare.rate, two, at_least_ten, note)
    yield Figure("sustained", "CPU per frame", live.ms, "ms", bare.ms, two, Target("ratio", 1.3))
    yield Figure("sustained", "CPU per frame", live.ms, "ms", sharp.ms, job, Target("ratio", 0.35))
    note = f"{THREADS} extraction threads; at most {costs.pss_mb:.0f} MB when shared pages are divided (Pss)"
    limit = Target("value", 150)
    yield Figure("sustained", "peak memory of the listener", costs.peak_mb, "MB", target=limit, note=note)


def _live(lab: Lab, costs: Costs, frames: int) -> None:
    """One segment; it ends when all that was offered has been extracted, so that all CPU is counted."""
    with lab.listener() as listener:
        before, cpu = _done(lab), machine.cpu_s(listener.pid)
        with lab.feeding(OFFERED, frames, lab.workflow_id) as n8n:
            _extracted(lab, costs, listener, before + frames)
            n8n.finish()
        costs.live.add(frames, machine.cpu_s(listener.pid) - cpu, _span_s(lab, frames))


def _backlog(lab: Lab, costs: Costs, frames: int) -> None:
    """n8n's executions have ended before the listener starts."""
    before = _done(lab)
    with lab.feed() as n8n:
        for _ in range(frames):
            n8n.begin().finish()
    with lab.listener() as listener:
        _extracted(lab, costs, listener, before + frames)
    costs.backlog.add(frames, 0, _span_s(lab, frames))


def _extracted(lab: Lab, costs: Costs, listener: Running, number: int) -> None:
    """Wait until so many executions are recorded with image and result; note the memory meanwhile."""
    while _done(lab) < number:
        listener.check()
        costs.pss_mb = max(costs.pss_mb, machine.pss_mb(listener.pid))
        time.sleep(0.25)
    costs.peak_mb = max(costs.peak_mb, machine.peak_mb(listener.pid))


@contextmanager
def _beside(lab: Lab) -> Iterator[None]:
    """n8n writes as fast as in a live segment, but nobody watches."""
    others = 'SELECT count(*) FROM execution_entity WHERE "workflowId" = %s'
    with psycopg.connect(lab.n8n, autocommit=True) as connection:
        with lab.feeding(OFFERED, 100_000, OTHER_WORKFLOW) as n8n:
            until(lambda: connection.execute(others, (OTHER_WORKFLOW,)).fetchone() != (0,), "executions", 30, n8n)
            yield
        connection.execute('DELETE FROM execution_entity WHERE "workflowId" = %s', (OTHER_WORKFLOW,))


def _reference(lab: Lab, job: str, cost: Cost, frames: int) -> None:
    arguments = [str(lab.payloads(feed.FULL_HD)), str(lab.path("out")), "--frames", str(frames)]
    with lab.run("-m", "executions.bench.bare", job, *arguments, "--threads", str(THREADS)) as process:
        found = result_of(process)
    cost.add(found["frames"], found["cpu_s"], found["wall_s"])


def _done(lab: Lab) -> int:
    """How many executions are recorded with image and result."""
    query = "SELECT count(*) FROM sai_executions WHERE image_thumb_path IS NOT NULL AND phase2_at IS NOT NULL"
    with psycopg.connect(lab.ours) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _span_s(lab: Lab, frames: int) -> float:
    """The time that the last so many executions took: from the first image to the last result, and one share more."""
    query = """
    SELECT EXTRACT(EPOCH FROM max(greatest(phase1_at, phase2_at)) - min(phase1_at))::float8
      * count(*) / greatest(count(*) - 1, 1)
    FROM (SELECT phase1_at, phase2_at FROM sai_executions ORDER BY execution_id DESC LIMIT %s) last"""
    with psycopg.connect(lab.ours) as connection:
        row = connection.execute(query, (frames,)).fetchone()
    assert row is not None
    return float(row[0])
