"""What a card says, and above all what it says of things that are absent: never more than is known."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone, translation
from django.utils.formats import date_format

from executions import cards
from executions.models import Execution, InferenceResult, Notification, QueueItem
from executions.tests import web
from executions.tests.web import NOON, SMOKE

pytestmark = pytest.mark.django_db


def card_of(execution_id: int) -> cards.Card:
    (card,) = cards.load(Execution.objects.filter(pk=execution_id))
    return card


# --- What is absent --------------------------------------------------------------------------------


def test_a_new_execution_waits_and_claims_nothing() -> None:
    web.execution(7, n8n_created_at=timezone.now())
    card = card_of(7)
    assert (card.camera, card.device, card.frame_at_label) == ("Unknown camera", "", "Received")
    assert card.picture.thumb_url is None
    assert card.picture.note == "Waiting for the image…"
    assert (card.level.text, card.confidence, card.findings, card.telegram.text) == ("", "", [], "")
    assert card.result_note == "Waiting for the detector…"


def test_a_missing_image_has_its_reason() -> None:
    web.execution(7, phase1_at=NOON, extraction_notes={"phase1": {"image": "The camera sent no image."}})
    assert card_of(7).picture.note == "No image: The camera sent no image."


def test_a_missing_reason_is_admitted() -> None:
    web.execution(7, status="success", phase1_at=NOON, phase2_at=NOON, completed_at=NOON)
    card = card_of(7)
    assert card.picture.note == "No image, and no reason was recorded."
    assert card.result_note == "No result, and no reason was recorded."


def test_a_failed_detector_never_looks_like_no_fire() -> None:
    notes = {"phase2": {"detector": "YOLO failed: ECONNREFUSED"}}
    web.execution(7, status="error", phase2_at=NOON, extraction_notes=notes)
    card = card_of(7)
    assert card.result_note == "No result: YOLO failed: ECONNREFUSED"
    assert (card.level.text, card.findings) == ("", [])


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"detections": []}, "The model saw no smoke and no fire."),
        ({"flags": {"smoke": False}}, "The model saw no smoke; it says nothing of fire."),
        ({"flags": {"fire": False}}, "The model saw no fire; it says nothing of smoke."),
        ({}, "The model answered, but does not say whether it saw smoke or fire."),
    ],
)
def test_no_finding_says_exactly_what_the_model_said(said: dict[str, Any], sentence: str) -> None:
    InferenceResult.objects.create(execution=web.execution(7), **said)
    card = card_of(7)
    assert (card.result_note, card.level.text) == (sentence, "No level stated")


def test_an_ended_execution_is_being_read_until_phase_2() -> None:
    web.execution(7, status="success", completed_at=NOON)
    assert card_of(7).result_note == "Reading the result…"


def test_what_vanished_in_n8n_before_it_ended_says_so() -> None:
    web.execution(7, source_deleted_at=NOON)
    card = card_of(7)
    assert card.status.text == "Gone from n8n"
    assert card.result_note == "No result: n8n no longer has this execution."


def test_failed_extraction_gives_its_last_error() -> None:
    row = web.execution(7, status="success")
    QueueItem.objects.create(execution=row, phase="created", status="failed", last_error="The file is gone.")
    QueueItem.objects.create(execution=row, phase="completed", status="failed", last_error=None)
    card = card_of(7)
    assert card.picture.note == "No image: The file is gone."
    assert card.result_note == "No result: no reason was recorded"


def test_work_in_progress_is_no_failure() -> None:
    QueueItem.objects.create(execution=web.execution(7), phase="created", last_error="The first attempt failed.")
    assert card_of(7).picture.note == "Waiting for the image…"


# --- What is known ---------------------------------------------------------------------------------


def test_a_complete_execution_shows_all_of_it(image_root: Any) -> None:
    web.with_result(web.with_image(web.execution(7)))
    card = card_of(7)
    assert (card.camera, card.device, card.frame_at_label) == ("cam1", "Molinari", "Captured")
    assert card.picture.thumb_url == "/executions/7/image/thumb?v=000000000000"
    assert (card.level, card.confidence) == (cards.Label("high", "Risk: High"), "87 %")
    assert [finding.text for finding in card.findings] == ["Smoke 87 %"]
    assert (card.status.text, card.telegram.text, card.result_note) == ("Success", "Telegram sent", "")


def test_boxes_are_in_pixels_of_the_image(image_root: Any) -> None:
    web.with_result(web.with_image(web.execution(7)))
    picture = card_of(7).picture
    assert (picture.view_box, picture.fills) == ("0 0 640 360", True)
    assert picture.boxes == [cards.Box("smoke", "Smoke 87 %", "160.00", "180.00", "80.00", "90.00")]


@pytest.mark.parametrize("bbox", [None, [], [0.1, 0.2, 0.3], ["0.1", 0, 0, 1], {"x": 0}])
def test_a_detection_without_a_usable_box_is_still_a_finding(bbox: Any) -> None:
    InferenceResult.objects.create(execution=web.execution(7), detections=[{**SMOKE, "bbox": bbox}])
    card = card_of(7)
    assert (card.picture.boxes, [finding.text for finding in card.findings]) == ([], ["Smoke 87 %"])


def test_findings_of_a_kind_are_counted_and_a_flag_adds_none_twice() -> None:
    found = [SMOKE, {**SMOKE, "confidence": 0.4}, {"class": "vehicle", "confidence": None, "bbox": None}]
    InferenceResult.objects.create(execution=web.execution(7), detections=found, flags={"smoke": True, "fire": True})
    assert [finding.text for finding in card_of(7).findings] == ["Smoke ×2 87 %", "vehicle", "Fire"]


def test_the_stated_alert_level_has_a_colour_only_where_something_was_detected() -> None:
    web.execution(7, alert_level="High", detection_count=0)
    web.execution(8, alert_level="High", detection_count=1)
    web.execution(9, alert_level="purple", detection_count=1)
    levels = [card_of(number).level for number in (7, 8, 9)]
    assert [level.code for level in levels] == ["unknown", "high", "unknown"]
    assert [level.text for level in levels] == ["Alert level: High", "Alert level: High", "Alert level: purple"]


@pytest.mark.parametrize(
    ("sent", "text"),
    [(True, "Telegram sent"), (False, "Telegram failed"), (None, "Telegram: unknown whether sent")],
)
def test_delivery_is_told_as_it_is_known(sent: bool | None, text: str) -> None:
    Notification.objects.create(execution=web.execution(7), telegram_sent=sent)
    assert card_of(7).telegram.text == text


def test_no_message_is_told_only_when_the_execution_was_read() -> None:
    web.execution(7, status="success", phase2_at=NOON)
    assert card_of(7).telegram.text == "No Telegram message"


def test_an_execution_that_does_not_end_is_stuck() -> None:
    web.execution(7, n8n_created_at=timezone.now() - timedelta(hours=5))
    assert card_of(7).status == cards.Label("stuck", "Stuck")


def test_times_are_those_of_the_dashboards_zone() -> None:
    at = cards.moment(NOON)
    assert at == cards.Moment("2026-02-19T12:00:00-03:00", date_format(timezone.localtime(NOON), at_pattern()))


def at_pattern() -> str:
    return "j M H:i:s" if timezone.localtime().year == NOON.year else "j M Y H:i:s"


def test_texts_are_translated() -> None:
    web.execution(7, n8n_created_at=timezone.now())
    with translation.override("es"):
        assert card_of(7).result_note == "Esperando al detector…"


def test_a_tall_image_is_framed_and_not_stretched() -> None:
    web.execution(7, image_width=1200, image_height=1600)
    assert not card_of(7).picture.fills
