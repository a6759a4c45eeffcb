"""The detector's answer of three generations, whole and damaged."""

from datetime import UTC, datetime
from typing import Any

import pytest

from executions.n8n.payload.detector import is_answer, read_detector
from executions.n8n.payload.results import Detection

BOX = {"x1": 768, "y1": 378, "x2": 1056, "y2": 734.4}
FULL_HD = {"width": 1920, "height": 1080}
SMOKE = {"class_name": "smoke", "class_id": 0, "confidence": 0.7431, "bbox": BOX, "metadata": {}}
ANSWER = {
    "timestamp": "2026-11-23T05:14:10.430274",
    "processing_time_ms": 55.26,
    "image_size": FULL_HD,
    "detections": [SMOKE],
    "has_fire": False,
    "has_smoke": True,
    "image_path": "51/2c/x.jpg",
    "annotated_image": "AAAA",
    "alert_level": "high",
    "version": "SAINet_v10.0_e143.pt",
}
PLACED = (0.4, 0.35, 0.15, 0.33)


def detect(entry: Any, **others: Any) -> tuple[Detection, ...] | None:
    return read_detector(ANSWER | {"detections": [entry], **others}, None)[0].detections


@pytest.mark.parametrize(
    "said", [None, "text", [], {}, {"error": "x"}, {"response": "No fire", "model": "m"}, {"detections": 7}]
)
def test_anything_else_is_no_answer(said: Any) -> None:
    assert not is_answer(said)


@pytest.mark.parametrize("said", [ANSWER, {"detections": []}, {"has_fire": False, "has_smoke": True}])
def test_every_generation_is_an_answer(said: Any) -> None:
    assert is_answer(said)


def test_all_that_it_says_is_read() -> None:
    inference, notes = read_detector(ANSWER, None)
    assert notes == {}
    assert inference.detections == (Detection("smoke", 0.7431, PLACED),)
    assert inference.inference_timestamp == datetime(2026, 11, 23, 5, 14, 10, 430274, UTC)
    assert (inference.model_version, inference.processing_time_ms) == ("SAINet_v10.0_e143.pt", 55.26)
    assert (inference.alert_level, inference.confidence_score) == ("high", 0.7431)
    assert inference.flags == {"smoke": True, "fire": False}
    assert (inference.risk_level, inference.model_name, inference.raw_response) == (None, None, None)


def test_its_own_pixels_are_kept_and_its_images_are_not() -> None:
    outputs = read_detector(ANSWER, None)[0].model_outputs
    assert outputs is not None
    assert outputs["detector"]["detections"][0]["bbox"] == BOX
    assert not {"annotated_image", "image_path"} & outputs["detector"].keys()


def test_other_names_for_the_same_are_understood() -> None:
    entry = {"class": "Smoke ", "confidence": 0.5, "bbox": {"x": 768, "y": 378, "width": 288, "height": 356.4}}
    assert detect(entry) == (Detection("smoke", 0.5, PLACED),)
    said = {"detections": [], "model_version": "v2", "model": "SAINet"}
    inference, _ = read_detector(said, None)
    assert (inference.model_version, inference.model_name) == ("v2", "SAINet")


def test_found_nothing_is_not_the_same_as_said_nothing() -> None:
    nothing, _ = read_detector({"detections": [], "has_fire": False, "has_smoke": False}, None)
    assert (nothing.detections, nothing.confidence_score) == ((), None)
    silent, notes = read_detector({"has_fire": False, "has_smoke": False}, None)
    assert silent.detections is None
    assert "no list of detections" in notes["detections"]


@pytest.mark.parametrize("confidence", [7, -1, "0.9", True, None, float("nan"), float("inf"), 10**400])
def test_a_confidence_out_of_range_is_dropped(confidence: Any) -> None:
    inference, notes = read_detector(ANSWER | {"detections": [SMOKE | {"confidence": confidence}]}, None)
    assert inference.detections == (Detection("smoke", None, PLACED),)
    assert inference.confidence_score is None
    assert "no confidence" in notes["confidence"]


@pytest.mark.parametrize(
    "bbox",
    [
        None,
        [768, 378, 1056, 734],
        {},
        BOX | {"x2": 100},
        BOX | {"y2": 378},
        BOX | {"x1": "768"},
        BOX | {"x1": float("nan")},
        BOX | {"y2": float("inf")},
        BOX | {"x1": -(10**9)},
        {"x1": 5000, "y1": 0, "x2": 6000, "y2": 10},
    ],
)
def test_a_box_that_makes_no_sense_is_dropped_and_the_detection_stays(bbox: Any) -> None:
    inference, notes = read_detector(ANSWER | {"detections": [SMOKE | {"bbox": bbox}]}, None)
    assert inference.detections == (Detection("smoke", 0.7431, None),)
    assert "no box inside the image" in notes["bbox"]


def test_a_box_over_the_edge_is_clamped() -> None:
    assert detect(SMOKE | {"bbox": {"x1": -100, "y1": 540, "x2": 960, "y2": 9999}}) == (
        Detection("smoke", 0.7431, (0.0, 0.5, 0.5, 0.5)),
    )


@pytest.mark.parametrize("entry", [None, "smoke", 7, [], {}, {"class_name": ""}, {"class_name": 7}, {"class_id": 1}])
def test_a_detection_without_a_class_is_left_out(entry: Any) -> None:
    inference, notes = read_detector(ANSWER | {"detections": [SMOKE, entry]}, None)
    assert inference.detections == (Detection("smoke", 0.7431, PLACED),)
    assert "1 of 2 detections" in notes["detections"]


@pytest.mark.parametrize(
    "size", [None, {}, {"width": 0, "height": 10}, {"width": "1920", "height": 1080}, [1920, 1080]]
)
def test_without_the_size_of_its_image_a_box_has_no_place(size: Any) -> None:
    inference, notes = read_detector(ANSWER | {"image_size": size}, None)
    assert inference.detections == (Detection("smoke", 0.7431, None),)
    assert "did not state the size" in notes["image_size"]


def test_the_stored_image_stands_in_when_all_boxes_fit() -> None:
    said = ANSWER | {"image_size": None}
    inference, notes = read_detector(said, (1920, 1080))
    assert inference.detections == (Detection("smoke", 0.7431, PLACED),)
    assert "was assumed" in notes["image_size"]
    inference, notes = read_detector(said, (1000, 1080))
    assert inference.detections == (Detection("smoke", 0.7431, None),)
    assert "cannot be placed" in notes["image_size"]


def test_what_may_be_fractions_is_not_taken_for_pixels() -> None:
    said = ANSWER | {"image_size": None, "detections": [SMOKE | {"bbox": {"x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 1}}]}
    assert read_detector(said, (1920, 1080))[0].detections == (Detection("smoke", 0.7431, None),)


def test_flags_are_booleans_or_absent() -> None:
    assert read_detector(ANSWER | {"has_fire": "no", "has_smoke": 1}, None)[0].flags is None


def test_thousands_of_boxes_are_cut() -> None:
    inference, notes = read_detector(ANSWER | {"detections": [SMOKE] * 5_000}, None)
    assert inference.detections is not None and len(inference.detections) == 1_000
    assert "too large" in notes["model_outputs"]
