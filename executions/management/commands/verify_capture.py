"""The proof that nothing was lost."""

import time
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from executions.ingest import catchup
from executions.management.base import DatabaseCommand
from executions.management.ranges import add_period
from executions.models import Execution, QueueItem, QueueStatus

# An execution that n8n committed a moment ago may be on its way: what differs is looked at twice.
SECOND_LOOK_S = 2.0
SHOWN = 20
MEANING = {
    "missing": "recorded in n8n but not here",
    "changed": "recorded here in an older state",
    "gone": "deleted in n8n and not marked here",
}


class Command(DatabaseCommand):
    help = (
        "Compare n8n with the dashboard: what is missing, differing or stuck. Changes nothing.\n\n"
        "Exit code 1 when anything is missing or differs. Without a period everything that n8n holds is compared.\n\n"
        "  manage.py verify_capture\n"
        "  manage.py verify_capture --from 2026-02-01 --to 2026-02-02"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_period(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        window = catchup.Window(None, options["since"], options["until"])
        found = self._compare(window)
        if found:
            time.sleep(SECOND_LOOK_S)
            again = self._compare(window)
            found = {key: kind for key, kind in again.items() if found.get(key) == kind}
        for kind, meaning in MEANING.items():
            self._report(meaning, [key for key, value in found.items() if value == kind])
        self._report_unfinished()
        if found:
            raise CommandError("n8n and the dashboard differ. Run manage.py listen_n8n --once to catch up.")
        self.stdout.write("Every execution that n8n holds is recorded here as it is there.")

    def _compare(self, window: catchup.Window) -> dict[int, str]:
        """Id -> what is wrong with it."""
        differences = tqdm(catchup.differences(window), unit=" differences", desc="Compared", disable=None)
        return {difference.execution_id: difference.kind for difference in differences}

    def _report(self, meaning: str, ids: Iterable[int]) -> None:
        ids = sorted(ids)
        if ids:
            shown = ", ".join(map(str, ids[:SHOWN])) + (" ..." if len(ids) > SHOWN else "")
            self.stdout.write(f"{len(ids)} {meaning}: {shown}")

    def _report_unfinished(self) -> None:
        """What is no loss, but worth knowing."""
        self._report("not ended for too long", Execution.objects.stuck().values_list("pk", flat=True))
        waiting = QueueItem.objects.filter(status__in=(QueueStatus.PENDING, QueueStatus.PROCESSING)).count()
        if waiting:
            self.stdout.write(f"{waiting} pieces of extraction still to do.")
        failed = QueueItem.objects.filter(status=QueueStatus.FAILED)
        self._report("failed in extraction (reasons in the admin)", set(failed.values_list("execution_id", flat=True)))
