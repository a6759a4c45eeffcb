"""The words that columns hold: n8n's, the models', ours."""

from django.db import models
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
