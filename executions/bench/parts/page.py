"""The live page with a full list of cards: its queries, its CPU in the process, and how long a browser waits."""

import html
import http.client
import time
from collections.abc import Callable, Iterator

import psycopg
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from executions.bench.figures import BenchError, Figure, median, percentile
from executions.bench.lab import Lab, Options, Web, signed_in
from executions.bench.seeding import history

CARDS = 48
QUERY = """
SELECT e.execution_id, e.status, e.captured_at, e.risk_level, e.confidence_score, e.image_sha256, e.image_width,
       e.image_height, c.camera_id, n.name, r.detections, t.telegram_sent
FROM sai_executions e
LEFT JOIN node_cameras c ON c.id = e.camera_id
LEFT JOIN monitoring_nodes n ON n.id = c.node_id
LEFT JOIN sai_inference_results r USING (execution_id)
LEFT JOIN sai_notifications t USING (execution_id)
ORDER BY e.execution_id DESC LIMIT 49
"""


def run(lab: Lab, options: Options) -> Iterator[Figure]:
    lab.clear()
    history(lab, 1, 200)
    client = signed_in()
    with CaptureQueriesContext(connection) as captured:
        _get(client)
    yield Figure("page", f"queries of the live page with {CARDS} cards", len(captured), "queries")
    number = max(5, round(options.seconds * 4))
    page, raw = [], []
    with psycopg.connect(lab.ours, autocommit=True) as bare:
        for _ in range(number):
            page.append(_cpu_ms(lambda: _get(client)))
            raw.append(_cpu_ms(lambda: _raw(bare)))
    beside = "raw cursor and f-strings"
    yield Figure("page", "CPU of the page (Python)", median(page), "ms", median(raw), beside)
    with lab.web() as web:
        waits = [_wait_ms(web) for _ in range(number + 3)][3:]
    yield Figure("page", "page through the web server, p50", percentile(waits, 50), "ms")


def _get(client: Client) -> None:
    response = client.get("/")
    if response.status_code != 200 or response.content.count(b"<article") != CARDS:
        raise BenchError(f"The live page answered {response.status_code} without its {CARDS} cards.")


def _cpu_ms(function: Callable[[], object]) -> float:
    begun = time.process_time()
    function()
    return (time.process_time() - begun) * 1000


def _raw(bare: psycopg.Connection) -> str:
    """The least that shows the same: one query, and text without a template."""
    return "".join(_card(*row) for row in bare.execute(QUERY))


def _card(*row: object) -> str:
    id_, status, at, level, score, sha, width, height, camera, node, detections, sent = row
    boxes = "".join(f"<rect {box['bbox']}>{html.escape(box['class'])}" for box in detections or [])  # type: ignore[attr-defined]
    picture = f'<image href="/executions/{id_}/image/thumb?v={str(sha)[:12]}"/>{boxes}'
    return (
        f'<article id="card-{id_}"><a href="/executions/{id_}/"><svg viewBox="0 0 {width} {height}">{picture}</svg></a>'
        f"<h2>{html.escape(str(camera))}</h2><p>{html.escape(str(node))}</p><time>{at:%d %b %H:%M:%S}</time>"
        f"<p>{level} {score} {status} {sent}</p></article>"
    )


def _wait_ms(web: Web) -> float:
    browser = http.client.HTTPConnection(web.address, timeout=30)
    begun = time.perf_counter()
    browser.request("GET", "/", headers={"Cookie": web.cookie})
    response = browser.getresponse()
    response.read()
    taken = (time.perf_counter() - begun) * 1000
    browser.close()
    if response.status != http.client.OK:
        raise BenchError(f"The web server answered {response.status}.")
    return taken
