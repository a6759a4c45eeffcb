"""What became of the Telegram message."""

from typing import Any

from executions.n8n.flatted import Document, Shallow
from executions.n8n.payload import values
from executions.n8n.payload.nodes import NodeResult, error_text
from executions.n8n.payload.results import TelegramOutcome

BIGINT = 2**63 - 1


def read_telegram(document: Document, result: NodeResult) -> tuple[TelegramOutcome, dict[str, str]]:
    """Sent if any item was; else not sent if any failed; else unknown, with a note."""
    outcomes = [_of_item(document, item) for item in result.items]
    for wanted in (True, False):
        for outcome in outcomes:
            if outcome.sent is wanted:
                return outcome, {}
    if result.error is not None:
        # If n8n died while the message was being sent, it may have arrived.
        return TelegramOutcome(sent=None if result.is_lost else False, error=result.error), {}
    note = "n8n crashed and lost the answer." if result.is_lost else "The notification step left no answer."
    return TelegramOutcome(sent=None), {"telegram": note}


def _of_item(document: Document, item: Shallow) -> TelegramOutcome:
    """Bot API `{ok, result: {message_id, chat, date}}`, older `{success, message_id, chat}`, or an error item."""
    said = document.resolve(document.get("json", start=item), max_values=2_000, max_depth=10)
    said = said if isinstance(said, dict) else {}
    inner = said.get("result")
    message: dict[str, Any] = inner if isinstance(inner, dict) else said
    message_id = values.whole(message.get("message_id"), 1, BIGINT)
    error = error_text(document, document.get("error", start=item)) or _stated_error(said)
    stated = said.get("ok", said.get("success"))
    if error is None and (stated is True or (stated is None and message_id is not None)):
        return TelegramOutcome(True, message_id, _chat_id(message), values.instant(message.get("date"), None))
    if error is not None or stated is False:
        return TelegramOutcome(False, chat_id=_chat_id(message), error=error)
    return TelegramOutcome(None)


def _stated_error(said: dict[str, Any]) -> str | None:
    error = said.get("error")
    if isinstance(error, dict):
        error = error.get("message") or error.get("description")
    if not error and said.get("ok") is False:
        error = said.get("description")
    return values.message(error)


def _chat_id(message: dict[str, Any]) -> str | None:
    chat = message.get("chat")
    return values.identifier(chat.get("id") if isinstance(chat, dict) else message.get("chat_id"), 50)
