"""What came of an execution: the models' answer and the Telegram message."""

from django.db import models
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext_lazy as _

from executions.models.execution import Execution
from executions.models.words import AlertPriority, RiskLevel


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
