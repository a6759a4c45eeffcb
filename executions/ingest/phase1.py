"""Phase 1: what is known when an execution is created. Who the camera is, what it says of itself, and its image.

Idempotent. Data of n8n may shrink later (a canceled run keeps 575 characters), so what we know is never replaced by
less, and an image once stored is evidence: other bytes never take its place.
"""

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

from executions import events
from executions.exceptions import ExtractionError, OutOfService
from executions.ingest import images, loading, queue, registry
from executions.models import Execution
from executions.n8n import binary_data, source
from executions.n8n.payload import BinaryRef, Capture, NodeNames, parse_metadata, read_capture, with_metadata

ETL_VERSION = "1"

# What phase 1 finds out, and the types of it. COALESCE: a value that is known stays until another known one comes.
MERGED = {
    "camera_metadata": "jsonb",
    "captured_at": "timestamptz",
    "node_id": "bigint",
    "camera_id": "bigint",
    "image_original_path": "text",
    "image_webp_path": "text",
    "image_thumb_path": "text",
    "image_size_bytes": "integer",
    "image_width": "integer",
    "image_height": "integer",
    "image_format": "text",
    "image_sha256": "text",
    "image_is_truncated": "boolean",
}
MERGE = f"""
UPDATE sai_executions SET
  {", ".join(f"{name} = COALESCE(%({name})s::{type_}, {name})" for name, type_ in MERGED.items())},
  extraction_notes = extraction_notes || %(notes)s::jsonb, phase1_at = now(), etl_version = %(etl_version)s,
  updated_at = now()
WHERE execution_id = %(pk)s
RETURNING {", ".join(events.STAGE2_COLUMNS)}
"""


@dataclass(frozen=True)
class Frame:
    """What became of the image: stored now, or the reason why not. `is_retryable`: another attempt may find it."""

    stored: images.StoredImage | None = None
    reason: str | None = None
    is_retryable: bool = False


def extract(claim: queue.Claim) -> None:
    """Extract and record phase 1 of the claimed execution.

    Raises NotReadyYet when n8n has not written its data yet, OutOfService when the image store cannot be written,
    ExtractionError when the image cannot be had now; all else is recorded first in that case.
    """
    begun = time.monotonic()
    capture, reason = _capture(claim)
    if capture is None:
        frame = _rederive(claim.execution_id)
    else:
        capture = _complete_metadata(claim.execution_id, capture)
        frame = _take_image(claim.execution_id, capture)
    with transaction.atomic():
        execution = _write(claim.execution_id, capture, frame, reason)
        if not frame.is_retryable:
            queue.complete(claim)
        if not claim.is_silent:
            events.stage2_complete(execution, round((time.monotonic() - begun) * 1000))
    if frame.is_retryable:
        raise ExtractionError(frame.reason)


def _capture(claim: queue.Claim) -> tuple[Capture | None, str | None]:
    """What the webhook item says, or why it cannot be read. The decoded document, megabytes, ends here."""
    loaded = loading.load(claim)
    names = NodeNames.from_settings(settings.N8N_NODE_NAMES)
    return loading.interpret(loaded, lambda document: read_capture(document, names, loaded.workflow))


def _complete_metadata(execution_id: int, capture: Capture) -> Capture:
    """Fetch the metadata part that a multipart camera sends as a file of its own."""
    if capture.metadata_ref is None:
        return capture
    try:
        metadata, reason = parse_metadata(_read(execution_id, capture.metadata_ref))
    except binary_data.BinaryUnavailable as error:
        metadata, reason = None, str(error)
    if metadata is None:
        return replace(capture, notes=capture.notes | {"metadata": reason or "The metadata part is empty."})
    return with_metadata(capture, metadata)


def _read(execution_id: int, ref: BinaryRef) -> bytes:
    return binary_data.read(
        ref,
        binary_data_path=settings.N8N_BINARY_DATA_PATH,
        database=source.binary_row,
        execution_id=execution_id,
        max_bytes=settings.IMAGE_MAX_BYTES,
    )


