"""Who sends: monitoring nodes and cameras."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


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
