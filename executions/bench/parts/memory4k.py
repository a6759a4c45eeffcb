"""Peak memory of a worker that extracts frames of 3840x2160, above the same worker with nothing to do.

The bare library calls run in an equally started process, above the same process without frames.
"""

import json
from collections.abc import Iterator

from executions.bench import feed
from executions.bench.figures import Figure, Target
from executions.bench.lab import Lab, Options
from executions.ingest.recording import record

FRAMES = 6
ROUNDS = 2


def run(lab: Lab, options: Options) -> Iterator[Figure]:
    frames = max(1, min(FRAMES, round(options.seconds)))
    lab.clear()
    payloads = lab.payloads(feed.UHD, 1)
    worker, bare = [], []
    for _ in range(ROUNDS if options.seconds >= 5 else 1):
        idle = _worker_peak(lab)
        _offer(lab, frames)
        worker.append(_worker_peak(lab) - idle)
        arguments = ["-m", "executions.bench.bare", "bare", str(payloads), str(lab.path("out")), "--frames"]
        bare.append(_peak(lab, *arguments, str(frames)) - _peak(lab, *arguments, "0"))
    name = f"peak memory of a worker for {frames} frames of 3840x2160, above idle"
    note = f"the idle worker itself: {idle:.0f} MB"
    target = Target("ratio", 2)
    yield Figure("memory4k", name, max(worker), "MB", max(bare), "bare library calls, above idle", target, note)


def _offer(lab: Lab, frames: int) -> None:
    """Executions that have ended, recorded and due for extraction; no listener runs."""
    with lab.feed(feed.UHD, 1) as n8n:
        record([n8n.begin().finish() for _ in range(frames)])


def _worker_peak(lab: Lab) -> float:
    return _peak(lab, "manage.py", "etl_worker", "--once")


def _peak(lab: Lab, *arguments: str) -> float:
    """The peak memory of a process, in MB, as it reports it itself at its end."""
    report = lab.path("peak.json")
    with lab.run("-m", "executions.bench.measured", str(report), *arguments) as process:
        process.finish()
    return float(json.loads(report.read_text())["peak_mb"])
