"""Phase 2: what is known when an execution has ended. What the models said, and whether the message went out.

Idempotent. A final status can change again and its data can hold less than before, so each value that is known stays
until another known value takes its place. A failed inference leaves no result: it must never look like "no fire".
"""

import time
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from executions import events
from executions.ingest import loading, queue
from executions.models import Execution, InferenceResult, Notification, QueuePhase
from executions.n8n.payload import Inference, NodeNames, Outcome, TelegramOutcome, read_outcome

HOT_RESULT_COLUMNS = (
    "risk_level",
    "alert_level",
    "alert_priority",
    "confidence_score",
    "detection_count",
    "has_smoke",
    "has_fire",
)


def extract(claim: queue.Claim) -> None:
    """Extract and record phase 2 of the claimed execution.

    Raises NotReadyYet when n8n has set the final status but not yet written the final data.
    """
    begun = time.monotonic()
    loaded = loading.load(claim)
    execution = Execution.objects.only("status", "image_width", "image_height").get(pk=claim.execution_id)
    names = NodeNames.from_settings(settings.N8N_NODE_NAMES)
    read = partial(
        read_outcome, names=names, workflow=loaded.workflow, status=execution.status, image_size=_size(execution)
    )
    outcome, reason = loading.interpret(loaded, read)
    if outcome is not None and not outcome.is_final:
        loading.wait_or_give_up(claim, "n8n has not written this execution's final data yet.")
    with transaction.atomic():
        written = _write(claim.execution_id, outcome, reason)
        if outcome is not None:
            _ask_for_phase1(written)
        queue.complete(claim)
        if not claim.is_silent:
            events.stage2_complete(written, round((time.monotonic() - begun) * 1000))


def _size(execution: Execution) -> tuple[int, int] | None:
    if execution.image_width is None or execution.image_height is None:
        return None
    return execution.image_width, execution.image_height


def _write(execution_id: int, outcome: Outcome | None, reason: str | None) -> Execution:
    """Merge the outcome into the result tables and their hot copies, under the execution's lock."""
    execution = Execution.objects.select_for_update().get(pk=execution_id)
    notes: dict[str, str] = {} if reason is None else {"payload": reason}
    if outcome is not None:
        notes |= _notes(outcome)
        execution.contract = outcome.contract or execution.contract
        if outcome.inference is not None:
            _merge(InferenceResult, execution_id, _inference_values(outcome.inference))
        if outcome.notification is not None:
            _merge(Notification, execution_id, _notification_values(outcome.notification))
    execution.extraction_notes = execution.extraction_notes | {"phase2": notes}
    execution.phase2_at = timezone.now()
    execution.save()
    _copy_hot_columns(execution_id)
    return Execution.objects.get(pk=execution_id)


def _notes(outcome: Outcome) -> dict[str, str]:
    notes = dict(outcome.notes)
    if not outcome.is_final:
        notes["data"] = "n8n never wrote the final data; this is what it had."
    if outcome.workflow_error is not None:
        node, message = outcome.workflow_error
        notes["workflow"] = f"{node}: {message}" if node else message
    if outcome.contract_errors:
        notes["contract"] = " ".join(outcome.contract_errors)[:1000]
    return notes


def _inference_values(inference: Inference) -> dict[str, Any]:
    detections = inference.detections
    score = inference.confidence_score
    return {
        "model_name": _cut(inference.model_name, 200),
        "model_version": _cut(inference.model_version, 200),
        "inference_timestamp": inference.inference_timestamp,
        "processing_time_ms": inference.processing_time_ms,
        "detections": None if detections is None else [detection.as_json() for detection in detections],
        "risk_level": inference.risk_level,
        "alert_level": _cut(inference.alert_level, 20),
        "confidence_score": None if score is None else Decimal(str(round(score, 4))),
        "flags": inference.flags,
        "raw_response": inference.raw_response,
        "raw_response_hash": inference.raw_response_hash,
        "model_outputs": inference.model_outputs,
    }


def _notification_values(notification: TelegramOutcome) -> dict[str, Any]:
    return {
        "telegram_sent": notification.sent,
        "telegram_message_id": notification.message_id,
        "telegram_chat_id": _cut(notification.chat_id, 50),
        "telegram_sent_at": notification.sent_at,
        "telegram_error": notification.error,
    }


def _cut(text: str | None, length: int) -> str | None:
    return text if text is None else text[:length]


def _merge(model: type[InferenceResult] | type[Notification], execution_id: int, values: dict[str, Any]) -> None:
    """Write what is known now over what was known; the caller holds the execution's lock."""
    known = {name: value for name, value in values.items() if value is not None}
    model._default_manager.update_or_create(pk=execution_id, defaults=known)


def _copy_hot_columns(execution_id: int) -> None:
    """Copy what lists filter and sort by, from the rows just written; the database derives some of it itself."""
    result = InferenceResult.objects.filter(pk=OuterRef("pk"))
    sent = Notification.objects.filter(pk=OuterRef("pk")).values("telegram_sent")
    copies: dict[str, Any] = {name: Subquery(result.values(name)) for name in HOT_RESULT_COLUMNS}
    Execution.objects.filter(pk=execution_id).update(**copies, telegram_sent=Subquery(sent))


def _ask_for_phase1(execution: Execution) -> None:
    """Phase 1 may have come before there was anything to read; the final data holds the webhook item too."""
    if "payload" in execution.extraction_notes.get("phase1", {}):
        queue.request([execution.pk], QueuePhase.CREATED)
