"""What models and the notification step said, as values that fit the dashboard's tables."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

Bbox = tuple[float, float, float, float]
"""x, y, width, height as fractions of the image, 0 to 1, from the top left."""


@dataclass(frozen=True)
class Detection:
    """One box. `bbox` is None when the box's own image size is unknown or the box makes no sense."""

    class_name: str
    confidence: float | None
    bbox: Bbox | None

    def as_json(self) -> dict[str, Any]:
        """The form of `sai_inference_results.detections`."""
        return {
            "class": self.class_name,
            "confidence": self.confidence,
            "bbox": None if self.bbox is None else list(self.bbox),
        }


@dataclass(frozen=True)
class Inference:
    """What the models answered; every field is None when none of them said it.

    `model_version` is the detector's weights, `model_name` the model that its answer names, else the vision model's.
    `detections` is empty when the detector answered and found nothing, None when it did not answer.
    `confidence_score` is the contract's, else the highest of the detector's boxes; never the vision model's own.
    """

    model_name: str | None = None
    model_version: str | None = None
    inference_timestamp: datetime | None = None
    processing_time_ms: float | None = None
    detections: tuple[Detection, ...] | None = None
    risk_level: str | None = None
    alert_level: str | None = None
    confidence_score: float | None = None
    flags: dict[str, bool] | None = None
    raw_response: str | None = None
    model_outputs: dict[str, Any] | None = None

    @cached_property
    def raw_response_hash(self) -> str | None:
        """SHA-256 of the raw response, hexadecimal."""
        return None if self.raw_response is None else sha256(self.raw_response.encode()).hexdigest()


@dataclass(frozen=True)
class TelegramOutcome:
    """What became of the message. `sent` is None when the step ran but left no answer."""

    sent: bool | None
    message_id: int | None = None
    chat_id: str | None = None
    sent_at: datetime | None = None
    error: str | None = None
