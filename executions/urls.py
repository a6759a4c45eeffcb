from django.urls import path, register_converter

from executions import stream, views


class RenditionConverter:
    regex = "|".join(views.RENDITIONS)

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class BigIntConverter:
    """An id that fits the database's bigint; longer numbers are no address of ours."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(RenditionConverter, "rendition")
register_converter(BigIntConverter, "bigint")

urlpatterns = [
    path("", views.live, name="live"),
    path("executions/cards/", views.card_list, name="cards"),
    path("executions/<bigint:execution_id>/", views.detail, name="execution"),
    path("executions/<bigint:execution_id>/image/<rendition:rendition>", views.image, name="execution-image"),
    path("events/", stream.stream, name="events"),
    path("system/", views.system, name="system"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
]
