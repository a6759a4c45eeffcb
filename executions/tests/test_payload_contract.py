"""The structured contract: what complies is taken at its word, what does not is refused with reasons."""

import copy
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from executions.n8n.payload import Detection, NodeNames, Outcome, TelegramOutcome, contract, read_outcome
from executions.tests.n8n_documents import ended, failed_run, item, run

MINIMAL: dict[str, Any] = {
    "execution_id": 7,
    "timestamp": "2026-02-19T10:19:06.123Z",
    "camera": {"id": "cam1", "device_id": "sai-cam-node-01"},
    "image": {"binary": "image"},
    "analysis": {"risk_level": "high"},
}
BOX = {"class": "smoke", "confidence": 0.7, "bbox": {"x1": 192, "y1": 108, "x2": 384, "y2": 216}}
DETECTOR = {"detections": [], "has_fire": False, "has_smoke": False, "version": "v1", "alert_level": "none"}


def changed(path: str, value: Any) -> dict[str, Any]:
    said = copy.deepcopy(MINIMAL)
    *parents, last = path.split(".")
    inner = said
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = value
    return said


def read(said: Any, **results: Any) -> Outcome:
    document = ended({**results, "Format SAI Output": [run(item(said))]})
    return read_outcome(document, NodeNames(), None, status="success", image_size=None)


def test_the_schema_is_valid_itself() -> None:
    Draft202012Validator.check_schema(json.loads(contract.SCHEMA_PATH.read_text("utf-8")))


@pytest.mark.parametrize("said", [None, "text", [], {}, 7])
def test_anything_else_does_not_comply(said: Any) -> None:
    assert contract.errors(said)


@pytest.mark.parametrize("key", ["execution_id", "timestamp", "camera", "image", "analysis"])
def test_what_is_required_is_missed_by_name(key: str) -> None:
    said = {name: value for name, value in MINIMAL.items() if name != key}
    assert contract.errors(said) == (f"The output lacks {key}.",)


@pytest.mark.parametrize(
    "path, value, sentence",
    [
        ("execution_id", "7", "execution_id is not of type"),
        ("timestamp", "yesterday", "timestamp is no date and time"),
        ("timestamp", "2026-02-19T10:19:06", "timestamp is no date and time"),
        ("camera", {"id": "cam1"}, "camera breaks the rule 'anyOf'"),
        ("camera.location", {"lat": 91, "lng": 0}, "camera.location.lat is above 90"),
        ("image", {"format": "jpeg"}, "image breaks the rule 'anyOf'"),
        ("image.format", "gif", "image.format is none of"),
        ("analysis", {}, "analysis breaks the rule 'minProperties'"),
        ("analysis.risk_level", "HIGH", "analysis.risk_level is none of"),
        ("analysis.confidence", 1.1, "analysis.confidence is above 1"),
        ("analysis.detections", {"smoke": "yes"}, "analysis.detections breaks the rule 'oneOf'"),
        ("analysis.detections", [{"class": "smoke"}], "analysis.detections breaks the rule 'oneOf'"),
        ("notifications", {"telegram": {}}, "notifications.telegram lacks sent"),
    ],
)
def test_what_breaks_a_rule_is_named(path: str, value: Any, sentence: str) -> None:
    (error,) = contract.errors(changed(path, value))
    assert error.startswith(sentence)


def test_reasons_never_repeat_what_was_sent() -> None:
    assert "AAAA" not in " ".join(contract.errors(changed("image.format", "AAAA" * 1000)))


@pytest.mark.parametrize(
    "path, value",
    [
        ("camera", {"id": "CAM_NODE001_01", "node_id": "NODE_001", "location": {"lat": -31.2, "lng": -64.4}}),
        ("image", {"base64": "AAAA", "format": "jpeg", "size_bytes": 3, "width": 1920, "height": 1080}),
        ("analysis.detections", {"smoke": True, "flame": False}),
        ("analysis.detections", []),
        ("analysis.detections", [BOX, {"class": "fire", "bbox": {"x": 1, "y": 2, "width": 3, "height": 4}}]),
        ("notifications", {"telegram": {"sent": True, "message_id": 7, "chat_id": -100}}),
        ("something_of_your_own", {"a": 1}),
    ],
)
def test_what_keeps_the_rules_complies(path: str, value: Any) -> None:
    assert contract.errors(changed(path, value)) == ()


def test_a_complying_output_is_taken_at_its_word() -> None:
    said = changed("analysis", {"risk_level": "low", "confidence": 0.3, "model": "m", "detections": [BOX]})
    said["image"] |= {"width": 1920, "height": 1080}
    said["notifications"] = {"telegram": {"sent": False, "error": "chat not found"}}
    outcome = read(said)
    assert (outcome.contract, outcome.contract_errors) == ("structured", ())
    assert outcome.inference is not None
    assert outcome.inference.detections == (Detection("smoke", 0.7, (0.1, 0.1, 0.1, 0.1)),)
    assert (outcome.inference.risk_level, outcome.inference.confidence_score) == ("low", 0.3)
    assert outcome.notification == TelegramOutcome(False, error="chat not found")


def test_its_booleans_are_flags_and_flame_is_fire() -> None:
    outcome = read(changed("analysis.detections", {"flame": True, "smoke": False, "people": True}))
    assert outcome.inference is not None
    assert outcome.inference.flags == {"fire": True, "smoke": False, "people": True}
    assert outcome.inference.detections is None


def test_what_it_leaves_out_is_taken_from_the_other_nodes() -> None:
    vision = {"model": "qwen", "response": "Risk level: none", "done": True}
    outcome = read(MINIMAL, YOLO=[run(item(DETECTOR))], Ollama=[run(item(vision))])
    assert outcome.contract == "structured"
    assert outcome.inference is not None
    assert (outcome.inference.risk_level, outcome.inference.detections) == ("high", ())
    assert (outcome.inference.model_version, outcome.inference.raw_response) == ("v1", "Risk level: none")
    assert outcome.inference.model_outputs is not None
    assert outcome.inference.model_outputs.keys() == {"detector", "vision"}


def test_an_output_that_does_not_comply_is_refused_and_the_others_are_read() -> None:
    outcome = read(changed("analysis.confidence", 7), YOLO=[run(item(DETECTOR))])
    assert outcome.contract == "by_name"
    assert outcome.contract_errors == ("analysis.confidence is above 1.",)
    assert outcome.inference is not None and outcome.inference.risk_level is None


def test_an_output_node_that_failed_says_so() -> None:
    document = ended({"Format SAI Output": [failed_run("x is undefined")]}, {"message": "x is undefined"})
    outcome = read_outcome(document, NodeNames(), None, status="error", image_size=None)
    assert outcome.contract_errors == ("Format SAI Output failed: x is undefined",)
    assert outcome.contract is None
