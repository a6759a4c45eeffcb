"""Fetch and decode what n8n keeps of one execution; the common first half of both phases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.utils import timezone

from executions.exceptions import ExtractionError, NotReadyYet
from executions.ingest.queue import Claim
from executions.models import Execution
from executions.n8n import source
from executions.n8n.flatted import Document, MalformedData, decode

T = TypeVar("T")

PATIENCE_S = 10.0
"""How long data that n8n has not written yet is waited for; 1.60.1 needs up to 0.3 s."""


@dataclass(frozen=True)
class Loaded:
    """The decoded data of one execution and the workflow that ran, or the reason why there is none."""

    document: Document | None
    workflow: dict[str, Any] | None
    reason: str | None


def load(claim: Claim) -> Loaded:
    """What n8n holds now. Raises NotReadyYet while n8n may still be about to write it."""
    rows = source.executions([claim.execution_id])
    if not rows:
        gone = Execution.objects.filter(pk=claim.execution_id, source_deleted_at=None)
        gone.update(source_deleted_at=timezone.now())
        return Loaded(None, None, "n8n had deleted this execution before it could be read.")
    try:
        data = source.execution_data(claim.execution_id, rows[0].stored_at, settings.N8N_STORAGE_PATH)
    except source.DataUnavailable as error:
        if error.retryable:
            wait_or_give_up(claim, error.reason)
            raise ExtractionError(error.reason) from error
        return Loaded(None, None, error.reason)
    if data is None:
        wait_or_give_up(claim, "n8n has not written this execution's data yet.")
        return Loaded(None, None, "n8n never wrote this execution's data.")
    try:
        return Loaded(decode(data.text), data.workflow, None)
    except MalformedData as error:
        return Loaded(None, data.workflow, _unreadable(error))


def interpret(loaded: Loaded, reader: Callable[[Document], T]) -> tuple[T | None, str | None]:
    """What `reader` makes of the document, or None and the reason: references may turn out broken only on the way."""
    if loaded.document is None:
        return None, loaded.reason
    try:
        return reader(loaded.document), None
    except MalformedData as error:
        return None, _unreadable(error)


def _unreadable(error: MalformedData) -> str:
    return f"n8n's data of this execution cannot be read: {error}"


def wait_or_give_up(claim: Claim, message: str) -> None:
    """Raise NotReadyYet as long as waiting makes sense: at first every 20 ms, later less often."""
    if claim.age_s < PATIENCE_S:
        raise NotReadyYet(message, retry_after_s=min(max(claim.age_s / 2, 0.02), 1.0))
