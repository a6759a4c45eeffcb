"""Any JSON gives a result that the database accepts, or MalformedData; never another exception."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executions.n8n.flatted import MalformedData, decode, encode
from executions.n8n.payload import NodeNames, parse_metadata, read_capture, read_outcome, with_metadata
from executions.tests.n8n_documents import created, ended, item, run, webhook_item
from executions.tests.samples import Sample, all_samples

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["0", "1", "high", "2026-02-19T10:19:06Z", "Risk level: HIGH", '{"smoke": true', 10**400, 2**63, 1e308]
    )
)
# fmt: off
WORDS = [
    "json", "binary", "body", "image", "metadata", "data", "main", "error", "message", "description", "node",
    "name", "type", "detections", "class_name", "confidence", "bbox", "x1", "y1", "x2", "y2", "width",
    "height", "image_size", "response", "model", "has_fire", "has_smoke", "alert_level", "ok", "result",
    "message_id", "chat", "id", "date", "camera_id", "device_id", "gps", "lat", "lng", "timestamp",
    "environment", "capture_time_utc", "analysis", "camera", "execution_id", "notifications", "telegram",
    "sent", "risk_level", "isArtificialRecoveredEventItem", "base64", "fileName",
]
# fmt: on
KEYS = st.text(max_size=5) | st.sampled_from(WORDS)
ANY = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=40
)
NODES = ["Webhook", "Metadata", "YOLO Inference", "YOLO", "Ollama", "Telegram", "Format SAI Output", "Other"]
TYPES = {"nodes": [{"name": "Other", "type": "n8n-nodes-base.httpRequest"}]}
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100)


def read_everything(text: str, status: str = "error") -> None:
    """Read as the workers do, and check that the results are storable."""
    try:
        document = decode(text)
        capture = read_capture(document, NodeNames(), TYPES)
        outcome = read_outcome(document, NodeNames(), TYPES, status=status, image_size=(1920, 1080))
    except MalformedData:
        return
    found = asdict(capture) | {"image": None, "metadata_ref": None}
    check_storable(found)
    check_storable(asdict(outcome))
    if outcome.inference is not None:
        assert outcome.inference.confidence_score is None or 0 <= outcome.inference.confidence_score <= 1
        for detection in outcome.inference.detections or ():
            x, y, width, height = detection.bbox or (0, 0, 1, 1)
            assert 0 <= x <= 1 and 0 <= y <= 1 and 0 <= width <= 1 and 0 <= height <= 1


def check_storable(found: dict[str, Any]) -> None:
    written = json.dumps(found, default=datetime.isoformat, ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in written
    written.encode()
    assert len(written) < 1_000_000


@given(ANY)
@QUIET
def test_any_json(value: Any) -> None:
    read_everything(json.dumps(value))


@given(ANY)
@QUIET
def test_any_value_flattened(value: Any) -> None:
    read_everything(encode(value))


@given(ANY, st.sampled_from([lambda v: webhook_item(v), lambda v: webhook_item({}, image=v, metadata=v), item]))
@QUIET
def test_anything_that_a_camera_sends(value: Any, received: Callable[[Any], dict[str, Any]]) -> None:
    document = created(received(value))
    capture = read_capture(document, NodeNames(), None)
    check_storable(asdict(capture) | {"image": None, "metadata_ref": None})
    if isinstance(value, dict):
        check_storable(asdict(with_metadata(capture, value)) | {"image": None})


@given(st.dictionaries(st.sampled_from(NODES), ANY | st.builds(lambda v: [run(item(v))], ANY)), ANY)
@QUIET
def test_anything_that_a_node_answers(results: dict[str, Any], error: Any) -> None:
    read_everything(encode({"resultData": {"runData": results, "error": error}}))
    document = ended({name: [run(item(value))] for name, value in results.items()}, error)
    outcome = read_outcome(document, NodeNames(), TYPES, status="success", image_size=None)
    check_storable(asdict(outcome))


@given(st.binary() | st.builds(lambda v: json.dumps(v).encode(), ANY))
@QUIET
def test_any_bytes_as_metadata(raw: bytes) -> None:
    metadata, reason = parse_metadata(raw)
    assert (metadata is None) != (reason is None)


@given(st.data(), st.sampled_from([one for one in all_samples() if len(one.text) < 9_000]))
@QUIET
def test_recorded_data_with_entries_replaced(data: st.DataObject, one: Sample) -> None:
    entries = json.loads(one.text)
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(entries) - 1))
        reference = st.integers(0, len(entries)).map(str)
        entries[position] = data.draw(
            ANY | st.lists(reference, max_size=3) | st.dictionaries(KEYS, reference, max_size=3)
        )
    read_everything(json.dumps(entries), one.status)


@given(st.data(), st.sampled_from([one for one in all_samples() if len(one.text) < 9_000]))
@QUIET
def test_recorded_data_cut_off_or_damaged(data: st.DataObject, one: Sample) -> None:
    start = data.draw(st.integers(0, len(one.text)))
    end = data.draw(st.integers(start, min(start + 20, len(one.text))))
    read_everything(one.text[:start] + data.draw(st.text(max_size=5)) + one.text[end:], one.status)
    read_everything(one.text[:start], one.status)


def test_numbers_that_are_none_are_no_trouble() -> None:
    read_everything(
        encode({"resultData": {"runData": {"YOLO": [run(item({"detections": [{"confidence": math.nan}]}))]}}})
    )
