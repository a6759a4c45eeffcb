"""The vision model's answer: prose, JSON, fenced JSON, JSON that was cut off."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from executions.n8n.payload.results import Inference
from executions.n8n.payload.vision import complete_part, is_answer, read_json, read_vision


def see(response: str, **others: Any) -> tuple[Inference, dict[str, str]]:
    return read_vision({"model": "qwen2.5vl:7b", "response": response, "done": True, **others})


@pytest.mark.parametrize(
    "said", [None, "text", {}, {"response": 7, "model": "m"}, {"response": "text"}, {"detections": []}]
)
def test_anything_else_is_no_answer(said: Any) -> None:
    assert not is_answer(said)


def test_an_answer_to_chat_is_one_too() -> None:
    said = {"model": "m", "message": {"role": "assistant", "content": "Risk level: low"}}
    assert is_answer(said)
    assert read_vision(said)[0].risk_level == "low"


@pytest.mark.parametrize(
    "response",
    [
        "No smoke visible.",
        "There is smoke and fire everywhere, a high risk.",
        "has_smoke: true, fire: yes",
        "The risk is high",
        "",
    ],
)
def test_prose_sets_neither_flag_nor_level(response: str) -> None:
    inference, notes = see(response)
    assert (inference.flags, inference.risk_level, inference.detections) == (None, None, None)
    assert inference.raw_response == response
    assert "risk_level" not in notes


@pytest.mark.parametrize(
    "response, level",
    [
        ("Risk level: HIGH. Confidence: 0.82.", "high"),
        ("RISK_LEVEL: critical", "critical"),
        ("**Risk Level:** Medium", "medium"),
        ("- risk-level = `low`", "low"),
        ("Nivel de riesgo: Crítico", "critical"),
        ("Risk level: none. The scene is clear.", "none"),
        ("Risk level: high.\nI repeat: risk level: HIGH", "high"),
    ],
)
def test_a_labelled_statement_gives_the_level_and_says_so(response: str, level: str) -> None:
    inference, notes = see(response)
    assert inference.risk_level == level
    assert "labelled statement" in notes["risk_level"]
    assert inference.flags is None


@pytest.mark.parametrize(
    "response",
    [
        "Risk level: low/medium/high",
        "Risk level: low to medium",
        "Risk level: low or medium",
        "Risk level: not high",
        "Risk level: elevated",
        "Risk level: high. On reflection, risk level: low.",
        "Nivel de riesgo: medio a alto",
    ],
)
def test_an_unclear_label_gives_no_level_and_says_so(response: str) -> None:
    inference, notes = see(response)
    assert inference.risk_level is None
    assert "not clearly" in notes["risk_level"]


@pytest.mark.parametrize("wrap", ["{}", "```json\n{}\n```", "Here it is:\n```\n{}\n```\nGood luck.", "  {}  "])
def test_json_is_read_bare_and_fenced(wrap: str) -> None:
    response = wrap.replace("{}", '{"risk_level": "High", "smoke": true, "fire": false, "confidence": 0.82}')
    inference, notes = see(response)
    assert notes == {}
    assert (inference.risk_level, inference.flags) == ("high", {"smoke": True, "fire": False})
    assert inference.model_outputs is not None
    assert inference.model_outputs["vision"]["stated"]["confidence"] == 0.82
    # What the model says of itself is not the detector's score.
    assert inference.confidence_score is None


@pytest.mark.parametrize("value", ["yes", "true", 1, None, 0.9])
def test_only_booleans_are_flags(value: Any) -> None:
    assert see(json.dumps({"smoke": value}))[0].flags is None


def test_an_unknown_level_is_dropped_with_a_note() -> None:
    inference, notes = see('{"risk_level": "apocalyptic"}')
    assert inference.risk_level is None
    assert "apocalyptic" in notes["risk_level"]


def test_a_cut_off_answer_gives_what_was_complete() -> None:
    inference, notes = see('{"risk_level": "medium", "confid')
    assert inference.risk_level == "medium"
    assert "cut off" in notes["raw_response"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{", {}),
        ('{"a', {}),
        ('{"a": "x', {}),
        ('{"a": "x"', {"a": "x"}),
        ('{"a": 0.8', {}),
        ('{"a": 0.8,', {"a": 0.8}),
        ('{"a": tru', {}),
        ('{"a": true, "b": [1, 2', {"a": True}),
        ('{"a": {"b": 1}, "c": ', {"a": {"b": 1}}),
        ('{"a": "x" "b": "y"}', {"a": "x", "b": "y"}),
        ('{"a": ' + "[" * 100_000, {}),
    ],
)
def test_the_complete_part_of_broken_json_is_read(text: str, expected: dict[str, Any]) -> None:
    assert complete_part(text) == expected


@pytest.mark.parametrize("response", ["[1, 2]", '"text"', "```json\nnull\n```", "```", "{" * 10_000, '{"a": ' * 10_000])
def test_json_that_is_no_object_is_prose(response: str) -> None:
    assert read_json(response, {}) == {}


def test_the_answer_itself_is_kept_with_its_hash_and_without_tokens() -> None:
    inference, _ = see(
        "text", context=[1, 2], created_at="2026-11-23T05:14:10.578339123Z", total_duration=5_043_500_667
    )
    assert inference.raw_response_hash == sha256(b"text").hexdigest()
    assert inference.inference_timestamp == datetime(2026, 11, 23, 5, 14, 10, 578339, UTC)
    assert (inference.model_name, inference.processing_time_ms) == ("qwen2.5vl:7b", 5043.501)
    assert inference.model_outputs is not None
    assert not {"context", "response"} & inference.model_outputs["vision"].keys()
