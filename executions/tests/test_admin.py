"""The admin: what machines wrote stays as it is, what people know can be entered, what failed can be retried."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from executions.models import Camera, Execution, MonitoringNode, QueueItem
from executions.tests import web

pytestmark = pytest.mark.django_db

EXECUTIONS = "/admin/executions/execution/"
QUEUE = "/admin/executions/queueitem/"
NODES = "/admin/executions/monitoringnode/"
CAMERAS = "/admin/executions/camera/"


@pytest.fixture
def ana() -> Client:
    return web.signed_in(web.ana())


@pytest.fixture
def rosa() -> Client:
    """On the staff to look, not to change."""
    user = User.objects.create_user("rosa", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return web.signed_in(user)


def failed(execution_id: int = 7, **values: Any) -> QueueItem:
    row = Execution.objects.filter(pk=execution_id).first() or web.execution(execution_id)
    known = {"phase": "created", "status": "failed", "attempts": 3, "last_error": "It broke.", "completed_at": web.NOON}
    return QueueItem.objects.create(execution=row, **known | values)


def listed(client: Client, address: str) -> list[int]:
    """The primary keys of the rows of a list."""
    return [row.pk for row in client.get(address).context["cl"].result_list]


# --- What machines wrote ---------------------------------------------------------------------------


@pytest.mark.parametrize("address", [EXECUTIONS, QUEUE])
def test_nobody_adds_what_machines_write(ana: Client, address: str) -> None:
    assert ana.get(f"{address}add/").status_code == 403


def test_nobody_changes_or_deletes_an_execution(ana: Client) -> None:
    web.execution(7)
    assert ana.post(f"{EXECUTIONS}7/change/", {"status": "success"}).status_code == 403
    assert ana.post(f"{EXECUTIONS}7/delete/", {"post": "yes"}).status_code == 403
    assert Execution.objects.get(pk=7).status == "running"


def test_an_execution_is_shown_with_everything_that_belongs_to_it(ana: Client, image_root: Path) -> None:
    row = web.with_result(web.with_image(web.execution(7)), raw_response="A column of smoke.")
    failed(7)
    page = ana.get(f"{EXECUTIONS}7/change/").content.decode()
    for text in ("/executions/7/image/webp", "A column of smoke.", "It broke.", str(row.image_sha256)):
        assert text in page


def test_the_list_shows_detection_and_delivery(ana: Client, image_root: Path) -> None:
    web.with_result(web.with_image(web.execution(7)))
    web.execution(8, phase1_at=web.NOON)
    page = ana.get(EXECUTIONS).content.decode()
    for text in ("/executions/7/image/thumb", "Risk: High · Smoke 87 %", "Telegram sent", "Waiting for the detector…"):
        assert text in page


@pytest.mark.parametrize("count", [1, 12])
def test_the_queries_of_the_list_do_not_grow(
    ana: Client, image_root: Path, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(1, count + 1):
        web.with_result(web.with_image(web.execution(number), web.camera(f"device-{number}", "")))
    with django_assert_num_queries(5):  # Session, user, nodes to filter by, count, rows.
        assert len(listed(ana, EXECUTIONS)) == count


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [9, 8, 7]),
        ("q=7", [7]),
        ("q=cam2", [8]),
        ("q=molinari", [8]),
        ("q=77", [9]),
        ("q=nothing", []),
        ("q=" + "9" * 40, []),
        ("stuck=1", [9]),
        ("status__exact=success", [8]),
        ("has_smoke__exact=1", [8]),
        ("telegram_sent__exact=0", [7]),
        ("risk_level__exact=high", [8]),
    ],
)
def test_executions_are_found(ana: Client, query: str, found: list[int]) -> None:
    now = timezone.now()
    web.execution(7, n8n_created_at=now, telegram_sent=False)
    molinari = web.camera(camera_id="cam2")
    seen = {"status": "success", "has_smoke": True, "risk_level": "high"}
    web.execution(8, camera=molinari, node=molinari.node, **seen)
    web.execution(9, n8n_created_at=now - timedelta(hours=5), camera=web.camera("device", "", camera_id="77"))
    assert listed(ana, f"{EXECUTIONS}?{query}") == found


# --- What people know ------------------------------------------------------------------------------


def test_a_nodes_position_can_be_entered_but_not_its_identity(ana: Client) -> None:
    node = web.camera().node
    assert node is not None
    form = {"device_id": "other", "name": "Molinari", "latitude": "-31.0", "longitude": "-64.5"}
    inline = {"cameras-TOTAL_FORMS": "0", "cameras-INITIAL_FORMS": "0"}
    assert ana.post(f"{NODES}{node.pk}/change/", form | inline).status_code == 302
    node.refresh_from_db()
    assert (node.device_id, node.latitude, node.longitude) == ("sai-cam-node-01", -31.0, -64.5)


def test_a_position_outside_of_the_earth_is_refused_in_the_form(ana: Client) -> None:
    node = web.camera().node
    assert node is not None
    form = {"name": "x", "latitude": "-99", "cameras-TOTAL_FORMS": "0", "cameras-INITIAL_FORMS": "0"}
    assert ana.post(f"{NODES}{node.pk}/change/", form).status_code == 200
    assert MonitoringNode.objects.get().latitude is None


def test_a_cameras_view_can_be_entered_but_not_its_identity(ana: Client) -> None:
    camera = web.camera()
    form = {"camera_id": "cam9", "node": "", "azimuth_deg": "45", "field_of_view_deg": "90", "is_active": "on"}
    assert ana.post(f"{CAMERAS}{camera.pk}/change/", form).status_code == 302
    changed = Camera.objects.get()
    assert (changed.camera_id, changed.node, changed.azimuth_deg) == ("cam1", camera.node, 45.0)


@pytest.mark.parametrize("address", [NODES, CAMERAS])
def test_images_of_a_day_are_counted_without_a_query_for_each_row(
    ana: Client, address: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now()
    for number in range(6):
        camera = web.camera(f"device-{number}", "")
        for age in (1, 2, 30):
            values = {"captured_at": now - timedelta(hours=age), "camera": camera, "node": camera.node}
            web.execution(100 * number + age, **values)
    with django_assert_num_queries(6 if address == CAMERAS else 5):
        rows = ana.get(address).context["cl"].result_list
    assert [row.recent_count for row in rows] == [2] * 6


# --- The queue -------------------------------------------------------------------------------------


def test_what_failed_stands_first_and_what_is_completed_stays_away(ana: Client) -> None:
    item = failed(7)
    pending = failed(8, status="pending")
    done = failed(9, status="completed")
    assert listed(ana, QUEUE) == [item.pk, pending.pk]
    assert listed(ana, f"{QUEUE}?state=completed") == [done.pk]
    assert listed(ana, f"{QUEUE}?state=all") == [done.pk, pending.pk, item.pk]
    assert listed(ana, f"{QUEUE}?state=failed&q=7") == [item.pk]
    assert listed(ana, f"{QUEUE}?q=x") == []
    assert "It broke." in ana.get(QUEUE).content.decode()


def retry_selected(client: Client, *items: QueueItem) -> Any:
    chosen = [str(item.pk) for item in items]
    return client.post(QUEUE, {"action": "retry_selected", "_selected_action": chosen})


def test_only_what_failed_is_retried(ana: Client) -> None:
    pending = failed(7, status="pending", attempts=1)
    answer = retry_selected(ana, pending)
    pending.refresh_from_db()
    assert (pending.attempts, pending.requests) == (1, 1)
    assert [str(message) for message in get_messages(answer.wsgi_request)] == [
        "Nothing to retry: only what has failed can be retried."
    ]


def test_whoever_may_only_look_cannot_retry(rosa: Client) -> None:
    item = failed(7)
    retry_selected(rosa, item)
    assert rosa.post(f"{QUEUE}{item.pk}/retry/", {"_form_submitted": "on"}).status_code == 403
    item.refresh_from_db()
    assert item.status == "failed"
    assert rosa.get(f"{QUEUE}{item.pk}/change/").status_code == 200


def test_selected_failures_are_due_again_with_their_reason(ana: Client) -> None:
    items = [failed(7), failed(8)]
    answer = retry_selected(ana, *items)
    for item in items:
        item.refresh_from_db()
        assert (item.status, item.attempts, item.requests, item.last_error) == ("pending", 0, 2, "It broke.")
        assert item.available_at <= timezone.now()
    assert [str(message) for message in get_messages(answer.wsgi_request)] == ["2 extractions are due again."]


def test_looking_at_the_question_retries_nothing(ana: Client) -> None:
    item = failed(7)
    page = ana.get(f"{QUEUE}{item.pk}/retry/").content.decode()
    assert "Retry this extraction?" in page
    item.refresh_from_db()
    assert item.status == "failed"


@pytest.mark.parametrize("by_htmx", [True, False])
def test_one_failure_is_retried_from_its_page(ana: Client, by_htmx: bool) -> None:
    item = failed(7)
    headers = {"HX-Request": "true"} if by_htmx else {}
    answer = ana.post(f"{QUEUE}{item.pk}/retry/", {"_form_submitted": "on"}, headers=headers)
    assert answer["HX-Redirect" if by_htmx else "Location"] == f"{QUEUE}{item.pk}/change/"
    item.refresh_from_db()
    assert item.status == "pending"


# --- The frame -------------------------------------------------------------------------------------


def test_the_sidebar_leads_to_the_live_page_and_tables_of_other_packages_are_hidden(ana: Client) -> None:
    page = ana.get("/admin/").content.decode()
    assert "Live page" in page
    assert "eventstream" not in page


@pytest.mark.parametrize("address", ["/admin/auth/user/", "/admin/auth/group/", "/admin/auth/user/add/"])
def test_people_are_managed_in_the_same_frame(ana: Client, address: str) -> None:
    page = ana.get(address)
    assert page.status_code == 200
    assert b"/static/unfold/" in page.content
