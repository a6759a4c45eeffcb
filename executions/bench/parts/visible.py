"""What people on shift wait for: the thumbnail after n8n's INSERT, and the news of the end at their browser.

One execution after the other, 1920x1080. The thumbnail counts as visible when its row names it and the file has been
read. The browser is an HTTP client of the real web server, signed in, on `/events/`.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from executions.bench import bare, feed
from executions.bench.figures import BenchError, Figure, Target, median, percentile
from executions.bench.hearing import Browser, Ear, Heard, content
from executions.bench.lab import Lab, Options
from executions.events import NOTIFY_CHANNEL
from executions.simulator import Run

COMPLETE = "etl:stage2:complete"
# A quarter of what the dashboard in use needs from n8n's commit to the browser (median of its own measurement).
QUARTER_MS = 398 / 4
WARM_UP = 2
Times = dict[str, list[float]]


def run(lab: Lab, options: Options) -> Iterator[Figure]:
    lab.clear()
    payload = next(lab.payloads(feed.FULL_HD).iterdir()).read_text()
    number = WARM_UP + max(3, round(options.seconds * 2))
    times: Times = {name: [] for name in ("thumbnail", "bare calls", "image", "end", "bare end")}
    ours, ended = Ear(lab.ours, NOTIFY_CHANNEL), Ear(lab.n8n, "sai_execution_completed")
    with lab.listener(), lab.web() as web, lab.feed() as n8n, ours, ended, Browser(web.address, web.cookie) as browser:
        for index in range(number):
            measured = one(lab, n8n.begin(), ours, browser, ended)
            measured["bare calls"] = _bare(payload, lab.folder)
            if index >= WARM_UP:
                for name, ms in measured.items():
                    times[name].append(ms)
    for percent in (50, 99):
        target = Target("value", QUARTER_MS) if percent == 50 else None
        yield _figure(times, percent, "commit to thumbnail visible", "thumbnail", "bare calls", target)
        yield _figure(times, percent, "commit to the image's event at the browser", "image", "bare calls", None)
        yield _figure(times, percent, "commit of the end to the event at the browser", "end", "bare end", target)


def one(lab: Lab, execution: Run, ours: Ear, browser: Browser, ended: Ear) -> dict[str, float]:
    """The life of one execution whose INSERT has just been committed: milliseconds by what was waited for."""
    inserted, id_ = time.perf_counter(), execution.execution_id
    seen = _thumbnail_seen(lab, id_, ours, inserted)
    image = browser.wait_for(lambda each: each.kind == COMPLETE and _is_of(each, id_), f"the image of {id_}")
    execution.finish()
    committed = time.perf_counter()
    bare_end = ended.wait_for(lambda each: _is_of(each, id_), f"the wake-up of {id_}")
    # What phase 1 published came before; `result` is what is only known after the end.
    end = browser.wait_for(lambda each: _is_result(each, id_), f"the result of {id_}")
    return {
        "thumbnail": (seen - inserted) * 1000,
        "image": (image.at - inserted) * 1000,
        "end": (end.at - committed) * 1000,
        "bare end": (bare_end.at - committed) * 1000,
    }


def _thumbnail_seen(lab: Lab, id_: int, ours: Ear, inserted: float) -> float:
    """When the thumbnail had been read; each notification of our database is a reason to look."""
    query = "SELECT image_thumb_path FROM sai_executions WHERE execution_id = %s"
    with psycopg.connect(lab.ours, autocommit=True) as connection:

        def is_there(heard: Heard) -> bool:
            row = connection.execute(query, (id_,)).fetchone() if heard.at > inserted else None
            return bool(row and row[0] and (lab.images / row[0]).read_bytes())

        ours.wait_for(is_there, f"the thumbnail of {id_}")
        return time.perf_counter()


def _is_of(heard: Heard, id_: int) -> bool:
    return '"execution_id"' in heard.content and content(heard)["execution_id"] == id_


def _is_result(heard: Heard, id_: int) -> bool:
    if heard.kind != COMPLETE or not _is_of(heard, id_):
        return False
    return content(heard)["extracted_data"]["detection_count"] is not None


def _bare(payload: str, folder: Path) -> float:
    """Milliseconds that the bare library calls take for a frame of this size, one after the other."""
    begun = time.perf_counter()
    bare.bare(payload, folder, 0)
    return (time.perf_counter() - begun) * 1000


def _figure(times: Times, percent: int, name: str, key: str, reference: str, target: Target | None) -> Figure:
    beside = {"bare calls": "bare library calls for the frame", "bare end": "bare LISTEN"}[reference]
    if not times[key]:
        raise BenchError("No execution was followed.")
    at = 50 if percent == 50 else 99
    note = "the dashboard in use: 398 ms (median, measured elsewhere)" if key == "end" and target else ""
    value, other = percentile(times[key], at), (median if at == 50 else _p99)(times[reference])
    return Figure("visible", f"{name}, p{percent}", value, "ms", other, f"{beside}, p{percent}", target, note)


def _p99(values: list[float]) -> float:
    return percentile(values, 99)
