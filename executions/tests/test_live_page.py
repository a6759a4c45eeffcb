"""The live page in a real browser, on the real server: cards come and change without a reload, and none is missed."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.db import transaction
from django_eventstream.models import Event as StoredEvent
from playwright.sync_api import Browser, Page, expect, sync_playwright

from executions import events
from executions.models import Execution
from executions.tests import web
from executions.tests.web import WebServer

CHROMIUM = os.environ.get("SAI_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="There is no chromium; install it or set SAI_TEST_CHROMIUM."),
]
# What a browser says of a server that is down; everything else on the console is a fault of the page.
OUTAGES = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Root may not use Chromium's sandbox; what it opens here is our own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        # Playwright keeps an event loop in this thread, which Django takes for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def server(browser: Browser, process_env: dict[str, str], tmp_path: Path) -> Iterator[WebServer]:
    with WebServer(process_env, tmp_path / "web.log") as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: WebServer) -> Iterator[Page]:
    """A page of a browser in which Luis is signed in; the console must stay empty."""
    context = browser.new_context(locale="en-US")
    context.add_cookies([{"name": "sessionid", "value": web.session_of(web.luis()), "url": server.url}])
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert [text for text in said if not any(outage in text for outage in OUTAGES)] == []


def follow(page: Page, server: WebServer) -> None:
    """Open the live page, wait for its stream, and leave a mark that a reload would wipe off."""
    page.goto(server.url)
    expect(page.locator("#line")).to_have_attribute("data-state", "live")
    page.evaluate("window.wasNeverReloaded = true")


def was_never_reloaded(page: Page) -> bool:
    return bool(page.evaluate("window.wasNeverReloaded === true"))


def record(*numbers: int) -> None:
    """Stage 1, with its events."""
    for number in numbers:
        with transaction.atomic():
            events.execution_new(web.execution(number))


def shown(page: Page) -> list[int]:
    return [int(str(card.get_attribute("data-id"))) for card in page.locator(".card").all()]


# --- What must not happen ----------------------------------------------------------------------------


def test_the_same_event_twice_makes_one_card(page: Page, server: WebServer) -> None:
    follow(page, server)
    record(7)
    expect(page.locator("#execution-7")).to_be_visible()
    with transaction.atomic():
        events.execution_new(Execution.objects.get(pk=7))
    record(8)
    expect(page.locator(".card")).to_have_count(2)
    assert shown(page) == [8, 7]


def test_an_old_execution_does_not_push_itself_into_a_full_page(page: Page, server: WebServer) -> None:
    for number in range(100, 160):
        web.execution(number)
    follow(page, server)
    record(5, 200)
    expect(page.locator("#execution-200")).to_be_visible()
    assert page.locator("#execution-5").count() == 0


def test_a_picture_that_is_shown_is_not_loaded_again(page: Page, server: WebServer) -> None:
    row = web.with_image(web.execution(7))
    follow(page, server)
    page.evaluate("document.querySelector('#execution-7 img').isTheSame = true")
    web.with_result(row)
    with transaction.atomic():
        events.stage2_complete(row, 88)
    expect(page.locator("#execution-7 .level")).to_have_text("Risk: High")
    assert page.evaluate("document.querySelector('#execution-7 img').isTheSame") is True


# --- What must happen --------------------------------------------------------------------------------


def test_a_card_appears_then_gains_its_image_then_its_result(page: Page, server: WebServer) -> None:
    follow(page, server)
    expect(page.locator("#empty")).to_be_visible()
    record(7)
    card = page.locator("#execution-7")
    expect(card).to_contain_text("Waiting for the image…")
    expect(page.locator("#empty")).to_be_hidden()
    with transaction.atomic():
        events.stage2_complete(web.with_image(Execution.objects.get(pk=7)), 88)
    expect(card.locator("img")).to_be_visible()
    with transaction.atomic():
        events.stage2_complete(web.with_result(Execution.objects.get(pk=7)), 12)
    for text in ("Molinari", "Risk: High", "Smoke 87 %", "Telegram sent"):
        expect(card).to_contain_text(text)
    assert was_never_reloaded(page)


def test_boxes_lie_where_the_detector_saw_something(page: Page, server: WebServer) -> None:
    web.with_result(web.with_image(web.execution(7)))
    follow(page, server)
    picture = page.locator("#execution-7 img").bounding_box()
    box = page.locator("#execution-7 rect").bounding_box()
    assert picture is not None
    assert box is not None
    x, y, width, height = 0.25, 0.5, 0.125, 0.25  # As in web.SMOKE.
    assert box["x"] - picture["x"] == pytest.approx(x * picture["width"], abs=2)
    assert box["y"] - picture["y"] == pytest.approx(y * picture["height"], abs=2)
    assert box["width"] == pytest.approx(width * picture["width"], abs=4)
    assert box["height"] == pytest.approx(height * picture["height"], abs=4)


def test_executions_that_come_out_of_order_are_sorted_in(page: Page, server: WebServer) -> None:
    follow(page, server)
    record(9, 7, 8)
    expect(page.locator(".card")).to_have_count(3)
    assert shown(page) == [9, 8, 7]


def test_a_restart_of_the_server_misses_nothing(
    page: Page, server: WebServer, process_env: dict[str, str], tmp_path: Path
) -> None:
    follow(page, server)
    record(1)
    expect(page.locator("#execution-1")).to_be_visible()
    assert server.process.terminate() == 0
    record(2, 3)
    expect(page.locator("#line")).to_have_attribute("data-state", "reconnecting")
    with WebServer(process_env, tmp_path / "again.log", port=server.port):
        expect(page.locator("#execution-3")).to_be_visible(timeout=15_000)
        expect(page.locator("#line")).to_have_attribute("data-state", "live")
        assert shown(page) == [3, 2, 1]
        assert was_never_reloaded(page)


def test_when_events_are_gone_the_list_is_read_again(
    page: Page, server: WebServer, process_env: dict[str, str], tmp_path: Path
) -> None:
    follow(page, server)
    assert server.process.terminate() == 0
    record(1, 2)
    StoredEvent.objects.all().delete()
    with WebServer(process_env, tmp_path / "again.log", port=server.port):
        expect(page.locator("#execution-2")).to_be_visible(timeout=15_000)
        assert shown(page) == [2, 1]
        assert was_never_reloaded(page)


def test_many_changes_at_once_read_the_list_again(page: Page, server: WebServer) -> None:
    web.execution(1)
    follow(page, server)
    Execution.objects.all().delete()
    for number in range(2, 62):
        web.execution(number)
    with transaction.atomic():
        events.execution_batch(60, 2, 61)
    expect(page.locator("#execution-61")).to_be_visible()
    assert shown(page) == list(range(61, 13, -1))
    expect(page.locator("#older")).to_have_attribute("href", "?before=14")
    assert was_never_reloaded(page)


def test_the_page_does_not_grow_for_ever(page: Page, server: WebServer) -> None:
    follow(page, server)
    record(*range(1, 231))
    expect(page.locator("#execution-230")).to_be_visible(timeout=20_000)
    expect(page.locator(".card")).to_have_count(200)
    assert shown(page) == list(range(230, 30, -1))
    expect(page.locator("#older")).to_have_attribute("href", "?before=31")


def test_who_was_signed_out_meanwhile_is_asked_to_sign_in(page: Page, server: WebServer) -> None:
    follow(page, server)
    Session.objects.all().delete()
    record(1)
    expect(page.locator("#id_username")).to_be_visible()


def test_signing_in_leads_to_where_one_wanted_to_go(browser: Browser, server: WebServer) -> None:
    web.luis("los-gigantes")
    web.execution(7)
    page = browser.new_page(locale="en-US")
    page.goto(f"{server.url}/executions/7/")
    page.fill("#id_username", "luis")
    page.fill("#id_password", "los-gigantes")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Unknown camera")).to_be_visible()
    page.close()


# --- Every screen, every visitor -----------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/", "/executions/7/", "/system/"])
def test_nothing_is_wider_than_a_small_phone(page: Page, server: WebServer, address: str) -> None:
    row = web.with_image(web.execution(7), web.camera("a-device-with-an-unusually-long-name-without-any-space", ""))
    web.with_result(row, raw_response="https://example.org/" + "a" * 200)
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(server.url + address)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_colours_of_the_device(page: Page, server: WebServer, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(server.url)
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue > 384) == (scheme == "light")


def test_nothing_moves_for_who_wants_no_motion(page: Page, server: WebServer) -> None:
    page.emulate_media(reduced_motion="reduce")
    follow(page, server)
    record(7)
    expect(page.locator("#execution-7")).to_have_css("animation-name", "none")


def test_without_javascript_the_page_shows_its_cards_and_says_that_it_stands_still(
    browser: Browser, server: WebServer
) -> None:
    web.execution(7)
    context = browser.new_context(java_script_enabled=False, locale="en-US")
    context.add_cookies([{"name": "sessionid", "value": web.session_of(web.luis()), "url": server.url}])
    page = context.new_page()
    page.goto(server.url)
    expect(page.locator("#line")).to_contain_text("This page does not update by itself.")
    expect(page.locator("#execution-7")).to_be_visible()
    context.close()


def test_each_card_is_one_stop_for_the_keyboard_and_keeps_the_focus(page: Page, server: WebServer) -> None:
    row = web.execution(7)
    follow(page, server)
    page.locator("#execution-7 a").focus()
    assert page.locator("#execution-7 a, #execution-7 button").count() == 1
    web.with_result(row)
    with transaction.atomic():
        events.stage2_complete(row, 88)
    expect(page.locator("#execution-7 .level")).to_be_visible()
    expect(page.locator("#execution-7 a")).to_be_focused()
