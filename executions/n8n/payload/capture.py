"""Phase 1: what the camera sent, out of the webhook item."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from executions.n8n.binary_data import BinaryRef, BinaryUnavailable, decode_base64
from executions.n8n.flatted import Document, Shallow
from executions.n8n.payload import bounded
from executions.n8n.payload.camera import CameraFacts, CaptureTime, capture_time, read_camera
from executions.n8n.payload.nodes import WEBHOOK_TYPE, NodeNames, Nodes

IMAGE_FIELDS = ("image", "image_base64", "imageBase64", "image_data", "imageData")
MAX_METADATA_BYTES = 1_000_000
# What n8n's webhook adds to an item beside the body.
ENVELOPE = frozenset({"headers", "params", "query", "webhookUrl", "executionMode"})


@dataclass(frozen=True)
class Capture:
    """What is known when an execution is created. `notes` says what is absent, and why.

    `metadata` is what the camera said of itself, fit for storing. `metadata_ref` is a part whose bytes must still be
    fetched: `parse_metadata`, then `with_metadata`. `captured_local` is a time whose zone the camera did not state.
    """

    image: BinaryRef | None = None
    metadata: dict[str, Any] | None = None
    metadata_ref: BinaryRef | None = None
    camera: CameraFacts = field(default_factory=CameraFacts)
    captured_at: datetime | None = None
    captured_at_source: str | None = None
    captured_local: datetime | None = None
    notes: dict[str, str] = field(default_factory=dict)


def read_capture(document: Document, names: NodeNames, workflow: dict[str, Any] | None) -> Capture:
    """What the camera sent; works on the first data of an execution and on every later one, as far as it is there.

    Raises MalformedData for broken references.
    """
    item = _webhook_item(document, names, workflow)
    if item is None:
        return _complete(Capture(notes={"webhook": "n8n's data holds no webhook item."}), None)
    body = _body(document, item)
    parts = dict(_parts(document, document.get("binary", start=item)))
    image = _image_part(parts) or _image_in(body)
    capture = Capture(image=image, notes={} if image else {"image": "The camera sent no image."})
    said, capture = _metadata(document, names, workflow, body, parts, capture)
    return _complete(capture, said)


def parse_metadata(raw: bytes) -> tuple[dict[str, Any] | None, str | None]:
    """The object in a metadata part's bytes, or None and the reason."""
    if len(raw) > MAX_METADATA_BYTES:
        return None, f"The metadata part has {len(raw):,} bytes; at most {MAX_METADATA_BYTES:,} are read."
    try:
        said = json.loads(raw, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None, "The metadata part is not JSON."
    return (said, None) if isinstance(said, dict) else (None, "The metadata part is no JSON object.")


def with_metadata(capture: Capture, metadata: dict[str, Any]) -> Capture:
    """The capture completed by metadata that was fetched; what it said before stays unless said again."""
    notes = {key: note for key, note in capture.notes.items() if key not in ("metadata", "camera", "captured_at")}
    return _complete(replace(capture, metadata_ref=None, notes=notes), {**(capture.metadata or {}), **metadata})


def _complete(capture: Capture, said: dict[str, Any] | None) -> Capture:
    """The capture with everything that follows from what the camera said of itself."""
    notes = dict(capture.notes)
    metadata, is_cut = bounded.storable(said or {})
    if is_cut:
        notes["metadata"] = "The camera's metadata is too large; a part of it was left out."
    elif not metadata and "webhook" not in notes and capture.metadata_ref is None:
        notes.setdefault("metadata", "The camera sent no metadata.")
    camera, camera_notes = read_camera(metadata)
    time, time_notes = capture_time(metadata, capture.image.file_name if capture.image else None)
    return _with_time(
        replace(capture, metadata=metadata or None, camera=camera, notes=notes | camera_notes | time_notes), time
    )


def _with_time(capture: Capture, time: CaptureTime) -> Capture:
    return replace(capture, captured_at=time.at, captured_at_source=time.source, captured_local=time.local)


def _webhook_item(document: Document, names: NodeNames, workflow: dict[str, Any] | None) -> Shallow:
    """The item as the webhook received it: in its result, or waiting on the stack, before it ran or after a crash."""
    nodes = Nodes(document, workflow)
    results = [*nodes.by_name(names.webhook), *nodes.by_type(lambda kind: kind == WEBHOOK_TYPE)]
    for result in results:
        if result.items:
            return result.items[0]
    waiting = list(document.elements(document.get("executionData", "nodeExecutionStack")))[:100]
    for entry in waiting:
        node = document.get("node", start=entry)
        name, kind = document.get("name", start=node), document.get("type", start=node)
        if name in names.webhook or kind == WEBHOOK_TYPE:
            return _first_item(document, entry)
    # Nothing ran yet, so what waits first is the trigger, of whatever type.
    return _first_item(document, waiting[0]) if waiting and not document.get("resultData", "runData") else None


def _first_item(document: Document, entry: Shallow) -> Shallow:
    item = document.get("data", "main", 0, 0, start=entry)
    return item if isinstance(item, dict) else None


def _body(document: Document, item: Shallow) -> Any:
    """The body of the request; of another trigger than a webhook, all that it said."""
    said = document.get("json", start=item)
    if isinstance(said, dict) and "body" in said:
        said = document.get("body", start=said)
    # Long texts are not copied by this, only referred to.
    return document.resolve(said, skip=ENVELOPE, max_values=20_000, max_depth=50)


def _parts(document: Document, binary: Shallow) -> Iterator[tuple[str, BinaryRef]]:
    """The binary parts of an item by name."""
    for name, part in document.items(binary):
        if isinstance(part, dict):
            yield name, _reference(document.resolve(part, max_values=100, max_depth=2))


def _reference(part: dict[str, Any]) -> BinaryRef:
    """Where n8n keeps a part: an id such as `filesystem-v2:…` names the storage, else the data is the content."""
    data, id_ = part.get("data"), part.get("id")
    mode = "memory"
    if isinstance(id_, str) and id_:
        mode = id_.partition(":")[0].removesuffix("-v2")[:20]
    return BinaryRef(
        mode=mode,
        data=data if mode == "memory" and isinstance(data, str) else None,
        id=id_ if mode != "memory" else None,
        file_name=_short(part.get("fileName")),
        mime_type=_short(part.get("mimeType")),
    )


def _short(value: Any) -> str | None:
    return value[:255] if isinstance(value, str) else None


def _image_part(parts: dict[str, BinaryRef]) -> BinaryRef | None:
    if "image" in parts:
        return parts["image"]
    return next((part for part in parts.values() if (part.mime_type or "").startswith("image/")), None)


def _metadata_part(parts: dict[str, BinaryRef]) -> BinaryRef | None:
    if "metadata" in parts:
        return parts["metadata"]
    return next((part for part in parts.values() if part.mime_type == "application/json"), None)


def _image_in(body: Any) -> BinaryRef | None:
    """An image that stands in the body as base64 text, itself or inside an object."""
    if not isinstance(body, dict):
        return None
    for name in IMAGE_FIELDS:
        value = body.get(name)
        if isinstance(value, dict):
            value = value.get("base64") or value.get("data")
        if isinstance(value, str) and value:
            return BinaryRef("memory", data=value)
    return None


def _metadata(
    document: Document,
    names: NodeNames,
    workflow: dict[str, Any] | None,
    body: Any,
    parts: dict[str, BinaryRef],
    capture: Capture,
) -> tuple[dict[str, Any] | None, Capture]:
    """What the camera said of itself, from the body and from the metadata node or part, the latter winning."""
    said = _metadata_in(body)
    for result in Nodes(document, workflow).by_name(names.metadata):
        for item in result.items[:1]:
            found = document.resolve(document.get("json", "metadata", start=item), max_values=20_000, max_depth=50)
            if isinstance(found, dict):
                return {**said, **found}, capture
    part = _metadata_part(parts)
    if part is None:
        return said, capture
    if part.mode != "memory":
        return said, replace(capture, metadata_ref=part)
    try:
        found, reason = parse_metadata(decode_base64(part.data or "", MAX_METADATA_BYTES))
    except BinaryUnavailable as error:
        found, reason = None, str(error)
    if found is None:
        return said, replace(capture, notes=capture.notes | {"metadata": reason or ""})
    return {**said, **found}, capture


def _metadata_in(body: Any) -> dict[str, Any]:
    """Metadata that stands in the body: beside the image, or in an object or JSON text of its own."""
    if not isinstance(body, dict):
        return {}
    said = {key: value for key, value in body.items() if key not in (*IMAGE_FIELDS, "metadata")}
    inner = body.get("metadata")
    if isinstance(inner, str):
        inner, _ = parse_metadata(inner.encode("utf-8", "replace"))
    return {**said, **inner} if isinstance(inner, dict) else said
