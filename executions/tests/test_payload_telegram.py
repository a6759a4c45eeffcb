"""What became of the message, in every shape that n8n and Telegram give it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from executions.n8n.payload import NodeNames, TelegramOutcome, read_outcome
from executions.tests.n8n_documents import ended, failed_run, item, run

SENT = {"ok": True, "result": {"message_id": 1016, "chat": {"id": -100123, "type": "supergroup"}, "date": 1795410850}}
AT = datetime(2026, 11, 23, 5, 14, 10, tzinfo=UTC)


def told(*runs: dict[str, Any]) -> tuple[TelegramOutcome | None, dict[str, str]]:
    document = ended({"Webhook": [run(item({"body": {}}))], **({"Telegram": list(runs)} if runs else {})})
    outcome = read_outcome(document, NodeNames(), None, status="success", image_size=None)
    return outcome.notification, outcome.notes


def test_a_step_that_did_not_run_is_no_notification() -> None:
    assert told()[0] is None


def test_a_message_was_sent() -> None:
    assert told(run(item(SENT)))[0] == TelegramOutcome(True, 1016, "-100123", AT, None)


@pytest.mark.parametrize("chat", [{"id": -100123}, None])
def test_an_older_answer_is_understood(chat: Any) -> None:
    outcome, _ = told(run(item({"success": True, "message_id": 7, "chat": chat})))
    assert outcome is not None
    assert (outcome.sent, outcome.message_id) == (True, 7)


@pytest.mark.parametrize(
    "answer, error",
    [
        (item({"error": "Bad Request: chat not found"}), "Bad Request: chat not found"),
        (item({}, error="Bad request - please check"), "Bad request - please check"),
        (item({}, error={"message": "Bad request", "description": "chat not found"}), "Bad request: chat not found"),
        (item({"error": {"message": "Too Many Requests"}}), "Too Many Requests"),
        (item({"ok": False, "error_code": 403, "description": "Forbidden"}), "Forbidden"),
        (item({"success": False}), None),
    ],
)
def test_a_failure_is_one_even_where_the_workflow_goes_on(answer: dict[str, Any], error: str | None) -> None:
    outcome, _ = told(run(answer))
    assert outcome == TelegramOutcome(False, error=error)


def test_an_answer_that_also_carries_an_error_is_a_failure() -> None:
    assert told(run(item(SENT, error="Forbidden")))[0] == TelegramOutcome(False, chat_id="-100123", error="Forbidden")


def test_a_failure_that_stopped_the_workflow_says_why() -> None:
    outcome, _ = told(failed_run("Bad request", "chat not found"))
    assert outcome == TelegramOutcome(False, error="Bad request: chat not found")


def test_a_crash_while_sending_leaves_it_open() -> None:
    outcome, _ = told(failed_run("Execution stopped at this node") | {"executionStatus": "crashed"})
    assert outcome is not None
    assert (outcome.sent, outcome.error) == (None, "Execution stopped at this node")
    outcome, notes = told(run(item({"isArtificialRecoveredEventItem": True})))
    assert outcome == TelegramOutcome(None)
    assert "crashed" in notes["telegram"]


@pytest.mark.parametrize("runs", [[run()], [run(item({}))], [run(item({"text": "?"}))], [{}], [{"data": None}], ["x"]])
def test_no_answer_leaves_it_open(runs: list[Any]) -> None:
    outcome, notes = told(*runs)
    assert outcome == TelegramOutcome(None)
    assert "no answer" in notes["telegram"]


def test_one_of_several_recipients_is_enough() -> None:
    outcome, _ = told(run(item({"error": "Forbidden"}), item(SENT)))
    assert outcome is not None and outcome.message_id == 1016


def test_the_error_output_counts_as_a_failure() -> None:
    errors = {"data": {"main": [[], [item({"model": "m", "error": "Forbidden"})]]}}
    assert told(errors)[0] == TelegramOutcome(False, error="Forbidden")


def test_the_last_run_with_an_answer_wins() -> None:
    assert told(failed_run("Timeout"), run(item(SENT)), run())[0] == TelegramOutcome(True, 1016, "-100123", AT)


@pytest.mark.parametrize("message_id", [2**63, -1, "7", 1.5, True])
def test_a_number_that_no_column_holds_is_dropped(message_id: Any) -> None:
    outcome, _ = told(run(item({"ok": True, "result": {"message_id": message_id, "chat": {"id": 10**30}, "date": -5}})))
    assert outcome == TelegramOutcome(True)
