"""Import of history."""

from argparse import ArgumentParser
from itertools import islice
from typing import Any

from tqdm import tqdm

from executions.ingest import catchup, queue
from executions.ingest.recording import record
from executions.management.base import DatabaseCommand
from executions.management.ranges import add_period, execution_id, positive


class Command(DatabaseCommand):
    help = (
        "Import executions that n8n holds and the dashboard does not: oldest first, since n8n forgets those first.\n\n"
        "Only counts unless --yes is given. Alarms nobody. Stop it at any time and run it again: it goes on.\n"
        "The extraction workers take images and results afterwards, behind what happens now.\n\n"
        "  manage.py backfill_executions --from 2026-02-01 --to 2026-02-20\n"
        "  manage.py backfill_executions --from 2026-02-01 --yes\n"
        "  manage.py backfill_executions --ids 812 813 --yes"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_period(parser)
        parser.add_argument("--ids", type=execution_id, nargs="+", metavar="ID", help="only these executions")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most so many")
        parser.add_argument("--yes", action="store_true", help="really import")

    def handle(self, *args: Any, **options: Any) -> None:
        ids = options["ids"] or (
            difference.execution_id
            for difference in catchup.differences(catchup.Window(None, options["since"], options["until"]))
            if difference.kind != "gone"
        )
        chunks = catchup.in_chunks(islice(ids, options["limit"]))
        if not options["yes"]:
            count = sum(map(len, chunks))
            self.stdout.write(f"{count} executions would be imported. Run again with --yes to do it.")
            return
        imported = 0
        with tqdm(unit=" executions", desc="Imported", disable=None) as progress:
            for chunk in chunks:
                recorded = record(chunk, queue.BACKFILL)
                imported += len(recorded.new) + len(recorded.changed)
                progress.update(len(chunk))
        self.stdout.write(f"Imported {imported} executions; the extraction workers take their images and results now.")