def _take_image(execution_id: int, capture: Capture) -> Frame:
    """Read, derive and store the image; the files are in place before the row names them."""
    if capture.image is None:
        return Frame(reason=capture.notes.get("image", "The camera sent no image."))
    try:
        original = _read(execution_id, capture.image)
    except binary_data.BinaryUnavailable as error:
        return Frame(reason=str(error), is_retryable=error.retryable)
    known = Execution.objects.values_list("image_sha256", flat=True).get(pk=execution_id)
    if known is not None and known != sha256(original).hexdigest():
        return Frame(reason="n8n now holds another image than the one stored; the first one is kept.")
    return _store(execution_id, original)


def _rederive(execution_id: int) -> Frame:
    """n8n has nothing to read: make the smaller renditions again from the original that we keep, if it is intact."""
    path, known = Execution.objects.values_list("image_original_path", "image_sha256").get(pk=execution_id)
    if path is None:
        return Frame()
    try:
        original = images.read(path)
    except FileNotFoundError:
        return Frame(reason="The stored image is missing, and n8n no longer has it.")
    if sha256(original).hexdigest() != known:
        return Frame(reason="The stored image is damaged, and n8n no longer has it.")
    return _store(execution_id, original)


def _store(execution_id: int, original: bytes) -> Frame:
    try:
        derived = images.derive(original, max_bytes=settings.IMAGE_MAX_BYTES, max_pixels=settings.IMAGE_MAX_PIXELS)
    except images.ImageRefused as error:
        return Frame(reason=str(error))
    try:
        return Frame(stored=images.store(execution_id, original, derived))
    except OSError as error:
        message = f"The image store cannot be written ({error.strerror or error}). It is tried again by itself."
        raise OutOfService(message) from error


def _write(execution_id: int, capture: Capture | None, frame: Frame, reason: str | None) -> Execution:
    """Merge what was found into the row; the returned execution carries what an event needs."""
    notes: dict[str, str] = {} if reason is None else {"payload": reason}
    values: dict[str, Any] = dict.fromkeys(MERGED)
    if capture is not None:
        notes |= capture.notes
        values |= _camera_values(execution_id, capture, notes)
    if frame.stored is not None:
        values |= _image_values(frame.stored, notes)
    elif frame.reason is not None:
        notes["image"] = frame.reason
    values |= {"notes": json.dumps({"phase1": notes}), "etl_version": ETL_VERSION, "pk": execution_id}
    with connection.cursor() as cursor:
        cursor.execute(MERGE, values)
        return Execution(execution_id=execution_id, **dict(zip(events.STAGE2_COLUMNS, cursor.fetchone(), strict=True)))


def _camera_values(execution_id: int, capture: Capture, notes: dict[str, str]) -> dict[str, Any]:
    # n8n's clock, not the camera's: a camera with a wrong clock would look seen in the future.
    times = Execution.objects.values_list("n8n_created_at", "started_at").get(pk=execution_id)
    registered = registry.register(capture.camera, times[0] or times[1])
    return {
        "camera_metadata": None if capture.metadata is None else json.dumps(capture.metadata),
        "captured_at": _captured_at(capture, notes),
        "node_id": registered.node_pk,
        "camera_id": registered.camera_pk,
    }


def _captured_at(capture: Capture, notes: dict[str, str]) -> datetime | None:
    """The camera's own time. A known device's clock without a zone is read in its node's, else in SAI_TIME_ZONE."""
    if capture.captured_at is not None or capture.captured_local is None:
        return capture.captured_at
    if capture.camera.device_id is None:  # Nobody said whose clock it is.
        return None
    zone = registry.node_time_zone(capture.camera.device_id)
    where = "the monitoring node's setting" if zone else "SAI_TIME_ZONE"
    zone = zone or settings.SAI_TIME_ZONE
    notes["captured_at"] = f"The camera stated local time without a zone; it was read as {zone} ({where})."
    return capture.captured_local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _image_values(stored: images.StoredImage, notes: dict[str, str]) -> dict[str, Any]:
    facts = stored.facts
    if facts.is_truncated:
        notes["image"] = "The image is cut off: what arrived is kept and shown as far as it goes."
    return {
        "image_original_path": stored.original_path,
        "image_webp_path": stored.webp_path,
        "image_thumb_path": stored.thumb_path,
        "image_size_bytes": facts.size_bytes,
        "image_width": facts.width,
        "image_height": facts.height,
        "image_format": facts.format,
        "image_sha256": facts.sha256,
        "image_is_truncated": facts.is_truncated,
    }
