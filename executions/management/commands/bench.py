"""The benchmarks."""

import logging
import signal
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from executions.bench import databases, machine, report
from executions.bench.figures import BenchError, Figure
from executions.bench.lab import Options, lab
from executions.bench.parts import PARTS, Part
from executions.management.ranges import positive


class Command(BaseCommand):
    help = (
        "Measure speed and memory, each figure beside its reference from the same run.\n\n"
        "Makes two databases of its own (sai_bench, n8n_bench) on the servers that DATABASE_URL and N8N_DATABASE_URL\n"
        "name, and drops them afterwards; touches no other. Nothing else should run on the machine meanwhile.\n\n"
        "  manage.py bench                        everything, a few minutes\n"
        "  manage.py bench record visible         only these; --list shows all\n"
        "  manage.py bench --markdown docs/performance.md\n\n"
        "Without a server, on a temporary one:\n\n"
        "  python -m sai_dashboard.embedded run -- .venv/bin/python manage.py bench"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        add = parser.add_argument
        add("names", nargs="*", metavar="NAME", help="only these benchmarks")
        add("--list", action="store_true", help="list the benchmarks and stop")
        add("--seconds", type=_seconds, default=10, metavar="S", help="how long each lasts, about (%(default)s)")
        add("--rows", type=positive, default=200_000, metavar="N", help="length of a long history (%(default)s)")
        add("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
        add("--markdown", type=Path, metavar="FILE", help="also put the table into this document")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self.stdout.write("\n".join(f"{part.name:12} {part.about}" for part in PARTS))
            return
        try:
            self._run(_chosen(options["names"]), options)
        except BenchError as error:
            raise CommandError(str(error)) from error

    def _run(self, parts: list[Part], options: dict[str, Any]) -> None:
        figures: list[Figure] = []
        with _quiet(), _stopped_by_sigterm(), lab() as place:
            facts = machine.facts(databases.server_version())
            for part in parts:
                self.stderr.write(f"{part.name}: {part.about} …")
                figures += part.run(place, Options(options["seconds"], options["rows"]))
        self.stdout.write(report.table(figures, facts))
        if options["json"]:
            options["json"].write_text(report.as_json(figures, facts))
        if options["markdown"]:
            report.put_into(options["markdown"], report.markdown(figures, facts))


def _chosen(names: list[str]) -> list[Part]:
    known = {part.name: part for part in PARTS}
    for name in names:
        if name not in known:
            raise CommandError(f"There is no benchmark {name!r}. There are: {', '.join(known)}.")
    return [known[name] for name in names] or list(PARTS)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no number of seconds") from error
    if not 0 < value <= 600:
        raise ArgumentTypeError("must be more than 0 and at most 600")
    return value


@contextmanager
def _quiet() -> Iterator[None]:
    """The product's log of work in this process would hide the table."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.setLevel(before)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the bench as Ctrl-C does, so that its processes stop and its databases go."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
