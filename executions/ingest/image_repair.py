"""Put right what the image check found. Never deletes an image: what looks superfluous may be the last copy."""

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

import structlog
from django.conf import settings
from django.core.files.storage import storages
from django.db.models import Value
from django.db.models.functions import Coalesce

from executions.ingest import images, queue
from executions.ingest.image_check import Finding, Kind
from executions.models import Execution, QueuePhase

log = structlog.get_logger(__name__)

OF_ORIGINALS = frozenset({Kind.MISSING_ORIGINAL, Kind.DAMAGED_ORIGINAL})


class Outcome(StrEnum):
    """What became of a repair."""

    REPAIRED = "repaired"
    REQUESTED = "asked for again from n8n"
    LEFT = "left as it is"


def repair(findings: Sequence[Finding]) -> Outcome:
    """Put right what is wrong with one execution, or with one file that belongs to none.

    Smaller renditions are made again from an intact original; an original is read again from n8n by the extraction
    workers, if n8n still has it; remains of interrupted saves are removed. Raises OSError when the store fails.
    """
    first = findings[0]
    if first.kind is Kind.LEFTOVER:
        return _remove(first.path)
    if first.execution_id is None:
        return Outcome.LEFT
    if OF_ORIGINALS & {finding.kind for finding in findings}:
        return _request(first.execution_id)
    return _rederive(first.execution_id, [finding.path for finding in findings])


def _rederive(execution_id: int, paths: Sequence[str]) -> Outcome:
    """Write the smaller renditions that lie at these paths again."""
    path, known = Execution.objects.values_list("image_original_path", "image_sha256").get(pk=execution_id)
    original = images.read(str(path))
    if sha256(original).hexdigest() != known:  # A quick check does not find out.
        return _request(execution_id)
    try:
        derived = images.derive(original, max_bytes=settings.IMAGE_MAX_BYTES, max_pixels=settings.IMAGE_MAX_PIXELS)
    except images.ImageRefused as error:
        log.warning(f"Not derived again: {error}", action="image.refused", execution_id=execution_id)
        return Outcome.LEFT
    for path in paths:
        images.write(path, derived.thumb if path.startswith("thumb/") else derived.webp)
    _name_derived(execution_id)
    log.info("Preview and thumbnail are whole again.", action="image.rederived", execution_id=execution_id)
    return Outcome.REPAIRED


def _name_derived(execution_id: int) -> None:
    """The row names its renditions, should it not have done so yet."""
    names = {
        f"image_{rendition}_path": Coalesce(
            f"image_{rendition}_path", Value(images.path_for(rendition, execution_id, "webp"))
        )
        for rendition in ("webp", "thumb")
    }
    Execution.objects.filter(pk=execution_id).update(**names)


def _request(execution_id: int) -> Outcome:
    """Have phase 1 read the image from n8n again, unless n8n no longer has it."""
    if Execution.objects.filter(pk=execution_id, source_deleted_at__isnull=False).exists():
        log.warning(
            "n8n no longer has this image; restore the original from a backup.",
            action="image.lost",
            execution_id=execution_id,
        )
        return Outcome.LEFT
    queue.request([execution_id], QueuePhase.CREATED, queue.BACKFILL)
    log.info("The image will be read from n8n again.", action="image.requested", execution_id=execution_id)
    return Outcome.REQUESTED


def _remove(path: str) -> Outcome:
    storages["images"].delete(path)
    log.info("The remains of an interrupted save are removed.", action="image.leftover_removed", path=path)
    return Outcome.REPAIRED
