"""Pages and images: who may see them, what they answer to nonsense, and that their queries do not grow."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from executions import events, views
from executions.models import QueueItem
from executions.tests import web

pytestmark = pytest.mark.django_db

PAGES = ["/", "/?before=9", "/executions/cards/?ids=1", "/executions/1/", "/executions/1/image/thumb", "/system/"]


@pytest.fixture
def luis() -> Client:
    return web.signed_in(web.luis())


def shown(page: bytes) -> list[int]:
    return [int(number) for number in re.findall(rb'<article [^>]*data-id="(\d+)"', page)]


# --- Who may not -----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", PAGES)
def test_strangers_are_asked_to_sign_in(client: Client, address: str) -> None:
    answer = client.get(address)
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/login/")


@pytest.mark.parametrize("address", PAGES)
def test_nothing_is_changed_by_a_post(luis: Client, address: str) -> None:
    assert luis.post(address).status_code == 405


def test_the_crew_does_not_get_into_the_admin(luis: Client) -> None:
    assert luis.get("/admin/").status_code == 302


def test_signing_out_needs_a_post(luis: Client) -> None:
    assert luis.get("/logout/").status_code == 405
    assert luis.post("/logout/")["Location"] == "/login/"
    assert luis.get("/").status_code == 302


# --- The live page ---------------------------------------------------------------------------------


def test_without_executions_it_says_what_will_happen(luis: Client) -> None:
    page = luis.get("/")
    assert b"Nothing has been recorded yet" in page.content
    assert b'data-last-event-id="executions:0"' in page.content


def test_the_newest_stand_first_and_the_rest_is_behind_a_link(luis: Client) -> None:
    for number in range(1, views.PAGE_SIZE + 4):
        web.execution(number)
    page = luis.get("/").content
    assert shown(page) == list(range(views.PAGE_SIZE + 3, 3, -1))
    assert b'href="?before=4"' in page
    assert b"live.js" in page


def test_older_pages_do_not_follow_events_and_end(luis: Client) -> None:
    for number in (1, 2, 3, 4):
        web.execution(number)
    page = luis.get("/?before=3").content
    assert shown(page) == [2, 1]
    assert b"live.js" not in page
    assert re.search(rb'<p class="more" hidden>', page)


def test_the_page_knows_the_event_that_its_stream_continues(luis: Client) -> None:
    web.execution(1)
    events.execution_batch(1, 1, 1)
    assert b'data-last-event-id="executions:1"' in luis.get("/").content


@pytest.mark.parametrize("before", ["", "x", "-1", "1.5", "9" * 30, "٣"])
def test_a_page_before_nonsense_is_refused_with_a_sentence(luis: Client, before: str) -> None:
    answer = luis.get("/", {"before": before})
    assert answer.status_code == 400
    assert answer.content.decode() == "An execution's id is a whole number, for example 4711.\n"


@pytest.mark.parametrize("count", [1, 12])
def test_its_queries_do_not_grow(
    luis: Client, image_root: Path, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(1, count + 1):
        web.with_result(web.with_image(web.execution(number)))
    with django_assert_num_queries(6):  # Session, user, event, executions, failed work, stuck ones.
        assert len(shown(luis.get("/").content)) == count


def test_it_carries_no_style_and_no_script_of_its_own(luis: Client, image_root: Path) -> None:
    web.with_result(web.with_image(web.execution(1)))
    page = luis.get("/").content
    assert not re.search(rb"\sstyle=|<style|<script(?! src=)|\son[a-z]+=", page)


# --- Cards -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", ["", "1,", "1;2", "a", "-1", "9" * 30])
def test_cards_of_nonsense_are_refused_with_a_sentence(luis: Client, ids: str) -> None:
    answer = luis.get("/executions/cards/", {"ids": ids})
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/plain; charset=utf-8")


def test_more_cards_than_a_page_are_refused(luis: Client) -> None:
    ids = ",".join(map(str, range(views.MOST_CARDS + 1)))
    answer = luis.get("/executions/cards/", {"ids": ids})
    assert (answer.status_code, answer.content) == (400, b"Ask for at most 50 cards at once.\n")


def test_cards_come_newest_first_and_without_what_does_not_exist(luis: Client) -> None:
    for number in (1, 2, 3):
        web.execution(number)
    answer = luis.get("/executions/cards/?ids=1,3,99,3")
    assert shown(answer.content) == [3, 1]
    assert b"<html" not in answer.content


# --- One execution ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["99", "999999999999999999999999"])
def test_an_unknown_execution_is_not_found_in_a_sentence(luis: Client, number: str) -> None:
    answer = luis.get(f"/executions/{number}/")
    assert answer.status_code == 404
    assert b"There is nothing at this address." in answer.content


def test_a_bare_execution_has_a_page(luis: Client) -> None:
    web.execution(7)
    page = luis.get("/executions/7/").content.decode()
    assert "Unknown camera" in page
    assert "Waiting for the image…" in page
    assert "Not known yet." in page


def test_the_page_shows_facts_notes_and_the_queue(luis: Client, image_root: Path) -> None:
    row = web.with_result(web.with_image(web.execution(7)), raw_response="A column of <smoke>.")
    row.extraction_notes = {"phase2": {"telegram": "The notification step left no answer."}}
    row.save()
    QueueItem.objects.create(execution=row, phase="completed", status="failed", last_error="It broke.")
    page = luis.get("/executions/7/").content.decode()
    for text in (
        "Molinari",
        "12:00:00",
        "87 %",
        "A column of &lt;smoke&gt;.",
        "<b>telegram</b>: The notification step left no answer.",
        "It broke.",
    ):
        assert text in page


def test_the_queries_of_a_page_are_few(
    luis: Client, image_root: Path, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    web.with_result(web.with_image(web.execution(7)))
    with django_assert_num_queries(5):  # Session, user, execution, queue, stuck or not.
        luis.get("/executions/7/")


# --- Images ----------------------------------------------------------------------------------------


def image(client: Client, address: str, **headers: str) -> tuple[Any, bytes]:
    answer: Any = client.get(address, headers=headers)
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return answer, content


@pytest.mark.parametrize("rendition", ["original", "thumb"])
def test_an_image_that_is_not_there_is_not_found_in_a_sentence(luis: Client, rendition: str) -> None:
    web.execution(7)
    for number in (7, 99):
        answer = luis.get(f"/executions/{number}/image/{rendition}")
        assert (answer.status_code, answer.content) == (404, b"This execution has no such image.\n")


def test_a_lost_file_is_not_found_in_a_sentence(luis: Client, image_root: Path) -> None:
    row = web.with_image(web.execution(7))
    (image_root / str(row.image_thumb_path)).unlink()
    answer = luis.get("/executions/7/image/thumb?v=1")
    assert (answer.status_code, answer.content) == (404, b"The image's file is missing from the store.\n")
    assert "immutable" not in answer.get("Cache-Control", "")


def test_other_renditions_have_no_address(luis: Client) -> None:
    assert luis.get("/executions/7/image/../../etc/passwd").status_code == 404
    assert luis.get("/executions/7/image/sha256").status_code == 404


@pytest.mark.parametrize(
    ("rendition", "kind"), [("original", "image/jpeg"), ("webp", "image/webp"), ("thumb", "image/webp")]
)
def test_an_image_is_sent_as_it_is_stored(luis: Client, image_root: Path, rendition: str, kind: str) -> None:
    row = web.with_image(web.execution(7))
    answer, content = image(luis, f"/executions/7/image/{rendition}")
    assert content == (image_root / getattr(row, f"image_{rendition}_path")).read_bytes()
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == (kind, "nosniff")
    assert answer["ETag"] == f'"{row.image_sha256}-{rendition}"'
    assert answer["Cache-Control"] == "private, no-cache"


def test_an_address_that_names_the_content_may_be_kept_but_not_shared(luis: Client, image_root: Path) -> None:
    web.with_image(web.execution(7))
    answer, _content = image(luis, "/executions/7/image/thumb?v=00000")
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"


def test_a_known_image_is_not_sent_again(luis: Client, image_root: Path) -> None:
    row = web.with_image(web.execution(7))
    etag = f'"{row.image_sha256}-thumb"'
    answer, content = image(luis, "/executions/7/image/thumb", if_none_match=etag)
    assert (answer.status_code, content, answer["ETag"]) == (304, b"", etag)
    answer, content = image(luis, "/executions/7/image/webp", if_none_match=etag)
    assert (answer.status_code, len(content) > 1000) == (200, True)


# --- The system page, and machines that watch ------------------------------------------------------


def test_an_empty_system_has_a_page(luis: Client) -> None:
    page = luis.get("/system/").content
    assert b"none yet" in page
    assert b"No execution has ended in these days." in page


def test_only_staff_is_led_to_the_admin(luis: Client) -> None:
    row = web.execution(7)
    QueueItem.objects.create(execution=row, phase="created", status="failed")
    link = b"/admin/executions/queueitem/?state=failed"
    assert link not in luis.get("/system/").content
    assert link in web.signed_in(web.ana()).get("/system/").content


def test_a_living_process_says_so_to_anybody(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_it_is_ready_with_a_migrated_database(client: Client) -> None:
    assert client.get("/readyz").content == b"ok\n"


def test_it_is_not_ready_before_migrations(client: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="executions").delete()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (
        503,
        b"The database lacks migrations: run manage.py migrate.\n",
    )


@pytest.mark.django_db(transaction=True)
def test_it_is_not_ready_without_a_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", str(web.free_port()))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"The database cannot be reached.\n")


def test_pages_speak_spanish(luis: Client) -> None:
    web.execution(7)
    page = luis.get("/", headers={"accept-language": "es-AR"}).content.decode()
    assert '<html lang="es">' in page
    assert "Detecciones en vivo" in page
