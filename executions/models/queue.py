"""The extraction still to be done, and what became of it."""

from typing import Self

from django.db import models
from django.db.models import Case, F, Q, When
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from executions.models.execution import Execution


class QueuePhase(models.TextChoices):
    CREATED = "created", _("Created: camera data and image")
    COMPLETED = "completed", _("Completed: result and notification")


class QueueStatus(models.TextChoices):
    PENDING = "pending", _("Pending")
    PROCESSING = "processing", _("Processing")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")


class QueueItemQuerySet(models.QuerySet["QueueItem"]):
    """Which pieces of work?"""

    def failed_first(self) -> Self:
        """Failed ones, then what is being worked on and what is due; completed ones last."""
        order = {QueueStatus.FAILED: 0, QueueStatus.PROCESSING: 1, QueueStatus.PENDING: 2}
        rank = Case(*(When(status=status, then=place) for status, place in order.items()), default=3)
        return self.annotate(rank=rank).order_by("rank", "-queued_at", "-id")

    def retry(self) -> int:
        """Make failed work due again with fresh attempts; how many it was. The reason stays until it succeeds.

        Conditional, so that two people who press the button at once cannot disturb a worker that has it already.
        """
        return self.filter(status=QueueStatus.FAILED).update(
            status=QueueStatus.PENDING,
            attempts=0,
            requests=F("requests") + 1,
            available_at=timezone.now(),
            queued_at=timezone.now(),
            completed_at=None,
        )


class QueueItem(models.Model):
    """A piece of extraction to do, and what became of it."""

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="queue_items")
    phase = models.CharField(_("phase"), max_length=20, choices=QueuePhase)
    status = models.CharField(
        _("status"),
        max_length=20,
        choices=QueueStatus,
        default=QueueStatus.PENDING,
        db_default=QueueStatus.PENDING,
    )
    priority = models.SmallIntegerField(
        _("priority"), default=5, db_default=5, help_text=_("1 is most urgent, 10 least.")
    )
    attempts = models.IntegerField(_("attempts"), default=0, db_default=0)
    max_attempts = models.IntegerField(_("attempts allowed"), default=3, db_default=3)
    # How often it was asked for. A worker that finishes after another request leaves the item due again.
    requests = models.IntegerField(default=1, db_default=1)
    available_at = models.DateTimeField(_("due"), db_default=Now(), default=timezone.now)
    lease_until = models.DateTimeField(_("held until"), null=True)
    worker = models.CharField(_("worker"), max_length=100, null=True)
    last_error = models.TextField(_("last error"), null=True)
    queued_at = models.DateTimeField(_("queued"), db_default=Now(), default=timezone.now)
    started_at = models.DateTimeField(_("started"), null=True)
    completed_at = models.DateTimeField(_("ended"), null=True)
    processing_time_ms = models.IntegerField(_("took (ms)"), null=True)

    objects = QueueItemQuerySet.as_manager()

    class Meta:
        db_table = "etl_processing_queue"
        verbose_name = _("queue item")
        verbose_name_plural = _("queue")
        constraints = [
            models.UniqueConstraint(fields=["execution", "phase"], name="queue_item_identity"),
            models.CheckConstraint(condition=Q(priority__range=(1, 10)), name="queue_priority_range"),
        ]
        indexes = [
            models.Index(fields=["priority", "available_at", "id"], condition=Q(status="pending"), name="queue_due"),
            models.Index(fields=["lease_until"], condition=Q(status="processing"), name="queue_leases"),
            models.Index(fields=["-completed_at"], condition=Q(status="failed"), name="queue_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.execution_id} {self.phase}"
