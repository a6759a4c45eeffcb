"""Foreign JSON made fit for storing: no secrets, no image bytes, nothing that PostgreSQL refuses, bounded in size."""

import json
import math
from typing import Any

from executions.n8n.flatted import clean

# Never stored, wherever they stand: request headers hold the camera's token, and n8n's token resumes an execution.
SECRET_KEYS = frozenset({"headers", "authorization", "cookie", "resumetoken", "token", "password", "api_key", "apikey"})
IMAGE_KEYS = frozenset({"image", "images", "image_base64", "image_data", "annotated_image", "base64"})
MAX_TEXT = 4_000
MAX_RESPONSE = 100_000
MAX_VALUES = 2_000
MAX_DEPTH = 12
MAX_BYTES = 65_536


def storable(value: dict[str, Any], drop: frozenset[str] = frozenset()) -> tuple[dict[str, Any], bool]:
    """A copy fit for a jsonb column without the keys in `drop`, and whether anything was left out for its size.

    An image is told from other facts of the same name by being text: `image: {brightness_avg: …}` is kept.
    """
    trimmer = _Trimmer(drop)
    copy = trimmer.trim(value, 0)
    if len(json.dumps(copy, ensure_ascii=False)) > MAX_BYTES:
        copy = {key: entry for key, entry in copy.items() if not isinstance(entry, dict | list)}
        trimmer.is_cut = True
    if len(json.dumps(copy, ensure_ascii=False)) > MAX_BYTES:
        copy = {}
    return copy, trimmer.is_cut


def response(said: str, notes: dict[str, str]) -> str:
    """A model's text, cut to a storable length; a cut is noted."""
    if len(said) > MAX_RESPONSE:
        notes["raw_response"] = f"The answer has {len(said):,} characters; the first {MAX_RESPONSE:,} were kept."
    return clean(said[:MAX_RESPONSE])


class _Trimmer:
    def __init__(self, drop: frozenset[str]) -> None:
        self._drop = drop
        self._left = MAX_VALUES
        self.is_cut = False

    def trim(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if isinstance(value, int) and abs(value) > 2**63:
            return None  # Larger than any count or id; such numbers come from broken senders.
        if not isinstance(value, dict | list):
            return value
        if depth >= MAX_DEPTH or self._left <= 0:
            self.is_cut = True
            return None
        if isinstance(value, list):
            return [self.trim(entry, depth + 1) for entry in self._first(value)]
        return {
            clean(key)[:200]: self.trim(value[key], depth + 1)
            for key in self._first([*value])
            if key not in self._drop and not _is_unwanted(key, value[key])
        }

    def _first(self, entries: list[Any]) -> list[Any]:
        room = max(self._left, 0)
        if len(entries) > room:
            self.is_cut = True
        return entries[:room]

    def _text(self, value: str) -> str | None:
        if len(value) <= MAX_TEXT:
            return clean(value)
        self.is_cut = True
        # Thousands of characters without a space are some encoded file, and a piece of that is of no use.
        return clean(value[:MAX_TEXT]) if " " in value[:MAX_TEXT] else None


def _is_unwanted(key: str, value: Any) -> bool:
    lower = key.lower()
    return lower in SECRET_KEYS or (lower in IMAGE_KEYS and (isinstance(value, str) or lower == "images"))
