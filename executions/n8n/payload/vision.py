"""The vision model's answer: text that may be prose, JSON, JSON in a Markdown fence, or JSON that was cut off."""

import json
import re
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from executions.n8n.payload import bounded, values
from executions.n8n.payload.results import Inference

LEVELS = {
    **{level: level for level in ("critical", "high", "medium", "low", "none")},
    **{"crítico": "critical", "critico": "critical", "alto": "high", "medio": "medium", "bajo": "low"},
    **{"ninguno": "none", "crítica": "critical", "alta": "high", "media": "medium", "baja": "low"},
}
# A label, a separator, one word, and nothing behind it that makes the word a choice ("low/medium", "low to medium").
LABELLED = re.compile(
    r"\b(?:risk[ _-]?level|nivel[ _]de[ _]riesgo)\b[\"'`*_ \t]*[:=][\"'`*_ \t]*"
    r"(?P<level>[^\W\d_]+)(?P<choice>[\"'`*_]*\s*(?:/|\||-|\b(?:to|or|a|o)\b))?",
    re.IGNORECASE,
)
FENCE = re.compile(r"```(?:json)?\s*(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
RISK_KEYS = ("risk_level", "riskLevel", "risk", "nivel_de_riesgo")
FLAG_KEYS = {
    "smoke": ("smoke", "has_smoke", "smoke_detected", "humo"),
    "fire": ("fire", "has_fire", "fire_detected", "flame", "flames", "fuego"),
}
# The prompt's tokens are of no use to anyone, and the response has a column of its own.
UNKEPT_KEYS = frozenset({"context", "response", "message"})


def is_answer(said: Any) -> bool:
    """Whether an item has the shape of Ollama's answer, to `generate` or to `chat`."""
    return isinstance(said, dict) and _response(said) is not None and ("model" in said or "done" in said)


def read_vision(said: dict[str, Any]) -> tuple[Inference, dict[str, str]]:
    """The answer, and notes on how it was read. Prose never sets a flag."""
    notes: dict[str, str] = {}
    response = bounded.response(_response(said) or "", notes)
    stated = read_json(response, notes)
    kept, _ = bounded.storable(said, UNKEPT_KEYS)
    outputs: dict[str, Any] = {"vision": kept}
    if stated:
        outputs["vision"] = kept | {"stated": bounded.storable(stated)[0]}
    inference = Inference(
        model_name=values.text(said.get("model"), 200),
        inference_timestamp=values.instant(said.get("created_at"), UTC),
        processing_time_ms=_milliseconds(said.get("total_duration")),
        risk_level=_risk_level(stated, response, notes),
        flags=read_flags(stated),
        raw_response=response,
        model_outputs=outputs,
    )
    return inference, notes


def read_flags(stated: dict[str, Any]) -> dict[str, bool] | None:
    """Structured booleans about smoke and fire; words such as "yes" are not taken for one."""
    flags = {}
    for name, keys in FLAG_KEYS.items():
        said = [stated[key] for key in keys if isinstance(stated.get(key), bool)]
        if said:
            flags[name] = any(said)
    return flags or None


def level(word: Any) -> str | None:
    """A risk level in English or Spanish, in any case."""
    return LEVELS.get(word.strip().lower()) if isinstance(word, str) else None


def read_json(response: str, notes: dict[str, str]) -> dict[str, Any]:
    """The object that an answer is or contains in a fence; of a cut-off one what was complete. Else empty."""
    for candidate in _candidates(response):
        try:
            said = json.loads(candidate, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            said = complete_part(candidate)
            if said:
                notes["raw_response"] = "The model's JSON is cut off or broken; what was complete was read."
        if isinstance(said, dict) and said:
            return said
    return {}


def complete_part(text: str) -> dict[str, Any]:
    """The leading pairs of a broken JSON object whose values are complete scalars, lists or objects."""
    decoder = json.JSONDecoder(parse_constant=lambda _: None)
    said: dict[str, Any] = {}
    position = 1
    while (pair := _PAIR.match(text, position)) is not None:
        try:
            key = json.loads(pair["key"])
            value, position = decoder.raw_decode(text, pair.end())
        except (ValueError, RecursionError):
            break
        # A number at the very end may go on: 0.8 was perhaps 0.82.
        if position >= len(text) and not isinstance(value, str | dict | list):
            break
        said[key] = value
    return said


_PAIR = re.compile(r'[\s,]*(?P<key>"(?:[^"\\]|\\.)*")\s*:\s*')


def _candidates(response: str) -> Iterator[str]:
    stripped = response.strip()
    if stripped.startswith("{"):
        yield stripped
    for fenced in FENCE.finditer(response):
        if fenced[1].lstrip().startswith("{"):
            yield fenced[1].strip()


def _risk_level(stated: dict[str, Any], response: str, notes: dict[str, str]) -> str | None:
    """The level of the structured answer, else of a labelled statement in the text, if all statements agree."""
    for key in RISK_KEYS:
        if isinstance(stated.get(key), str):
            if (found := level(stated[key])) is None:
                notes["risk_level"] = f"The model's risk level {stated[key][:40]!r} is not a known one."
            return found
    matches = list(LABELLED.finditer(response))
    found_levels = {level(match["level"]) if not match["choice"] else None for match in matches}
    if len(found_levels) == 1 and None not in found_levels:
        notes["risk_level"] = "Taken from a labelled statement in the model's text."
        return found_levels.pop()
    if matches:
        notes["risk_level"] = "The model's text labels a risk level, but not clearly one of the known ones."
    return None


def _response(said: dict[str, Any]) -> str | None:
    message = said.get("message")
    found = said.get("response", message.get("content") if isinstance(message, dict) else None)
    return found if isinstance(found, str) else None


def _milliseconds(nanoseconds: Any) -> float | None:
    found = values.number(nanoseconds, 0, 10**14)
    return None if found is None else round(found / 1_000_000, 3)
