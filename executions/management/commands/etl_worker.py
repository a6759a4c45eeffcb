"""An extraction worker process."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from executions.exceptions import OutOfService
from executions.ingest.worker import Worker
from executions.management.base import DatabaseCommand
from executions.management.ranges import positive


class Command(DatabaseCommand):
    help = (
        "Extract images and results of recorded executions; any number of workers, on any machine.\n\n"
        "Runs until SIGTERM or Ctrl-C, then finishes what is in hand.\n\n"
        "  manage.py etl_worker --concurrency 4\n"
        "  manage.py etl_worker --once     drain the queue and exit"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--concurrency",
            type=positive,
            default=settings.ETL_MAX_CONCURRENT,
            metavar="N",
            help="threads (%(default)s)",
        )
        parser.add_argument("--once", action="store_true", help="drain the queue and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        worker = Worker(options["concurrency"])
        if options["once"]:
            self._drain(worker)
            return
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        worker.start()
        stopping.wait()
        worker.stop()

    def _drain(self, worker: Worker) -> None:
        try:
            worker.drain()
        except OutOfService as error:
            raise CommandError(str(error)) from error
