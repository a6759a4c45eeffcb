"""What the cameras sent and what the models saw. Table and column names are a contract: others query them."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class ExecutionStatus(models.TextChoices):
    """n8n's own words. `finished` in n8n is true for success only, so the status is what counts."""

    NEW = "new", _("New")
    RUNNING = "running", _("Running")
    WAITING = "waiting", _("Waiting")
    SUCCESS = "success", _("Success")
    ERROR = "error", _("Error")
    CRASHED = "crashed", _("Crashed")
    CANCELED = "canceled", _("Canceled")
    UNKNOWN = "unknown", _("Unknown")


FINAL_STATUSES = frozenset(
    {ExecutionStatus.SUCCESS, ExecutionStatus.ERROR, ExecutionStatus.CRASHED, ExecutionStatus.CANCELED}
)


class RiskLevel(models.TextChoices):
    """The model's verdict."""

    CRITICAL = "critical", _("Critical")
    HIGH = "high", _("High")
    MEDIUM = "medium", _("Medium")
    LOW = "low", _("Low")
    NONE = "none", _("None")


class AlertPriority(models.TextChoices):
    """Our triage."""

    CRITICAL = "critical", _("Critical")
    HIGH = "high", _("High")
    NORMAL = "normal", _("Normal")
    LOW = "low", _("Low")


