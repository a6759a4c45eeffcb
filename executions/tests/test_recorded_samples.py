"""Every recorded execution of the three n8n versions gives what was checked by hand."""

from dataclasses import asdict
from hashlib import sha256

import pytest

from executions.n8n import binary_data
from executions.n8n.binary_data import BinaryRef, BinaryUnavailable
from executions.n8n.flatted import Document
from executions.n8n.payload import (
    Capture,
    NodeNames,
    Outcome,
    parse_metadata,
    read_capture,
    read_outcome,
    with_metadata,
)
from executions.tests.expected_samples import EXPECTED, Expected
from executions.tests.samples import BINARY_FOLDERS, VERSIONS, Sample, all_samples, binary_rows, sample

NAMES = NodeNames()
EVERY_SAMPLE = pytest.mark.parametrize("one", all_samples(), ids=str)


def expected_of(one: Sample) -> Expected:
    return EXPECTED[one.version][one.execution_id]


def read(one: Sample, ref: BinaryRef) -> bytes:
    return binary_data.read(
        ref,
        binary_data_path=BINARY_FOLDERS.get(one.version),
        database=lambda file_id, max_bytes: binary_rows()[file_id]["data"],
        execution_id=one.execution_id,
    )


def capture_of(one: Sample, document: Document) -> Capture:
    capture = read_capture(document, NAMES, one.workflow)
    if capture.metadata_ref is None:
        return capture
    metadata, reason = parse_metadata(read(one, capture.metadata_ref))
    assert metadata is not None, reason
    return with_metadata(capture, metadata)


def outcome_of(one: Sample) -> Outcome:
    return read_outcome(one.document, NAMES, one.workflow, status=one.status, image_size=None)


def image_of(one: Sample, capture: Capture) -> tuple[str | None, str]:
    """The hash, or the reason why there is none."""
    if capture.image is None:
        return None, capture.notes["image"]
    try:
        return sha256(read(one, capture.image)).hexdigest(), ""
    except BinaryUnavailable as error:
        return None, str(error)


def test_each_sample_has_an_expectation_and_each_expectation_a_sample() -> None:
    assert {(v, i) for v in VERSIONS for i in EXPECTED[v]} == {(s.version, s.execution_id) for s in all_samples()}


@EVERY_SAMPLE
def test_first_data_is_never_taken_for_an_outcome(one: Sample) -> None:
    if one.created_text is None:
        assert one.is_in_file
        return
    for status in (one.status, "success", "error", "crashed", "canceled", "running"):
        outcome = read_outcome(one.created_document, NAMES, one.workflow, status=status, image_size=None)
        assert (outcome.is_final, outcome.inference, outcome.notification) == (False, None, None)


@EVERY_SAMPLE
def test_no_secret_is_read(one: Sample) -> None:
    said = repr((asdict(capture_of(one, one.document)) | {"image": None}, asdict(outcome_of(one))))
    assert "Bearer stub" not in said
    assert "resumeToken" not in said
    assert "/9j/" not in said  # The beginning of every JPEG in base64.


@EVERY_SAMPLE
def test_the_image_is_the_one_that_the_camera_sent_in_the_first_and_in_the_last_data(one: Sample) -> None:
    expected = expected_of(one)
    for document in [one.created_document] if one.created_text else []:
        digest, reason = image_of(one, capture_of(one, document))
        assert digest == expected.image
        assert (expected.image_reason or "") in reason
    if not expected.final_data_lost_the_frame:
        assert image_of(one, capture_of(one, one.document))[0] == expected.image


@EVERY_SAMPLE
def test_the_camera_is_the_one_that_sent_it(one: Sample) -> None:
    document = one.created_document if one.created_text else one.document
    capture = capture_of(one, document)
    expected = expected_of(one)
    assert (capture.camera.device_id, capture.camera.camera_id) == (expected.camera or (None, None))
    assert (capture.captured_at is None) == (expected.camera is None)
    if capture.captured_at is not None:
        assert capture.captured_at_source == "environment.capture_time_utc"
        assert capture.metadata is not None
        said = capture.metadata["environment"]["capture_time_utc"]
        assert capture.captured_at.isoformat() == said.replace("Z", "+00:00")


@EVERY_SAMPLE
def test_boxes_risk_and_alert_are_what_the_models_said(one: Sample) -> None:
    expected, inference = expected_of(one), outcome_of(one).inference
    assert (inference is None) == (expected.boxes is None)
    if inference is not None and expected.boxes is not None:
        assert inference.detections is not None
        assert [(box.class_name, box.confidence, box.bbox) for box in inference.detections] == list(expected.boxes)
        assert (inference.risk_level, inference.alert_level) == (expected.risk, expected.alert)
        assert inference.confidence_score == max((box[1] for box in expected.boxes), default=None)
        named = {name for name, _, _ in expected.boxes}
        assert inference.flags == {"smoke": "smoke" in named, "fire": "fire" in named}
        assert inference.model_version == "SAINet_v10.0_e143.pt"


@EVERY_SAMPLE
def test_the_message_was_delivered_or_not(one: Sample) -> None:
    expected, notification = expected_of(one).telegram, outcome_of(one).notification
    if expected is None:
        assert notification is None
    elif isinstance(expected, int):
        assert notification is not None
        assert (notification.sent, notification.message_id) == (True, expected)
        assert notification.chat_id == "-1001234567890"
        assert notification.sent_at is not None
    else:
        assert notification is not None
        assert (notification.sent, notification.message_id, notification.error) == (False, None, expected)


@EVERY_SAMPLE
def test_the_end_is_final_and_says_what_is_absent(one: Sample) -> None:
    expected, outcome = expected_of(one), outcome_of(one)
    assert one.status == expected.status
    assert outcome.is_final
    assert outcome.contract == expected.contract
    message = outcome.workflow_error[1] if outcome.workflow_error else ""
    assert bool(message) == bool(expected.error)
    assert (expected.error or "") in message
    document = one.created_document if one.created_text else one.document
    notes = capture_of(one, document).notes | outcome.notes
    for key, part in expected.absent.items():
        assert part in notes[key]


def test_an_end_without_the_frame_says_so() -> None:
    capture = read_capture(sample("1.60.1", 26).document, NAMES, None)
    assert (capture.image, capture.metadata) == (None, None)
    assert "no webhook item" in capture.notes["webhook"]
