"""What the services that the workflow calls answer: detector, vision model, Telegram."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Literal
from uuid import UUID

Json = dict[str, Any]

SMOKE_PROSE = (
    "There is a visible plume of grey smoke rising from the forested slope at the right of the image. "
    "Risk level: HIGH. Confidence: 0.82. Recommended action: notify the local fire brigade."
)
NOTHING_PROSE = (
    "No smoke or fire is visible. Risk level: none. The scene shows a clear mountain landscape 🏔 without anomalies."
)
FENCED_JSON = (
    '```json\n{"risk_level": "high", "confidence": 0.82, "smoke": true, "fire": false, '
    '"description": "Columna de humo gris en la ladera árida"}\n```'
)
TRUNCATED_JSON = '{"risk_level": "medium", "confid'


@dataclass(frozen=True, slots=True)
class Box:
    """One detection: `bbox` is x, y, width, height as fractions of the image, origin top left."""

    class_name: Literal["smoke", "fire"]
    confidence: float
    bbox: tuple[float, float, float, float]

    def pixels(self, width: int, height: int) -> Json:
        """The box as the detector states it: corners in pixels of a frame of `width` by `height`."""
        x, y, w, h = self.bbox
        corners = {"x1": x * width, "y1": y * height, "x2": (x + w) * width, "y2": (y + h) * height}
        return {name: _number(value) for name, value in corners.items()}


def alert_level(boxes: Sequence[Box]) -> str:
    """The level that the inference service states for these boxes."""
    if any(box.class_name == "fire" and box.confidence > 0.6 for box in boxes):
        return "critical"
    top = max((box.confidence for box in boxes), default=0.0)
    return "high" if top >= 0.7 else "medium" if top >= 0.5 else "low" if boxes else "none"


def vision_text(boxes: Sequence[Box]) -> str:
    """What a vision model says of a frame with these boxes, its risk level labelled."""
    largest = max(boxes, key=lambda box: box.bbox[2] * box.bbox[3])
    middle = largest.bbox[0] + largest.bbox[2] / 2
    place = "left" if middle < 0.4 else "right" if middle > 0.6 else "centre"
    plume = "thin thread" if largest.bbox[3] < 0.15 else "plume" if largest.bbox[3] < 0.28 else "dense column"
    flames = " with flames at its foot" if any(box.class_name == "fire" for box in boxes) else ""
    level, confidence = alert_level(boxes), max(box.confidence for box in boxes)
    return (
        f"A {plume} of grey smoke{flames} rises from the slope at the {place} of the image. "
        f"Risk level: {level.upper()}. Confidence: {confidence:.2f}."
    )


def detector_answer(boxes: Sequence[Box], image: bytes, size: tuple[int, int], at: datetime, random: Random) -> Json:
    """The answer of the inference service, boxes in pixels of a frame of `size`."""
    scores = {name: [box.confidence for box in boxes if box.class_name == name] for name in ("fire", "smoke")}
    digest = hashlib.sha256(image).hexdigest()
    return {
        "request_id": str(UUID(int=random.getrandbits(128), version=4)),
        "timestamp": at.replace(tzinfo=None).isoformat(timespec="microseconds"),
        "processing_time_ms": round(random.uniform(42, 68), 2),
        "image_size": {"width": size[0], "height": size[1]},
        "detections": [_detection(box, size) for box in boxes],
        "detection_count": len(boxes),
        "has_fire": bool(scores["fire"]),
        "has_smoke": bool(scores["smoke"]),
        "confidence_scores": {name: _number(sum(found) / len(found)) if found else 0 for name, found in scores.items()},
        "image_hash": digest,
        "image_path": f"{digest[:2]}/{digest[2:4]}/{digest}.jpg",
        "annotated_image": None,
        "alert_level": alert_level(boxes),
        "active_classes": sorted({box.class_name for box in boxes}),
        "version": "SAINet_v10.0_e143.pt",
        "metadata": {},
    }


def of_generation(answer: Json, generation: str, camera_id: str) -> Json:
    """The same answer as an older inference service states it: first, second, or third (unchanged)."""
    if generation == "third":
        return answer
    lacking = ("image_hash", "image_path") if generation == "first" else ("alert_level", "active_classes")
    older = {name: value for name, value in answer.items() if name not in lacking}
    return older | ({"detection_mode": "smoke_only", "camera_id": camera_id} if generation == "first" else {})


def vision_answer(response: str, at: datetime) -> Json:
    """The answer of Ollama's /api/generate; durations in nanoseconds."""
    return {
        "model": "qwen2.5vl:7b",
        "created_at": at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z",
        "response": response,
        "done": True,
        "done_reason": "stop",
        "context": [151644, 8948, 198],
        "total_duration": 5043500667,
        "load_duration": 5025959,
        "prompt_eval_count": 1290,
        "prompt_eval_duration": 325953000,
        "eval_count": 90,
        "eval_duration": 4709213000,
    }


def telegram_answer(message_id: int, at: datetime, *, text: str = "", caption: str = "") -> Json:
    """The answer of Telegram's Bot API to sendMessage (with `text`) or sendPhoto (with `caption`)."""
    result: Json = {
        "message_id": message_id,
        "from": {"id": 7000000001, "is_bot": True, "first_name": "SAI Alertas", "username": "sai_alert_stub_bot"},
        "chat": {"id": -1001234567890, "title": "SAI Alertas", "type": "supergroup"},
        "date": int(at.timestamp()),
    }
    return {"ok": True, "result": result | ({"text": text} if text else _photo(caption))}


def _photo(caption: str) -> Json:
    sizes = (("AgACAgEAAxkDAAI", "AQADzK4xG", 1393, 90, 51), ("AgACAgEAAxkDAAJ", "AQADzK4xH", 96222, 1280, 720))
    names = ("file_id", "file_unique_id", "file_size", "width", "height")
    return {"photo": [dict(zip(names, size, strict=True)) for size in sizes], "caption": caption}


def _detection(box: Box, size: tuple[int, int]) -> Json:
    return {
        "class_name": box.class_name,
        "class_id": 0 if box.class_name == "smoke" else 1,
        "confidence": box.confidence,
        "bbox": box.pixels(*size),
        "metadata": {},
    }


def _number(value: float) -> float | int:
    # JavaScript writes 3 for 3.0.
    rounded = round(value, 10)
    return int(rounded) if rounded == int(rounded) else rounded
