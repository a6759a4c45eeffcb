"""One run of the n8n workflow for one image."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from executions.models.registry import Camera, MonitoringNode
from executions.models.words import FINAL_STATUSES, AlertPriority, ExecutionStatus, RiskLevel


class ExecutionQuerySet(models.QuerySet["Execution"]):
    """Which executions? Each method answers one question of the people on shift."""

    def latest_first(self) -> Self:
        """Ids grow with time in n8n, so the primary key is the cheapest order of arrival."""
        return self.order_by("-execution_id")

    def for_cards(self) -> Self:
        """With everything that a card shows, in one query."""
        return self.select_related("camera__node", "node", "inference_result", "notification")

    def unfinished(self) -> Self:
        return self.exclude(status__in=FINAL_STATUSES).filter(source_deleted_at=None)

    def stuck(self) -> Self:
        """Not ended after ETL_STUCK_MINUTES. n8n itself never recovers a row that stays `new`."""
        limit = timezone.now() - timedelta(minutes=settings.ETL_STUCK_MINUTES)
        started = Q(n8n_created_at__lt=limit) | Q(n8n_created_at=None, created_at__lt=limit)
        return self.unfinished().exclude(status=ExecutionStatus.WAITING).filter(started)


class Execution(models.Model):
    """One run of the n8n workflow for one image. The id is n8n's. NULL: not available; `extraction_notes` says why."""

    execution_id = models.BigIntegerField(_("execution"), primary_key=True)
    workflow_id = models.CharField(_("workflow"), max_length=36)
    status = models.CharField(_("status"), max_length=20, choices=ExecutionStatus)
    mode = models.CharField(_("mode"), max_length=20, null=True)
    retry_of = models.BigIntegerField(_("retry of"), null=True)
    n8n_created_at = models.DateTimeField(_("created in n8n"), null=True)
    started_at = models.DateTimeField(_("started"), null=True)
    completed_at = models.DateTimeField(_("completed"), null=True)
    duration_ms = models.IntegerField(_("duration (ms)"), null=True)
    source_deleted_at = models.DateTimeField(_("gone from n8n since"), null=True)

    camera_metadata = models.JSONField(_("camera metadata"), null=True)
    camera = models.ForeignKey(
        Camera, on_delete=models.PROTECT, null=True, related_name="executions", verbose_name=_("camera")
    )
    captured_at = models.DateTimeField(_("captured"), null=True)

    image_original_path = models.CharField(_("original image"), max_length=500, null=True)
    image_webp_path = models.CharField(_("preview"), max_length=500, null=True)
    image_thumb_path = models.CharField(_("thumbnail"), max_length=500, null=True)
    image_size_bytes = models.IntegerField(_("image size (bytes)"), null=True)
    image_width = models.IntegerField(_("image width"), null=True)
    image_height = models.IntegerField(_("image height"), null=True)
    image_format = models.CharField(_("image format"), max_length=10, null=True)
    image_sha256 = models.CharField(_("SHA-256 of the image"), max_length=64, null=True)
    image_is_truncated = models.BooleanField(_("image is cut off"), null=True)

    phase1_at = models.DateTimeField(_("image extracted"), null=True)
    phase2_at = models.DateTimeField(_("result extracted"), null=True)
    extraction_notes = models.JSONField(_("what is absent, and why"), default=dict)
    contract = models.CharField(_("payload reader"), max_length=20, null=True)
    etl_version = models.CharField(max_length=20, null=True)

    # Hot columns: what lists filter and sort by, copied from the result tables in the transaction that writes those.
    node = models.ForeignKey(
        MonitoringNode,
        on_delete=models.PROTECT,
        null=True,
        related_name="executions",
        verbose_name=_("monitoring node"),
    )
    risk_level = models.CharField(_("risk level"), max_length=10, choices=RiskLevel, null=True)
    alert_level = models.CharField(_("alert level"), max_length=20, null=True)
    alert_priority = models.CharField(_("alert priority"), max_length=10, choices=AlertPriority, null=True)
    confidence_score = models.DecimalField(_("confidence"), max_digits=5, decimal_places=4, null=True)
    detection_count = models.IntegerField(_("detections"), null=True)
    has_smoke = models.BooleanField(_("smoke"), null=True)
    has_fire = models.BooleanField(_("fire"), null=True)
    telegram_sent = models.BooleanField(_("Telegram sent"), null=True)

    created_at = models.DateTimeField(_("recorded"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        db_table = "sai_executions"
        verbose_name = _("execution")
        verbose_name_plural = _("executions")
        constraints = [
            models.CheckConstraint(condition=Q(status__in=ExecutionStatus.values), name="execution_status_known"),
        ]
        indexes = [
            models.Index(F("n8n_created_at").desc(nulls_last=True), F("execution_id").desc(), name="execution_latest"),
            models.Index(
                fields=["n8n_created_at"],
                condition=~Q(status__in=sorted(FINAL_STATUSES)),
                name="execution_unfinished",
            ),
            models.Index(fields=["-completed_at"], name="execution_completed"),
            # What n8n still holds: small, however long the history. The sweep compares these.
            models.Index(fields=["execution_id"], condition=Q(source_deleted_at=None), name="execution_in_n8n"),
            models.Index(fields=["camera", "-captured_at"], name="execution_camera_time"),
            models.Index(fields=["node", "-captured_at"], name="execution_node_time"),
        ]

    def __str__(self) -> str:
        return str(self.execution_id)

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATUSES

    @property
    def frame_at(self) -> datetime | None:
        """When the frame was taken, as well as we know it: the camera's time, else n8n's."""
        return self.captured_at or self.n8n_created_at or self.started_at
