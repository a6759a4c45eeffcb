"""The listener process."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from executions.exceptions import OutOfService
from executions.ingest import catchup
from executions.ingest.listener import Listener
from executions.ingest.worker import Worker
from executions.management.base import DatabaseCommand
from executions.models import QueueItem, QueueStatus


class Command(DatabaseCommand):
    help = (
        "Record every execution of the watched n8n workflows as it happens, and extract its data.\n\n"
        "Runs until SIGTERM or Ctrl-C. A second one on another machine stands by.\n\n"
        "  manage.py listen_n8n\n"
        "  manage.py listen_n8n --once     catch up, drain the queue, exit (1 when something failed)"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="catch up, drain the queue and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            self._once()
            return
        worker = Worker(settings.ETL_MAX_CONCURRENT)
        listener = Listener(worker)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: listener.stop())
        worker.start()
        try:
            listener.run()
        finally:
            listener.stop()
            worker.stop()

    def _once(self) -> None:
        swept = catchup.sweep_full()
        try:
            Worker(1).drain()
        except OutOfService as error:
            raise CommandError(str(error)) from error
        failed = QueueItem.objects.filter(status=QueueStatus.FAILED).count()
        self.stdout.write(
            f"{swept.missing} new, {swept.changed} changed, {swept.gone} deleted in n8n; {failed} failed in all."
        )
        if failed:
            raise CommandError("Some executions failed: see the queue in the admin for the reasons.")
