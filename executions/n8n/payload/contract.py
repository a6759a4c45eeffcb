"""The structured contract: the output of the node "Format SAI Output", checked against docs/n8n-output-schema.json."""

import json
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from executions.n8n.payload import bounded, detector, values
from executions.n8n.payload.results import Inference, TelegramOutcome

SCHEMA_PATH = Path(__file__).resolve().parents[3] / "docs" / "n8n-output-schema.json"
MAX_ERRORS = 10
BIGINT = 2**63 - 1


@cache
def validator() -> Draft202012Validator:
    """The compiled schema. Raises OSError when the file was not installed with the project."""
    return Draft202012Validator(json.loads(SCHEMA_PATH.read_text(encoding="utf-8")))


def errors(said: Any) -> tuple[str, ...]:
    """Why an output does not comply, a sentence each; empty when it does. Never repeats the output's own values."""
    found = [_sentence(error) for error in validator().iter_errors(said)]
    if not found and values.instant(said["timestamp"], None) is None:
        found.append("timestamp is no date and time with a zone.")
    return tuple(sorted(dict.fromkeys(found))[:MAX_ERRORS])


def read_inference(said: dict[str, Any], stored: tuple[int, int] | None) -> tuple[Inference, dict[str, str]]:
    """What a complying output says of the analysis, and notes on its boxes. `stored`: size of the stored image."""
    analysis = said["analysis"]
    detections = analysis.get("detections")
    notes: dict[str, str] = {}
    boxes = None
    if isinstance(detections, list):
        size = detector.size_of(analysis.get("image_size")) or detector.size_of(said["image"])
        boxes = detector.read_detections(detections, size, stored, notes)
    raw_response = analysis.get("raw_response")
    return (
        Inference(
            model_name=values.text(analysis.get("model"), 200),
            model_version=values.text(analysis.get("model_version"), 200),
            inference_timestamp=values.instant(analysis.get("inference_timestamp"), UTC),
            processing_time_ms=values.number(analysis.get("processing_time_ms"), 0, 10**8),
            detections=boxes,
            risk_level=analysis.get("risk_level"),
            alert_level=values.text(analysis.get("alert_level"), 20),
            confidence_score=values.number(analysis.get("confidence"), 0, 1),
            flags=_flags(detections) if isinstance(detections, dict) else None,
            raw_response=None if raw_response is None else bounded.response(raw_response, notes),
        ),
        notes,
    )


def read_telegram(said: dict[str, Any]) -> TelegramOutcome | None:
    """What a complying output says of the message; None when it says nothing."""
    stated = said.get("notifications", {}).get("telegram")
    if stated is None:
        return None
    return TelegramOutcome(
        sent=stated["sent"],
        message_id=values.whole(stated.get("message_id"), 1, BIGINT),
        chat_id=values.identifier(stated.get("chat_id"), 50),
        error=values.message(stated.get("error")),
    )


def _flags(stated: dict[str, bool]) -> dict[str, bool] | None:
    """The contract calls fire "flame"; everything else keeps its name."""
    return {"fire" if name == "flame" else name: value for name, value in stated.items()} or None


def _sentence(error: ValidationError) -> str:
    """The library's own message repeats the value, which may be a whole image."""
    where = error.json_path.removeprefix("$").lstrip(".")[:100] or "The output"
    rule: Any = error.validator_value
    if error.validator == "required":
        given: Any = error.instance
        return f"{where} lacks {', '.join(name for name in rule if name not in given)}."
    expected = json.dumps(rule)[:100]
    rules = {"type": "is not of type", "enum": "is none of", "minimum": "is below", "maximum": "is above"}
    if (broken := rules.get(str(error.validator))) is not None:
        return f"{where} {broken} {expected}."
    return f"{where} breaks the rule {error.validator!r} of the schema."
