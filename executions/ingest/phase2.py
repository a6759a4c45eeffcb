"""Phase 2: what is known when an execution has ended. What the models said, and whether the message went out.

Idempotent. A final status can change again and its data can hold less than before, so each value that is known stays
until another known value takes its place. A failed inference leaves no result: it must never look like "no fire".
"""

import json
import time
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from executions import events
from executions.ingest import loading, queue
from executions.models import Execution, QueuePhase
from executions.n8n.payload import Inference, NodeNames, Outcome, TelegramOutcome, read_outcome


@dataclass(frozen=True)
class Table:
    """A result table: its columns with their types, and those that lists sort and filter by."""

    name: str
    columns: dict[str, str]
    hot_columns: tuple[str, ...]

    @property
    def upsert(self) -> str:
        """COALESCE: a value that is known stays until another known one comes."""
        values = ", ".join(f"%({name})s::{type_}" for name, type_ in self.columns.items())
        merged = ", ".join(f"{name} = COALESCE(EXCLUDED.{name}, {self.name}.{name})" for name in self.columns)
        return f"""
            INSERT INTO {self.name} (execution_id, created_at, {", ".join(self.columns)})
            VALUES (%(execution_id)s, now(), {values})
            ON CONFLICT (execution_id) DO UPDATE SET {merged}
            RETURNING {", ".join(self.hot_columns)}
        """


RESULT = Table(
    "sai_inference_results",
    {
        "model_name": "text",
        "model_version": "text",
        "inference_timestamp": "timestamptz",
        "processing_time_ms": "numeric",
        "detections": "jsonb",
        "risk_level": "text",
        "alert_level": "text",
        "confidence_score": "numeric",
        "flags": "jsonb",
        "raw_response": "text",
        "raw_response_hash": "text",
        "model_outputs": "jsonb",
    },
    ("risk_level", "alert_level", "alert_priority", "confidence_score", "detection_count", "has_smoke", "has_fire"),
)
MESSAGE = Table(
    "sai_notifications",
    {
        "telegram_sent": "boolean",
        "telegram_message_id": "bigint",
        "telegram_chat_id": "text",
        "telegram_sent_at": "timestamptz",
        "telegram_error": "text",
    },
    ("telegram_sent",),
)
HOT_COLUMNS = (*RESULT.hot_columns, *MESSAGE.hot_columns)
MERGE = f"""
UPDATE sai_executions SET
  {", ".join(f"{name} = COALESCE(%({name})s, {name})" for name in (*HOT_COLUMNS, "contract"))},
  extraction_notes = extraction_notes || %(notes)s::jsonb, phase2_at = now(), updated_at = now()
WHERE execution_id = %(pk)s
RETURNING extraction_notes -> 'phase1' ? 'payload', {", ".join(events.STAGE2_COLUMNS)}
"""


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
        written, lacks_phase1 = _write(claim.execution_id, outcome, reason)
        if lacks_phase1 and outcome is not None:
            # Phase 1 came before there was anything to read; the final data holds the webhook item too.
            queue.request([claim.execution_id], QueuePhase.CREATED)
        queue.complete(claim)
        if not claim.is_silent:
            events.stage2_complete(written, round((time.monotonic() - begun) * 1000))


def _size(execution: Execution) -> tuple[int, int] | None:
    if execution.image_width is None or execution.image_height is None:
        return None
    return execution.image_width, execution.image_height


def _write(execution_id: int, outcome: Outcome | None, reason: str | None) -> tuple[Execution, bool]:
    """Merge the outcome into the result tables and their hot copies.

    Returns an execution that carries what an event needs, and whether phase 1 could not read its data.
    """
    notes: dict[str, str] = {} if reason is None else {"payload": reason}
    copies: dict[str, Any] = dict.fromkeys(HOT_COLUMNS)
    if outcome is not None:
        notes |= _notes(outcome)
        if outcome.inference is not None:
            copies |= _merge(RESULT, execution_id, _inference_values(outcome.inference))
        if outcome.notification is not None:
            copies |= _merge(MESSAGE, execution_id, _notification_values(outcome.notification))
    values = copies | {"pk": execution_id, "notes": json.dumps({"phase2": notes})}
    values["contract"] = None if outcome is None else outcome.contract
    with connection.cursor() as cursor:
        cursor.execute(MERGE, values)
        lacks_phase1, *returned = cursor.fetchone()
    known = dict(zip(events.STAGE2_COLUMNS, returned, strict=True))
    return Execution(execution_id=execution_id, **known), bool(lacks_phase1)


def _merge(table: Table, execution_id: int, values: dict[str, Any]) -> dict[str, Any]:
    """Write what is known now over what was known; the hot columns of the row as it is then."""
    with connection.cursor() as cursor:
        cursor.execute(table.upsert, values | {"execution_id": execution_id})
        return dict(zip(table.hot_columns, cursor.fetchone(), strict=True))


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
        "detections": None if detections is None else json.dumps([each.as_json() for each in detections]),
        "risk_level": inference.risk_level,
        "alert_level": _cut(inference.alert_level, 20),
        "confidence_score": None if score is None else Decimal(str(round(score, 4))),
        "flags": _json(inference.flags),
        "raw_response": inference.raw_response,
        "raw_response_hash": inference.raw_response_hash,
        "model_outputs": _json(inference.model_outputs),
    }


def _notification_values(notification: TelegramOutcome) -> dict[str, Any]:
    return {
        "telegram_sent": notification.sent,
        "telegram_message_id": notification.message_id,
        "telegram_chat_id": _cut(notification.chat_id, 50),
        "telegram_sent_at": notification.sent_at,
        "telegram_error": notification.error,
    }


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value)


def _cut(text: str | None, length: int) -> str | None:
    return text if text is None else text[:length]
