"""Writes executions into an n8n-shaped database exactly as n8n does."""

import signal
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from psycopg.conninfo import make_conninfo
from tqdm import tqdm

from executions.simulator import NotASimulatedDatabase, Simulator, UnknownScenario, guard, scenarios
from executions.simulator.binaries import BINARY_MODES
from executions.simulator.lives import Life
from executions.simulator.schedule import Schedule, Summary
from executions.simulator.story import Story


class Command(BaseCommand):
    help = (
        "Write simulated executions into the database that N8N_DATABASE_URL names, as a real n8n does.\n\n"
        "Examples:\n"
        "  manage.py simulate_n8n --create-schema            n8n's tables in an empty database, then the default mix\n"
        "  manage.py simulate_n8n --rate 5 --count 100       a hundred executions, five per second\n"
        "  manage.py simulate_n8n --scenario smoke_json      only this one; --list shows all"
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--rate", type=_positive, default=0.5, help="executions per second (default 0.5)")
        add("--count", type=int, default=0, help="how many; 0, the default, goes on until stopped")
        add("--scenario", action="append", default=[], help="only this scenario; may be given several times")
        add("--list", action="store_true", help="list the scenarios and stop")
        add("--binary-mode", choices=BINARY_MODES, default="memory", help="where n8n keeps images (default memory)")
        add("--bundles", action="store_true", help="n8n 2.x: keep execution data in files below N8N_STORAGE_PATH")
        add("--seed", type=int, default=0, help="the same seed gives the same executions")
        add("--size", type=_size, default=(1920, 1080), help="size of the frames (default 1920x1080)")
        add(
            "--pool",
            type=int,
            default=0,
            help="draw at most so many frames and send them again and again, for high rates",
        )
        add(
            "--draw-hour", type=int, choices=range(24), metavar="H", help="draw daylight as at this hour, not as at now"
        )
        add("--database-url", default="", help="another database than N8N_DATABASE_URL")
        add("--create-schema", action="store_true", help="make n8n's tables when the database is empty")
        add("--yes-this-is-a-test-database", action="store_true", help="write even if it looks like a real n8n")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"] or "help" in options["scenario"]:
            self.stdout.write(_listing())
            return
        try:
            chosen = [scenarios.named(name) for name in options["scenario"]]
            url = options["database_url"] or _n8n_conninfo()
            self._check(url, options)
            with self._simulator(url, options) as simulator:
                self._run(simulator, chosen, options)
        except (UnknownScenario, NotASimulatedDatabase) as error:
            raise CommandError(str(error)) from error
        except psycopg.OperationalError as error:
            raise CommandError(f"The database of n8n cannot be reached: {error}") from error

    def _check(self, url: str, options: dict[str, Any]) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            if not options["yes_this_is_a_test_database"]:
                guard.refuse_real_n8n(connection)
            if options["create_schema"] and guard.create_schema(connection):
                self.stdout.write("Made n8n's tables.")

    def _simulator(self, url: str, options: dict[str, Any]) -> Simulator:
        path: Path | None = settings.N8N_BINARY_DATA_PATH
        if options["binary_mode"] == "filesystem" and path is None:
            raise CommandError("Binary mode filesystem needs a folder: set N8N_BINARY_DATA_PATH.")
        storage: Path | None = settings.N8N_STORAGE_PATH if options["bundles"] else None
        if options["bundles"] and storage is None:
            raise CommandError("Bundles need a folder: set N8N_STORAGE_PATH.")
        try:
            return Simulator(
                url,
                binary_mode=options["binary_mode"],
                binary_path=path,
                storage=storage,
                seed=options["seed"],
                size=options["size"],
                pool=options["pool"],
                draw_hour=options["draw_hour"],
                workflow_id=settings.N8N_WORKFLOW_IDS[0],
            )
        except ValueError as error:
            raise CommandError(str(error)) from error

    def _run(self, simulator: Simulator, chosen: list[scenarios.Scenario], options: dict[str, Any]) -> None:
        count = options["count"]
        lives = simulator.lives(Story(Random(options["seed"]), chosen, moving=not options["pool"]).scenes())
        with _stop_on_signal() as stop, tqdm(total=count, disable=not count, unit="execution") as bar:
            self.stdout.write(f"Writing as n8n {simulator.version}, {options['rate']:g} executions per second.")

            def ended(life: Life) -> None:
                bar.update()

            summary = Schedule(lives, options["rate"], count, stop).run(ended)
        self.stdout.write(_report(summary))


@contextmanager
def _stop_on_signal() -> Iterator[Event]:
    """An event that SIGTERM and Ctrl-C set; a second signal ends the process at once."""
    stop = Event()
    before: dict[int, Callable[[int, Any], Any] | int | None] = {}

    def set_stop(number: int, frame: object) -> None:
        stop.set()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, set_stop)
    try:
        yield stop
    finally:
        restore()


def _report(summary: Summary) -> str:
    by_name = ", ".join(f"{number} {name}" for name, number in summary.written.most_common())
    rate = summary.total / summary.took_s if summary.took_s else 0.0
    return f"Wrote {summary.total} executions in {summary.took_s:.1f} s ({rate:.2f} per second): {by_name or 'none'}."


def _listing() -> str:
    return "\n".join(f"{each.name:24} {each.about}" for each in scenarios.ALL)


def _n8n_conninfo() -> str:
    """The address of n8n's database, from Django's settings."""
    database: dict[str, Any] = settings.DATABASES["n8n"]
    names = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
    known = {name: database[key] for name, key in names.items() if database.get(key)}
    return make_conninfo("", **known, **database.get("OPTIONS", {}))


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise ArgumentTypeError("must be more than 0")
    return value


def _size(text: str) -> tuple[int, int]:
    width, separator, height = text.partition("x")
    if not separator or not (width.isdigit() and height.isdigit()):
        raise ArgumentTypeError("must look like 1920x1080")
    return int(width), int(height)
