"""Every benchmark runs, with very little to do, on real processes; its figures stand beside their references."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from PIL import Image
from pytest_django import DjangoDbBlocker

from executions.bench import bare, feed, machine
from executions.bench.figures import BenchError, Figure
from executions.bench.hearing import Browser, Ear
from executions.bench.lab import Lab, Options, lab
from executions.bench.parts import PARTS
from executions.bench.processes import Running
from executions.bench.seeding import history
from executions.ingest import images

LITTLE = Options(seconds=0.4, rows=400)
PART = {part.name: part for part in PARTS}


@pytest.fixture(scope="module")
def place(django_db_blocker: DjangoDbBlocker) -> Iterator[Lab]:
    """One lab for all of these tests: each benchmark clears it first."""
    with django_db_blocker.unblock(), lab() as place:
        yield place


def figures_of(name: str, place: Lab) -> list[Figure]:
    found = list(PART[name].run(place, LITTLE))
    assert {each.part for each in found} == {name}
    return found


def test_a_process_that_fails_is_no_figure(tmp_path: Path) -> None:
    code = "raise SystemExit('no')"
    with Running(["-c", code], {}, tmp_path / "log") as process, pytest.raises(BenchError, match="failed:\nno"):
        process.finish()


def test_a_process_that_ends_early_is_not_waited_for(tmp_path: Path) -> None:
    with Running(["-c", "pass"], {}, tmp_path / "log") as process, pytest.raises(BenchError, match="ended early"):
        process.wait_for("something it never says")


def test_what_is_never_heard_is_an_error(place: Lab) -> None:
    with Ear(place.ours, "sai_bench_silence") as ear, pytest.raises(BenchError, match="in vain for nothing"):
        ear.wait_for(lambda heard: True, "nothing", timeout_s=0.3)


def test_a_browser_that_is_refused_hears_nothing() -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.handle_request).start()
        browser = Browser(f"127.0.0.1:{server.server_port}", "sessionid=none")
        browser.start()
        browser.join(10)
    assert not browser.ready.is_set() and browser.heard == []


def test_recording_is_measured_beside_bare_listen(place: Lab) -> None:
    median, worst = figures_of("record", place)
    assert 0 < median.value <= worst.value
    assert median.reference is not None
    assert median.is_met is not None and worst.is_met is not None


def test_what_people_wait_for_is_measured_to_the_browser(place: Lab) -> None:
    thumbnail, image, end, *_ = figures_of("visible", place)
    assert thumbnail.reference and thumbnail.value > 0 and image.value > 0
    assert end.reference is not None and end.value > 0


def test_sustained_frames_stand_beside_bare_calls_and_the_job_in_use(place: Lab) -> None:
    backlog, live, cpu, job, memory = figures_of("sustained", place)
    assert backlog.ratio and live.ratio and cpu.ratio
    assert cpu.value == job.value and job.reference and cpu.reference
    assert 30 < memory.value < 1000


def test_memory_of_large_frames_is_measured_above_idle(place: Lab) -> None:
    (figure,) = figures_of("memory4k", place)
    assert figure.ratio and figure.value > 0


def test_backfill_stands_beside_copy(place: Lab) -> None:
    alone, whole, cpu = figures_of("backfill", place)
    # Which is faster is what the bench is for; with so few rows on a busy machine it proves nothing.
    assert alone.reference and whole.reference and alone.value > 0 and cpu.ratio
    assert queued(place) == (1000, 500)


def test_the_triggers_stand_beside_a_table_without(place: Lab) -> None:
    watched, unwatched = figures_of("triggers", place)
    assert watched.ratio and unwatched.ratio
    with psycopg.connect(place.n8n) as connection:
        assert connection.execute("SELECT to_regclass('bench_twin')").fetchone() == (None,)


def test_the_queue_stands_beside_a_bare_update(place: Lab) -> None:
    (figure,) = figures_of("queue", place)
    assert figure.ratio


def test_the_live_page_stands_beside_a_raw_cursor(place: Lab) -> None:
    queries, cpu, _ = figures_of("page", place)
    assert 3 < queries.value < 20
    assert cpu.ratio


def test_a_long_history_stands_beside_a_short_one(place: Lab) -> None:
    live, older, sweep, memory = figures_of("history", place)
    assert live.ratio and older.ratio and sweep.ratio
    assert live.is_met is not None and memory.reference is not None


def test_a_history_is_the_same_on_both_sides(place: Lab) -> None:
    place.clear()
    history(place, 1, 30)
    query = "SELECT count(*), min({}), max({}) FROM {}"
    with psycopg.connect(place.ours) as ours, psycopg.connect(place.n8n) as n8n:
        our_rows = ours.execute(query.format("started_at", "completed_at", "sai_executions").encode()).fetchone()
        theirs = n8n.execute(query.format('"startedAt"', '"stoppedAt"', "execution_entity").encode()).fetchone()
    assert our_rows == theirs and our_rows is not None and our_rows[0] == 30
    with place.feed() as n8n_goes_on:
        assert n8n_goes_on.begin().execution_id > 30


@pytest.mark.parametrize(
    ("job", "preview", "thumb"), [("bare", (1280, 720), (300, 168)), ("sharp", (1920, 1080), (300, 169))]
)
def test_the_references_do_what_they_stand_for(
    place: Lab, tmp_path: Path, job: str, preview: feed.Size, thumb: feed.Size
) -> None:
    payloads = place.payloads(feed.FULL_HD)
    assert bare.run(bare.JOBS[job], payloads, tmp_path, 2, threads=2)["frames"] == 2
    original = bare.original_of(next(payloads.iterdir()).read_text())
    sizes = [size_of((tmp_path / name).read_bytes()) for name in ("0.webp", "0-thumb.webp", "0.jpg")]
    assert sizes == [preview, thumb, size_of(original)]
    assert (original in [each.read_bytes() for each in tmp_path.glob("*.jpg")]) is (job == "bare")


def test_the_bare_calls_make_the_same_files_as_the_product(place: Lab, tmp_path: Path) -> None:
    bare.run(bare.bare, place.payloads(feed.FULL_HD), tmp_path, 1, threads=1)
    derived = images.derive((tmp_path / "0.jpg").read_bytes(), max_bytes=10**8, max_pixels=10**8)
    assert (tmp_path / "0.webp").read_bytes() == derived.webp
    assert (tmp_path / "0-thumb.webp").read_bytes() == derived.thumb


def test_a_measured_process_reports_its_own_peak(place: Lab) -> None:
    report, payloads = place.path("report.json"), str(place.payloads(feed.FULL_HD))
    arguments = [str(report), "-m", "executions.bench.bare", "bare", payloads, str(place.path("out")), "--frames", "1"]
    with place.run("-m", "executions.bench.measured", *arguments) as process:
        process.finish()
        assert json.loads(process.output())["frames"] == 1
    assert json.loads(report.read_text())["peak_mb"] > 20


def test_memory_growth_is_what_a_function_needs_at_most() -> None:
    kept: list[bytes] = []
    assert machine.growth_mb(lambda: None) < 5
    assert 35 < machine.growth_mb(lambda: kept.append(bytes(range(256)) * 160_000)) < 60


def test_a_process_is_ended_with_its_block(tmp_path: Path) -> None:
    with Running(["-c", "import time; time.sleep(60)"], {}, tmp_path / "log") as process:
        assert machine.cpu_s(process.pid) >= 0
    with pytest.raises(BenchError, match="ended early"):
        process.check()


@pytest.mark.parametrize("arguments", [["no_such_part"], ["--seconds", "0"], ["--seconds", "x"], ["--rows", "0"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("bench", *arguments)


def test_the_list_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("bench", "--list")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(PART)


def size_of(content: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(content)).size


def queued(place: Lab) -> tuple[int, int] | None:
    """How many items are queued, for how many executions."""
    with psycopg.connect(place.ours) as connection:
        row = connection.execute("SELECT count(*), count(DISTINCT execution_id) FROM etl_processing_queue").fetchone()
    return row and (int(row[0]), int(row[1]))
