"""Everything on this machine, with a simulated n8n."""

import signal
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from sai_dashboard.demo import Demo, DemoError
from sai_dashboard.embedded import EmbeddedPostgresError


class Command(BaseCommand):
    help = (
        "Run the whole dashboard on this machine, with a simulated n8n: database, listener, worker and web server.\n\n"
        "Prints the address and two log-ins. Ctrl-C stops all of it. Uses databases of its own, never yours.\n\n"
        "  manage.py demo\n"
        "  manage.py demo --port 8080 --rate 2"
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("--port", type=int, default=8000, help="of the web server (8000, or the next free one)")
        parser.add_argument("--rate", type=float, default=0.4, help="simulated executions per second (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        demo = Demo(settings.DATA_DIR, options["port"], options["rate"], settings.SAI_TIME_ZONE, self._say)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: demo.stop())
        try:
            demo.run()
        except (DemoError, EmbeddedPostgresError) as error:
            raise CommandError(str(error)) from error
        self._say("Stopped.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
