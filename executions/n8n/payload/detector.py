"""The detector's answer: boxes in the pixels of the frame that it saw, and what it says beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from executions.n8n.payload import bounded, values
from executions.n8n.payload.results import Bbox, Detection, Inference

TELLING_KEYS = ("has_fire", "has_smoke", "detection_count", "alert_level")
NAME_KEYS = ("class_name", "class", "label", "name")
# Not kept: copies of the image, and where the service keeps its own.
UNKEPT_KEYS = frozenset({"annotated_image", "image_path"})
MAX_PIXELS = 1_000_000
MAX_DETECTIONS = 1_000
Size = tuple[float, float]


@dataclass(frozen=True)
class Corners:
    """A box in pixels: left, top, right, bottom."""

    x1: float
    y1: float
    x2: float
    y2: float

    def fits(self, size: Size) -> bool:
        return self.x1 >= 0 and self.y1 >= 0 and self.x2 <= size[0] and self.y2 <= size[1]

    def within(self, size: Size) -> Bbox | None:
        """As fractions, clamped to the image; None when nothing of the box lies inside it."""
        x1, x2 = (min(max(value / size[0], 0.0), 1.0) for value in (self.x1, self.x2))
        y1, y2 = (min(max(value / size[1], 0.0), 1.0) for value in (self.y1, self.y2))
        if x2 <= x1 or y2 <= y1:
            return None
        return round(x1, 6), round(y1, 6), round(x2 - x1, 6), round(y2 - y1, 6)


def is_answer(said: Any) -> bool:
    """Whether an item has the shape of a detector's answer, of any generation."""
    return isinstance(said, dict) and (
        isinstance(said.get("detections"), list)
        or sum(isinstance(said.get(key), bool | int | str) for key in TELLING_KEYS) >= 2
    )


def read_detector(said: dict[str, Any], image_size: tuple[int, int] | None) -> tuple[Inference, dict[str, str]]:
    """The answer, and notes on what it lacks. `image_size` is the stored image's, for answers that state no size."""
    notes: dict[str, str] = {}
    detections = read_detections(said.get("detections"), size_of(said.get("image_size")), image_size, notes)
    kept, is_cut = bounded.storable(said, UNKEPT_KEYS)
    if is_cut:
        notes["model_outputs"] = "The detector's answer is too large; a part of it was left out."
    inference = Inference(
        model_name=_first_text(said, ("model", "model_name")),
        model_version=_first_text(said, ("version", "model_version")),
        inference_timestamp=values.instant(said.get("timestamp"), UTC),
        processing_time_ms=values.number(said.get("processing_time_ms"), 0, 10**8),
        detections=detections,
        alert_level=values.text(said.get("alert_level"), 20),
        confidence_score=highest(detections),
        flags=_flags(said),
        model_outputs={"detector": kept},
    )
    return inference, notes


def read_detections(
    said: Any, stated: Size | None, stored: tuple[int, int] | None, notes: dict[str, str]
) -> tuple[Detection, ...] | None:
    """The boxes of an answer as fractions of its image; None when it has no list. Adds to `notes`."""
    if not isinstance(said, list):
        notes["detections"] = "The detector's answer has no list of detections."
        return None
    named = [(name, entry) for entry in said[:MAX_DETECTIONS] if (name := _class_name(entry)) is not None]
    if len(named) < len(said):
        notes["detections"] = f"{len(said) - len(named)} of {len(said)} detections have no class and were left out."
    corners = [_corners(entry.get("bbox")) for _, entry in named]
    size = stated or _assumed_size([box for box in corners if box], stored, notes)
    detections = tuple(
        Detection(name, values.number(entry.get("confidence"), 0, 1), box.within(size) if box and size else None)
        for (name, entry), box in zip(named, corners, strict=True)
    )
    _note_gaps(detections, size, notes)
    return detections


def highest(detections: Sequence[Detection] | None) -> float | None:
    """The highest confidence among the boxes; None when no box states one."""
    return max((box.confidence for box in detections or () if box.confidence is not None), default=None)


def size_of(said: Any) -> Size | None:
    """Width and height in pixels."""
    if not isinstance(said, dict):
        return None
    width, height = (values.number(said.get(key), 1, MAX_PIXELS) for key in ("width", "height"))
    return None if width is None or height is None else (width, height)


def _note_gaps(detections: Sequence[Detection], size: Size | None, notes: dict[str, str]) -> None:
    if size is not None and (missing := sum(box.bbox is None for box in detections)):
        notes["bbox"] = f"{missing} of {len(detections)} detections have no box inside the image."
    if missing := sum(box.confidence is None for box in detections):
        notes["confidence"] = f"{missing} of {len(detections)} detections state no confidence between 0 and 1."


def _assumed_size(boxes: Sequence[Corners], stored: tuple[int, int] | None, notes: dict[str, str]) -> Size | None:
    """The stored image's size, if all boxes fit into it; the detector may have seen a frame of another size."""
    if not boxes:
        return None
    looks_like_fractions = all(max(box.x2, box.y2) <= 1 for box in boxes)
    if stored is None or looks_like_fractions or not all(box.fits(stored) for box in boxes):
        notes["image_size"] = "The detector did not state the size of its image, so its boxes cannot be placed."
        return None
    notes["image_size"] = "The detector did not state the size of its image; that of the stored image was assumed."
    return float(stored[0]), float(stored[1])


def _class_name(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None
    named = (values.text(entry.get(key), 100) for key in NAME_KEYS)
    return next((name.lower() for name in named if name), None)


def _corners(said: Any) -> Corners | None:
    """A box out of `x1 y1 x2 y2`, or of `x y width height`; None when it is incomplete, reversed or without end."""
    if not isinstance(said, dict):
        return None
    x1, y1, x2, y2, x, y, width, height = (
        values.number(said.get(key), -MAX_PIXELS, MAX_PIXELS)
        for key in ("x1", "y1", "x2", "y2", "x", "y", "width", "height")
    )
    if x is not None and y is not None and width is not None and height is not None:
        x1, y1, x2, y2 = x, y, x + width, y + height
    if x1 is None or y1 is None or x2 is None or y2 is None or x2 <= x1 or y2 <= y1:
        return None
    return Corners(x1, y1, x2, y2)


def _flags(said: dict[str, Any]) -> dict[str, bool] | None:
    stated = {name: said.get(f"has_{name}") for name in ("smoke", "fire")}
    return {name: value for name, value in stated.items() if isinstance(value, bool)} or None


def _first_text(said: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((found for key in keys if (found := values.text(said.get(key), 200))), None)
