"""The command simulate_n8n: what it refuses, at which rate it writes, and that it ends in order."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Event, Timer

import pytest
from django.core.management import CommandError, call_command

from conftest import N8nDatabase
from executions.simulator import Simulator, scenarios
from executions.simulator.schedule import Schedule
from executions.simulator.story import Story
from executions.tests.processes import manage, until

SMALL = ("--size", "320x180")


@pytest.fixture
def owned(n8n: N8nDatabase) -> N8nDatabase:
    """A database in which there is nothing but tables, so that the simulator may write."""
    n8n.execute("DELETE FROM workflow_entity")
    return n8n


@pytest.fixture
def simulator(owned: N8nDatabase) -> Iterator[Simulator]:
    with Simulator(owned.url, size=(320, 180), pool=2) as simulator:
        yield simulator


def count(n8n: N8nDatabase) -> int:
    row = n8n.execute("SELECT count(*) FROM execution_entity").fetchone()
    assert row is not None
    return int(row[0])


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("simulate_n8n", *arguments, stdout=out)
    return out.getvalue()


def test_it_writes_nothing_beside_a_real_workflow(n8n: N8nDatabase) -> None:
    with pytest.raises(CommandError, match="real n8n.*--yes-this-is-a-test-database"):
        run("--count", "1", *SMALL)
    assert count(n8n) == 0


def test_it_does_when_told_that_it_is_a_test(n8n: N8nDatabase) -> None:
    run("--count", "1", "--rate", "50", "--scenario", "none", "--yes-this-is-a-test-database", *SMALL)
    assert count(n8n) == 1


def test_an_unknown_scenario_is_an_error_that_lists_all(owned: N8nDatabase) -> None:
    with pytest.raises(CommandError, match="Did you mean crashed.*Choose from"):
        run("--scenario", "crash")


@pytest.mark.parametrize(("option", "value"), [("--rate", "0"), ("--size", "large"), ("--draw-hour", "24")])
def test_senseless_options_are_refused(option: str, value: str) -> None:
    with pytest.raises(CommandError, match=option):
        run(option, value)


def test_a_database_that_is_away_is_said_in_a_sentence() -> None:
    with pytest.raises(CommandError, match="database of n8n cannot be reached"):
        run("--database-url", "postgresql://nobody@127.0.0.1:1/nothing")


def test_files_need_a_configured_folder(owned: N8nDatabase) -> None:
    with pytest.raises(CommandError, match="set N8N_BINARY_DATA_PATH"):
        run("--binary-mode", "filesystem", *SMALL)


@pytest.mark.parametrize("arguments", [("--list",), ("--scenario", "help")])
def test_scenarios_are_listed_without_a_database(arguments: tuple[str, ...]) -> None:
    listing = run(*arguments)
    assert all(f"{name} " in listing for name in scenarios.BY_NAME)


def test_it_makes_the_tables_and_sums_up(owned: N8nDatabase) -> None:
    owned.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    said = run("--create-schema", "--count", "2", "--rate", "50", "--scenario", "none_json", *SMALL)
    assert "Made n8n's tables." in said and "Writing as n8n 1.123.5" in said
    assert "Wrote 2 executions" in said and "2 none_json" in said
    assert count(owned) == 2


def test_executions_overlap_as_in_n8n(owned: N8nDatabase, simulator: Simulator) -> None:
    lives = simulator.lives(Story(Random(1), [scenarios.named("none")], moving=False).scenes())
    summary = Schedule(lives, 40, 8, Event()).run()
    overlapping = owned.execute(
        """SELECT a.id FROM execution_entity a JOIN execution_entity b
           ON a.id < b.id AND b."startedAt" < a."stoppedAt" """
    ).fetchall()
    assert summary.written == {"none": 8}
    assert len(overlapping) > 8


def test_a_stop_ends_what_has_begun_without_waiting(owned: N8nDatabase, simulator: Simulator) -> None:
    stop = Event()
    lives = simulator.lives(Story(Random(1), [scenarios.named("slow")], moving=False).scenes())
    Timer(1, stop.set).start()
    began = time.monotonic()
    summary = Schedule(lives, 4, 0, stop).run()
    assert time.monotonic() - began < 8
    assert summary.total == count(owned) > 0
    assert owned.execute("SELECT DISTINCT status FROM execution_entity").fetchall() == [("success",)]


def test_sigterm_ends_it_with_a_summary(owned: N8nDatabase, process_env: dict[str, str], tmp_path: Path) -> None:
    with manage(process_env, tmp_path / "log", "simulate_n8n", "--rate", "5", *SMALL) as process:
        until(lambda: count(owned) > 2, "some executions")
        assert process.terminate() == 0
    assert "Wrote " in process.output()
    assert owned.execute("SELECT count(*) FROM execution_entity WHERE status IN ('new', 'running')").fetchone() == (0,)
