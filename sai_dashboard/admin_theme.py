"""How the admin looks, and what its sidebar leads to."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


def _never(request: HttpRequest) -> bool:
    """For pages outside of the admin. Unfold holds `/` for a part of every address, and so for the current page."""
    return False


def _item(title: str | Promise, icon: str, view: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(view), **more}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "SAI",
    "SITE_HEADER": "SAI",
    "SITE_SUBHEADER": _("Wildfire detections"),
    "SITE_ICON": lambda request: static("img/sai.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("img/sai.svg")}],
    "SITE_URL": "/",
    # The green of the pages.
    "COLORS": {
        "primary": {
            "50": "oklch(98.2% .010 175)",
            "100": "oklch(95.0% .030 175)",
            "200": "oklch(90.0% .060 175)",
            "300": "oklch(83.0% .090 175)",
            "400": "oklch(74.0% .100 175)",
            "500": "oklch(60.0% .095 175)",
            "600": "oklch(45.0% .080 175)",
            "700": "oklch(39.0% .070 175)",
            "800": "oklch(34.0% .060 175)",
            "900": "oklch(29.0% .050 175)",
            "950": "oklch(22.0% .040 175)",
        }
    },
    "SIDEBAR": {
        "navigation": [
            {
                "items": [
                    _item(_("Live page"), "sensors", "live", active=_never),
                    _item(_("System"), "monitor_heart", "system", active=_never),
                ]
            },
            {
                "title": _("Captured"),
                "items": [
                    _item(_("Executions"), "photo_camera", "admin:executions_execution_changelist"),
                    _item(_("Queue"), "pending_actions", "admin:executions_queueitem_changelist"),
                ],
            },
            {
                "title": _("Registry"),
                "items": [
                    _item(_("Monitoring nodes"), "cell_tower", "admin:executions_monitoringnode_changelist"),
                    _item(_("Cameras"), "videocam", "admin:executions_camera_changelist"),
                ],
            },
            {
                "title": _("People"),
                "items": [
                    _item(_("Users"), "person", "admin:auth_user_changelist"),
                    _item(_("Groups"), "group", "admin:auth_group_changelist"),
                ],
            },
        ],
    },
}