class MonitoringNode(models.Model):
    """A site with a device, cameras and a position. Appears when its device first sends an image."""

    device_id = models.CharField(_("device"), max_length=100, unique=True)
    name = models.CharField(
        _("name"), max_length=200, blank=True, help_text=_("As the camera states it, until you change it.")
    )
    description = models.TextField(_("description"), blank=True)
    latitude = models.FloatField(_("latitude"), null=True, blank=True, help_text=_("Degrees, -90 to 90, WGS 84."))
    longitude = models.FloatField(_("longitude"), null=True, blank=True, help_text=_("Degrees, -180 to 180, WGS 84."))
    elevation_m = models.FloatField(_("elevation"), null=True, blank=True, help_text=_("Metres above sea level."))
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        help_text=_(
            "Zone of the device's clock, for example America/Argentina/Cordoba."
            " Used only when the camera states neither UTC time nor an offset."
        ),
    )
    software_version = models.CharField(_("software version"), max_length=50, blank=True)
    first_seen_at = models.DateTimeField(_("first seen"), null=True, blank=True)
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True)

    class Meta:
        db_table = "monitoring_nodes"
        ordering = ["device_id"]
        verbose_name = _("monitoring node")
        verbose_name_plural = _("monitoring nodes")
        constraints = [
            models.CheckConstraint(
                condition=Q(latitude__isnull=True) | Q(latitude__range=(-90, 90)), name="node_latitude_range"
            ),
            models.CheckConstraint(
                condition=Q(longitude__isnull=True) | Q(longitude__range=(-180, 180)),
                name="node_longitude_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.device_id


class Camera(models.Model):
    """One camera of a device. Identity is (device, camera): `cam1` exists on every device."""

    node = models.ForeignKey(
        MonitoringNode,
        on_delete=models.PROTECT,
        related_name="cameras",
        null=True,
        blank=True,
        verbose_name=_("monitoring node"),
        help_text=_("Empty when the camera never said which device it belongs to."),
    )
    camera_id = models.CharField(_("camera"), max_length=100)
    camera_type = models.CharField(_("type"), max_length=50, blank=True)
    facing = models.CharField(
        _("facing"), max_length=50, blank=True, help_text=_("As the camera states it, for example north.")
    )
    azimuth_deg = models.FloatField(
        _("azimuth"),
        null=True,
        blank=True,
        help_text=_("Degrees clockwise from true north to the image's centre, 0 to 360."),
    )
    field_of_view_deg = models.FloatField(
        _("field of view"),
        null=True,
        blank=True,
        help_text=_("Horizontal, in degrees, more than 0 and at most 360."),
    )
    expected_interval_s = models.PositiveIntegerField(
        _("expected interval"), null=True, blank=True, help_text=_("Seconds between two images.")
    )
    is_active = models.BooleanField(_("active"), default=True)
    first_seen_at = models.DateTimeField(_("first seen"), null=True, blank=True)
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True)

    class Meta:
        db_table = "node_cameras"
        ordering = ["node__device_id", "camera_id"]
        verbose_name = _("camera")
        verbose_name_plural = _("cameras")
        constraints = [
            models.UniqueConstraint(fields=["node", "camera_id"], nulls_distinct=False, name="camera_identity"),
            models.CheckConstraint(
                condition=Q(azimuth_deg__isnull=True) | Q(azimuth_deg__gte=0, azimuth_deg__lt=360),
                name="camera_azimuth_range",
            ),
            models.CheckConstraint(
                condition=Q(field_of_view_deg__isnull=True) | Q(field_of_view_deg__gt=0, field_of_view_deg__lte=360),
                name="camera_field_of_view_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.node} {self.camera_id}" if self.node else self.camera_id


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


def _states(kind: str) -> RawSQL:
    """Whether a box of this class or a structured flag says so: true if any does, false if any was asked, else NULL."""
    sql = (
        f"CASE WHEN jsonb_path_exists(detections, '$[*] ? (@.class == \"{kind}\")')"
        f" OR flags -> '{kind}' = 'true'::jsonb THEN true"
        f" WHEN detections IS NOT NULL OR flags -> '{kind}' = 'false'::jsonb THEN false END"
    )
    return RawSQL(sql, ())


class InferenceResult(models.Model):
    """All that the models returned for one execution. A row exists only when a model answered."""

    execution = models.OneToOneField(
        Execution, on_delete=models.CASCADE, primary_key=True, related_name="inference_result"
    )
    model_name = models.CharField(_("model"), max_length=200, null=True)
    model_version = models.CharField(_("model version"), max_length=200, null=True)
    inference_timestamp = models.DateTimeField(_("inferred at"), null=True)
    processing_time_ms = models.DecimalField(_("inference time (ms)"), max_digits=12, decimal_places=3, null=True)
    detections = models.JSONField(
        _("detections"), null=True, help_text=_("Boxes as fractions of the image: [x, y, width, height].")
    )
    detection_count = models.GeneratedField(
        expression=RawSQL("CASE WHEN detections IS NOT NULL THEN jsonb_array_length(detections) END", ()),
        output_field=models.IntegerField(null=True),
        db_persist=True,
    )
    risk_level = models.CharField(_("risk level"), max_length=10, choices=RiskLevel, null=True)
    alert_level = models.CharField(
        _("alert level"), max_length=20, null=True, help_text=_("As the inference service stated it.")
    )
    confidence_score = models.DecimalField(_("confidence"), max_digits=5, decimal_places=4, null=True)
    flags = models.JSONField(
        _("flags"), null=True, help_text=_("Yes-or-no statements that a model made in structured output.")
    )
    has_smoke = models.GeneratedField(
        expression=_states("smoke"), output_field=models.BooleanField(null=True), db_persist=True
    )
    has_fire = models.GeneratedField(
        expression=_states("fire"), output_field=models.BooleanField(null=True), db_persist=True
    )
    raw_response = models.TextField(_("what the model said"), null=True)
    raw_response_hash = models.CharField(_("SHA-256 of it"), max_length=64, null=True)
    model_outputs = models.JSONField(_("each model's own output"), null=True)
    alert_priority = models.CharField(_("alert priority"), max_length=10, choices=AlertPriority, null=True)
    response_required = models.BooleanField(_("response required"), null=True)
    created_at = models.DateTimeField(_("recorded"), auto_now_add=True)

    class Meta:
        db_table = "sai_inference_results"
        verbose_name = _("inference result")
        verbose_name_plural = _("inference results")
        constraints = [
            models.CheckConstraint(
                condition=Q(risk_level=None) | Q(risk_level__in=RiskLevel.values), name="inference_risk_known"
            ),
            models.CheckConstraint(
                condition=Q(confidence_score=None) | Q(confidence_score__range=(0, 1)),
                name="inference_confidence_range",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Notification(models.Model):
    """The Telegram message and its delivery state. A row exists only when the notification step ran."""

    execution = models.OneToOneField(Execution, on_delete=models.CASCADE, primary_key=True, related_name="notification")
    telegram_sent = models.BooleanField(_("sent"), null=True)
    telegram_message_id = models.BigIntegerField(_("message"), null=True)
    telegram_chat_id = models.CharField(_("chat"), max_length=50, null=True)
    telegram_sent_at = models.DateTimeField(_("sent at"), null=True)
    telegram_error = models.TextField(_("error"), null=True)
    created_at = models.DateTimeField(_("recorded"), auto_now_add=True)

    class Meta:
        db_table = "sai_notifications"
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")

    def __str__(self) -> str:
        return str(self.pk)


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
