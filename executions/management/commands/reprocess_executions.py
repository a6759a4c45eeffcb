"""Extraction once more."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Q, QuerySet
from tqdm import tqdm

from executions.ingest import catchup, queue
from executions.management.base import DatabaseCommand
from executions.management.ranges import add_period, execution_id
from executions.models import FINAL_STATUSES, Execution, QueueItem, QueuePhase, QueueStatus


class Command(DatabaseCommand):
    help = (
        "Run extraction again, for example after the names of workflow nodes were corrected.\n\n"
        "Reads n8n's data where n8n still has it, else the stored image. What is known is never replaced by less.\n\n"
        "  manage.py reprocess_executions --failed\n"
        "  manage.py reprocess_executions --ids 812 813\n"
        "  manage.py reprocess_executions --from 2026-02-01 --to 2026-02-02"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_period(parser)
        parser.add_argument("--ids", type=execution_id, nargs="+", metavar="ID", help="only these executions")
        parser.add_argument("--failed", action="store_true", help="what failed after its last attempt")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["failed"]:
            count = QueueItem.objects.filter(status=QueueStatus.FAILED).retry()
            self.stdout.write(f"{count} failed queue items are due again.")
            return
        executions = self._chosen(options)
        count = 0
        with tqdm(total=executions.count(), unit=" executions", desc="Queued", disable=None) as progress:
            for chunk in catchup.in_chunks(self._rows(executions)):
                queue.request([pk for pk, _ in chunk], QueuePhase.CREATED, queue.BACKFILL)
                ended = [pk for pk, status in chunk if status in FINAL_STATUSES]
                queue.request(ended, QueuePhase.COMPLETED, queue.BACKFILL)
                count += len(chunk)
                progress.update(len(chunk))
        self.stdout.write(f"{count} executions are due for extraction again.")

    def _chosen(self, options: dict[str, Any]) -> QuerySet[Execution]:
        if options["ids"]:
            executions = Execution.objects.filter(pk__in=options["ids"])
            unknown = sorted(set(options["ids"]) - set(executions.values_list("pk", flat=True)))
            if unknown:
                names = ", ".join(map(str, unknown))
                raise CommandError(f"Not recorded here: {names}. Import them with backfill_executions --ids.")
            return executions
        if options["since"] is None and options["until"] is None:
            raise CommandError("Say which: --ids, --failed, or a period with --from and --to.")
        period = Q()
        if options["since"] is not None:
            period &= Q(n8n_created_at__gte=options["since"]) | Q(n8n_created_at=None, started_at__gte=options["since"])
        if options["until"] is not None:
            period &= Q(n8n_created_at__lt=options["until"]) | Q(n8n_created_at=None, started_at__lt=options["until"])
        return Execution.objects.filter(period)

    def _rows(self, executions: QuerySet[Execution]) -> Any:
        return executions.order_by("pk").values_list("pk", "status").iterator(chunk_size=catchup.CHUNK)
