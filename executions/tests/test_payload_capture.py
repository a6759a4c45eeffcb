"""What the camera sent is read from an execution's first data, and from every later one that still holds it."""

import base64
import json
from typing import Any

import pytest

from executions.n8n.payload import (
    BinaryRef,
    CameraFacts,
    Capture,
    NodeNames,
    parse_metadata,
    read_capture,
    with_metadata,
)
from executions.tests.n8n_documents import created, ended, item, run, waiting, webhook_item, workflow

METADATA = {"device_id": "node", "camera_id": "cam1", "environment": {"capture_time_utc": "2026-02-19T10:19:06Z"}}
IN_FILE = {"id": "filesystem-v2:workflows/w/x", "data": "filesystem-v2", "fileName": "a.jpg", "mimeType": "image/jpeg"}
IMAGE = BinaryRef("filesystem", None, "filesystem-v2:workflows/w/x", "a.jpg", "image/jpeg")
NODE_AND_CAMERA = CameraFacts(device_id="node", camera_id="cam1")


def capture(received: dict[str, Any]) -> Capture:
    return read_capture(created(received), NodeNames(), None)


def metadata_part(text: str) -> dict[str, Any]:
    return {
        "data": base64.b64encode(text.encode()).decode(),
        "mimeType": "application/json",
        "fileName": "metadata.json",
    }


@pytest.mark.parametrize("body", ["just text", {}, None, [], 7])
def test_a_body_that_says_nothing_gives_reasons(body: Any) -> None:
    found = capture(webhook_item(body))
    assert (found.image, found.metadata, found.captured_at, found.camera) == (None, None, None, CameraFacts())
    assert found.notes.keys() == {"image", "metadata", "captured_at"}


@pytest.mark.parametrize("image", [None, "", 7, [], {}, {"base64": None}])
def test_an_image_that_is_no_text_is_none(image: Any) -> None:
    found = capture(webhook_item({"image": image, "metadata": METADATA}))
    assert found.image is None
    assert "no image" in found.notes["image"]
    assert found.camera == NODE_AND_CAMERA


def test_multipart_parts_are_read() -> None:
    found = capture(webhook_item({}, image=IN_FILE, metadata=metadata_part(json.dumps(METADATA))))
    assert (found.image, found.metadata, found.camera) == (IMAGE, METADATA, NODE_AND_CAMERA)
    assert found.captured_at is not None
    assert found.notes == {}


def test_a_metadata_part_in_a_file_is_left_to_the_caller() -> None:
    part = {"id": "filesystem-v2:workflows/w/y", "data": "filesystem-v2", "mimeType": "application/json"}
    found = capture(webhook_item({}, image=IN_FILE, metadata=part))
    assert found.metadata_ref == BinaryRef("filesystem", None, "filesystem-v2:workflows/w/y", None, "application/json")
    assert (found.metadata, "metadata" in found.notes) == (None, False)
    complete = with_metadata(found, METADATA)
    assert (complete.metadata_ref, complete.metadata, complete.camera) == (None, METADATA, NODE_AND_CAMERA)
    assert complete.notes == {}


def test_parts_of_other_names_are_known_by_their_type() -> None:
    found = capture(webhook_item({}, file=IN_FILE, info=metadata_part(json.dumps(METADATA))))
    assert (found.image, found.metadata) == (IMAGE, METADATA)


@pytest.mark.parametrize("text", ["{", "[]", "", "7", "[" * 100_000])
def test_a_broken_metadata_part_is_a_reason(text: str) -> None:
    found = capture(webhook_item({}, image=IN_FILE, metadata=metadata_part(text)))
    assert (found.image, found.metadata) == (IMAGE, None)
    assert "metadata part" in found.notes["metadata"]


@pytest.mark.parametrize(
    "raw, part",
    [(b"{", "not JSON"), (b"\xff\xfe\xfa", "not JSON"), (b"[]", "no JSON object"), (b"x" * 1_000_001, "at most")],
)
def test_bytes_that_are_no_metadata_are_a_reason(raw: bytes, part: str) -> None:
    metadata, reason = parse_metadata(raw)
    assert metadata is None
    assert reason is not None and part in reason


def test_metadata_with_a_byte_order_mark_is_read() -> None:
    assert parse_metadata(b"\xef\xbb\xbf" + json.dumps(METADATA).encode()) == (METADATA, None)


def test_json_bodies_are_read_flat_and_nested() -> None:
    flat = capture(webhook_item({"image": "AAAA", **METADATA}))
    nested = capture(webhook_item({"image": "AAAA", "metadata": METADATA}))
    as_text = capture(webhook_item({"image": {"base64": "AAAA"}, "metadata": json.dumps(METADATA)}))
    for found in (flat, nested, as_text):
        assert (found.image, found.metadata) == (BinaryRef("memory", data="AAAA"), METADATA)


def test_neither_headers_nor_the_image_become_metadata() -> None:
    found = capture(webhook_item({"image": "AAAA", "imageBase64": "BBBB", "headers": {"a": "b"}, **METADATA}))
    assert found.metadata == METADATA


def test_a_mode_that_we_do_not_know_is_passed_on() -> None:
    found = capture(webhook_item({}, image=IN_FILE | {"id": "s3:bucket/x"}))
    assert found.image is not None and (found.image.mode, found.image.id) == ("s3", "s3:bucket/x")


def test_a_retry_has_the_item_among_the_results() -> None:
    received = webhook_item({}, image=IN_FILE, metadata=metadata_part(json.dumps(METADATA)))
    stack = [waiting(item({"metadata": METADATA}), "YOLO Inference", "n8n-nodes-base.httpRequest")]
    document = ended({"Webhook": [run(received)], "Metadata": [run(item({"metadata": METADATA}))]}, stack=stack)
    found = read_capture(document, NodeNames(), None)
    assert (found.image, found.metadata) == (IMAGE, METADATA)


def test_after_a_crash_the_item_is_still_on_the_stack() -> None:
    recovered = run(item({"isArtificialRecoveredEventItem": True}))
    document = ended({"Webhook": [recovered]}, {"message": "crashed"}, [waiting(webhook_item({}, image=IN_FILE))])
    assert read_capture(document, NodeNames(), None).image == IMAGE


def test_the_metadata_node_spares_the_file() -> None:
    part = {"id": "filesystem-v2:workflows/w/y", "data": "filesystem-v2", "mimeType": "application/json"}
    results = {"Webhook": [run(webhook_item({}, metadata=part))], "Metadata": [run(item({"metadata": METADATA}))]}
    found = read_capture(ended(results), NodeNames(), None)
    assert (found.metadata_ref, found.metadata) == (None, METADATA)


def test_a_webhook_of_another_name_is_known_by_its_type() -> None:
    results = {"Prepare": [run(item({"body": {}}))], "Eingang": [run(webhook_item({}, image=IN_FILE))]}
    by_type = workflow(Prepare="n8n-nodes-base.set", Eingang="n8n-nodes-base.webhook")
    assert read_capture(ended(results), NodeNames(), by_type).image == IMAGE
    assert read_capture(created(webhook_item({}, image=IN_FILE), name="Eingang"), NodeNames(), None).image == IMAGE


def test_another_trigger_is_read_before_anything_ran() -> None:
    document = created(item({"image": "AAAA", **METADATA}), name="Queue", kind="n8n-nodes-base.rabbitmqTrigger")
    found = read_capture(document, NodeNames(), None)
    assert (found.image, found.metadata) == (BinaryRef("memory", data="AAAA"), METADATA)


def test_a_failed_node_on_the_stack_is_not_taken_for_the_camera() -> None:
    stack = [waiting(item({"image": "AAAA"}), "YOLO", "n8n-nodes-base.httpRequest")]
    found = read_capture(ended({"Wait": [run(item({}))]}, {"message": "x"}, stack), NodeNames(), None)
    assert found.image is None
    assert "no webhook item" in found.notes["webhook"]


def test_metadata_of_absurd_size_is_cut_and_noted() -> None:
    found = capture(webhook_item({"image": "AAAA", "log": ["a line of text"] * 10_000, **METADATA}))
    assert found.camera.camera_id in ("cam1", None)
    assert "too large" in found.notes["metadata"]


def test_node_names_are_configuration() -> None:
    names = NodeNames.from_settings({"webhook": "Eingang", "vision": ["A", "B"]})
    assert (names.webhook, names.vision, names.detector) == (("Eingang",), ("A", "B"), ("YOLO Inference", "YOLO"))
    with pytest.raises(ValueError, match="no role 'webhok'"):
        NodeNames.from_settings({"webhok": ["Webhook"]})
